"""Simulates the whole system: from sellers who announce and upload photos to the answers that they read.

S3 sends Lambda an event for each photo, after a delay. Lambda runs the function in an idle execution environment or in
a new one, within its quotas, and tries throttled events again for up to six hours. The function calls DynamoDB and S3,
within theirs, and botocore repeats what was throttled. An event that fails three times goes to the failure queue, from
which the function marks its photo as FAILED. Clients ask for the status once a second, and repeat requests that were
refused. SimPy runs all this as processes, so a day takes seconds.
"""

import itertools
import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import simpy

from benchmarks.usage import LISTING

# Lambda's documentation, "How Lambda handles errors and retries with asynchronous invocation".
_THROTTLED_PAUSE, _LONGEST_THROTTLED_PAUSE = 1.0, 300.0  # seconds between attempts of a throttled event
_FAILED_PAUSES = (60.0, 120.0)  # seconds before the second and the third attempt of an event that failed
_SCALING_SECONDS = 10  # Lambda's growth is a quota for so many seconds
# An execution environment that is idle for so many seconds ends. AWS does not say when. Mikhail Shilkov measured 5 to 7
# minutes: https://mikhail.io/serverless/coldstarts/aws/
_IDLE_SECONDS = 360.0
_RETRY_AFTER = 1.0  # seconds: of a PENDING photo, and of what the function or API Gateway throttles
_LONGEST_BACKOFF = 15.0  # seconds between two attempts of the seller's page
_QUOTA_PAUSE, _FAULT_PAUSE = 3600.0, 5.0  # `Retry-After` of the template's gateway responses
_DAY = 86_400.0
# botocore's standard retry mode (botocore.retries.standard): a retry takes something of a quota of each client, and
# comes after a pause at random up to this scale, which doubles from attempt to attempt.
_RETRY_QUOTA, _RETRY_COST, _THROTTLED_RETRY_COST = 500, 14, 5
_PAUSE_SCALES, _THROTTLED_PAUSE_SCALE = {"table": 0.025, "bucket": 0.05}, 1.0

Process = Generator[Any, Any, Any]


@dataclass(frozen=True)
class Samples:
    """Seconds, of which one is drawn whenever it is needed.

    `invocations` has those of a warm function by kind, and `start` those of its initialization. `environment` is what
    Lambda needs for a new execution environment before that. `event` is the delay of S3's events, `transfer` the upload
    of a photo by its seller. `table` and `bucket` are what a call of DynamoDB or S3 takes in addition to `invocations`.
    """

    invocations: Mapping[str, Sequence[float]]
    start: Sequence[float]
    environment: Sequence[float]
    event: Sequence[float]
    transfer: Sequence[float]
    table: Sequence[float]
    bucket: Sequence[float]


@dataclass(frozen=True)
class Usage:
    """What one invocation takes.

    `partition` and `index` have the write units of the busiest partition and index. `photos` are written at once, each
    to a shard at random.
    """

    photos: int = 1
    partition: float = 0
    index: float = 0
    writes: float = 0
    reads: float = 0
    gets: float = 0


@dataclass(frozen=True)
class Quotas:
    """What AWS and the template allow in a second, but for the three that say otherwise. The defaults allow anything.

    `concurrency` is a number of execution environments, `growth` of new ones in ten seconds, `api_day` of requests in a
    day. `shards` is the number of partitions of the busiest index, and `prefixes` of the bucket's partitions.
    """

    concurrency: float = math.inf
    growth: float = math.inf
    function_requests: float = math.inf
    api_requests: float = math.inf
    api_burst: float = math.inf
    api_day: float = math.inf
    puts: float = math.inf
    gets: float = math.inf
    partition_writes: float = math.inf
    index_writes: float = math.inf
    reads: float = math.inf
    shards: int = 1
    prefixes: int = 1


@dataclass(frozen=True)
class Outage:
    """S3 and DynamoDB do not answer from `begin` to `end`, in seconds."""

    begin: float
    end: float


@dataclass(frozen=True)
class Client:
    """How botocore calls AWS (`clients.py`), and how often events and messages are tried (the template)."""

    call_attempts: int
    read_seconds: float
    event_attempts: int
    event_seconds: float
    receives: int
    visibility_seconds: float


