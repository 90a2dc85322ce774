"""Whatever the services do at whichever call: no photo is lost, no label is wrong, and no invocation takes long.

What may pass is raised, and tried again by the SDK, by Lambda, by the queue or by S3 Batch Operations; what does not
pass in time becomes FAILED through the failure queue; the API says `busy` or `internal_error`.
"""

import itertools
import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from random import Random
from types import SimpleNamespace
from typing import Any, NamedTuple
from urllib.parse import quote_plus

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.response import StreamingBody
from botocore.retries.standard import ExponentialBackoff
from moto import mock_aws

from api_events import api_event
from classifier import uploads
from classifier.errors import Busy
from classifier.records import Classification, Conflict, Records, Row, Source, Status
from classifier.services import Services
from classifier.uploads import PREFIX
from cloud import SECRET, Cloud, etag_of
from conftest import Scale
from local.aws import BUCKET, create_resources
from local.template import read_template
from wire import FAULTS, TIMEOUT, Blow, Calm, Fault, Function, Lasts, Wire
from world import CONTENTS, JUNK, TRIES, Killed, message, notification

Note = Callable[[str, object], None]

GATEWAY_TIMEOUT = 29  # seconds that API Gateway waits
# How often the failure queue delivers an event before that goes to the dead letters.
RECEIVES = read_template()["Resources"]["FailureQueue"]["Properties"]["RedrivePolicy"]["maxReceiveCount"]
WORN = 20  # faults of a wire: trying again costs its client 14 of 500 points, and it does without once they are spent
OLD, NEW, *_ = CONTENTS
LABELS: dict[str | None, str | None] = {etag_of(content): label for content, label in CONTENTS.items()}
STORIES = ["a new photo", "a known photo", "a photo replaced", "a photo deleted", "junk"]
DELAY = ExponentialBackoff.delay_amount


