"""Whatever the order, the repetitions and the crashes: in the end every key's record is that of its newest object."""

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

from classifier.records import Classification, Conflict, Records, Row, _serialised
from classifier.services import Services
from classifier.uploads import PREFIX
from conftest import Scale
from local.aws import BUCKET, TABLE, create_resources, new_session
from world import World, faults

SEEDS = 8  # every other one has worlds with versions
WORLDS = 50  # of each seed: the longer one lasts, the slower moto gets


@pytest.fixture(scope="module", autouse=True)
def _what_is_imported_stays() -> Iterator[None]:
    """Garbage is collected all the time here, and to look through all modules each time takes an eighth of the test."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@contextmanager
def world(session: boto3.Session, random: Random, unrest: float, *, versions: bool, keys: int = 2) -> Iterator[World]:
    """One in an account of its own."""
    with mock_aws():
        create_resources(session)
        # The world tells of its objects itself; nobody would empty the queue.
        session.client("s3").put_bucket_notification_configuration(Bucket=BUCKET, NotificationConfiguration={})
        services = replace(Services.from_environment(os.environ), threads=1)  # for what a seed decides to happen again
        if versions:
            services.s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        made = World(services, random, unrest, tuple(f"{PREFIX}{number}.png" for number in range(keys)))
        with made.watched():
            yield made


@pytest.mark.parametrize("seed", range(SEEDS))
def test_records_are_those_of_the_newest_objects(
    session: boto3.Session, scale: Scale, record_property: Callable[[str, object], None], seed: int
) -> None:
    """And no photo is classified again but for a crash, or because somebody else was faster."""
    random = Random(seed)
    worlds = scale.of(WORLDS, short=1)
    deliveries = scale.of(100_000 // (SEEDS * WORLDS), short=125)
    for _ in range(worlds):
        with world(session, random, unrest=0.1, versions=bool(seed % 2)) as made:
            while made.counts["deliveries"] < deliveries:
                for _ in range(5):  # to look costs as much as a round
                    made.round()
                assert faults(made) == []

            kills = made.counts["killed before a call"] + made.counts["killed after a call"]
            assert made.model.answers <= made.counts["puts"] + made.counts["conflicts"] + kills
        for name, count in made.counts.items():
            record_property(name, count)
        record_property("classified", made.model.answers)


def test_what_is_delivered_again_is_not_classified_again(session: boto3.Session) -> None:
    """Nobody disturbs: each object that the function meets is classified once, however often it hears of it."""
    with world(session, Random(0), unrest=0, versions=False) as made:
        while made.counts["deliveries"] < 150:
            made.round()

        assert made.model.answers <= made.counts["puts"] < made.counts["deliveries"]
        assert faults(made) == []


class Sellers(RuleBasedStateMachine):
    """Hypothesis decides what happens, and looks for the shortest way to a fault."""

    session = new_session()

    @initialize(random=st.randoms(use_true_random=False), versions=st.booleans())
    def begin(self, random: Random, versions: bool) -> None:  # noqa: FBT001 - as hypothesis calls it
        self.context = world(self.session, random, unrest=0.2, versions=versions)
        self.world = self.context.__enter__()

    @rule()
    def put(self) -> None:
        self.world.put()

    @rule()
    def delete(self) -> None:
        self.world.delete()

    @rule()
    def deliver(self) -> None:
        self.world.deliver()

    @rule()
    def give_up(self) -> None:
        self.world.give_up()

    def teardown(self) -> None:
        if hasattr(self, "world"):
            try:
                self.world.settle()
                assert faults(self.world) == []
            finally:
                self.context.__exit__(None, None, None)


def test_hypothesis_finds_no_fault(scale: Scale) -> None:
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


def write_unconditionally(records: Records, item: dict[str, Any], _: Row) -> None:
    records._client.put_item(TableName=records._table, Item=_serialised(item))  # noqa: SLF001


def forget_removed(records: Records, replacing: Row, _: datetime) -> None:
    if replacing.revision:
        seen = {"ConditionExpression": "revision = :seen", "ExpressionAttributeValues": {":seen": replacing.revision}}
        table: Any = boto3.resource("dynamodb").Table(TABLE)
        try:
            table.delete_item(Key={"id": replacing.id}, **seen)
        except table.meta.client.exceptions.ConditionalCheckFailedException as error:
            raise Conflict from error


def write_only_news(
    records: Records, classification: Classification, replacing: Row, expires_at: datetime | None = None
) -> None:
    if classification is not replacing.classification:
        WRITE(records, classification, replacing, expires_at)


WRITE = Records.write


@pytest.mark.parametrize(
    ("guard", "stand_in", "seed"),  # one that does not take long
    [
        pytest.param("_put", write_unconditionally, 10, id="the condition of each write"),
        pytest.param("mark_removed", forget_removed, 37, id="the tombstone of a deleted photo"),
        pytest.param("write", write_only_news, 15, id="the write of a record that is up to date"),
    ],
)
def test_without_a_guard_records_go_wrong(
    session: boto3.Session, monkeypatch: pytest.MonkeyPatch, guard: str, stand_in: Callable[..., None], seed: int
) -> None:
    """What the tests above would see, were it not there."""
    monkeypatch.setattr(Records, guard, stand_in)

    with world(session, Random(seed), unrest=0.3, versions=False, keys=1) as made:
        while made.counts["deliveries"] < 20_000:
            made.round()
            if faults(made):
                return

    pytest.fail("nothing went wrong")
