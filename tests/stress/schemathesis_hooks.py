"""What schemathesis is told beside the schema: URLs that are meant to be right lead to a photo, cursors to a page."""

import os
from typing import Any

import schemathesis
from schemathesis.generation import GenerationMode


@schemathesis.hook
def before_call(_: Any, case: schemathesis.Case[Any], __: Any) -> None:
    """Made-up URLs would all be unreachable, made-up cursors refused, and what comes after would never be reached."""
    is_meant_to_be_right = case.meta and case.meta.generation.mode is GenerationMode.POSITIVE
    if is_meant_to_be_right and isinstance(case.body, dict) and "url" in case.body:
        case.body["url"] = os.environ["PHOTO_URL"]
    if is_meant_to_be_right and case.query:
        case.query.pop("cursor", None)
