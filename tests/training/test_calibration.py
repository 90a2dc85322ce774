"""Temperature, biases and thresholds, fitted to held-out photos."""

import numpy as np
import pytest

from evaluation.predictions import NetworkOutputs
from training.fit_calibration import calibrate, cross_calibrate, fit_review_threshold, fit_temperature_and_biases


def test_temperature_and_biases_undo_a_known_miscalibration() -> None:
    """The logits are three times too large, and those of the first label too low by one."""
    rng = np.random.default_rng(0)
    true_logits = rng.normal(0, 2, (20_000, 5))
    probabilities = np.exp(true_logits) / np.exp(true_logits).sum(axis=1, keepdims=True)
    targets = np.array([rng.choice(5, p=row) for row in probabilities])

    temperature, biases = fit_temperature_and_biases((true_logits - [1, 0, 0, 0, 0]) * 3, targets)

    assert temperature == pytest.approx(3, rel=0.05)
    assert np.array(biases) - biases[1] == pytest.approx([1, 0, 0, 0, 0], abs=0.1)


def test_a_label_without_photos_gets_a_finite_bias() -> None:
    logits = np.random.default_rng(0).normal(0, 1, (50, 3))

    temperature, biases = fit_temperature_and_biases(logits, np.arange(50) % 2)

    assert np.isfinite([temperature, *biases]).all()
    assert biases[2] < min(biases[:2])


def test_the_review_threshold_passes_as_many_photos_as_97_percent_accuracy_allows() -> None:
    confidences = np.linspace(0.99, 0.5, 200)
    probabilities = np.stack([confidences, 1 - confidences], axis=1)
    targets = np.zeros(200, np.int64)
    targets[100:] = 1  # the predictions with lower confidence are wrong

    threshold = fit_review_threshold(probabilities, targets)

    passed = confidences >= threshold
    assert (targets[passed] == 0).mean() >= 0.97
    assert passed.sum() == pytest.approx(103, abs=1)


def test_a_model_that_is_always_wrong_passes_no_photo() -> None:
    assert fit_review_threshold(np.array([[0.9, 0.1]]), np.array([1])) == 1.0


def test_one_percent_of_the_photos_is_unfamiliar_and_needs_review() -> None:
    """Wrong predictions for these photos do not raise the review threshold."""
    targets = np.zeros(1000, np.int64)
    familiarities = np.linspace(0, 1, 1000)
    logits = np.tile([4.0, 0.0], (1000, 1))
    logits[familiarities < 0.01] = (0.0, 9.0)
    outputs = NetworkOutputs(logits, familiarities)

    calibration = calibrate(outputs, targets)

    assert calibration.familiarity_threshold == pytest.approx(0.01, abs=0.001)
    assert (calibration.passed(outputs) == (familiarities >= calibration.familiarity_threshold)).all()


def test_each_fold_is_calibrated_with_the_other_folds() -> None:
    """Here all predictions for the first fold are wrong, which the calibration of that fold must not show."""
    rng = np.random.default_rng(1)
    targets = rng.integers(0, 3, 300)
    folds = np.repeat([0, 1, 2], 100)
    logits = np.eye(3)[targets] * 4 + rng.normal(0, 1, (300, 3))
    logits[folds == 0] = np.roll(logits[folds == 0], 1, axis=1)
    outputs = NetworkOutputs(logits, rng.uniform(0.5, 1, 300))
    first, others = outputs.select(folds == 0), outputs.select(folds != 0)

    probabilities, passed = cross_calibrate(outputs, targets, folds)

    assert (probabilities[folds == 0] == calibrate(others, targets[folds != 0]).probabilities(first)).all()
    assert passed[folds == 0].mean() > 0.9
    assert calibrate(first, targets[folds == 0]).review_threshold == 1
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(300))
