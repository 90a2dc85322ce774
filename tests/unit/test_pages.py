"""The pages' headers and escaping, that pages load nothing from other servers, and what `/docs` shows of the API."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from classifier.pages import page
from tests.support.api import Api, handle
from tests.support.events import api_event
from tests.support.paths import ROOT

CLASSIFIER = ROOT / "functions" / "classifier"
FILES = sorted(file for kind in ("html", "css", "js") for file in (CLASSIFIER / "pages").glob(f"*.{kind}"))


@pytest.mark.parametrize("path", ["/", "/desk", "/docs"])
def test_a_page_has_a_strict_content_security_policy(api: Api, path: str) -> None:
    answer = api.request("GET", path)

    assert answer.status == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert re.fullmatch(r"'sha256-[A-Za-z0-9+/]{43}='", policy["script-src"])
    assert re.fullmatch(r"'sha256-[A-Za-z0-9+/]{43}='", policy["style-src"])


def test_the_seller_s_page_may_connect_only_to_the_api_and_the_bucket(api: Api) -> None:
    files = [{"name": "a.jpg", "content_type": "image/jpeg"}]
    (form,) = api.request("POST", "/uploads", {"files": files}).json["items"]

    policy = api.request("GET", "/").headers["content-security-policy"]

    (allowed,) = re.findall(r"connect-src 'self' (\S+);", policy)
    assert form["url"].startswith(f"{allowed}/")
    assert "connect-src 'self' ;" in api.request("GET", "/docs").headers["content-security-policy"]


@pytest.mark.parametrize(
    ("path", "variables", "embedders"),
    [
        ("/", None, "*"),
        ("/", {"allowedOrigins": "any"}, "*"),
        ("/", {"allowedOrigins": "https://shop.example"}, "https://shop.example"),
        ("/", {"allowedOrigins": "https://a.example,https://b.example"}, "https://a.example https://b.example"),
        ("/docs", {"allowedOrigins": "any"}, "'none'"),
    ],
)
def test_pages_of_the_allowed_origins_may_embed_the_seller_s_page(
    api: Api, path: str, variables: dict[str, str] | None, embedders: str
) -> None:
    answer = handle({**api_event("GET", path), "stageVariables": variables}, api.services)

    (policy,) = answer["multiValueHeaders"]["Content-Security-Policy"]
    assert policy.endswith(f"frame-ancestors {embedders}")


def test_the_seller_s_page_has_the_size_limit(api: Api) -> None:
    assert '<meta name="max-bytes" content="26214400">' in api.request("GET", "/").body


@pytest.mark.parametrize("path", ["/", "/desk", "/docs"])
def test_a_page_is_one_document_with_its_style_and_script(api: Api, path: str) -> None:
    body = api.request("GET", path).body

    assert body.count("<style>") == body.count("<script>") == 1
    assert "{{" not in body
    assert not re.search("<link rel=.?stylesheet|<script src", body)


@pytest.mark.parametrize("stage", [None, "prod"])
def test_a_page_has_the_stage_s_prefix_of_the_api(api: Api, stage: str | None) -> None:
    body = api.request("GET", "/", stage=stage).body

    assert f'<meta name="api" content="{"/prod" if stage else ""}">' in body


@pytest.mark.parametrize(
    ("path", "full_path", "stage", "prefix"),
    [
        ("/", "/prod", "prod", "/prod"),  # API Gateway, without the slash at the end
        ("/", "/prod/", "prod", "/prod"),
        ("/prod", "/prod", "prod", "/prod"),  # emulators
        ("/", "/", "prod", ""),  # a domain name
        ("/", "/photos", "prod", "/photos"),  # a domain name with a base path
        ("/", "/photos/", "prod", "/photos"),
    ],
)
def test_the_seller_s_page_works_at_each_address_of_a_stage(
    api: Api, path: str, full_path: str, stage: str, prefix: str
) -> None:
    event = api_event("GET", path)
    event["requestContext"] |= {"path": full_path, "stage": stage}

    answer = handle(event, api.services)

    assert answer["statusCode"] == 200
    assert f'<meta name="api" content="{prefix}">' in answer["body"]


def test_the_prefix_in_a_page_is_escaped() -> None:
    html, _ = page("seller", '"><script>')

    assert '"><script>' not in html.partition("<style>")[0]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_page_loads_nothing_from_other_servers(file: Path) -> None:
    text = file.read_text(encoding="utf-8")

    assert not re.search(r"""(src|href)=["'](https?:)?//""", text)
    assert not re.search(r"@import|url\(", text)
    assert "innerHTML" not in text
    assert " style=" not in text


@pytest.fixture
def document(api: Api) -> dict[str, Any]:
    """The OpenAPI document, as the API serves it."""
    document: dict[str, Any] = api.request("GET", "/openapi.json").json
    return document


def objects(part: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each JSON object of the document with its path. Values of examples are not part of the description."""
    if isinstance(part, dict):
        yield path, part
        for name, inner in part.items():
            if name not in {"example", "examples"}:
                yield from objects(inner, f"{path}/{name}")
    elif isinstance(part, list):
        for index, inner in enumerate(part):
            yield from objects(inner, f"{path}/{index}")


def resolve(part: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    """Return the part that a `$ref` names, with the properties beside the `$ref`."""
    if "$ref" not in part:
        return part
    target: Any = document
    for name in part["$ref"].removeprefix("#/").split("/"):
        target = target[name]
    return {**resolve(target, document), **part}


def described_parts(part: dict[str, Any], document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the parameters, request body, headers and fields of one object of the document, each with its name."""
    if isinstance(part.get("parameters"), list):  # those of components and of links are objects
        parameters = [resolve(parameter, document) for parameter in part["parameters"]]
        yield from ((parameter["name"], parameter) for parameter in parameters)
    if "requestBody" in part:
        yield "requestBody", part["requestBody"]
    for key in ("headers", "properties"):
        yield from part.get(key, {}).items()
    if part.get("additionalProperties"):
        yield "additionalProperties", part["additionalProperties"]


def test_every_parameter_request_body_header_and_field_has_a_description(document: dict[str, Any]) -> None:
    parts = [
        (f"{path}/{name}", resolve(part, document))
        for path, outer in objects(document)
        for name, part in described_parts(outer, document)
    ]

    assert "/components/schemas/Classification/needs_review" in dict(parts)
    assert [path for path, part in parts if not part.get("description")] == []


def test_the_query_parameters_of_the_list_are_those_of_the_code(document: dict[str, Any]) -> None:
    constants = {
        target.id: statement.value
        for statement in ast.parse((CLASSIFIER / "api.py").read_text(encoding="utf-8")).body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }

    described = [parameter["name"] for parameter in document["paths"]["/classifications"]["get"]["parameters"]]
    assert described == list(ast.literal_eval(constants["_LIST_PARAMETERS"]))
