"""The scenarios of `docs/scale.md`: several rates of photos, a day, a burst, and outages of AWS.

The durations of the function were measured: `durations.json`, by `make bench-container`. What an invocation takes from
DynamoDB and S3 is in `usage.json`, and AWS's quotas and prices in `prices.toml`. What nobody but AWS can measure is
assumed, and the page says so. `load.json` has waits on the local system, with which the simulation is compared.
"""

import math
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import simpy

from benchmarks.costs import busiest_table_or_index, read_parameter
from benchmarks.durations import ASSUMPTIONS, draw_uploads, read_starts
from benchmarks.figures import read_figures
from benchmarks.prices import read_prices
from benchmarks.simulation import Client, Outage, Quotas, Samples, Seen, System, Usage, arrive
from benchmarks.usage import LISTING
from classifier.clients import client_config
from local.template import function_settings, resource_properties

_SEED = 0
HOUR, DAY = 3600, 86_400  # seconds
BURST = (300, 420)  # when it begins and ends


@dataclass(frozen=True)
class Account:
    """What AWS and the template allow. A shop with several stacks sends the same part of its photos to each."""

    name: str
    what: str
    quotas: Quotas
    stacks: int = 1


@dataclass(frozen=True)
class Scenario:
    """Photos that arrive in an account, `rate(time)` a second until `seconds`.

    The simulation goes on for `after` seconds. Waits count from `since`. S3's events take `event_factor` times as long
    as assumed.
    """

    name: str
    account: Account
    rate: Callable[[float], float]
    highest: float
    seconds: float
    after: float
    since: float = 0
    outage: Outage | None = None
    event_factor: float = 1


def read_quota(name: str) -> float:
    """Return the value of a quota of `prices.toml`."""
    return read_prices().quotas[name].value


def most_shards() -> int:
    """Return the most shards that the template allows."""
    return read_parameter("IndexShards", "MaxValue")


def list_accounts() -> dict[str, Account]:
    """Return the accounts that the page compares."""
    each = read_quota("lambda_requests_per_concurrency")
    new = Quotas(
        concurrency=read_quota("lambda_concurrency_of_a_new_account"),
        growth=read_quota("lambda_scaling"),
        function_requests=each * read_quota("lambda_concurrency_of_a_new_account"),
        api_requests=read_parameter("RequestsPerSecond"),
        api_burst=read_parameter("RequestsPerSecond"),
        api_day=read_parameter("RequestsPerDay"),
        puts=read_quota("s3_puts"),
        gets=read_quota("s3_gets"),
        partition_writes=read_quota("dynamodb_partition_writes"),
        index_writes=read_quota("dynamodb_new_table_writes"),
        reads=read_quota("dynamodb_new_table_reads"),
        shards=read_parameter("IndexShards"),
    )
    usual = replace(
        new,
        concurrency=read_quota("lambda_concurrency"),
        function_requests=each * read_quota("lambda_concurrency"),
        api_requests=read_quota("api_gateway_requests"),
        api_burst=read_quota("api_gateway_burst"),
        api_day=math.inf,
        shards=most_shards(),
    )
    stacks = 2
    large = replace(  # a stack's half of the quotas of an account that has five times the usual ones
        usual,
        concurrency=5 * usual.concurrency / stacks,
        function_requests=5 * usual.function_requests / stacks,
        api_requests=5 * usual.api_requests / stacks,
        api_burst=usual.api_burst / stacks,  # AWS sets it by itself
        index_writes=read_quota("dynamodb_table_writes"),
        reads=read_quota("dynamodb_table_reads"),
        prefixes=4,
    )
    return {
        "new": Account("new", "a new account, with the template's defaults", new),
        "usual": Account(
            "usual",
            f"AWS's usual quotas, {usual.concurrency:,} concurrent executions and {usual.api_requests:,} requests to "
            "API Gateway a second, with a new table. `RequestsPerSecond` and `RequestsPerDay` are high enough, and "
            f"`IndexShards={usual.shards}`",
            usual,
        ),
        "large": Account(
            "large",
            f"{stacks} stacks in an account with five times these quotas, with tables and buckets that have grown: "
            f"{large.index_writes:,} write units a second for each index, and {large.prefixes} partitions of a bucket",
            large,
            stacks,
        ),
    }


def read_samples() -> Samples:
    """Return the measured and the assumed durations."""
    measured = read_figures("durations")
    return Samples(
        invocations={
            "announcement": measured["announcement"],
            "upload": draw_uploads(),
            "status": measured["status"],
            "failed_upload": measured["expiry"],  # reads a record and writes it, likewise
        },
        start=read_starts(),
        **{name: assumption.draw() for name, assumption in ASSUMPTIONS.items()},
    )


def read_usage() -> dict[str, Usage]:
    """Return what each kind of invocation takes. The message of a failed event does not read the photo."""
    kinds = read_figures("usage")["invocations"]
    usages = {kind: _usage(kinds[kind]) for kind in ("announcement", "upload", "status", "failed_upload")}
    return usages | {
        "announcement": replace(usages["announcement"], photos=LISTING),
        "failed_upload": replace(usages["failed_upload"], gets=0),
    }


