"""Events on EventBridge: one for each classification and confirmation, once it is stored."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import boto3
import pytest

from classifier.classification import Classification
from classifier.errors import Busy
from classifier.eventbridge import EventType, publish
from classifier.services import Services
from local.aws import Resources
from tests.support.api import Api, handle
from tests.support.bucket import Bucket
from tests.support.drawings import photo
from tests.support.events import s3_event
from tests.support.listings import record
from tests.support.services import replace_parts

KEY = "uploads/listing-1/front.jpg"


@pytest.fixture
def publishing(services: Services) -> Services:
    """Services that publish."""
    return replace_parts(services, settings=replace(services.settings, event_bus="default"))


class Subscriber:
    """A queue to which EventBridge sends the function's events."""

    def __init__(self, session: boto3.Session) -> None:
        self._sqs = session.client("sqs")
        self._url = self._sqs.create_queue(QueueName="subscriber")["QueueUrl"]
        arn = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        events = session.client("events")
        events.put_rule(Name="classifications", EventPattern=json.dumps({"source": ["clothes-classifier"]}))
        events.put_targets(Rule="classifications", Targets=[{"Id": "queue", "Arn": arn}])

    def receive(self) -> list[dict[str, Any]]:
        """Return the events that have arrived since the last call."""
        messages = self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10).get("Messages", [])
        for message in messages:
            self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
        return [json.loads(message["Body"]) for message in messages]


@pytest.fixture
def subscriber(aws: Resources, session: boto3.Session) -> Subscriber:
    return Subscriber(session)


class FailingClient:
    """A client of EventBridge that returns these answers, or raises them, in their order."""

    def __init__(self, *answers: Any) -> None:
        self._answers: Iterator[Any] = iter(answers)

    def put_events(self, **_: Any) -> Any:
        answer = next(self._answers)
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_an_upload_is_published_with_its_classification(
    subscriber: Subscriber, publishing: Services, bucket: Bucket
) -> None:
    bucket.put(KEY, photo())

    handle(s3_event(KEY), publishing)

    (event,) = subscriber.receive()
    assert (event["source"], event["detail-type"]) == ("clothes-classifier", "Photo Classified")
    record = publishing.records.read("listing-1/front.jpg").classification
    assert record is not None
    assert event["detail"] == record.to_json()


def test_a_photo_that_fails_is_published(subscriber: Subscriber, publishing: Services, bucket: Bucket) -> None:
    bucket.put(KEY, b"just text")

    handle(s3_event(KEY), publishing)

    assert [event["detail"]["error"]["code"] for event in subscriber.receive()] == ["unsupported_image"]


def test_requests_and_confirmations_are_published(subscriber: Subscriber, publishing: Services) -> None:
    api = Api(publishing)
    identifier = api.request("POST", "/classifications", body=photo()).json["id"]
    api.request("PUT", f"/confirmations/{identifier}", {"label": "hat"})

    events = subscriber.receive()
    assert [event["detail-type"] for event in events] == ["Photo Classified", "Label Confirmed"]
    assert [event["detail"]["confirmed_label"] for event in events] == [None, "hat"]


def test_nothing_is_published_unless_the_settings_name_a_bus(
    subscriber: Subscriber, services: Services, bucket: Bucket
) -> None:
    bucket.put(KEY, photo())

    handle(s3_event(KEY), services)

    assert subscriber.receive() == []


def test_an_event_that_a_crash_prevented_is_published_at_the_next_delivery(
    subscriber: Subscriber, publishing: Services, bucket: Bucket
) -> None:
    """The record is stored before the crash, so the photo is not classified again."""
    bucket.put(KEY, photo())
    with pytest.raises(ZeroDivisionError):
        handle(s3_event(KEY), replace_parts(publishing, eventbridge=FailingClient(ZeroDivisionError())))
    stored = publishing.records.read("listing-1/front.jpg").classification

    answer = handle(s3_event(KEY), publishing)

    assert stored is not None
    assert answer == {"classifications": [stored.to_json()]}
    assert [event["detail"] for event in subscriber.receive()] == [stored.to_json()]


def test_a_confirmation_that_could_not_be_published_is_an_error(publishing: Services) -> None:
    """The label is stored. The client sends it again after the 503."""
    api = Api(replace_parts(publishing, eventbridge=FailingClient({"FailedEntryCount": 1})))
    publishing.records.write(record(1), publishing.records.read(record(1).id))

    answer = api.request("PUT", "/confirmations/listing-1/1.jpg", {"label": "dress"})

    assert (answer.status, answer.json["error"]["code"]) == (503, "busy")


def test_an_event_that_the_bus_does_not_accept_is_an_error(publishing: Services) -> None:
    classification: Classification = record(1)

    with pytest.raises(Busy):
        publish(
            EventType.CLASSIFIED,
            classification,
            replace_parts(publishing, eventbridge=FailingClient({"FailedEntryCount": 1})),
        )
