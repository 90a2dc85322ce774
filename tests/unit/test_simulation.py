"""The simulation behaves as queueing theory, AWS's quotas and the retries of the template say."""

import math
import random
import statistics
from collections.abc import Generator
from typing import Any

import pytest
import simpy

from benchmarks import costs, scale, scale_page
from benchmarks.durations import ASSUMPTIONS
from benchmarks.figures import read_figures
from benchmarks.simulation import (
    Lambda,
    LocalEnvironments,
    Outage,
    Quotas,
    Samples,
    Seen,
    System,
    TokenBucket,
    Usage,
    arrive,
)
from benchmarks.usage import LISTING

NOTHING = [0.0]
USAGE = {
    "announcement": Usage(photos=LISTING, partition=4, index=4, writes=8, reads=1),
    "upload": Usage(partition=1, index=2, writes=4, reads=2, gets=1),
    "status": Usage(reads=1),
    "failed_upload": Usage(partition=1, index=1, writes=3, reads=2),
}


def make_system(quotas: Quotas, *, seconds: float = 0.1, **options: Any) -> System:
    """Make a system in which uploads take so many seconds, and all else no time."""
    invocations = dict.fromkeys(USAGE, NOTHING) | {"upload": [seconds]}
    samples = Samples(invocations, *[NOTHING] * 6)
    return System(simpy.Environment(), quotas, USAGE, samples, scale.read_client(), **options)


def run_photos(system: System, count: int, until: float) -> Seen:
    """Upload so many photos at once, and return what was seen until then."""
    for _ in range(count):
        system.env.process(system.photo())
    system.env.run(until=until)
    return system.seen


def run_at_rate(system: System, rate: float, seconds: float, until: float) -> Seen:
    system.env.process(arrive(system, system.photo, lambda _: rate, rate, seconds))
    system.env.run(until=until)
    return system.seen


def test_a_token_bucket_lets_through_its_burst_and_then_its_rate() -> None:
    bucket, taken = TokenBucket("a limit", 10, burst=50), 0
    for tick in range(1000):  # ten seconds
        while bucket.has(1, tick / 100):
            bucket.take(1)
            taken += 1

    assert taken == pytest.approx(50 + 10 * 10, abs=1)


def test_a_token_bucket_without_a_limit_is_never_empty() -> None:
    assert TokenBucket("no limit", math.inf).has(1e12, 0)


def acquire(env: simpy.Environment, environments: Lambda) -> Any:
    return env.run(env.process(environments.acquire()))


def test_lambda_adds_no_more_environments_than_its_growth_and_its_concurrency() -> None:
    env, seen = simpy.Environment(), Seen()
    environments = Lambda(env, Quotas(concurrency=15, growth=10), seen)

    at_once = [acquire(env, environments) for _ in range(12)]
    env.run(until=60)
    later = [acquire(env, environments) for _ in range(6)]

    assert [environment is not None for environment in at_once] == [True] * 10 + [False] * 2
    assert [environment is not None for environment in later] == [True] * 5 + [False]
    assert dict(seen.throttled) == {"Lambda's growth": 2, "Lambda's concurrency": 1}
    assert seen.first_throttled == {"Lambda's growth": 0, "Lambda's concurrency": 60}


def test_lambda_uses_an_environment_again_until_it_was_idle_for_minutes() -> None:
    env = simpy.Environment()
    environments = Lambda(env, Quotas(), Seen())
    starts = []
    for pause in (0, 300, 600):
        env.run(until=env.now + pause + 1)
        environments.count()
        environment = acquire(env, environments)
        starts.append(environment.is_new)
        environments.release(environment)

    assert starts == [True, False, True]


def test_requests_wait_for_the_local_environments_as_in_an_m_m_1_queue() -> None:
    """The mean wait is the load divided by the spare rate: Kleinrock, "Queueing Systems", volume 1, section 3.2."""
    env, generator, waits = simpy.Environment(), random.Random(1), []
    environments = LocalEnvironments(env, 1)
    arrivals, services = 0.7, 1.0  # a second

    def customer() -> Generator[Any, Any, Any]:
        arrived = env.now
        environment = yield from environments.acquire()
        waits.append(env.now - arrived)
        yield env.timeout(generator.expovariate(services))
        environments.release(environment)

    def customers() -> Generator[Any, Any, Any]:
        while True:
            yield env.timeout(generator.expovariate(arrivals))
            env.process(customer())

    env.process(customers())
    env.run(until=200_000)

    assert statistics.mean(waits) == pytest.approx(arrivals / services / (services - arrivals), rel=0.05)


