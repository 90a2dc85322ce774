"""Classification metrics, computed from arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from evaluation.intervals import accuracy_interval

RELIABILITY_BINS = 15  # as in Guo et al. 2017
_COVERAGES = (1.0, 0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5)  # of the table of accuracy against coverage


@dataclass(frozen=True, slots=True)
class Metrics:
    """How well a model classifies `n` photos.

    `accuracy_low` and `accuracy_high` are the ends of the 95 % interval of the accuracy. `passed` is the share of the
    photos that need no review, and `passed_accuracy` the accuracy on these, or 1 if there are none. `senders` is the
    number of senders, or None if no table names them.
    """

    n: int
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    macro_f1: float
    calibration_error: float
    log_loss: float
    passed: float
    passed_accuracy: float
    senders: int | None = None


class OodMetrics(NamedTuple):
    """How well a score separates out-of-distribution images from photos: both figures are in [0, 1].

    `detection_rate` is the true negative rate at 95 % true positive rate: the share of the images below the score that
    95 % of the photos reach.
    """

    auroc: float
    detection_rate: float


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """The photos with a confidence in bin `index`: their number, mean confidence and accuracy."""

    index: int
    count: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class LabelScore:
    """How well a model classifies the photos of one label. A score is None if it would divide by zero."""

    label: str
    photos: int
    precision: float | None
    recall: float | None
    f1: float


@dataclass(frozen=True, slots=True)
class SenderAccuracy:
    """The number of a sender's photos, and the accuracy on them."""

    sender: str
    photos: int
    accuracy: float


@dataclass(frozen=True, slots=True)
class CoveragePoint:
    """The accuracy on the photos with at least this confidence; `coverage` is their share of all photos."""

    threshold: float
    coverage: float
    accuracy: float


def compute_metrics(
    probabilities: npt.NDArray[np.float64],
    targets: npt.NDArray[np.int64],
    passed: npt.NDArray[np.bool_],
    senders: npt.NDArray[np.str_] | None = None,
) -> Metrics:
    """Compute all metrics of probabilities of shape (n, labels). The other arrays are of shape (n,).

    `senders` has each photo's sender, if they are known.
    """
    predicted = probabilities.argmax(axis=1)
    correct = predicted == targets
    low, high = accuracy_interval(correct, senders)
    return Metrics(
        n=len(targets),
        accuracy=float(correct.mean()),
        accuracy_low=low,
        accuracy_high=high,
        macro_f1=macro_f1(confusion_matrix(targets, predicted, probabilities.shape[1])),
        calibration_error=expected_calibration_error(probabilities.max(axis=1), correct),
        log_loss=log_loss(probabilities, targets),
        passed=float(passed.mean()),
        passed_accuracy=float(correct[passed].mean()) if passed.any() else 1.0,
        senders=None if senders is None else len(np.unique(senders)),
    )


def confusion_matrix(
    targets: npt.NDArray[np.int64], predicted: npt.NDArray[np.int64], labels: int
) -> npt.NDArray[np.int64]:
    """Count photos in a matrix of shape (labels, labels): a row for each true label, a column for each predicted."""
    counts = np.zeros((labels, labels), np.int64)
    np.add.at(counts, (targets, predicted), 1)
    return counts


def f1_by_label(confusion: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return each label's harmonic mean of precision and recall; 0 for a label that is never true or predicted."""
    true_positives = np.diag(confusion).astype(np.float64)
    scores: npt.NDArray[np.float64] = 2 * true_positives / np.maximum(confusion.sum(axis=0) + confusion.sum(axis=1), 1)
    return scores


def scores_by_label(labels: Sequence[str], confusion: npt.NDArray[np.int64]) -> tuple[LabelScore, ...]:
    """Return the scores of each label; `confusion` is as `confusion_matrix` returns it."""
    counts, predicted, right = confusion.sum(axis=1), confusion.sum(axis=0), np.diag(confusion)
    rows = zip(
        labels, counts.tolist(), predicted.tolist(), right.tolist(), f1_by_label(confusion).tolist(), strict=True
    )
    return tuple(
        LabelScore(label, count, hits / answers if answers else None, hits / count if count else None, f1)
        for label, count, answers, hits, f1 in rows
    )


def macro_f1(confusion: npt.NDArray[np.int64]) -> float:
    """Return the mean F1 of the labels that have photos."""
    occurs = confusion.sum(axis=1) > 0
    return float(f1_by_label(confusion)[occurs].mean())


def accuracy_by_fold(
    probabilities: npt.NDArray[np.float64], targets: npt.NDArray[np.int64], folds: npt.NDArray[np.int64]
) -> tuple[float, ...]:
    """Return the accuracy on each fold's photos; `targets` and `folds`, each photo's fold, are of shape (n,)."""
    correct = probabilities.argmax(axis=1) == targets
    return tuple(float(correct[folds == fold].mean()) for fold in np.unique(folds))


def accuracy_by_sender(correct: npt.NDArray[np.bool_], senders: npt.NDArray[np.str_]) -> tuple[SenderAccuracy, ...]:
    """Return the accuracy for each sender, those with the most photos first. Both arrays are of shape (n,)."""
    names, groups = np.unique(senders, return_inverse=True)
    counts, right = np.bincount(groups), np.bincount(groups, correct)
    order = np.argsort(-counts, kind="stable")
    return tuple(
        SenderAccuracy(str(names[index]), int(counts[index]), float(right[index] / counts[index])) for index in order
    )


def coverage_points(confidences: npt.NDArray[np.float64], correct: npt.NDArray[np.bool_]) -> tuple[CoveragePoint, ...]:
    """Return what thresholds of the confidence give, from one that covers all photos to one that covers half of them.

    Photos with the same confidence are covered together, so the coverage may be larger. Both arrays are of shape (n,).
    """
    ranked = np.sort(confidences)[::-1]
    thresholds = dict.fromkeys(float(ranked[max(1, round(share * len(ranked))) - 1]) for share in _COVERAGES)
    return tuple(
        CoveragePoint(threshold, float(covered.mean()), float(correct[covered].mean()))
        for threshold in thresholds
        for covered in [confidences >= threshold]
    )


def reliability_bins(
    confidences: npt.NDArray[np.float64], correct: npt.NDArray[np.bool_]
) -> tuple[ReliabilityBin, ...]:
    """Group photos into bins of confidence of equal width; empty bins are left out. Both arrays are of shape (n,)."""
    bins = np.minimum((confidences * RELIABILITY_BINS).astype(int), RELIABILITY_BINS - 1)
    return tuple(
        ReliabilityBin(
            int(index), int(members.sum()), float(confidences[members].mean()), float(correct[members].mean())
        )
        for index in np.unique(bins)
        for members in [bins == index]
    )


def expected_calibration_error(confidences: npt.NDArray[np.float64], correct: npt.NDArray[np.bool_]) -> float:
    """Return the mean difference of confidence and accuracy over the bins, weighted by photos (Guo et al. 2017)."""
    bins = reliability_bins(confidences, correct)
    return sum(held.count * abs(held.confidence - held.accuracy) for held in bins) / len(confidences)


def log_loss(probabilities: npt.NDArray[np.float64], targets: npt.NDArray[np.int64]) -> float:
    """Return the mean negative log-likelihood of the true labels, in nats."""
    likelihoods = np.maximum(probabilities[np.arange(len(targets)), targets], 1e-12)  # the logarithm of 0 is infinite
    return float(-np.log(likelihoods).mean())
