"""The HTTP API: status codes, headers and bodies."""

import base64
import inspect
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, unquote

import pytest
from botocore.exceptions import ConnectTimeoutError
from openapi_spec_validator import validate

from classifier import api as api_module
from classifier.classification import Classification, Source, Status
from classifier.download import Downloader
from classifier.errors import quote as quote_text
from classifier.indexes import Filter
from classifier.keys import MAX_KEY_BYTES, UPLOAD_PREFIX
from classifier.model import Model
from classifier.reconcile import reconcile
from classifier.records import Conflict, Row
from classifier.services import Services
from local.aws import BUCKET
from tests.support.api import Api, handle
from tests.support.bucket import Bucket
from tests.support.drawings import encoded, garment, photo
from tests.support.errors import client_error, error_kinds
from tests.support.events import api_event
from tests.support.metrics import Metrics
from tests.support.paths import ROOT
from tests.support.photo_server import PhotoServer
from tests.support.services import replace_parts

T_SHIRT = photo("t-shirt")
KEY, ID = "uploads/listing-42/front.jpg", "listing-42/front.jpg"
JSON = "application/json"


def assert_error(answer: Any, status: int, code: str) -> None:
    """Assert that the error has the contract's form, with a message for people."""
    assert answer.status == status, answer.body
    assert answer.json == {
        "error": {"code": code, "message": answer.json["error"]["message"]},
        "request_id": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
    }
    assert len(answer.json["error"]["message"]) > 10
    assert not re.search(r"Traceback|\.py|/var|/work|Exception|boto", answer.body)


def classify_upload(services: Services, bucket: Bucket, data: bytes = T_SHIRT) -> None:
    bucket.put(KEY, data)
    reconcile(BUCKET, KEY, services)


# Predictions


def test_predict_answers_a_url_with_the_scores_in_label_order(
    api: Api, model: Model, photo_server: PhotoServer
) -> None:
    answer = api.request("POST", "/predict", {"url": photo_server.serve("/photo.jpg", T_SHIRT)})

    assert answer.status == 200
    assert answer.headers["content-type"] == JSON
    assert tuple(answer.json) == model.description.labels
    assert sum(answer.json.values()) == pytest.approx(1)


def test_a_client_of_the_tutorials_works_unchanged(api: Api, photo_server: PhotoServer) -> None:
    """It loops over the scores and takes the largest."""
    result = api.request("POST", "/predict", {"url": photo_server.serve("/p.jpg", T_SHIRT)}).json

    best, best_score = None, 0.0
    for label, score in result.items():
        if score > best_score:
            best, best_score = label, score

    assert best == "t-shirt"


@pytest.mark.parametrize(
    "content_type", ["image/jpeg", "image/png", "IMAGE/WHATEVER", "application/octet-stream", JSON]
)
def test_predict_answers_image_bytes_with_any_content_type(api: Api, content_type: str) -> None:
    answer = api.request("POST", "/predict", body=T_SHIRT, headers={"content-type": content_type})

    assert answer.status == 200
    assert max(answer.json, key=answer.json.get) == "t-shirt"


@pytest.mark.parametrize("stage", [None, "prod"])
def test_the_location_is_that_of_the_stored_classification(api: Api, stage: str | None) -> None:
    predicted = api.request("POST", "/predict", body=T_SHIRT, stage=stage)

    location = predicted.headers["location"]
    prefix = f"/{stage}" if stage else ""
    assert location.startswith(f"{prefix}/classifications/")
    read = api.request("GET", location.removeprefix(prefix), stage=stage).json
    assert {p["label"]: p["score"] for p in read["predictions"]} == predicted.json
    assert read["source"] == "bytes"
    assert read["id"] == location.rpartition("/")[2]


def test_a_path_with_the_stage_is_routed(api: Api) -> None:
    event = api_event("POST", "/prod/predict", body=T_SHIRT)
    event["requestContext"] |= {"stage": "prod", "path": "/prod/predict"}

    answer = handle(event, api.services)

    assert answer["statusCode"] == 200
    assert answer["multiValueHeaders"]["Location"][0].startswith("/prod/classifications/")


