"""Runs a model on many photos, through the code that serves it, and keeps its answers in a file."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from classifier.model import Model
from evaluation.dataset import PhotoList, Split, read_photos
from evaluation.metrics import Metrics, compute_metrics, confusion_matrix

PREDICTIONS_FILE = "predictions.csv"  # in the folder of a model
_COLUMNS = ("sha256", "image", "sender", "fold", "label", "needs_review")
_PROBABILITY = "p:"  # begins the name of the column of a label's probability
_BATCH = 256  # photos that are in memory at a time


class PredictionsError(Exception):
    """A file of predictions cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class NetworkOutputs:
    """A network's raw outputs for n photos: `logits`, of shape (n, labels), and `familiarities`, of shape (n,)."""

    logits: npt.NDArray[np.float64]
    familiarities: npt.NDArray[np.float64]

    def select(self, mask: npt.NDArray[np.bool_]) -> "NetworkOutputs":
        """Return the outputs for the photos that `mask`, of shape (n,), selects."""
        return NetworkOutputs(self.logits[mask], self.familiarities[mask])

    def take(self, indexes: npt.NDArray[np.int64]) -> "NetworkOutputs":
        """Return the outputs for the photos with these indexes."""
        return NetworkOutputs(self.logits[indexes], self.familiarities[indexes])

    @classmethod
    def concatenate(cls, parts: Sequence["NetworkOutputs"]) -> "NetworkOutputs":
        """Join outputs in the order of the parts."""
        return cls(
            np.concatenate([part.logits for part in parts]), np.concatenate([part.familiarities for part in parts])
        )


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A model's predictions for the photos of a split.

    `probabilities` is of shape (n, labels). `passed`, of shape (n,), is true for photos that need no review. `senders`,
    of shape (n,), has each photo's sender, or is None if no table names them.
    """

    split: Split | PhotoList
    probabilities: npt.NDArray[np.float64]
    passed: npt.NDArray[np.bool_]
    senders: npt.NDArray[np.str_] | None = None

    @property
    def predicted(self) -> npt.NDArray[np.int64]:
        """The index of each photo's most probable label, of shape (n,)."""
        predicted: npt.NDArray[np.int64] = self.probabilities.argmax(axis=1)
        return predicted

    @property
    def confidences(self) -> npt.NDArray[np.float64]:
        """The largest probability of each photo, of shape (n,)."""
        confidences: npt.NDArray[np.float64] = self.probabilities.max(axis=1)
        return confidences

    @property
    def correct(self) -> npt.NDArray[np.bool_]:
        """Whether each photo's most probable label is its own, of shape (n,)."""
        correct: npt.NDArray[np.bool_] = self.predicted == self.split.targets
        return correct

    @property
    def confusion(self) -> npt.NDArray[np.int64]:
        """The counts of photos, of shape (labels, labels), as `confusion_matrix` returns them."""
        return confusion_matrix(self.split.targets, self.predicted, len(self.split.labels))

    def metrics(self, mask: npt.NDArray[np.bool_] | slice = slice(None)) -> Metrics:
        """Compute the metrics on all photos, or on those that `mask`, of shape (n,), selects."""
        senders = None if self.senders is None else self.senders[mask]
        return compute_metrics(self.probabilities[mask], self.split.targets[mask], self.passed[mask], senders)


@dataclass(frozen=True, slots=True)
class Predictions:
    """A model's answers to n photos that were held out of its training, as `predictions.csv` has them.

    `hashes` are the SHA-256 of the photos' bytes, `images` their paths relative to the data, `senders` their senders or
    empty texts, `folds` their folds, and `true_labels` their labels. `needs_review` is of shape (n,), and
    `probabilities` of shape (n, labels).
    """

    labels: tuple[str, ...]
    hashes: tuple[str, ...]
    images: tuple[str, ...]
    senders: tuple[str, ...]
    folds: tuple[int, ...]
    true_labels: tuple[str, ...]
    needs_review: npt.NDArray[np.bool_]
    probabilities: npt.NDArray[np.float64]

    @classmethod
    def of(
        cls, evaluation: Evaluation, hashes: Sequence[str], images: Sequence[str], folds: npt.NDArray[np.int64]
    ) -> "Predictions":
        """Return the predictions of an evaluation; `folds`, of shape (n,), has each photo's fold."""
        split, senders = evaluation.split, evaluation.senders
        return cls(
            labels=split.labels,
            hashes=tuple(hashes),
            images=tuple(images),
            senders=("",) * len(split.files) if senders is None else tuple(senders.tolist()),
            folds=tuple(folds.tolist()),
            true_labels=tuple(split.labels[target] for target in split.targets),
            needs_review=~evaluation.passed,
            probabilities=evaluation.probabilities,
        )