def test_the_mean_of_busy_environments_is_the_rate_times_the_duration() -> None:
    """Little's law."""
    seen = run_at_rate(make_system(Quotas(), seconds=0.2), rate=50, seconds=100, until=110)

    assert seen.bill["lambda_seconds"] / 100 == pytest.approx(50 * 0.2, rel=0.05)


def test_arrivals_follow_the_rate() -> None:
    system = make_system(Quotas())
    system.env.process(arrive(system, system.photo, lambda time: 10 if time < 100 else 40, 40, 200))
    system.env.run(until=210)
    early = sum(time < 100 for time in system.seen.uploads)

    assert early == pytest.approx(1000, rel=0.1)
    assert len(system.seen.uploads) - early == pytest.approx(4000, rel=0.1)


def test_without_quotas_a_photo_waits_until_the_second_request() -> None:
    seen = run_photos(make_system(Quotas()), 10, until=5)

    assert [wait for _, wait, _ in seen.waits] == [1.0] * 10
    assert all(is_classified for _, _, is_classified in seen.waits)
    assert not seen.throttled


def test_a_listing_is_announced_once_and_its_photos_follow() -> None:
    system = make_system(Quotas())
    system.env.process(system.listing())
    system.env.run(until=5)
    seen = system.seen

    assert (len(seen.uploads), len(seen.waits)) == (LISTING, LISTING)
    assert seen.bill["s3_put"] == LISTING
    assert seen.bill["api_gateway_requests"] == 1 + 2 * LISTING
    writes = USAGE["announcement"].writes + LISTING * USAGE["upload"].writes
    assert seen.bill["dynamodb_write_units"] == writes


def test_events_that_lambda_throttles_wait_and_are_not_lost() -> None:
    seen = run_photos(make_system(Quotas(concurrency=2), seconds=1), 100, until=6 * 3600)

    assert len(seen.waits) == 100
    assert seen.throttled["Lambda's concurrency"] > 100
    assert (seen.failed, seen.lost) == (0, 0)


def test_requests_that_the_api_throttles_are_repeated() -> None:
    seen = run_photos(make_system(Quotas(api_requests=5, api_burst=5)), 50, until=600)

    assert len(seen.waits) == 50
    assert max(wait for _, wait, _ in seen.waits) >= 50 / 5


def test_after_the_requests_of_a_day_the_api_answers_the_next_day() -> None:
    seen = run_photos(make_system(Quotas(api_day=15)), 10, until=100_000)

    late = [wait for _, wait, _ in seen.waits if wait > 60]
    assert len(late) == 5
    assert min(late) >= 86_400 - 3600
    assert max(late) <= 86_400 + 3600


def test_what_was_not_used_of_the_requests_of_a_day_is_lost() -> None:
    system = make_system(Quotas(api_day=10))
    system.env.run(until=86_400)

    seen = run_photos(system, 20, until=86_500)

    assert seen.bill["api_gateway_requests"] == 10


def test_botocore_stops_its_retries_when_its_quota_is_used_up() -> None:
    """A call that hangs takes three seconds. Its two retries are paid 17 times, and then there are none."""
    seen = run_photos(make_system(Quotas(concurrency=1), outage=Outage(0, 1e6)), 5, until=2000)

    seconds, calls = seen.bill["lambda_seconds"], seen.bill["lambda_requests"]
    assert seconds == pytest.approx(17 * 9 + 6 + 3 * (calls - 18), rel=0.01)


@pytest.mark.parametrize(
    ("quotas", "limit"),
    [
        (Quotas(partition_writes=5), "writes to an index partition"),
        (Quotas(index_writes=5), "writes to an index"),
        (Quotas(reads=5), "reads of the table"),
        (Quotas(gets=5), "reads of an S3 prefix"),
        (Quotas(function_requests=5), "requests to Lambda"),
        (Quotas(api_requests=5, api_burst=5), "requests to the API in a second"),
        (Quotas(concurrency=5), "Lambda's concurrency"),
    ],
)
def test_each_quota_throttles(quotas: Quotas, limit: str) -> None:
    seen = run_photos(make_system(quotas), 50, until=1)

    assert seen.throttled[limit]


