"""Whatever AWS does at whichever call: no photo is lost, no label is wrong, and no invocation takes long.

Transient faults are raised, and retried by the SDK, by Lambda, by the queue or by S3 Batch Operations. A fault that
does not end in time makes the record FAILED, by way of the failure queue. The API answers `busy` or `internal_error`.
"""

import itertools
import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from random import Random
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple
from urllib.parse import quote_plus

import boto3
import botocore.endpoint
import botocore.retries.bucket
import botocore.retries.standard
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.response import StreamingBody
from botocore.retries.standard import ExponentialBackoff
from moto import mock_aws

from classifier import api, bucket_events, clients, faults, reconcile
from classifier.classification import Classification, Source, Status
from classifier.errors import Busy
from classifier.keys import batch_of, object_key, photo_id_of
from classifier.records import Conflict, Records, Row
from classifier.services import Services
from local.aws import BUCKET, create_resources
from local.template import read_template
from tests.support.aws_faults import FAULTS
from tests.support.events import api_event, failed_event, message, queue_event, s3_event
from tests.support.in_memory_aws import SECRET, InMemoryAws, etag_of
from tests.support.scale import Scale
from tests.support.simulation import CONTENTS, JUNK, TRIES, Killed
from tests.support.wire import TIMEOUT, Duration, Fault, Function, NoFaults, OneFault, Wire

Note = Callable[[str, object], None]

GATEWAY_TIMEOUT = 29  # seconds; API Gateway's limit
# How often the failure queue delivers an event before it moves it to the dead letters.
RECEIVES = read_template()["Resources"]["FailureQueue"]["Properties"]["RedrivePolicy"]["maxReceiveCount"]
# A client has 500 points for retries, and each retry costs 14. Without points the SDK does not retry. So each client is
# replaced after so many faults.
MAX_FAULTS = 20
OLD, NEW, *_ = CONTENTS
LABELS: dict[str | None, str | None] = {etag_of(content): label for content, label in CONTENTS.items()}
STORIES = ["a new photo", "a known photo", "a photo replaced", "a photo deleted", "junk"]


