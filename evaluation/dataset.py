"""Reads folders of label folders into arrays. The serving code decodes the photos, so training gets the same pixels."""

import csv
import hashlib
import re
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt

from classifier import photos
from classifier.errors import PhotoError
from classifier.limits import Limits

METADATA_FILE = "senders.csv"
METADATA_COLUMNS = ("image", "sender_id", "kids")  # the last one may be missing
ABOUT_FILE = "dataset.toml"
TRAINING_FOLDERS = ("train", "validation", "extra")  # of a data set; only the first is required
TEST_FOLDER = "test"
_NO_PHOTOS = ("desktop.ini", "thumbs.db")  # which Windows writes
_NAMED_ERRORS = 20
_LINK = re.compile(r"https?://[^\s<>\"'()]+")


class DatasetError(Exception):
    """The folder cannot be used for training or evaluation; the message says why."""


@dataclass(frozen=True, slots=True)
class PhotoList:
    """The paths of photos, `files`, and their labels: `targets`, int64, of shape (n,), are indexes into `labels`."""

    labels: tuple[str, ...]
    files: tuple[Path, ...]
    targets: npt.NDArray[np.int64]


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


@dataclass(frozen=True, slots=True)
class PhotoMetadata:
    """Each photo's sender, and whether it shows children's clothes; both arrays are of shape (n,).

    `has_senders` is false if no table names the sender of any of the photos.
    """

    sender_ids: npt.NDArray[np.str_]
    kids: npt.NDArray[np.bool_]
    has_senders: bool

    @property
    def known_senders(self) -> npt.NDArray[np.str_] | None:
        """`sender_ids`, or None if there is no table of them."""
        return self.sender_ids if self.has_senders else None


@dataclass(frozen=True, slots=True)
class About:
    """What `dataset.toml` says about a data set."""

    name: str
    licence: str | None = None
    link: str | None = None


def find_training_folders(data: Path) -> list[Path]:
    """Return the folders of a data set to train on: `train` and, where they exist, `validation` and `extra`.

    Raise `DatasetError`, which says what to give instead if `data` is one of these folders itself.
    """
    if not data.is_dir():
        raise DatasetError(f"There is no folder {data}.")
    found = [data / name for name in TRAINING_FOLDERS if (data / name).is_dir()]
    if data / TRAINING_FOLDERS[0] in found:
        return found
    if not found and data.name in (*TRAINING_FOLDERS, TEST_FOLDER):
        raise DatasetError(f"{data} is one folder of a data set. Name the folder that contains it: {data.parent}.")
    example = data / "train" / "t-shirt" if found else data / "train" / (_folder_names(data) or ["t-shirt"])[0]
    raise DatasetError(f"{data} has no folder train. It must contain a folder for each label, such as {example}.")


def find_evaluation_folder(data: Path) -> Path:
    """Return the folder of label folders to measure: `data`, or its folder `test` if it is a whole data set.

    Raise `DatasetError`.
    """
    parts = [name for name in (*TRAINING_FOLDERS, TEST_FOLDER) if _has_folders(data / name)]
    if not parts:
        list_labels(data)
        return data
    if TEST_FOLDER in parts:
        return data / TEST_FOLDER
    raise DatasetError(f"{data} has no folder test. Name the folder with the photos to use, such as {data / parts[0]}.")


def list_split(folders: Path | Sequence[Path], labels: tuple[str, ...] | None = None) -> PhotoList:
    """List the photos in `folder/LABEL/*` of each folder, as `read_split` does, without reading them."""
    folders = (folders,) if isinstance(folders, Path) else folders
    known = labels or _infer_labels(folders[0])
    files = [file for folder in folders for file in _find_files(folder, known)]
    if not files:
        raise DatasetError(f"{folders[0]} contains no photos.")
    return PhotoList(known, tuple(path for path, _ in files), np.array([target for _, target in files], np.int64))


