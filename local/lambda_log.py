"""What Lambda itself adds to the function's log: a report of each invocation."""

import json
import time
from typing import Any

from local.function import FunctionError, Invocable


class LoggedFunction:
    """Invokes a function. Prints Lambda's report of each invocation if `log` is "json", else a line for each error."""

    def __init__(self, function: Invocable, log: str) -> None:
        self._function = function
        self._is_json = log == "json"

    def invoke(self, event: Any) -> Any:
        """Return the function's answer. Raise `FunctionError`."""
        started = time.monotonic()
        try:
            answer = self._function.invoke(event)
        except FunctionError as error:
            self._report(started, "error", errorType=error.args[0])
            raise
        for status in _statuses(event, answer):
            self._report(started, status)
        return answer

    def _report(self, started: float, status: str, **error: str) -> None:
        milliseconds = round((time.monotonic() - started) * 1000, 1)
        record = {"status": status, "metrics": {"durationMs": milliseconds}, **error}
        if self._is_json:
            print_line(json.dumps({"type": "platform.report", "record": record}))
        elif error:
            print_line(format_report(record))


def _statuses(event: Any, answer: Any) -> list[str]:
    """Return the status of each invocation that the event is on AWS, where the bucket's events come one by one."""
    messages = event.get("Records", []) if isinstance(event, dict) else []
    if not messages or not messages[0].get("eventSourceARN", "").endswith(":uploads"):
        return ["success"]
    failed = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
    return ["error" if message["messageId"] in failed else "success" for message in messages]


def format_report(record: dict[str, Any]) -> str:
    """Return the plain line for the report of an invocation that failed, if its function did not log the error."""
    return f"ERROR: The invocation failed: {record['errorType']}"


def print_line(line: str) -> None:
    """Print the line in one piece: other threads print, too."""
    print(f"{line}\n", end="", flush=True)
