"""What `make run` prints: the function's log, as one plain line for each photo."""

from typing import Any

from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter

from classifier.telemetry import logger

_DETAILS = ("id", "key", "message_id", "task_id", "reason")
_LINES = {  # by the message of the record
    "failed": "{id}: FAILED, {code}: {reason}",
    "unchanged": "{id}: unchanged",
    "removed": "{id}: removed",
    "deleted": "{id}: deleted",
    "taken back": "{id}: the answer was taken back",
    "listing deleted": "Listing {id}: deleted",
    "refused": "Refused a request: {code}: {reason}",
}
_ANSWERS = {"confirmed": "{id}: {label}, confirmed", "listing confirmed": "Listing {id}: {label}, confirmed"}
_NO_LABEL = "none of the labels"


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
    if record["message"] in _ANSWERS:  # the formatter leaves out a label that is None
        return printable(_ANSWERS[record["message"]].format(id=record["id"], label=record.get("label", _NO_LABEL)))
    if record["message"] in _LINES:
        return printable(_LINES[record["message"]].format_map(record))
    details = [f"{name}={record[name]}" for name in _DETAILS if name in record]
    error = record["exception"].strip().splitlines()[-1:] if "exception" in record else []
    return printable(": ".join(filter(None, [record["level"], record["message"], ", ".join([*details, *error])])))


def printable(line: str) -> str:
    """Escape what could falsify the output: control characters, and those that turn the direction of writing."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in line)