def test_uploads_to_a_full_s3_prefix_are_repeated() -> None:
    system = make_system(Quotas(puts=1))
    for _ in range(5):
        system.env.process(system.listing())
    system.env.run(until=600)

    assert system.seen.throttled["uploads to an S3 prefix"]
    assert len(system.seen.waits) == 5 * LISTING


def test_more_shards_and_prefixes_raise_their_limits() -> None:
    few = run_photos(make_system(Quotas(partition_writes=5)), 50, until=1)
    many = run_photos(make_system(Quotas(partition_writes=5, shards=100)), 50, until=1)

    assert many.throttled["writes to an index partition"] < few.throttled["writes to an index partition"] / 5


def test_an_outage_that_ends_before_the_third_attempt_loses_no_photo() -> None:
    """The attempts begin after 0, about 70 and about 200 seconds: each takes some seconds, and then come the pauses."""
    seen = run_photos(make_system(Quotas(), outage=Outage(0, 150)), 10, until=1000)

    assert [is_classified for _, _, is_classified in seen.waits] == [True] * 10
    assert seen.failed == 0
    assert all(wait > 180 for _, wait, _ in seen.waits)


def test_after_a_longer_outage_photos_are_marked_as_failed() -> None:
    seen = run_photos(make_system(Quotas(), outage=Outage(0, 300)), 10, until=3000)

    assert [is_classified for _, _, is_classified in seen.waits] == [False] * 10
    assert (seen.failed, seen.lost) == (10, 0)


def test_after_five_receives_messages_are_dead_letters() -> None:
    seen = run_photos(make_system(Quotas(), outage=Outage(0, 4000)), 10, until=5000)

    assert seen.waits == []
    assert (seen.failed, seen.lost) == (0, 10)


def test_a_simulation_can_be_repeated() -> None:
    first, second = (run_at_rate(make_system(Quotas(concurrency=3)), 20, 30, until=200) for _ in range(2))

    assert first == second


def test_a_photo_takes_as_much_from_aws_as_the_costs_say() -> None:
    """The costs have as many expired photos, too."""
    usage, photo = scale.read_usage(), costs.read_photo_usage()
    expiry = read_figures("usage")["invocations"]["expiry"]
    writes = usage["announcement"].writes / LISTING + usage["upload"].writes

    assert writes == pytest.approx(sum(photo.writes.values()) - sum(expiry["writes"].values()))
    assert usage["announcement"].partition / LISTING + usage["upload"].partition == photo.busiest_partition


def test_every_scenario_has_an_account_and_rates_within_its_highest() -> None:
    for scenario in scale.list_scenarios().values():
        times = [scenario.seconds * part / 1000 for part in range(1001)]
        assert max(scenario.rate(time) for time in times) <= scenario.highest * 1.001
        assert scenario.since < scenario.seconds


def test_assumed_durations_have_their_median_and_99th_percentile() -> None:
    for assumption in ASSUMPTIONS.values():
        seconds = assumption.draw()
        assert statistics.median(seconds) == pytest.approx(assumption.median, rel=0.05)
        assert statistics.quantiles(seconds, n=100)[-1] == pytest.approx(assumption.percentile_99, rel=0.2)


def test_photos_without_an_answer_count_as_infinite_waits() -> None:
    scenario = scale.list_scenarios()["burst"]
    seen = Seen(uploads=[0.0, 1.0, 2.0, 3.0], waits=[(0.0, 1.0, True), (1.0, 2.0, True), (2.0, 3.0, True)])

    assert scale_page.wait_percentiles(scenario, seen) == [3.0, math.inf, math.inf, math.inf]


def test_the_simulation_predicts_the_local_system_at_the_lowest_rate() -> None:
    measured = read_figures("load")
    rate = min(float(name[5:]) for name in measured if name.startswith("rate_"))

    simulated = scale.simulate_local(rate, seed=0)

    assert statistics.median(simulated) == pytest.approx(statistics.median(measured[f"rate_{rate:g}"]["read"]), rel=0.1)