def read_split(folders: Path | Sequence[Path], size: int, labels: tuple[str, ...] | None = None) -> Split:
    """Read `folder/LABEL/*` of each folder into squares of `size` pixels.

    Without `labels`, the labels are the names of the first folder's label folders, in alphabetical order, and each must
    have a photo there. Other folders may lack labels. Raise `DatasetError`, also for a file that is not a readable
    photo: to skip it would change the data without notice.
    """
    photo_list = list_split(folders, labels)
    return Split(photo_list.labels, photo_list.files, read_photos(photo_list.files, size), photo_list.targets)


def read_photos(paths: Sequence[Path], size: int) -> npt.NDArray[np.uint8]:
    """Read photos into an RGB array of shape (n, size, size, 3). Raise `DatasetError`."""
    images = np.empty((len(paths), size, size, 3), np.uint8)

    def read(index: int) -> str | None:
        try:
            images[index] = photos.decode(paths[index].read_bytes(), size, Limits()).pixels
        except PhotoError as error:
            return f"{paths[index]}: {error}"
        return None

    with ThreadPoolExecutor() as pool:  # Pillow releases the interpreter lock while it decodes
        errors = [error for error in pool.map(read, range(len(paths))) if error]
    if errors:
        more = [f"{len(errors) - _NAMED_ERRORS} more files cannot be used."] if len(errors) > _NAMED_ERRORS else []
        raise DatasetError("\n".join([*errors[:_NAMED_ERRORS], *more]))
    return images


def list_labels(folder: Path) -> tuple[str, ...]:
    """Return the names of the label folders in `folder`, in alphabetical order. Raise `DatasetError`."""
    if not folder.is_dir():
        raise DatasetError(f"There is no folder {folder}. It must contain label folders, such as {folder / 't-shirt'}.")
    labels = tuple(_folder_names(folder))
    if not labels:
        raise DatasetError(f"{folder} has no label folders. It must contain some, such as {folder / 't-shirt'}.")
    return labels


def list_photos(folder: Path) -> list[Path]:
    """Return the files of a folder that are not hidden, in alphabetical order. Raise `DatasetError` if it has none."""
    files = _visible_files(folder)
    if not files:
        raise DatasetError(f"{folder} contains no photos.")
    return files


def read_photo_metadata(data: Path, files: Sequence[Path]) -> PhotoMetadata:
    """Look up the photos in tables `senders.csv` by their file names, with or without extension. Raise `DatasetError`.

    The table of a photo is in its own folder or in one above it, up to `data` and the folder that contains `data`. The
    nearest table that lists the photo counts. A photo that no table lists gets a sender of its own, and does not count
    as showing children's clothes.
    """
    tables: dict[Path, dict[str, dict[str, str]]] = {}
    rows = [_find_row(data, path, tables) for path in files]
    return PhotoMetadata(
        sender_ids=np.array(
            [row.get("sender_id") or _relative_name(data, path) for row, path in zip(rows, files, strict=True)], np.str_
        ),
        kids=np.array([(row.get("kids") or "").lower() == "true" for row in rows], bool),
        has_senders=any(row.get("sender_id") for row in rows),
    )


