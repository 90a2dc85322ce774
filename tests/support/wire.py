"""The network between the SDK and AWS. On it, answers turn into errors, get lost or damaged, and connections break.

It works in botocore's event `before-send`, below the SDK's retries, parsers and error classes: botocore takes a
handler's answer for one from the network. Time is counted, not spent: the SDK's pauses between its tries, and a
connection that hangs, move a clock of the wire's own. Lambda's remaining time follows that clock.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from types import SimpleNamespace
from typing import Any, NamedTuple, Protocol, cast
from unittest.mock import patch
from urllib.parse import unquote

import botocore.endpoint
from botocore.awsrequest import AWSPreparedRequest, AWSResponse

from classifier.app import dispatch
from classifier.services import Services
from local.function import Context
from local.template import read_template
from tests.support.in_memory_aws import InMemoryAws
from tests.support.services import map_in_order, replace_parts
from tests.support.simulation import ColourModel, Killed

TIMEOUT = read_template()["Resources"]["ClassifierFunction"]["Properties"]["Timeout"]  # seconds


class Duration(Enum):
    """How long a fault lasts, from the first request that meets it."""

    TRY = auto()
    CALL = auto()  # all tries that the SDK makes of the call
    INVOCATION = auto()
    RETRIES = auto()  # all invocations, until Lambda or the queue gives up


class Fault(NamedTuple):
    """One way in which a call fails. `answer` returns what the SDK receives, or raises."""

    name: str
    operations: set[str]
    answer: "Callable[[Wire, AWSPreparedRequest], AWSResponse]"
    is_transient: bool = True
    harmless: frozenset[Duration] = frozenset()  # durations at which no invocation fails
    needs_object: bool = False  # it happens only where S3 sends an object


class FaultPlan(Protocol):
    """Decides which requests fail."""

    def fault(self, operation: str, text: str, call: str, invocation: int) -> Fault | None:
        """Return the fault of a request. `text` is its URL and body; all tries of a call have the name `call`."""


class NoFaults:
    """Lets all requests through."""

    def fault(self, operation: str, text: str, call: str, invocation: int) -> None:
        """Return none."""


@dataclass
class OneFault:
    """Gives one fault, for a duration, to one operation's requests whose text contains `photo`."""

    operation: str
    kind: Fault
    duration: Duration
    photo: str = ""
    _first: tuple[str, int] | None = None

    def fault(self, operation: str, text: str, call: str, invocation: int) -> Fault | None:
        if operation != self.operation or self.photo not in text:
            return None
        is_first = self._first is None
        self._first = first_call, first_invocation = self._first or (call, invocation)
        lasts = {
            Duration.TRY: is_first,
            Duration.CALL: call == first_call,
            Duration.INVOCATION: invocation == first_invocation,
            Duration.RETRIES: True,
        }
        return self.kind if lasts[self.duration] else None


@dataclass
class Wire:
    """Carries a client's requests to AWS. `photo` is contained in the text of requests about the photo under test."""

    aws: InMemoryAws
    connect_seconds: float
    read_seconds: float
    plan: FaultPlan = field(default_factory=NoFaults)
    photo: str = ""
    calls: list[str] = field(default_factory=list)
    faults: int = 0
    is_broken: bool = False  # the last request about the photo failed, so that the function cannot go on
    invocation: int = 0
    seconds: float = 0.0

    def begin(self) -> None:
        """Begin another invocation."""
        self.invocation += 1
        self.seconds = 0.0
        self.is_broken = False

    def sleep(self, seconds: float) -> None:
        """Let time pass. Lambda ends an invocation that takes too long."""
        self.seconds += seconds
        if self.seconds >= TIMEOUT:
            raise Killed

    def send(self, event_name: str, request: AWSPreparedRequest, **_: object) -> AWSResponse:
        """Answer botocore's event `before-send`."""
        operation = event_name.rpartition(".")[2]
        text = f"{unquote(request.url)} {request.body!r}"
        fault = self.plan.fault(operation, text, str(request.headers["amz-sdk-invocation-id"]), self.invocation)
        if self.photo in text:
            self.calls.append(operation)
            self.is_broken = fault is not None
        if not fault:
            return self.aws.answer(request)
        self.faults += 1
        return fault.answer(self, request)


class WireContext(Context):
    """Lambda's context on the wire's clock."""

    def __init__(self, wire: Wire) -> None:
        super().__init__()
        self._wire = wire

    def get_remaining_time_in_millis(self) -> int:
        return int((TIMEOUT - self._wire.seconds) * 1000)


class Function:
    """The function in a new execution environment. All of its requests to AWS go through a wire."""

    def __init__(self, services: Services, aws: InMemoryAws) -> None:
        """Connect the services' clients, which nobody else may use, to the wire."""
        clients: list[Any] = [services.bucket.client, services.records.client]
        config = clients[0].meta.config
        self.wire = Wire(aws, config.connect_timeout, config.read_timeout)
        self.services = replace_parts(services, model=ColourModel(services), map=map_in_order)
        for client in clients:
            client.meta.events.register("before-send", self.wire.send)

    def invoke(self, event: Any) -> Any:
        """Return the function's answer. Raise its errors, and `Killed` if it takes too long."""
        self.wire.begin()
        # botocore.endpoint uses `time` only for the pause between two tries.
        with patch.object(botocore.endpoint, "time", SimpleNamespace(sleep=self.wire.sleep)):
            return dispatch(event, cast("Any", WireContext(self.wire)), self.services)
