"""Between the SDK and AWS: answers turn into errors, get lost or damaged, and connections break.

That happens in botocore's event `before-send`, below its retries, its parsers and its classes of errors; what a handler
of that event answers is taken for what came through the network. Time is counted, not spent: a connection that hangs
and the SDK's pauses between its tries move a clock of their own, and so does the time that Lambda leaves.
"""

import base64
from binascii import crc32
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from types import SimpleNamespace
from typing import Any, NamedTuple, Protocol, cast
from unittest.mock import patch
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

from classifier.app import dispatch
from classifier.services import Services
from cloud import SECRET, Cloud, Raw, refuse
from local.function import Context
from local.template import read_template
from world import ColourModel, Killed

TIMEOUT = read_template()["Resources"]["ClassifierFunction"]["Properties"]["Timeout"]  # seconds
_S3 = {"GetObject", "HeadObject"}
_WRITES = {"PutItem", "TransactWriteItems"}
_DYNAMODB = {"GetItem", *_WRITES}


class Lasts(Enum):
    """How long a fault strikes one kind of call, from the first of them on."""

    TRY = auto()
    CALL = auto()  # all the tries that the SDK makes of it
    INVOCATION = auto()
    TRIES = auto()  # all invocations, until Lambda or the queue gives up


class Fault(NamedTuple):
    """One way in which a call goes wrong. `answer` gives what comes back, or raises."""

    name: str
    operations: set[str]
    answer: "Callable[[Wire, AWSPreparedRequest], AWSResponse]"
    passes: bool = True  # whether trying again later may help
    harmless: frozenset[Lasts] = frozenset()  # how long it may last without failing an invocation
    needs_object: bool = False  # whether it strikes only where S3 sends an object


class Trouble(Protocol):
    """Decides which requests are struck."""

    def fault(self, operation: str, text: str, call: str, invocation: int) -> Fault | None:
        """What befalls a request, of which `text` is URL and body; all tries of one call have its name."""


class Calm:
    """Nothing is struck."""

    def fault(self, operation: str, text: str, call: str, invocation: int) -> None:
        pass


@dataclass
class Blow:
    """One fault, at one kind of call, in requests that hold `names`, for a while."""

    operation: str
    kind: Fault
    lasts: Lasts
    names: str = ""
    _first: tuple[str, int] | None = None

    def fault(self, operation: str, text: str, call: str, invocation: int) -> Fault | None:
        if operation != self.operation or self.names not in text:
            return None
        is_first = self._first is None
        self._first = first_call, first_invocation = self._first or (call, invocation)
        goes_on = {
            Lasts.TRY: is_first,
            Lasts.CALL: call == first_call,
            Lasts.INVOCATION: invocation == first_invocation,
            Lasts.TRIES: True,
        }
        return self.kind if goes_on[self.lasts] else None


@dataclass
class Wire:
    """What the requests of a client go through. `names` is what those hold that are about the key in question."""

    cloud: Cloud
    connect_seconds: float
    read_seconds: float
    trouble: Trouble = field(default_factory=Calm)
    names: str = ""
    calls: list[str] = field(default_factory=list)
    strikes: int = 0
    is_lost: bool = False  # whether the last request about the key was struck, so that the function cannot go on
    invocation: int = 0
    seconds: float = 0.0

    def begin(self) -> None:
        """Another invocation."""
        self.invocation += 1
        self.seconds = 0.0
        self.is_lost = False

    def sleep(self, seconds: float) -> None:
        """Let time pass; Lambda stops what takes too long."""
        self.seconds += seconds
        if self.seconds >= TIMEOUT:
            raise Killed

    def send(self, event_name: str, request: AWSPreparedRequest, **_: object) -> AWSResponse:
        """Answer botocore's event."""
        operation = event_name.rpartition(".")[2]
        text = f"{unquote(request.url)} {request.body!r}"
        fault = self.trouble.fault(operation, text, str(request.headers["amz-sdk-invocation-id"]), self.invocation)
        if self.names in text:
            self.calls.append(operation)
            self.is_lost = fault is not None
        if not fault:
            return self.cloud.answer(request)
        self.strikes += 1
        return fault.answer(self, request)


