"""The local form of API Gateway, without a function behind it."""

import json
import socket
import threading
from collections.abc import Iterator
from email.message import Message
from http.client import HTTPResponse
from typing import Any, cast

import pytest

from local.gateway import make_gateway
from tests.support.ports import free_port


class Echo:
    """Stands in for the function."""

    def invoke(self, event: Any) -> Any:
        return {"statusCode": 200, "multiValueHeaders": {}, "body": event["path"]}


@pytest.fixture(params=["plain", "json"])
def address(request: pytest.FixtureRequest) -> Iterator[tuple[str, int]]:
    """The address of a gateway, with each kind of log."""
    address = ("127.0.0.1", free_port())
    gateway = make_gateway(cast("Any", Echo()), *address, request.param)
    thread = threading.Thread(target=gateway.serve_forever)
    thread.start()
    yield address
    gateway.shutdown()
    thread.join()


def send(address: tuple[str, int], request: bytes) -> tuple[int, str, Message]:
    """Return status, body and headers of the answer."""
    with socket.create_connection(address, timeout=30) as connection:
        connection.sendall(request)
        answer = HTTPResponse(connection)
        answer.begin()
        return answer.status, answer.read().decode(), answer.headers


def test_a_request_reaches_the_function(address: tuple[str, int]) -> None:
    assert send(address, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")[:2] == (200, "/health")


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /classifications/a b.jpg HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
    ],
    ids=["a space in the path", "a long path", "a broken chunk"],
)
def test_a_malformed_request_gets_an_error_in_the_form_of_the_contract(
    address: tuple[str, int], request_bytes: bytes, status: int
) -> None:
    answered, body, headers = send(address, request_bytes)

    assert answered == status
    assert json.loads(body)["error"]["code"] == "invalid_request"
    assert (headers["X-Content-Type-Options"], headers["Cache-Control"]) == ("nosniff", "no-store")