@pytest.fixture(autouse=True)
def _longest_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two tries the SDK waits for a random part of some time. Make it wait for all of that time."""
    longest = partial(ExponentialBackoff, random=lambda: 1.0)
    monkeypatch.setattr(botocore.retries.standard, "ExponentialBackoff", longest)


class Case(NamedTuple):
    """A fault at one kind of call, on one way in, and the history of the key."""

    way: str
    story: str
    operation: str
    fault: Fault
    duration: Duration
    of_listing: bool = False  # the call is about the listing's row, which is read after the photo's is written

    def __str__(self) -> str:
        operation = f"{self.operation} of the listing" if self.of_listing else self.operation
        return f"{self.way}, {self.story}: {self.fault.name} at {operation}, {self.duration.name}"


@dataclass
class Account:
    """A bucket with its table, and the function in one execution environment. The services here have no faults."""

    aws: InMemoryAws = field(default_factory=InMemoryAws)
    function: Function = field(init=False)
    services: Services = field(init=False)
    numbers: Iterator[int] = field(default_factory=itertools.count)
    lost: int = 0
    mislabelled: int = 0
    wires: list[Wire] = field(default_factory=list)
    longest: float = 0.0

    def __post_init__(self) -> None:
        self.restart()
        self.services = self.function.services
        self.restart()

    def restart(self) -> None:
        """Start another execution environment."""
        self.function = Function(Services.from_environment(os.environ), self.aws)
        self.wires.append(self.function.wire)

    def put(self, content: bytes) -> str:
        """Upload a file under a new key."""
        key = object_key(f"{next(self.numbers):06}/photo.png")
        self.aws.objects[key] = content
        return key

    def prepare(self, story: str) -> str:
        """Make a key with a history."""
        key = self.put({"a new photo": NEW, "a known photo": NEW, "junk": JUNK}.get(story, OLD))
        if story in {"a known photo", "a photo replaced", "a photo deleted"}:
            reconcile.reconcile(BUCKET, key, self.services)
        if story == "a photo replaced":
            self.aws.objects[key] = NEW
        if story == "a photo deleted":
            del self.aws.objects[key]
            reconcile.reconcile(BUCKET, key, self.services)
        return key

    def recorded(self, key: str) -> Classification | None:
        """Return the key's record."""
        return self.services.records.read(photo_id_of(key)).classification

    def is_right(self, key: str) -> bool:
        """Tell whether the record is that of the object."""
        record, content = self.recorded(key), self.aws.objects.get(key)
        if record is None or content is None:
            return record is None and content is None
        code = None if content in CONTENTS else "unsupported_image"
        return _etag(record) == etag_of(content) and (record.label, _code(record)) == (CONTENTS.get(content), code)

    def is_marked(self, key: str) -> bool:
        """Tell whether the record says that the object failed through a fault of the service."""
        record = self.recorded(key)
        return (
            record is not None and _code(record) == "internal_error" and _etag(record) == etag_of(self.aws.objects[key])
        )

    def wrong_labels(self, key: str, *, given_up: bool) -> Iterator[str]:
        """Yield what is wrong with the record, of whichever object it is."""
        record = self.recorded(key)
        if record is None:
            return
        if _code(record) == "internal_error":
            if not given_up:
                yield "FAILED before the last try"
        elif record.label != LABELS.get(_etag(record)):
            self.mislabelled += 1
            yield f"the label is {record.label}, the code {_code(record)}"

    def losses(self, key: str, *, given_up: bool) -> Iterator[str]:
        """Yield what is lost after all deliveries. The record must be right, or may be FAILED if it was given up."""
        if not self.is_right(key) and not (given_up and self.is_marked(key)):
            self.lost += 1
            yield f"the record is {self.recorded(key)}"

    def invoke(self, event: Any) -> Any:
        """Return the function's answer, or None if it failed."""
        try:
            return self.function.invoke(event)
        except (Killed, Exception):
            return None
        finally:
            self.longest = max(self.longest, self.function.wire.seconds)

    def play(self, case: Case) -> list[str]:
        """Play the case. Return what went wrong."""
        if self.function.wire.faults > MAX_FAULTS:
            self.restart()
        key = self.prepare(case.story) if case.story else ""
        wire = self.function.wire
        wire.calls.clear()
        wire.photo = f"{batch_of(photo_id_of(key))}/" if key else ""
        about = f'"{wire.photo}"' if case.of_listing else photo_id_of(key)
        wire.plan = OneFault(case.operation, case.fault, case.duration, about)
        return [f"{case}: {what}" for what in WAYS[case.way](self, key, case)]

    def calls(self, way: str, story: str) -> list[str]:
        """Return the operations that the function calls for a key, without faults."""
        faultless = Case(way, story, "", FAULTS[0], Duration.TRY)
        assert self.play(faultless) == []
        return list(dict.fromkeys(self.function.wire.calls))

    def is_failure(self, case: Case) -> bool:
        """Tell whether the last invocation had to fail. A POST does not try again after a write conflict."""
        is_lost_race = case.fault.name == RACE and case.way.startswith("POST")
        return self.function.wire.is_broken and (is_lost_race or case.duration not in case.fault.harmless)


def _code(record: Classification) -> str | None:
    return record.failure.code if record.failure else None


def _etag(record: Classification) -> str | None:
    return record.image.etag if record.image else None


# The ways in. Each delivers as AWS does, and yields what went wrong.


def by_event(account: Account, key: str, case: Case) -> Iterator[str]:
    """Deliver an event of two keys by Lambda's asynchronous invocation."""
    other = account.put(NEW)
    for _ in range(TRIES):
        answer = account.invoke(s3_event(key, other))
        yield from _check_delivery(account, key, case, failed=answer is None)
        yield from account.losses(other, given_up=False)
        if answer is not None:
            return (yield from _check_end(account, key, given_up=False))
    yield from _give_up(account, key)


