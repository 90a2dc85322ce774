"""The OpenAPI description: its examples are what the service answers, and its parts are named once."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator, oas31_format_checker
from PIL import Image

from classifier.services import Services
from local.template import read_template
from tests.support.api import Answer, Api, handle
from tests.support.bucket import Bucket
from tests.support.drawings import encoded
from tests.support.events import s3_event
from tests.support.paths import ROOT
from tests.support.photo_server import PhotoServer
from tests.support.services import replace_parts
from tests.support.shown_answers import assert_shown, load_comparable_model

PHOTO = (ROOT / "local" / "t-shirt.jpg").read_bytes()
ID, BATCH = "listing-42/front.jpg", "listing-42"
# What differs from one request to the next. The names of a form's fields do, too, by the credentials that sign it.
OWN = {
    "created_at",
    "classified_at",
    "at",
    "request_id",
    "token",
    "url",
    "fields",
    "expires_at",
    "status_url",
    "cursor",
}


@pytest.fixture
def services(services: Services) -> Services:
    """The services with the model whose answers are the examples, if it is here."""
    model = load_comparable_model()
    return replace_parts(services, model=model, description=model.description)


@pytest.fixture
def document(api: Api) -> dict[str, Any]:
    """The description, as the API serves it."""
    document: dict[str, Any] = api.request("GET", "/openapi.json").json
    return document


def follow(part: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    """Return the part to which a `$ref` leads, or the part itself."""
    while "$ref" in part:
        target: Any = document
        for name in part["$ref"].removeprefix("#/").split("/"):
            target = target[name]
        part = target
    return part


def examples_of(media: dict[str, Any], document: dict[str, Any]) -> list[Any]:
    inline = [media["example"]] if "example" in media else []
    return [*inline, *(follow(one, document)["value"] for one in media.get("examples", {}).values())]


def media_types(part: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the description of each JSON body with its path."""
    if isinstance(part, dict):
        for name, inner in part.items():
            if name == "application/json":
                yield path, inner
            elif name not in {"example", "examples"}:
                yield from media_types(inner, f"{path}/{name}")


def test_every_json_body_has_an_example_that_fits_its_schema(document: dict[str, Any]) -> None:
    bodies = dict(media_types(document))

    assert len(bodies) > 20
    for path, media in bodies.items():
        schema = {**media["schema"], "components": document["components"]}  # to which the schema's `$ref`s lead
        validator = OAS31Validator(schema, format_checker=oas31_format_checker)
        found = examples_of(media, document)
        assert found, path
        assert [error.message for one in found for error in validator.iter_errors(one)] == [], path


def test_every_operation_is_described_in_sentences(document: dict[str, Any]) -> None:
    operations = [one for path in document["paths"].values() for one in path.values()]

    assert len(operations) > 20
    for operation in operations:
        assert re.fullmatch(r"[A-Z].*[^.]", operation["summary"]), operation["operationId"]
        assert re.fullmatch(r"[A-Z].*\.", operation.get("description", "")), operation["operationId"]


def test_every_component_is_used(document: dict[str, Any]) -> None:
    used = set(re.findall(r'"#/components/(\w+/[\w-]+)"', json.dumps(document)))

    kinds = document["components"].items()
    assert used == {f"{kind}/{name}" for kind, parts in kinds for name in parts if kind != "securitySchemes"}


# Examples of answers


def normal(content: Any, name: str = "") -> Any:
    """Return the content without what differs from one request to the next. Scores are rounded."""
    if isinstance(content, dict):
        return {inner: "…" if inner in OWN else normal(value, inner) for inner, value in content.items()}
    if isinstance(content, list):
        return [normal(item, name) for item in content]
    if isinstance(content, float):
        return round(content, 3)
    return re.sub("[0-9a-f]{32}", "…", content) if name in {"id", "batch_id"} and content else content


def example_of(document: dict[str, Any], method: str, path: str, status: int) -> Any:
    response = follow(document["paths"][path][method.lower()]["responses"][str(status)], document)
    (example,) = examples_of(response["content"]["application/json"], document)
    return example


@pytest.fixture
def listing(services: Services, bucket: Bucket) -> None:
    """The listing of the examples."""
    bucket.put(f"uploads/{ID}", PHOTO)
    handle(s3_event(f"uploads/{ID}"), services)


ANSWERS = [
    ("POST", "/predict", 200),
    ("POST", "/classifications", 201),
    ("GET", "/classifications", 200),
    ("GET", "/classifications/{id}", 200),
    ("POST", "/uploads", 201),
    ("GET", "/batches/{batch_id}", 200),
    ("PUT", "/batches/{batch_id}/confirmation", 200),
    ("DELETE", "/batches/{batch_id}/confirmation", 200),
    ("PUT", "/confirmations/{id}", 200),
    ("DELETE", "/confirmations/{id}", 200),
    ("GET", "/model", 200),
    ("GET", "/health", 200),
]