@pytest.fixture(autouse=True)
def _longest_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two tries the SDK waits for a random part of some time; here for all of it."""

    def longest(backoff: Any, context: Any) -> float:
        backoff._random = lambda: 1.0  # noqa: SLF001 - it is bound where the class is defined
        return DELAY(backoff, context)

    monkeypatch.setattr(ExponentialBackoff, "delay_amount", longest)


class Case(NamedTuple):
    """A fault of one kind at one kind of call, on one way in, and what became of the key before."""

    way: str
    story: str
    operation: str
    fault: Fault
    lasts: Lasts

    def __str__(self) -> str:
        return f"{self.way}, {self.story}: {self.fault.name} at {self.operation} for one {self.lasts.name}"


@dataclass
class Account:
    """A bucket with its table, and the function in one execution environment; the services here are undisturbed."""

    cloud: Cloud = field(default_factory=Cloud)
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
        """Have Lambda start another execution environment."""
        services = replace(Services.from_environment(os.environ), threads=1)  # there is one clock
        self.function = Function(services, self.cloud)
        self.wires.append(self.function.wire)

    def put(self, content: bytes) -> str:
        """Upload a file under a new key."""
        key = f"{PREFIX}{next(self.numbers):06}/photo.png"
        self.cloud.objects[key] = content
        return key

    def tell(self, story: str) -> str:
        """Make a key with a past."""
        key = self.put({"a new photo": NEW, "a known photo": NEW, "junk": JUNK}.get(story, OLD))
        if story in {"a known photo", "a photo replaced", "a photo deleted"}:
            uploads.synchronise(BUCKET, key, self.services)
        if story == "a photo replaced":
            self.cloud.objects[key] = NEW
        if story == "a photo deleted":
            del self.cloud.objects[key]
            uploads.synchronise(BUCKET, key, self.services)
        return key

    def known(self, key: str) -> Classification | None:
        """The key's record."""
        return self.services.records.read(key.removeprefix(PREFIX)).classification

    def is_right(self, key: str) -> bool:
        """Whether the record says of the object what there is to say."""
        record, content = self.known(key), self.cloud.objects.get(key)
        if record is None or content is None:
            return record is None and content is None
        code = None if content in CONTENTS else "unsupported_image"
        return _etag(record) == etag_of(content) and (record.label, _code(record)) == (CONTENTS.get(content), code)

    def is_marked(self, key: str) -> bool:
        """Whether the record says that the object failed through a fault of ours."""
        record = self.known(key)
        return (
            record is not None
            and _code(record) == "internal_error"
            and _etag(record) == etag_of(self.cloud.objects[key])
        )

    def lies(self, key: str, *, given_up: bool) -> Iterator[str]:
        """What the record says that is not so, of whichever object."""
        record = self.known(key)
        if record is None:
            return
        if _code(record) == "internal_error":
            if not given_up:
                yield "given up before the last try"
        elif record.label != LABELS.get(_etag(record)):
            self.mislabelled += 1
            yield f"the label is {record.label}, the code {_code(record)}"

    def losses(self, key: str, *, given_up: bool) -> Iterator[str]:
        """What is lost once all is delivered: the record should be right, or say that it was given up on."""
        if not self.is_right(key) and not (given_up and self.is_marked(key)):
            self.lost += 1
            yield f"the record is {self.known(key)}"

    def invoke(self, event: Any) -> Any:
        """The function's answer, None where it failed."""
        try:
            return self.function.invoke(event)
        except (Killed, Exception):
            return None
        finally:
            self.longest = max(self.longest, self.function.wire.seconds)

    def play(self, case: Case) -> list[str]:
        """Let the fault strike; gives what is wrong with what followed."""
        if self.function.wire.strikes > WORN:
            self.restart()
        key = self.tell(case.story) if case.story else ""
        wire = self.function.wire
        wire.calls.clear()
        wire.names = key.removeprefix(PREFIX)
        wire.trouble = Blow(case.operation, case.fault, case.lasts, wire.names)
        return [f"{case}: {what}" for what in WAYS[case.way](self, key, case)]

    def calls(self, way: str, story: str) -> list[str]:
        """The kinds of calls that the function makes about a key, where nothing is wrong."""
        calm = Case(way, story, "", FAULTS[0], Lasts.TRY)
        assert self.play(calm) == []
        return list(dict.fromkeys(self.function.wire.calls))

    def is_failure(self, case: Case) -> bool:
        """Whether the last invocation could not but fail."""
        return self.function.wire.is_lost and case.lasts not in case.fault.harmless


def _code(record: Classification) -> str | None:
    return record.failure.code if record.failure else None


def _etag(record: Classification) -> str | None:
    return record.image.etag if record.image else None


def failed_event(*keys: str) -> dict[str, Any]:
    """What Lambda sends to the failure queue."""
    return {"requestContext": {"condition": "RetriesExhausted"}, "requestPayload": notification(keys)}


# The ways in. Each delivers as AWS does, and yields what is wrong.


def by_event(account: Account, key: str, case: Case) -> Iterator[str]:
    """Lambda's asynchronous invocation, with two keys in the event."""
    other = account.put(NEW)
    for _ in range(TRIES):
        answer = account.invoke(notification((key, other)))
        yield from _judge_delivery(account, key, case, failed=answer is None)
        yield from account.losses(other, given_up=False)
        if answer is not None:
            return (yield from _judge_end(account, key, given_up=False))
    yield from _give_up(account, key)


def by_queue(account: Account, key: str, case: Case) -> Iterator[str]:
    """Messages with S3's events, of which one is about the key; the local system's way."""
    others = [account.put(NEW), account.put(JUNK)]
    batch = [message(number, notification((name,))) for number, name in enumerate([others[0], key, others[1]])]
    for _ in range(TRIES):
        failed = _failed_messages(account, batch)
        yield from _judge_delivery(account, key, case, failed="1" in failed)
        yield from (f"message {number} failed" for number in failed if number != "1")
        yield from itertools.chain.from_iterable(account.losses(other, given_up=False) for other in others)
        if "1" not in failed:
            return (yield from _judge_end(account, key, given_up=False))
    yield from _give_up(account, key)


