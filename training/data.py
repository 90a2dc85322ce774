"""The photos of a training run: those in `train/`, `validation/` and `extra/` of one or more data sets."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from evaluation.dataset import (
    TEST_FOLDER,
    TRAINING_FOLDERS,
    About,
    PhotoList,
    find_conflicts,
    find_oddities,
    find_training_folders,
    group_photos,
    hash_file,
    list_split,
    read_about,
    read_photo_metadata,
)
from training.out_of_distribution import UNKNOWN_FOLDER


@dataclass(frozen=True, slots=True)
class TrainingPhotos:
    """The photos to train on, with what is known about them. All arrays and tuples have one element for each photo.

    `names` are their paths relative to their data set, and `hashes` the SHA-256 of their bytes. `senders` are unique
    across data sets; `has_senders` is false if a data set has no table that names any. Photos of one group must be in
    the same fold.
    `sha256` is a hash of all of this. `abouts` describe the data sets that have a `dataset.toml`.
    """

    data: tuple[Path, ...]
    photos: PhotoList
    names: tuple[str, ...]
    hashes: tuple[str, ...]
    senders: npt.NDArray[np.str_]
    kids: npt.NDArray[np.bool_]
    has_senders: bool
    groups: npt.NDArray[np.int64]
    sha256: str
    abouts: tuple[About, ...]
    warnings: tuple[str, ...]

    @property
    def known_senders(self) -> npt.NDArray[np.str_] | None:
        """`senders`, or None if there is no table of them."""
        return self.senders if self.has_senders else None

    @classmethod
    def read(cls, data: Sequence[Path]) -> "TrainingPhotos":
        """List the photos of data sets. The labels are those of the first one. Raise `DatasetError` or `OSError`."""
        folders = [found for number, folder in enumerate(data) for found in _find_folders(folder, is_first=not number)]
        photos = list_split(folders)
        owners = [_owner(data, path) for path in photos.files]
        senders, kids, has_senders = _read_metadata(data, photos, owners)
        names = tuple(
            path.relative_to(data[owner]).as_posix() for path, owner in zip(photos.files, owners, strict=True)
        )
        hashes = tuple(hash_file(path) for path in photos.files)
        lines = sorted(zip(names, hashes, senders.tolist(), strict=True))
        return cls(
            data=tuple(data),
            photos=photos,
            names=names,
            hashes=hashes,
            senders=senders,
            kids=kids,
            has_senders=has_senders,
            groups=group_photos(senders.tolist(), hashes),
            sha256=hashlib.sha256(repr([photos.labels, lines]).encode(errors="surrogateescape")).hexdigest(),
            abouts=_describe(data),
            warnings=(*find_oddities(folders), *find_conflicts(photos.files)),
        )


def _find_folders(data: Path, *, is_first: bool) -> list[Path]:
    """Return the folders to train on. A data set after the first may have nothing but `unknown`."""
    has_labels = is_first or any((data / name).is_dir() for name in TRAINING_FOLDERS)
    if not has_labels and (data / UNKNOWN_FOLDER).is_dir():
        return []
    return find_training_folders(data)


def _describe(data: Sequence[Path]) -> tuple[About, ...]:
    """Return what the data sets are; one without a description has its folder's name, unless none has one."""
    found = [read_about(folder) for folder in data]
    if not any(found):
        return ()
    names = [f"the folder {folder.resolve().name}" for folder in data]
    return tuple(about or About(name) for about, name in zip(found, names, strict=True))


def _owner(data: Sequence[Path], path: Path) -> int:
    return next(index for index, folder in enumerate(data) if path.is_relative_to(folder))


def _read_metadata(
    data: Sequence[Path], photos: PhotoList, owners: Sequence[int]
) -> tuple[npt.NDArray[np.str_], npt.NDArray[np.bool_], bool]:
    """Return senders, kids and whether the senders are known. Senders of other data sets are other people."""
    senders, kids, has_senders = [], [], True
    for owner, folder in enumerate(data):
        metadata = read_photo_metadata(
            folder, [path for path, one in zip(photos.files, owners, strict=True) if one == owner]
        )
        senders += [f"{owner}:{sender}" if owner else str(sender) for sender in metadata.sender_ids]
        kids += metadata.kids.tolist()
        has_senders &= metadata.has_senders or not metadata.kids.size  # a data set may have nothing but `unknown`
    return np.array(senders, np.str_), np.array(kids, bool), has_senders


def list_test_photos(training: TrainingPhotos) -> tuple[PhotoList, int]:
    """Return the photos in the folders `test`, without those that are also training photos, and how many these are.

    Raise `DatasetError`.
    """
    folders = [folder / TEST_FOLDER for folder in training.data if (folder / TEST_FOLDER).is_dir()]
    labels = training.photos.labels
    if not folders:
        return PhotoList(labels, (), np.empty(0, np.int64)), 0
    found, trained = list_split(folders, labels), set(training.hashes)
    kept = [index for index, path in enumerate(found.files) if hash_file(path) not in trained]
    left_out = len(found.files) - len(kept)
    return PhotoList(labels, tuple(found.files[index] for index in kept), found.targets[kept]), left_out


def divide(groups: npt.NDArray[np.int64], folds: int) -> npt.NDArray[np.int64]:
    """Divide n photos into folds of about the same size, without dividing a group: return each photo's fold, (n,).

    The largest group comes first, and each goes to the fold with the fewest photos. scikit-learn's `GroupKFold` does
    the same, but the order of groups of one size, and so the folds, differ between its versions and machines.
    """
    names, members = np.unique(groups, return_inverse=True)
    sizes = np.bincount(members)
    photos, fold_of_group = np.zeros(folds, np.int64), np.zeros(len(names), np.int64)
    for group in np.argsort(sizes, kind="stable")[::-1]:
        fold = photos.argmin()
        fold_of_group[group] = fold
        photos[fold] += sizes[group]
    return fold_of_group[members]
