"""The keys that sign sellers' tokens. They are in the table, are made when they are needed, and change every 30 days.

A key that is no longer used for new tokens stays until its last token has ended. So a new key breaks no token. Whoever
deletes the row ends all tokens within a minute.
"""

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from classifier.classification import format_time
from classifier.keys import SIGNING_KEYS
from classifier.records import Conflict, Records

_USE = timedelta(days=30)
TOKEN_LIFETIME = timedelta(days=1)
_KEY_BYTES = 32
_MAX_CACHE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key with its name and the time when it was made."""

    name: str
    secret: bytes
    created_at: datetime


class SigningKeys:
    """The keys of the table. Those that read tokens are kept for up to a minute."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._keys: list[SigningKey] = []
        self._read_at = 0.0

    def current(self) -> SigningKey:
        """Return the key for new tokens. Make it if there is none that is young enough. Raise the AWS SDK's errors.

        It is read each time: a token that a deleted key has signed would not open anything.
        """
        while True:
            try:
                return self._read_or_make()
            except Conflict:  # another execution environment has made one
                continue

    def find(self, name: str) -> SigningKey | None:
        """Return the key of this name, or None if there is none. Raise the AWS SDK's errors."""
        is_old = time.monotonic() - self._read_at >= _MAX_CACHE_SECONDS
        if is_old or not any(key.name == name for key in self._keys):
            self._keys, self._read_at = self._read()[0], time.monotonic()
        return next((key for key in self._keys if key.name == name), None)

    def _read_or_make(self) -> SigningKey:
        keys, revision = self._read()
        if not keys or _age(keys[0]) >= _USE:
            new = SigningKey(secrets.token_hex(4), secrets.token_bytes(_KEY_BYTES), datetime.now(UTC))
            keys = [new, *(key for key in keys if _age(key) < _USE + TOKEN_LIFETIME)]
            item = {"id": SIGNING_KEYS, "keys": [_to_attribute(key) for key in keys]}
            self._records.put_item(item, revision)
        return keys[0]

    def _read(self) -> tuple[list[SigningKey], Any]:
        item, revision = self._records.get_item(SIGNING_KEYS)
        return [_from_attribute(stored) for stored in item.get("keys", [])], revision


def _age(key: SigningKey) -> timedelta:
    return datetime.now(UTC) - key.created_at


def _to_attribute(key: SigningKey) -> dict[str, Any]:
    return {"name": key.name, "secret": key.secret, "created_at": format_time(key.created_at)}


def _from_attribute(stored: Mapping[str, Any]) -> SigningKey:
    return SigningKey(stored["name"], bytes(stored["secret"]), datetime.fromisoformat(stored["created_at"]))
