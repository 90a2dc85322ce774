"""S3, Lambda and DynamoDB at their worst, within one thread: what a seed decides, happens again.

Objects come, change and go; their events are delivered late, out of order, more than once, alone, many in one or
through a queue; at every call that the function makes to AWS it may be killed before or after the call, or others may
act first: sellers, and other invocations of the same function, which may be killed in their turn.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from types import MappingProxyType
from typing import Any, cast
from urllib.parse import quote_plus

from botocore.exceptions import ClientError
from PIL import Image

from classifier.model import Prediction
from classifier.records import Classification
from classifier.services import Services
from classifier.uploads import PREFIX
from conftest import handle
from drawing import encoded
from local.aws import BUCKET

TRIES = 3  # of an event, before Lambda sends it to the failure queue
COLOURS = {"dress": "red", "hat": "lime", "pants": "blue"}
CONTENTS = {encoded(Image.new("RGB", (8, 8), colour), "PNG"): label for label, colour in COLOURS.items()}
JUNK = b"just text"
# What an event may say beside the key: emulators leave it all out, and a version may be gone when its event comes.
DETAILS: tuple[dict[str, str], ...] = ({}, {"sequencer": "0055AED6DCD90281E5"}, {"sequencer": "0", "versionId": "gone"})


class Killed(BaseException):
    """The function's process is gone: nothing of it runs any more, no handler of exceptions either."""


class ColourModel:
    """Stands in for the model, which would take most of the time, and counts. Colours are labels."""

    def __init__(self, services: Services) -> None:
        self.description = services.description
        self.answers = 0

    def predict(self, pixels: Any) -> Prediction:
        self.answers += 1
        label = list(COLOURS)[int(pixels.mean(axis=(0, 1)).argmax())]
        return Prediction({name: float(name == label) for name in COLOURS}, needs_review=False)


@dataclass
class Event:
    """Word of one or more keys, which Lambda has tried to bring to the function so many times."""

    keys: tuple[str, ...]
    tries: int = 0


