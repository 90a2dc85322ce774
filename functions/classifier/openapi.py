"""The OpenAPI description of the HTTP API."""

import json
import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any


def describe_api(labels: Sequence[str], prefix: str) -> dict[str, Any]:
    """Return the description, with the model's labels and the path of the API's stage."""
    document = _read()
    components = document["components"]
    known_label = {**components["schemas"]["KnownLabel"], "enum": labels}
    components = {**components, "schemas": {**components["schemas"], "KnownLabel": known_label}}
    return {**document, "servers": [{"url": prefix or "/"}], "components": components}


def allowed_methods(path: str) -> list[str]:
    """Return the methods of the path. There are none if there is no such path."""
    for template, operations in _read()["paths"].items():
        if fnmatchcase(path, re.sub(r"{\w+}", "?*", template)):  # ids may contain slashes
            methods = [name.upper() for name in operations]
            return [*methods, "HEAD"] if "GET" in methods else methods
    return []


@cache
def _read() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(Path(__file__).with_name("openapi.json").read_text(encoding="utf-8"))
    return document