def by_failure_queue(account: Account, key: str, case: Case) -> Iterator[str]:
    """Messages with events that Lambda gave up on; what fails five times waits until an operator sends it back."""
    other = account.put(NEW)
    batch = [message(number, failed_event(name)) for number, name in enumerate([key, other])]
    for _ in range(RECEIVES):
        failed = _failed_messages(account, batch)
        yield from _judge_delivery(account, key, case, failed="0" in failed, given_up=True)
        yield from (f"message {number} failed" for number in failed if number != "0")
        yield from account.losses(other, given_up=True)
        if "0" not in failed:
            break
    yield from _give_up(account, key)


def by_batch_job(account: Account, key: str, case: Case) -> Iterator[str]:
    """A task of S3 Batch Operations, which tries it again if that may help."""
    task = {"taskId": "1", "s3Bucket": BUCKET, "s3Key": quote_plus(key)}
    job = {"invocationSchemaVersion": "2.0", "invocationId": "1", "tasks": [task]}
    (result,) = account.invoke(job)["results"]
    expected = f"{'Temporary' if case.fault.passes else 'Permanent'}Failure"
    failed = account.is_failure(case)
    if failed and (result["resultCode"] != expected or "log says why" not in result["resultString"]):
        yield f"answered {result}"
    yield from account.lies(key, given_up=False)
    account.function.wire.trouble = Calm()
    (undisturbed,) = account.invoke(job)["results"]
    if not failed and not case.fault.needs_object and result != undisturbed:
        yield f"answered {result}, not {undisturbed}"
    yield from account.losses(key, given_up=False)


def by_request(account: Account, key: str, case: Case) -> Iterator[str]:
    """A request of API Gateway; who gets a 503 tries again."""
    identifier = key.removeprefix(PREFIX)
    request = {
        "POST /predict": api_event("POST", "/predict", body=NEW),
        "POST /classifications": api_event("POST", "/classifications", body=NEW),
        "POST /uploads": api_event("POST", "/uploads", {"files": [{"name": "a", "content_type": "image/png"}] * 2}),
        "GET /classifications": api_event("GET", f"/classifications/{identifier}"),
    }[case.way]
    answer = account.invoke(request)
    failed = account.is_failure(case)
    account.function.wire.trouble = Calm()
    undisturbed = account.invoke(request)
    if failed:
        yield from _judge_refusal(answer, 503 if case.fault.passes else 500)
    elif _gist(answer) != _gist(undisturbed):
        yield f"answered {answer}, not {undisturbed}"
    if case.way == "POST /classifications":
        record = account.services.records.read(json.loads(undisturbed["body"])["id"]).classification
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


def _judge_delivery(account: Account, key: str, case: Case, *, failed: bool, given_up: bool = False) -> Iterator[str]:
    """A delivery fails, so that there is another, exactly where a call was lost for good."""
    if failed != account.is_failure(case):
        yield "an invocation failed for nothing" if failed else "an invocation that could not succeed did not fail"
    yield from account.lies(key, given_up=given_up)


def _give_up(account: Account, key: str) -> Iterator[str]:
    """The fault is over, and the event comes from the failure queue."""
    account.function.wire.trouble = Calm()
    was_right = account.is_right(key)
    yield from _failed_messages(account, [message(0, failed_event(key))])
    if was_right and not account.is_right(key):
        account.lost += 1
        yield "gave up on what was right"
    yield from _judge_end(account, key, given_up=True)


def _judge_end(account: Account, key: str, *, given_up: bool) -> Iterator[str]:
    """All is delivered, and the fault is over; then there is word of the object once more."""
    account.function.wire.trouble = Calm()
    while account.cloud.events:
        account.invoke(notification((account.cloud.events.pop(),)))
    yield from account.losses(key, given_up=given_up)
    account.invoke(notification((key,)))
    yield from account.losses(key, given_up=False)


