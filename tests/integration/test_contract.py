"""The contract: each kind of event, and each route with its fields and codes, in a few lines each.

Other tests go into detail. These fail if something that users rely on is missing or has another form.
"""

import base64
import io
import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from openapi_spec_validator import validate
from PIL import Image

from classifier.errors import Forbidden, InvalidRequest, MethodNotAllowed, PreconditionFailed
from classifier.events import is_failed_event
from classifier.keys import object_key
from classifier.model import Model
from classifier.pixels import FORMATS
from classifier.services import Services
from tests.support.api import Answer, Api, handle
from tests.support.bucket import Bucket
from tests.support.drawings import encoded, garment, photo
from tests.support.errors import error_kinds
from tests.support.events import api_event, message, queue_event, s3_event
from tests.support.photo_server import PhotoServer

PANTS = photo("pants")
ID = "listing-42/front.jpg"  # of the photo in the files of events/
IMAGE = {"Content-Type": "image/jpeg"}
PANTS_CATEGORY = {"google": 204, "shopify": "aa-1-12", "name": "Pants"}
CODES = {
    "invalid_request": 400,
    "not_found": 404,
    "image_too_large": 413,
    "unsupported_image": 415,
    "unreadable_image": 422,
    "url_not_allowed": 422,
    "url_unreachable": 502,
    "busy": 503,
    "internal_error": 500,
}
LoadEvent = Callable[[str], Any]


@pytest.fixture(params=[None, "prod"], ids=["no prefix", "a stage's prefix"])
def client(request: pytest.FixtureRequest, api: Api) -> "Client":
    return Client(api, request.param)


class Client:
    """Sends requests with or without the prefix of a stage, which API Gateway removes and which links must have."""

    def __init__(self, api: Api, stage: str | None) -> None:
        self._api, self._stage = api, stage

    def request(self, method: str, path: str, content: Any = None, **options: Any) -> Answer:
        return self._api.request(method, path, content, stage=self._stage, **options)

    def follow(self, link: str) -> Answer:
        path = urlsplit(link).path
        prefix = f"/{self._stage}" if self._stage else ""
        assert path.startswith(f"{prefix}/classifications/")
        return self.request("GET", path.removeprefix(prefix))


def upload(bucket: Bucket, services: Services, identifier: str = ID, data: bytes = PANTS) -> None:
    bucket.put(object_key(identifier), data)
    handle(s3_event(object_key(identifier)), services)


def assert_classification(content: Any, model: Model) -> None:
    assert list(content) == [
        *("id", "status", "label", "confidence", "needs_review", "predictions", "confirmed_label", "confirmation"),
        *("category", "batch_id", "model_version", "image", "source", "created_at", "classified_at", "error"),
    ]
    assert content["status"] == "SUCCEEDED"
    scores = [prediction["score"] for prediction in content["predictions"]]
    assert {prediction["label"] for prediction in content["predictions"]} == set(model.description.labels)
    assert scores == sorted(scores, reverse=True)
    assert sum(scores) == pytest.approx(1)
    assert content["predictions"][0] == {"label": content["label"], "score": content["confidence"]}
    assert set(content["image"]) == {"format", "width", "height", "bytes", "etag"}
    assert content["model_version"] == model.description.version
    assert all(content[time].endswith("Z") for time in ("created_at", "classified_at"))


# Events


def test_a_direct_invocation_is_answered_with_the_scores(
    services: Services, model: Model, photo_server: PhotoServer
) -> None:
    answer = handle({"url": photo_server.serve("/pants.jpg", PANTS)}, services)

    assert list(answer) == list(model.description.labels)
    assert max(answer, key=answer.get) == "pants"


@pytest.mark.parametrize("name", ["s3", "s3_versioned", "sqs"])
def test_an_upload_is_classified_by_an_event_of_s3_or_of_a_queue(
    name: str, services: Services, bucket: Bucket, load_event: LoadEvent, api: Api
) -> None:
    bucket.put(object_key(ID), PANTS)

    handle(load_event(name), services)

    assert api.request("GET", f"/classifications/{ID}").json["label"] == "pants"


