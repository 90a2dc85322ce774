"""Announces the photos of a listing, and signs the forms by which they go straight to the bucket."""

import itertools
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import PurePosixPath
from typing import Any

from classifier.classification import Classification, Source, Status, format_time
from classifier.confirmations import find_photo_ids
from classifier.errors import InvalidRequest, NotFound, quote
from classifier.keys import is_possible_id, object_key
from classifier.listings import MAX_PHOTOS
from classifier.reconcile import DELETED_LIFETIME
from classifier.records import Row
from classifier.request_parsing import check_fields
from classifier.services import Services

_FORM_LIFETIME = timedelta(hours=1)
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
# "/" would make folders, "." and ".." change the path of a URL, and S3 replaces "${filename}" in the key of a form.
# Control characters, line separators and those that turn the direction of writing would falsify what people read.
_FORBIDDEN_IN_NAMES = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069/\\]|\$\{|^\.{1,2}$")
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


def create_listing(files: list[File], services: Services) -> dict[str, Any]:
    """Store a PENDING record for each file of a new listing. Return the listing's id and a signed form for each file.

    Raise the AWS SDK's errors. Records and forms expire after an hour, so an upload that never comes leaves nothing.
    """
    now, batch_id = _now(), uuid.uuid4().hex
    taken: set[str] = set()
    announced = [_pending(batch_id, _free_name(file, taken), now) for file in files]
    services.map(lambda one: services.records.write(one, Row(one.id), now + _FORM_LIFETIME), announced)
    return _sign_forms(announced, files, batch_id, services)


def add_to_listing(files: list[File], batch_id: str, services: Services, *, is_known: bool) -> dict[str, Any]:
    """Do the same for a listing that exists. `is_known`: a token proves that it does, even if no photo has arrived.

    Raise `NotFound`, `InvalidRequest` if there are too many photos, the AWS SDK's errors and `Busy`.
    """
    now, photo_ids = _now(), find_photo_ids(batch_id, services)
    if not (photo_ids or is_known) or _is_deleted(batch_id, services):
        raise NotFound.batch(batch_id)
    if len(photo_ids) + len(files) > MAX_PHOTOS:
        raise InvalidRequest(f"A listing can have at most {MAX_PHOTOS} photos.")
    taken = {one.removeprefix(f"{batch_id}/") for one in photo_ids}
    announced = [_announce(file, batch_id, taken, now, services) for file in files]
    if _is_deleted(batch_id, services):  # in the meantime
        for one in announced:
            services.records.update(one.id, lambda row: services.records.mark_removed(row, now + DELETED_LIFETIME, now))
        raise NotFound.batch(batch_id)
    return _sign_forms(announced, files, batch_id, services)


def _now() -> datetime:
    """Return the time in whole seconds, as S3's times: else a photo could be older than its announcement."""
    return datetime.now(UTC).replace(microsecond=0)


def _is_deleted(batch_id: str, services: Services) -> bool:
    return services.records.read_listing(batch_id).deleted_at is not None


def _announce(file: File, batch_id: str, taken: set[str], now: datetime, services: Services) -> Classification:
    """Store a PENDING record under a name that no photo of the listing has or had before it was deleted."""
    while True:
        announced = _pending(batch_id, _free_name(file, taken), now)
        if not is_possible_id(announced.id):
            raise InvalidRequest(f"The name {quote(file.name)} is too long for this listing.")
        if services.records.update(announced.id, partial(_store_if_free, announced, services)):
            return announced


def _store_if_free(announced: Classification, services: Services, row: Row) -> bool:
    if row.classification or row.deleted_at or not row.is_readable:
        return False
    services.records.write(announced, row, announced.created_at + _FORM_LIFETIME)
    return True


def _pending(batch_id: str, name: str, now: datetime) -> Classification:
    return Classification(f"{batch_id}/{name}", Status.PENDING, Source.S3, created_at=now, scores={})


def _sign_forms(
    announced: Sequence[Classification], files: Sequence[File], batch_id: str, services: Services
) -> dict[str, Any]:
    items = [
        {
            "id": one.id,
            **sign_form(one.id, file.content_type, services),
            "expires_at": format_time(one.created_at + _FORM_LIFETIME),
        }
        for one, file in zip(announced, files, strict=True)
    ]
    return {"batch_id": batch_id, "items": items}


def sign_form(photo_id: str, content_type: str, services: Services) -> dict[str, Any]:
    """Return `url` and `fields` of a form for this photo alone, up to the size limit."""
    return services.bucket.sign_upload(
        object_key(photo_id), content_type, services.settings.limits.file_bytes, _FORM_LIFETIME
    )


def _parse_file(file: object) -> File:
    if not isinstance(file, dict) or not isinstance(name := file.get("name"), str):
        raise InvalidRequest(f"Each of `files` needs a `name`. {EXPECTED_FILES}")
    check_fields(file, ("name", "content_type"), EXPECTED_FILES)
    if not _is_file_name(name):
        raise InvalidRequest(
            f"A file's `name` must have 1 to {_MAX_NAME_BYTES} bytes, without slashes, control characters and '${{', "
            "and must not be '.' or '..'."
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


def _free_name(file: File, taken: set[str]) -> str:
    """Take a name: that of the file, or with a number if it is taken. Photos of two phones may both be IMG_0001.jpg."""
    path = PurePosixPath(file.name)
    numbered = (f"{path.stem}-{number}{path.suffix}" for number in itertools.count(2))
    name = next(candidate for candidate in itertools.chain([file.name], numbered) if candidate not in taken)
    taken.add(name)
    return name
