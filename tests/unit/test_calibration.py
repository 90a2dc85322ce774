"""Temperature and threshold, fitted on what was held out."""

import numpy as np
import pytest

from training.calibration import calibrate, cross_calibrate, fit_temperature, fit_threshold


def test_the_temperature_makes_labels_likeliest() -> None:
    """Logits that are three times too bold want dividing by three."""
    rng = np.random.default_rng(0)
    honest = rng.normal(0, 2, (20_000, 5))
    probabilities = np.exp(honest) / np.exp(honest).sum(axis=1, keepdims=True)
    targets = np.array([rng.choice(5, p=row) for row in probabilities])

    assert fit_temperature(honest * 3, targets) == pytest.approx(3, rel=0.05)


def test_the_threshold_lets_as_many_through_as_are_right_97_times_in_100() -> None:
    confidences = np.linspace(0.99, 0.5, 200)
    probabilities = np.stack([confidences, 1 - confidences], axis=1)
    targets = np.zeros(200, np.int64)
    targets[100:] = 1  # the lower half is wrong

    threshold = fit_threshold(probabilities, targets)

    passed = confidences >= threshold - 1e-4
    assert (targets[passed] == 0).mean() >= 0.97
    assert passed.sum() == pytest.approx(103, abs=1)


def test_a_model_that_is_never_right_lets_nothing_through() -> None:
    assert fit_threshold(np.array([[0.9, 0.1]]), np.array([1])) == 1.0


def test_a_fold_is_calibrated_by_the_others() -> None:
    """What is odd about a fold does not show in its own calibration: here the answers of the first are all wrong."""
    rng = np.random.default_rng(1)
    targets = rng.integers(0, 3, 300)
    folds = np.repeat([0, 1, 2], 100)
    logits = np.eye(3)[targets] * 4 + rng.normal(0, 1, (300, 3))
    logits[folds == 0] = np.roll(logits[folds == 0], 1, axis=1)

    probabilities, passed = cross_calibrate(logits, targets, folds)

    others = calibrate(logits[folds != 0], targets[folds != 0])
    assert (probabilities[folds == 0] == others.probabilities(logits[folds == 0])).all()
    assert passed[folds == 0].mean() > 0.9
    assert calibrate(logits[folds == 0], targets[folds == 0]).review_threshold == 1
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(300))
