"""The files of a run: what `train` hands to the programs after it. TensorFlow is in the former's process alone.

A run is a folder with its record and one folder for each network: `final`, `fold-1` and so on.
"""

import json
from pathlib import Path

from training.dataset import DatasetError

FINAL = "final"
RECORD_FILE = "record.json"  # what the run is made from
WEIGHTS_FILE = "network.weights.h5"  # the average over the seeds, before anything is made ready for serving
LOGITS_FILE = "logits.npy"  # Keras's own answers for some photos
PHOTOS_FILE = "photos.json"  # these photos' names below the data's folder; written last, so the network is finished
VARIANTS_FILE = "variants.json"  # of `training.variants`


def fold_name(fold: int) -> str:
    """The folder of the network from which the senders of a fold, counted from 0, are held out."""
    return f"fold-{fold + 1}"


def seed_weights_file(folder: Path, seed: int) -> Path:
    """Where a network's folder keeps the weights that training from one seed ended with."""
    return folder / f"seed-{seed}.weights.h5"


def seed_logits_file(folder: Path, seed: int) -> Path:
    """Where it keeps that network's answers, as in LOGITS_FILE; written after the weights."""
    return folder / f"seed-{seed}.npy"


def variant_file(run: Path, size: int, precision: str) -> Path:
    """Where the network for photos of `size` pixels a side and that precision is."""
    return run / "variants" / f"{size}-{precision}.tflite"


def answered_photos(folder: Path, data: Path) -> list[Path]:
    """The photos that a network's folder keeps Keras's answers for, in their order."""
    paths = [data / name for name in json.loads((folder / PHOTOS_FILE).read_text(encoding="utf-8"))]
    for path in paths:
        if not path.is_file():
            raise DatasetError(f"The run was trained on other photos: there is no {path}.")
    return paths
