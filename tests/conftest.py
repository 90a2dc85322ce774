"""Fixtures that every test may use: a moto account with the system's resources, and the services on top of it."""

import json
import os
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import boto3
import pytest
from moto import mock_aws

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

ROOT = Path(__file__).parent.parent

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
# Before anything of the function is imported: Powertools reads these at import.
os.environ.update(
    CREDENTIALS,
    AWS_DEFAULT_REGION="us-east-1",
    AWS_EC2_METADATA_DISABLED="true",
    BUCKET_NAME="photos",
    TABLE_NAME="classifications",
    MODEL_DIR=str(ROOT / "model"),
    ALLOW_LOOPBACK_URLS="1",
    CURSOR_KEY="a key of the tests",
)

from api_events import api_event
from classifier.app import dispatch
from classifier.errors import ClassifierError
from classifier.model import Model
from classifier.services import Services
from local.aws import BUCKET, Resources, create_resources, new_session
from local.function import Context
from photo_server import PhotoServer

DATA = Path(os.environ.get("DATA", ROOT.parent / "shared" / "data" / "clothing"))  # photos that are not committed
needs_photos = pytest.mark.skipif(
    not (DATA / "test").is_dir(), reason="needs the clothing photos; DATA names their folder"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--screenshots", action="store_true", help="let tests/browser draw the README's picture anew")
    parser.addoption("--whole", action="store_true", help="run the tests of tests/stress at their whole length")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Show the figures that tests have recorded, added up."""
    figures: Counter[str] = Counter()
    for report in terminalreporter.stats.get("passed", []):
        if report.when == "call":
            for name, value in report.user_properties:
                figures[f"{report.location[0].rpartition('/')[2]}: {name}"] += value
    if figures:
        terminalreporter.section("figures")
        for name, value in sorted(figures.items()):
            terminalreporter.write_line(f"{name} {value:,}")


@dataclass(frozen=True)
class Scale:
    """How long a test of tests/stress is to run."""

    whole: bool

    def of(self, number: int, short: int) -> int:
        """The number for the whole run, or that for a short one."""
        return number if self.whole else short


@pytest.fixture(scope="session")
def scale(request: pytest.FixtureRequest) -> Scale:
    """`make stress` runs all of it, `make test` a little."""
    return Scale(request.config.getoption("--whole"))


@pytest.fixture(scope="session")
def session() -> boto3.Session:
    """Makes clients quickly: it reads the descriptions of AWS's services once."""
    return new_session()


@pytest.fixture
def aws(session: boto3.Session) -> Iterator[Resources]:
    """An AWS account of the test's own, with the table, the queues and the bucket."""
    with mock_aws():
        yield create_resources(session)


@pytest.fixture(scope="session")
def loaded_services() -> Services:
    """Services whose clients talk to whichever account is mocked at the time."""
    services = Services.from_environment(os.environ)
    services.prepare()  # with the credentials above: moto has its own
    return services


@pytest.fixture
def services(aws: Resources, loaded_services: Services) -> Services:
    """What the handlers are given, in the test's account."""
    return loaded_services


@pytest.fixture(scope="session")
def model(loaded_services: Services) -> Model:
    """The committed model."""
    return loaded_services.model


def having(services: Services, **parts: Any) -> Services:
    """The same services but for these parts."""
    changed = replace(services)
    vars(changed).update({**vars(services), **parts})
    return changed


@pytest.fixture
def load_event() -> Callable[[str], dict[str, Any]]:
    """Read one of the files of `events/`."""

    def load(name: str) -> dict[str, Any]:
        event: dict[str, Any] = json.loads((ROOT / "events" / f"{name}.json").read_text(encoding="utf-8"))
        return event

    return load


@dataclass(frozen=True)
class Bucket:
    """The bucket of uploads, as a seller's tool sees it."""

    client: Any

    def put(self, key: str, data: bytes) -> None:
        self.client.put_object(Bucket=BUCKET, Key=key, Body=data)

    def delete(self, key: str) -> None:
        self.client.delete_object(Bucket=BUCKET, Key=key)


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


def free_port() -> int:
    """One that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def error_kinds(kind: type[ClassifierError] = ClassifierError) -> list[type[ClassifierError]]:
    """All errors of the function that have a code."""
    found = [inner for child in kind.__subclasses__() for inner in error_kinds(child)]
    return [kind, *found] if hasattr(kind, "code") else found


def handle(event: Any, services: Services) -> Any:
    """What the function answers to the event."""
    return dispatch(event, cast("LambdaContext", Context()), services)


@dataclass(frozen=True)
class Api:
    """The HTTP API, called as API Gateway calls it."""

    services: Services

    def request(self, method: str, path: str, content: Any = None, **options: Any) -> "Answer":
        """Send a request with the options of `api_event`."""
        answer = handle(api_event(method, path, content, **options), self.services)
        return Answer(
            answer["statusCode"],
            {name.lower(): values[0] for name, values in answer["multiValueHeaders"].items()},
            answer["body"],
        )


@dataclass(frozen=True)
class Answer:
    """What the API answered."""

    status: int
    headers: dict[str, str]
    body: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@pytest.fixture
def api(services: Services) -> Api:
    """The API on top of the test's services."""
    return Api(services)