class Function:
    """The function in a new execution environment, all of whose requests to AWS go through a wire."""

    def __init__(self, services: Services, cloud: Cloud) -> None:
        """Take over the clients of the services, which must be nobody else's."""
        clients: list[Any] = [services.s3, services.records._client]  # noqa: SLF001 - who calls AWS
        patience = clients[0].meta.config
        self.wire = Wire(cloud, patience.connect_timeout, patience.read_timeout)
        self.services = services
        vars(services)["model"] = ColourModel(services)
        for client in clients:
            client.meta.events.register("before-send", self.wire.send)

    def invoke(self, event: Any) -> Any:
        """The function's answer; raises what it raises, and `Killed` where it takes too long."""
        self.wire.begin()
        # All that botocore has of `time` there is the pause between two tries.
        with patch("botocore.endpoint.time", SimpleNamespace(sleep=self.wire.sleep)):
            return dispatch(event, cast("Any", _Remaining(self.wire)), self.services)


class _Remaining(Context):
    """Lambda's context on the wire's clock."""

    def __init__(self, wire: Wire) -> None:
        super().__init__()
        self._wire = wire

    def get_remaining_time_in_millis(self) -> int:
        return int((TIMEOUT - self._wire.seconds) * 1000)


# Errors that a service answers.


def _error(operations: set[str], status: int, code: str, *, passes: bool = True, **content: Any) -> Fault:
    return Fault(
        f"{status} {code}", operations, lambda _, request: refuse(request, status, code, **content), passes=passes
    )


def _error_after(operations: set[str], status: int, code: str) -> Fault:
    def answer(wire: Wire, request: AWSPreparedRequest) -> AWSResponse:
        wire.cloud.answer(request)
        return refuse(request, status, code)

    return Fault(f"{status} {code} after it acted", operations, answer)


_IN_THE_WAY: Any = {"CancellationReasons": [{"Code": "None"}, {"Code": "TransactionConflict"}]}
_TAKEN: Any = {"CancellationReasons": [{"Code": "ConditionalCheckFailed"}]}
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
    _error(_S3, 403, "AccessDenied", passes=False),
    # To HEAD, which has no body, all errors of one status are the same.
    _error({"GetObject"}, 403, "RequestTimeTooSkewed"),
    _error({"GetObject"}, 404, "NoSuchBucket", passes=False),
    _error({"GetObject"}, 400, "InvalidRequest", passes=False),
    _error({"GetObject"}, 304, "NotModified", passes=False)._replace(needs_object=True),
    Fault(
        "404 NoSuchBucket cut short",
        {"GetObject"},
        lambda _, request: _changed(refuse(request, 404, "NoSuchBucket"), _half),
        passes=False,
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
        _error(_DYNAMODB, 400, code, passes=False)
        for code in [
            "AccessDeniedException",
            "ResourceNotFoundException",
            "ValidationException",
            "UnrecognizedClientException",
        ]
    ),
    _error_after(_WRITES, 500, "InternalServerError"),
    _error_after(_WRITES, 503, "ServiceUnavailable"),
    _error({"PutItem"}, 400, "TransactionConflictException"),
    _error({"PutItem"}, 400, "ConditionalCheckFailedException")._replace(harmless=frozenset({Lasts.TRY, Lasts.CALL})),
    _error({"TransactWriteItems"}, 400, "TransactionInProgressException"),
    _error({"TransactWriteItems"}, 400, "TransactionCanceledException", **_IN_THE_WAY),
    _error({"TransactWriteItems"}, 400, "TransactionCanceledException", **_TAKEN)._replace(name="400 id taken"),
]


# Connections that break: before the service acts, or after, so that only its answer is lost.


def _broken(name: str, error: Callable[[str], Exception], hangs: str | None = None) -> list[Fault]:
    def strike(wire: Wire, request: AWSPreparedRequest) -> AWSResponse:
        wire.sleep(getattr(wire, hangs) if hangs else 0)
        raise error(request.url)

    def strike_after(wire: Wire, request: AWSPreparedRequest) -> AWSResponse:
        wire.cloud.answer(request)
        return strike(wire, request)

    return [Fault(name, _S3 | _DYNAMODB, strike), Fault(f"{name} after it acted", _WRITES, strike_after)]


