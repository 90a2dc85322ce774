"""Fixtures that every test may use: a moto account with the system's resources, and the services on top of it."""

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from tests.support.environment import ENVIRONMENT

os.environ.update(ENVIRONMENT)  # before anything of the function is imported: Powertools reads it at import

from classifier.model import Model
from classifier.services import Services
from local.aws import Resources, create_resources, new_session
from tests.support.api import Api
from tests.support.bucket import Bucket
from tests.support.metrics import Metrics
from tests.support.paths import ROOT
from tests.support.photo_server import PhotoServer
from tests.support.scale import Scale


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--screenshots", action="store_true", help="let tests/browser draw the pictures in docs/ anew")
    parser.addoption("--whole", action="store_true", help="run the tests of tests/stress at their whole length")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the figures that tests have recorded, added up."""
    figures: Counter[str] = Counter()
    for report in terminalreporter.stats.get("passed", []):
        if report.when == "call":
            for name, value in report.user_properties:
                figures[f"{report.location[0].rpartition('/')[2]}: {name}"] += value
    if figures:
        terminalreporter.section("figures")
        for name, value in sorted(figures.items()):
            terminalreporter.write_line(f"{name} {value:,}")


@pytest.fixture(scope="session")
def scale(request: pytest.FixtureRequest) -> Scale:
    """The numbers of the whole run for `make stress`, short ones for `make test`."""
    return Scale(request.config.getoption("--whole"))


@pytest.fixture(scope="session")
def session() -> boto3.Session:
    """A session that makes clients quickly: it reads the descriptions of AWS's services once."""
    return new_session()


@pytest.fixture
def aws(session: boto3.Session) -> Iterator[Resources]:
    """An AWS account of the test's own, with the table, the queues and the bucket."""
    with mock_aws():
        yield create_resources(session)


@pytest.fixture(scope="session")
def loaded_services() -> Services:
    """Services whose clients talk to the account that is mocked at the time."""
    services = Services.from_environment(os.environ)
    services.warm_up()
    return services


@pytest.fixture
def services(aws: Resources, loaded_services: Services) -> Services:
    """The services that handlers are given, in the test's account."""
    vars(loaded_services).pop("signing_keys", None)  # they are kept in memory, and those of another account are others
    return loaded_services


@pytest.fixture(scope="session")
def model(loaded_services: Services) -> Model:
    """The model of the tests, which knows what they draw."""
    return loaded_services.model


@pytest.fixture
def load_event() -> Callable[[str], dict[str, Any]]:
    """A function that reads one of the files of `events/`."""

    def load(name: str) -> dict[str, Any]:
        event: dict[str, Any] = json.loads((ROOT / "events" / f"{name}.json").read_text(encoding="utf-8"))
        return event

    return load


@pytest.fixture
def bucket(aws: Resources, session: boto3.Session) -> Bucket:
    """The test's bucket."""
    return Bucket(session.client("s3"))


@pytest.fixture
def photo_server() -> Iterator[PhotoServer]:
    """A web server with photos."""
    server = PhotoServer()
    yield server
    server.stop()


@pytest.fixture
def metrics(capsys: pytest.CaptureFixture[str]) -> Metrics:
    """The metrics that the function records in the test."""
    return Metrics(capsys)


@pytest.fixture
def api(services: Services) -> Api:
    """The API on top of the test's services."""
    return Api(services)
