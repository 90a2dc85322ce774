"""Sellers' tokens: each opens one listing for a day. They are signed, so nobody can make or change one.

A token is `KEY.PAYLOAD.SIGNATURE`: the name of the signing key, the listing and the end of the token as JSON, and the
HMAC-SHA-256 of both, the latter two in base64url without padding.
"""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime

from classifier.errors import Forbidden
from classifier.signing_keys import TOKEN_LIFETIME, SigningKeys

_MAX_LENGTH = 4096  # a listing's id has at most 1,024 bytes


def issue_token(batch_id: str, keys: SigningKeys) -> str:
    """Return a token that opens this listing for a day. Raise the AWS SDK's errors."""
    key = keys.current()
    ends_at = int((datetime.now(UTC) + TOKEN_LIFETIME).timestamp())
    signed = f"{key.name}.{_encode(json.dumps({'listing': batch_id, 'ends_at': ends_at}).encode())}"
    return f"{signed}.{_encode(_sign(signed, key.secret))}"


def read_token(token: str, keys: SigningKeys) -> str:
    """Return the id of the listing that the token opens. Raise `Forbidden`, and the AWS SDK's errors."""
    signed, _, signature = token.rpartition(".")
    name, _, payload = signed.partition(".")
    key = keys.find(name) if name and payload and len(token) <= _MAX_LENGTH and token.isascii() else None
    if key is None or not hmac.compare_digest(_encode(_sign(signed, key.secret)), signature):
        raise Forbidden("This token is invalid. Ask the shop for a new link.")
    content = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    if content["ends_at"] <= datetime.now(UTC).timestamp():
        raise Forbidden("This token has ended. Ask the shop for a new link.")
    return str(content["listing"])


def _sign(signed: str, secret: bytes) -> bytes:
    return hmac.digest(secret, signed.encode(), hashlib.sha256)


def _encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")
