"""What Lambda logs about each invocation, as the local system prints it."""

import json
from typing import Any

import pytest

from local.function import CrashingFunction, FunctionError
from local.lambda_log import LoggedFunction

UPLOADS, FAILURES = ("arn:aws:sqs:us-east-1:123456789012:uploads", "arn:aws:sqs:us-east-1:123456789012:failures")


class FailingFunction:
    """Answers that the second message of a batch failed."""

    def invoke(self, _: Any) -> Any:
        return {"batchItemFailures": [{"itemIdentifier": "2"}]}


def batch(arn: str) -> Any:
    return {"Records": [{"messageId": str(number), "eventSourceARN": arn} for number in range(1, 4)]}


def reports(capsys: pytest.CaptureFixture[str]) -> list[Any]:
    return [json.loads(line)["record"] for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize(
    ("event", "statuses"),
    [
        (batch(UPLOADS), ["success", "error", "success"]),
        (batch(FAILURES), ["success"]),
        ({"httpMethod": "GET"}, ["success"]),
    ],
    ids=["uploads", "failed events", "a request"],
)
def test_each_upload_of_a_batch_has_a_report_as_if_it_came_alone(
    event: Any, statuses: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    LoggedFunction(FailingFunction(), "json").invoke(event)

    assert [report["status"] for report in reports(capsys)] == statuses


def test_the_report_of_a_crash_has_its_type(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(FunctionError):
        LoggedFunction(CrashingFunction(), "json").invoke({})

    (report,) = reports(capsys)
    assert (report["status"], report["errorType"]) == ("error", "Runtime.ExitError")


def test_the_plain_log_has_only_the_invocations_that_failed(capsys: pytest.CaptureFixture[str]) -> None:
    LoggedFunction(FailingFunction(), "plain").invoke(batch(UPLOADS))
    with pytest.raises(FunctionError):
        LoggedFunction(CrashingFunction(), "plain").invoke({})

    assert capsys.readouterr().out == "ERROR: The invocation failed: Runtime.ExitError\n"
