"""What `make run` prints: the function's log, as one plain line for each photo."""

from typing import Any

from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter

from classifier.telemetry import logger

_DETAILS = ("id", "key", "message_id", "task_id", "reason")


def print_plain_lines() -> None:
    """Make the function log plain lines instead of JSON."""
    formatter = logger.registered_formatter
    if isinstance(formatter, LambdaPowertoolsFormatter):
        formatter.json_serializer = format_record


def format_record(record: Any) -> str:
    """Return the line for one record of the function's log. The record in JSON has the stack trace of errors."""
    match record["message"]:
        case "classified":
            review = ", needs review" if record["needs_review"] else ""
            percent = int(round(100 * record["confidence"], 2))  # rounded down, as on the page: 99.9% is not certain
            return f"{record['id']}: {record['label']}, {percent}%{review}"
        case "failed":
            return f"{record['id']}: FAILED, {record['code']}: {record['reason']}"
        case "removed":
            return f"{record['id']}: removed"
        case "confirmed":
            return f"{record['id']}: {record['label']}, confirmed by the seller"
        case "refused":
            return f"Refused a request: {record['code']}: {record['reason']}"
    return _format_other(record)


def _format_other(record: Any) -> str:
    details = [f"{name}={record[name]}" for name in _DETAILS if name in record]
    error = record["exception"].strip().splitlines()[-1:] if "exception" in record else []
    return f"{record['level']}: {record['message']}: {', '.join([*details, *error])}"
