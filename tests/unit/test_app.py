"""The front door: every kind of event in `events/` reaches the module that handles it."""

import json
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import pytest
from PIL import Image

from classifier import app
from classifier.app import NoEndpoint, lambda_handler
from classifier.classification import Status
from classifier.errors import InvalidRequest
from classifier.services import Services
from local.aws import Resources
from local.function import Context
from local.template import resource_properties
from tests.support.api import Api, handle
from tests.support.bucket import Bucket
from tests.support.drawings import encoded, photo
from tests.support.events import api_event
from tests.support.listings import shown
from tests.support.metrics import Metrics
from tests.support.paths import ROOT
from tests.support.photo_server import PhotoServer
from tests.support.ports import free_port

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

LoadEvent = Callable[[str], dict[str, Any]]
EVENTS = sorted(path.stem for path in (ROOT / "events").glob("*.json"))
ID = "listing-42/front.jpg"


def invoke(event: Any) -> Any:
    """Return what Lambda gets from the function."""
    return lambda_handler(event, cast("LambdaContext", Context()))


def with_served_url(event: dict[str, Any], photo_server: PhotoServer) -> dict[str, Any]:
    """Return the event with a photo's URL that the test can reach."""
    url = photo_server.serve("/pants.jpg", photo("pants"))
    if "url" in event:
        return event | {"url": url}
    return event | {"body": json.dumps({"url": url}), "isBase64Encoded": False}


@pytest.mark.parametrize("name", [name for name in EVENTS if name.startswith("s3") and name != "s3_test_event"])
def test_an_event_of_the_bucket_brings_the_record_up_to_date(
    services: Services, bucket: Bucket, load_event: LoadEvent, name: str
) -> None:
    """The bucket holds the photo, so it is classified, even by an event of a removal."""
    bucket.put(f"uploads/{ID}", photo("pants"))

    answer = handle(load_event(name), services)

    record = services.records.read(ID).classification
    assert record is not None
    assert record.label == "pants"
    assert [one for one in answer["classifications"] if one["id"] == ID] == [shown(record, services)]


@pytest.mark.parametrize("name", ["s3_removed", "s3_expired", "s3", "failed"])
def test_an_event_about_a_missing_object_removes_the_record(
    services: Services, bucket: Bucket, load_event: LoadEvent, name: str
) -> None:
    bucket.put(f"uploads/{ID}", photo("pants"))
    handle(load_event("s3"), services)
    bucket.delete(f"uploads/{ID}")

    handle(load_event(name), services)

    assert services.records.read(ID).classification is None


def test_the_key_of_an_event_is_decoded(services: Services, bucket: Bucket, load_event: LoadEvent) -> None:
    bucket.put("uploads/listing-42/café label 100%.jpg", photo("pants"))

    handle(load_event("s3_many"), services)

    assert services.records.read("listing-42/café label 100%.jpg").classification is not None


def test_the_test_event_of_s3_is_ignored(services: Services, load_event: LoadEvent) -> None:
    assert handle(load_event("s3_test_event"), services) is None


def test_an_event_in_a_message_of_sqs_is_handled(services: Services, bucket: Bucket, load_event: LoadEvent) -> None:
    bucket.put(f"uploads/{ID}", photo("pants"))

    assert handle(load_event("sqs"), services) == {"batchItemFailures": []}

    record = services.records.read(ID).classification
    assert record is not None
    assert record.label == "pants"


@pytest.mark.parametrize("name", ["failed", "sqs_failed"])
def test_a_failed_event_marks_its_photo_as_failed(
    services: Services, bucket: Bucket, load_event: LoadEvent, name: str
) -> None:
    bucket.put(f"uploads/{ID}", photo("pants"))

    handle(load_event(name), services)

    record = services.records.read(ID).classification
    assert record is not None
    assert record.status is Status.FAILED


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_a_batch_job_is_answered_in_its_own_schema(
    services: Services, bucket: Bucket, load_event: LoadEvent, version: str
) -> None:
    event = load_event(f"batch_operations_{version}")
    bucket.put(f"uploads/{ID}", photo("pants"))

    answer = handle(event, services)

    assert answer == {
        "invocationSchemaVersion": version,
        "treatMissingKeysAs": "PermanentFailure",
        "invocationId": event["invocationId"],
        "results": [{"taskId": event["tasks"][0]["taskId"], "resultCode": "Succeeded", "resultString": "pants"}],
    }


def test_a_direct_invocation_is_answered_with_the_scores_only(
    services: Services, load_event: LoadEvent, photo_server: PhotoServer, caplog: pytest.LogCaptureFixture
) -> None:
    answer = handle(with_served_url(load_event("direct"), photo_server), services)

    assert tuple(answer) == services.model.description.labels
    assert max(answer, key=answer.__getitem__) == "pants"
    assert sum(answer.values()) == pytest.approx(1)
    (line,) = [vars(record) for record in caplog.records if record.message == "classified"]
    assert set(line["milliseconds"]) == {"fetch", "decode", "infer"}


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("api_predict_bytes", 200),
        ("api_create_classification", 201),
        ("api_read_classification", 404),
        ("api_create_uploads", 201),
        ("api_model", 200),
        ("api_health", 200),
    ],
)
def test_requests_of_api_gateway_are_answered(
    services: Services, load_event: LoadEvent, name: str, status: int
) -> None:
    answer = handle(load_event(name), services)

    assert answer["statusCode"] == status
    assert answer["multiValueHeaders"]["Content-Type"] == ["application/json"]
    json.dumps(answer)


