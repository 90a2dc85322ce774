"""The local form of Lambda's asynchronous invocation: three tries, then the failure queue."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from classifier.events import is_failed_event
from local.aws import Resources
from local.function import FunctionError
from local.triggers import QueueTrigger
from tests.support.bucket import Bucket

Invoke = Callable[[Any], Any]


class StubFunction:
    """Answers with `invoke`, and keeps the events."""

    def __init__(self, invoke: Invoke) -> None:
        self.events: list[Any] = []
        self._invoke = invoke

    def invoke(self, event: Any) -> Any:
        self.events.append(event)
        return self._invoke(event)


def succeed(_: Any) -> Any:
    return {"batchItemFailures": []}


def fail(event: Any) -> Any:
    return {"batchItemFailures": [{"itemIdentifier": record["messageId"]} for record in event["Records"]]}


def crash(_: Any) -> Any:
    raise FunctionError("Runtime.ExitError", "The function's process ended.")


def drain(resources: Resources, function: StubFunction, polls: int = 1) -> None:
    """Poll the queue of uploads so many times, without waiting."""
    trigger = QueueTrigger(
        function,
        resources.sqs,
        resources.uploads_url,
        resources.failures_url,
        wait_seconds=0,
        retry_seconds=0,
    )
    for _ in range(polls):
        trigger.poll()


def count_messages(resources: Resources, url: str) -> int:
    """Return how many messages are in the queue, visible or not."""
    names: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    attributes = resources.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(count) for count in attributes.values())


@pytest.fixture
def resources(aws: Resources) -> Resources:
    """The queues, without the test event that S3 sends when the notification is set up."""
    drain(aws, StubFunction(succeed))
    return aws


def test_the_function_gets_an_upload_as_a_message_of_sqs(resources: Resources, bucket: Bucket) -> None:
    bucket.put("uploads/a b.jpg", b"photo")
    function = StubFunction(succeed)

    drain(resources, function)

    (record,) = function.events[0]["Records"]
    assert record["eventSource"] == "aws:sqs"
    assert json.loads(record["body"])["Records"][0]["s3"]["object"]["key"] == "uploads%2Fa+b.jpg"
    assert count_messages(resources, resources.uploads_url) == 0


def test_an_object_outside_of_uploads_does_not_trigger_the_function(resources: Resources, bucket: Bucket) -> None:
    bucket.put("other/a.jpg", b"photo")

    assert count_messages(resources, resources.uploads_url) == 0


@pytest.mark.parametrize("invoke", [fail, crash])
def test_a_message_that_fails_three_times_goes_to_the_failure_queue(
    resources: Resources, bucket: Bucket, invoke: Invoke
) -> None:
    bucket.put("uploads/a.jpg", b"photo")
    function = StubFunction(invoke)

    drain(resources, function, polls=5)

    assert len(function.events) == 3
    assert count_messages(resources, resources.uploads_url) == 0
    (message,) = resources.sqs.receive_message(QueueUrl=resources.failures_url)["Messages"]
    event = json.loads(message["Body"])
    assert is_failed_event(event)
    assert event["requestPayload"]["Records"][0]["s3"]["object"]["key"] == "uploads%2Fa.jpg"


def test_only_the_message_that_failed_is_delivered_again(resources: Resources, bucket: Bucket) -> None:
    for name in ("a", "b"):
        bucket.put(f"uploads/{name}.jpg", b"photo")

    def fail_a(event: Any) -> Any:
        bad = [record["messageId"] for record in event["Records"] if "a.jpg" in record["body"]]
        return {"batchItemFailures": [{"itemIdentifier": identifier} for identifier in bad]}

    function = StubFunction(fail_a)
    drain(resources, function, polls=2)

    assert [len(event["Records"]) for event in function.events] == [2, 1]


def test_a_message_that_kills_the_function_does_not_fail_the_others(resources: Resources, bucket: Bucket) -> None:
    for name in ("a", "b", "c"):
        bucket.put(f"uploads/{name}.jpg", b"photo")

    def crash_at_a(event: Any) -> Any:
        return crash(event) if any("a.jpg" in record["body"] for record in event["Records"]) else succeed(event)

    drain(resources, StubFunction(crash_at_a), polls=5)

    assert count_messages(resources, resources.uploads_url) == 0
    (message,) = resources.sqs.receive_message(QueueUrl=resources.failures_url, MaxNumberOfMessages=10)["Messages"]
    assert "a.jpg" in message["Body"]


def test_a_message_that_fails_in_the_failure_queue_goes_to_the_dead_letters(aws: Resources) -> None:
    attributes = aws.sqs.get_queue_attributes(QueueUrl=aws.failures_url, AttributeNames=["RedrivePolicy"])["Attributes"]

    assert json.loads(attributes["RedrivePolicy"])["deadLetterTargetArn"].endswith(":dead-letters")
