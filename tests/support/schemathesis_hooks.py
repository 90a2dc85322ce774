"""Tells schemathesis what the schema cannot: a valid URL leads to a photo, a token opens one listing."""

import os
from typing import Any

import requests
import schemathesis
from schemathesis.generation import GenerationMode


@schemathesis.hook
def before_call(_: Any, case: schemathesis.Case[Any], __: Any) -> None:
    """Replace made-up URLs, which are all unreachable, and drop made-up cursors, which are all refused.

    Below `/listings`, replace made-up listings and photos by new ones, with their token.
    """
    is_valid = case.meta and case.meta.generation.mode is GenerationMode.POSITIVE
    if is_valid and isinstance(case.body, dict) and "url" in case.body:
        case.body["url"] = os.environ["PHOTO_URL"]
    if is_valid and case.operation.path.startswith("/listings/"):
        _replace_listing(case)
    if is_valid and case.query:
        case.query.pop("cursor", None)


def _replace_listing(case: schemathesis.Case[Any]) -> None:
    files = {"files": [{"name": "front.jpg", "content_type": "image/jpeg"}]}
    listing = requests.post(f"{os.environ['SYSTEM_URL']}/uploads", json=files, timeout=30).json()
    own = {"batch_id": listing["batch_id"], "id": listing["items"][0]["id"]}
    case.path_parameters = {name: own[name] for name in case.path_parameters or {}}
    if isinstance(case.body, dict) and "batch_id" in case.body:
        case.body["batch_id"] = own["batch_id"]
    if "Authorization" in (case.headers or {}):
        case.headers["Authorization"] = f"Bearer {listing['token']}"
