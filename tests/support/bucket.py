"""The bucket of uploads as a seller's tool sees it, and clients of S3 with faults."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from classifier.services import Services
from local.aws import BUCKET
from tests.support.services import replace_parts


@dataclass(frozen=True)
class Bucket:
    """Puts objects into the bucket and deletes them, by `client`, a client of S3."""

    client: Any

    def put(self, key: str, data: bytes) -> None:
        self.client.put_object(Bucket=BUCKET, Key=key, Body=data)

    def delete(self, key: str) -> None:
        self.client.delete_object(Bucket=BUCKET, Key=key)

    def keys(self) -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        return [found["Key"] for page in pages for found in page.get("Contents", [])]


@dataclass
class S3Client:
    """A client of S3 that keeps the parameters of each `get_object`, and can be told to fail or to be overtaken.

    `error` is raised for keys that contain `failing`. `afterwards` is called after the next reading of an object.
    """

    client: Any
    error: Exception | None = None
    failing: str = ""
    afterwards: Callable[[], None] | None = None
    requests: list[dict[str, Any]] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def get_object(self, **parameters: Any) -> Any:
        self.requests.append(parameters)
        if self.error and self.failing in parameters["Key"]:
            raise self.error
        try:
            return self.client.get_object(**parameters)
        finally:
            afterwards, self.afterwards = self.afterwards, None
            if afterwards:
                afterwards()


@dataclass
class LaterS3(S3Client):
    """Adds `age` to the times of all objects."""

    age: timedelta = timedelta(minutes=1)

    def get_object(self, **parameters: Any) -> Any:
        answer = super().get_object(**parameters)
        return answer | {"LastModified": answer["LastModified"] + self.age}


class LateUploads:
    """The bucket, to which photos come after the next look at its keys: `upload` is called then."""

    def __init__(self, bucket: Any, upload: Callable[[], None]) -> None:
        self._bucket, self._upload = bucket, [upload]

    def list_keys(self, prefix: str, limit: int) -> Any:
        keys = self._bucket.list_keys(prefix, limit)
        if self._upload:
            self._upload.pop()()
        return keys

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bucket, name)


def with_s3(services: Services, client: Any) -> Services:
    """Return the services with another client of S3."""
    return replace_parts(services, bucket=replace(services.bucket, client=client))
