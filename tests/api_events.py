"""Makes events of API Gateway's REST proxy integration, and of S3."""

import base64
import json
from typing import Any
from urllib.parse import quote_plus

from local.aws import BUCKET


def api_event(
    method: str,
    path: str,
    content: Any = None,
    *,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
    query: dict[str, str] | dict[str, list[str]] | None = None,
    stage: str | None = None,
) -> dict[str, Any]:
    """A request with JSON content, or with raw bytes, which arrive in base64, as the template has it."""
    if content is not None:
        body = json.dumps(content).encode()
        headers = {"Content-Type": "application/json", **(headers or {})}
    said = {name: [value] if isinstance(value, str) else value for name, value in (query or {}).items()}
    return {
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": method,
        "headers": headers or {},
        "multiValueHeaders": {name: [value] for name, value in (headers or {}).items()},
        "queryStringParameters": {name: values[-1] for name, values in said.items()} or None,
        "multiValueQueryStringParameters": said or None,
        "pathParameters": {"proxy": path.removeprefix("/")},
        "stageVariables": None,
        "requestContext": {
            "path": f"/{stage}{path}" if stage else path,
            "stage": stage or "",
            "requestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
        },
        "body": base64.b64encode(body).decode() if body is not None else None,
        "isBase64Encoded": body is not None,
    }


def s3_event(*keys: str, name: str = "ObjectCreated:Put") -> dict[str, Any]:
    return {
        "Records": [
            {
                "eventSource": "aws:s3",
                "eventName": name,
                "s3": {"bucket": {"name": BUCKET}, "object": {"key": quote_plus(key)}},
            }
            for key in keys
        ]
    }
