"""Events of API Gateway's REST proxy integration, of S3, of SQS and of Lambda's failure destination."""

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
    """Return the event of a request with JSON content, or with a body of bytes, which API Gateway encodes in base64."""
    if content is not None:
        body = json.dumps(content).encode()
        headers = {"Content-Type": "application/json", **(headers or {})}
    parameters = {name: [value] if isinstance(value, str) else value for name, value in (query or {}).items()}
    return {
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": method,
        "headers": headers or {},
        "multiValueHeaders": {name: [value] for name, value in (headers or {}).items()},
        "queryStringParameters": {name: values[-1] for name, values in parameters.items()} or None,
        "multiValueQueryStringParameters": parameters or None,
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


def s3_event(*keys: str, name: str = "ObjectCreated:Put", **details: str) -> dict[str, Any]:
    """Return S3's notification about objects of the bucket; `details` are further fields of each object."""
    return {
        "Records": [
            {
                "eventSource": "aws:s3",
                "eventName": name,
                "s3": {"bucket": {"name": BUCKET}, "object": {"key": quote_plus(key), **details}},
            }
            for key in keys
        ]
    }


def failed_event(*keys: str, **details: str) -> dict[str, Any]:
    """Return what Lambda sends to the failure queue when it gives up on an event about these objects."""
    return {
        "version": "1.0",
        "requestContext": {"condition": "RetriesExhausted", "approximateInvokeCount": 3},
        "requestPayload": s3_event(*keys, **details),
    }


def queue_event(*messages: dict[str, Any]) -> dict[str, Any]:
    """Return the event of SQS with these messages."""
    return {"Records": list(messages)}


def message(body: object, identifier: str = "1") -> dict[str, Any]:
    """Return a message of SQS; a body that is no text is encoded as JSON."""
    text = body if isinstance(body, str) else json.dumps(body)
    return {"messageId": identifier, "eventSource": "aws:sqs", "body": text}
