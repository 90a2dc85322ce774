"""Reads the parts of an API request, and refuses with `InvalidRequest` what is malformed."""

import base64
import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote

from classifier.errors import InvalidRequest, NotFound, quote
from classifier.keys import is_possible_id

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEvent

Meaning = TypeVar("Meaning")


def read_body(event: "APIGatewayProxyEvent") -> bytes:
    """Return the body as the client sent it."""
    text = event.body or ""
    if not event.is_base64_encoded:
        return text.encode()
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise InvalidRequest("The body is not valid base64.") from error


def parse_object(body: bytes, expected: str, known: Sequence[str]) -> dict[str, Any]:
    """Return the JSON object in the body, whose fields must be known.

    `expected` tells the client what to send, in the error's message.
    """
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"The body is not JSON. {expected}") from error
    if not isinstance(content, dict):
        raise InvalidRequest(f"The body is not a JSON object. {expected}")
    check_fields(content, known, expected)
    return content


def check_fields(content: Mapping[str, Any], known: Sequence[str], expected: str) -> None:
    """Raise `InvalidRequest` for a field that is not known."""
    for name in content:
        if name not in known:
            raise InvalidRequest(f"Unknown field {quote(name)}. {expected}")


def query_parameters(event: "APIGatewayProxyEvent", known: Sequence[str]) -> dict[str, str]:
    """Return the query's parameters. Each must be known, and be there once."""
    values_by_name = event.raw_event.get("multiValueQueryStringParameters") or {}
    for name, values in values_by_name.items():
        if name not in known:
            expected = f"Known parameters: {', '.join(known)}." if known else "This request has no parameters."
            raise InvalidRequest(f"Unknown parameter {quote(name)}. {expected}")
        if len(values) > 1:
            raise InvalidRequest(f"`{name}` is given {len(values)} times.")
    return {name: values[0] for name, values in values_by_name.items()}


def parse_choice(name: str, parameters: Mapping[str, str], meanings: Mapping[str, Meaning]) -> Meaning | None:
    """Return what the parameter's value stands for, or None if the parameter is not there."""
    if name not in parameters:
        return None
    if parameters[name] not in meanings:
        raise InvalidRequest(f"`{name}` must be one of {', '.join(meanings)}.")
    return meanings[parameters[name]]


def parse_limit(parameters: Mapping[str, str], default: int, largest: int) -> int:
    """Return how many items a page may have."""
    limit = parameters.get("limit", str(default))
    if not re.fullmatch(r"[0-9]{1,9}", limit) or not 1 <= int(limit) <= largest:
        raise InvalidRequest(f"`limit` must be a number from 1 to {largest}.")
    return int(limit)


def id_in_path(path: str, prefix: str) -> str:
    """Return the id after the prefix, percent-decoded. Raise `NotFound` for an id that is impossible."""
    encoded = path.removeprefix(prefix)
    try:
        photo_id = unquote(encoded, errors="strict")
    except UnicodeDecodeError as error:  # keys in S3 are UTF-8
        raise NotFound(f"There is no {quote(encoded)}.") from error
    if not is_possible_id(photo_id):
        raise NotFound(f"There is no {quote(photo_id)}.")
    return photo_id