def by_queue(account: Account, key: str, case: Case) -> Iterator[str]:
    """Deliver a batch of three messages, of which one is about the key, as the local system does."""
    others = [account.put(NEW), account.put(JUNK)]
    batch = [message(s3_event(name), str(number)) for number, name in enumerate([others[0], key, others[1]])]
    for _ in range(TRIES):
        failed = _failed_messages(account, batch)
        yield from _check_delivery(account, key, case, failed="1" in failed)
        yield from (f"message {number} failed" for number in failed if number != "1")
        yield from itertools.chain.from_iterable(account.losses(other, given_up=False) for other in others)
        if "1" not in failed:
            return (yield from _check_end(account, key, given_up=False))
    yield from _give_up(account, key)


def by_failure_queue(account: Account, key: str, case: Case) -> Iterator[str]:
    """Deliver events that Lambda gave up on. An event that fails too often waits until an operator sends it again."""
    other = account.put(NEW)
    batch = [message(failed_event(name), str(number)) for number, name in enumerate([key, other])]
    for _ in range(RECEIVES):
        failed = _failed_messages(account, batch)
        yield from _check_delivery(account, key, case, failed="0" in failed, given_up=True)
        yield from (f"message {number} failed" for number in failed if number != "0")
        yield from account.losses(other, given_up=True)
        if "0" not in failed:
            break
    yield from _give_up(account, key)


def by_batch_job(account: Account, key: str, case: Case) -> Iterator[str]:
    """Run a task of S3 Batch Operations, which retries temporary failures."""
    task = {"taskId": "1", "s3Bucket": BUCKET, "s3Key": quote_plus(key)}
    job = {"invocationSchemaVersion": "2.0", "invocationId": "1", "tasks": [task]}
    (result,) = account.invoke(job)["results"]
    expected = f"{'Temporary' if case.fault.is_transient else 'Permanent'}Failure"
    failed = account.is_failure(case)
    if failed and (result["resultCode"] != expected or "log says why" not in result["resultString"]):
        yield f"answered {result}"
    yield from account.wrong_labels(key, given_up=False)
    account.function.wire.plan = NoFaults()
    (faultless,) = account.invoke(job)["results"]
    if not failed and not case.fault.needs_object and result != faultless:
        yield f"answered {result}, not {faultless}"
    yield from account.losses(key, given_up=False)


def by_request(account: Account, key: str, case: Case) -> Iterator[str]:
    """Send a request of API Gateway. A client that gets a 503 tries again."""
    request = {
        "POST /predict": api_event("POST", "/predict", body=NEW),
        "POST /classifications": api_event("POST", "/classifications", body=NEW),
        "POST /uploads": api_event("POST", "/uploads", {"files": [{"name": "a", "content_type": "image/png"}] * 2}),
        "GET /classifications": api_event("GET", f"/classifications/{photo_id_of(key)}"),
    }[case.way]
    answer = account.invoke(request)
    failed = account.is_failure(case)
    account.function.wire.plan = NoFaults()
    faultless = account.invoke(request)
    if failed:
        yield from _check_refusal(answer, 503 if case.fault.is_transient else 500)
    elif _comparable(answer) != _comparable(faultless):
        yield f"answered {answer}, not {faultless}"
    if case.way == "POST /classifications":
        record = account.services.records.read(json.loads(faultless["body"])["id"]).classification
        if record is None or record.label != CONTENTS[NEW]:
            account.lost += 1
            yield f"the record is {record}"


WAYS: dict[str, Callable[[Account, str, Case], Iterator[str]]] = {
    "event": by_event,
    "queue": by_queue,
    "failure queue": by_failure_queue,
    "batch job": by_batch_job,
    "POST /predict": by_request,
    "POST /classifications": by_request,
    "POST /uploads": by_request,
    "GET /classifications": by_request,
}


def _check_delivery(account: Account, key: str, case: Case, *, failed: bool, given_up: bool = False) -> Iterator[str]:
    """Check that the delivery failed, and so is repeated, if and only if the fault outlasted the SDK's tries."""
    if failed != account.is_failure(case):
        yield "an invocation failed without a reason" if failed else "an invocation succeeded in spite of the fault"
    yield from account.wrong_labels(key, given_up=given_up)


