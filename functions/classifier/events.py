"""The kinds of event that the function is invoked with, and how to recognize them. Imports nothing."""

from typing import Any

KNOWN_EVENTS = (
    'This function answers {"url": "https://…"}, requests of API Gateway (REST, proxy), S3 event notifications, '
    "SQS messages with such notifications, invocations by S3 Batch Operations, and failed asynchronous events."
)


def is_http_request(event: dict[str, Any]) -> bool:
    """Return whether this is a request of API Gateway's REST proxy integration."""
    return "httpMethod" in event and isinstance(event.get("requestContext"), dict)


def is_s3_event(event: Any) -> bool:
    """Return whether this is an S3 event notification."""
    return isinstance(event, dict) and _all_records_from(event, "aws:s3") and all(map(_names_object, event["Records"]))


def is_test_event(event: Any) -> bool:
    """Return whether this is the message that S3 sends when a notification is set up."""
    return isinstance(event, dict) and event.get("Event") == "s3:TestEvent"


def is_failed_event(event: Any) -> bool:
    """Return whether this is the record that Lambda sends to an on-failure destination."""
    return isinstance(event, dict) and "requestPayload" in event and "requestContext" in event


def is_queue_event(event: dict[str, Any]) -> bool:
    """Return whether these are messages of SQS."""
    return _all_records_from(event, "aws:sqs") and all(
        isinstance(record.get("body"), str) and isinstance(record.get("messageId"), str) for record in event["Records"]
    )


def is_batch_job(event: dict[str, Any]) -> bool:
    """Return whether this is an invocation by S3 Batch Operations, of either schema version."""
    return event.get("invocationSchemaVersion") in {"1.0", "2.0"} and isinstance(event.get("tasks"), list)


def is_direct(event: dict[str, Any]) -> bool:
    """Return whether this is a direct invocation with a photo's URL."""
    return isinstance(event.get("url"), str)


def _names_object(record: dict[str, Any]) -> bool:
    match record:
        case {"s3": {"bucket": {"name": str()}, "object": {"key": str()}}}:
            return True
    return False


def _all_records_from(event: dict[str, Any], source: str) -> bool:
    records = event.get("Records")
    return (
        isinstance(records, list)
        and bool(records)
        and all(isinstance(record, dict) and record.get("eventSource") == source for record in records)
    )
