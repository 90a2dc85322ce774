"""Announces the photos of a listing, and signs the forms by which they go straight to the bucket."""

import hashlib
import itertools
import re
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import PurePosixPath
from typing import Any

from classifier.classification import Classification, Source, Status, format_time
from classifier.confirmations import find_photo_ids
from classifier.errors import InvalidRequest, NotFound, quote
from classifier.keys import is_possible_id, object_key
from classifier.listings import FORM_LIFETIME, MAX_PHOTOS, kept_until
from classifier.reconcile import DELETED_LIFETIME
from classifier.records import Conflict, Row
from classifier.request_parsing import check_fields
from classifier.services import Services

_MAX_FILES = 50
_MAX_NAME_BYTES = 200  # in UTF-8; S3 accepts 1,024 for the whole key
_IMAGE_TYPES = (
    "image/jpeg",
    "image/png",
    "image/webp",
    "image/gif",
    "image/bmp",
    "image/tiff",
    "image/heic",
    "image/heif",
    "image/avif",
)
# Of the request that announced a photo. Records keep attributes that the code for records does not know.
_KEY_ATTRIBUTE = "upload_key"
# "/" would make folders, and "." and ".." change the path of a URL.
# Control characters, line separators and those that turn the direction of writing would falsify what people read.
_FORBIDDEN_IN_NAMES = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069/\\]|^\.{1,2}$")
EXPECTED_FILES = 'Send {"files": [{"name": "front.jpg", "content_type": "image/jpeg"}]} as JSON.'


@dataclass(frozen=True, slots=True)
class File:
    """A file that a client wants to upload."""

    name: str
    content_type: str


def parse_files(content: dict[str, Any]) -> list[File]:
    """Return the files of a request. Raise `InvalidRequest`."""
    files = content.get("files")
    if not isinstance(files, list) or not 1 <= len(files) <= _MAX_FILES:
        raise InvalidRequest(f"`files` must be a list of 1 to {_MAX_FILES} files.")
    return [_parse_file(file) for file in files]


def parse_idempotency_key(header: str | None) -> str | None:
    """Return the header's value. Raise `InvalidRequest` if it is too long, or not of visible ASCII characters."""
    if header is not None and not re.fullmatch(r"[!-~]{1,255}", header):
        raise InvalidRequest("`Idempotency-Key` must have 1 to 255 visible ASCII characters.")
    return header


def create_listing(files: list[File], key: str | None, services: Services) -> dict[str, Any]:
    """Store a PENDING record for each file of a new listing. Return the listing's id and a signed form for each file.

    Raise the AWS SDK's errors and `Busy`. Records and forms expire after an hour, so an upload that never comes leaves
    nothing but the listing's own row. `key` is that of `add_to_listing`: it leads to the same listing again.
    """
    if key is not None:
        batch_id = _hash(key)
        with suppress(Conflict):  # this is the second time
            services.records.create_listing(batch_id, kept_until(services))
        return add_to_listing(files, batch_id, key, services)
    names = _Names(uuid.uuid4().hex)
    announced = [names.announce(file, number) for number, file in enumerate(files)]
    services.records.create_listing(names.batch_id, kept_until(services))
    services.map(lambda one: services.records.write(one, Row(one.id), one.created_at + FORM_LIFETIME), announced)
    return _sign_forms(announced, files, names.batch_id, services)


def add_to_listing(files: list[File], batch_id: str, key: str | None, services: Services) -> dict[str, Any]:
    """Do the same for a listing that exists.

    `key` names the request: whoever repeats it with the same key, because its answer was lost, gets the same ids.
    Raise `NotFound`, `InvalidRequest` if there are too many photos, the AWS SDK's errors and `Busy`.
    """
    listing, photo_ids = services.records.read_listing(batch_id), find_photo_ids(batch_id, services)
    if listing.deleted_at or not (photo_ids or listing.exists):
        raise NotFound.batch(batch_id)
    if len(photo_ids) + len(files) > MAX_PHOTOS:
        raise InvalidRequest(f"A listing can have at most {MAX_PHOTOS} photos.")
    # With a key, names that the listing has are looked at again: they may be from the same request.
    names = _Names(batch_id, set() if key else {one.removeprefix(f"{batch_id}/") for one in photo_ids})
    announced = [
        _announce(file, number, names, key and _hash(f"{key}/{number}"), services) for number, file in enumerate(files)
    ]
    if not listing.exists:
        services.records.update_listing(batch_id, lambda seen: seen, kept_until(services))
    deleted_at = services.records.read_listing(batch_id).deleted_at
    if deleted_at:  # in the meantime
        expires_at = deleted_at + DELETED_LIFETIME
        for one in announced:
            services.records.update(one.id, lambda row: services.records.mark_removed(row, expires_at, deleted_at))
        raise NotFound.batch(batch_id)
    return _sign_forms(announced, files, batch_id, services)


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:32]


