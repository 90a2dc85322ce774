"""Folders of label folders to arrays. Photos are read by the function that serves, so training sees what it will."""

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

SENDERS_FILE = "senders.csv"


class DatasetError(Exception):
    """The folder is not one that can be trained or evaluated on; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Split:
    """Photos with their labels.

    `images`: uint8, RGB, of shape (n, size, size, 3). `targets`: int64, of shape (n,), indexes into `labels`.
    `files`: where each photo was read.
    """

    labels: tuple[str, ...]
    files: tuple[Path, ...]
    images: npt.NDArray[np.uint8]
    targets: npt.NDArray[np.int64]


class Examples(NamedTuple):
    """What a network learns from: `images`, uint8, of shape (n, side, side, 3), and one-hot `targets`, (n, labels)."""

    images: npt.NDArray[np.uint8]
    targets: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Provenance:
    """Whose photos these are. `senders`: of shape (n,). `kids`: whether it shows children's clothes, of shape (n,)."""

    senders: npt.NDArray[np.str_]
    kids: npt.NDArray[np.bool_]


def read_split(folders: Path | Sequence[Path], size: int, labels: tuple[str, ...] | None = None) -> Split:
    """Read `folder/LABEL/*` of each of the folders into squares of `size` pixels.

    The labels are `labels`, or where none are given the names of the first one's folders in alphabetical order; a
    folder may lack some. A file that is not a readable photo is an error: a silent gap in the data would be worse.
    """
    folders = (folders,) if isinstance(folders, Path) else folders
    if labels is None:
        labels = label_folders(folders[0])
        if len(labels) < 2:  # noqa: PLR2004 - one class leaves nothing to tell apart
            raise DatasetError(f"{folders[0]} has one label folder; a classifier needs two at least.")
    files = [file for folder in folders for file in _files(folder, labels)]
    return Split(
        labels=labels,
        files=tuple(path for path, _ in files),
        images=read_photos([path for path, _ in files], size),
        targets=np.array([target for _, target in files], np.int64),
    )


def read_photos(paths: Sequence[Path], size: int) -> npt.NDArray[np.uint8]:
    """Read photos into squares of `size` RGB pixels, of shape (n, size, size, 3)."""
    images = np.empty((len(paths), size, size, 3), np.uint8)

    def read(index: int) -> None:
        try:
            images[index] = photos.decode(paths[index].read_bytes(), size, Limits()).pixels
        except PhotoError as error:
            raise DatasetError(f"{paths[index]}: {error}") from error

    with ThreadPoolExecutor() as pool:  # Pillow decodes outside of the interpreter lock
        list(pool.map(read, range(len(paths))))
    return images


def label_folders(folder: Path) -> tuple[str, ...]:
    """The names of the label folders below `folder`, in alphabetical order."""
    if not folder.is_dir():
        raise DatasetError(f"There is no folder {folder}. Expected one of label folders, such as {folder / 't-shirt'}.")
    found = tuple(sorted(entry.name for entry in folder.iterdir() if entry.is_dir()))
    if not found:
        raise DatasetError(f"{folder} has no label folders. Expected some, such as {folder / 't-shirt'}.")
    return found


def photo_files(folder: Path) -> list[Path]:
    """The files of a folder that are not hidden, in alphabetical order."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    if not files:
        raise DatasetError(f"{folder} holds no photos.")
    return files


def read_provenance(data: Path, files: Sequence[Path]) -> Provenance:
    """Look the photos up in `data/senders.csv` by their names without the ending.

    A photo that is not there, as all are where there is no such table, has a sender of its own and is not called
    children's clothes.
    """
    table = data / SENDERS_FILE
    rows: dict[str, dict[str, str]] = {}
    if table.is_file():
        with table.open(encoding="utf-8", newline="") as lines:
            reader = csv.DictReader(lines)
            missing = {"image", "sender_id", "kids"} - set(reader.fieldnames or ())
            if missing:
                raise DatasetError(f"{table} lacks the columns {', '.join(sorted(missing))}.")
            rows = {row["image"]: row for row in reader}
    found = [rows.get(path.stem, {"sender_id": str(path), "kids": "False"}) for path in files]
    return Provenance(
        senders=np.array([row["sender_id"] for row in found]),
        kids=np.array([row["kids"].lower() == "true" for row in found]),
    )


def fingerprint(data: Path, files: Sequence[Path]) -> str:
    """SHA-256 over the names below `data` and the contents of the files, whatever their order."""
    lines = sorted(
        f"{path.relative_to(data).as_posix()} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in files
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _files(folder: Path, labels: tuple[str, ...]) -> Iterator[tuple[Path, int]]:
    found = label_folders(folder)
    unknown = [label for label in found if label not in labels]
    if unknown:
        raise DatasetError(
            f"{folder} has folders that are no labels: {', '.join(unknown)}. Known: {', '.join(labels)}."
        )
    for label in found:
        yield from ((path, labels.index(label)) for path in photo_files(folder / label))
