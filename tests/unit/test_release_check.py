"""The check of a new version before it gets traffic: what it asks, and what stops a release."""

import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from classifier.release_check import Release, report
from classifier.services import Services
from local.aws import TABLE
from tests.support.api import handle
from tests.support.drawings import photo
from tests.support.paths import SHIPPED_MODEL
from tests.support.shipped_model import shipped_label
from tests.support.shown_answers import shows_shipped_model

EVENT = {"DeploymentId": "d-1", "LifecycleEventHookExecutionId": "e-1"}
HOSTILE_BYTES = 100_000  # in base64, no known photo is as large

Change = Callable[[dict[str, Any], dict[str, Any]], None]


class CodeDeploy:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.reports: list[dict[str, str]] = []

    def put_lifecycle_event_hook_execution_status(self, **report: str) -> None:
        self.reports.append(report)


TOO_LARGE = {
    "statusCode": 413,
    "multiValueHeaders": {},
    "body": json.dumps({"error": {"code": "image_too_large", "message": "Decoding takes more than 5 seconds."}}),
}


class NewVersion:
    """A version that answers as the function here does, but for what `change` does to its answer to an event.

    It refuses the hostile photo without decoding it, which saves the test five seconds.
    """

    exceptions = SimpleNamespace(ClientError=ClientError)

    def __init__(self, services: Services, change: Change = lambda *_: None) -> None:
        self.services, self.change = services, change
        self.events: list[dict[str, Any]] = []

    def answer(self, event: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = handle(event, self.services)
        return answer

    def invoke(self, FunctionName: str, Payload: bytes) -> Any:  # noqa: N803 - the SDK's names
        assert FunctionName == "arn:aws:lambda:us-east-1:123456789012:function:classifier:7"
        event = json.loads(Payload)
        self.events.append(event)
        answer = dict(TOO_LARGE) if len(Payload) > HOSTILE_BYTES else self.answer(event)
        self.change(event, answer)
        if "errorType" in answer:
            return {"FunctionError": "Unhandled", "Payload": io.BytesIO(json.dumps(answer).encode())}
        return {"Payload": io.BytesIO(json.dumps(answer).encode())}


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos that are named after their labels."""
    folder = tmp_path_factory.mktemp("known")
    for label in ("pants", "t-shirt"):
        (folder / f"{label}.jpg").write_bytes(photo(label))
    return folder


def check(version: Any, photos: Path, seconds: float = 60) -> str:
    """Return the status that CodeDeploy is told by a check that has so many seconds."""
    codedeploy = CodeDeploy()
    arn = "arn:aws:lambda:us-east-1:123456789012:function:classifier:7"
    deadline = time.monotonic() + seconds
    release = Release(arn, photos, version, cast("Any", codedeploy), deadline)

    report(EVENT, release)

    (told,) = codedeploy.reports
    assert (told["deploymentId"], told["lifecycleEventHookExecutionId"]) == ("d-1", "e-1")
    return told["status"]


class WholeVersion(NewVersion):
    """Answers all events as the function here does."""

    def invoke(self, FunctionName: str, Payload: bytes) -> Any:  # noqa: N803 - the SDK's names
        self.events.append(json.loads(Payload))
        return {"Payload": io.BytesIO(json.dumps(self.answer(self.events[-1])).encode())}


def test_a_right_version_passes_and_its_records_are_deleted(services: Services, known: Path) -> None:
    version = WholeVersion(services)

    assert check(version, known) == "Succeeded"

    requests = [f"{event['httpMethod']} /{event['path'].split('/')[1]}" for event in version.events]
    assert requests == [
        "GET /health",
        *["POST /predict", "GET /classifications", "DELETE /classifications"] * 2,
        "POST /predict",
        "GET /health",
        "GET /classifications",
    ]
    assert records(services) == []


def records(services: Services) -> list[Any]:
    """Return the records in the table, without tombstones."""
    return [item for item in services.records.client.scan(TableName=TABLE)["Items"] if "status" in item]


def test_a_version_that_does_not_delete_stops_the_release(services: Services, known: Path) -> None:
    class Keeping(NewVersion):
        def answer(self, event: dict[str, Any]) -> dict[str, Any]:
            if event["httpMethod"] == "DELETE":
                return {"statusCode": 405, "multiValueHeaders": {}, "body": ""}
            return super().answer(event)

    assert check(Keeping(services), known) == "Failed"


def answer_wrongly(path: str, **parts: Any) -> Change:
    """Return a change of each answer to a path that begins so."""

    def change(event: dict[str, Any], answer: dict[str, Any]) -> None:
        if event["path"].startswith(path):
            answer.update(parts)

    return change


def accept_everything(event: dict[str, Any], answer: dict[str, Any]) -> None:
    """Answer with scores to the hostile photo, too."""
    if event["path"] == "/predict":
        answer["statusCode"] = 200


@pytest.mark.parametrize(
    "change",
    [
        answer_wrongly("/health", statusCode=500),
        answer_wrongly("/predict", body=json.dumps({"hat": 1.0, "dress": 0.0})),
        answer_wrongly("/predict", statusCode=500),
        answer_wrongly("/classifications/", body=json.dumps({"label": "hat"})),
        answer_wrongly("/classifications/no-such-photo", statusCode=500),
        answer_wrongly("/health", errorType="Runtime.ImportModuleError", errorMessage="No module named 'numpy'"),
        answer_wrongly("/predict", body="not JSON"),
        accept_everything,
    ],
)
def test_a_wrong_answer_stops_the_release(services: Services, known: Path, change: Change) -> None:
    assert check(NewVersion(services, change), known) == "Failed"


def test_the_records_of_a_version_that_fails_are_deleted(services: Services, known: Path) -> None:
    check(NewVersion(services, answer_wrongly("/classifications/", statusCode=500)), known)

    assert records(services) == []


def test_a_photo_with_another_label_than_its_name_stops_the_release(services: Services, tmp_path: Path) -> None:
    (tmp_path / "hat.jpg").write_bytes(photo("pants"))

    assert check(NewVersion(services), tmp_path) == "Failed"


def test_a_version_that_cannot_be_invoked_stops_the_release(services: Services, known: Path) -> None:
    """Without a report, CodeDeploy would wait for an hour."""

    class Missing(NewVersion):
        def invoke(self, FunctionName: str, Payload: bytes) -> Any:  # noqa: N803 - the SDK's names
            raise ConnectionError

    assert check(Missing(services), known) == "Failed"


class RefusedVersion(NewVersion):
    """Lambda refuses the first invocation: it still prepares the image."""

    def invoke(self, FunctionName: str, Payload: bytes) -> Any:  # noqa: N803 - the SDK's names
        if not self.events:
            self.events.append({"path": "refused"})
            raise ClientError({"Error": {"Code": "ResourceConflictException", "Message": "Pending"}}, "Invoke")
        return super().invoke(FunctionName, Payload)


def test_a_refused_invocation_is_tried_again_until_there_is_no_time(services: Services, known: Path) -> None:
    assert check(RefusedVersion(services), known) == "Succeeded"
    assert check(RefusedVersion(services), known, seconds=0.1) == "Failed"


def test_the_known_photos_get_their_labels_from_the_model_of_this_project() -> None:
    """If another model was shipped, `make ship` has said which photos have to be replaced."""
    labels = {path.stem: shipped_label(path.read_bytes()) for path in (SHIPPED_MODEL / "known").glob("*.jpg")}

    if shows_shipped_model():
        assert len(labels) >= 3
        assert list(labels.values()) == list(labels)
