"""The bucket of photos: reads objects, and signs the forms by which photos are uploaded."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from classifier.errors import Busy

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client


class ObjectNotFound(Exception):
    """The bucket has no object under the key."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object whose headers were read. `body` must be closed; `size` is in bytes."""

    etag: str
    last_modified: datetime
    size: int
    body: "StreamingBody"


@dataclass(frozen=True, slots=True)
class Bucket:
    """One bucket. Every method raises the AWS SDK's errors."""

    client: "S3Client"
    name: str

    def open(self, key: str) -> StoredObject:
        """Open the object. Raise `ObjectNotFound`."""
        try:
            answer = self.client.get_object(Bucket=self.name, Key=key)
        except self.client.exceptions.NoSuchKey as error:  # other 404s mean that the bucket is missing
            raise ObjectNotFound from error
        return StoredObject(answer["ETag"].strip('"'), answer["LastModified"], answer["ContentLength"], answer["Body"])

    def last_modified(self, key: str) -> datetime:
        """Return when the object was written. Raise `ObjectNotFound`."""
        try:
            return self.client.head_object(Bucket=self.name, Key=key)["LastModified"]
        except self.client.exceptions.ClientError as error:
            if error.response["Error"]["Code"] == "404":  # an answer to HEAD has no body, so no other code
                raise ObjectNotFound from error
            raise

    def delete(self, keys: Sequence[str]) -> None:
        """Delete up to 1,000 objects. Those that do not exist do no harm. Raise the AWS SDK's errors, and `Busy`."""
        if not keys:
            return
        objects: Any = [{"Key": key} for key in keys]
        answer = self.client.delete_objects(Bucket=self.name, Delete={"Objects": objects, "Quiet": True})
        if answer.get("Errors"):
            raise Busy("Not all photos could be deleted; try again in a moment.")

    def list_keys(self, prefix: str, limit: int) -> list[str]:
        """Return up to `limit` keys that begin with the prefix. S3's lists are strongly consistent."""
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.name, Prefix=prefix, PaginationConfig={"MaxItems": limit}
        )
        return [found["Key"] for page in pages for found in page.get("Contents", [])]

    def sign_upload(self, key: str, content_type: str, max_bytes: int, lifetime: timedelta) -> dict[str, Any]:
        """Return `url` and `fields` of a form that accepts this key, this type and 1 to `max_bytes` bytes."""
        form: dict[str, Any] = self.client.generate_presigned_post(
            Bucket=self.name,
            Key=key,
            Fields={"Content-Type": content_type},
            Conditions=[{"Content-Type": content_type}, ["content-length-range", 1, max_bytes]],
            ExpiresIn=int(lifetime.total_seconds()),
        )
        return form
