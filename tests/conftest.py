"""Fixtures that every test may use: a moto account with the system's resources, and the services on top of it."""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

ROOT = Path(__file__).parent.parent

# Before anything of the function is imported: Powertools reads these at import.
os.environ.update(
    AWS_ACCESS_KEY_ID="testing",
    AWS_SECRET_ACCESS_KEY="testing",
    AWS_DEFAULT_REGION="us-east-1",
    AWS_EC2_METADATA_DISABLED="true",
    BUCKET_NAME="photos",
    TABLE_NAME="classifications",
    MODEL_DIR=str(ROOT / "model"),
    ALLOW_LOOPBACK_URLS="1",
    POWERTOOLS_TRACE_DISABLED="true",
)

from api_events import api_event
from classifier.app import dispatch
from classifier.model import Model
from classifier.services import Services
from local.aws import BUCKET, create_resources
from local.function import Context


@pytest.fixture(scope="session")
def model() -> Model:
    """The committed model; loading it takes a while."""
    return Model(ROOT / "model")


@pytest.fixture
def aws() -> Iterator[None]:
    """An AWS account of the test's own, with the table, the queues and the bucket."""
    with mock_aws():
        create_resources(None)
        yield


@pytest.fixture
def services(aws: None, model: Model) -> Services:
    """What the handlers are given, in the test's account."""
    services = Services.from_environment(os.environ)
    services.__dict__["model"] = model  # a cached property: as if it had been used before
    return services


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
def bucket(aws: None) -> Bucket:
    """The test's bucket."""
    return Bucket(boto3.client("s3"))


@dataclass(frozen=True)
class Api:
    """The HTTP API, called as API Gateway calls it."""

    services: Services

    def request(
        self,
        method: str,
        path: str,
        content: Any = None,
        *,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        stage: str | None = None,
    ) -> "Answer":
        """Send JSON content or raw bytes; raw bytes arrive in base64, as the template has it."""
        event = api_event(method, path, content, body=body, headers=headers, stage=stage)
        answer = dispatch(event, Context(), self.services)  # type: ignore[arg-type]
        assert answer is not None
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