def _give_up(account: Account, key: str) -> Iterator[str]:
    """End the fault, and deliver the event from the failure queue."""
    account.function.wire.plan = NoFaults()
    was_right = account.is_right(key)
    yield from _failed_messages(account, [message(failed_event(key))])
    if was_right and not account.is_right(key):
        account.lost += 1
        yield "a right record became FAILED"
    yield from _check_end(account, key, given_up=True)


def _check_end(account: Account, key: str, *, given_up: bool) -> Iterator[str]:
    """End the fault, and deliver all events, then one more about the object. Check the record after each."""
    account.function.wire.plan = NoFaults()
    while account.aws.undelivered:
        account.invoke(s3_event(account.aws.undelivered.pop()))
    yield from account.losses(key, given_up=given_up)
    account.invoke(s3_event(key))
    yield from account.losses(key, given_up=False)


def _failed_messages(account: Account, batch: list[dict[str, Any]]) -> list[str]:
    answer = account.invoke(queue_event(*batch))
    if answer is None:
        return [message["messageId"] for message in batch]
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def _check_refusal(answer: Any, status: int) -> Iterator[str]:
    code = json.loads(answer["body"]).get("error", {}).get("code")
    if (answer["statusCode"], code) != (status, {503: "busy", 500: "internal_error"}[status]):
        yield f"answered {answer}"
    if (status == 503) != ("Retry-After" in answer["multiValueHeaders"]):
        yield "Retry-After is missing, or there without a reason"
    if SECRET in answer["body"] or "amazonaws" in answer["body"]:
        yield f"leaked {answer['body']}"


def _comparable(answer: Any) -> Any:
    """Return the part of an answer that is the same each time: a POST makes new ids and times."""
    content = json.loads(answer["body"])
    return answer["statusCode"], content if "batch_id" not in content or answer["statusCode"] == 200 else None


# All combinations.


def cases(account: Account, way: str, stories: list[str]) -> Iterator[Case]:
    """Yield each fault at each call that the function makes, with each duration."""
    is_retried = way in {"event", "queue", "failure queue"}
    durations = list(Duration) if is_retried else [Duration.TRY, Duration.CALL, Duration.INVOCATION]
    for story in stories:
        for operation in account.calls(way, story):
            for fault in FAULTS:
                if operation in fault.operations and not (story == "a photo deleted" and fault.needs_object):
                    yield from (Case(way, story, operation, fault, duration) for duration in durations)
                    if operation == "GetItem" and is_retried and story != "a photo deleted":
                        about_listing = Case(way, story, operation, fault, Duration.TRY, of_listing=True)
                        yield from (about_listing._replace(duration=duration) for duration in durations)


def fault_named(name: str, operation: str) -> Fault:
    (fault,) = [fault for fault in FAULTS if fault.name == name and operation in fault.operations]
    return fault


def stories_of(way: str) -> list[str]:
    """Return the histories that a photo can have on this way in. A photo in a request has none."""
    return [""] if way.startswith("POST") else STORIES


def limit(way: str) -> int:
    """Return how many seconds an invocation may take."""
    return GATEWAY_TIMEOUT if WAYS[way] is by_request else TIMEOUT


@pytest.mark.parametrize("way", WAYS)
def test_no_fault_loses_a_photo(scale: Scale, record_property: Note, way: str) -> None:
    account = Account()
    every = list(cases(account, way, stories_of(way)))
    chosen = Random(0).sample(every, scale.of(len(every), short=10))

    errors = [error for case in chosen for error in account.play(case)]

    assert errors == []
    assert account.longest < limit(way)
    record_property("combinations", len(chosen))
    record_property(f"longest invocation by {way}, in seconds", round(account.longest, 1))
    _note(account, record_property)


def _note(account: Account, record_property: Note) -> None:
    for name, number in {
        "faults": sum(wire.faults for wire in account.wires),
        "photos": next(account.numbers),
        "photos lost": account.lost,
        "wrong labels": account.mislabelled,
    }.items():
        record_property(name, number)


