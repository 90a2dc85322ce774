"""S3 and DynamoDB in memory, as far as the function calls them. They answer botocore's HTTP requests.

moto gives the same answers (a test compares them), but takes several milliseconds for each where this takes one.
"""

import json
from binascii import crc32
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import md5
from io import BytesIO
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from botocore.awsrequest import AWSPreparedRequest, AWSResponse

SECRET = "arn:aws:iam::123456789012:role/secret"  # in messages of AWS's errors, which clients must not see
_MODIFIED = "Sat, 31 Jan 2026 12:00:00 GMT"


class RawBody(BytesIO):
    """A body in the form of urllib3's."""

    def stream(self) -> Any:
        yield self.read()


def respond(request: AWSPreparedRequest, status: int, headers: dict[str, str], body: bytes) -> AWSResponse:
    """Return an answer with a request id, as the services have it."""
    identifier = "x-amzn-RequestId" if is_for_dynamodb(request) else "x-amz-request-id"
    own: Any = {identifier: "R1", "Content-Length": str(len(body))}
    return AWSResponse(request.url, status, own | headers, RawBody(body))


def refuse(
    request: AWSPreparedRequest, status: int, code: str, headers: dict[str, str] | None = None, **content: Any
) -> AWSResponse:
    """Return an error in the form of the service: DynamoDB's JSON, or S3's XML (no body for HEAD)."""
    if is_for_dynamodb(request):
        return _json(request, status, {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", **content}, headers)
    text = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{SECRET}</Message></Error>"
    body = "" if request.method == "HEAD" else text
    return respond(request, status, {"Content-Type": "application/xml", **(headers or {})}, body.encode())


def is_for_dynamodb(request: AWSPreparedRequest) -> bool:
    """Tell a request to DynamoDB from one to S3."""
    return "X-Amz-Target" in request.headers


def etag_of(content: bytes) -> str:
    """Return the object's ETag, without quotes."""
    return md5(content, usedforsecurity=False).hexdigest()


@dataclass
class InMemoryAws:
    """One bucket's objects by key, the keys of its undelivered events, and one table's rows by id."""

    objects: dict[str, bytes] = field(default_factory=dict)
    undelivered: list[str] = field(default_factory=list)
    rows: dict[str, Any] = field(default_factory=dict)

    def answer(self, request: AWSPreparedRequest) -> AWSResponse:
        """Do what is requested. Return AWS's answer."""
        if not is_for_dynamodb(request):
            return self._object(request)
        content = json.loads(cast("bytes", request.body))
        operations: dict[str, Callable[[AWSPreparedRequest, Any], AWSResponse]] = {
            "GetItem": self._get_item,
            "PutItem": self._put_item,
        }
        return operations[_header(request, "X-Amz-Target").rpartition(".")[2]](request, content)

    def _object(self, request: AWSPreparedRequest) -> AWSResponse:
        content = self.objects.get(unquote(urlsplit(request.url).path).removeprefix("/"))
        if content is None:
            return refuse(request, 404, "NoSuchKey")
        etag = f'"{etag_of(content)}"'
        headers = {"ETag": etag, "Last-Modified": _MODIFIED, "Content-Length": str(len(content))}
        return respond(request, 200, headers, content if request.method == "GET" else b"")

    def _get_item(self, request: AWSPreparedRequest, content: Any) -> AWSResponse:
        row = self.rows.get(content["Key"]["id"]["S"])
        capacity = {"ConsumedCapacity": {"TableName": content["TableName"], "CapacityUnits": 1.0}}
        consumed = capacity if content.get("ReturnConsumedCapacity") == "TOTAL" else {}
        return _json(request, 200, {**consumed, **({"Item": row} if row else {})})

    def _put_item(self, request: AWSPreparedRequest, content: Any) -> AWSResponse:
        if not self._is_met(content):
            return refuse(request, 400, "ConditionalCheckFailedException")
        self.rows[content["Item"]["id"]["S"]] = content["Item"]
        return _json(request, 200, {})

    def _is_met(self, put: Any) -> bool:
        """Tell whether a put meets one of the conditions that `Records` sets."""
        row, values = self.rows.get(put["Item"]["id"]["S"]), put["ExpressionAttributeValues"]
        conditions = {
            "attribute_not_exists(revision)": row is None or "revision" not in row,
            "revision = :seen": row is not None and row["revision"] == values.get(":seen"),
            "revision = :new": row is not None and row["revision"] == values[":new"],
        }
        return any(conditions[condition] for condition in put["ConditionExpression"].split(" OR "))


def _json(
    request: AWSPreparedRequest, status: int, content: dict[str, Any], headers: dict[str, str] | None = None
) -> AWSResponse:
    message = {"message": SECRET} if status >= 300 else {}
    body = json.dumps({**message, **content}).encode()
    own = {"x-amz-crc32": str(crc32(body)), "Content-Type": "application/x-amz-json-1.0"}
    return respond(request, status, {**own, **(headers or {})}, body)


def _header(request: AWSPreparedRequest, name: str) -> str:
    value = request.headers.get(name, "")
    return value.decode() if isinstance(value, bytes) else value