def test_a_request_with_a_url_is_answered(services: Services, load_event: LoadEvent, photo_server: PhotoServer) -> None:
    assert handle(with_served_url(load_event("api_predict_url"), photo_server), services)["statusCode"] == 200


def test_every_file_in_events_is_used_in_this_module() -> None:
    source = (ROOT / "tests" / "unit" / "test_app.py").read_text()

    assert [name for name in EVENTS if not name.startswith(("s3", "batch_")) and f'"{name}"' not in source] == []


@pytest.mark.parametrize(
    "event",
    [
        {},
        [],
        None,
        "url",
        {"url": 1},
        {"Records": []},
        {"Records": "many"},
        {"Records": ["text"]},
        {"Records": [{}]},
        {"Records": [{"eventSource": "aws:kinesis"}]},
        {"Records": [{"eventSource": "aws:sqs", "body": "{}"}]},
        {"Records": [{"eventSource": "aws:s3"}]},
        {"Records": [{"eventSource": "aws:s3", "s3": {"bucket": {"name": "photos"}, "object": {"key": 1}}}]},
        {"Records": [{"eventSource": "aws:s3", "s3": {"bucket": {}, "object": {"key": "uploads/a.jpg"}}}]},
        {"Records": [{"eventSource": "aws:sqs", "messageId": "1"}]},
        {"Records": [{"eventSource": "aws:sqs", "messageId": 1, "body": "{}"}]},
        {"Records": [{"eventSource": "aws:s3"}, {"eventSource": "aws:sqs"}]},
        {"requestContext": {}},
        {"httpMethod": "GET"},
        {"invocationSchemaVersion": "3.0", "tasks": []},
        {"Event": "s3:Other"},
        {"detail-type": "Object Created", "source": "aws.s3"},
    ],
)
def test_an_unknown_event_is_refused_with_an_error_that_names_the_known_kinds(services: Services, event: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"S3 event notifications.*SQS.*Batch Operations"):
        handle(event, services)


def test_the_handler_logs_one_line_and_metrics_for_a_photo(
    services: Services,
    load_event: LoadEvent,
    caplog: pytest.LogCaptureFixture,
    metrics: Metrics,
) -> None:
    """The line has the photo's id, its label and the milliseconds of each stage."""
    answer = invoke(load_event("api_predict_bytes"))

    (line,) = [vars(record) for record in caplog.records if record.message == "classified"]
    assert line["id"] == answer["multiValueHeaders"]["Location"][0].rpartition("/")[2]
    assert (line["label"], line["code"], line["reason"], line["source"]) == ("t-shirt", None, None, "bytes")
    assert line["confidence"] == round(max(json.loads(answer["body"]).values()), 4)
    assert line["needs_review"] is False
    assert set(line["milliseconds"]) == {"fetch", "decode", "infer", "store"}
    assert metrics.values("Classified", label="t-shirt") == [1]
    for stage, milliseconds in line["milliseconds"].items():
        assert metrics.values(f"{stage.capitalize()}Time") == [milliseconds]


def test_a_failed_photo_is_logged_and_counted_by_its_code(
    services: Services, bucket: Bucket, load_event: LoadEvent, metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    bucket.put(f"uploads/{ID}", b"just text")

    handle(load_event("s3"), services)

    (line,) = [vars(record) for record in caplog.records if record.message == "failed"]
    assert (line["id"], line["label"], line["code"], line["source"]) == (ID, None, "unsupported_image", "s3")
    assert "JPEG" in line["reason"]
    assert (line["confidence"], line["needs_review"]) == (0, True)
    assert set(line["milliseconds"]) == {"fetch", "decode", "store"}
    assert metrics.values("Failed", code="unsupported_image") == [1]
    assert len(metrics.values("StoreTime")) == 1


def test_metrics_have_the_shares_of_failed_photos_and_of_photos_for_review(
    services: Services, api: Api, metrics: Metrics
) -> None:
    """Each photo counts as 0 or 1. A failed photo does not count for the second share."""
    for body in (photo("t-shirt"), photo("t-shirt")[:3000], encoded(Image.new("RGB", (64, 64)))):
        invoke(api_event("POST", "/predict", body=body))

    assert metrics.values("PhotosFailed") == [0, 1, 0]
    assert metrics.values("PhotosForReview") == [0, 1]


def test_the_operator_s_review_threshold_replaces_the_model_s(aws: Resources) -> None:
    environment = os.environ | {"REVIEW_THRESHOLD": "1"}
    strict = Api(Services.from_environment(environment))

    classification = strict.request("POST", "/classifications", body=photo("t-shirt")).json

    assert classification["needs_review"]
    assert strict.request("GET", "/model").json["review_threshold"] == 1


def test_the_error_says_what_to_start_if_the_emulator_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, load_event: LoadEvent
) -> None:
    """`sam local invoke` without `make run` has this error."""
    endpoint = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setattr(app, "get_services", lambda: Services.from_environment(os.environ))

    with pytest.raises(NoEndpoint, match=f"Nothing answers at {endpoint}.* is `make run` running"):
        invoke(load_event("s3"))


def test_another_error_is_raised_as_it_is_beside_an_emulator(
    services: Services, monkeypatch: pytest.MonkeyPatch, load_event: LoadEvent
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setattr(app, "get_services", lambda: services)

    with pytest.raises(InvalidRequest):
        invoke({"unknown": "event"})


def test_the_daily_request_that_keeps_the_function_active_is_answered(services: Services) -> None:
    event = json.loads(resource_properties("ClassifierFunction")["Events"]["StayActive"]["Properties"]["Input"])

    assert handle(event, services)["statusCode"] == 200