def test_a_created_classification_is_answered_with_all_fields(
    api: Api, photo_server: PhotoServer, model: Model
) -> None:
    url = photo_server.serve("/shirt.png", encoded(garment("t-shirt", (300, 200)), "PNG"))

    answer = api.request("POST", "/classifications", {"url": url})

    assert answer.status == 201
    assert answer.headers["location"] == f"/classifications/{answer.json['id']}"
    content = answer.json
    assert (content["status"], content["label"], content["source"]) == ("SUCCEEDED", "t-shirt", "url")
    assert content["confidence"] == content["predictions"][0]["score"]
    assert len(content["predictions"]) == 10
    assert content["model_version"] == model.description.version
    assert (content["image"]["format"], content["image"]["width"], content["image"]["height"]) == ("PNG", 300, 200)
    assert content["category"] == model.description.categories["t-shirt"]
    for name in ("batch_id", "confirmed_label", "confirmation", "error"):
        assert content[name] is None
    assert api.request("GET", answer.headers["location"]).json == content


def test_a_posted_photo_has_the_etag_of_an_uploaded_one(api: Api, services: Services, bucket: Bucket) -> None:
    classify_upload(services, bucket)

    posted = api.request("POST", "/classifications", body=T_SHIRT).json

    assert posted["image"]["etag"] == api.request("GET", f"/classifications/{ID}").json["image"]["etag"]


def test_the_record_of_a_request_expires_after_a_year(api: Api, services: Services) -> None:
    location = api.request("POST", "/predict", body=T_SHIRT).headers["location"]

    expires_at = services.records.read(location.rpartition("/")[2]).expires_at
    assert expires_at is not None
    assert (expires_at - datetime.now(UTC)) / timedelta(days=1) == pytest.approx(365, abs=0.01)


@pytest.mark.parametrize("route", ["/predict", "/classifications"])
@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        (b"", JSON, 400, "invalid_request"),
        (b"{", JSON, 400, "invalid_request"),
        (b"[" * 100_000, JSON, 400, "invalid_request"),
        (b'{"url": ' + b"9" * 10_000 + b"}", JSON, 400, "invalid_request"),
        (b"[]", JSON, 400, "invalid_request"),
        (b"null", JSON, 400, "invalid_request"),
        (b"{}", JSON, 400, "invalid_request"),
        (b'{"url": 1}', JSON, 400, "invalid_request"),
        (b"\xff\xfe\x00", JSON, 400, "invalid_request"),
        (b"just text", "text/plain", 400, "invalid_request"),
        (b'{"url": ""}', JSON, 422, "url_not_allowed"),
        (b'{"url": "file:///etc/passwd"}', JSON, 422, "url_not_allowed"),
        (b"", "image/jpeg", 422, "unreadable_image"),
        (b"just text", "image/jpeg", 415, "unsupported_image"),
        (T_SHIRT[:3000], "image/jpeg", 422, "unreadable_image"),
    ],
)
def test_a_malformed_request_has_a_clear_error(  # noqa: PLR0917
    api: Api, route: str, body: bytes, content_type: str, status: int, code: str
) -> None:
    assert_error(api.request("POST", route, body=body, headers={"Content-Type": content_type}), status, code)


def test_a_photo_above_the_size_limit_is_413(api: Api) -> None:
    assert_error(api.request("POST", "/predict", body=b"\xff\xd8\xff" + bytes(26 * 2**20)), 413, "image_too_large")


def test_a_refused_photo_is_counted_by_its_code(api: Api, metrics: Metrics) -> None:
    api.request("POST", "/predict", body=T_SHIRT[:3000])

    assert metrics.values("Failed", code="unreadable_image") == [1]
    assert metrics.values("PhotosFailed") == [1]
    assert metrics.values("Classified") == []