def test_a_removed_photo_is_not_found(services: Services, bucket: Bucket, load_event: LoadEvent, api: Api) -> None:
    upload(bucket, services)
    bucket.delete(object_key(ID))

    handle(load_event("s3_removed"), services)
    handle(load_event("s3"), services)

    assert api.request("GET", f"/classifications/{ID}").status == CODES["not_found"]


def test_the_test_event_of_s3_is_ignored(services: Services, load_event: LoadEvent) -> None:
    assert handle(load_event("s3_test_event"), services) is None


def test_a_queue_delivers_again_only_the_message_that_failed(services: Services, bucket: Bucket) -> None:
    bucket.put(object_key(ID), PANTS)
    bodies = [json.dumps(s3_event(object_key(ID))), "no JSON"]
    messages = [message(body, str(number)) for number, body in enumerate(bodies)]

    assert handle(queue_event(*messages), services) == {"batchItemFailures": [{"itemIdentifier": "1"}]}


@pytest.mark.parametrize("schema", ["1.0", "2.0"])
def test_a_batch_job_is_answered_with_a_result_for_each_task(
    schema: str, services: Services, bucket: Bucket, load_event: LoadEvent
) -> None:
    event = load_event(f"batch_operations_{schema}")
    bucket.put(object_key(ID), PANTS)

    answer = handle(event, services)

    assert answer["invocationSchemaVersion"] == schema
    assert answer["invocationId"] == event["invocationId"]
    assert [result["taskId"] for result in answer["results"]] == [task["taskId"] for task in event["tasks"]]
    results = {result["resultCode"] for result in answer["results"]}
    assert "Succeeded" in results
    assert results <= {"Succeeded", "TemporaryFailure", "PermanentFailure"}


def test_a_failed_event_marks_its_photo_as_failed(
    services: Services, bucket: Bucket, load_event: LoadEvent, api: Api
) -> None:
    event = load_event("failed")
    assert is_failed_event(event)
    bucket.put(object_key(ID), PANTS)

    handle(event, services)

    record = api.request("GET", f"/classifications/{ID}").json
    assert (record["status"], record["error"]["code"]) == ("FAILED", "internal_error")


@pytest.mark.parametrize("event", [{}, {"Records": [{"eventSource": "aws:kinesis"}]}, [], None])
def test_an_unknown_event_is_refused_with_an_error_that_names_the_known_kinds(event: Any, services: Services) -> None:
    with pytest.raises(InvalidRequest, match=r"url.*API Gateway.*S3.*SQS.*Batch Operations.*failed"):
        handle(event, services)


# Routes


@pytest.fixture(params=["url", "bytes"])
def form(request: pytest.FixtureRequest, photo_server: PhotoServer) -> dict[str, Any]:
    """The two ways to send a photo."""
    if request.param == "url":
        return {"content": {"url": photo_server.serve("/pants.jpg", PANTS)}}
    return {"body": PANTS, "headers": IMAGE}


def test_post_predict_answers_the_scores_and_a_location(form: dict[str, Any], client: Client, model: Model) -> None:
    answer = client.request("POST", "/predict", **form)

    assert (answer.status, list(answer.json)) == (200, list(model.description.labels))
    assert_classification(client.follow(answer.headers["location"]).json, model)


def test_post_classifications_answers_the_classification_and_its_location(
    form: dict[str, Any], client: Client, model: Model
) -> None:
    answer = client.request("POST", "/classifications", **form)

    assert answer.status == 201
    assert_classification(answer.json, model)
    assert answer.json["source"] == ("url" if "content" in form else "bytes")
    assert client.follow(answer.headers["location"]).json == answer.json


