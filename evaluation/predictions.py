"""Runs a model on many photos, through the code that serves it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from classifier.model import Model
from evaluation.dataset import Split
from evaluation.metrics import Metrics, compute_metrics


@dataclass(frozen=True, slots=True)
class NetworkOutputs:
    """A network's raw outputs for n photos: `logits`, of shape (n, labels), and `familiarities`, of shape (n,)."""

    logits: npt.NDArray[np.float64]
    familiarities: npt.NDArray[np.float64]

    def select(self, mask: npt.NDArray[np.bool_]) -> "NetworkOutputs":
        """Return the outputs for the photos that `mask`, of shape (n,), selects."""
        return NetworkOutputs(self.logits[mask], self.familiarities[mask])

    @classmethod
    def concatenate(cls, parts: Sequence["NetworkOutputs"]) -> "NetworkOutputs":
        """Join outputs in the order of the parts."""
        return cls(
            np.concatenate([part.logits for part in parts]), np.concatenate([part.familiarities for part in parts])
        )


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A model's predictions for the photos of a split.

    `probabilities` is of shape (n, labels). `passed`, of shape (n,), is true for photos that need no review.
    """

    split: Split
    probabilities: npt.NDArray[np.float64]
    passed: npt.NDArray[np.bool_]

    def metrics(self, mask: npt.NDArray[np.bool_] | slice = slice(None)) -> Metrics:
        """Compute the metrics on all photos, or on those that `mask`, of shape (n,), selects."""
        return compute_metrics(self.probabilities[mask], self.split.targets[mask], self.passed[mask])


def collect_outputs(model: Model, images: npt.NDArray[np.uint8]) -> NetworkOutputs:
    """Return the network's raw outputs for images of shape (n, size, size, 3)."""
    outputs = [model.outputs(image) for image in images]
    return NetworkOutputs(
        np.stack([logits for logits, _ in outputs]), np.array([familiarity for _, familiarity in outputs])
    )


def evaluate(model: Model, split: Split) -> Evaluation:
    """Classify all photos of a split."""
    predictions = [model.predict(image) for image in split.images]
    return Evaluation(
        split,
        probabilities=np.array([list(prediction.scores.values()) for prediction in predictions]),
        passed=np.array([not prediction.needs_review for prediction in predictions]),
    )