def collect_outputs(model: Model, images: npt.NDArray[np.uint8]) -> NetworkOutputs:
    """Return the network's raw outputs for images of shape (n, size, size, 3)."""
    outputs = [model.outputs(image) for image in images]
    return NetworkOutputs(
        np.stack([logits for logits, _ in outputs]), np.array([familiarity for _, familiarity in outputs])
    )


def evaluate(model: Model, split: Split, senders: npt.NDArray[np.str_] | None = None) -> Evaluation:
    """Classify all photos of a split; `senders`, of shape (n,), has each photo's sender, if they are known."""
    return _evaluate(model, split, split.images, senders)


def evaluate_files(model: Model, photos: PhotoList, senders: npt.NDArray[np.str_] | None = None) -> Evaluation:
    """Read and classify all photos of a list, without keeping their pixels. Raise `DatasetError`."""
    parts = [photos.files[start : start + _BATCH] for start in range(0, len(photos.files), _BATCH)]
    evaluations = [_evaluate(model, photos, read_photos(part, model.description.input_size), None) for part in parts]
    return Evaluation(
        photos,
        np.concatenate([evaluation.probabilities for evaluation in evaluations]),
        np.concatenate([evaluation.passed for evaluation in evaluations]),
        senders,
    )


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Write a CSV file with a line for each photo; probabilities have four decimals. Raise `OSError`."""
    found = predictions
    columns = zip(found.hashes, found.images, found.senders, found.folds, found.true_labels, strict=True)
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as lines:
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerow([*_COLUMNS, *(_PROBABILITY + label for label in found.labels)])
        for row, review, scores in zip(columns, found.needs_review, found.probabilities, strict=True):
            writer.writerow([*row, bool(review), *(f"{score:.4f}" for score in scores)])


def read_predictions(path: Path) -> Predictions:
    """Read what `write_predictions` wrote. Raise `PredictionsError`, or `OSError` if there is no such file."""
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            reader = csv.DictReader(lines)
            columns = reader.fieldnames or []
            labels = tuple(name.removeprefix(_PROBABILITY) for name in columns if name.startswith(_PROBABILITY))
            missing = [name for name in _COLUMNS if name not in columns]
            if missing or not labels:
                raise PredictionsError(f"{path} lacks the columns {', '.join(missing or [_PROBABILITY + 'LABEL'])}.")
            return _parse(labels, list(reader))
    except (ValueError, TypeError, csv.Error) as error:  # not UTF-8, or a value that is missing or not a number
        raise PredictionsError(f"{path} is not a file of predictions: {error}.") from error


def _parse(labels: tuple[str, ...], rows: list[dict[str, str]]) -> Predictions:
    scores = [[float(row[_PROBABILITY + label]) for label in labels] for row in rows]
    return Predictions(
        labels=labels,
        hashes=tuple(row["sha256"] for row in rows),
        images=tuple(row["image"] for row in rows),
        senders=tuple(row["sender"] for row in rows),
        folds=tuple(int(row["fold"]) for row in rows),
        true_labels=tuple(row["label"] for row in rows),
        needs_review=np.array([row["needs_review"] == "True" for row in rows], bool),
        probabilities=np.array(scores, np.float64).reshape(len(rows), len(labels)),
    )


def _evaluate(
    model: Model, split: Split | PhotoList, images: npt.NDArray[np.uint8], senders: npt.NDArray[np.str_] | None
) -> Evaluation:
    predictions = [model.predict(image) for image in images]
    return Evaluation(
        split,
        probabilities=np.array([list(prediction.scores.values()) for prediction in predictions]),
        passed=np.array([not prediction.needs_review for prediction in predictions]),
        senders=senders,
    )
