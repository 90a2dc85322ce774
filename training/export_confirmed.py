"""Exports the photos with confirmed labels into a data set: `make confirmed OUT=build/confirmed`, then `make train`.

    python -m training.export_confirmed FOLDER [--by shop seller]

Reads BUCKET_NAME, TABLE_NAME and the variables of the AWS SDK from the environment. For the system of `make run`:

    BUCKET_NAME=photos TABLE_NAME=classifications AWS_ENDPOINT_URL=http://127.0.0.1:5000 AWS_DEFAULT_REGION=us-east-1 \
AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local make confirmed

It writes `train/LABEL/`, `unknown/` (photos that show none of the labels), `senders.csv` (the photos of a listing have
one sender, so that no fold separates them), `dataset.toml`, and `photos.csv`, which says which photo each file is, and
who confirmed it. The next run into the same folder replaces all of this, and nothing else.
"""

import argparse
import csv
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
)

from classifier.bucket import ObjectNotFound, StoredObject
from classifier.classification import Classification, Confirmation, Image, Person, Source, Status, format_time
from classifier.classify import Origin
from classifier.errors import PhotoError
from classifier.indexes import Filter
from classifier.keys import object_key
from classifier.limits import Limits
from classifier.reconcile import is_same_photo
from classifier.records import MAX_ITEMS_READ
from classifier.services import Services
from classifier.settings import SettingsError
from evaluation.commands import SHIPPED_MODEL
from evaluation.dataset import ABOUT_FILE, METADATA_COLUMNS, METADATA_FILE, hash_file

MANIFEST_FILE = "photos.csv"
MANIFEST_COLUMNS = ("file", "id", "label", "by", "at", "of_listing")
STAGING_FOLDER = ".export"  # in the data set. What an interrupted run leaves in it, the next run uses
TRAIN_FOLDER, UNKNOWN_FOLDER = "train", "unknown"
_FILE_MANAGERS = {".DS_Store", "Thumbs.db", "desktop.ini"}  # what macOS and Windows write into folders
_MAX_SHARDS = "16"  # of an index: the maximum of IndexShards in template.yaml
_FEW = 20  # photos of a label; training says the same
_CHUNK = 500  # photos between two lines of progress
_NONE = "none of the labels"
_PEOPLE = {Person.SHOP: "the shop", Person.SELLER: "sellers"}
_PERMISSIONS = (
    "The command needs dynamodb:Query for the table's indexes, and s3:GetObject and s3:ListBucket for the bucket."
)
_FORBIDDEN = {"AccessDenied", "AccessDeniedException", "403"}  # an answer to HEAD has no other code


class ExportError(Exception):
    """The photos cannot be exported; the message says why."""


class LeftOut(StrEnum):
    """Why a photo that somebody has confirmed is not exported."""

    SELLER = 'confirmed by sellers, whose answers do not count without BY="shop seller"'
    SHOP = 'confirmed by the shop, whose answers do not count without BY="shop seller"'
    NOT_KEPT = "sent with a request: the service does not keep these photos"
    NOT_CLASSIFIED = "that could not be classified, or are not classified yet"
    UNSURE = (
        "of which the model is not sure, confirmed only with their whole listing. They may show a care label. To "
        "export them, confirm them one by one"
    )
    OTHER_LABEL = "with a label that the model does not have"
    TOO_LARGE = "that are larger than training accepts"
    GONE = "that were replaced or deleted since"


@dataclass(frozen=True, slots=True)
class Export:
    """How many photos were exported by label (None: none of the labels), and how many were not, by reason."""

    exported: Mapping[str | None, int]
    left_out: Mapping[LeftOut, int]


def export(folder: Path, services: Services, trusted: Collection[Person] = (Person.SHOP,)) -> Export:
    """Make `folder` the data set of the photos whose label one of the `trusted` has confirmed.

    Until all photos are there, the folder keeps its content. It also keeps it if no photo has a label to train on: the
    local system forgets its photos, and the folder may have the only copies. Raise `ExportError`, the AWS SDK's errors
    and `OSError`.
    """
    check_folder(folder)
    services.bucket.list_keys(object_key(""), 1)  # `last_modified` does not tell a missing bucket from a missing photo
    photos, left_out = _choose(services, trusted)
    if (folder / TRAIN_FOLDER).is_dir() and not any(photo.confirmed_label for photo in photos):
        return Export({}, left_out)
    (folder / STAGING_FOLDER).mkdir(parents=True, exist_ok=True)
    copies = {path.name: path for path in folder.rglob("*.*") if path.is_file()}
    new = Path(tempfile.mkdtemp(dir=folder / STAGING_FOLDER))
    kept = _write_photos(photos, new, copies, services)
    if photos and not kept:
        name = services.bucket.name
        raise ExportError(f"The bucket {name} has none of the {len(photos):,} photos. Does it belong to the table?")
    _write_tables(kept, new, trusted)
    _replace_content(folder, new)
    shutil.rmtree(folder / STAGING_FOLDER)
    left_out[LeftOut.GONE] += len(photos) - len(kept)
    return Export(Counter(photo.confirmed_label for photo in kept), left_out)