def test_get_classifications_id_answers_pending_and_classified_and_unchanged(
    client: Client, model: Model, services: Services, bucket: Bucket
) -> None:
    bucket.put(object_key(ID), PANTS)
    pending = client.request("GET", f"/classifications/{ID}")
    handle(s3_event(object_key(ID)), services)
    answer = client.request("GET", f"/classifications/{ID}")
    same = client.request("GET", f"/classifications/{ID}", headers={"If-None-Match": answer.headers["etag"]})
    encoded_id = client.request("GET", f"/classifications/{quote(ID, safe='')}")
    missing = client.request("GET", "/classifications/nothing.jpg")

    assert (pending.status, pending.json["status"]) == (200, "PENDING")
    assert int(pending.headers["retry-after"]) > 0
    assert_classification(answer.json, model)
    assert (answer.json["id"], answer.json["batch_id"], answer.json["source"]) == (ID, "listing-42", "s3")
    assert "retry-after" not in answer.headers
    assert (same.status, same.body or "") == (304, "")
    assert encoded_id.json == answer.json
    assert missing.status == CODES["not_found"]


def test_get_classifications_lists_by_filter_and_page(client: Client, services: Services, bucket: Bucket) -> None:
    for number in range(3):
        upload(bucket, services, f"listing-42/{number}.jpg")
    asked = {"label": "pants", "status": "SUCCEEDED", "batch": "listing-42", "needs_review": "false", "limit": "2"}

    first = client.request("GET", "/classifications", query=asked).json
    second = client.request("GET", "/classifications", query={**asked, "cursor": first["next_cursor"]}).json

    assert set(first) == {"items", "next_cursor"}
    assert (len(first["items"]), len(second["items"]), second["next_cursor"]) == (2, 1, None)
    items = first["items"] + second["items"]
    assert {item["id"] for item in items} == {f"listing-42/{number}.jpg" for number in range(3)}
    times = [item["created_at"] for item in items]
    assert times == sorted(times, reverse=True)


def test_post_uploads_and_get_batches_id_answer_forms_and_progress(
    client: Client, services: Services, bucket: Bucket
) -> None:
    files = [{"name": "front.jpg", "content_type": "image/jpeg"}, {"name": "notes.jpg", "content_type": "image/jpeg"}]
    answer = client.request("POST", "/uploads", {"files": files})
    front, notes = answer.json["items"]
    upload(bucket, services, front["id"])
    upload(bucket, services, notes["id"], b"no photo")

    batch = client.request("GET", f"/batches/{answer.json['batch_id']}").json

    assert answer.status == 201
    assert set(front) == {"id", "url", "fields", "status_url", "expires_at"}
    assert client.follow(front["status_url"]).json["id"] == front["id"]
    assert set(batch) == {
        *("batch_id", "total", "pending", "succeeded", "failed", "label", "confidence", "needs_review"),
        *("predictions", "confirmation", "category", "items"),
    }
    assert [batch[name] for name in ("total", "pending", "succeeded", "failed")] == [2, 0, 1, 1]
    assert (batch["label"], batch["category"], batch["confirmation"]) == ("pants", PANTS_CATEGORY, None)
    assert set(answer.json) == {"batch_id", "token", "items"}


def test_post_uploads_adds_photos_to_a_listing(client: Client, services: Services, bucket: Bucket) -> None:
    upload(bucket, services)
    files = [{"name": "front.jpg", "content_type": "image/jpeg"}]

    answer = client.request("POST", "/uploads", {"files": files, "batch_id": "listing-42"})
    missing = client.request("POST", "/uploads", {"files": files, "batch_id": "nothing"})

    assert (answer.status, answer.json["batch_id"]) == (201, "listing-42")
    assert client.request("GET", "/batches/listing-42").json["total"] == 2
    assert missing.status == CODES["not_found"]


@pytest.mark.parametrize("count", [0, 51])
def test_post_uploads_takes_one_to_fifty_files(count: int, client: Client) -> None:
    files = [{"name": "front.jpg", "content_type": "image/jpeg"}] * count

    assert client.request("POST", "/uploads", {"files": files}).status == CODES["invalid_request"]


