"""Compares scores for telling pictures of what a network does not know from photos of senders it has not seen."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

from training.calibration import Calibration
from training.evaluate import Answers

_KEPT = 0.95  # of the familiar photos; what is caught is told for the threshold that keeps these


def scores(answers: Answers, calibration: Calibration) -> dict[str, npt.NDArray[np.float64]]:
    """By name, of shape (n,): higher is more familiar.

    The largest probability, the energy (Liu et al. 2020), and how near the photo's features are to those of the
    training photos.
    """
    return {
        "largest probability": calibration.probabilities(answers).max(axis=1),
        "energy": np.logaddexp.reduce(calibration.scaled(answers), axis=1),
        "familiarity": answers.familiarities,
    }


def separation(
    familiar: Sequence[Answers], unfamiliar: Sequence[Answers], calibration: Calibration
) -> dict[str, dict[str, float]]:
    """By score: how well it tells pictures that are unfamiliar to some networks from photos that are familiar to them.

    Both are each network's answers; the figures are the means over the networks. `auroc` is the chance that a familiar
    photo has the better score than an unfamiliar picture; `caught` is the share of the unfamiliar ones that miss the
    score which 95 % of the familiar ones reach.
    """
    found: dict[str, list[tuple[float, float]]] = {}
    for known, unknown in zip(familiar, unfamiliar, strict=True):
        unwanted = scores(unknown, calibration)
        for name, wanted in scores(known, calibration).items():
            kind = np.repeat([1, 0], [len(wanted), len(unwanted[name])])
            auroc = roc_auc_score(kind, np.concatenate([wanted, unwanted[name]]))
            caught = (unwanted[name] < np.quantile(wanted, 1 - _KEPT)).mean()
            found.setdefault(name, []).append((float(auroc), float(caught)))
    return {
        name: dict(zip(("auroc", "caught"), np.mean(figures, axis=0).tolist(), strict=True))
        for name, figures in found.items()
    }