def find_confirmed(services: Services) -> Iterator[Classification]:
    """Find the records that have a confirmation, also one without a label, by queries of the index by review state.

    Raise the AWS SDK's errors.
    """
    found: set[str] = set()
    for photo in _list_confirmed(services):
        if photo.id not in found:  # a record that changes meanwhile can be listed twice
            found.add(photo.id)
            yield photo


def why_left_out(photo: Classification, trusted: Collection[Person], labels: Collection[str]) -> LeftOut | None:
    """Return why a photo with a confirmation is not exported, or None if it is, as far as its record says it.

    An answer about a whole listing names the piece. A photo of it that the model is not sure about may show the care
    label or the box. For such a photo, only an answer about itself counts. So it is for "none of the labels", too: the
    photos in `unknown/` must show clothes.
    """
    confirmation, image = _confirmation(photo), photo.image
    if confirmation.by not in trusted:
        return LeftOut[confirmation.by.name]
    if photo.source is not Source.S3:
        return LeftOut.NOT_KEPT
    if photo.status is not Status.SUCCEEDED or image is None or image.format is None:
        return LeftOut.NOT_CLASSIFIED
    if confirmation.of_listing and photo.is_uncertain:
        return LeftOut.UNSURE
    if confirmation.label is not None and confirmation.label not in labels:
        return LeftOut.OTHER_LABEL
    return None if _is_readable(image) else LeftOut.TOO_LARGE


def check_folder(folder: Path) -> None:
    """Raise `ExportError` if the folder has anything that this command did not write, but for hidden files beside."""
    if folder.exists() and not folder.is_dir():
        raise ExportError(f"{folder} is a file. Name a folder.")
    written = _read_manifest(folder / MANIFEST_FILE)
    foreign = sorted(_list_files(folder) - written)
    if foreign:
        raise ExportError(
            f"{folder} has {foreign[0]}, which this command did not write, and it does not delete what others wrote. "
            "Name another folder, or move the file away."
        )


def _list_confirmed(services: Services) -> Iterator[Classification]:
    wanted = Filter(confirmed=True)
    page = services.records.page(wanted, MAX_ITEMS_READ)
    yield from page.classifications
    while page.position is not None:
        page = services.records.page(wanted, MAX_ITEMS_READ, page.position)
        yield from page.classifications


def _choose(services: Services, trusted: Collection[Person]) -> tuple[list[Classification], Counter[LeftOut]]:
    """Return the photos to export, and how many others have a confirmation, by reason."""
    photos, left_out = [], Counter[LeftOut]()
    for photo in find_confirmed(services):
        reason = why_left_out(photo, trusted, services.description.labels)
        if reason is None:
            photos.append(photo)
        else:
            left_out[reason] += 1
    return photos, left_out


def _confirmation(photo: Classification) -> Confirmation:
    if photo.confirmation is None:
        raise ValueError(photo.id)
    return photo.confirmation


def _is_readable(image: Image) -> bool:
    """Return whether training reads a photo of this size. The function may have higher limits."""
    try:
        Limits().check_bytes(image.bytes)
        Limits().check_size(image.width or 0, image.height or 0)
    except PhotoError:
        return False
    return True


def _write_photos(
    photos: Sequence[Classification], new: Path, copies: Mapping[str, Path], services: Services
) -> list[Classification]:
    """Write the photos that are still in the bucket into `new`, and return them."""
    kept: list[Classification] = []
    for start in range(0, len(photos), _CHUNK):
        chunk = photos[start : start + _CHUNK]
        if len(photos) > _CHUNK:
            print(f"Reading photo {start + 1:,} of {len(photos):,} …", flush=True)
        written = services.map(lambda photo: _write_photo(photo, new, copies, services), chunk)
        kept += [photo for photo, is_there in zip(chunk, written, strict=True) if is_there]
    return kept


