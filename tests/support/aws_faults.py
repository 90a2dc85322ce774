"""All faults of S3 and DynamoDB that the tests know: errors, broken connections, damaged answers."""

import base64
from binascii import crc32
from collections.abc import Callable
from typing import Any, cast
from urllib.parse import unquote, urlsplit

import urllib3.exceptions
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.exceptions import (
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    ReadTimeoutError,
    SSLError,
)

from tests.support.in_memory_aws import SECRET, RawBody, refuse
from tests.support.wire import Duration, Fault, Wire

_S3 = {"GetObject", "HeadObject"}
_DYNAMODB = {"GetItem", "PutItem"}

# Errors that a service answers.


def _error(operations: set[str], status: int, code: str, *, is_transient: bool = True, **content: Any) -> Fault:
    return Fault(
        f"{status} {code}",
        operations,
        lambda _, request: refuse(request, status, code, **content),
        is_transient=is_transient,
    )


def _error_after(operations: set[str], status: int, code: str) -> Fault:
    def answer(wire: Wire, request: AWSPreparedRequest) -> AWSResponse:
        wire.aws.answer(request)
        return refuse(request, status, code)

    return Fault(f"{status} {code} after it acted", operations, answer)


_ERRORS = [
    *(
        _error(_S3, status, code)
        for status, code in [
            (500, "InternalError"),
            (502, "BadGateway"),
            (503, "SlowDown"),
            (503, "ServiceUnavailable"),
            (504, "GatewayTimeout"),
            (509, "BandwidthLimitExceeded"),
            (400, "RequestTimeout"),
            (400, "ThrottlingException"),
            (400, "ExpiredToken"),
            (429, "TooManyRequestsException"),
        ]
    ),
    _error(_S3, 503, "SlowDown", headers={"x-amz-retry-after": "60000"})._replace(name="503 SlowDown for a minute"),
    _error(_S3, 403, "AccessDenied", is_transient=False),
    # An answer to HEAD has no body, so that all errors of one status are the same.
    _error({"GetObject"}, 403, "RequestTimeTooSkewed"),
    _error({"GetObject"}, 404, "NoSuchBucket", is_transient=False),
    _error({"GetObject"}, 400, "InvalidRequest", is_transient=False),
    Fault(
        "404 NoSuchBucket cut short",
        {"GetObject"},
        lambda _, request: _changed(refuse(request, 404, "NoSuchBucket"), _half),
        is_transient=False,
    ),
    *(
        _error(_DYNAMODB, status, code)
        for status, code in [
            (400, "ThrottlingException"),
            (400, "ProvisionedThroughputExceededException"),
            (400, "RequestLimitExceeded"),
            (400, "ExpiredTokenException"),
            (429, "Unknown"),
            (500, "InternalServerError"),
            (503, "ServiceUnavailable"),
        ]
    ),
    *(
        _error(_DYNAMODB, 400, code, is_transient=False)
        for code in [
            "AccessDeniedException",
            "ResourceNotFoundException",
            "ValidationException",
            "UnrecognizedClientException",
        ]
    ),
    _error_after({"PutItem"}, 500, "InternalServerError"),
    _error_after({"PutItem"}, 503, "ServiceUnavailable"),
    _error({"PutItem"}, 400, "TransactionConflictException"),
    _error({"PutItem"}, 400, "ConditionalCheckFailedException")._replace(
        harmless=frozenset({Duration.TRY, Duration.CALL})
    ),
]


# Connections that break before the service acts, or after, so that only its answer is lost.


def _broken(name: str, error: Callable[[str], Exception], hangs: str | None = None) -> list[Fault]:
    def fail(wire: Wire, request: AWSPreparedRequest) -> AWSResponse:
        wire.sleep(getattr(wire, hangs) if hangs else 0)
        raise error(request.url)

    def fail_after(wire: Wire, request: AWSPreparedRequest) -> AWSResponse:
        wire.aws.answer(request)
        return fail(wire, request)

    return [Fault(name, _S3 | _DYNAMODB, fail), Fault(f"{name} after it acted", {"PutItem"}, fail_after)]


