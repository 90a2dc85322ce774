"""The OpenAPI description of the HTTP API."""

import json
import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

# What sellers may request with a token: the same as others, below `/listings`.
_SELLERS_PATHS = (
    "/uploads",
    "/batches/{batch_id}",
    "/batches/{batch_id}/confirmation",
    "/classifications/{id}",
    "/confirmations/{id}",
    "/thumbnails/{id}",
    "/model",
)


def describe_api(labels: Sequence[str], prefix: str) -> dict[str, Any]:
    """Return the description, with the model's labels and the path of the API's stage."""
    document = _read()
    components = document["components"]
    known_label = {**components["schemas"]["KnownLabel"], "enum": labels}
    components = {**components, "schemas": {**components["schemas"], "KnownLabel": known_label}}
    paths = {**document["paths"], **{f"/listings{path}": _for_sellers(document, path) for path in _SELLERS_PATHS}}
    return {**document, "servers": [{"url": prefix or "/"}], "paths": paths, "components": components}


def _for_sellers(document: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Return the operations of a path as sellers see them: with the token of a listing instead of the API key."""
    return {
        method: {
            **operation,
            "operationId": f"{operation['operationId']}OfListing",
            "tags": ["listings"],
            "security": [{"listingToken": []}],
        }
        for method, operation in document["paths"][path].items()
    }


def allowed_methods(path: str) -> list[str]:
    """Return the methods of the path. There are none if there is no such path."""
    paths = sorted(_read()["paths"].items(), key=lambda path: -len(path[0]))  # `/batches/{batch_id}/confirmation` first
    for template, operations in paths:
        if fnmatchcase(path, re.sub(r"{\w+}", "?*", template)):  # ids may contain slashes
            methods = [name.upper() for name in operations]
            return [*methods, "HEAD"] if "GET" in methods else methods
    return []


@cache
def _read() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(Path(__file__).with_name("openapi.json").read_text(encoding="utf-8"))
    return document