def _failed_messages(account: Account, batch: list[dict[str, Any]]) -> list[str]:
    answer = account.invoke({"Records": batch})
    if answer is None:
        return [message["messageId"] for message in batch]
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def _judge_refusal(answer: Any, status: int) -> Iterator[str]:
    code = json.loads(answer["body"]).get("error", {}).get("code")
    if (answer["statusCode"], code) != (status, {503: "busy", 500: "internal_error"}[status]):
        yield f"answered {answer}"
    if (status == 503) != ("Retry-After" in answer["multiValueHeaders"]):
        yield "Retry-After"
    if SECRET in answer["body"] or "amazonaws" in answer["body"]:
        yield f"told {answer['body']}"


def _gist(answer: Any) -> Any:
    """What two answers to one request have in common; each POST makes ids and times of its own."""
    content = json.loads(answer["body"])
    return answer["statusCode"], content if "batch_id" not in content or answer["statusCode"] == 200 else None


# All combinations.


def cases(account: Account, way: str, stories: list[str]) -> Iterator[Case]:
    """Each fault at each call that the function makes, for as long as it can last."""
    lasts = list(Lasts) if way in {"event", "queue", "failure queue"} else [Lasts.TRY, Lasts.CALL, Lasts.INVOCATION]
    for story in stories:
        for operation in account.calls(way, story):
            for fault in FAULTS:
                if operation in fault.operations and _may_be(story, fault):
                    yield from (Case(way, story, operation, fault, how_long) for how_long in lasts)


def _may_be(story: str, fault: Fault) -> bool:
    """S3 sends what is new, and does not call it unchanged to who asks with the ETag of what was there before."""
    is_sent = story in {"a new photo", "a photo replaced", "junk"}
    return (is_sent or not fault.needs_object) and not (story == "a photo replaced" and fault.name.startswith("304"))


def the_fault(name: str, operation: str) -> Fault:
    (fault,) = [fault for fault in FAULTS if fault.name == name and operation in fault.operations]
    return fault


def stories_of(way: str) -> list[str]:
    """What a way in can meet; a photo in a request has no past."""
    return [""] if way.startswith("POST") else STORIES


def limit(way: str) -> int:
    """Seconds that an invocation may take."""
    return GATEWAY_TIMEOUT if WAYS[way] is by_request else TIMEOUT


@pytest.mark.parametrize("way", WAYS)
def test_no_fault_loses_a_photo(scale: Scale, record_property: Note, way: str) -> None:
    account = Account()
    every = list(cases(account, way, stories_of(way)))
    chosen = Random(0).sample(every, scale.of(len(every), short=10))

    wrong = [what for case in chosen for what in account.play(case)]

    assert wrong == []
    assert account.longest < limit(way)
    record_property("combinations", len(chosen))
    record_property(f"longest invocation by {way}, in seconds", round(account.longest, 1))
    _note(account, record_property)


def _note(account: Account, record_property: Note) -> None:
    for name, number in {
        "faults": sum(wire.strikes for wire in account.wires),
        "photos": next(account.numbers),
        "photos lost": account.lost,
        "wrong labels": account.mislabelled,
    }.items():
        record_property(name, number)


@dataclass
class Storm:
    """Any fault at any request, by chance."""

    random: Random
    chance: float

    def fault(self, operation: str, *_: object) -> Fault | None:
        if self.random.random() >= self.chance:
            return None
        # What S3 says of an object is true, or nothing would hold.
        fit = [fault for fault in FAULTS if operation in fault.operations and not fault.name.startswith(("304", "404"))]
        return self.random.choice(fit)


