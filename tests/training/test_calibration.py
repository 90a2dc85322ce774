"""Temperature and threshold, fitted on what was held out."""

import numpy as np
import pytest

from training.calibration import calibrate, cross_calibrate, fit_scaling, fit_threshold
from training.evaluate import Answers


def test_temperature_and_biases_make_labels_likeliest() -> None:
    """Logits that are three times too bold want dividing by three, and those of one label are a whole one too low."""
    rng = np.random.default_rng(0)
    honest = rng.normal(0, 2, (20_000, 5))
    probabilities = np.exp(honest) / np.exp(honest).sum(axis=1, keepdims=True)
    targets = np.array([rng.choice(5, p=row) for row in probabilities])

    temperature, biases = fit_scaling((honest - [1, 0, 0, 0, 0]) * 3, targets)

    assert temperature == pytest.approx(3, rel=0.05)
    assert np.array(biases) - biases[1] == pytest.approx([1, 0, 0, 0, 0], abs=0.1)


def test_a_label_that_no_photo_has_is_calibrated_too() -> None:
    logits = np.random.default_rng(0).normal(0, 1, (50, 3))

    temperature, biases = fit_scaling(logits, np.arange(50) % 2)

    assert np.isfinite([temperature, *biases]).all()
    assert biases[2] < min(biases[:2])


def test_the_threshold_lets_as_many_through_as_are_right_97_times_in_100() -> None:
    confidences = np.linspace(0.99, 0.5, 200)
    probabilities = np.stack([confidences, 1 - confidences], axis=1)
    targets = np.zeros(200, np.int64)
    targets[100:] = 1  # the lower half is wrong

    threshold = fit_threshold(probabilities, targets)

    passed = confidences >= threshold
    assert (targets[passed] == 0).mean() >= 0.97
    assert passed.sum() == pytest.approx(103, abs=1)


def test_a_model_that_is_never_right_lets_nothing_through() -> None:
    assert fit_threshold(np.array([[0.9, 0.1]]), np.array([1])) == 1.0


def test_a_hundredth_of_the_photos_is_unfamiliar_and_never_passes() -> None:
    """And what is wrong with these does not count against the confidence of the others."""
    targets = np.zeros(1000, np.int64)
    familiarities = np.linspace(0, 1, 1000)
    logits = np.tile([4.0, 0.0], (1000, 1))
    logits[familiarities < 0.01] = (0.0, 9.0)
    answers = Answers(logits, familiarities)

    calibration = calibrate(answers, targets)

    assert calibration.familiarity_threshold == pytest.approx(0.01, abs=0.001)
    assert (calibration.passed(answers) == (familiarities >= calibration.familiarity_threshold)).all()


def test_a_fold_is_calibrated_by_the_others() -> None:
    """What is odd about a fold does not show in its own calibration: here the answers of the first are all wrong."""
    rng = np.random.default_rng(1)
    targets = rng.integers(0, 3, 300)
    folds = np.repeat([0, 1, 2], 100)
    logits = np.eye(3)[targets] * 4 + rng.normal(0, 1, (300, 3))
    logits[folds == 0] = np.roll(logits[folds == 0], 1, axis=1)
    answers = Answers(logits, rng.uniform(0.5, 1, 300))
    first, others = (Answers(*(values[chosen] for values in answers)) for chosen in (folds == 0, folds != 0))

    probabilities, passed = cross_calibrate(answers, targets, folds)

    assert (probabilities[folds == 0] == calibrate(others, targets[folds != 0]).probabilities(first)).all()
    assert passed[folds == 0].mean() > 0.9
    assert calibrate(first, targets[folds == 0]).review_threshold == 1
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(300))