def _write_photo(photo: Classification, new: Path, copies: Mapping[str, Path], services: Services) -> bool:
    """Write the photo into `new`. Return False if it was replaced or deleted since."""
    path = new / _file_of(photo)
    path.parent.mkdir(parents=True, exist_ok=True)
    copy, key = copies.get(path.name), object_key(photo.id)
    try:
        if copy and _is_current(copy, photo, services.bucket.last_modified(key)):
            _link(copy, path)
            return True
        content = _read(services.bucket.open(key), photo)
    except ObjectNotFound:
        return False
    if content is None:
        return False
    part = path.with_suffix(".part")  # a file under its own name is always complete
    part.write_bytes(content)
    part.rename(path)
    return True


def _is_current(copy: Path, photo: Classification, modified_at: datetime) -> bool:
    """Return whether the file is the photo of the record, and the bucket's object is the one that was classified."""
    image = photo.image
    return image is not None and image.modified_at == modified_at and image.sha256 == hash_file(copy)


def _read(stored: StoredObject, photo: Classification) -> bytes | None:
    """Read the object, or return None if it is another photo than that of the record."""
    with closing(stored.body):
        if photo.image is None or stored.size != photo.image.bytes:
            return None
        content = stored.body.read()
    sha256 = hashlib.sha256(content).hexdigest()
    origin = Origin(photo.id, Source.S3, photo.created_at, stored.etag, stored.last_modified, sha256)
    return content if is_same_photo(photo, origin) else None


def _link(copy: Path, path: Path) -> None:
    try:
        path.hardlink_to(copy)
    except OSError:  # not every file system has hard links
        shutil.copyfile(copy, path)


def _file_of(photo: Classification) -> Path:
    """Return where the data set has the photo. An id may not be a valid file name; its hash is."""
    name = hashlib.sha256(photo.id.encode()).hexdigest()[:32]
    folder = Path(UNKNOWN_FOLDER) if photo.confirmed_label is None else Path(TRAIN_FOLDER, photo.confirmed_label)
    return folder / f"{name}.{str(photo.image and photo.image.format).lower()}"


def _write_tables(photos: Sequence[Classification], new: Path, trusted: Collection[Person]) -> None:
    """Write the files that describe the data set."""
    senders = [(_file_of(photo).stem, photo.batch_id or photo.id, False) for photo in photos]
    _write_csv(new / METADATA_FILE, METADATA_COLUMNS, senders)
    _write_csv(new / MANIFEST_FILE, MANIFEST_COLUMNS, [_manifest_row(photo) for photo in photos])
    people = " and ".join(name for person, name in _PEOPLE.items() if person in trusted)
    name = f"photos confirmed by {people} until {datetime.now(UTC):%Y-%m-%d}"
    (new / ABOUT_FILE).write_text(f"name = {json.dumps(name)}\n", encoding="utf-8")


def _manifest_row(photo: Classification) -> tuple[str, ...]:
    said = _confirmation(photo)
    of_listing = str(said.of_listing)
    return _file_of(photo).as_posix(), photo.id, said.label or "", said.by.value, format_time(said.at), of_listing


