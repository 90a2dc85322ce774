"""Events on EventBridge: one for each classification and confirmation, once it is stored."""

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.support.events import s3_event
from classifier.announcements import News, announce
from classifier.errors import Busy
from classifier.services import Services
from tests.support.api import Api, handle
from tests.support.bucket import Bucket
from tests.support.services import replace_parts
from tests.support.drawings import photo
from tests.support.listings import record
from local.announcements import told
from local.aws import Resources

KEY = "uploads/listing-1/front.jpg"


@pytest.fixture
def announcing(services: Services) -> Services:
    """Services that announce."""
    return replace(services, settings=replace(services.settings, event_bus="default"))


def announced(aws: Resources) -> list[dict[str, Any]]:
    """The events that have come since the last look."""
    messages = aws.sqs.receive_message(QueueUrl=aws.announcements_url, MaxNumberOfMessages=10).get("Messages", [])
    for message in messages:
        aws.sqs.delete_message(QueueUrl=aws.announcements_url, ReceiptHandle=message["ReceiptHandle"])
    return [json.loads(message["Body"]) for message in messages]


def test_an_upload_is_announced_with_its_classification(aws: Resources, announcing: Services, bucket: Bucket) -> None:
    bucket.put(KEY, photo())

    handle(s3_event(KEY), announcing)

    (event,) = announced(aws)
    assert (event["source"], event["detail-type"]) == ("clothes-classifier", "Photo Classified")
    record = announcing.records.read("listing-1/front.jpg").classification
    assert record is not None
    assert event["detail"] == record.to_json()


def test_a_photo_that_fails_is_announced_too(aws: Resources, announcing: Services, bucket: Bucket) -> None:
    bucket.put(KEY, b"just text")

    handle(s3_event(KEY), announcing)

    assert [event["detail"]["error"]["code"] for event in announced(aws)] == ["unsupported_image"]


def test_requests_and_confirmations_are_announced(aws: Resources, announcing: Services) -> None:
    api = Api(announcing)
    identifier = api.request("POST", "/classifications", body=photo()).json["id"]
    api.request("PUT", f"/confirmations/{identifier}", {"label": "hat"})

    events = announced(aws)
    assert [event["detail-type"] for event in events] == ["Photo Classified", "Label Confirmed"]
    assert [event["detail"]["confirmed_label"] for event in events] == [None, "hat"]


def test_nothing_is_announced_unless_it_is_asked_for(aws: Resources, services: Services, bucket: Bucket) -> None:
    bucket.put(KEY, photo())

    handle(s3_event(KEY), services)

    assert announced(aws) == []


def test_what_a_crash_kept_from_being_announced_is_announced_when_the_event_comes_again(
    aws: Resources, announcing: Services, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put(KEY, photo())
    with monkeypatch.context() as broken:
        broken.setattr("classifier.uploads.announce", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            handle(s3_event(KEY), announcing)

    handle(s3_event(KEY), announcing)

    assert [event["detail"]["label"] for event in announced(aws)] == ["t-shirt"]


def test_a_bus_that_does_not_take_an_event_is_tried_again(announcing: Services) -> None:
    class Events:
        def put_events(self, **_: Any) -> Any:
            return {"FailedEntryCount": 1}

    with pytest.raises(Busy):
        announce(News.CLASSIFIED, record(1), replace_parts(announcing, events=Events()))


@pytest.mark.parametrize(
    ("classification", "line"),
    [
        (record(1), "Photo Classified: listing-1/1.jpg: hat (90%)"),
        (record(5), "Photo Classified: listing-2/5.jpg: hat (90%), needs a look"),
        (record(1, confirmed_label="dress"), "Photo Classified: listing-1/1.jpg: dress, says its seller"),
    ],
)
def test_the_local_system_tells_each_in_a_line(classification: Any, line: str) -> None:
    assert told({"detail-type": "Photo Classified", "detail": classification.to_json()}) == line
