"""A simulation of S3, Lambda and DynamoDB at their worst, in one thread: a seed decides all that happens.

Objects come, change and go. Their events are delivered late, out of order, repeatedly, alone, together or through a
queue. Meanwhile clients of the API announce, confirm and delete photos and listings. At each call that the function
makes to AWS, it may be killed before or after the call, or others may act first: sellers, and other invocations of the
same function, which may be killed in their turn. A client whose request was killed sends it again.
"""

import math
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

from botocore.exceptions import ClientError
from PIL import Image

from classifier.classification import Classification, Confirmation, Person, Status
from classifier.confirmations import confirm, confirm_listing, take_back, take_back_listing
from classifier.deletions import delete_classification, delete_listing
from classifier.errors import NotFound
from classifier.keys import batch_of, object_key, photo_id_of
from classifier.model import Prediction
from classifier.services import Services
from classifier.upload_forms import File, add_to_listing
from local.aws import BUCKET
from tests.support.api import handle
from tests.support.drawings import encoded
from tests.support.events import failed_event, message, queue_event, s3_event
from tests.support.services import map_in_order, replace_parts

MAX_STEPS = 1000  # until all events are delivered
TRIES = 3  # of an event, before Lambda sends it to the failure queue
COLOURS = {"dress": "red", "hat": "lime", "pants": "blue"}
CONTENTS = {encoded(Image.new("RGB", (8, 8), colour), "PNG"): label for label, colour in COLOURS.items()}
JUNK = b"just text"
# Fields of an event beside the key. Emulators send none of them, and a version may be gone when its event arrives.
DETAILS: tuple[dict[str, str], ...] = ({}, {"sequencer": "0055AED6DCD90281E5"}, {"sequencer": "0", "versionId": "gone"})
NOBODY = "nobody"  # has said what a photo or a listing shows
ANSWERS = (*COLOURS, None)


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
class Request:
    """What a client of the API wants, until it has an answer. `is_answered` tells whether that was 404."""

    action: Callable[[], object]
    subject: str  # the key or the listing
    label: str | None = NOBODY
    deletes: bool = False
    is_in_doubt: bool = False  # an attempt was killed or is under way, and nobody knows what it does


class Attempt(NamedTuple):
    """Something that could change what is said of a key or listing, from `start` to `end` on the simulation's clock."""

    subject: str
    label: str | None
    start: int
    end: float
    succeeded: bool


