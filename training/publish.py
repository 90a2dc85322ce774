"""Makes `model/` of a run of `training.train`: checks the converted networks, calibrates, measures and describes.

Needs no TensorFlow: the networks answer through the code and the runtime that serve them.
"""

import argparse
import hashlib
import json
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from classifier.description import DESCRIPTION_FILE, NETWORK_FILE
from classifier.model import Model, softmax
from training.calibration import calibrate, cross_calibrate
from training.card import CARD_FILE, TITLES, card
from training.dataset import DatasetError, Split, read_photos, read_provenance, read_split
from training.evaluate import Evaluation, collect_logits, measure
from training.report import write_report
from training.run import FINAL, LOGITS_FILE, NOVELTY_FILE, RECORD_FILE, VARIANTS_FILE, answered_photos, fold_name
from training.unfamiliar import unfamiliar_pictures

REPORT_FOLDER = "report"
_AGREEMENT = 0.01  # in probability; a lost layer or other pixels would make tenths of difference


class PublishError(Exception):
    """The run's network is not fit to serve; the message says why."""


@dataclass(frozen=True, slots=True)
class Answers:
    """The photos that a run keeps answers for, and what the served network says of them.

    `logits` of shape (n, labels), `targets` of shape (n,), `paths` to the photos; `agreement` is the largest difference
    in probability between the served network and the trained one.
    """

    paths: tuple[Path, ...]
    targets: npt.NDArray[np.int64]
    logits: npt.NDArray[np.float64]
    agreement: float


def publish(run: Path, data: Path, out: Path) -> dict[str, Any]:
    """Write network, description, card and reports into `out`, all or none; gives the description."""
    with tempfile.TemporaryDirectory() as directory:
        staged = Path(directory)
        description = _stage(run, data, staged)
        shutil.rmtree(out / REPORT_FOLDER, ignore_errors=True)
        shutil.copytree(staged, out, dirs_exist_ok=True)
    return description


def _stage(run: Path, data: Path, out: Path) -> dict[str, Any]:
    record = _read(run / RECORD_FILE)
    description = describe(run / FINAL / NETWORK_FILE, record)
    folds = [answers(run / fold_name(fold), data, description) for fold in range(record["recipe"]["folds"])]
    logits, targets = np.concatenate([fold.logits for fold in folds]), np.concatenate([fold.targets for fold in folds])
    paths = tuple(path for fold in folds for path in fold.paths)
    numbers = np.repeat(np.arange(len(folds)), [len(fold.targets) for fold in folds])

    calibration = calibrate(logits, targets)
    description["temperature"] = calibration.temperature
    description["review_threshold"] = calibration.review_threshold
    description["agreement"] = max(fold.agreement for fold in (*folds, answers(run / FINAL, data, description)))
    description["folds"] = [float((fold.logits.argmax(axis=1) == fold.targets).mean()) for fold in folds]

    size = description["input"]["width"]
    held_out = Split(tuple(record["labels"]), paths, read_photos(paths, size), targets)
    evaluation = Evaluation(held_out, *cross_calibrate(logits, targets, numbers))
    _measure("held_out", data, evaluation, description, out)
    if (data / "test").is_dir():
        test = read_split(data / "test", size, held_out.labels)
        served = _staged_model(run / FINAL / NETWORK_FILE, description, out)
        probabilities = calibration.probabilities(collect_logits(served, test.images))
        _measure("test", data, Evaluation(test, probabilities, calibration.passes(probabilities)), description, out)
    model = _staged_model(run / FINAL / NETWORK_FILE, description, out)
    model.check()
    unfamiliar = {
        kind: float((~calibration.passes(calibration.probabilities(collect_logits(model, pictures)))).mean())
        for kind, pictures in unfamiliar_pictures(data, size).items()
    }
    novelty, variants = (_read(run / name) for name in (NOVELTY_FILE, VARIANTS_FILE))
    (out / CARD_FILE).write_text(card(description, unfamiliar, novelty, variants), encoding="utf-8")
    return description


def describe(network: Path, record: dict[str, Any]) -> dict[str, Any]:
    """The description of a network that nobody has calibrated or measured yet."""
    content = network.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    size = record["recipe"]["phases"][-1]["size"]
    return {
        "name": "mobilenet_v2",
        "version": f"mobilenet_v2-{size}-{sha256[:8]}",
        "labels": record["labels"],
        "input": {"width": size, "height": size, "channels": "RGB", "dtype": "uint8"},
        "temperature": 1.0,
        "review_threshold": 0.0,
        "sha256": sha256,
        "bytes": len(content),
        "agreement": None,
        "folds": [],
        "metrics": {},
        "training": {name: value for name, value in record.items() if name != "labels"},
    }


def answers(folder: Path, data: Path, description: dict[str, Any]) -> Answers:
    """What a network of the run says when it is served; raises `PublishError` if that is not what Keras said."""
    paths = answered_photos(folder, data)
    images = read_photos(paths, description["input"]["width"])
    with tempfile.TemporaryDirectory() as directory:
        logits = collect_logits(_staged_model(folder / NETWORK_FILE, description, Path(directory)), images)
    labels = description["labels"]
    targets = np.array([labels.index(path.parent.name) for path in paths], np.int64)
    trained = np.load(folder / LOGITS_FILE).astype(np.float64)
    return Answers(tuple(paths), targets, logits, agreement(softmax(logits), softmax(trained)))


def agreement(served: npt.NDArray[np.float64], trained: npt.NDArray[np.float64]) -> float:
    """The largest difference between what the served and the trained network answer, each of shape (n, labels)."""
    largest = float(np.abs(served - trained).max())
    if largest > _AGREEMENT:
        raise PublishError(f"The converted network differs from the trained one by {largest:.3f} in probability.")
    return largest


def _measure(name: str, data: Path, evaluation: Evaluation, description: dict[str, Any], out: Path) -> None:
    """Add the figures, and those of the children's clothes apart, to the description; write the report."""
    description["metrics"][name] = evaluation.figures()
    kids = read_provenance(data, evaluation.split.files).kids
    if kids.any():
        description["metrics"][f"{name}_kids"] = measure(
            evaluation.probabilities[kids], evaluation.split.targets[kids], evaluation.passed[kids]
        )
    write_report(out / REPORT_FOLDER / name, f"{description['version']}: {TITLES[name]}", evaluation)


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _staged_model(network: Path, description: dict[str, Any], folder: Path) -> Model:
    shutil.copyfile(network, folder / NETWORK_FILE)
    (folder / DESCRIPTION_FILE).write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
    return Model(folder)


def main() -> int:
    """Publish a run."""
    parser = argparse.ArgumentParser(prog="python -m training.publish", description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="folder that training.train wrote")
    parser.add_argument("--data", type=Path, required=True, help="the folder it was trained on, and its test/, if any")
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
