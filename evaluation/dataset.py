"""Reads folders of label folders into arrays. The serving code decodes the photos, so training gets the same pixels."""

import csv
import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from classifier import photos
from classifier.errors import PhotoError
from classifier.limits import Limits

METADATA_FILE = "senders.csv"
METADATA_COLUMNS = ("image", "sender_id", "kids")


class DatasetError(Exception):
    """The folder cannot be used for training or evaluation; the message says why."""


@dataclass(frozen=True, slots=True)
class Split:
    """Photos with their labels.

    `images`: uint8, RGB, of shape (n, size, size, 3). `targets`: int64, of shape (n,), indexes into `labels`.
    `files`: each photo's path.
    """

    labels: tuple[str, ...]
    files: tuple[Path, ...]
    images: npt.NDArray[np.uint8]
    targets: npt.NDArray[np.int64]


class Examples(NamedTuple):
    """Training examples: `images`, uint8, of shape (n, side, side, 3), and one-hot `targets`, of shape (n, labels)."""

    images: npt.NDArray[np.uint8]
    targets: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class PhotoMetadata:
    """Each photo's sender, and whether it shows children's clothes; both arrays are of shape (n,)."""

    sender_ids: npt.NDArray[np.str_]
    kids: npt.NDArray[np.bool_]


def read_split(folders: Path | Sequence[Path], size: int, labels: tuple[str, ...] | None = None) -> Split:
    """Read `folder/LABEL/*` of each folder into squares of `size` pixels.

    Without `labels`, the labels are the names of the first folder's label folders, in alphabetical order. A folder may
    lack some labels. Raise `DatasetError`, also for a file that is not a readable photo: to skip it would change the
    data without notice.
    """
    folders = (folders,) if isinstance(folders, Path) else folders
    labels = labels or _infer_labels(folders[0])
    files = [file for folder in folders for file in _find_files(folder, labels)]
    paths = tuple(path for path, _ in files)
    targets = np.array([target for _, target in files], np.int64)
    return Split(labels, paths, read_photos(paths, size), targets)


def read_photos(paths: Sequence[Path], size: int) -> npt.NDArray[np.uint8]:
    """Read photos into an RGB array of shape (n, size, size, 3). Raise `DatasetError`."""
    images = np.empty((len(paths), size, size, 3), np.uint8)

    def read(index: int) -> None:
        try:
            images[index] = photos.decode(paths[index].read_bytes(), size, Limits()).pixels
        except PhotoError as error:
            raise DatasetError(f"{paths[index]}: {error}") from error

    with ThreadPoolExecutor() as pool:  # Pillow releases the interpreter lock while it decodes
        list(pool.map(read, range(len(paths))))
    return images


def list_labels(folder: Path) -> tuple[str, ...]:
    """Return the names of the label folders in `folder`, in alphabetical order. Raise `DatasetError`."""
    if not folder.is_dir():
        raise DatasetError(f"There is no folder {folder}. It must contain label folders, such as {folder / 't-shirt'}.")
    labels = tuple(sorted(entry.name for entry in folder.iterdir() if entry.is_dir()))
    if not labels:
        raise DatasetError(f"{folder} has no label folders. It must contain some, such as {folder / 't-shirt'}.")
    return labels


def list_photos(folder: Path) -> list[Path]:
    """Return the files of a folder that are not hidden, in alphabetical order. Raise `DatasetError`."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    if not files:
        raise DatasetError(f"{folder} contains no photos.")
    return files


def read_photo_metadata(data: Path, files: Sequence[Path]) -> PhotoMetadata:
    """Look up the photos in `data/senders.csv` by their file names without extension. Raise `DatasetError`.

    A photo that the table does not have gets a sender of its own, and does not count as showing children's clothes. So
    do all photos if there is no table.
    """
    rows = _read_table(data / METADATA_FILE)
    found = [rows.get(path.stem, {"sender_id": str(path), "kids": "False"}) for path in files]
    return PhotoMetadata(
        sender_ids=np.array([row["sender_id"] for row in found]),
        kids=np.array([row["kids"].lower() == "true" for row in found]),
    )


def fingerprint(data: Path, files: Sequence[Path]) -> str:
    """Return a SHA-256 over the paths relative to `data` and the contents of the files, in any order."""
    lines = sorted(
        f"{path.relative_to(data).as_posix()} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in files
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _infer_labels(folder: Path) -> tuple[str, ...]:
    labels = list_labels(folder)
    if len(labels) < 2:  # noqa: PLR2004 - a classifier distinguishes labels
        raise DatasetError(f"{folder} has one label folder. A classifier needs at least two.")
    return labels


def _find_files(folder: Path, labels: tuple[str, ...]) -> Iterator[tuple[Path, int]]:
    found = list_labels(folder)
    unknown = [label for label in found if label not in labels]
    if unknown:
        raise DatasetError(
            f"{folder} has folders that are not labels: {', '.join(unknown)}. The labels are: {', '.join(labels)}."
        )
    for label in found:
        yield from ((path, labels.index(label)) for path in list_photos(folder / label))


def _read_table(path: Path) -> dict[str, dict[str, str]]:
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8", newline="") as lines:
        reader = csv.DictReader(lines)
        missing = set(METADATA_COLUMNS) - set(reader.fieldnames or ())
        if missing:
            raise DatasetError(f"{path} lacks the columns {', '.join(sorted(missing))}.")
        return {row["image"]: row for row in reader}