@pytest.mark.parametrize(
    ("path", "stage", "status"), [(None, None, 200), ("/prod/model", "prod", 200), ("/prod/model", "test", 404)]
)
def test_only_the_stage_of_the_event_is_removed_from_the_path(
    api: Api, path: str | None, stage: str | None, status: int
) -> None:
    """An event without a path is a request for the seller's page."""
    event = api_event("GET", "/model", stage=stage) | {"path": path}

    assert handle(event, api.services)["statusCode"] == status


def test_a_request_without_headers_or_body_is_refused(api: Api) -> None:
    """API Gateway's console sends such requests."""
    event = api_event("POST", "/predict") | {"headers": None, "multiValueHeaders": None, "body": None}

    assert handle(event, api.services)["statusCode"] == 400


@pytest.mark.parametrize("body", ["%%%", "é"])
def test_a_body_that_is_not_base64_is_refused(api: Api, body: str) -> None:
    event = api_event("POST", "/predict", body=b"x") | {"body": body}

    answer = handle(event, api.services)

    assert answer["statusCode"] == 400
    assert "base64" in answer["body"]


def test_a_body_in_plain_text_is_read(api: Api, photo_server: PhotoServer) -> None:
    """Emulators that do not know binary types send such bodies."""
    url = photo_server.serve("/p.jpg", T_SHIRT)
    event = api_event("POST", "/predict", body=b"") | {"body": json.dumps({"url": url}), "isBase64Encoded": False}

    answer = handle(event, api.services)

    assert answer["statusCode"] == 200


@pytest.mark.parametrize(
    ("path", "status", "code"), [("/missing", 502, "url_unreachable"), ("/text", 415, "unsupported_image")]
)
def test_the_answer_of_a_url_that_gives_no_photo_is_an_error(
    api: Api, photo_server: PhotoServer, path: str, status: int, code: str
) -> None:
    photo_server.serve("/text", b"hello")

    assert_error(api.request("POST", "/predict", {"url": photo_server.url(path)}), status, code)


def test_loopback_urls_are_refused_outside_of_the_local_system(api: Api, photo_server: PhotoServer) -> None:
    strict = Api(replace_parts(api.services, downloader=Downloader(max_bytes=10**7)))

    answer = strict.request("POST", "/predict", {"url": photo_server.serve("/photo.jpg", T_SHIRT)})

    assert_error(answer, 422, "url_not_allowed")


# Reading


@pytest.mark.parametrize("path", ["listing-42/front.jpg", "listing-42%2Ffront.jpg", "listing%2D42/front%2Ejpg"])
def test_an_upload_is_read_by_its_id_encoded_or_not(api: Api, services: Services, bucket: Bucket, path: str) -> None:
    classify_upload(services, bucket)

    answer = api.request("GET", f"/classifications/{path}")

    assert (answer.status, answer.json["id"], answer.json["label"]) == (200, ID, "t-shirt")
    assert answer.json["batch_id"] == "listing-42"
    assert "retry-after" not in answer.headers
    assert answer.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("name", ["a b.jpg", "a+b.jpg", "é.jpg", "100%.jpg", "a%20b.jpg", "日本/👕.jpg", "?.jpg", "a/"])
def test_an_id_with_special_characters_is_found(api: Api, services: Services, bucket: Bucket, name: str) -> None:
    row = services.records.read(name)
    services.records.write(Classification(name, Status.PENDING, Source.S3, datetime.now(UTC), {}), row)

    assert api.request("GET", f"/classifications/{quote(name)}").json["id"] == name


def test_an_uploaded_photo_is_pending_before_its_event_arrives(api: Api, bucket: Bucket) -> None:
    bucket.put(KEY, T_SHIRT)

    answer = api.request("GET", f"/classifications/{ID}")

    assert (answer.status, answer.json["status"], answer.json["label"]) == (200, "PENDING", None)
    assert int(answer.headers["retry-after"]) >= 1


