"""Where a list's next page begins, sealed: clients pass it on, and cannot make one up or use it for another list."""

import base64
import hashlib
import hmac
import json

from classifier.errors import InvalidRequest
from classifier.records import Filter

_SEAL_BYTES = 16


def sealed(position: str, wanted: Filter, key: str) -> str:
    """A cursor for the list's position."""
    return base64.urlsafe_b64encode(_seal(position, wanted, key) + position.encode()).decode().rstrip("=")


def opened(cursor: str, wanted: Filter, key: str) -> str:
    """The position that was sealed for this list with this key; raises `InvalidRequest` for any other cursor."""
    try:
        content = base64.b64decode(cursor.encode() + b"=" * (-len(cursor) % 4), b"-_", validate=True)
        seal, position = content[:_SEAL_BYTES], content[_SEAL_BYTES:].decode()
    except ValueError as error:
        raise _unknown() from error
    if not hmac.compare_digest(seal, _seal(position, wanted, key)):
        raise _unknown()
    return position


def _seal(position: str, wanted: Filter, key: str) -> bytes:
    list_ = [position, wanted.label, wanted.status, wanted.needs_review, wanted.batch]
    return hmac.digest(key.encode(), json.dumps(list_).encode(), hashlib.sha256)[:_SEAL_BYTES]


def _unknown() -> InvalidRequest:
    return InvalidRequest("`cursor` is not one that this list has given. Begin without it.")
