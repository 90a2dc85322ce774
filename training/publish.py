"""Makes `model/` of a run of `training.train`: checks the converted networks, calibrates, measures and describes.

Needs no TensorFlow: the networks answer through the code and the runtime that serve them.
"""

import argparse
import hashlib
import json
import shutil
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from classifier.description import DESCRIPTION_FILE, NETWORK_FILE
from classifier.model import Model
from training.calibration import Calibration, calibrate, cross_calibrate
from training.card import CARD_FILE, TITLES, card
from training.dataset import DatasetError, Split, read_photos, read_provenance, read_split
from training.evaluate import Answers, Evaluation, collect_answers, evaluate, measure
from training.novelty import separation
from training.recipe import Recipe
from training.report import write_report
from training.run import (
    FINAL,
    LOGITS_FILE,
    RECORD_FILE,
    VARIANTS_FILE,
    answered_photos,
    fold_name,
    seed_logits_file,
)
from training.unfamiliar import unfamiliar_pictures

REPORT_FOLDER = "report"
_AGREEMENT = 0.01  # in probability; a lost layer or other pixels would make tenths of difference


class PublishError(Exception):
    """The run's network is not fit to serve; the message says why."""


@dataclass(frozen=True, slots=True)
class Judge:
    """A network of the run as it is served, and its `answers` for the photos that the run keeps Keras's answers for.

    `paths` are these photos, `targets`, of shape (n,), their labels, and `trained`, of shape (n, labels), Keras's
    logits.
    """

    model: Model
    paths: tuple[Path, ...]
    targets: npt.NDArray[np.int64]
    answers: Answers
    trained: npt.NDArray[np.float64]


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
    uncalibrated = Calibration(1.0, (0.0,) * len(record["labels"]), 0.0, -1.0)
    description = describe(run / FINAL / NETWORK_FILE, record, uncalibrated)
    size = description["input"]["width"]
    final = judge(run / FINAL, data, description)
    folds = [judge(run / fold_name(fold), data, description) for fold in range(record["recipe"]["folds"])]
    paths = tuple(path for fold in folds for path in fold.paths)
    targets = np.concatenate([fold.targets for fold in folds])
    answers = Answers(*(np.concatenate(values) for values in zip(*(fold.answers for fold in folds), strict=True)))
    numbers = np.repeat(np.arange(len(folds)), [len(fold.targets) for fold in folds])

    calibration = calibrate(answers, targets)
    description = describe(run / FINAL / NETWORK_FILE, record, calibration)
    description["agreement"] = max(agreement(network, calibration) for network in (*folds, final))
    probabilities, passed = cross_calibrate(answers, targets, numbers)
    description["folds"] = fold_accuracies(probabilities, targets, numbers)
    for seeded in Recipe.of(record["recipe"]).by_seed():
        alone = np.concatenate([np.load(seed_logits_file(run / fold_name(n), seeded.seed)) for n in range(len(folds))])
        probabilities_alone, _ = cross_calibrate(Answers(alone, answers.familiarities), targets, numbers)
        description["seeds"].append(float(np.mean(fold_accuracies(probabilities_alone, targets, numbers))))

    held_out = Split(tuple(record["labels"]), paths, read_photos(paths, size), targets)
    _measure("held_out", data, Evaluation(held_out, probabilities, passed), description, out)
    served = _served(run / FINAL / NETWORK_FILE, description, out)
    served.check()
    if (data / "test").is_dir():
        test = read_split(data / "test", size, held_out.labels)
        _measure("test", data, evaluate(served, test), description, out)
    _write(description, out)

    caught, novelty = {}, {}
    for kind, pictures in unfamiliar_pictures(data, size).items():
        caught[kind] = float(np.mean([served.predict(picture).needs_review for picture in pictures]))
        unknown = [collect_answers(fold.model, pictures) for fold in folds]
        novelty[kind] = separation([fold.answers for fold in folds], unknown, calibration)
    page = card(description, caught, novelty, _read(run / VARIANTS_FILE))
    (out / CARD_FILE).write_text(page, encoding="utf-8")
    return description


def describe(network: Path, record: dict[str, Any], calibration: Calibration) -> dict[str, Any]:
    """The description of a network that has not been measured yet.

    Its version names all that decides an answer, calibration too: records with another version are classified anew.
    """
    content = network.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    size = record["recipe"]["size"]
    decides = json.dumps([sha256, record["labels"], asdict(calibration)])
    return {
        "name": "mobilenet_v2",
        "version": f"mobilenet_v2-{size}-{hashlib.sha256(decides.encode()).hexdigest()[:8]}",
        "labels": record["labels"],
        "input": {"width": size, "height": size, "channels": "RGB", "dtype": "uint8"},
        **asdict(calibration),
        "sha256": sha256,
        "bytes": len(content),
        "agreement": None,
        "folds": [],
        "seeds": [],
        "metrics": {},
        "training": {name: value for name, value in record.items() if name != "labels"},
    }


def fold_accuracies(
    probabilities: npt.NDArray[np.float64], targets: npt.NDArray[np.int64], folds: npt.NDArray[np.int64]
) -> list[float]:
    """Of the photos of each fold, the share that is right; `probabilities` is of shape (n, labels), the rest (n,)."""
    right = probabilities.argmax(axis=1) == targets
    return [float(right[folds == fold].mean()) for fold in np.unique(folds)]


def judge(folder: Path, data: Path, description: dict[str, Any]) -> Judge:
    """Serve a network of the run."""
    paths = answered_photos(folder, data)
    images = read_photos(paths, description["input"]["width"])
    with tempfile.TemporaryDirectory() as directory:
        model = _served(folder / NETWORK_FILE, description, Path(directory))
    answers = collect_answers(model, images)
    labels = description["labels"]
    targets = np.array([labels.index(path.parent.name) for path in paths], np.int64)
    trained = np.load(folder / LOGITS_FILE).astype(np.float64)
    return Judge(model, tuple(paths), targets, answers, trained)


def agreement(judge: Judge, calibration: Calibration) -> float:
    """The largest difference in probability between the served and the trained network; raises if it is not small."""
    trained = Answers(judge.trained, judge.answers.familiarities)
    largest = float(np.abs(calibration.probabilities(judge.answers) - calibration.probabilities(trained)).max())
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


def _served(network: Path, description: dict[str, Any], folder: Path) -> Model:
    shutil.copyfile(network, folder / NETWORK_FILE)
    _write(description, folder)
    return Model.read(folder)


def _write(description: dict[str, Any], folder: Path) -> None:
    (folder / DESCRIPTION_FILE).write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")


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