@dataclass
class RandomFaults:
    """Gives any fault to any request, with a probability."""

    random: Random
    probability: float

    def fault(self, operation: str, *_: object) -> Fault | None:
        if self.random.random() >= self.probability:
            return None
        # If S3 answered wrongly that an object is gone, no record could be right.
        possible = [fault for fault in FAULTS if operation in fault.operations and not fault.name.startswith("404")]
        return self.random.choice(possible)


def test_random_faults_lose_no_photo(scale: Scale, record_property: Note) -> None:
    """They happen in one execution environment, where the SDK stops retrying."""
    account, plan = Account(), RandomFaults(Random(0), probability=0.5)
    photos = scale.of(500, short=15)
    keys = [account.prepare(plan.random.choice(STORIES)) for _ in range(photos)]
    dead_letters = []
    errors: list[str] = []
    for key in keys:
        steps = [s3_event(key)] * TRIES + [queue_event(message(failed_event(key)))] * RECEIVES
        for number, event in enumerate(steps):
            account.function.wire.plan = plan
            answer = account.invoke(event)
            errors += account.wrong_labels(key, given_up=number >= TRIES)
            if answer is not None and not answer.get("batchItemFailures"):
                break
        else:
            dead_letters.append(key)

    account.function.wire.plan = NoFaults()
    assert _failed_messages(account, [message(failed_event(*dead_letters))]) == []
    errors += [error for key in keys for error in account.losses(key, given_up=True)]
    assert account.invoke(s3_event(*keys)) is not None
    errors += [error for key in keys for error in account.losses(key, given_up=False)]
    assert errors == []
    record_property("dead letters sent back", len(dead_letters))
    record_property("longest invocation with random faults, in seconds", round(account.longest, 1))
    _note(account, record_property)


# All messages of a queue's batch share one timeout.


def hanging_batch(account: Account) -> list[dict[str, Any]]:
    """Return three messages, and seven about keys for which DynamoDB does not answer."""
    keys = [
        object_key(f"{name}/{number}.png") for name, count in [("good", 3), ("hanging", 7)] for number in range(count)
    ]
    account.aws.objects |= dict.fromkeys(keys, NEW)
    account.function.wire.plan = OneFault("GetItem", fault_named(SILENCE, "GetItem"), Duration.RETRIES, "hanging/")
    return [message(s3_event(key), str(number)) for number, key in enumerate(keys)]


def test_only_messages_that_hang_fail_and_the_batch_ends_in_time(record_property: Note) -> None:
    account = Account()

    failed = _failed_messages(account, hanging_batch(account))

    assert failed == ["3", "4", "5", "6", "7", "8", "9"]
    assert account.longest < TIMEOUT
    record_property("longest invocation by a batch that hangs, in seconds", round(account.longest, 1))


def test_the_whole_batch_fails_if_the_function_ignores_the_remaining_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket_events, "MAX_MESSAGE_MILLISECONDS", 0)
    account = Account()

    assert len(_failed_messages(account, hanging_batch(account))) == 10


# The tests above see the harm where a guard is gone.

HANDLE_S3_EVENT, HANDLE_QUEUE = bucket_events.handle_s3_event, bucket_events.handle_queue
WRITE, READ = Records.write, Records.read
CLIENT_CONFIG = clients.client_config


def ignore_errors(event: dict[str, Any], services: Services) -> dict[str, Any]:
    with suppress(Exception):
        return HANDLE_S3_EVENT(event, services)
    return {}


def stop_at_the_first_error(event: dict[str, Any], services: Services) -> dict[str, Any]:
    for record in event["Records"]:
        HANDLE_S3_EVENT({"Records": [record]}, services)
    return {}


def fail_as_a_whole(event: dict[str, Any], context: Any, services: Services) -> dict[str, Any]:
    answer = HANDLE_QUEUE(event, context, services)
    if answer["batchItemFailures"]:
        raise Busy
    return answer


def mark_none(*_: Any) -> None:
    """Stand in for `handle_failed_event`."""


def settled_after_any_result(known: Classification, _: str | None) -> bool:
    return known.status is not Status.PENDING


