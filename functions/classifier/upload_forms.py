"""Announces the photos of a listing, and signs the forms by which they go straight to the bucket."""

import itertools
import re
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import Any

from classifier.classification import Classification, Source, Status, format_time
from classifier.errors import InvalidRequest, quote
from classifier.keys import object_key
from classifier.records import Row
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
    """Return the files of a request, each with a name of its own. Raise `InvalidRequest`."""
    files = content.get("files")
    if not isinstance(files, list) or not 1 <= len(files) <= _MAX_FILES:
        raise InvalidRequest(f"`files` must be a list of 1 to {_MAX_FILES} files.")
    return _with_unique_names([_parse_file(file) for file in files])


def create_listing(files: list[File], services: Services) -> dict[str, Any]:
    """Store a PENDING record for each file of a new listing. Return the listing's id and a signed form for each file.

    Raise the AWS SDK's errors. Records and forms expire after an hour, so an upload that never comes leaves nothing.
    """
    # In whole seconds, as S3's times: otherwise an uploaded photo could be older than its announcement.
    now = datetime.now(UTC).replace(microsecond=0)
    expires_at = now + _FORM_LIFETIME
    batch_id, records = uuid.uuid4().hex, services.records
    announced = [
        Classification(f"{batch_id}/{file.name}", Status.PENDING, Source.S3, created_at=now, scores={})
        for file in files
    ]
    services.map(lambda one: records.write(one, Row(one.id), expires_at), announced)
    items = [
        {"id": one.id, **sign_form(one.id, file.content_type, services), "expires_at": format_time(expires_at)}
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


def _with_unique_names(files: list[File]) -> list[File]:
    """Add a number to names that are there twice: photos of two phones may both be IMG_0001.jpg."""
    taken: set[str] = set()
    renamed = []
    for file in files:
        path = PurePosixPath(file.name)
        numbered = (f"{path.stem}-{number}{path.suffix}" for number in itertools.count(2))
        name = next(candidate for candidate in itertools.chain([file.name], numbered) if candidate not in taken)
        taken.add(name)
        renamed.append(File(name, file.content_type))
    return renamed
