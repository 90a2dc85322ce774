"""How well the model in a folder does on a folder of label folders, measured through the code that serves it."""

import argparse
import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from classifier.model import Model
from training.dataset import DatasetError, Split, read_split

_Z95 = 1.959964  # the normal distribution's 97.5 % point, for a two-sided 95 % interval
BINS = 15  # of the calibration error; Guo et al. 2017 use as many


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a model said of photos: `probabilities` of shape (n, labels), and which `passed` without review, (n,)."""

    split: Split
    probabilities: npt.NDArray[np.float64]
    passed: npt.NDArray[np.bool_]

    def figures(self) -> dict[str, float]:
        """As `measure` gives them."""
        return measure(self.probabilities, self.split.targets, self.passed)


class Answers(NamedTuple):
    """What a network says of photos: `logits`, of shape (n, labels), and `familiarities`, of shape (n,)."""

    logits: npt.NDArray[np.float64]
    familiarities: npt.NDArray[np.float64]


def collect_answers(model: Model, images: npt.NDArray[np.uint8]) -> Answers:
    """The served network's raw outputs for images of shape (n, size, size, 3)."""
    outputs = [model.outputs(image) for image in images]
    return Answers(np.stack([logits for logits, _ in outputs]), np.array([familiarity for _, familiarity in outputs]))


def evaluate(model: Model, split: Split) -> Evaluation:
    """Have the model classify all photos, as it does in service."""
    predictions = [model.predict(image) for image in split.images]
    return Evaluation(
        split,
        probabilities=np.array([list(prediction.scores.values()) for prediction in predictions]),
        passed=np.array([not prediction.needs_review for prediction in predictions]),
    )


def measure(
    probabilities: npt.NDArray[np.float64], targets: npt.NDArray[np.int64], passed: npt.NDArray[np.bool_]
) -> dict[str, float]:
    """Accuracy with its 95 % interval, macro-averaged F1, expected calibration error, negative log-likelihood.

    And of the photos that `passed` without a person's look: their share, and how many of them are right (1 where none
    passed). `probabilities` is of shape (n, labels), `targets` and `passed` of shape (n,).
    """
    predicted = probabilities.argmax(axis=1)
    right = predicted == targets
    low, high = wilson_interval(int(right.sum()), len(targets))
    confusion = confusion_matrix(predicted, targets, probabilities.shape[1])
    met = confusion.sum(axis=0) + confusion.sum(axis=1) > 0  # a label that nothing has and nothing is taken for is none
    return {
        "n": len(targets),
        "accuracy": float(right.mean()),
        "accuracy_low": low,
        "accuracy_high": high,
        "macro_f1": float(f1_by_label(confusion)[met].mean()),
        "calibration_error": expected_calibration_error(probabilities.max(axis=1), right),
        "log_loss": log_loss(probabilities, targets),
        "passed": float(passed.mean()),
        "passed_accuracy": float(right[passed].mean()) if passed.any() else 1.0,
    }


def wilson_interval(right: int, n: int) -> tuple[float, float]:
    """The 95 % score interval of a proportion (Wilson 1927): unlike the normal one it stays within 0 and 1."""
    share = right / n
    centre = (share + _Z95**2 / (2 * n)) / (1 + _Z95**2 / n)
    half = _Z95 * math.sqrt(share * (1 - share) / n + _Z95**2 / (4 * n * n)) / (1 + _Z95**2 / n)
    return max(0.0, centre - half), min(1.0, centre + half)


def confusion_matrix(
    predicted: npt.NDArray[np.int64], targets: npt.NDArray[np.int64], labels: int
) -> npt.NDArray[np.int64]:
    """Counts, of shape (labels, labels): a row for each true label, a column for each predicted one."""
    counts = np.zeros((labels, labels), np.int64)
    np.add.at(counts, (targets, predicted), 1)
    return counts


def f1_by_label(confusion: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """The harmonic mean of precision and recall for each label; 0 for one that is neither there nor predicted."""
    hits = np.diag(confusion).astype(np.float64)
    scores: npt.NDArray[np.float64] = 2 * hits / np.maximum(confusion.sum(axis=0) + confusion.sum(axis=1), 1)
    return scores


def reliability(
    confidences: npt.NDArray[np.float64], right: npt.NDArray[np.bool_]
) -> dict[int, tuple[int, float, float]]:
    """For each of the 15 bins of confidence that holds any photo: photos, mean confidence, accuracy."""
    bins = np.minimum((confidences * BINS).astype(int), BINS - 1)
    return {
        int(index): (int(held.sum()), float(confidences[held].mean()), float(right[held].mean()))
        for index in np.unique(bins)
        for held in [bins == index]
    }


def expected_calibration_error(confidences: npt.NDArray[np.float64], right: npt.NDArray[np.bool_]) -> float:
    """How far confidence and accuracy are apart: the mean over bins of equal width, by photos (Guo et al. 2017)."""
    bins = reliability(confidences, right).values()
    return sum(count * abs(confidence - accuracy) for count, confidence, accuracy in bins) / len(confidences)


def log_loss(probabilities: npt.NDArray[np.float64], targets: npt.NDArray[np.int64]) -> float:
    """The mean negative log-likelihood of the true labels, in nats."""
    return float(-np.log(np.maximum(probabilities[np.arange(len(targets)), targets], 1e-12)).mean())


def main() -> int:
    """Print the figures of `--model` on `--data` as JSON."""
    parser = argparse.ArgumentParser(prog="python -m training.evaluate", description=__doc__)
    parser.add_argument("--model", type=Path, default=Path("model"), help="folder of the model (default: model)")
    parser.add_argument("--data", type=Path, required=True, help="folder of label folders")
    parser.add_argument("--report", type=Path, help="folder to write a page with plots to")
    arguments = parser.parse_args()
    try:
        model = Model.read(arguments.model)
        split = read_split(arguments.data, model.description.input_size, model.description.labels)
    except (DatasetError, OSError) as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return 1
    evaluation = evaluate(model, split)
    print(json.dumps(evaluation.figures(), indent=2))
    if arguments.report:
        from training.report import write_report  # noqa: PLC0415 - Matplotlib, which figures alone do without

        write_report(arguments.report, f"{model.description.version} on {arguments.data.name}", evaluation)
    return 0


if __name__ == "__main__":
    sys.exit(main())