def ignore_conflicts(records: Records, classification: Classification, replacing: Row, *options: Any) -> None:
    with suppress(Conflict):
        WRITE(records, classification, replacing, *options)


def take_a_damaged_answer_for_no_row(records: Records, identifier: str) -> Row:
    try:
        return READ(records, identifier)
    except Busy:
        return Row(identifier)


def long_timeouts() -> Config:
    return CLIENT_CONFIG().merge(Config(read_timeout=10))


def never(_: Exception) -> bool:
    return False


def always(_: Exception) -> bool:
    return True


class Guard(NamedTuple):
    """Something that prevents harm, what replaces it, and the case that shows the harm."""

    owner: ModuleType | type
    name: str
    stand_in: Any
    way: str
    story: str
    operation: str
    fault: str


BUSY, DENIED, RACE = "503 ServiceUnavailable", "400 AccessDeniedException", "400 ConditionalCheckFailedException"
SILENCE = "no answer in time"
GET, POST = "GET /classifications", "POST /classifications"
NEW_PHOTO = ("event", "a new photo", "GetItem", BUSY)
GUARDS = {
    "transient faults in a job": Guard(faults, "is_transient", never, "batch job", "junk", "GetItem", BUSY),
    "lasting faults in a job": Guard(faults, "is_transient", always, "batch job", "junk", "GetItem", DENIED),
    "transient faults in the API": Guard(faults, "is_transient", never, POST, "", "PutItem", BUSY),
    "lasting faults in the API": Guard(faults, "is_transient", always, POST, "", "PutItem", DENIED),
    "an id that is taken": Guard(api, "Conflict", Killed, POST, "", "PutItem", RACE),
    "errors are raised": Guard(bucket_events, "handle_s3_event", ignore_errors, *NEW_PHOTO),
    "an event's other keys": Guard(
        bucket_events, "handle_s3_event", stop_at_the_first_error, "event", "junk", "GetItem", BUSY
    ),
    "a queue's other messages": Guard(bucket_events, "handle_queue", fail_as_a_whole, "queue", "junk", "GetItem", BUSY),
    "marks of failure": Guard(bucket_events, "handle_failed_event", mark_none, *NEW_PHOTO),
    "another try after a fault": Guard(reconcile, "is_settled", settled_after_any_result, *NEW_PHOTO),
    "write conflicts": Guard(Records, "write", ignore_conflicts, "event", "a photo replaced", "PutItem", RACE),
    "complete answers": Guard(
        Records, "read", take_a_damaged_answer_for_no_row, GET, "a known photo", "GetItem", "cut short"
    ),
    "short timeouts": Guard(clients, "client_config", long_timeouts, GET, "a new photo", "GetItem", SILENCE),
}


@pytest.mark.parametrize("guard", GUARDS.values(), ids=GUARDS)
def test_faults_do_harm_without_a_guard(monkeypatch: pytest.MonkeyPatch, guard: Guard) -> None:
    account = Account()
    fault = fault_named(guard.fault, guard.operation)
    chosen = [Case(guard.way, guard.story, guard.operation, fault, duration) for duration in Duration]
    assert [error for case in chosen for error in account.play(case)] == []
    assert account.longest < limit(guard.way)

    monkeypatch.setattr(guard.owner, guard.name, guard.stand_in)
    account.restart()

    errors = [error for case in chosen for error in account.play(case)]
    assert errors or account.longest >= limit(guard.way)


def test_half_a_photo_counts_as_damaged_if_the_sdk_does_not_check_its_length(monkeypatch: pytest.MonkeyPatch) -> None:
    account = Account()
    case = Case("event", "a new photo", "GetObject", fault_named("cut short", "GetObject"), Duration.TRY)
    assert account.play(case) == []

    unknown_length: Any = None
    monkeypatch.setattr(botocore.endpoint, "StreamingBody", lambda raw, _: StreamingBody(raw, unknown_length))

    assert f"{case}: the label is None, the code unreadable_image" in account.play(case)


# Why the function does not use the SDK's adaptive retry mode.


