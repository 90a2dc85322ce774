"""Compares scores that separate out-of-distribution images from photos of held-out senders."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

from evaluation.metrics import OodMetrics
from evaluation.predictions import NetworkOutputs
from training.calibration import Calibration

_TRUE_POSITIVE_RATE = 0.95  # at which the detection rate is reported, as is usual for this task


def compute_scores(outputs: NetworkOutputs, calibration: Calibration) -> dict[str, npt.NDArray[np.float64]]:
    """Return each score by name, of shape (n,); a higher score means more like the training photos.

    "energy" is the negative free energy of Liu et al. 2020.
    """
    return {
        "largest probability": calibration.probabilities(outputs).max(axis=1),
        "energy": np.logaddexp.reduce(calibration.scaled_logits(outputs), axis=1),
        "familiarity": outputs.familiarities,
    }


def compare_scores(
    photos: Sequence[NetworkOutputs], ood_images: Sequence[NetworkOutputs], calibration: Calibration
) -> dict[str, OodMetrics]:
    """Return the metrics of each score by name, as means over the networks.

    `photos` and `ood_images` have each network's outputs: for photos of the senders held out of it, and for
    out-of-distribution images.
    """
    by_network = [
        _compare(compute_scores(known, calibration), compute_scores(unknown, calibration))
        for known, unknown in zip(photos, ood_images, strict=True)
    ]
    return {
        name: OodMetrics(*np.mean([metrics[name] for metrics in by_network], axis=0).tolist()) for name in by_network[0]
    }


def _compare(
    photos: dict[str, npt.NDArray[np.float64]], ood_images: dict[str, npt.NDArray[np.float64]]
) -> dict[str, OodMetrics]:
    return {name: separation(photos[name], ood_images[name]) for name in photos}


def separation(photo_scores: npt.NDArray[np.float64], ood_scores: npt.NDArray[np.float64]) -> OodMetrics:
    """Compute how well a score separates the images from the photos; both arrays are one-dimensional."""
    is_photo = np.repeat([1, 0], [len(photo_scores), len(ood_scores)])
    auroc = roc_auc_score(is_photo, np.concatenate([photo_scores, ood_scores]))
    threshold = np.quantile(photo_scores, 1 - _TRUE_POSITIVE_RATE)
    return OodMetrics(float(auroc), float((ood_scores < threshold).mean()))
