"""A folder of label folders to arrays. Photos are read by the function that serves, so training sees what it will."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from classifier import photos
from classifier.errors import PhotoError


class DatasetError(Exception):
    """The folder is not one that can be trained or evaluated on; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Split:
    """Photos with their labels.

    `images`: uint8, RGB, of shape (n, size, size, 3). `targets`: int64, of shape (n,), indexes into `labels`.
    `names`: for each photo, its path below the split's folder.
    """

    labels: tuple[str, ...]
    names: tuple[str, ...]
    images: npt.NDArray[np.uint8]
    targets: npt.NDArray[np.int64]


def read_split(folder: Path, size: int, labels: tuple[str, ...] | None = None) -> Split:
    """Read `folder/LABEL/*` into squares of `size` pixels.

    The labels are the names of the folders in alphabetical order, and must be `labels` where these are given.
    A file that is not a readable photo is an error: a silent gap in the data would be worse.
    """
    found = label_folders(folder)
    if labels is not None and found != labels:
        raise DatasetError(f"{folder} has the labels {', '.join(found)}; expected {', '.join(labels)}.")
    files = list(_files(folder, found))
    images = np.empty((len(files), size, size, 3), np.uint8)

    def read(index: int) -> None:
        path = files[index][0]
        try:
            images[index] = photos.decode(path.read_bytes(), size, photos.Limits()).pixels
        except PhotoError as error:
            raise DatasetError(f"{path}: {error}") from error

    with ThreadPoolExecutor() as pool:  # Pillow decodes outside of the interpreter lock
        list(pool.map(read, range(len(files))))
    return Split(
        labels=found,
        names=tuple(str(path.relative_to(folder)) for path, _ in files),
        images=images,
        targets=np.array([target for _, target in files], np.int64),
    )


def label_folders(folder: Path) -> tuple[str, ...]:
    """The names of the label folders below `folder`, in alphabetical order."""
    if not folder.is_dir():
        raise DatasetError(f"There is no folder {folder}. Expected one of label folders, such as {folder / 't-shirt'}.")
    found = tuple(sorted(entry.name for entry in folder.iterdir() if entry.is_dir()))
    if len(found) < 2:  # noqa: PLR2004 - one class leaves nothing to tell apart
        raise DatasetError(f"{folder} has {len(found)} label folders; a classifier needs two at least.")
    return found


def _files(folder: Path, labels: tuple[str, ...]) -> Iterator[tuple[Path, int]]:
    for target, label in enumerate(labels):
        files = sorted(path for path in (folder / label).iterdir() if path.is_file() and not path.name.startswith("."))
        if not files:
            raise DatasetError(f"{folder / label} holds no photos.")
        yield from ((path, target) for path in files)