def _write_csv(path: Path, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(columns)
        writer.writerows(rows)


def _replace_content(folder: Path, new: Path) -> None:
    """Put what is in `new` in the place of what the folder has.

    `train/` goes first and comes last: training refuses a folder without it, so nobody trains on parts of two runs. At
    each moment, `photos.csv` names all photos that are in the folder.
    """
    old = new / "old"
    old.mkdir()
    for name in (TRAIN_FOLDER, UNKNOWN_FOLDER):
        if (folder / name).exists():
            (folder / name).rename(old / name)
    for name in (MANIFEST_FILE, METADATA_FILE, ABOUT_FILE):
        (new / name).replace(folder / name)
    for name in (UNKNOWN_FOLDER, TRAIN_FOLDER):
        if (new / name).exists():
            (new / name).rename(folder / name)


def _list_files(folder: Path) -> set[str]:
    """Return the files in the folder, relative to it, without those that are hidden and directly in it."""
    found = set()
    for place, folders, files in os.walk(folder, onerror=_raise):
        path = Path(place).relative_to(folder)
        if path == Path():
            folders[:] = [name for name in folders if not name.startswith(".")]
        links = [name for name in folders if Path(place, name).is_symlink()]
        found |= {path / name for name in [*files, *links] if name not in _FILE_MANAGERS}
    return {name.as_posix() for name in found if len(name.parts) > 1 or not name.name.startswith(".")}


def _raise(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):  # a folder that is not there has no files
        raise error


def _read_manifest(path: Path) -> set[str]:
    """Return the files that the command has written, or none if the file is not one of this command."""
    if not path.is_file():
        return set()
    with path.open(encoding="utf-8", errors="replace", newline="") as lines:
        reader = csv.reader(lines)
        if tuple(next(reader, ())) != MANIFEST_COLUMNS:
            return set()
        return {row[0] for row in reader if row} | {MANIFEST_FILE, METADATA_FILE, ABOUT_FILE}


def describe(done: Export, folder: Path, labels: Sequence[str]) -> str:
    """Return what the command says in the end: how many photos of which label, and which ones it left out."""
    total, width = sum(done.exported.values()), max(map(len, [*labels, _NONE]))
    lines = [f"Exported {total:,} {'photo' if total == 1 else 'photos'} into {folder}:"]
    lines += [f"  {label:<{width}} {done.exported.get(label, 0):>7,}" for label in labels]
    lines.append(f"  {_NONE:<{width}} {done.exported.get(None, 0):>7,}")
    reasons = [f"  {done.left_out[reason]:,} {reason}." for reason in LeftOut if done.left_out.get(reason)]
    return "\n".join([*lines, *(["Left out:", *reasons] if reasons else [])])


def find_notes(done: Export, labels: Sequence[str]) -> list[str]:
    """Return sentences about what the photos are too few for."""
    counts = {label: done.exported.get(label, 0) for label in labels}
    few = [f"{label} ({count})" for label, count in counts.items() if count < _FEW]
    notes = []
    if few:
        names = ", ".join(few)
        notes.append(f"There are fewer than {_FEW} photos of {names}. Alone, they are too few to train and to measure.")
    if sum(count > 0 for count in counts.values()) == 1:
        notes.append("All photos have one label. Train together with other photos: make retrain DATA=folder")
    return notes


def explain(error: Exception, environment: Mapping[str, str]) -> str:
    """Return a sentence about an error: what is wrong, and if the command knows it, what to do."""
    match error:
        case SettingsError():
            return f"{error}. BUCKET_NAME and TABLE_NAME are the stack's outputs BucketName and TableName."
        case NoCredentialsError() | PartialCredentialsError():
            return "There are no AWS credentials. Set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
        case NoRegionError():
            return "There is no AWS region. Set AWS_DEFAULT_REGION to that of the stack."
        case EndpointConnectionError() if "AWS_ENDPOINT_URL" in environment:
            return f"{error}. Start the local system (make run), or unset AWS_ENDPOINT_URL to use AWS."
        case ClientError():
            return _explain_refusal(error, environment)
    return str(error)


def _explain_refusal(error: ClientError, environment: Mapping[str, str]) -> str:
    code = error.response["Error"]["Code"]
    if code == "ResourceNotFoundException":
        return f"There is no table {environment['TABLE_NAME']} in this region. Set TABLE_NAME to the stack's output."
    if code == "NoSuchBucket":
        return f"There is no bucket {environment['BUCKET_NAME']}. Set BUCKET_NAME to the stack's output."
    if code in _FORBIDDEN:
        return f"{error}. {_PERMISSIONS}"
    return str(error)


def _describe_state(folder: Path) -> str:
    """Return what a run that did not finish has left, with a space before it."""
    if not (folder / STAGING_FOLDER).is_dir():
        return ""
    if (folder / TRAIN_FOLDER).is_dir():
        return f" {folder} still has the photos of the run before. Run the command again to go on."
    return f" {folder} is not complete, and training refuses it. Run the command again to go on."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m training.export_confirmed",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="folder of the data set to write")
    people = [person.value for person in _PEOPLE]
    parser.add_argument("--by", nargs="+", choices=people, default=["shop"], help="whose answers count (default: shop)")
    found = parser.parse_args(arguments)
    environment = {"MODEL_DIR": str(SHIPPED_MODEL), "CURSOR_KEY": "none", **os.environ, "INDEX_SHARDS": _MAX_SHARDS}
    try:
        services = Services.from_environment(environment)
        done = export(found.folder, services, {Person(name) for name in found.by})
    except KeyboardInterrupt:
        print(f"confirmed: Interrupted.{_describe_state(found.folder)}", file=sys.stderr)
        return 130  # as shells report it
    except (ExportError, SettingsError, BotoCoreError, ClientError, OSError) as error:
        print(f"confirmed: {explain(error, environment)}{_describe_state(found.folder)}", file=sys.stderr)
        return 1
    return _report(done, found.folder, services.description.labels)


def _report(done: Export, folder: Path, labels: Sequence[str]) -> int:
    """Print what was exported, and return the exit code: without labels, there is nothing to train on."""
    print(describe(done, folder, labels))
    if not any(label in done.exported for label in labels):
        before = f" {folder} keeps the photos of the run before." if (folder / TRAIN_FOLDER).is_dir() else ""
        nothing = "No photo has a confirmed label that counts. There is nothing to train on."
        print(f"confirmed: {nothing}{before}", file=sys.stderr)
        return 1
    for note in find_notes(done, labels):
        print(f"Note: {note}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
