"""Turns a network's raw outputs into calibrated probabilities, and decides which photos need review."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from classifier.model import calibrate, needs_review, softmax
from evaluation.predictions import NetworkOutputs

TARGET_ACCURACY = 0.97  # the accuracy on photos that need no review
TARGET_FAMILIAR_SHARE = 0.99  # the share of in-distribution photos that reach the familiarity threshold


@dataclass(frozen=True, slots=True)
class Calibration:
    """Bias-corrected temperature scaling (Alexandari et al. 2020), and the thresholds for review.

    `biases` has one value for each label. A photo needs review if its confidence or its familiarity is below the
    threshold.
    """

    temperature: float
    biases: tuple[float, ...]
    review_threshold: float
    familiarity_threshold: float

    def scaled_logits(self, outputs: NetworkOutputs) -> npt.NDArray[np.float64]:
        """Return the calibrated logits, of shape (n, labels)."""
        return calibrate(outputs.logits, self.temperature, self.biases)

    def probabilities(self, outputs: NetworkOutputs) -> npt.NDArray[np.float64]:
        """Return the calibrated probabilities, of shape (n, labels)."""
        return softmax(self.scaled_logits(outputs))

    def passed(self, outputs: NetworkOutputs) -> npt.NDArray[np.bool_]:
        """Return an array of shape (n,) that is true for photos that need no review."""
        confidences = self.probabilities(outputs).max(axis=1)
        return ~needs_review(confidences, outputs.familiarities, self.review_threshold, self.familiarity_threshold)
