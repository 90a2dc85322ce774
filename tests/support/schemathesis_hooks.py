"""Tells schemathesis what the schema cannot: a valid URL leads to a photo, a valid cursor to a page."""

import os
from typing import Any

import schemathesis
from schemathesis.generation import GenerationMode


@schemathesis.hook
def before_call(_: Any, case: schemathesis.Case[Any], __: Any) -> None:
    """Replace made-up URLs, which are all unreachable, and drop made-up cursors, which are all refused."""
    is_valid = case.meta and case.meta.generation.mode is GenerationMode.POSITIVE
    if is_valid and isinstance(case.body, dict) and "url" in case.body:
        case.body["url"] = os.environ["PHOTO_URL"]
    if is_valid and case.query:
        case.query.pop("cursor", None)