_BREAKS = [
    _broken("no connection in time", lambda url: ConnectTimeoutError(endpoint_url=url), "connect_seconds")[0],
    _broken("no connection", lambda url: EndpointConnectionError(endpoint_url=url))[0],
    _broken("no TLS", lambda url: SSLError(endpoint_url=url, error=OSError(SECRET)))[0],
    *_broken("no answer in time", lambda url: ReadTimeoutError(endpoint_url=url), "read_seconds"),
    *_broken("connection reset", lambda url: ConnectionClosedError(endpoint_url=url)),
    *_broken("malformed answer", lambda _: HTTPClientError(error=SECRET)),
]


# Answers that are damaged in transit.


def _changed(answer: AWSResponse, change: Callable[[bytes], bytes], **headers: str) -> AWSResponse:
    return AWSResponse(
        answer.url, answer.status_code, cast("Any", {**answer.headers, **headers}), RawBody(change(answer.content))
    )


def _half(body: bytes) -> bytes:
    return body[: len(body) // 2]


def _flip(wire: Wire, request: AWSPreparedRequest) -> AWSResponse:
    """Flip one bit of the object. The answer's checksum shows it, as where S3 has a checksum that the SDK knows."""
    answer = wire.aws.answer(request)
    checksum = base64.b64encode(crc32(answer.content).to_bytes(4, "big")).decode()
    return _changed(answer, lambda body: body[:-1] + bytes([body[-1] ^ 1]), **{"x-amz-checksum-crc32": checksum})


def _damaged(name: str, operations: set[str], change: Callable[[bytes], bytes]) -> Fault:
    return Fault(name, operations, lambda wire, request: _changed(wire.aws.answer(request), change))


class _BrokenBody(RawBody):
    """Raises an error when it is read."""

    def __init__(self, wire: Wire, error: Exception) -> None:
        super().__init__()
        self._wire = wire
        self._error = error

    def read(self, *_: object) -> bytes:
        if isinstance(self._error, urllib3.exceptions.ReadTimeoutError):
            self._wire.sleep(self._wire.read_seconds)
        raise self._error


def _broken_body(name: str, error: Exception) -> Fault:
    def fail(wire: Wire, request: AWSPreparedRequest) -> AWSResponse:
        answer = wire.aws.answer(request)
        return AWSResponse(answer.url, answer.status_code, cast("Any", answer.headers), _BrokenBody(wire, error))

    return Fault(name, {"GetObject"}, fail, needs_object=True)


_DAMAGES = [
    *(
        fault
        for name, change in [("cut short", _half), ("empty", lambda _: b"")]
        for fault in [
            _damaged(name, {"GetItem"}, change),
            # The SDK returns a damaged answer without an error after its last try, and nobody reads that to PutItem.
            _damaged(name, {"PutItem"}, change)._replace(harmless=frozenset(Duration)),
            _damaged(name, {"GetObject"}, change)._replace(needs_object=True),
        ]
    ),
    Fault("changed in transit", {"GetObject"}, _flip, needs_object=True),
    _broken_body("connection reset within the body", urllib3.exceptions.ProtocolError(SECRET)),
    _broken_body("TLS broken within the body", urllib3.exceptions.SSLError(SECRET)),
    _broken_body("silence within the body", urllib3.exceptions.ReadTimeoutError(cast("Any", None), SECRET, SECRET)),
]


def _hide(wire: Wire, request: AWSPreparedRequest) -> AWSResponse:
    """Answer that the object is gone. It comes back at once, with an event of S3."""
    key = unquote(urlsplit(request.url).path).removeprefix("/")
    content = wire.aws.objects.pop(key)
    answer = wire.aws.answer(request)
    wire.aws.objects[key] = content
    wire.aws.undelivered.append(key)
    return answer


_ABSENCE = Fault("404 NoSuchKey for a moment", {"GetObject"}, _hide, harmless=frozenset(Duration), needs_object=True)

FAULTS = [*_ERRORS, *_BREAKS, *_DAMAGES, _ABSENCE]
