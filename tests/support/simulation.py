"""A simulation of S3, Lambda and DynamoDB at their worst, in one thread: a seed decides all that happens.

Objects come, change and go. Their events are delivered late, out of order, repeatedly, alone, together or through a
queue. At each call that the function makes to AWS, it may be killed before or after the call, or others may act first:
sellers, and other invocations of the same function, which may be killed in their turn.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any, cast

from botocore.exceptions import ClientError
from PIL import Image

from classifier.classification import Classification
from classifier.keys import photo_id_of
from classifier.model import Prediction
from classifier.services import Services
from local.aws import BUCKET
from tests.support.api import handle
from tests.support.drawings import encoded
from tests.support.events import failed_event, message, queue_event, s3_event
from tests.support.services import map_in_order, replace_parts

TRIES = 3  # of an event, before Lambda sends it to the failure queue
COLOURS = {"dress": "red", "hat": "lime", "pants": "blue"}
CONTENTS = {encoded(Image.new("RGB", (8, 8), colour), "PNG"): label for label, colour in COLOURS.items()}
JUNK = b"just text"
# Fields of an event beside the key. Emulators send none of them, and a version may be gone when its event arrives.
DETAILS: tuple[dict[str, str], ...] = ({}, {"sequencer": "0055AED6DCD90281E5"}, {"sequencer": "0", "versionId": "gone"})


class Killed(BaseException):
    """The function's process is gone. No code of it runs any more, not even a handler of exceptions."""


class ColourModel:
    """Stands in for the model, which would take most of the time. It labels colours, and counts its answers."""

    def __init__(self, services: Services) -> None:
        self.description = services.description
        self.answers = 0

    def predict(self, pixels: Any) -> Prediction:
        self.answers += 1
        label = list(COLOURS)[int(pixels.mean(axis=(0, 1)).argmax())]
        return Prediction({name: float(name == label) for name in COLOURS}, needs_review=False)


@dataclass
class Event:
    """An event about one or more keys, with the number of times that Lambda has tried it."""

    keys: tuple[str, ...]
    tries: int = 0