class _Names:
    """The names of the photos of a listing. `taken` are those that are not free."""

    def __init__(self, batch_id: str, taken: set[str] | None = None) -> None:
        self.batch_id = batch_id
        self._taken = taken or set()
        self._now = datetime.now(UTC)

    def announce(self, file: File, number: int) -> Classification:
        """Return a PENDING record of the file under the next free name. Raise `InvalidRequest` if the name is too long.

        Records of one request keep its order: each is a millisecond younger.
        """
        photo_id = f"{self.batch_id}/{self._take(file)}"
        if not is_possible_id(photo_id):
            raise InvalidRequest(f"The name {quote(file.name)} is too long for this listing.")
        created_at = self._now + timedelta(milliseconds=number)
        return Classification(photo_id, Status.PENDING, Source.S3, created_at, scores={})

    def _take(self, file: File) -> str:
        """Take the file's name, or with a number if it is taken. Photos of two phones may both be IMG_0001.jpg.

        S3 replaces "${filename}" in the key of a form, and refuses other dollar signs in policies as boto3 makes them.
        """
        path = PurePosixPath(file.name.replace("$", "_"))
        numbered = (f"{path.stem}-{number}{path.suffix}" for number in itertools.count(2))
        name = next(candidate for candidate in itertools.chain([path.name], numbered) if candidate not in self._taken)
        self._taken.add(name)
        return name


def _announce(file: File, number: int, names: _Names, key: str | None, services: Services) -> Classification:
    """Store a PENDING record under a name that no photo of the listing has or had before it was deleted.

    Return the record of the first time if this is the second.
    """
    while True:
        announced = names.announce(file, number)
        stored = services.records.update(announced.id, partial(_store_if_free, announced, key, services))
        if stored:
            return stored


def _store_if_free(announced: Classification, key: str | None, services: Services, row: Row) -> Classification | None:
    if key and row.unknown.get(_KEY_ATTRIBUTE) == key:
        return row.classification
    if row.classification or row.deleted_at or not row.is_readable:
        return None
    row = replace(row, unknown={_KEY_ATTRIBUTE: key} if key else {})
    services.records.write(announced, row, announced.created_at + FORM_LIFETIME)
    return announced


def _sign_forms(
    announced: Sequence[Classification], files: Sequence[File], batch_id: str, services: Services
) -> dict[str, Any]:
    items = [
        {
            "id": one.id,
            **sign_form(one.id, file.content_type, services),
            "expires_at": format_time((one.created_at + FORM_LIFETIME).replace(microsecond=0)),
        }
        for one, file in zip(announced, files, strict=True)
    ]
    return {"batch_id": batch_id, "items": items}


def sign_form(photo_id: str, content_type: str, services: Services) -> dict[str, Any]:
    """Return `url` and `fields` of a form for this photo alone, up to the size limit."""
    return services.bucket.sign_upload(
        object_key(photo_id), content_type, services.settings.limits.file_bytes, FORM_LIFETIME
    )


def _parse_file(file: object) -> File:
    if not isinstance(file, dict) or not isinstance(name := file.get("name"), str):
        raise InvalidRequest(f"Each of `files` needs a `name`. {EXPECTED_FILES}")
    check_fields(file, ("name", "content_type"), EXPECTED_FILES)
    if not _is_file_name(name):
        raise InvalidRequest(
            f"A file's `name` must have 1 to {_MAX_NAME_BYTES} bytes, without slashes and control characters. It must "
            "not be '.' or '..'."
        )
    content_type = file.get("content_type")
    if content_type not in _IMAGE_TYPES:
        raise InvalidRequest(f"The `content_type` of {quote(name)} must be one of {', '.join(_IMAGE_TYPES)}.")
    return File(name, content_type)


def _is_file_name(name: str) -> bool:
    try:
        length = len(name.encode())
    except UnicodeEncodeError:  # JSON can contain half of a surrogate pair
        return False
    return 0 < length <= _MAX_NAME_BYTES and not _FORBIDDEN_IN_NAMES.search(name)