@pytest.mark.parametrize(
    "path", ["nothing.jpg", "listing-42/front.jpg", "folder/", "%00", "a" * 1016, "a" * 3000, "%ff", "..", "%2e%2e/x"]
)
def test_an_id_in_neither_table_nor_bucket_is_404(api: Api, path: str) -> None:
    answer = api.request("GET", f"/classifications/{path}")

    assert_error(answer, 404, "not_found")
    named = path if path == "%ff" else unquote(path)
    assert answer.json["error"]["message"] in {f"There is no {kind}{quote_text(named)}." for kind in ("photo ", "")}


def test_what_a_client_sent_is_not_returned_at_any_length(api: Api) -> None:
    answers = [
        api.request("GET", "/classifications", query={"label": "a" * 4_000_000}),
        api.request("GET", "/classifications", query={"a" * 4_000_000: "a"}),
        api.request("PUT", f"/confirmations/{ID}", {"label": "\u202e" + "a" * 4_000_000}),
    ]

    for answer in answers:
        assert_error(answer, 400, "invalid_request")
        assert len(answer.json["error"]["message"]) < 2000
        assert "\u202e" not in answer.json["error"]["message"]


@pytest.mark.parametrize("digits", [4, 4300, 5000])
def test_a_limit_of_many_digits_is_refused(api: Api, digits: int) -> None:
    """Python itself refuses to convert more than 4,300 digits."""
    assert_error(api.request("GET", "/classifications", query={"limit": "1" * digits}), 400, "invalid_request")


@pytest.mark.parametrize(
    "path", ["/health", "/openapi.json", "/desk", "/docs", "/", "/nothing", f"/classifications/{ID}"]
)
def test_every_answer_says_how_to_treat_it(api: Api, path: str) -> None:
    headers = api.request("GET", path).headers

    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] in {"no-cache", "no-store"}


@pytest.mark.parametrize("character", ["\x85", "\u202e", "\u2066", "\u2028"])
def test_a_name_with_a_character_that_falsifies_what_people_read_is_refused(api: Api, character: str) -> None:
    content = {"files": [{"name": f"a{character}gpj.exe", "content_type": "image/jpeg"}]}

    answer = api.request("POST", "/uploads", content)

    assert_error(answer, 400, "invalid_request")
    assert character not in answer.json["error"]["message"]


def test_an_id_that_is_not_utf_8_is_not_that_of_a_replacement_character(api: Api, services: Services) -> None:
    name = "\ufffd.jpg"
    services.records.write(Classification(name, Status.PENDING, Source.S3, datetime.now(UTC), {}), Row(name))

    assert api.request("GET", f"/classifications/{quote(name)}").status == 200
    assert api.request("GET", "/classifications/%ff.jpg").status == 404


def test_a_removed_photo_is_404(api: Api, services: Services, bucket: Bucket) -> None:
    classify_upload(services, bucket)
    bucket.delete(KEY)
    reconcile(BUCKET, KEY, services)

    assert_error(api.request("GET", f"/classifications/{ID}"), 404, "not_found")


def test_a_failed_upload_has_an_error(api: Api, services: Services, bucket: Bucket) -> None:
    classify_upload(services, bucket, b"just text")

    answer = api.request("GET", f"/classifications/{ID}").json

    assert (answer["status"], answer["error"]["code"]) == ("FAILED", "unsupported_image")
    assert (answer["label"], answer["confidence"], answer["predictions"]) == (None, None, [])
    assert answer["image"]["format"] is None
    assert answer["needs_review"]
    assert answer["model_version"] == services.description.version
    assert "JPEG, PNG, WebP" in answer["error"]["message"]
    assert datetime.now(UTC) - datetime.fromisoformat(answer["classified_at"]) < timedelta(minutes=1)