def test_put_confirmations_id_stores_the_label(client: Client, services: Services, bucket: Bucket) -> None:
    upload(bucket, services)

    answer = client.request("PUT", f"/confirmations/{ID}", {"label": "shorts"})

    assert answer.status == 200
    assert (answer.json["label"], answer.json["confirmed_label"]) == ("pants", "shorts")
    assert (answer.json["confirmation"]["label"], answer.json["confirmation"]["by"]) == ("shorts", "shop")
    assert answer.json["confirmation"]["at"].endswith("Z")
    assert answer.json["category"]["name"] == "Shorts"
    assert client.request("GET", f"/classifications/{ID}").json == answer.json
    assert client.request("GET", "/classifications", query={"confirmed": "true"}).json["items"] == [answer.json]


def test_put_confirmations_id_stores_that_it_is_none_of_the_labels(
    client: Client, services: Services, bucket: Bucket
) -> None:
    upload(bucket, services)

    answer = client.request("PUT", f"/confirmations/{ID}", {"label": None}).json

    assert (answer["label"], answer["confirmed_label"], answer["category"]) == ("pants", None, None)
    assert answer["confirmation"]["label"] is None


def test_delete_confirmations_id_takes_the_answer_back(client: Client, services: Services, bucket: Bucket) -> None:
    upload(bucket, services)
    before = client.request("GET", f"/classifications/{ID}").json
    client.request("PUT", f"/confirmations/{ID}", {"label": "shorts"})

    answer = client.request("DELETE", f"/confirmations/{ID}")

    assert (answer.status, answer.json) == (200, before)


def test_put_batches_id_confirmation_holds_for_all_photos(client: Client, services: Services, bucket: Bucket) -> None:
    for name in ("front", "back"):
        upload(bucket, services, f"listing-42/{name}.jpg")

    answer = client.request("PUT", "/batches/listing-42/confirmation", {"label": "shorts"})

    assert answer.status == 200
    assert (answer.json["label"], answer.json["confidence"], answer.json["needs_review"]) == ("shorts", 1, False)
    assert [item["confirmed_label"] for item in answer.json["items"]] == ["shorts", "shorts"]
    assert client.request("GET", "/batches/listing-42").json == answer.json


def test_delete_batches_id_confirmation_takes_the_answer_back(
    client: Client, services: Services, bucket: Bucket
) -> None:
    upload(bucket, services)
    before = client.request("GET", "/batches/listing-42").json
    client.request("PUT", "/batches/listing-42/confirmation", {"label": None})

    answer = client.request("DELETE", "/batches/listing-42/confirmation")

    assert (answer.status, answer.json) == (200, before)


def test_delete_classifications_id_removes_photo_and_record(client: Client, services: Services, bucket: Bucket) -> None:
    upload(bucket, services)

    answer = client.request("DELETE", f"/classifications/{ID}")
    handle(s3_event(object_key(ID)), services)

    assert (answer.status, answer.body) == (204, "")
    assert client.request("GET", f"/classifications/{ID}").status == CODES["not_found"]
    assert bucket.keys() == []


def test_delete_batches_id_removes_all_photos_and_records(client: Client, services: Services, bucket: Bucket) -> None:
    for name in ("front", "back"):
        upload(bucket, services, f"listing-42/{name}.jpg")

    answer = client.request("DELETE", "/batches/listing-42")
    handle(s3_event("uploads/listing-42/front.jpg"), services)

    assert (answer.status, answer.body) == (204, "")
    assert client.request("GET", "/batches/listing-42").status == CODES["not_found"]
    assert client.request("GET", "/classifications").json["items"] == []
    assert bucket.keys() == []


def test_get_thumbnails_id_answers_a_small_jpeg(client: Client, services: Services, bucket: Bucket) -> None:
    upload(bucket, services, data=photo("pants", (1200, 900)))

    answer = client.request("GET", f"/thumbnails/{ID}")
    same = client.request("GET", f"/thumbnails/{ID}", headers={"If-None-Match": answer.headers["etag"]})

    assert (answer.status, answer.headers["content-type"]) == (200, "image/jpeg")
    assert answer.headers["cache-control"].startswith("private")
    with Image.open(io.BytesIO(base64.b64decode(answer.body))) as image:
        assert (image.format, image.size, dict(image.getexif())) == ("JPEG", (480, 360), {})
    assert (same.status, same.body or "") == (304, "")
    assert client.request("GET", "/thumbnails/listing-42/nothing.jpg").status == CODES["not_found"]


