"""Which pages of other origins may call the API from browsers (CORS, the Fetch standard), or embed the seller's page.

A variable of the API's stage names the origins. So another value needs no new version of the function.
"""

from collections.abc import Mapping, Sequence
from typing import Any

_VARIABLE, _ANY = "allowedOrigins", "any"
_REQUEST_HEADERS = "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, x-api-key"
_RESPONSE_HEADERS = "ETag, Location, Retry-After"  # that pages may read, beside the usual ones
_MAX_AGE = "3600"  # seconds for which a browser need not ask again


def allow_origin(event: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the headers that let a page read the answer to its request, if its origin is allowed."""
    allowed = _allowed_origins(event)
    expose = {"Access-Control-Expose-Headers": [_RESPONSE_HEADERS]}
    if allowed == _ANY:
        return {"Access-Control-Allow-Origin": ["*"], **expose}
    headers: Mapping[str, str] = event.get("headers") or {}
    origin = next((value for name, value in headers.items() if name.lower() == "origin"), "")
    if origin in allowed.split(","):
        return {"Access-Control-Allow-Origin": [origin], **expose, "Vary": ["Origin"]}
    return {"Vary": ["Origin"]}


def embedding_origins(event: Mapping[str, Any]) -> str:
    """Return the origins whose pages may embed the seller's page, as `frame-ancestors` of CSP names them."""
    allowed = _allowed_origins(event)
    return "*" if allowed == _ANY else " ".join(allowed.split(","))


def preflight_headers(methods: Sequence[str]) -> dict[str, str | list[str]]:
    """Return what a page may send to a path with these methods."""
    return {
        "Allow": ", ".join(methods),
        "Access-Control-Allow-Methods": ", ".join(methods),
        "Access-Control-Allow-Headers": _REQUEST_HEADERS,
        "Access-Control-Max-Age": _MAX_AGE,
    }


def _allowed_origins(event: Mapping[str, Any]) -> str:
    allowed: str = (event.get("stageVariables") or {}).get(_VARIABLE, _ANY)
    return allowed