def test_an_unchanged_classification_is_304(api: Api, services: Services, bucket: Bucket) -> None:
    classify_upload(services, bucket)
    etag = api.request("GET", f"/classifications/{ID}").headers["etag"]

    for header in (etag, f'"other", W/{etag}', f'"other",{etag}', "*"):
        answer = api.request("GET", f"/classifications/{ID}", headers={"If-None-Match": header})
        assert (answer.status, answer.body or "", answer.headers["etag"]) == (304, "", etag)

    assert api.request("GET", f"/classifications/{ID}", headers={"If-None-Match": '"other"'}).status == 200


def test_a_new_label_has_a_new_etag(api: Api, services: Services, bucket: Bucket) -> None:
    classify_upload(services, bucket)
    before = api.request("GET", f"/classifications/{ID}").headers["etag"]
    classify_upload(services, bucket, photo("pants"))

    assert api.request("GET", f"/classifications/{ID}", headers={"If-None-Match": before}).status == 200


@pytest.mark.parametrize("letter", ["a", "é"])
def test_an_id_may_be_as_long_as_a_key_in_s3(api: Api, bucket: Bucket, letter: str) -> None:
    identifier = letter * ((MAX_KEY_BYTES - len(UPLOAD_PREFIX)) // len(letter.encode()))
    bucket.put(UPLOAD_PREFIX + identifier, T_SHIRT)

    answer = api.request("GET", f"/classifications/{quote(identifier)}")

    assert (answer.status, answer.json["id"]) == (200, identifier)


# Uploads


def announce(api: Api, *names: str, stage: str | None = None) -> Any:
    """Request forms for files with these names."""
    files = [{"name": name, "content_type": "image/jpeg"} for name in names]
    return api.request("POST", "/uploads", {"files": files}, stage=stage)


def test_announced_files_have_forms_of_one_batch(api: Api) -> None:
    answer = announce(api, "front.jpg", "back side é.jpg")

    assert answer.status == 201
    batch = answer.json["batch_id"]
    assert [item["id"] for item in answer.json["items"]] == [f"{batch}/front.jpg", f"{batch}/back side é.jpg"]
    assert "back side é.jpg" in answer.body, "JSON in UTF-8 needs no escapes"
    for item in answer.json["items"]:
        assert set(item) == {"id", "url", "fields", "status_url", "expires_at"}
        assert item["fields"]["key"] == f"uploads/{item['id']}"
        left = datetime.fromisoformat(item["expires_at"]) - datetime.now(UTC)
        assert timedelta(minutes=59) < left < timedelta(minutes=61)


def test_the_status_url_of_an_announced_photo_shows_it_as_pending(api: Api) -> None:
    item = announce(api, "back side é.jpg", stage="prod").json["items"][0]

    assert item["status_url"].startswith("/prod/classifications/")
    answer = api.request("GET", item["status_url"].removeprefix("/prod"))
    assert (answer.json["status"], answer.json["id"]) == ("PENDING", item["id"])
    assert answer.json["batch_id"] == item["id"].partition("/")[0]


def test_a_form_admits_one_key_one_type_and_no_file_over_the_limit(api: Api) -> None:
    item = announce(api, "front.jpg").json["items"][0]

    conditions = json.loads(base64.b64decode(item["fields"]["policy"]))["conditions"]

    assert {"key": f"uploads/{item['id']}"} in conditions
    assert {"Content-Type": "image/jpeg"} in conditions
    assert ["content-length-range", 1, 25 * 2**20] in conditions
    assert not any("starts-with" in condition for condition in conditions)
    assert (item["fields"]["key"], item["fields"]["Content-Type"]) == (f"uploads/{item['id']}", "image/jpeg")


def test_a_form_expires_after_an_hour(api: Api) -> None:
    policy = json.loads(base64.b64decode(announce(api, "front.jpg").json["items"][0]["fields"]["policy"]))

    left = datetime.fromisoformat(policy["expiration"]) - datetime.now(UTC)
    assert timedelta(minutes=59) < left <= timedelta(minutes=60)


def test_files_with_the_same_name_get_different_ids(api: Api) -> None:
    items = announce(api, "img.jpg", "img.jpg", "img-2.jpg", "noending", "noending").json["items"]

    assert [item["id"].partition("/")[2] for item in items] == [
        "img.jpg",
        "img-2.jpg",
        "img-2-2.jpg",
        "noending",
        "noending-2",
    ]


def test_the_record_of_an_announced_photo_expires_with_its_form(api: Api, services: Services) -> None:
    item = announce(api, "front.jpg").json["items"][0]

    expires_at = services.records.read(item["id"]).expires_at
    assert expires_at == datetime.fromisoformat(item["expires_at"])


@pytest.mark.parametrize(("name", "status"), [("é" * 100, 201), ("é" * 100 + "a", 400), ("a", 201)])
def test_a_file_name_may_have_200_bytes(api: Api, name: str, status: int) -> None:
    assert announce(api, name).status == status


def test_fifty_files_may_be_announced_at_once(api: Api) -> None:
    assert len(announce(api, *(f"{number}.jpg" for number in range(50))).json["items"]) == 50


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"files": []},
        {"files": "front.jpg"},
        {"files": ["front.jpg"]},
        {"files": [{"name": "a.jpg", "content_type": "image/jpeg"}] * 51},
        {"files": [{"name": "a.jpg"}]},
        {"files": [{"name": "a.jpg", "content_type": "text/html"}]},
        {"files": [{"name": "a.jpg", "content_type": ["image/jpeg"]}]},
        {"files": [{"content_type": "image/jpeg"}]},
        {"files": [{"name": "", "content_type": "image/jpeg"}]},
        {"files": [{"name": "../a.jpg", "content_type": "image/jpeg"}]},
        {"files": [{"name": "..", "content_type": "image/jpeg"}]},
        {"files": [{"name": "a\\b.jpg", "content_type": "image/jpeg"}]},
        {"files": [{"name": "a\x00.jpg", "content_type": "image/jpeg"}]},
        {"files": [{"name": "é" * 101, "content_type": "image/jpeg"}]},
        {"files": [{"name": "\ud800.jpg", "content_type": "image/jpeg"}]},
        [],
    ],
)
def test_an_invalid_list_of_files_is_refused(api: Api, content: Any) -> None:
    assert_error(api.request("POST", "/uploads", content), 400, "invalid_request")


