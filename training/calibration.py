"""From answers for photos of senders that training never saw to calibrated probabilities and what needs review."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from classifier.model import softmax
from training.evaluate import Answers, log_loss

WANTED_PRECISION = 0.97  # of the photos that no person looks at
_FITTED_PRECISION = 0.975  # on the photos fitted to: on those of other senders it is a little less
WANTED_FAMILIAR = 0.99  # of the photos of what the model knows
_LEAST_SHARPNESS = 0.01  # a network that knows nothing would have none, and an infinite temperature
_BIAS_PENALTY = 1e-3  # on the squares: without it, the bias of a label that no photo has would be infinite


@dataclass(frozen=True, slots=True)
class Calibration:
    """What turns logits into probabilities, and the confidence and familiarity below which a person should look.

    `biases` has one value for each label.
    """

    temperature: float
    biases: tuple[float, ...]
    review_threshold: float
    familiarity_threshold: float

    def probabilities(self, answers: Answers) -> npt.NDArray[np.float64]:
        """Of shape (n, labels)."""
        return softmax(self.scaled(answers))

    def scaled(self, answers: Answers) -> npt.NDArray[np.float64]:
        """Calibrated logits, of shape (n, labels)."""
        logits: npt.NDArray[np.float64] = answers.logits / self.temperature + self.biases
        return logits

    def passed(self, answers: Answers) -> npt.NDArray[np.bool_]:
        """Which of the photos, of shape (n,), need no review."""
        confidences = self.probabilities(answers).max(axis=1)
        familiar = answers.familiarities >= self.familiarity_threshold
        passed: npt.NDArray[np.bool_] = familiar & (confidences >= self.review_threshold)
        return passed


def calibrate(answers: Answers, targets: npt.NDArray[np.int64]) -> Calibration:
    """Fit all to answers for photos of senders that the networks have not seen; `targets` is of shape (n,)."""
    temperature, biases = fit_scaling(answers.logits, targets)
    familiarity_threshold = _rounded_down(float(np.quantile(answers.familiarities, 1 - WANTED_FAMILIAR)))
    familiar = answers.familiarities >= familiarity_threshold
    threshold = fit_threshold(softmax(answers.logits[familiar] / temperature + biases), targets[familiar])
    return Calibration(temperature, biases, threshold, familiarity_threshold)


def cross_calibrate(
    answers: Answers, targets: npt.NDArray[np.int64], folds: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Probabilities of shape (n, labels) and which photos passed, of shape (n,), each as the other folds calibrate it.

    So no photo is measured with what was fitted on it. `folds`: each photo's fold, of shape (n,).
    """
    probabilities = np.empty_like(answers.logits)
    passed = np.empty(len(targets), bool)
    for fold in np.unique(folds):
        held_out = folds == fold
        ours, others = (Answers(*(values[chosen] for values in answers)) for chosen in (held_out, ~held_out))
        calibration = calibrate(others, targets[~held_out])
        probabilities[held_out] = calibration.probabilities(ours)
        passed[held_out] = calibration.passed(ours)
    return probabilities, passed


def fit_scaling(logits: npt.NDArray[np.float64], targets: npt.NDArray[np.int64]) -> tuple[float, tuple[float, ...]]:
    """The temperature and each label's bias under which the labels are likeliest (Alexandari et al. 2020).

    The biases bring back how frequent the labels are, which training on balanced labels leaves out.
    """

    def loss(parameters: npt.NDArray[np.float64]) -> float:
        sharpness, biases = parameters[0], parameters[1:]
        return log_loss(softmax(logits * sharpness + biases), targets) + _BIAS_PENALTY * float((biases**2).sum())

    bounds = [(_LEAST_SHARPNESS, None), *[(None, None)] * logits.shape[1]]
    found = minimize(loss, np.array([1.0, *[0.0] * logits.shape[1]]), method="L-BFGS-B", bounds=bounds).x
    return round(1 / float(found[0]), 4), tuple(round(float(bias), 4) for bias in found[1:])


def fit_threshold(probabilities: npt.NDArray[np.float64], targets: npt.NDArray[np.int64]) -> float:
    """The lowest confidence from which on photos are right often enough: as few as may be then need review."""
    confidences = probabilities.max(axis=1)
    order = np.argsort(-confidences)
    right = (probabilities.argmax(axis=1) == targets)[order]
    precision = np.cumsum(right) / np.arange(1, len(right) + 1)
    enough = np.flatnonzero(precision >= _FITTED_PRECISION)
    return _rounded_down(float(confidences[order][enough[-1]])) if enough.size else 1.0


def _rounded_down(threshold: float) -> float:
    return math.floor(threshold * 10_000) / 10_000  # what was just enough still is
