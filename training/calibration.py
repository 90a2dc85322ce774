"""From answers for photos of senders that training never saw to a temperature and a threshold for review."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from classifier.model import softmax
from training.evaluate import log_loss

WANTED_PRECISION = 0.97  # of the photos that no person looks at
_TEMPERATURES = np.geomspace(0.2, 5, 400)


@dataclass(frozen=True, slots=True)
class Calibration:
    """What turns logits into probabilities, and the confidence below which a person should look."""

    temperature: float
    review_threshold: float

    def probabilities(self, logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Logits of shape (n, labels) to probabilities of that shape."""
        return softmax(logits / self.temperature)

    def passes(self, probabilities: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        """Which of the photos, of shape (n,), need no review."""
        passed: npt.NDArray[np.bool_] = probabilities.max(axis=1) >= self.review_threshold
        return passed


def calibrate(logits: npt.NDArray[np.float64], targets: npt.NDArray[np.int64]) -> Calibration:
    """Fit temperature and threshold on logits of shape (n, labels) and targets of shape (n,)."""
    temperature = fit_temperature(logits, targets)
    return Calibration(temperature, fit_threshold(softmax(logits / temperature), targets))


def cross_calibrate(
    logits: npt.NDArray[np.float64], targets: npt.NDArray[np.int64], folds: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Probabilities of shape (n, labels) and which photos pass, of shape (n,), each as the other folds calibrate it.

    So no photo is measured with what was fitted on it. `folds`: each photo's fold, of shape (n,).
    """
    probabilities = np.empty_like(logits)
    passed = np.empty(len(logits), bool)
    for fold in np.unique(folds):
        held_out = folds == fold
        calibration = calibrate(logits[~held_out], targets[~held_out])
        probabilities[held_out] = calibration.probabilities(logits[held_out])
        passed[held_out] = calibration.passes(probabilities[held_out])
    return probabilities, passed


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
    enough = np.flatnonzero(precision >= WANTED_PRECISION)
    return round(float(confidences[order][enough[-1]]) if enough.size else 1.0, 4)