# The rest


def test_the_model_is_described(api: Api, model: Model) -> None:
    content = api.request("GET", "/model").json

    assert (content["name"], content["version"]) == (model.description.name, model.description.version)
    assert content["labels"] == list(model.description.labels)
    assert content["input"]["width"] == model.description.input_size
    assert 0.8 < content["accuracy"] <= 1


def test_each_label_of_the_model_has_a_name_and_categories(api: Api, model: Model) -> None:
    categories = api.request("GET", "/model").json["categories"]

    assert tuple(categories) == model.description.labels
    assert categories["pants"] == {"name": "Pants", "google": 204, "shopify": "aa-1-12"}
    assert {tuple(category) for category in categories.values()} == {("name", "google", "shopify")}


def test_health_is_200_if_the_model_answers(api: Api) -> None:
    answer = api.request("GET", "/health")

    assert (answer.status, answer.json["status"]) == (200, "ok")


def test_health_is_500_if_the_model_does_not_answer(api: Api) -> None:
    class Broken:
        def check(self) -> None:
            raise RuntimeError("tensor /var/task/secret")

    services = replace_parts(api.services, model=Broken())

    assert_error(Api(services).request("GET", "/health"), 500, "internal_error")


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/nothing"), ("GET", "/health/x"), ("GET", "/docs/x")],
)
def test_an_unknown_path_is_404(api: Api, method: str, path: str) -> None:
    assert_error(api.request(method, path), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/predict", "POST"),
        ("GET", "/uploads", "POST"),
        ("POST", "/", "GET, HEAD"),
        ("PATCH", "/classifications", "GET, POST, HEAD"),
        ("GET", "/confirmations/a.jpg", "PUT, DELETE"),
        ("POST", "/batches/listing-42", "GET, DELETE, HEAD"),
        ("POST", "/batches/listing-42/confirmation", "PUT, DELETE"),
        ("POST", "/health", "GET, HEAD"),
        ("PUT", "/classifications/listing-42/front.jpg", "GET, DELETE, HEAD"),
        ("DELETE", "/classifications", "GET, POST, HEAD"),
        ("TRACE", "/model", "GET, HEAD"),
        ("HEAD", "/predict", "POST"),
    ],
)
def test_a_method_that_the_path_does_not_have_is_405(api: Api, method: str, path: str, allowed: str) -> None:
    answer = api.request(method, path)

    assert answer.headers["allow"] == allowed
    assert answer.status == 405
    if method != "HEAD":
        assert_error(answer, 405, "invalid_request")


