"""Makes `model/` of a run of `training.train`: checks the converted network, calibrates it, measures it, describes it.

Needs no TensorFlow: the network answers through the code and the runtime that serve it.
"""

import argparse
import hashlib
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from classifier.description import DESCRIPTION_FILE, NETWORK_FILE
from classifier.model import Model, softmax
from training.dataset import DatasetError, Split, read_split
from training.evaluate import collect_logits, log_loss, measure
from training.report import write_report
from training.run import RECIPE_FILE, VALIDATION_LOGITS_FILE

CARD_FILE = "README.md"
REPORT_FOLDER = "report"
# float16 weights move probabilities by about a hundredth at most; a lost layer or other pixels move them by tenths.
_AGREEMENT = 0.02
_WANTED_PRECISION = 0.97  # of the photos that no person looks at
_TEMPERATURES = np.geomspace(0.2, 5, 400)


class PublishError(Exception):
    """The run's network is not fit to serve; the message says why."""


def publish(run: Path, data: Path, out: Path) -> dict[str, Any]:
    """Write network, description and card into `out`, all or none; gives the description."""
    with tempfile.TemporaryDirectory() as directory:
        staged = Path(directory)
        description = _stage(run, data, staged)
        shutil.copytree(staged, out, dirs_exist_ok=True)
    return description


def _stage(run: Path, data: Path, out: Path) -> dict[str, Any]:
    record = json.loads((run / RECIPE_FILE).read_text(encoding="utf-8"))
    description = describe(run / NETWORK_FILE, record)
    shutil.copyfile(run / NETWORK_FILE, out / NETWORK_FILE)
    _write(out, description)
    model = Model(out)
    validation = _read(data / "validation", model)
    logits = collect_logits(model, validation)
    trained = np.load(run / VALIDATION_LOGITS_FILE).astype(np.float64)
    description["agreement"] = agreement(softmax(logits), softmax(trained))
    description["temperature"] = fit_temperature(logits, validation.targets)
    probabilities = softmax(logits / description["temperature"])
    description["review_threshold"] = fit_threshold(probabilities, validation.targets)
    description["metrics"] = {"validation": measure(probabilities, validation.targets)}
    shown, split = probabilities, validation
    if (data / "test").is_dir():
        split = _read(data / "test", model)
        shown = softmax(collect_logits(model, split) / description["temperature"])
        description["metrics"]["test"] = measure(shown, split.targets)
    _write(out, description)
    last = list(description["metrics"])[-1]
    write_report(out / REPORT_FOLDER, f"{description['version']} on the {last} photos", split, shown)
    (out / CARD_FILE).write_text(card(description, shown, split), encoding="utf-8")
    return description


def describe(network: Path, record: dict[str, Any]) -> dict[str, Any]:
    """The description of a network that nobody has calibrated or measured yet."""
    content = network.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    size = record["recipe"]["size"]
    return {
        "name": "mobilenet_v2",
        "version": f"mobilenet_v2-{size}-{sha256[:8]}",
        "labels": record["labels"],
        "input": {"width": size, "height": size, "channels": "RGB", "dtype": "uint8"},
        "temperature": 1.0,
        "review_threshold": 0.0,
        "sha256": sha256,
        "bytes": len(content),
        "metrics": {},
        "recipe": record["recipe"],
    }


def agreement(served: npt.NDArray[np.float64], trained: npt.NDArray[np.float64]) -> float:
    """The largest difference between what the served and the trained network answer, each of shape (n, labels)."""
    if served.shape != trained.shape:
        raise PublishError(f"The run's answers are for {len(trained)} validation photos; the folder has {len(served)}.")
    largest = float(np.abs(served - trained).max())
    if largest > _AGREEMENT:
        raise PublishError(f"The converted network differs from the trained one by {largest:.3f} in probability.")
    return largest


def fit_temperature(logits: npt.NDArray[np.float64], targets: npt.NDArray[np.int64]) -> float:
    """The temperature under which the labels are likeliest (Guo et al. 2017), to within half a per cent."""
    losses = [log_loss(softmax(logits / temperature), targets) for temperature in _TEMPERATURES]
    return round(float(_TEMPERATURES[int(np.argmin(losses))]), 4)