def _usage(figures: Mapping[str, Any]) -> Usage:
    writes = figures["writes"]
    return Usage(
        partition=writes.get("by_review_state PENDING", 0),
        index=busiest_table_or_index(writes),
        writes=sum(writes.values()),
        reads=figures["reads"],
        gets=figures["s3"].get("GetObject", 0),
    )


def read_client() -> Client:
    """Return how the function's clients and the template retry."""
    config: Any = client_config()
    function, queue = resource_properties("ClassifierFunction"), resource_properties("FailureQueue")
    return Client(
        call_attempts=config.retries["total_max_attempts"],
        read_seconds=config.read_timeout,
        event_attempts=function_settings().tries,
        event_seconds=function["EventInvokeConfig"]["MaximumEventAgeInSeconds"],
        receives=queue["RedrivePolicy"]["maxReceiveCount"],
        visibility_seconds=queue["VisibilityTimeout"],
    )


def simulate(name: str) -> Seen:
    """Simulate one stack of the scenario of this name."""
    scenario, env = list_scenarios()[name], simpy.Environment()
    account = scenario.account
    samples = read_samples()
    samples = replace(samples, event=[scenario.event_factor * seconds for seconds in samples.event])
    system = System(env, account.quotas, read_usage(), samples, read_client(), outage=scenario.outage, seed=_SEED)
    env.process(system.watch())
    photos = LISTING * account.stacks  # of each listing of this stack, of all photos

    def listings(time: float) -> float:
        return scenario.rate(time) / photos

    env.process(arrive(system, system.listing, listings, scenario.highest / photos, scenario.seconds))
    env.run(until=scenario.seconds + scenario.after)
    return system.seen


def simulate_local(rate: float, seed: int) -> list[float]:
    """Simulate the local system at a rate of photos. Return the waits.

    Its environments share the processors with the stand-in for AWS and with the clients. So each duration is that of a
    photo or request that comes alone, times what makes the full system as fast as it was measured to be.
    """
    measured = read_figures("load")
    workers = measured["processors"]
    durations = {
        kind: [seconds / statistics.mean(measured[kind]) * workers / measured[full] for seconds in measured[kind]]
        for kind, full in (("upload", "full_uploads"), ("status", "full_statuses"))
    }
    none = [0.0]
    local = Samples(durations, none, none, measured["event"], none, none, none)
    env = simpy.Environment()
    system = System(env, Quotas(), dict.fromkeys(durations, Usage()), local, read_client(), workers=workers, seed=seed)
    env.process(arrive(system, system.photo, lambda _: rate, rate, measured["seconds"]))
    env.run(until=HOUR)
    return [wait for _, wait, _ in system.seen.waits]


# The scenarios.


def steady(rate: float) -> Callable[[float], float]:
    """Return a rate that begins at zero and reaches its height after a minute."""
    return lambda time: rate * min(1, time / 60)


def doubling(time: float) -> float:
    """Return a rate that doubles every 40 seconds."""
    return math.exp2(time / 40)


def day(time: float) -> float:
    """Return the rate of a day that begins at midnight: 1 photo a second in the mean, most of them at 8 in the evening.

    At that time, it is ten times as high for five minutes, for example after a message to all sellers.
    """
    evening = 20 * HOUR
    is_burst = evening <= time < evening + 300
    return (1 + 0.8 * math.cos(2 * math.pi * (time - evening) / DAY)) * (10 if is_burst else 1)


def burst(time: float) -> float:
    """Return 100 photos a second, and ten times as many for two minutes."""
    return 1000 if BURST[0] <= time < BURST[1] else 100


def list_scenarios() -> dict[str, Scenario]:
    """Return all scenarios by name."""
    accounts = list_accounts()
    rates = {1: (2 * HOUR, "new", "usual"), 100: (600, "new", "usual"), 10_000: (80, "usual", "large")}
    scenarios = [
        Scenario(f"steady {rate} {name}", accounts[name], steady(rate), rate, seconds, after=120, since=60)
        for rate, (seconds, *names) in rates.items()
        for name in names
    ]
    scenarios += [
        Scenario(f"events {factor}", accounts["usual"], steady(100), 100, 300, after=120, since=60, event_factor=factor)
        for factor in (0.5, 1, 2, 4)
    ]
    scenarios += [
        Scenario(f"doubling {name}", accounts[name], doubling, highest, 40 * math.log2(highest), after=0)
        for name, highest in (("new", 64), ("usual", 4096), ("large", 16_384))
    ]
    scenarios += [Scenario(f"day {name}", accounts[name], day, 18, DAY, after=HOUR) for name in ("new", "usual")]
    scenarios.append(Scenario("burst", accounts["usual"], burst, 1000, 600, after=300))
    scenarios += [
        Scenario(
            f"outage {minutes}",
            accounts["usual"],
            steady(100),
            100,
            60 * (minutes + 7),
            after=HOUR,
            since=60,
            outage=Outage(120, 120 + 60 * minutes),
        )
        for minutes in (1, 5, 15)
    ]
    return {scenario.name: scenario for scenario in scenarios}