@dataclass
class Simulation:
    """One bucket with its table, and the function. `disturbance` is the probability that others act at a call.

    There is one listing with `photos` keys at a time. Those that the API deletes are replaced by new ones, and are
    `dead`. Without clients of the API, there is no listing.
    """

    services: Services
    random: Random
    disturbance: float
    photos: int
    has_api: bool = True
    listing: str = "listing-0"
    keys: list[str] = field(default_factory=list)
    announced: set[str] = field(default_factory=set)
    dead: deque[str] = field(default_factory=lambda: deque(maxlen=8))
    requests: list[Request] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    now: int = 0
    events: list[Event] = field(default_factory=list)
    failures: list[Event] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    depth: int = 0

    def __post_init__(self) -> None:
        self.model = ColourModel(self.services)
        self.services = replace_parts(self.services, model=self.model, map=map_in_order)
        self._add_keys()

    def _add_keys(self) -> None:
        while len(self.keys) < self.photos:
            self.keys.append(self._new_key())

    def _new_key(self) -> str:
        self.counts["keys"] += 1
        return object_key(f"{self.listing}/{self.counts['keys']}.png" if self.has_api else f"{self.counts['keys']}.png")

    # What sellers do.

    def put(self) -> None:
        """Upload a file under some key, perhaps the same file as before, perhaps under one that was deleted."""
        key = self.random.choice(self.keys)
        if self.dead and self.random.random() < 0.2:
            key = self.random.choice(self.dead)
        self._forget_answers(key)
        with self._undisturbed():
            self.services.bucket.client.put_object(Bucket=BUCKET, Key=key, Body=self.random.choice([*CONTENTS, JUNK]))
        self.counts["puts"] += 1
        self.events.append(Event((key,)))

    def delete(self) -> None:
        """Delete the object of some key, if it has one, or perhaps only its newest version."""
        key = self.random.choice(self.keys)
        self._forget_answers(key)
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

    def _forget_answers(self, key: str) -> None:
        """Note that what is said of the photo may be forgotten, until all events have been delivered."""
        self.attempts.append(Attempt(key, NOBODY, self._tick(), math.inf, succeeded=False))

    # What clients of the API do.

    def request(self) -> None:
        """Send one of the requests that change something, or one that was killed before."""
        if self.requests and self.random.random() < 0.5:
            self._send(self.random.choice(self.requests))
        else:
            of_photos = [self.answer, self.answer, self.take_back, self.announce, self.delete_photo]
            of_listings = [self.answer_listing, self.take_back_listing]
            self.random.choice([*of_photos, *of_listings, *of_photos, *of_listings, self.delete_listing])()

    def answer(self) -> None:
        """Say what a photo shows."""
        key, label = self.random.choice(self.keys), self.random.choice(ANSWERS)
        self._begin(Request(lambda: confirm(photo_id_of(key), label, Person.SELLER, self.services), key, label))

    def take_back(self) -> None:
        """Take back what was said of a photo."""
        key = self.random.choice(self.keys)
        self._begin(Request(lambda: take_back(photo_id_of(key), self.services), key))

    def answer_listing(self) -> None:
        """Say what the listing shows."""
        listing, label = self.listing, self.random.choice(ANSWERS)
        self._begin(Request(lambda: confirm_listing(listing, label, Person.SELLER, self.services), listing, label))

    def take_back_listing(self) -> None:
        """Take back what was said of the listing."""
        listing = self.listing
        self._begin(Request(lambda: take_back_listing(listing, self.services), listing))

    def announce(self) -> None:
        """Announce another photo of the listing, whose form sellers may use."""
        listing, key = self.listing, self._new_key()
        file = File(key.rpartition("/")[2], "image/png")

        def send() -> None:
            self.announced.add(key)
            for item in add_to_listing([file], listing, None, self.services)["items"]:
                self.announced.add(object_key(item["id"]))
                if listing == self.listing:
                    self.keys = [*self.keys[1:], object_key(item["id"])]

        self._begin(Request(send, f"announcement of {key}"))

    def delete_photo(self) -> None:
        """Delete a photo."""
        key = self.random.choice(self.keys)
        self._begin(Request(lambda: delete_classification(photo_id_of(key), self.services), key, deletes=True))

    def delete_listing(self) -> None:
        """Delete the listing."""
        listing = self.listing
        self._begin(Request(lambda: delete_listing(listing, self.services), listing, deletes=True))

    def _begin(self, request: Request) -> None:
        self.requests.append(request)
        self._send(request)

    def _send(self, request: Request) -> None:
        """Send the request. It is sent again if it gets no answer."""
        start, outcome = self._tick(), [NotFound]
        is_in_doubt, request.is_in_doubt = request.is_in_doubt, True

        def act() -> None:
            try:
                request.action()
            except NotFound:
                return
            outcome.clear()

        self.counts["requests"] += 1
        is_killed = self._is_killed(act)
        succeeded = not is_killed and not outcome
        self.attempts.append(Attempt(request.subject, request.label, start, self._tick(), succeeded))
        request.is_in_doubt = is_in_doubt or is_killed
        if is_killed:
            return
        self.requests = [other for other in self.requests if other is not request]
        if request.deletes and (succeeded or request.is_in_doubt):
            self._retire(request.subject, is_dead=succeeded)

    def _send_undisturbed(self, request: Request) -> None:
        """Send a request that must get an answer now."""
        self._send(request)
        if request in self.requests:
            self.unanswered.append(request.subject)
            self.requests.remove(request)

    def _retire(self, subject: str, *, is_dead: bool) -> None:
        """Use other keys from now on. Those of the subject must be gone for good, if it `is_dead`."""
        keys = {key for key in {*self.keys, *self.announced} if subject in {key, batch_of(photo_id_of(key))}}
        if subject == self.listing:
            keys.add(self._new_key())  # nobody has seen it
            self.listing = f"listing-{self.counts['keys']}"
        self.keys = [key for key in self.keys if key not in keys]
        self.announced -= keys
        self._add_keys()
        self.events += [Event((key,)) for key in sorted(keys)]
        if is_dead:
            self.dead += sorted(keys)

    def _tick(self) -> int:
        self.now += 1
        return self.now

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
        actions += [self.request] * self.has_api
        self.random.choice(actions)()

    def round(self) -> None:
        """Do a few of these, then deliver all that is left without disturbance."""
        for _ in range(self.random.randint(1, 6)):
            self.step()
        self.settle()

    def settle(self) -> None:
        """Deliver all events and send all requests that are left, without disturbance."""
        disturbance, self.disturbance = self.disturbance, 0
        steps = 0
        while self.events or self.failures or self.requests:
            steps += 1
            assert steps < MAX_STEPS, "the events do not end"
            self.deliver()
            self.deliver_failure()
            if self.requests:
                self._send_undisturbed(self.random.choice(self.requests))
        self.disturbance = disturbance
        now = self._tick()
        current = [attempt for attempt in self.attempts if attempt.subject in {*self.keys, self.listing}]
        self.attempts = [attempt._replace(end=min(attempt.end, now)) for attempt in current]
        self.attempts = [attempt for attempt in self.attempts if not self._is_overruled(attempt)]

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

    def listing_answer(self) -> Confirmation | None:
        """Return what the table holds of the listing."""
        return self.services.records.read_listing(self.listing).confirmation

    def possible_answers(self, subject: str) -> set[str | None]:
        """Return what may be said of a key or listing: no request was answered that began after it was said."""
        labels = [attempt.label for attempt in self.attempts if attempt.subject == subject]
        is_old = any(attempt.subject == subject and attempt.succeeded for attempt in self.attempts)
        return {*labels, *([] if is_old else [NOBODY])}

    def _is_overruled(self, attempt: Attempt) -> bool:
        return any(
            other.subject == attempt.subject and other.succeeded and other.start > attempt.end
            for other in self.attempts
        )

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
    wrong = [f"a request got no answer: {subject}" for subject in simulation.unanswered]
    wrong += [f"{key} was deleted and is in the bucket" for key in simulation.dead if simulation.expected(key)]
    wrong += [f"{key} was deleted and has a record" for key in simulation.dead if simulation.recorded(key)]
    said = simulation.listing_answer()
    if label_of(said) not in simulation.possible_answers(simulation.listing):
        wrong.append(f"{simulation.listing} is said to be {label_of(said)}")
    for key in simulation.keys:
        wrong += _find_errors_of_key(simulation, key)
        wrong += _find_wrong_answers(simulation, key, said)
    return wrong