@dataclass
class Simulation:
    """One bucket with its table, and the function. `disturbance` is the probability that others act at a call."""

    services: Services
    random: Random
    disturbance: float
    keys: tuple[str, ...]
    events: list[Event] = field(default_factory=list)
    failures: list[Event] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    depth: int = 0

    def __post_init__(self) -> None:
        self.model = ColourModel(self.services)
        self.services = replace_parts(self.services, model=self.model, map=map_in_order)

    # What sellers do.

    def put(self) -> None:
        """Upload a file under some key, perhaps the same file as before."""
        key = self.random.choice(self.keys)
        with self._undisturbed():
            self.services.bucket.client.put_object(Bucket=BUCKET, Key=key, Body=self.random.choice([*CONTENTS, JUNK]))
        self.counts["puts"] += 1
        self.events.append(Event((key,)))

    def delete(self) -> None:
        """Delete the object of some key, if it has one, or perhaps only its newest version."""
        key = self.random.choice(self.keys)
        with self._undisturbed():
            newest = self._newest_version(key)
            if newest and self.random.random() < 0.5:
                self.services.bucket.client.delete_object(Bucket=BUCKET, Key=key, VersionId=newest)
            else:
                self.services.bucket.client.delete_object(Bucket=BUCKET, Key=key)
        self.counts["deletions"] += 1
        self.events.append(Event((key,)))

    def _newest_version(self, key: str) -> str | None:
        try:
            return self.services.bucket.client.head_object(Bucket=BUCKET, Key=key).get("VersionId")
        except ClientError:
            return None

    # What AWS does.

    def deliver(self) -> None:
        """Deliver one or more of the waiting events to the function. Some are delivered again later."""
        if not self.events:
            return
        chosen = self.random.sample(self.events, min(len(self.events), self.random.choice([1, 1, 1, 2, 3])))
        self.counts["deliveries"] += len(chosen)
        failed = self._invoke(chosen)
        for event in chosen:
            if event in failed:
                event.tries += 1
                if event.tries == TRIES:
                    self._remove(event)
                    self.failures.append(event)
            elif self.random.random() < 0.7:
                self._remove(event)

    def deliver_failure(self) -> None:
        """Deliver one of the events that Lambda gave up on. It stays in the failure queue if it fails."""
        if not self.failures:
            return
        event = self.random.choice(self.failures)
        self.counts["deliveries"] += 1
        batch = queue_event(message(failed_event(*event.keys, **self._details())))
        if not self._is_killed(lambda: handle(batch, self.services)["batchItemFailures"]):
            self.failures = [other for other in self.failures if other is not event]

    def step(self) -> None:
        """Do any of these."""
        actions = [self.put, self.put, self.delete, self.deliver_failure, *[self.deliver] * 6]
        self.random.choice(actions)()

    def round(self) -> None:
        """Do a few of these, then deliver all that is left without disturbance."""
        for _ in range(self.random.randint(1, 6)):
            self.step()
        self.settle()

    def settle(self) -> None:
        """Deliver all events that are left, without disturbance."""
        disturbance, self.disturbance = self.disturbance, 0
        while self.events or self.failures:
            self.deliver()
            self.deliver_failure()
        self.disturbance = disturbance

    # What everybody sees.

    def expected(self, key: str) -> tuple[str, str] | None:
        """Return label and ETag of the object that the key has now. The label of a file that is no photo is ""."""
        try:
            answer = self.services.bucket.client.get_object(Bucket=BUCKET, Key=key)
        except ClientError:
            return None
        return CONTENTS.get(answer["Body"].read(), ""), answer["ETag"].strip('"')

    def recorded(self, key: str) -> Classification | None:
        """Return the key's record."""
        return self.services.records.read(photo_id_of(key)).classification

    # How the disturbance works.

    @contextmanager
    def disturbed(self) -> Iterator[None]:
        """Let others act at the function's calls to AWS."""
        clients = [self.services.bucket.client, self.services.records.client]
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
        if not 0 < self.depth <= 2 or self.random.random() >= self.disturbance:
            return
        if self.random.random() < 0.3:
            self.counts[f"killed {when} a call"] += 1
            raise Killed
        self.counts[f"acted {when} a call"] += 1
        for _ in range(self.random.randint(1, 4)):
            self.step()

    @contextmanager
    def _undisturbed(self) -> Iterator[None]:
        depth, self.depth = self.depth, 0
        try:
            yield
        finally:
            self.depth = depth

    def _invoke(self, events: list[Event]) -> list[Event]:
        """Hand events to the function in one of AWS's ways. Return those that failed."""
        if self.random.random() < 0.5:
            messages = [message(self._notification(event.keys), str(number)) for number, event in enumerate(events)]
            failed: list[str] = []

            def answer() -> list[Any]:
                failures = handle(queue_event(*messages), self.services)["batchItemFailures"]
                failed.extend(failure["itemIdentifier"] for failure in failures)
                return []

            return events if self._is_killed(answer) else [events[int(number)] for number in failed]
        keys = tuple(key for event in events for key in event.keys)
        return events if self._is_killed(lambda: handle(self._notification(keys), self.services)) else []

    def _notification(self, keys: tuple[str, ...]) -> dict[str, Any]:
        return s3_event(*keys, **self._details())

    def _details(self) -> dict[str, str]:
        return DETAILS[len(self.events) % len(DETAILS)]

    def _is_killed(self, invocation: Any) -> bool:
        """Tell whether the invocation was killed, raised an error, or reported failures."""
        depth = self.depth
        self.depth += 1
        try:
            answer = invocation()
        except (Killed, Exception):
            return True
        finally:
            self.depth = depth
        return bool(answer) if isinstance(answer, list) else False

    def _remove(self, event: Event) -> None:
        self.events = [other for other in self.events if other is not event]


def find_errors(simulation: Simulation) -> list[str]:
    """Return what is wrong in a settled simulation."""
    wrong = []
    for key in simulation.keys:
        expected, record = simulation.expected(key), simulation.recorded(key)
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
