"""Cursors of lists: where the next page begins, signed. A client can neither invent one nor use it for another list."""

import base64
import hashlib
import hmac
import json
from dataclasses import asdict

from classifier.errors import InvalidRequest
from classifier.indexes import Filter

_SIGNATURE_BYTES = 16


def encode_cursor(position: str, wanted: Filter, key: str) -> str:
    """Return a cursor for this position of the list."""
    return base64.urlsafe_b64encode(sign_position(position, wanted, key) + position.encode()).decode().rstrip("=")


def decode_cursor(cursor: str, wanted: Filter, key: str) -> str:
    """Return the position that was signed for this list with this key. Raise `InvalidRequest` for other cursors."""
    try:
        content = base64.b64decode(cursor.encode() + b"=" * (-len(cursor) % 4), b"-_", validate=True)
        signature, position = content[:_SIGNATURE_BYTES], content[_SIGNATURE_BYTES:].decode()
    except ValueError as error:
        raise _invalid_cursor() from error
    if not hmac.compare_digest(signature, sign_position(position, wanted, key)):
        raise _invalid_cursor()
    return position


def sign_position(position: str, wanted: Filter, key: str) -> bytes:
    """Return the signature of a position, over all fields of the filter: the first 16 bytes of an HMAC-SHA-256."""
    message = json.dumps({"position": position, **asdict(wanted)}, sort_keys=True)
    return hmac.digest(key.encode(), message.encode(), hashlib.sha256)[:_SIGNATURE_BYTES]


def _invalid_cursor() -> InvalidRequest:
    return InvalidRequest("`cursor` is invalid, or the filters have changed. Begin without a cursor.")