@dataclass
class Condition:
    """A condition for which the adaptive mode waits, on the wire's clock."""

    account: Account
    lock: Any

    def __enter__(self) -> None:
        self.lock.acquire()

    def __exit__(self, *_: object) -> None:
        self.lock.release()

    def wait(self, seconds: float) -> None:
        self.account.function.wire.sleep(max(seconds, 0.001))  # otherwise the waits get shorter without an end

    def notify(self) -> None:
        pass


def seconds_after_a_throttle(monkeypatch: pytest.MonkeyPatch, mode: str) -> float:
    """Return how long a photo takes ten minutes after a throttled request, with one photo a minute."""
    minute = 0
    account = Account()
    clock = SimpleNamespace(time=lambda: 60 * minute + account.function.wire.seconds)
    conditions = SimpleNamespace(Lock=threading.Lock, Condition=lambda lock: Condition(account, lock))
    monkeypatch.setattr(botocore.retries.bucket, "time", clock)
    monkeypatch.setattr(botocore.retries.bucket, "threading", conditions)
    retries: Any = {"mode": mode, "total_max_attempts": 3}
    monkeypatch.setattr(clients, "client_config", lambda: CLIENT_CONFIG().merge(Config(retries=retries)))
    account.restart()
    throttled = fault_named("400 ThrottlingException", "GetItem")
    account.function.wire.plan = OneFault("GetItem", throttled, Duration.TRY)
    for minute in range(10):  # noqa: B007 - the clock reads it
        assert account.invoke(s3_event(account.put(NEW)))
    return account.function.wire.seconds


def test_photos_wait_in_adaptive_mode_long_after_a_throttled_request(
    monkeypatch: pytest.MonkeyPatch, record_property: Note
) -> None:
    """One throttled request slows down all later requests of its execution environment."""
    seconds = {mode: seconds_after_a_throttle(monkeypatch, mode) for mode in ("standard", "adaptive")}

    assert seconds["standard"] == 0
    assert seconds["adaptive"] > 1
    record_property("wait in adaptive mode after a throttled request, in seconds", round(seconds["adaptive"], 1))


# AWS in memory.

RECORD = Classification("a", Status.PENDING, Source.S3, datetime(2026, 1, 31, tzinfo=UTC), scores={})
PLACE: Any = {"Bucket": BUCKET, "Key": object_key("a b.png")}
STEPS: list[Callable[[Services], Any]] = [
    lambda services: services.bucket.client.get_object(**PLACE),
    lambda services: services.bucket.client.get_object(Bucket=BUCKET, Key="none"),
    lambda services: services.bucket.client.head_object(**PLACE),
    lambda services: services.bucket.client.head_object(Bucket=BUCKET, Key="none"),
    lambda services: services.records.read("a"),
    lambda services: services.records.write(RECORD, Row("a", {"S": "never seen"})),
    lambda services: services.records.write(RECORD, Row("a")),
    lambda services: services.records.write(RECORD, Row("a")),
    lambda services: services.records.write(RECORD, services.records.read("a")),
    lambda services: services.records.read("a"),
    lambda services: services.records.write(replace(RECORD, id="b"), Row("b"), datetime(9999, 1, 31, tzinfo=UTC)),
    lambda services: services.records.read("b"),
]


def outcome(step: Callable[[Services], Any], services: Services) -> Any:
    """Return the result of a step, without the parts that differ each time."""
    try:
        answer = step(services)
    except ClientError as error:
        return error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
    except Conflict as error:
        return type(error)
    if isinstance(answer, dict):
        return answer["ETag"], answer["ContentLength"], answer["Body"].read() if "Body" in answer else None
    return (answer.classification, bool(answer.revision)) if isinstance(answer, Row) else answer


def test_aws_in_memory_answers_as_moto_does(session: boto3.Session) -> None:
    account = Account()
    account.aws.objects[PLACE["Key"]] = NEW
    answers = [outcome(step, account.services) for step in STEPS]

    with mock_aws():
        create_resources(session)
        services = Services.from_environment(os.environ)
        services.bucket.client.put_object(**PLACE, Body=NEW)
        assert answers == [outcome(step, services) for step in STEPS]