@dataclass
class Seen:
    """What happened.

    `uploads` has the times of the photos' uploads. `waits` has such a time, the seconds until the client read the
    answer, and whether the photo was classified. `throttled` and `first_throttled` have the number of refusals by each
    limit, and the time of the first one. `bill` has amounts by the names of `prices.toml`; Lambda's are in seconds.
    `environments` has their number by second.
    """

    uploads: list[float] = field(default_factory=list)
    waits: list[tuple[float, float, bool]] = field(default_factory=list)
    throttled: Counter[str] = field(default_factory=Counter)
    first_throttled: dict[str, float] = field(default_factory=dict)
    bill: defaultdict[str, float] = field(default_factory=partial(defaultdict, float))
    cold_starts: int = 0
    failed: int = 0
    lost: int = 0
    environments: list[int] = field(default_factory=list)

    def throttle(self, limit: str, now: float) -> None:
        """Count a refusal."""
        self.throttled[limit] += 1
        self.first_throttled.setdefault(limit, now)


class TokenBucket:
    """A limit of so many units a second, of which `burst` can be saved up."""

    def __init__(self, name: str, rate: float, burst: float | None = None) -> None:
        self.name = name
        self._rate, self._burst = rate, rate if burst is None else burst
        self._level, self._time = self._burst, 0.0

    def has(self, units: float, now: float) -> bool:
        """Tell whether so many units can be taken."""
        if self._rate == math.inf:
            return True
        self._level = min(self._burst, self._level + (now - self._time) * self._rate)
        self._time = now
        return self._level >= units

    def take(self, units: float) -> None:
        """Take the units."""
        self._level -= units


@dataclass(eq=False)
class Environment:
    """An execution environment. `quotas` has what is left of the retry quota of each client of AWS."""

    is_new: bool = True
    idle_since: float = 0
    quotas: dict[str, float] = field(default_factory=lambda: dict.fromkeys(_PAUSE_SCALES, _RETRY_QUOTA))


class Environments(Protocol):
    """The execution environments of the function."""

    def acquire(self) -> Process:
        """Take one. The process returns it, or None if the invocation is throttled."""

    def release(self, environment: Environment) -> None:
        """Give it back."""

    def count(self) -> int:
        """Return how many there are."""


class Lambda:
    """Lambda's execution environments: new ones start as they are needed, within the quotas."""

    def __init__(self, env: simpy.Environment, quotas: Quotas, seen: Seen) -> None:
        self._env, self._seen = env, seen
        self._concurrency = quotas.concurrency
        self._growth = TokenBucket("Lambda's growth", quotas.growth / _SCALING_SECONDS, quotas.growth)
        self._idle: list[Environment] = []  # the last one is used first
        self._busy = 0

    def acquire(self) -> Process:
        """Take the environment that was used last, or a new one."""
        yield from ()
        if self._busy >= self._concurrency:
            self._seen.throttle("Lambda's concurrency", self._env.now)
            return None
        if not self._idle:
            if not self._growth.has(1, self._env.now):
                self._seen.throttle(self._growth.name, self._env.now)
                return None
            self._growth.take(1)
        environment = self._idle.pop() if self._idle else Environment()
        self._busy += 1
        return environment

    def release(self, environment: Environment) -> None:
        """Make it idle."""
        self._busy -= 1
        environment.is_new, environment.idle_since = False, self._env.now
        self._idle.append(environment)

    def count(self) -> int:
        """Return how many are busy or idle, once those that were idle for too long have ended."""
        oldest = self._env.now - _IDLE_SECONDS
        ended = sum(1 for _ in itertools.takewhile(lambda one: one.idle_since < oldest, self._idle))
        del self._idle[:ended]
        return self._busy + len(self._idle)


class LocalEnvironments:
    """Those of the local system: a fixed number, for which events and requests wait."""

    def __init__(self, env: simpy.Environment, number: int) -> None:
        self._number = number
        self._idle = simpy.Container(env, number, number)

    def acquire(self) -> Process:
        """Wait for an idle one."""
        yield self._idle.get(1)
        return Environment(is_new=False)

    def release(self, environment: Environment) -> None:  # noqa: ARG002 - they are all alike
        """Make it idle."""
        self._idle.put(1)

    def count(self) -> int:
        """Return the fixed number."""
        return self._number