_BREAKS = [
    _broken("no connection in time", lambda url: ConnectTimeoutError(endpoint_url=url), "connect_seconds")[0],
    _broken("no connection", lambda url: EndpointConnectionError(endpoint_url=url))[0],
    _broken("no TLS", lambda url: SSLError(endpoint_url=url, error=OSError(SECRET)))[0],
    *_broken("no answer in time", lambda url: ReadTimeoutError(endpoint_url=url), "read_seconds"),
    *_broken("connection reset", lambda url: ConnectionClosedError(endpoint_url=url)),
    *_broken("malformed answer", lambda _: HTTPClientError(error=SECRET)),
]


# Answers that are damaged on their way.


def _changed(answer: AWSResponse, change: Callable[[bytes], bytes], **headers: str) -> AWSResponse:
    return AWSResponse(
        answer.url, answer.status_code, cast("Any", {**answer.headers, **headers}), Raw(change(answer.content))
    )


def _half(body: bytes) -> bytes:
    return body[: len(body) // 2]


def _flip(wire: Wire, request: AWSPreparedRequest) -> AWSResponse:
    """One bit is another than in the object, which its checksum tells, where S3 has one that the SDK knows."""
    answer = wire.cloud.answer(request)
    checksum = base64.b64encode(crc32(answer.content).to_bytes(4, "big")).decode()
    return _changed(answer, lambda body: body[:-1] + bytes([body[-1] ^ 1]), **{"x-amz-checksum-crc32": checksum})


def _damaged(name: str, operations: set[str], change: Callable[[bytes], bytes]) -> Fault:
    return Fault(name, operations, lambda wire, request: _changed(wire.cloud.answer(request), change))


class _BrokenBody(Raw):
    """Breaks when it is read."""

    def __init__(self, wire: Wire, error: Exception) -> None:
        super().__init__()
        self._wire = wire
        self._error = error

    def read(self, *_: object) -> bytes:
        if isinstance(self._error, urllib3.exceptions.ReadTimeoutError):
            self._wire.sleep(self._wire.read_seconds)
        raise self._error


def _broken_body(name: str, error: Exception) -> Fault:
    def strike(wire: Wire, request: AWSPreparedRequest) -> AWSResponse:
        answer = wire.cloud.answer(request)
        return AWSResponse(answer.url, answer.status_code, cast("Any", answer.headers), _BrokenBody(wire, error))

    return Fault(name, {"GetObject"}, strike, needs_object=True)


_DAMAGES = [
    *(
        fault
        for name, change in [("cut short", _half), ("empty", lambda _: b"")]
        for fault in [
            _damaged(name, {"GetItem", "PutItem"}, change),
            # What it says where all went well, nobody reads.
            _damaged(name, {"TransactWriteItems"}, change)._replace(harmless=frozenset(Lasts)),
            _damaged(name, {"GetObject"}, change)._replace(needs_object=True),
        ]
    ),
    Fault("changed on its way", {"GetObject"}, _flip, needs_object=True),
    _broken_body("connection reset within the body", urllib3.exceptions.ProtocolError(SECRET)),
    _broken_body("TLS broken within the body", urllib3.exceptions.SSLError(SECRET)),
    _broken_body("silence within the body", urllib3.exceptions.ReadTimeoutError(cast("Any", None), SECRET, SECRET)),
]


def _hide(wire: Wire, request: AWSPreparedRequest) -> AWSResponse:
    """The object is away, and comes back at once, of which S3 tells."""
    key = unquote(urlsplit(request.url).path).removeprefix("/")
    content = wire.cloud.objects.pop(key)
    answer = wire.cloud.answer(request)
    wire.cloud.objects[key] = content
    wire.cloud.events.append(key)
    return answer


_ABSENCE = Fault("404 NoSuchKey for a moment", {"GetObject"}, _hide, harmless=frozenset(Lasts), needs_object=True)

FAULTS = [*_ERRORS, *_BREAKS, *_DAMAGES, _ABSENCE]