@pytest.mark.parametrize(("path", "status"), [("/model", 200), ("/classifications/nothing.jpg", 404)])
def test_head_is_answered_like_get_without_a_body(api: Api, path: str, status: int) -> None:
    got, head = api.request("GET", path), api.request("HEAD", path)

    assert (head.status, head.headers, head.body) == (status, got.headers, "")


@pytest.mark.parametrize("stage", [None, "prod"])
def test_the_openapi_description_is_valid(api: Api, stage: str | None) -> None:
    """Its server has the prefix of the stage, and its error codes are those of the function."""
    document = api.request("GET", "/openapi.json", stage=stage).json

    validate(document)
    assert document["servers"] == [{"url": f"/{stage}" if stage else "/"}]
    errors = {kind.code for kind in error_kinds()}
    assert set(document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"]) == errors
    assert document["components"]["schemas"]["KnownLabel"]["enum"] == list(api.services.description.labels)


def test_the_description_has_every_route_and_no_others(api: Api) -> None:
    """Those of sellers are some of the others, below `/listings`."""
    source = inspect.getsource(api_module)
    routes = set(re.findall(r'^@_resolver\.(get|post|put|delete)\("(.+)"\)', source, re.MULTILINE))
    paths = api.request("GET", "/openapi.json").json["paths"]

    described = {(method, re.sub(r"{\w+}", ".+", path)) for path, methods in paths.items() for method in methods}
    of_sellers = {(method, path) for method, path in described if path.startswith("/listings/")}
    assert described - of_sellers == routes
    assert {(method, path.removeprefix("/listings")) for method, path in of_sellers} < routes


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (client_error("ThrottlingException"), 503, "busy"),
        (ConnectTimeoutError(endpoint_url="https://secret"), 503, "busy"),
        (Conflict("secret"), 503, "busy"),
        (client_error("AccessDeniedException", message="arn:aws:iam"), 500, "internal_error"),
        (ZeroDivisionError("secret"), 500, "internal_error"),
    ],
)
def test_a_fault_is_busy_if_it_is_transient_and_leaks_nothing(
    api: Api, error: Exception, status: int, code: str
) -> None:
    class Records:
        def read(self, _: str) -> None:
            raise error

    answer = Api(replace_parts(api.services, records=Records())).request("GET", "/classifications/a.jpg")

    assert_error(answer, status, code)
    assert answer.headers.get("retry-after") == ("1" if code == "busy" else None)
    assert "secret" not in answer.body
    assert "arn:" not in answer.body


@pytest.mark.parametrize("path", ["/", "/desk", "/docs"])
def test_a_page_is_not_cached_and_sends_no_referrer(api: Api, path: str) -> None:
    headers = api.request("GET", path).headers

    assert headers["cache-control"] == "no-cache"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-content-type-options"] == "nosniff"


