"""Events on EventBridge: what happens to photos and listings, once it is stored."""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import boto3
import pytest

from classifier.classification import Status
from classifier.errors import Busy
from classifier.eventbridge import EventType, publish
from classifier.services import Services
from local.aws import Resources
from tests.support.api import Api, handle
from tests.support.bucket import Bucket
from tests.support.drawings import photo
from tests.support.events import s3_event
from tests.support.listings import record, shown, store
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


def of_photos(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the events about photos, without those about their listings."""
    return [event for event in events if not event["detail-type"].startswith("Listing")]


def of_listings(events: list[dict[str, Any]]) -> list[tuple[str, Any]]:
    """Return type and detail of the events about listings."""
    return [(event["detail-type"], event["detail"]) for event in events if event["detail-type"].startswith("Listing")]


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

    (event,) = of_photos(subscriber.receive())
    assert (event["source"], event["detail-type"]) == ("clothes-classifier", "Photo Classified")
    record = publishing.records.read("listing-1/front.jpg").classification
    assert record is not None
    assert event["detail"] == shown(record, publishing)


def test_a_photo_that_fails_is_published(subscriber: Subscriber, publishing: Services, bucket: Bucket) -> None:
    bucket.put(KEY, b"just text")

    handle(s3_event(KEY), publishing)

    codes = [event["detail"]["error"]["code"] for event in of_photos(subscriber.receive())]
    assert codes == ["unsupported_image"]


def test_requests_and_confirmations_are_published(subscriber: Subscriber, publishing: Services) -> None:
    api = Api(publishing)
    identifier = api.request("POST", "/classifications", body=photo()).json["id"]
    api.request("PUT", f"/confirmations/{identifier}", {"label": "hat"})
    api.request("PUT", f"/confirmations/{identifier}", {"label": None})
    api.request("DELETE", f"/confirmations/{identifier}")

    events = subscriber.receive()
    assert [event["detail-type"] for event in events] == ["Photo Classified", *["Label Confirmed"] * 3]
    confirmations = [event["detail"]["confirmation"] for event in events]
    assert [one and one["label"] for one in confirmations] == [None, "hat", None, None]
    assert [one is None for one in confirmations] == [True, False, False, True]
    assert [event["detail"]["category"] and event["detail"]["category"]["name"] for event in events] == [
        "T-shirt",
        "Hat",
        None,
        "T-shirt",
    ]


def listing(api: Api, batch_id: str = "listing-1") -> dict[str, Any]:
    """Return the listing as the API shows it, without its photos."""
    shown = api.request("GET", f"/batches/{batch_id}").json
    return {name: value for name, value in shown.items() if name != "items"}


def test_a_listing_is_published_when_none_of_its_photos_is_pending(
    subscriber: Subscriber, publishing: Services, bucket: Bucket
) -> None:
    api = Api(publishing)
    files = [{"name": name, "content_type": "image/jpeg"} for name in ("a.jpg", "b.jpg")]
    uploads = api.request("POST", "/uploads", {"files": files}).json
    published = []
    for item in uploads["items"]:
        bucket.put(item["fields"]["key"], photo())
        handle(s3_event(item["fields"]["key"]), publishing)
        published.append(of_listings(subscriber.receive()))

    assert published == [[], [("Listing Finished", listing(api, uploads["batch_id"]))]]


def delete_by_api(services: Services, bucket: Bucket) -> None:
    assert Api(services).request("DELETE", "/classifications/listing-1/front.jpg").status in {204, 503}


def delete_from_bucket(services: Services, bucket: Bucket) -> None:
    bucket.delete(KEY)
    with suppress(ZeroDivisionError, Busy):
        handle(s3_event(KEY, name="ObjectRemoved:Delete"), services)


Delete = Callable[[Services, Bucket], None]
deletions = pytest.mark.parametrize("delete", [delete_by_api, delete_from_bucket])


@deletions
def test_a_listing_is_published_when_the_last_photo_that_was_pending_is_removed(
    subscriber: Subscriber, publishing: Services, bucket: Bucket, delete: Delete
) -> None:
    pending = record(1, id="listing-1/front.jpg", status=Status.PENDING, scores={})
    store(publishing, [pending, record(4)])

    delete(publishing, bucket)

    events = subscriber.receive()
    assert [event["detail-type"] for event in events] == ["Photo Removed", "Listing Finished"]
    assert of_listings(events) == [("Listing Finished", listing(Api(publishing)))]


def test_an_answer_about_a_listing_is_published_for_it_and_its_photos(
    subscriber: Subscriber, publishing: Services
) -> None:
    api = Api(publishing)
    store(publishing, [record(1), record(4)])

    api.request("PUT", "/batches/listing-1/confirmation", {"label": "shoes"})

    events = subscriber.receive()
    assert of_listings(events) == [("Listing Confirmed", listing(api))]
    assert {event["detail-type"] for event in of_photos(events)} == {"Label Confirmed"}
    assert {event["detail"]["id"] for event in of_photos(events)} == {record(1).id, record(4).id}


@deletions
def test_a_photo_that_is_removed_is_published(
    subscriber: Subscriber, publishing: Services, bucket: Bucket, delete: Delete
) -> None:
    bucket.put(KEY, photo())
    handle(s3_event(KEY), publishing)
    subscriber.receive()

    delete(publishing, bucket)

    (event,) = subscriber.receive()
    assert event["detail-type"] == "Photo Removed"
    assert event["detail"] == {"id": "listing-1/front.jpg", "batch_id": "listing-1"}


@deletions
def test_a_removal_that_could_not_be_published_is_published_at_the_next_try(
    subscriber: Subscriber, publishing: Services, bucket: Bucket, delete: Delete
) -> None:
    """Events are delivered at least once."""
    bucket.put(KEY, photo())
    handle(s3_event(KEY), publishing)
    subscriber.receive()
    delete(replace_parts(publishing, eventbridge=FailingClient({"FailedEntryCount": 1})), bucket)

    delete(publishing, bucket)

    assert [event["detail-type"] for event in subscriber.receive()] == ["Photo Removed"]


def test_a_listing_that_is_deleted_is_published_with_its_photos(subscriber: Subscriber, publishing: Services) -> None:
    store(publishing, [record(1), record(4)])

    Api(publishing).request("DELETE", "/batches/listing-1")

    events = subscriber.receive()
    assert of_listings(events) == [("Listing Removed", {"batch_id": "listing-1"})]
    assert [event["detail-type"] for event in of_photos(events)] == ["Photo Removed"] * 2
    assert {event["detail"]["id"] for event in of_photos(events)} == {record(1).id, record(4).id}


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
    assert answer == {"classifications": [shown(stored, publishing)]}
    assert [event["detail"] for event in of_photos(subscriber.receive())] == [shown(stored, publishing)]


def test_a_confirmation_that_could_not_be_published_is_an_error(publishing: Services) -> None:
    """The label is stored. The client sends it again after the 503."""
    api = Api(replace_parts(publishing, eventbridge=FailingClient({"FailedEntryCount": 1})))
    publishing.records.write(record(1), publishing.records.read(record(1).id))

    answer = api.request("PUT", "/confirmations/listing-1/1.jpg", {"label": "dress"})

    assert (answer.status, answer.json["error"]["code"]) == (503, "busy")


def test_an_event_that_the_bus_does_not_accept_is_an_error(publishing: Services) -> None:
    refusing = replace_parts(publishing, eventbridge=FailingClient({"FailedEntryCount": 1}))

    with pytest.raises(Busy):
        publish(EventType.CLASSIFIED, shown(record(1), publishing), refusing)
