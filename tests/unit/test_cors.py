"""Which pages of other origins may call the API."""

from typing import Any

import pytest

from classifier.services import Services
from tests.support.api import handle
from tests.support.events import api_event

SHOP = "https://shop.example"


def ask(services: Services, method: str, path: str, origin: str, variables: dict[str, str] | None) -> Any:
    event = api_event(method, path, headers={"origin": origin}) | {"stageVariables": variables}
    return handle(event, services)


@pytest.mark.parametrize(
    ("allowed", "origin", "expected"),
    [
        (None, SHOP, ["*"]),
        ({"allowedOrigins": "any"}, SHOP, ["*"]),
        ({"allowedOrigins": f"https://other.example,{SHOP}"}, SHOP, [SHOP]),
        ({"allowedOrigins": "https://other.example"}, SHOP, None),
        ({"allowedOrigins": SHOP}, "https://shop.example.evil.example", None),
        ({"allowedOrigins": SHOP}, "", None),
    ],
)
def test_the_origins_of_the_stage_may_read_answers(
    services: Services, allowed: dict[str, str] | None, origin: str, expected: list[str] | None
) -> None:
    headers = ask(services, "GET", "/model", origin, allowed)["multiValueHeaders"]

    assert headers.get("Access-Control-Allow-Origin") == expected
    assert ("Vary" in headers) == (expected != ["*"]), "a cache must not give the answer to another origin"


def test_errors_can_be_read_too(services: Services) -> None:
    headers = ask(services, "GET", "/classifications/none.jpg", SHOP, None)["multiValueHeaders"]

    assert headers["Access-Control-Allow-Origin"] == ["*"]


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/uploads", "POST, OPTIONS"),
        ("/listings/uploads", "POST, OPTIONS"),
        ("/batches/a/confirmation", "PUT, DELETE, OPTIONS"),
        ("/classifications/a/b.jpg", "GET, DELETE, HEAD, OPTIONS"),
    ],
)
def test_browsers_may_ask_what_they_may_send_without_a_key(services: Services, path: str, methods: str) -> None:
    answer = ask(services, "OPTIONS", path, SHOP, None)

    assert answer["statusCode"] == 204
    assert answer["multiValueHeaders"]["Access-Control-Allow-Methods"] == [methods]
    assert "Authorization" in answer["multiValueHeaders"]["Access-Control-Allow-Headers"][0]


def test_browsers_ask_with_the_query_of_the_request(services: Services) -> None:
    event = api_event("OPTIONS", "/classifications", headers={"origin": SHOP}, query={"limit": "1", "label": "hat"})

    assert handle(event, services)["statusCode"] == 204


def test_there_is_nothing_to_ask_about_other_paths(services: Services) -> None:
    assert ask(services, "OPTIONS", "/nothing", SHOP, None)["statusCode"] == 404