def test_no_storm_of_faults_loses_a_photo(scale: Scale, record_property: Note) -> None:
    """In one execution environment, where the SDK gets tired of trying again."""
    account, storm = Account(), Storm(Random(0), chance=0.5)
    photos = scale.of(500, short=15)
    keys = [account.tell(storm.random.choice(STORIES)) for _ in range(photos)]
    dead_letters = []
    wrong: list[str] = []
    for key in keys:
        steps = [notification((key,))] * TRIES + [{"Records": [message(0, failed_event(key))]}] * RECEIVES
        for number, event in enumerate(steps):
            account.function.wire.trouble = storm
            answer = account.invoke(event)
            wrong += account.lies(key, given_up=number >= TRIES)
            if answer is not None and not answer.get("batchItemFailures"):
                break
        else:
            dead_letters.append(key)

    account.function.wire.trouble = Calm()
    assert _failed_messages(account, [message(0, failed_event(*dead_letters))]) == []
    wrong += [what for key in keys for what in account.losses(key, given_up=True)]
    assert account.invoke(notification(tuple(keys))) is not None
    wrong += [what for key in keys for what in account.losses(key, given_up=False)]
    assert wrong == []
    record_property("dead letters sent back", len(dead_letters))
    record_property("longest invocation in a storm, in seconds", round(account.longest, 1))
    _note(account, record_property)


# A queue's batch has one time limit for all of its messages.


def hanging_batch(account: Account) -> list[dict[str, Any]]:
    """Three messages, and seven about whose keys DynamoDB does not answer."""
    keys = [f"{PREFIX}{name}/{number}.png" for name, count in [("good", 3), ("hanging", 7)] for number in range(count)]
    account.cloud.objects |= dict.fromkeys(keys, NEW)
    account.function.wire.trouble = Blow("GetItem", the_fault(SILENCE, "GetItem"), Lasts.TRIES, "hanging/")
    return [message(number, notification((key,))) for number, key in enumerate(keys)]


def test_a_batch_that_hangs_fails_in_time_and_only_what_hangs(record_property: Note) -> None:
    account = Account()

    failed = _failed_messages(account, hanging_batch(account))

    assert failed == ["3", "4", "5", "6", "7", "8", "9"]
    assert account.longest < TIMEOUT
    record_property("longest invocation by a batch that hangs, in seconds", round(account.longest, 1))


def test_without_an_eye_on_the_time_a_batch_that_hangs_fails_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("classifier.uploads._LONGEST_MESSAGE", 0)
    account = Account()

    assert len(_failed_messages(account, hanging_batch(account))) == 10


# What the tests above see where a guard is gone.


def swallow(event: dict[str, Any], services: Services, **options: Any) -> list[Any]:
    with suppress(Exception):
        return SYNCHRONISE_ALL(event, services, **options)
    return []


def stop_at_the_first(event: dict[str, Any], services: Services, **options: Any) -> list[Any]:
    return [uploads.synchronise(bucket, key, services, **options) for bucket, key in uploads._objects(event)]  # noqa: SLF001


def handle_all_or_none(item: dict[str, Any], _: Any, services: Services) -> bool:
    uploads._handle_message(item["body"], services)  # noqa: SLF001
    return True


def write_or_leave_it(records: Records, item: dict[str, Any], replacing: Row) -> None:
    with suppress(Conflict):
        PUT(records, item, replacing)


def take_for_read(records: Records, identifier: str) -> Row:
    try:
        return READ(records, identifier)
    except Busy:
        return Row(identifier, None, None)


def mark_none(*_: Any) -> None:
    pass


def settled_for_good(row: Row, _: str | None) -> str | None:
    return row.classification.image.etag if row.classification and row.classification.image else None


def patient(**options: Any) -> Config:
    return Config(**options | ({"read_timeout": 10} if "read_timeout" in options else {}))


SYNCHRONISE_ALL, PUT, READ = uploads._synchronise_all, Records._put, Records.read  # noqa: SLF001


