"""S3 and DynamoDB as far as the function calls them, answering HTTP requests in memory.

moto says the same (a test compares them), and takes several milliseconds of the processor for what is one here.
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

SECRET = "arn:aws:iam::123456789012:role/secret"  # what AWS says in errors, and nobody else may read
_MODIFIED = "Sat, 31 Jan 2026 12:00:00 GMT"


class Raw(BytesIO):
    """A body as urllib3 gives it."""

    def stream(self) -> Any:
        yield self.read()


def respond(request: AWSPreparedRequest, status: int, headers: dict[str, str], body: bytes) -> AWSResponse:
    """An answer, with an identifier as the services have it."""
    identifier = "x-amzn-RequestId" if is_for_dynamodb(request) else "x-amz-request-id"
    own: Any = {identifier: "R1", "Content-Length": str(len(body))}
    return AWSResponse(request.url, status, own | headers, Raw(body))


def refuse(
    request: AWSPreparedRequest, status: int, code: str, headers: dict[str, str] | None = None, **content: Any
) -> AWSResponse:
    """An error in the form of the service: DynamoDB's JSON, or S3's XML, which HEAD and 304 go without."""
    if is_for_dynamodb(request):
        return _json(request, status, {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", **content}, headers)
    text = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{SECRET}</Message></Error>"
    body = "" if request.method == "HEAD" or status == 304 else text
    return respond(request, status, {"Content-Type": "application/xml", **(headers or {})}, body.encode())


def is_for_dynamodb(request: AWSPreparedRequest) -> bool:
    """Whether it is a request to DynamoDB, and not one to S3."""
    return "X-Amz-Target" in request.headers


def etag_of(content: bytes) -> str:
    """The object's ETag, without quotes."""
    return md5(content, usedforsecurity=False).hexdigest()


@dataclass
class Cloud:
    """One bucket's objects by key, keys that S3 has yet to tell of, and one table's rows by id."""

    objects: dict[str, bytes] = field(default_factory=dict)
    events: list[str] = field(default_factory=list)
    rows: dict[str, Any] = field(default_factory=dict)
    _transactions: set[str] = field(default_factory=set)

    def answer(self, request: AWSPreparedRequest) -> AWSResponse:
        """What AWS answers, after it has done what is asked."""
        if not is_for_dynamodb(request):
            return self._object(request)
        content = json.loads(cast("bytes", request.body))
        operations: dict[str, Callable[[AWSPreparedRequest, Any], AWSResponse]] = {
            "GetItem": self._get_item,
            "PutItem": self._put_item,
            "TransactWriteItems": self._transact,
        }
        return operations[_header(request, "X-Amz-Target").rpartition(".")[2]](request, content)

    def _object(self, request: AWSPreparedRequest) -> AWSResponse:
        content = self.objects.get(unquote(urlsplit(request.url).path).removeprefix("/"))
        if content is None:
            return refuse(request, 404, "NoSuchKey")
        etag = f'"{etag_of(content)}"'
        if _header(request, "If-None-Match") == etag:
            return refuse(request, 304, "NotModified")
        headers = {"ETag": etag, "Last-Modified": _MODIFIED, "Content-Length": str(len(content))}
        return respond(request, 200, headers, content if request.method == "GET" else b"")

    def _get_item(self, request: AWSPreparedRequest, content: Any) -> AWSResponse:
        row = self.rows.get(content["Key"]["id"]["S"])
        capacity = {"ConsumedCapacity": {"TableName": content["TableName"], "CapacityUnits": 1.0}}
        asked = capacity if content.get("ReturnConsumedCapacity") == "TOTAL" else {}
        return _json(request, 200, {**asked, **({"Item": row} if row else {})})

    def _put_item(self, request: AWSPreparedRequest, content: Any) -> AWSResponse:
        if not self._is_met(content):
            return refuse(request, 400, "ConditionalCheckFailedException")
        self._put(content)
        return _json(request, 200, {})

    def _transact(self, request: AWSPreparedRequest, content: Any) -> AWSResponse:
        """All or none; a transaction that comes again under its token is done already, of which moto knows nothing."""
        token, puts = content["ClientRequestToken"], [item["Put"] for item in content["TransactItems"]]
        if token not in self._transactions:
            reasons = [{"Code": "None" if self._is_met(put) else "ConditionalCheckFailed"} for put in puts]
            if {"Code": "ConditionalCheckFailed"} in reasons:
                return refuse(request, 400, "TransactionCanceledException", CancellationReasons=reasons)
            self._transactions.add(token)
            for put in puts:
                self._put(put)
        return _json(request, 200, {})

    def _is_met(self, put: Any) -> bool:
        row = self.rows.get(put["Item"]["id"]["S"])
        if put["ConditionExpression"] == "attribute_not_exists(id)":
            return row is None
        assert put["ConditionExpression"] == "revision = :seen"
        return bool(row and row["revision"] == put["ExpressionAttributeValues"][":seen"])

    def _put(self, put: Any) -> None:
        self.rows[put["Item"]["id"]["S"]] = put["Item"]


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
