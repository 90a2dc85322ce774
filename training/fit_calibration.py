"""Fits a calibration to a network's outputs for photos of senders that it was not trained on."""

import math

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from classifier.model import softmax
from evaluation.metrics import log_loss
from evaluation.predictions import NetworkOutputs
from training.calibration import TARGET_FAMILIAR_SHARE, Calibration

_FITTED_ACCURACY = 0.975  # more than TARGET_ACCURACY: on photos that were not fitted to it is a little lower
_MIN_INVERSE_TEMPERATURE = 0.01  # an untrained network would get 0, which is an infinite temperature
_BIAS_PENALTY = 1e-3  # times the squared biases: without it, the bias of a label without photos would be infinite


def calibrate(outputs: NetworkOutputs, targets: npt.NDArray[np.int64]) -> Calibration:
    """Fit a calibration to the outputs for n photos; `targets` is of shape (n,)."""
    temperature, biases = fit_temperature_and_biases(outputs.logits, targets)
    familiarity_threshold = _round_down(float(np.quantile(outputs.familiarities, 1 - TARGET_FAMILIAR_SHARE)))
    familiar = outputs.familiarities >= familiarity_threshold
    probabilities = softmax(outputs.logits[familiar] / temperature + biases)
    review_threshold = fit_review_threshold(probabilities, targets[familiar])
    return Calibration(temperature, biases, review_threshold, familiarity_threshold)


def cross_calibrate(
    outputs: NetworkOutputs, targets: npt.NDArray[np.int64], folds: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Calibrate each fold's outputs with a calibration that is fitted to the other folds.

    `folds`, of shape (n,), has each photo's fold. Return the probabilities, of shape (n, labels), and an array of
    shape (n,) that is true for photos that need no review.
    """
    probabilities = np.empty_like(outputs.logits)
    passed = np.empty(len(targets), bool)
    for fold in np.unique(folds):
        held_out = folds == fold
        calibration = calibrate(outputs.select(~held_out), targets[~held_out])
        probabilities[held_out] = calibration.probabilities(outputs.select(held_out))
        passed[held_out] = calibration.passed(outputs.select(held_out))
    return probabilities, passed


def fit_temperature_and_biases(
    logits: npt.NDArray[np.float64], targets: npt.NDArray[np.int64]
) -> tuple[float, tuple[float, ...]]:
    """Return the temperature and the biases with the lowest log-loss (Alexandari et al. 2020).

    The biases restore the labels' frequencies, which training with a class-balanced loss removes.
    """

    def loss(parameters: npt.NDArray[np.float64]) -> float:
        inverse_temperature, biases = parameters[0], parameters[1:]
        penalty = _BIAS_PENALTY * float((biases**2).sum())
        return log_loss(softmax(logits * inverse_temperature + biases), targets) + penalty

    start = np.array([1.0, *[0.0] * logits.shape[1]])
    bounds = [(_MIN_INVERSE_TEMPERATURE, None), *[(None, None)] * logits.shape[1]]
    inverse_temperature, *biases = minimize(loss, start, method="L-BFGS-B", bounds=bounds).x
    return round(1 / float(inverse_temperature), 4), tuple(round(float(bias), 4) for bias in biases)


def fit_review_threshold(probabilities: npt.NDArray[np.float64], targets: npt.NDArray[np.int64]) -> float:
    """Return the lowest confidence threshold with the wanted accuracy above it, or 1 if there is none."""
    confidences = probabilities.max(axis=1)
    order = np.argsort(-confidences)
    correct = (probabilities.argmax(axis=1) == targets)[order]
    precision = np.cumsum(correct) / np.arange(1, len(correct) + 1)
    sufficient = np.flatnonzero(precision >= _FITTED_ACCURACY)
    return _round_down(float(confidences[order][sufficient[-1]])) if sufficient.size else 1.0


def _round_down(threshold: float) -> float:
    return math.floor(threshold * 10_000) / 10_000  # down, so that the photo at the threshold still reaches it
