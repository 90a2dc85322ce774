"""The bucket of uploads, as a seller's tool sees it."""

from dataclasses import dataclass
from typing import Any

from local.aws import BUCKET


@dataclass(frozen=True)
class Bucket:
    """Puts objects into the bucket and deletes them, by `client`, a client of S3."""

    client: Any

    def put(self, key: str, data: bytes) -> None:
        self.client.put_object(Bucket=BUCKET, Key=key, Body=data)

    def delete(self, key: str) -> None:
        self.client.delete_object(Bucket=BUCKET, Key=key)