def label_of(confirmation: Confirmation | None) -> str | None:
    """Return the label that somebody said, or that nobody did."""
    return NOBODY if confirmation is None else confirmation.label


def _find_wrong_answers(simulation: Simulation, key: str, of_listing: Confirmation | None) -> Iterator[str]:
    """Yield what is wrong about the confirmation of a key: its own one holds, else that of the listing."""
    record = simulation.recorded(key)
    if record is None:
        return
    own = None if record.confirmation and record.confirmation.of_listing else record.confirmation
    if label_of(own) not in simulation.possible_answers(key):
        yield f"{key} is said to be {label_of(own)}"
    has_arrived = record.status is not Status.PENDING
    if own is None and has_arrived and label_of(record.confirmation) != label_of(of_listing):
        yield f"{key} is said to be {label_of(record.confirmation)}, its listing {label_of(of_listing)}"


def _find_errors_of_key(simulation: Simulation, key: str) -> Iterator[str]:
    expected, record = simulation.expected(key), simulation.recorded(key)
    if expected is None:
        if record is not None and not (record.status is Status.PENDING and key in simulation.announced):
            yield f"{key} is gone, its record says {record.label}"
        return
    label, etag = expected
    if record is None:
        yield f"{key} holds {label!r} and has no record"
    elif record.image is None:
        yield f"{key} is still {record.status}"
    elif record.label != (label or None) and (record.failure is None or record.failure.code != "internal_error"):
        yield f"{key} holds {label!r}, its record says {record.label}"
    elif record.image.etag != etag:
        yield f"{key}: the record is of another object"