class System:
    """The system, whose processes sellers start."""

    def __init__(  # noqa: PLR0913 - each is of another kind
        self,
        env: simpy.Environment,
        quotas: Quotas,
        usage: Mapping[str, Usage],
        samples: Samples,
        client: Client,
        *,
        workers: int | None = None,
        outage: Outage | None = None,
        seed: int = 0,
    ) -> None:
        """`workers` is the number of the local system's environments; without it, they are Lambda's."""
        self.env, self.seen, self.random = env, Seen(), random.Random(seed)
        self._usage, self._samples, self._client, self._outage = usage, samples, client, outage
        self._environments: Environments = (
            LocalEnvironments(env, workers) if workers else Lambda(env, quotas, self.seen)
        )
        self._api = TokenBucket("requests to the API in a second", quotas.api_requests, quotas.api_burst)
        self._function_requests = TokenBucket("requests to Lambda", quotas.function_requests)
        self._api_day, self._requests_by_day = quotas.api_day, Counter[int]()
        self._puts = TokenBucket("uploads to an S3 prefix", quotas.puts * quotas.prefixes)
        self._gets = TokenBucket("reads of an S3 prefix", quotas.gets * quotas.prefixes)
        shards = range(quotas.shards)
        self._partitions = [TokenBucket("writes to an index partition", quotas.partition_writes) for _ in shards]
        self._index = TokenBucket("writes to an index", quotas.index_writes)
        self._reads = TokenBucket("reads of the table", quotas.reads)

    # Sellers and their clients.

    def listing(self) -> Process:
        """A seller announces the photos of a listing, and uploads one after the other."""
        yield from self._request("announcement")
        for _ in range(LISTING):
            yield self.env.timeout(self._draw(self._samples.transfer))
            yield from self._put()
            self.env.process(self.photo())

    def photo(self) -> Process:
        """A photo, from the end of its upload until its client has read the answer."""
        uploaded, done = self.env.now, self.env.event()
        self.seen.uploads.append(uploaded)
        self.env.process(self._event(done))
        while True:
            yield from self._request("status")
            if done.triggered:
                break
            yield self.env.timeout(_RETRY_AFTER)
        self.seen.waits.append((uploaded, self.env.now - uploaded, bool(done.value)))

    def _put(self) -> Process:
        for attempt in itertools.count():
            if self._puts.has(1, self.env.now):
                self._puts.take(1)
                self.seen.bill["s3_put"] += 1
                return
            self.seen.throttle(self._puts.name, self.env.now)
            yield self.env.timeout(min(2.0**attempt, _LONGEST_BACKOFF))

    def _request(self, kind: str) -> Process:
        """Send a request until it is answered."""
        for attempt in itertools.count():
            retry_after = yield from self._request_once(kind)
            if retry_after is None:
                return
            yield self.env.timeout(max(retry_after, min(2.0**attempt, _LONGEST_BACKOFF)))

    def _request_once(self, kind: str) -> Process:
        """Send a request. Return None if it is answered, else the seconds of `Retry-After`."""
        now = self.env.now
        day = int(now // _DAY)
        if self._requests_by_day[day] >= self._api_day:
            self.seen.throttle("requests to the API in a day", now)
            return _QUOTA_PAUSE
        if not self._api.has(1, now):
            self.seen.throttle(self._api.name, now)
            return _RETRY_AFTER
        self._api.take(1)
        self._requests_by_day[day] += 1
        self.seen.bill["api_gateway_requests"] += 1
        if not self._function_requests.has(1, now):
            self.seen.throttle(self._function_requests.name, now)
            return _FAULT_PAUSE
        self._function_requests.take(1)
        is_answered = yield from self._invoke(kind)
        if is_answered:
            return None
        return _FAULT_PAUSE if is_answered is None else _RETRY_AFTER

    # The function, and who invokes it with events.

    def _event(self, done: simpy.Event) -> Process:
        """S3's event, until its photo is classified or marked as FAILED."""
        yield self.env.timeout(self._draw(self._samples.event))
        received, failures = self.env.now, 0
        throttled_pause = _THROTTLED_PAUSE
        while self.env.now - received < self._client.event_seconds:
            is_done = yield from self._invoke("upload")
            if is_done:
                done.succeed(value=True)
                return
            if is_done is None:
                yield self.env.timeout(throttled_pause * (0.5 + self.random.random()))
                throttled_pause = min(2 * throttled_pause, _LONGEST_THROTTLED_PAUSE)
                continue
            failures += 1
            if failures == self._client.event_attempts:
                break
            yield self.env.timeout(_FAILED_PAUSES[failures - 1])
        yield from self._failure(done)

    def _failure(self, done: simpy.Event) -> Process:
        """The message of an event that failed, until its photo is marked or the message is a dead letter."""
        for _ in range(self._client.receives):
            if (yield from self._invoke("failed_upload")):
                self.seen.failed += 1
                done.succeed(value=False)
                return
            yield self.env.timeout(self._client.visibility_seconds)
        self.seen.lost += 1

    def _invoke(self, kind: str) -> Process:
        """Invoke the function. Return whether it did its work, or None if Lambda throttles the invocation."""
        environment: Environment | None = yield from self._environments.acquire()
        if environment is None:
            return None
        if environment.is_new:
            self.seen.cold_starts += 1
            yield self.env.timeout(self._draw(self._samples.environment))
        began = self.env.now  # Lambda bills from here
        if environment.is_new:
            yield self.env.timeout(self._draw(self._samples.start))
        is_done = yield from self._handle(kind, environment)
        self._environments.release(environment)
        self.seen.bill["lambda_requests"] += 1
        self.seen.bill["lambda_seconds"] += math.ceil((self.env.now - began) * 1000) / 1000
        return is_done

    def _handle(self, kind: str, environment: Environment) -> Process:
        """Handle the event. Return whether all calls of AWS were answered."""
        usage = self._usage[kind]
        if usage.reads and not (yield from self._call("table", environment, [(self._reads, usage.reads)])):
            return False
        if usage.gets and not (yield from self._call("bucket", environment, [(self._gets, usage.gets)])):
            return False
        yield self.env.timeout(self._draw(self._samples.invocations[kind]))
        if usage.writes:
            partitions = self.random.choices(self._partitions, k=usage.photos)
            writes = [(self._index, usage.index), *((one, usage.partition / usage.photos) for one in partitions)]
            if not (yield from self._call("table", environment, writes)):
                return False
        self.seen.bill["dynamodb_read_units"] += usage.reads
        self.seen.bill["dynamodb_write_units"] += usage.writes
        self.seen.bill["s3_get"] += usage.gets
        return True

    def _call(self, service: str, environment: Environment, takes: Sequence[tuple[TokenBucket, float]]) -> Process:
        """Call the table or the bucket, in several attempts. Return whether one was answered."""
        cost = 0.0
        for attempt in range(self._client.call_attempts):
            now = self.env.now
            if self._outage and self._outage.begin <= now < self._outage.end:
                yield self.env.timeout(self._client.read_seconds)
                cost, scale = _RETRY_COST, _PAUSE_SCALES[service]
            elif refusing := next((limit for limit, units in takes if not limit.has(units, now)), None):
                self.seen.throttle(refusing.name, now)
                cost, scale = _THROTTLED_RETRY_COST, _THROTTLED_PAUSE_SCALE
            else:
                for limit, units in takes:
                    limit.take(units)
                environment.quotas[service] = min(_RETRY_QUOTA, environment.quotas[service] + (cost or 1))
                yield self.env.timeout(self._draw(getattr(self._samples, service)))
                return True
            if attempt + 1 == self._client.call_attempts or environment.quotas[service] < cost:
                break
            environment.quotas[service] -= cost
            yield self.env.timeout(self.random.random() * scale * 2**attempt)
        return False

    def _draw(self, seconds: Sequence[float]) -> float:
        return self.random.choice(seconds)

    def watch(self) -> Process:
        """Note the number of execution environments each second."""
        while True:
            self.seen.environments.append(self._environments.count())
            yield self.env.timeout(1)


def arrive(
    system: System, start: Callable[[], Process], rate: Callable[[float], float], highest: float, seconds: float
) -> Process:
    """Start processes at random times until then, `rate(time)` a second but never more than `highest`.

    This is a Poisson process, thinned from its highest rate (Lewis and Shedler, 1979).
    """
    while True:
        yield system.env.timeout(system.random.expovariate(highest))
        if system.env.now > seconds:
            return
        if system.random.random() * highest < rate(system.env.now):
            system.env.process(start())