class Guard(NamedTuple):
    """What keeps a fault from doing harm, what takes its place, and where that shows."""

    place: str
    stand_in: Any
    way: str
    story: str
    operation: str
    fault: str


def never(_: Exception) -> bool:
    return False


def always(_: Exception) -> bool:
    return True


BUSY, DENIED, TAKEN = "503 ServiceUnavailable", "400 AccessDeniedException", "400 id taken"
RACE, SILENCE = "400 ConditionalCheckFailedException", "no answer in time"
GET, POST = "GET /classifications", "POST /classifications"
GUARDS = {
    "what may pass, in a job": ("backfill.may_pass", never, "batch job", "junk", "GetItem", BUSY),
    "what does not, in a job": ("backfill.may_pass", always, "batch job", "junk", "GetItem", DENIED),
    "what may pass, in the API": ("api.may_pass", never, POST, "", "TransactWriteItems", BUSY),
    "what does not, in the API": ("api.may_pass", always, POST, "", "TransactWriteItems", DENIED),
    "an id that is taken": ("api.Conflict", Killed, POST, "", "TransactWriteItems", TAKEN),
    "errors are raised": ("uploads._synchronise_all", swallow, "event", "a new photo", "GetItem", BUSY),
    "an event's other keys": ("uploads._synchronise_all", stop_at_the_first, "event", "junk", "GetItem", BUSY),
    "a queue's other messages": ("uploads._is_handled", handle_all_or_none, "queue", "junk", "GetItem", BUSY),
    "marks of failure": ("uploads.handle_failed_event", mark_none, "event", "a new photo", "GetItem", BUSY),
    "another try after one": ("uploads._settled_etag", settled_for_good, "event", "a new photo", "GetItem", BUSY),
    "lost races": ("records.Records._put", write_or_leave_it, "event", "a photo replaced", "PutItem", RACE),
    "answers that are whole": ("records.Records.read", take_for_read, GET, "a known photo", "GetItem", "cut short"),
    "short patience": ("services.Config", patient, GET, "a new photo", "GetItem", SILENCE),
}


@pytest.mark.parametrize("guard", [pytest.param(Guard(*guard), id=name) for name, guard in GUARDS.items()])
def test_without_a_guard_faults_do_harm(monkeypatch: pytest.MonkeyPatch, guard: Guard) -> None:
    account = Account()
    fault = the_fault(guard.fault, guard.operation)
    chosen = [Case(guard.way, guard.story, guard.operation, fault, lasts) for lasts in Lasts]
    assert [what for case in chosen for what in account.play(case)] == []
    assert account.longest < limit(guard.way)

    monkeypatch.setattr(f"classifier.{guard.place}", guard.stand_in)
    account.restart()

    wrong = [what for case in chosen for what in account.play(case)]
    assert wrong or account.longest >= limit(guard.way)


def test_without_the_sdk_s_check_of_its_length_half_a_photo_is_taken_for_a_damaged_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    account = Account()
    case = Case("event", "a new photo", "GetObject", the_fault("cut short", "GetObject"), Lasts.TRY)
    assert account.play(case) == []

    monkeypatch.setattr(StreamingBody, "_verify_content_length", lambda _: None)

    assert f"{case}: the label is None, the code unreadable_image" in account.play(case)


# The SDK's adaptive mode, and why the function does without.


@dataclass
class Condition:
    """What the adaptive mode waits for, on the wire's clock."""

    account: Account
    lock: Any

    def __enter__(self) -> None:
        self.lock.acquire()

    def __exit__(self, *_: object) -> None:
        self.lock.release()

    def wait(self, seconds: float) -> None:
        self.account.function.wire.sleep(max(seconds, 0.001))  # or it would wait for ever shorter times

    def notify(self) -> None:
        pass


