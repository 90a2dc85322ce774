"""The held-out results of the two networks of a run, the linear probe and the fine-tuned one, and which is better."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from evaluation.predictions import NetworkOutputs
from training.fit_calibration import cross_calibrate
from training.run import Fit, FitOutputs, TrainingRecord, network_names, outputs_file


@dataclass(frozen=True, slots=True)
class HeldOut:
    """The outputs for the photos of all folds, from the networks that were not trained on them.

    `folds` has the outputs of each fold. `indexes` are those of the photos among the photos of the run, `targets` their
    labels, and `fold_of_photo` their folds, all of shape (n,). `probabilities`, of shape (n, labels), and `passed`, of
    shape (n,), are from calibrations that were fitted to the other folds.
    """

    folds: tuple[FitOutputs, ...]
    outputs: NetworkOutputs
    indexes: npt.NDArray[np.int64]
    targets: npt.NDArray[np.int64]
    fold_of_photo: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float64]
    passed: npt.NDArray[np.bool_]

    @property
    def accuracy(self) -> float:
        """The share of the photos with the right label."""
        return float((self.probabilities.argmax(axis=1) == self.targets).mean())


def read_held_out(run: Path, record: TrainingRecord, targets: npt.NDArray[np.int64], fit: Fit) -> HeldOut:
    """Read the outputs of all folds; `targets` has the labels of all photos of the run. Raise `RunError`."""
    folds = tuple(FitOutputs.load(outputs_file(run / name, fit)) for name in network_names(record.recipe.folds)[:-1])
    outputs = NetworkOutputs.concatenate([fold.photos for fold in folds])
    indexes = np.concatenate([fold.indexes for fold in folds])
    fold_of_photo = np.repeat(np.arange(len(folds)), [len(fold.indexes) for fold in folds])
    probabilities, passed = cross_calibrate(outputs, targets[indexes], fold_of_photo)
    return HeldOut(folds, outputs, indexes, targets[indexes], fold_of_photo, probabilities, passed)


def read_fits(run: Path, record: TrainingRecord, targets: npt.NDArray[np.int64]) -> dict[Fit, HeldOut]:
    """Read the held-out results of the probe and, if there is one, of the fine-tuned network. Raise `RunError`."""
    fits = [Fit.PROBE, Fit.TUNED] if record.recipe.phases else [Fit.PROBE]
    return {fit: read_held_out(run, record, targets, fit) for fit in fits}


def choose_fit(fits: dict[Fit, HeldOut]) -> Fit:
    """Return the fit with the highest accuracy on held-out photos."""
    return max(fits, key=lambda fit: fits[fit].accuracy)
