"""What the function is invoked with, and how its kinds are told apart. Imports nothing."""

from typing import Any


def is_http_request(event: dict[str, Any]) -> bool:
    """Tell a request of API Gateway's REST proxy integration."""
    return "httpMethod" in event and isinstance(event.get("requestContext"), dict)


def is_s3_event(event: Any) -> bool:
    """Tell an event notification of S3 from all else."""
    return isinstance(event, dict) and _all_records_from(event, "aws:s3")


def is_test_event(event: Any) -> bool:
    """Tell the message that S3 sends when a notification is set up."""
    return isinstance(event, dict) and event.get("Event") == "s3:TestEvent"


def is_failed_event(event: Any) -> bool:
    """Tell the record that Lambda sends to an on-failure destination."""
    return isinstance(event, dict) and "requestPayload" in event and "requestContext" in event


def is_queue_event(event: dict[str, Any]) -> bool:
    """Tell messages of SQS from all else."""
    return _all_records_from(event, "aws:sqs")


def is_batch_job(event: dict[str, Any]) -> bool:
    """Tell an invocation by S3 Batch Operations, of either schema."""
    return event.get("invocationSchemaVersion") in {"1.0", "2.0"} and isinstance(event.get("tasks"), list)


def is_direct(event: dict[str, Any]) -> bool:
    """Tell an event that names a photo's URL."""
    return isinstance(event.get("url"), str)


def _all_records_from(event: dict[str, Any], source: str) -> bool:
    records = event.get("Records")
    return (
        isinstance(records, list)
        and bool(records)
        and all(isinstance(record, dict) and record.get("eventSource") == source for record in records)
    )
