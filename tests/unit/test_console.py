"""What `make run` prints, and what it says about ports that it cannot use."""

import re
import socket
from typing import Any

import pytest

from local.__main__ import UsageError, parse_fail, parse_log, parse_ports
from local.console import format_record
from tests.support.ports import free_port

CLASSIFIED = {"message": "classified", "id": "a.jpg", "label": "hat", "confidence": 0.999, "needs_review": False}


@pytest.mark.parametrize(
    ("record", "line"),
    [
        (CLASSIFIED, "a.jpg: hat, 99%"),
        ({**CLASSIFIED, "confidence": 0.29}, "a.jpg: hat, 29%"),
        ({**CLASSIFIED, "confidence": 0.41, "needs_review": True}, "a.jpg: hat, 41%, needs review"),
        (
            {"message": "failed", "id": "a.txt", "code": "unsupported_image", "reason": "This is not an image."},
            "a.txt: FAILED, unsupported_image: This is not an image.",
        ),
        ({"message": "unchanged", "id": "a.jpg"}, "a.jpg: unchanged"),
        ({"message": "removed", "id": "a.jpg"}, "a.jpg: removed"),
        ({"message": "confirmed", "id": "a.jpg", "label": "hat"}, "a.jpg: hat, confirmed"),
        ({"message": "confirmed", "id": "a.jpg"}, "a.jpg: none of the labels, confirmed"),
        ({"message": "taken back", "id": "a.jpg"}, "a.jpg: the answer was taken back"),
        ({"message": "deleted", "id": "a.jpg"}, "a.jpg: deleted"),
        ({"message": "listing confirmed", "id": "a", "label": "hat"}, "Listing a: hat, confirmed"),
        ({"message": "listing confirmed", "id": "a"}, "Listing a: none of the labels, confirmed"),
        ({"message": "listing deleted", "id": "a"}, "Listing a: deleted"),
        (
            {"message": "refused", "code": "not_found", "reason": "There is no photo 'a'."},
            "Refused a request: not_found: There is no photo 'a'.",
        ),
        (
            {
                "message": "A message failed",
                "level": "ERROR",
                "task_id": "1",
                "exception": "Trace\nValueError: 1\n",
            },
            "ERROR: A message failed: task_id=1, ValueError: 1",
        ),
        ({"message": "No object.", "level": "WARNING"}, "WARNING: No object."),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_each_record_of_the_log_becomes_one_plain_line(record: dict[str, Any], line: str) -> None:
    assert format_record(record) == line


def test_two_free_ports_are_accepted() -> None:
    port, aws_port = free_port(), free_port()

    assert parse_ports(str(port), str(aws_port)) == (port, aws_port)


@pytest.mark.parametrize("port", ["80000", "0", "-1", "", "http", "8000.5", "٨٠"])
def test_a_port_that_does_not_exist_gets_a_sentence(port: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_ports(port, "5000")

    assert str(raised.value) == f"PORT must be a whole number from 1 to 65535, not {port!r}."


def test_the_same_port_twice_gets_a_sentence() -> None:
    with pytest.raises(UsageError) as raised:
        parse_ports("8000", "8000")

    assert str(raised.value) == "PORT and AWS_PORT are both 8000. Choose two different ports."


def test_a_port_in_use_gets_a_sentence_that_names_another() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken: int = server.getsockname()[1]
        other = taken + 1 if taken < 65535 else taken - 1

        with pytest.raises(UsageError) as raised:
            parse_ports(str(free_port()), str(taken))

    assert str(raised.value) == f"Port {taken} is in use. Choose another one: make run AWS_PORT={other}"


@pytest.mark.parametrize("log", ["plain", "json"])
def test_the_log_is_plain_or_json(log: str) -> None:
    assert parse_log(log) == log


def test_another_form_of_the_log_gets_a_sentence() -> None:
    with pytest.raises(UsageError) as raised:
        parse_log("xml")

    assert str(raised.value) == "LOG must be plain or json, not 'xml'."


@pytest.mark.parametrize(("name", "fault"), [("bucket-slow", "bucket-slow"), ("", None)])
def test_a_fault_has_a_name_and_is_not_necessary(name: str, fault: str | None) -> None:
    assert parse_fail(name) == fault


def test_an_unknown_fault_gets_a_sentence_with_the_known_ones() -> None:
    with pytest.raises(UsageError) as raised:
        parse_fail("fire")

    assert re.fullmatch(r"FAIL must be one of table-throttled, .*, clients-throttled, not 'fire'\.", str(raised.value))


def test_a_plain_line_has_no_characters_that_falsify_it() -> None:
    line = format_record({"message": "removed", "id": "a\u202eb\nlisting: hat, 99%\x1b[2J 日本"})

    assert line == "a\\u202eb\\nlisting: hat, 99%\\x1b[2J 日本: removed"