def send_example(api: Api, document: dict[str, Any], method: str, path: str) -> Answer:
    """Send the request with the example of its body: a photo, or else JSON."""
    target = path.format(id=ID, batch_id=BATCH)
    operation = document["paths"][path][method.lower()]
    if "requestBody" not in operation:
        return api.request(method, target)
    content = follow(operation["requestBody"], document)["content"]
    if "application/octet-stream" in content:
        return api.request(method, target, body=PHOTO, headers={"Content-Type": "application/octet-stream"})
    (example,) = examples_of(content["application/json"], document)
    return api.request(method, target, example)


@pytest.mark.usefixtures("listing")
@pytest.mark.parametrize(("method", "path", "status"), ANSWERS)
def test_the_example_is_what_the_service_answers(
    api: Api, document: dict[str, Any], method: str, path: str, status: int
) -> None:
    answer = send_example(api, document, method, path)

    assert answer.status == status
    assert_shown(normal(answer.json), normal(example_of(document, method, path, status)))


def test_every_answer_with_an_example_is_compared(document: dict[str, Any]) -> None:
    """All but the description itself, whose example is empty."""
    described = {
        (method.upper(), path, int(status))
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        for status, response in operation["responses"].items()
        if int(status) < 300 and "application/json" in follow(response, document).get("content", {})
    }

    assert {one for one in described if not one[1].startswith("/listings/")} == {
        *ANSWERS,
        ("GET", "/openapi.json", 200),
    }


def test_the_example_of_a_form_has_the_fields_of_one(api: Api, document: dict[str, Any]) -> None:
    """Those of temporary credentials, which the function has on Lambda, have a security token, too."""
    example = example_of(document, "POST", "/uploads", 201)["items"][0]
    (form,) = send_example(api, document, "POST", "/uploads").json["items"]

    assert list(example) == list(form)
    assert [name for name in example["fields"] if name != "x-amz-security-token"] == list(form["fields"])


# Examples of errors

TOO_LARGE = encoded(Image.new("1", (12_000, 9_000)), "PNG")
JPEG = {"Content-Type": "image/jpeg"}


@pytest.mark.usefixtures("listing")
@pytest.mark.parametrize(
    ("name", "method", "path", "options"),
    [
        ("InvalidRequest", "GET", "/classifications", {"query": {"limit": "0"}}),
        ("NotFound", "GET", "/classifications/listing-43/front.jpg", {}),
        ("ImageTooLarge", "POST", "/predict", {"body": TOO_LARGE}),
        ("UnsupportedImage", "POST", "/predict", {"body": b"text", "headers": JPEG}),
        ("Unprocessable", "POST", "/predict", {"body": PHOTO[:9000]}),
    ],
)
def test_the_example_of_an_error_is_what_the_service_answers(  # noqa: PLR0917 - a request has many parts
    api: Api, document: dict[str, Any], name: str, method: str, path: str, options: dict[str, Any]
) -> None:
    answer = api.request(method, path, **options).json

    assert normal(answer) == normal(error_example(document, name, {"listing-42": "listing-43"}))


def error_example(document: dict[str, Any], name: str, replacements: dict[str, str] | None = None) -> Any:
    (example,) = examples_of(document["components"]["responses"][name]["content"]["application/json"], document)
    text = json.dumps(example)
    for old, new in (replacements or {}).items():
        text = text.replace(old, new)
    return json.loads(text)


@pytest.mark.usefixtures("listing")
def test_the_example_of_a_failed_precondition_is_what_the_service_answers(api: Api, document: dict[str, Any]) -> None:
    api.request("PUT", f"/confirmations/{ID}", {"label": "hat"})

    answer = api.request("PUT", f"/confirmations/{ID}", {"label": "hat"}, headers={"If-None-Match": "*"})

    assert normal(answer.json) == normal(error_example(document, "PreconditionFailed"))


def test_the_example_of_an_unreachable_url_is_what_the_service_answers(
    api: Api, document: dict[str, Any], photo_server: PhotoServer
) -> None:
    answer = api.request("POST", "/predict", {"url": photo_server.url("/none.jpg")})

    assert normal(answer.json) == normal(error_example(document, "UrlUnreachable", {"example.com": "127.0.0.1"}))


@pytest.mark.parametrize(("name", "kind"), [("Forbidden", "INVALID_API_KEY"), ("TooManyRequests", "THROTTLED")])
def test_the_example_of_an_error_is_what_api_gateway_answers(document: dict[str, Any], name: str, kind: str) -> None:
    responses = read_template()["Resources"]["Api"]["Properties"]["GatewayResponses"]

    answer = json.loads(responses[kind]["ResponseTemplates"]["application/json"])

    assert normal(answer) == normal(error_example(document, name))


@pytest.mark.parametrize("name", ["Busy", "InternalError"])
def test_the_example_of_a_fault_is_a_message_of_the_service(document: dict[str, Any], name: str) -> None:
    source = (ROOT / "functions" / "classifier" / "api.py").read_text()

    assert f'"{error_example(document, name)["error"]["message"]}"' in source