def test_requests_below_listings_need_a_token_and_reach_its_listing_alone(
    client: Client, services: Services, bucket: Bucket
) -> None:
    upload(bucket, services)
    files = {"files": [{"name": "front.jpg", "content_type": "image/jpeg"}]}
    created = client.request("POST", "/uploads", files).json
    batch, token = created["batch_id"], {"Authorization": f"Bearer {created['token']}"}
    upload(bucket, services, f"{batch}/front.jpg")
    label = {"label": "shorts"}
    requests: list[tuple[str, str, Any]] = [
        ("POST", "uploads", files),
        ("GET", "batches/{batch}", None),
        ("PUT", "batches/{batch}/confirmation", label),
        ("DELETE", "batches/{batch}/confirmation", None),
        ("GET", "classifications/{batch}/front.jpg", None),
        ("PUT", "confirmations/{batch}/front.jpg", label),
        ("DELETE", "confirmations/{batch}/front.jpg", None),
        ("GET", "thumbnails/{batch}/front.jpg", None),
        ("GET", "model", None),
        ("DELETE", "classifications/{batch}/front.jpg", None),
        ("DELETE", "batches/{batch}", None),
    ]
    for method, path, content in requests:
        own, other = (f"/listings/{path.format(batch=name)}" for name in (batch, "listing-42"))
        if own != other:
            assert client.request(method, other, content, headers=token).status == CODES["not_found"]
        assert client.request(method, own, content).status == 403
        assert client.request(method, own, content, headers=token).status in {200, 201, 204}, own
        if method == "PUT":
            seen = client.request("GET", f"/classifications/{batch}/front.jpg").json
            assert (seen["confirmation"]["label"], seen["confirmation"]["by"]) == ("shorts", "seller")
    assert client.request("GET", "/listings/classifications", headers=token).status == CODES["not_found"]
    assert client.request("GET", f"/classifications/{ID}").json["confirmation"] is None


def test_every_get_answers_head(client: Client, services: Services, bucket: Bucket) -> None:
    upload(bucket, services)
    paths = ("/classifications", f"/classifications/{ID}", "/batches/listing-42", f"/thumbnails/{ID}", "/model")
    for path in (*paths, "/health", "/openapi.json", "/docs", "/desk", "/"):
        answer = client.request("HEAD", path)

        assert (answer.status, answer.body) == (200, ""), path


@pytest.mark.parametrize(
    ("method", "path", "content", "query"),
    [
        ("GET", "/classifications", None, {"state": "FAILED"}),
        ("GET", f"/classifications/{ID}", None, {"state": "FAILED"}),
        ("POST", "/predict", {"url": "https://example.com/a.jpg", "state": 1}, None),
        ("POST", "/uploads", {"files": [{"name": "a.jpg", "content_type": "image/jpeg", "state": 1}]}, None),
        ("PUT", f"/confirmations/{ID}", {"label": "pants", "state": 1}, None),
        ("PUT", "/batches/listing-42/confirmation", {"label": "pants", "state": 1}, None),
    ],
)
def test_an_unknown_field_or_parameter_is_refused_by_name(
    method: str, path: str, content: Any, query: Any, client: Client
) -> None:
    answer = client.request(method, path, content, query=query)

    assert answer.status == CODES["invalid_request"]
    assert "state" in answer.json["error"]["message"]


@pytest.mark.parametrize("path", ["/predict", "/classifications", f"/listings/batches/{ID}"])
def test_pages_of_allowed_origins_alone_may_call_the_api(path: str, services: Services) -> None:
    for origin, allowed in (("https://shop.example", ["https://shop.example"]), ("https://other.example", None)):
        event = api_event("OPTIONS", path, headers={"Origin": origin, "Access-Control-Request-Method": "POST"})

        answer = handle({**event, "stageVariables": {"allowedOrigins": "https://shop.example"}}, services)

        assert (answer["statusCode"], answer["multiValueHeaders"].get("Access-Control-Allow-Origin")) == (204, allowed)