@dataclass
class World:
    """One bucket with its table, and the function. `unrest` is the chance that something happens at a call."""

    services: Services
    random: Random
    unrest: float
    keys: tuple[str, ...]
    events: list[Event] = field(default_factory=list)
    failures: list[Event] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    depth: int = 0

    def __post_init__(self) -> None:
        self.model = ColourModel(self.services)
        vars(self.services)["model"] = self.model

    # What sellers do.

    def put(self) -> None:
        """Upload to some key something, maybe what it holds already."""
        key = self.random.choice(self.keys)
        with self._outside():
            self.services.s3.put_object(Bucket=BUCKET, Key=key, Body=self.random.choice([*CONTENTS, JUNK]))
        self.counts["puts"] += 1
        self.events.append(Event((key,)))

    def delete(self) -> None:
        """Delete the object of some key, if it has one; where there are versions, maybe only the newest."""
        key = self.random.choice(self.keys)
        with self._outside():
            newest = self._newest_version(key)
            if newest and self.random.random() < 0.5:
                self.services.s3.delete_object(Bucket=BUCKET, Key=key, VersionId=newest)
            else:
                self.services.s3.delete_object(Bucket=BUCKET, Key=key)
        self.counts["deletions"] += 1
        self.events.append(Event((key,)))

    def _newest_version(self, key: str) -> str | None:
        try:
            return self.services.s3.head_object(Bucket=BUCKET, Key=key).get("VersionId")
        except ClientError:
            return None

    # What AWS does.

    def deliver(self) -> None:
        """Bring one of the waiting events to the function, or several at once; maybe not for the last time."""
        if not self.events:
            return
        chosen = self.random.sample(self.events, min(len(self.events), self.random.choice([1, 1, 1, 2, 3])))
        self.counts["deliveries"] += len(chosen)
        failed = self._invoke(chosen)
        for event in chosen:
            if event in failed:
                event.tries += 1
                if event.tries == TRIES:
                    self._forget(event)
                    self.failures.append(event)
            elif self.random.random() < 0.7:
                self._forget(event)

    def give_up(self) -> None:
        """Bring one of the failed events to the function, until it gets through."""
        if not self.failures:
            return
        event = self.random.choice(self.failures)
        self.counts["deliveries"] += 1
        record = {"requestContext": {"condition": "RetriesExhausted"}, "requestPayload": self._notification(event.keys)}
        if not self._is_killed(lambda: handle({"Records": [message(0, record)]}, self.services)["batchItemFailures"]):
            self.failures = [other for other in self.failures if other is not event]

    def step(self) -> None:
        """Any of these."""
        actions = [self.put, self.put, self.delete, self.give_up, *[self.deliver] * 6]
        self.random.choice(actions)()

    def round(self) -> None:
        """A few of these, and then all that is left is delivered, undisturbed."""
        for _ in range(self.random.randint(1, 6)):
            self.step()
        self.settle()

    def settle(self) -> None:
        """Deliver all that is left, undisturbed."""
        unrest, self.unrest = self.unrest, 0
        while self.events or self.failures:
            self.deliver()
            self.give_up()
        self.unrest = unrest

    # What everybody sees.

    def expected(self, key: str) -> tuple[str, str] | None:
        """Label and ETag of the object that the key holds now; the label is "" for one that is no photo."""
        try:
            answer = self.services.s3.get_object(Bucket=BUCKET, Key=key)
        except ClientError:
            return None
        return CONTENTS.get(answer["Body"].read(), ""), answer["ETag"].strip('"')

    def known(self, key: str) -> Classification | None:
        """The key's record."""
        return self.services.records.read(key.removeprefix(PREFIX)).classification

    # How it happens.

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Let things happen at the function's calls."""
        clients = [self.services.s3, self.services.records._client]  # noqa: SLF001 - who calls AWS
        for client in clients:
            client.meta.events.register("before-call.*.*", self._before)
            client.meta.events.register("after-call.*.*", self._after)
        try:
            yield
        finally:
            for client in clients:
                client.meta.events.unregister("before-call.*.*", self._before)
                client.meta.events.unregister("after-call.*.*", self._after)

    def _before(self, **_: Any) -> None:
        self._disturb("before")

    def _after(self, http_response: Any, parsed: Any, **_: Any) -> None:
        if parsed.get("Error", {}).get("Code") == "ConditionalCheckFailedException":
            self.counts["conflicts"] += 1
        self._disturb("after")

    def _disturb(self, when: str) -> None:
        if not 0 < self.depth <= 2 or self.random.random() >= self.unrest:
            return
        if self.random.random() < 0.3:
            self.counts[f"killed {when} a call"] += 1
            raise Killed
        self.counts[f"acted {when} a call"] += 1
        for _ in range(self.random.randint(1, 4)):
            self.step()

    @contextmanager
    def _outside(self) -> Iterator[None]:
        depth, self.depth = self.depth, 0
        try:
            yield
        finally:
            self.depth = depth

    def _invoke(self, events: list[Event]) -> list[Event]:
        """Hand events to the function in one of the ways that AWS does; gives those that failed."""
        if self.random.random() < 0.5:
            messages = [message(number, self._notification(event.keys)) for number, event in enumerate(events)]
            failed: list[str] = []

            def answer() -> list[Any]:
                failures = handle({"Records": messages}, self.services)["batchItemFailures"]
                failed.extend(failure["itemIdentifier"] for failure in failures)
                return []

            return events if self._is_killed(answer) else [events[int(number)] for number in failed]
        keys = tuple(key for event in events for key in event.keys)
        return events if self._is_killed(lambda: handle(self._notification(keys), self.services)) else []

    def _notification(self, keys: tuple[str, ...]) -> dict[str, Any]:
        return notification(keys, DETAILS[len(self.events) % len(DETAILS)])

    def _is_killed(self, invocation: Any) -> bool:
        """Whether the invocation ended before its end, or failed."""
        depth = self.depth
        self.depth += 1
        try:
            answer = invocation()
        except (Killed, Exception):
            return True
        finally:
            self.depth = depth
        return bool(answer) if isinstance(answer, list) else False

    def _forget(self, event: Event) -> None:
        self.events = [other for other in self.events if other is not event]


def notification(keys: tuple[str, ...], details: Mapping[str, str] = MappingProxyType({})) -> dict[str, Any]:
    """S3's event; `details` are what else it says of each object."""
    return {
        "Records": [
            {
                "eventSource": "aws:s3",
                "s3": {"bucket": {"name": BUCKET}, "object": {"key": quote_plus(key), **details}},
            }
            for key in keys
        ]
    }


def message(number: int, body: Any) -> dict[str, Any]:
    """As the queue delivers it."""
    return {"messageId": str(number), "eventSource": "aws:sqs", "body": json.dumps(body)}


def faults(world: World) -> list[str]:
    """What is wrong in a settled world."""
    wrong = []
    for key in world.keys:
        expected, record = world.expected(key), world.known(key)
        if expected is None:
            if record is not None:
                wrong.append(f"{key} is gone, its record says {record.label}")
            continue
        label, etag = expected
        if record is None:
            wrong.append(f"{key} holds {label!r} and has no record")
        elif record.label != (label or None) and (record.failure is None or record.failure.code != "internal_error"):
            wrong.append(f"{key} holds {label!r}, its record says {record.label}")
        elif cast("Any", record.image).etag != etag:
            wrong.append(f"{key}: the record is of another object")
    return wrong