def group_photos(senders: Sequence[str], hashes: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return each photo's group, an array of shape (n,), for folds that no group is divided between.

    The photos of a sender are in one group, and so are exact copies of a photo, which have the same hash.
    """
    parents = list(range(len(senders)))
    first: dict[tuple[str, str], int] = {}

    def root(index: int) -> int:
        while parents[index] != index:
            parents[index] = parents[parents[index]]
            index = parents[index]
        return index

    for index, (sender, photo) in enumerate(zip(senders, hashes, strict=True)):
        for key in (("sender", sender), ("photo", photo)):
            parents[root(index)] = root(first.setdefault(key, index))
    groups = np.unique([root(index) for index in parents], return_inverse=True)[1]
    return groups.astype(np.int64)


def find_conflicts(files: Sequence[Path]) -> list[str]:
    """Return a sentence for each photo that is in the folder of one label, and as an exact copy in that of another."""
    first: dict[str, Path] = {}
    pairs = [(first.setdefault(hash_file(path), path), path) for path in files]
    return [
        f"{one} and {other} are the same photo with different labels."
        for one, other in pairs
        if one.parent.name != other.parent.name
    ]


def find_oddities(folders: Sequence[Path]) -> list[str]:
    """Return a sentence for everything in folders of label folders that may not be meant so."""
    names = sorted({name for folder in folders for name in _folder_names(folder)})
    notes = [
        f"The labels {one} and {other} differ only in case or spaces."
        for one, other in combinations(names, 2)
        if one.strip().casefold() == other.strip().casefold()
    ]
    inner = [path for folder in folders for name in _folder_names(folder) for path in (folder / name).iterdir()]
    nested = sorted(path for path in inner if path.is_dir())
    return notes + [f"{path} is a folder in a label folder. Its photos are not used." for path in nested]


def read_about(data: Path) -> About | None:
    """Read `dataset.toml` in `data` or the folder that contains `data`. None if there is none. Raise `DatasetError`."""
    paths = [folder / ABOUT_FILE for folder in (data, data.resolve().parent)]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        return None
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # not TOML, or not UTF-8
        raise DatasetError(f"{path} is not a valid TOML file: {error}.") from error
    names = [field.name for field in fields(About)]
    unknown = sorted(content.keys() - set(names))
    if unknown:
        raise DatasetError(f"{path} has unknown keys: {', '.join(unknown)}. The known ones are {', '.join(names)}.")
    for name in names:
        if not isinstance(content.get(name, "" if name != "name" else None), str):
            raise DatasetError(f'{path} needs a text for {name}, such as {name} = "…".')
    if not _LINK.fullmatch(content.get("link", "https://host")):
        raise DatasetError(f"The link in {path} must begin with https:// and have no spaces, quotes or brackets.")
    return About(**content)


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _has_folders(folder: Path) -> bool:
    return folder.is_dir() and bool(_folder_names(folder))


def _folder_names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and _is_visible(entry))


def _is_visible(path: Path) -> bool:
    return not path.name.startswith(".") and path.name.lower() not in _NO_PHOTOS


def _visible_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and _is_visible(path))


def _relative_name(data: Path, path: Path) -> str:
    return (path.relative_to(data) if path.is_relative_to(data) else path).as_posix()


def _infer_labels(folder: Path) -> tuple[str, ...]:
    labels = list_labels(folder)
    if len(labels) < 2:  # noqa: PLR2004 - a classifier distinguishes labels
        raise DatasetError(f"{folder} has one label folder. A classifier needs at least two.")
    for label in labels:
        list_photos(folder / label)
    return labels


def _find_files(folder: Path, labels: tuple[str, ...]) -> Iterator[tuple[Path, int]]:
    found = list_labels(folder)
    unknown = [label for label in found if label not in labels]
    if unknown:
        raise DatasetError(
            f"{folder} has folders that are not labels: {', '.join(unknown)}. The labels are: {', '.join(labels)}."
        )
    for label in found:
        yield from ((path, labels.index(label)) for path in _visible_files(folder / label))


def _find_row(data: Path, path: Path, tables: dict[Path, dict[str, dict[str, str]]]) -> dict[str, str]:
    """Return the row of a photo in the nearest table that lists it, or an empty one; `tables` keeps what was read."""
    folders = [folder for folder in path.parents if folder.is_relative_to(data)] or [data]
    for folder in (*folders, data.resolve().parent):
        if folder not in tables:
            tables[folder] = _read_table(folder / METADATA_FILE)
        for name in (path.stem, path.name):
            if name in tables[folder]:
                return tables[folder][name]
    return {}


def _read_table(path: Path) -> dict[str, dict[str, str]]:
    if not path.exists():
        return {}
    rows: dict[str, dict[str, str]] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:  # spreadsheets write a byte order mark
            reader = csv.DictReader(lines)
            missing = [name for name in METADATA_COLUMNS[:2] if name not in (reader.fieldnames or ())]
            if missing:
                names = " and ".join(missing)
                raise DatasetError(f"{path} has no column {names}. Commas must separate its columns.")
            for row in reader:
                if rows.setdefault(row["image"], row)["sender_id"] != row["sender_id"]:
                    raise DatasetError(f"{path} names two senders of {row['image']}.")
    except IsADirectoryError as error:
        raise DatasetError(f"{path} is a folder. It must be a CSV file.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path} is not a CSV file in UTF-8: {error}.") from error
    return rows