def test_get_model_answers_what_the_model_is(client: Client, model: Model) -> None:
    told = client.request("GET", "/model").json

    assert (told["version"], told["labels"]) == (model.description.version, list(model.description.labels))
    assert {"name", "input", "accuracy"} <= set(told)
    assert told["categories"]["pants"] == PANTS_CATEGORY


def test_get_health_answers_200(client: Client) -> None:
    assert client.request("GET", "/health").status == 200


def test_get_openapi_json_answers_a_valid_description_of_every_path(client: Client) -> None:
    description = client.request("GET", "/openapi.json").json

    validate(description)
    assert set(description["paths"]) >= {
        *("/predict", "/classifications", "/classifications/{id}", "/uploads", "/batches/{batch_id}"),
        *("/batches/{batch_id}/confirmation", "/confirmations/{id}", "/thumbnails/{id}", "/model", "/health"),
        *("/listings/uploads", "/listings/batches/{batch_id}", "/openapi.json", "/docs", "/desk", "/"),
    }


@pytest.mark.parametrize("path", ["/", "/desk", "/docs"])
def test_pages_are_html(path: str, client: Client) -> None:
    answer = client.request("GET", path)

    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/html")


# Errors


@pytest.mark.parametrize(
    ("code", "method", "path", "options"),
    [
        ("invalid_request", "POST", "/predict", {"content": {"link": "https://example.com/"}}),
        ("not_found", "GET", "/classifications/nothing.jpg", {}),
        ("not_found", "GET", "/nowhere", {}),
        ("not_found", "GET", "/batches/nothing", {}),
        ("image_too_large", "POST", "/predict", {"body": encoded(Image.new("RGB", (20_001, 1)), "PNG")}),
        ("unsupported_image", "POST", "/predict", {"body": b"no photo"}),
        ("unreadable_image", "POST", "/predict", {"body": PANTS[:5000]}),
        ("url_not_allowed", "POST", "/predict", {"content": {"url": "http://169.254.169.254/latest/meta-data"}}),
        ("url_not_allowed", "POST", "/classifications", {"content": {"url": "ftp://example.com/photo.jpg"}}),
        ("url_unreachable", "POST", "/predict", {"content": {"url": "http://127.0.0.1:1/photo.jpg"}}),
    ],
)
def test_an_error_has_its_code_and_status_and_leaks_nothing(
    code: str, method: str, path: str, options: dict[str, Any], client: Client
) -> None:
    headers = IMAGE if "body" in options else {}

    answer = client.request(method, path, headers=headers, **options)

    assert answer.status == CODES[code]
    assert set(answer.json) == {"error", "request_id"}
    assert answer.json["error"]["code"] == code
    assert not re.search(r"Traceback|\.py|/var|Exception|boto", answer.body)


def test_each_error_has_a_code_and_a_status_of_the_contract() -> None:
    """Some invalid requests have a status of their own, which HTTP has for them."""
    invalid = {kind for kind in error_kinds() if issubclass(kind, InvalidRequest) and kind is not InvalidRequest}

    assert {kind.code: int(kind.status) for kind in error_kinds() if kind not in invalid} == CODES
    assert {kind: int(kind.status) for kind in invalid} == {
        Forbidden: 403,
        MethodNotAllowed: 405,
        PreconditionFailed: 412,
    }
    assert {kind.code for kind in invalid} == {"invalid_request"}


# What comes in


@pytest.mark.parametrize("format_name", FORMATS)
def test_every_format_is_accepted_with_any_content_type(format_name: str, client: Client) -> None:
    data = encoded(garment("pants"), format_name)

    answer = client.request("POST", "/classifications", body=data, headers={"Content-Type": "image/x-photo"})

    assert (answer.status, answer.json["image"]["format"], answer.json["label"]) == (201, format_name, "pants")
