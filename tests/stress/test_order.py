"""Whatever the order, the repetitions and the crashes: in the end every key's record is that of its newest object.

What the API deleted is gone, and what people said of photos and listings holds.
"""

import gc
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from random import Random
from typing import Any

import boto3
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from moto import mock_aws

from classifier import reconcile
from classifier.classification import Classification
from classifier.records import Conflict, Listing, Records, Row
from classifier.services import Services
from local.aws import BUCKET, TABLE, create_resources, new_session
from tests.support.scale import Scale
from tests.support.simulation import Simulation, find_errors

SEEDS = 8  # simulations of odd seeds have versions
SIMULATIONS = 50  # of each seed: moto slows down as a simulation goes on


@pytest.fixture(scope="module", autouse=True)
def _exclude_modules_from_garbage_collection() -> Iterator[None]:
    """The simulations make much garbage. To visit all modules at each collection would take an eighth of the time."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@contextmanager
def simulate(
    session: boto3.Session, random: Random, disturbance: float, *, versions: bool, photos: int = 2, api: bool = True
) -> Iterator[Simulation]:
    """Run a simulation in an account of its own, with or without clients of the API."""
    with mock_aws():
        create_resources(session)
        # The simulation makes its own events, and nobody would empty the queue.
        session.client("s3").put_bucket_notification_configuration(Bucket=BUCKET, NotificationConfiguration={})
        services = Services.from_environment(os.environ)
        if versions:
            services.bucket.client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        simulation = Simulation(services, random, disturbance, photos, api)
        with simulation.disturbed():
            yield simulation


@pytest.mark.parametrize("seed", range(SEEDS))
def test_each_record_is_of_the_newest_object(
    session: boto3.Session, scale: Scale, record_property: Callable[[str, object], None], seed: int
) -> None:
    """No photo is classified twice, except after a crash or a write conflict."""
    random = Random(seed)
    deliveries = scale.of(100_000 // (SEEDS * SIMULATIONS), short=100)
    for _ in range(scale.of(SIMULATIONS, short=1)):
        with simulate(session, random, 0.1, versions=bool(seed % 2)) as simulation:
            while simulation.counts["deliveries"] < deliveries:
                for _ in range(5):  # to look for errors costs as much as a round
                    simulation.round()
                assert find_errors(simulation) == []

            counts = simulation.counts
            kills = counts["killed before a call"] + counts["killed after a call"]
            assert simulation.model.answers <= counts["puts"] + counts["conflicts"] + kills
        for name, count in simulation.counts.items():
            record_property(name, count)
        record_property("classified", simulation.model.answers)


def test_a_repeated_event_does_not_classify_again(session: boto3.Session) -> None:
    """Without disturbance, each object is classified at most once, however many events name it."""
    with simulate(session, Random(0), 0, versions=False) as simulation:
        while simulation.counts["deliveries"] < 150:
            simulation.round()

        assert simulation.model.answers <= simulation.counts["puts"] < simulation.counts["deliveries"]
        assert find_errors(simulation) == []


class Sellers(RuleBasedStateMachine):
    """Lets hypothesis decide what happens, and look for the shortest way to an error."""

    session = new_session()

    @initialize(random=st.randoms(use_true_random=False), versions=st.booleans())
    def begin(self, random: Random, versions: bool) -> None:  # noqa: FBT001 - as hypothesis calls it
        self.context = simulate(self.session, random, 0.2, versions=versions)
        self.simulation = self.context.__enter__()

    @rule()
    def put(self) -> None:
        self.simulation.put()

    @rule()
    def delete(self) -> None:
        self.simulation.delete()

    @rule()
    def request(self) -> None:
        self.simulation.request()

    @rule()
    def deliver(self) -> None:
        self.simulation.deliver()

    @rule()
    def deliver_failure(self) -> None:
        self.simulation.deliver_failure()

    def teardown(self) -> None:
        if hasattr(self, "simulation"):
            try:
                self.simulation.settle()
                assert find_errors(self.simulation) == []
            finally:
                self.context.__exit__(None, None, None)


def test_hypothesis_finds_no_error(scale: Scale) -> None:
    """The state machine raises if a settled simulation has a wrong record."""
    run_state_machine_as_test(
        Sellers,
        settings=settings(
            max_examples=scale.of(100, short=10),
            stateful_step_count=20,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


# Without a guard.

WRITE, MARK_REMOVED, READ_LISTING = Records.write, Records.mark_removed, Records.read_listing


def write_unconditionally(
    records: Records, classification: Classification, replacing: Row, expires_at: datetime | None = None
) -> None:
    """Replace the row whatever it is now."""
    records.update(replacing.id, lambda row: WRITE(records, classification, row, expires_at))


def mark_removed_unconditionally(records: Records, replacing: Row, *options: Any) -> None:
    records.update(replacing.id, lambda row: MARK_REMOVED(records, row, *options))


def delete_row(records: Records, replacing: Row, expires_at: datetime, deleted_at: datetime | None = None) -> None:
    """Delete the row, on the same condition, where a tombstone would be written."""
    if deleted_at:
        MARK_REMOVED(records, replacing, expires_at, deleted_at)
    elif replacing.revision:
        try:
            records.client.delete_item(
                TableName=TABLE,
                Key={"id": {"S": replacing.id}},
                ConditionExpression="revision = :seen",
                ExpressionAttributeValues={":seen": replacing.revision},
            )
        except records.client.exceptions.ConditionalCheckFailedException as error:
            raise Conflict from error


def write_only_changes(
    records: Records, classification: Classification, replacing: Row, expires_at: datetime | None = None
) -> None:
    if classification is not replacing.classification:
        WRITE(records, classification, replacing, expires_at)


def follow_nothing(classification: Classification, *_: Any) -> Classification:
    return classification


def mark_removed_as_by_a_seller(records: Records, replacing: Row, expires_at: datetime, *_: Any) -> None:
    MARK_REMOVED(records, replacing, expires_at)


def forget_what_was_taken_back(records: Records, batch_id: str) -> Listing:
    listing = READ_LISTING(records, batch_id)
    return listing if listing.confirmation else replace(listing, exists=False)


UNCONDITIONALLY = {"write": write_unconditionally, "mark_removed": mark_removed_unconditionally}
GUARDS = {  # what replaces it, whether clients of the API are needed, and a seed with which it takes little time
    "the condition of each write": (
        [(Records, name, stand_in) for name, stand_in in UNCONDITIONALLY.items()],
        False,
        5,
    ),
    "the tombstone of a photo that is removed": ([(Records, "mark_removed", delete_row)], False, 0),
    "the write of a record that is up to date": ([(Records, "write", write_only_changes)], False, 15),
    "the mark in the tombstone of a photo that the API deleted": (
        [(Records, "mark_removed", mark_removed_as_by_a_seller)],
        True,
        3,
    ),
    "the look at the listing of a photo that has arrived": ([(reconcile, "follow_listing", follow_nothing)], True, 17),
    "the row of a listing whose answer was taken back": (
        [(Records, "read_listing", forget_what_was_taken_back)],
        True,
        1,
    ),
}


@pytest.mark.parametrize(("stand_ins", "api", "seed"), GUARDS.values(), ids=GUARDS)
def test_records_go_wrong_without_a_guard(
    session: boto3.Session,
    monkeypatch: pytest.MonkeyPatch,
    stand_ins: list[tuple[Any, str, Any]],
    api: bool,  # noqa: FBT001
    seed: int,
) -> None:
    """The tests above would see it."""
    for owner, name, stand_in in stand_ins:
        monkeypatch.setattr(owner, name, stand_in)

    with simulate(session, Random(seed), 0.3, versions=False, photos=1, api=api) as simulation:
        while simulation.counts["deliveries"] < 20_000:
            simulation.round()
            if find_errors(simulation):
                return

    pytest.fail("no record went wrong")