def test_a_refusal_is_logged_with_its_code_and_reason(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    message = api.request("GET", "/nothing").json["error"]["message"]

    (line,) = [vars(record) for record in caplog.records if record.message == "refused"]
    assert (line["code"], line["reason"]) == ("not_found", message)


ID_IN_PATHS = {"id": "listing-42/front.jpg", "batch_id": "listing-42"}
DESCRIBED = json.loads((ROOT / "functions" / "classifier" / "openapi.json").read_text(encoding="utf-8"))["paths"]
ROUTES = [
    (method.upper(), path.format_map(ID_IN_PATHS))
    for path, methods in DESCRIBED.items()
    for method in [*methods, *(["head"] if "get" in methods else [])]
]
PAGES = {"/", "/docs", "/desk"}


@pytest.mark.parametrize(("method", "path"), [route for route in ROUTES if route[1] not in PAGES])
def test_a_parameter_that_the_route_does_not_know_is_refused_by_name(
    api: Api, services: Services, bucket: Bucket, method: str, path: str
) -> None:
    classify_upload(services, bucket)
    before = services.records.read(ID)

    answers = [api.request(method, path, query={name: "1"}) for name in ("lable", "Limit", "")]

    assert [answer.status for answer in answers] == [400] * 3
    if method != "HEAD":
        assert "Unknown parameter 'lable'" in answers[0].json["error"]["message"]
        assert_error(answers[0], 400, "invalid_request")
    assert services.records.read(ID) == before


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", sorted({path for _, path in ROUTES} & PAGES))
def test_a_page_ignores_what_people_add_to_its_address(api: Api, method: str, path: str) -> None:
    assert api.request(method, path, query={"utm_source": "mail"}).status == 200


def test_the_error_of_an_unknown_parameter_names_the_known_ones_if_there_are_any(api: Api) -> None:
    with_some, with_none = (api.request("GET", path, query={"x": "1"}) for path in ("/classifications", "/model"))

    assert "label, status, needs_review, confirmed, batch, limit, cursor" in with_some.json["error"]["message"]
    assert with_none.json["error"]["message"].startswith("Unknown parameter 'x'. ")
    assert "Known parameters: ." not in with_none.json["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path", "content"),
    [
        ("POST", "/predict", {"url": "https://example.com/a.jpg"}),
        ("POST", "/classifications", {"url": "https://example.com/a.jpg"}),
        ("POST", "/uploads", {"files": [{"name": "a.jpg", "content_type": "image/jpeg"}]}),
        ("PUT", f"/confirmations/{ID}", {"label": "hat"}),
        ("PUT", "/batches/listing-42/confirmation", {"label": "hat"}),
    ],
)
@pytest.mark.parametrize("name", ["lable", "URL", ""])
def test_a_field_that_the_route_does_not_know_is_refused_by_name(  # noqa: PLR0917
    api: Api, services: Services, bucket: Bucket, method: str, path: str, content: dict[str, Any], name: str
) -> None:
    classify_upload(services, bucket)

    answer = api.request(method, path, {**content, name: 1})

    assert_error(answer, 400, "invalid_request")
    assert f"Unknown field {name!r}. Send {{" in answer.json["error"]["message"]
    assert [one.id for one in services.records.page(Filter(), 10).classifications] == [ID]
    assert "confirmation" not in services.records.get_item(ID)[0]


@pytest.mark.parametrize(
    ("path", "body", "part"),
    [
        ("/predict", b"{", "not JSON"),
        ("/predict", b"[]", "not a JSON object"),
        ("/predict", b"{}", "`url`"),
        ("/uploads", b"{", "not JSON"),
        ("/uploads", b"{}", "1 to 50 files"),
        ("/uploads", b'{"files": [{}]}', "needs a `name`"),
        ("/uploads", b'{"files": [{"name": "/"}]}', "1 to 200 bytes"),
        ("/uploads", b'{"files": [{"name": "a"}]}', "image/jpeg, image/png, image/webp"),
    ],
)
def test_the_error_of_a_malformed_body_says_what_to_send(api: Api, path: str, body: bytes, part: str) -> None:
    answer = api.request("POST", path, body=body, headers={"Content-Type": JSON})

    assert part in answer.json["error"]["message"]