def seconds_after_a_throttle(monkeypatch: pytest.MonkeyPatch, mode: str) -> float:
    """How long a photo takes, ten minutes after one request was throttled, where there is one every minute."""
    minute = 0
    account = Account()
    clock = SimpleNamespace(time=lambda: 60 * minute + account.function.wire.seconds)
    conditions = SimpleNamespace(Lock=threading.Lock, Condition=lambda lock: Condition(account, lock))
    monkeypatch.setattr("botocore.retries.bucket.time", clock)
    monkeypatch.setattr("botocore.retries.bucket.threading", conditions)
    retries = {"mode": mode, "total_max_attempts": 3}
    monkeypatch.setattr(
        "classifier.services.Config",
        lambda **options: Config(**options | ({"retries": retries} if "retries" in options else {})),
    )
    account.restart()
    account.function.wire.trouble = Blow("GetItem", the_fault("400 ThrottlingException", "GetItem"), Lasts.TRY)
    for minute in range(10):  # noqa: B007 - the clock reads it
        assert account.invoke(notification((account.put(NEW),)))
    return account.function.wire.seconds


def test_in_adaptive_mode_photos_would_wait_long_after_a_throttle(
    monkeypatch: pytest.MonkeyPatch, record_property: Note
) -> None:
    """One request that was throttled once slows down all others of its environment, for as long as that lives."""
    seconds = {mode: seconds_after_a_throttle(monkeypatch, mode) for mode in ("standard", "adaptive")}

    assert seconds["standard"] == 0
    assert seconds["adaptive"] > 1
    record_property("wait in adaptive mode after a throttle, in seconds", round(seconds["adaptive"], 1))


# The stand-in for AWS.

RECORD = Classification("a", Status.PENDING, Source.S3, datetime(2026, 1, 31, tzinfo=UTC), scores={})
PLACE: Any = {"Bucket": BUCKET, "Key": f"{PREFIX}a b.png"}
STEPS: list[Callable[[Services], Any]] = [
    lambda services: services.s3.get_object(**PLACE),
    lambda services: services.s3.get_object(**PLACE, IfNoneMatch=f'"{etag_of(NEW)}"'),
    lambda services: services.s3.get_object(**PLACE, IfNoneMatch=f'"{etag_of(OLD)}"'),
    lambda services: services.s3.get_object(Bucket=BUCKET, Key="none"),
    lambda services: services.s3.head_object(**PLACE),
    lambda services: services.s3.head_object(Bucket=BUCKET, Key="none"),
    lambda services: services.records.read("a"),
    lambda services: services.records.write(RECORD, Row("a", "never seen", None)),
    lambda services: services.records.write(RECORD, Row("a", None, None)),
    lambda services: services.records.write(RECORD, Row("a", None, None)),
    lambda services: services.records.write(RECORD, services.records.read("a")),
    lambda services: services.records.read("a"),
    lambda services: services.records.create([replace(RECORD, id="b"), RECORD], RECORD.created_at),
    lambda services: services.records.read("b"),
    lambda services: services.records.create([replace(RECORD, id="b")], datetime(9999, 1, 31, tzinfo=UTC)),
    lambda services: services.records.read("b"),
]


def outcome(step: Callable[[Services], Any], services: Services) -> Any:
    """What a step gives, without what is another every time."""
    try:
        answer = step(services)
    except ClientError as error:
        return error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
    except Conflict as error:
        return type(error)
    if isinstance(answer, dict):
        return answer["ETag"], answer["ContentLength"], answer["Body"].read() if "Body" in answer else None
    return (answer.classification, bool(answer.revision)) if isinstance(answer, Row) else answer


def test_the_stand_in_for_aws_answers_as_moto_does(session: boto3.Session) -> None:
    account = Account()
    account.cloud.objects[PLACE["Key"]] = NEW
    answers = [outcome(step, account.services) for step in STEPS]

    with mock_aws():
        create_resources(session)
        services = Services.from_environment(os.environ)
        services.s3.put_object(**PLACE, Body=NEW)
        assert answers == [outcome(step, services) for step in STEPS]
