"""The files of a training run, which `train` writes and the other commands read.

A run is a folder with a record and a folder for each network: `final`, `fold-1`, `fold-2` and so on. This module does
not import TensorFlow, so `variants` and `publish` run without it.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from evaluation.dataset import DatasetError
from training.recipe import Recipe

FINAL = "final"
RECORD_FILE = "record.json"
WEIGHTS_FILE = "network.weights.h5"  # the average over the seeds, before the network is prepared for serving
LOGITS_FILE = "logits.npy"  # the Keras network's logits for its evaluation photos
PHOTOS_FILE = "photos.json"  # the evaluation photos, relative to the data; written last, when the network is complete
VARIANTS_FILE = "variants.json"


@dataclass(frozen=True, slots=True)
class TrainingRecord:
    """What a run was trained on, and how.

    `photos` is their number and `data_sha256` their `fingerprint`. `weights` is the name of the file of initial
    weights. `packages` has the versions of the libraries.
    """

    labels: tuple[str, ...]
    recipe: Recipe
    photos: int
    data_sha256: str
    weights: str
    packages: dict[str, str]


def read_record(run: Path) -> TrainingRecord:
    """Read the record of a run. Raise `OSError` if there is none."""
    values = json.loads((run / RECORD_FILE).read_text(encoding="utf-8"))
    typed = {"labels": tuple(values["labels"]), "recipe": Recipe.from_dict(values["recipe"])}
    return TrainingRecord(**values | typed)


def fold_name(fold: int) -> str:
    """Return the name of the folder of the network that is trained without a fold; folds are counted from 0."""
    return f"fold-{fold + 1}"


def seed_weights_file(folder: Path, seed: int) -> Path:
    """Return the path of the weights of one seed in a network's folder."""
    return folder / f"seed-{seed}.weights.h5"


def seed_logits_file(folder: Path, seed: int) -> Path:
    """Return the path of the logits of one seed, as in LOGITS_FILE; they are written after the weights."""
    return folder / f"seed-{seed}.npy"


def variant_file(run: Path, size: int, precision: str) -> Path:
    """Return the path of the variant that takes photos of `size` pixels a side."""
    return run / "variants" / f"{size}-{precision}.tflite"


def evaluation_photos(folder: Path, data: Path) -> list[Path]:
    """Return the paths of a network's evaluation photos, in the order of its logits. Raise `DatasetError`."""
    paths = [data / name for name in json.loads((folder / PHOTOS_FILE).read_text(encoding="utf-8"))]
    for path in paths:
        if not path.is_file():
            raise DatasetError(f"The run was trained on other photos: there is no {path}.")
    return paths
