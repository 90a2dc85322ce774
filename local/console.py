"""What `make run` prints: the function's log, as one plain line for each photo."""

from typing import Any

from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter

from classifier.telemetry import logger

_DETAILS = ("id", "key", "message_id", "task_id", "reason")
_LINES = {  # by the message of the record
    "failed": "{id}: FAILED, {code}: {reason}",
    "unchanged": "{id}: unchanged",
    "removed": "{id}: removed",
    "confirmed": "{id}: {label}, confirmed by the seller",
    "refused": "Refused a request: {code}: {reason}",
}


def print_plain_lines() -> None:
    """Make the function log plain lines instead of JSON."""
    formatter = logger.registered_formatter
    if isinstance(formatter, LambdaPowertoolsFormatter):
        formatter.json_serializer = format_record


def format_record(record: Any) -> str:
    """Return the line for one record of the function's log. The record in JSON has the stack trace of errors."""
    if record["message"] == "classified":
        review = ", needs review" if record["needs_review"] else ""
        percent = int(round(100 * record["confidence"], 2))  # rounded down, as on the page: 99.9% is not certain
        return printable(f"{record['id']}: {record['label']}, {percent}%{review}")
    if record["message"] in _LINES:
        return printable(_LINES[record["message"]].format_map(record))
    details = [f"{name}={record[name]}" for name in _DETAILS if name in record]
    error = record["exception"].strip().splitlines()[-1:] if "exception" in record else []
    return printable(": ".join(filter(None, [record["level"], record["message"], ", ".join([*details, *error])])))


def printable(line: str) -> str:
    """Escape what could falsify the output: control characters, and those that turn the direction of writing."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in line)