def fit_threshold(probabilities: npt.NDArray[np.float64], targets: npt.NDArray[np.int64]) -> float:
    """The lowest confidence from which on photos are right 97 times in 100: as few as may be then need review."""
    confidences = probabilities.max(axis=1)
    order = np.argsort(-confidences)
    right = (probabilities.argmax(axis=1) == targets)[order]
    precision = np.cumsum(right) / np.arange(1, len(right) + 1)
    enough = np.flatnonzero(precision >= _WANTED_PRECISION)
    return round(float(confidences[order][enough[-1]]) if enough.size else 1.0, 4)


def card(description: dict[str, Any], probabilities: npt.NDArray[np.float64], split: Split) -> str:
    """The model card, in Markdown."""
    predicted = probabilities.argmax(axis=1)
    splits = "\n".join(
        f"| {name} | {m['n']} | {m['accuracy']:.3f} | {m['accuracy_low']:.3f} – {m['accuracy_high']:.3f} "
        f"| {m['macro_f1']:.3f} | {m['calibration_error']:.3f} |"
        for name, m in description["metrics"].items()
    )
    confident = probabilities.max(axis=1) >= description["review_threshold"]
    right = (predicted == split.targets)[confident]
    last = list(description["metrics"])[-1]
    size = description["input"]["width"]
    return f"""# The model

`{description["version"]}`: MobileNetV2 (Sandler et al. 2018), fine-tuned on photos of clothes. It takes a photo
squeezed into {size} × {size} RGB pixels and gives a score for each of {len(split.labels)} labels:
{", ".join(split.labels)}.
`clothing.tflite` is in half precision, {description["bytes"] / 1e6:.1f} MB; `model.json` holds all that serving needs.

Made by `make train`; this page and `model.json` are written by it.

## What it is for
Telling which of the labels above a seller's photo of one piece of clothing shows, so that a listing gets its category.
It is not for photos of people, for more than one piece at once, or for telling whether there are clothes on a photo at
all: whatever it is shown, it names one of its labels.

## How well it does
| photos | n | accuracy | 95 % interval | macro-F1 | calibration error |
| --- | --- | --- | --- | --- | --- |
{splits}

`validation` shares most of its senders with the training photos and chose the temperature
({description["temperature"]}) and the review threshold ({description["review_threshold"]}); `test` shares none and
chose nothing. At this threshold, {confident.mean():.0%} of the {last} photos pass without review, and
{right.mean() if right.size else 0:.1%} of those are right.
The served network and the one in Keras differ by at most {description["agreement"]:.4f} in probability.

Precision, recall and F1 by label, the confusion matrix and the reliability diagram: [the report](report/README.md).

## What it was made from
Photos: the ten-class subset of [clothing-dataset](https://github.com/alexeygrigorev/clothing-dataset) by Alexey
Grigorev, CC0. Initial weights: MobileNetV2 trained on ImageNet (Google, Apache-2.0). The recipe stands in `model.json`.
"""


def _read(folder: Path, model: Model) -> Split:
    return read_split(folder, model.description.input_size, model.description.labels)


def _write(out: Path, description: dict[str, Any]) -> None:
    (out / DESCRIPTION_FILE).write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")


def main() -> int:
    """Publish a run."""
    parser = argparse.ArgumentParser(prog="python -m training.publish", description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="folder that training.train wrote")
    parser.add_argument("--data", type=Path, required=True, help="folder with validation/ and, if there is one, test/")
    parser.add_argument("--out", type=Path, default=Path("model"), help="folder to write (default: model)")
    arguments = parser.parse_args()
    try:
        description = publish(arguments.run, arguments.data, arguments.out)
    except (DatasetError, PublishError, OSError) as error:
        print(f"publish: {error}", file=sys.stderr)
        return 1
    print(json.dumps(description["metrics"], indent=2))
    print(f"Wrote {description['version']} to {arguments.out}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
