"""Loads models from their folders, and measures their size and speed."""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from classifier.description import DESCRIPTION_FILE, INT8_NETWORK_FILE, NETWORK_FILE, Description
from classifier.model import Model, find_network

_RUNS = 100  # of each network; the median of fewer varies by more than a tenth
_WARM_UP = 5  # runs that do not count: the first ones are slower


class ModelError(Exception):
    """A folder has no model that works; the message says why."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """The size of a network in bytes, and the median milliseconds that it takes for a photo on one thread."""

    size: int
    milliseconds: float


def load_model(folder: Path) -> Model:
    """Load a model as the function does, and run it once. Raise `ModelError`.

    A network that is not the one that the description means is not run: a damaged one can crash the process.
    """
    for name in (DESCRIPTION_FILE, NETWORK_FILE):
        if not (folder / name).is_file():
            raise ModelError(f"{folder} has no model: there is no file {folder / name}.")
    try:
        description = Description.read(folder)
        _check_file(folder / NETWORK_FILE, description.sha256)
        if (folder / INT8_NETWORK_FILE).exists() or description.int8_sha256:
            _check_file(folder / INT8_NETWORK_FILE, description.int8_sha256)
        model = Model(folder, description)
        model.check()
        _check_scores(model)
    except KeyError as error:
        raise ModelError(f"{folder / DESCRIPTION_FILE} lacks {error}.") from error
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        raise ModelError(
            f"The model in {folder} does not work: {DESCRIPTION_FILE} or {NETWORK_FILE} is damaged ({error})."
        ) from error
    return model


def _check_file(path: Path, sha256: str | None) -> None:
    if hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
        raise ModelError(f"{path} is not the network that {path.with_name(DESCRIPTION_FILE)} describes.")


def measure_footprints(folders: Sequence[Path], models: Sequence[Model]) -> list[Footprint]:
    """Measure models in turns, so that a busy machine slows all of them alike. Raise `OSError`."""
    pixels = [_noise(model) for model in models]
    seconds = np.empty((_WARM_UP + _RUNS, len(models)))
    for run in range(len(seconds)):
        for index, model in enumerate(models):
            start = time.perf_counter()
            model.outputs(pixels[index])
            seconds[run, index] = time.perf_counter() - start
    medians = np.median(seconds[_WARM_UP:], axis=0) * 1000
    return [
        Footprint(find_network(folder).stat().st_size, float(median))
        for folder, median in zip(folders, medians, strict=True)
    ]


def _check_scores(model: Model) -> None:
    scores = model.predict(_noise(model)).scores  # fails if the numbers of labels and of outputs differ
    if not np.isfinite(list(scores.values())).all():
        raise ValueError("Its scores are not finite.")


def _noise(model: Model) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    size = model.description.input_size
    return np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8)
