"""The files of a training run, which `train` writes and the other commands read.

A run is a folder with a record and a folder for each network: `final`, `fold-1`, `fold-2` and so on. This module does
not import Keras, so `publish` runs without it.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from evaluation.predictions import NetworkOutputs
from training.recipe import Recipe

FINAL = "final"
RECORD_FILE = "record.json"


class Fit(StrEnum):
    """The two networks that are fitted to the same photos."""

    PROBE = "probe"  # the pretrained trunk with a new head
    TUNED = "tuned"  # the fine-tuned network


class RunError(Exception):
    """The run's folder cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class TrainingRecord:
    """What a run was trained on, and how.

    `photos` is their number and `data_sha256` their `fingerprint`. `weights` says where the initial weights come from.
    `packages` has the versions of the libraries, and `backend` the name of Keras's.
    """

    labels: tuple[str, ...]
    recipe: Recipe
    photos: int
    data_sha256: str
    weights: str
    backend: str
    packages: dict[str, str]

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "TrainingRecord":
        """Make a record from what `dataclasses.asdict` and JSON made of one."""
        typed = {"labels": tuple(values["labels"]), "recipe": Recipe.from_dict(values["recipe"])}
        return cls(**values | typed)


def write_record(run: Path, record: TrainingRecord) -> None:
    """Write the record into the run's folder."""
    run.mkdir(parents=True, exist_ok=True)
    (run / RECORD_FILE).write_text(json.dumps(asdict(record), indent=2) + "\n", encoding="utf-8")


def read_record(run: Path) -> TrainingRecord:
    """Read the record of a run. Raise `RunError` if there is none."""
    try:
        return TrainingRecord.from_dict(json.loads((run / RECORD_FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise RunError(f"{run} is not the folder of a training run: {error}") from error


def run_name(recipe: Recipe, data_sha256: str, weights: str) -> str:
    """Return a name that changes with the recipe, the photos and the initial weights.

    So a run with other settings gets another folder, and an interrupted one finds its own again.
    """
    content = json.dumps([recipe.to_dict(), data_sha256, weights])
    return hashlib.sha256(content.encode()).hexdigest()[:8]


def network_names(folds: int) -> list[str]:
    """Return the names of the networks of a run; the one to ship is the last."""
    return [*(f"fold-{fold + 1}" for fold in range(folds)), FINAL]


@dataclass(frozen=True, slots=True)
class FitOutputs:
    """A network's outputs for its evaluation photos, and by kind for images of nothing that it knows.

    `indexes`, of shape (n,), are those of the evaluation photos among the photos of the run.
    """

    indexes: npt.NDArray[np.int64]
    photos: NetworkOutputs
    unknown: dict[str, NetworkOutputs]

    def save(self, path: Path) -> None:
        """Write them into a file, at once or not at all."""
        arrays: dict[str, npt.NDArray[np.float64]] = {}
        for kind, outputs in {"": self.photos, **self.unknown}.items():
            arrays |= {f"{kind}|logits": outputs.logits, f"{kind}|familiarities": outputs.familiarities}
        with written_at_once(path) as part:
            np.savez(part, indexes=self.indexes, **arrays)

    @classmethod
    def load(cls, path: Path) -> "FitOutputs":
        """Read what `save` wrote. Raise `RunError` if there is no such file."""
        if not path.exists():
            raise RunError(f"The training has not ended: there is no {path}. Start it again to continue.")
        with np.load(path) as arrays:
            kinds = sorted({name.split("|")[0] for name in arrays if "|" in name})
            outputs = {
                kind: NetworkOutputs(
                    arrays[f"{kind}|logits"].astype(np.float64), arrays[f"{kind}|familiarities"].astype(np.float64)
                )
                for kind in kinds
            }
            return cls(arrays["indexes"], outputs.pop(""), outputs)


@contextmanager
def written_at_once(path: Path) -> Iterator[Path]:
    """Yield another path to write to, and put that file in the place of `path` if there was no error.

    So a full disk or a killed process leaves no half of a file that the next start would take for a whole one.
    """
    part = path.with_name(f"part-{path.name}")
    yield part
    part.replace(path)


def outputs_file(folder: Path, fit: Fit) -> Path:
    """Return the path of the outputs in a network's folder. They are written last, when the network is complete."""
    return folder / f"{fit}.npz"


def served_file(folder: Path, fit: Fit) -> Path:
    """Return the path of the network to serve, in the folder of the network to ship."""
    return folder / f"{fit}-served.npz"


def converted_file(folder: Path, fit: Fit) -> Path:
    """Return the path of the converted network, in the folder of the network to ship."""
    return folder / f"{fit}.tflite"


def int8_file(folder: Path, fit: Fit) -> Path:
    """Return the path of the int8 version of the converted network.

    The file of the same name that ends with `.json` has the share of photos to which both give the same label.
    """
    return folder / f"{fit}-int8.tflite"


def weights_file(folder: Path, role: str, seed: int) -> Path:
    """Return the path of the fine-tuned weights of one seed; the role is that of a teacher or of the student."""
    return folder / f"{role}-seed-{seed}.weights.h5"
