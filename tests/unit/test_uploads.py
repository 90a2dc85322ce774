"""Events about objects: whatever their order, the record in the end is that of the newest object."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from tests.support.events import s3_event
from classifier import uploads
from classifier.errors import Busy
from classifier.records import Classification, Status
from classifier.services import Services
from tests.support.bucket import Bucket
from tests.support.api import handle
from tests.support.services import replace_parts
from tests.support.drawings import photo
from local.aws import BUCKET
from local.function import Context

T_SHIRT, PANTS = photo("t-shirt"), photo("pants")
KEY, ID = "uploads/listing-42/front.jpg", "listing-42/front.jpg"


def failed_event(*keys: str) -> dict[str, Any]:
    return {
        "version": "1.0",
        "requestContext": {"condition": "RetriesExhausted", "approximateInvokeCount": 3},
        "requestPayload": s3_event(*keys),
    }


def message(body: object, identifier: str = "1") -> dict[str, Any]:
    text = body if isinstance(body, str) else json.dumps(body)
    return {"messageId": identifier, "eventSource": "aws:sqs", "body": text}


def known(services: Services, identifier: str = ID) -> Classification | None:
    return services.records.read(identifier).classification


@dataclass
class MeddledS3:
    """S3, to which somebody does something after the function's next reading of an object."""

    client: Any
    meddle: Callable[[], None] | None

    def get_object(self, **arguments: Any) -> Any:
        try:
            return self.client.get_object(**arguments)
        finally:
            if meddle := self.meddle:
                self.meddle = None
                meddle()


@dataclass
class BrokenS3:
    """S3 with a fault, for keys that hold `only`."""

    client: Any
    error: Exception
    only: str = ""

    def get_object(self, **arguments: Any) -> Any:
        if self.only in arguments["Key"]:
            raise self.error
        return self.client.get_object(**arguments)


THROTTLED = ClientError({"Error": {"Code": "SlowDown"}, "ResponseMetadata": {"HTTPStatusCode": 503}}, "GetObject")  # type: ignore[typeddict-item]


def test_an_upload_is_classified(services: Services, bucket: Bucket) -> None:
    bucket.put(KEY, T_SHIRT)

    uploads.handle_s3_event(s3_event(KEY), services)

    record = known(services)
    assert record is not None
    assert (record.status, record.label, record.needs_review) == (Status.SUCCEEDED, "t-shirt", False)
    assert record.model_version == services.model.description.version
    assert record.image is not None
    assert (record.image.format, record.image.width, record.image.bytes) == ("JPEG", 400, len(T_SHIRT))
    assert list(record.scores.values()) == sorted(record.scores.values(), reverse=True)


def test_every_record_of_an_event_is_handled(services: Services, bucket: Bucket) -> None:
    keys = [f"uploads/{number}.jpg" for number in range(3)]
    for key in keys:
        bucket.put(key, T_SHIRT)

    uploads.handle_s3_event(s3_event(*keys), services)

    assert [known(services, f"{number}.jpg") is not None for number in range(3)] == [True] * 3


@pytest.mark.parametrize("name", ["a b.jpg", "a+b.jpg", "é.jpg", "100%.jpg", "a%20b.jpg", "%2B.jpg", "日本/👕.jpg"])
def test_keys_are_decoded_once(services: Services, bucket: Bucket, name: str) -> None:
    bucket.put(f"uploads/{name}", T_SHIRT)

    uploads.handle_s3_event(s3_event(f"uploads/{name}"), services)

    assert known(services, name) is not None


@pytest.mark.parametrize("key", ["uploads/", "uploads/folder/", "other/photo.jpg"])
def test_folders_and_other_prefixes_are_skipped(services: Services, bucket: Bucket, key: str) -> None:
    bucket.put(key, b"")

    uploads.handle_s3_event(s3_event(key), services)

    assert known(services, key.removeprefix("uploads/") or key) is None


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"this is no photo", "unsupported_image"),
        (b"", "unreadable_image"),
        (T_SHIRT[:5000], "unreadable_image"),
        (b"\xff\xd8" + bytes(30_000_000), "image_too_large"),
    ],
    ids=["text", "empty", "truncated", "30 MB"],
)
def test_a_photo_that_can_never_be_classified_fails_at_once(
    services: Services, bucket: Bucket, data: bytes, code: str
) -> None:
    """No error is raised, so nothing retries it."""
    bucket.put(KEY, data)

    uploads.handle_s3_event(s3_event(KEY), services)

    record = known(services)
    assert record is not None
    assert record.failure is not None
    assert (record.status, record.failure.code, record.label) == (Status.FAILED, code, None)
    assert record.image is not None
    assert record.image.bytes == len(data)


def test_a_file_over_the_limit_is_not_fetched(services: Services, bucket: Bucket) -> None:
    class Unreadable:
        def read(self) -> bytes:
            pytest.fail("the body was read")

        def close(self) -> None:
            pass

    class S3:
        def get_object(self, **arguments: Any) -> Any:
            return bucket.client.get_object(**arguments) | {"Body": Unreadable()}

    bucket.put(KEY, bytes(26 * 1024 * 1024))

    uploads.handle_s3_event(s3_event(KEY), replace_parts(services, s3=S3()))

    record = known(services)
    assert record is not None
    assert record.failure is not None
    assert record.failure.code == "image_too_large"


def test_an_overwritten_photo_gets_its_own_label(services: Services, bucket: Bucket) -> None:
    for data, label in ((T_SHIRT, "t-shirt"), (PANTS, "pants")):
        bucket.put(KEY, data)
        uploads.handle_s3_event(s3_event(KEY), services)
        record = known(services)
        assert record is not None
        assert record.label == label


def test_a_duplicate_changes_nothing(services: Services, bucket: Bucket) -> None:
    bucket.put(KEY, T_SHIRT)
    uploads.handle_s3_event(s3_event(KEY), services)
    before = known(services)

    uploads.handle_s3_event(s3_event(KEY), services)

    assert known(services) == before


def test_a_duplicate_is_not_classified_again(services: Services, bucket: Bucket) -> None:
    """S3 answers that the object is unchanged; its bytes are not fetched."""
    bucket.put(KEY, T_SHIRT)
    uploads.handle_s3_event(s3_event(KEY), services)
    seen = []

    class S3:
        def get_object(self, **arguments: Any) -> Any:
            seen.append(arguments)
            return bucket.client.get_object(**arguments)

    uploads.handle_s3_event(s3_event(KEY), replace_parts(services, s3=S3()))

    assert [arguments["IfNoneMatch"].strip('"') for arguments in seen] == [
        bucket.client.head_object(Bucket=BUCKET, Key=KEY)["ETag"].strip('"')
    ]


def test_a_removed_photo_is_no_longer_shown(services: Services, bucket: Bucket) -> None:
    bucket.put(KEY, T_SHIRT)
    uploads.handle_s3_event(s3_event(KEY), services)
    bucket.delete(KEY)

    uploads.handle_s3_event(s3_event(KEY, name="ObjectRemoved:Delete"), services)

    assert known(services) is None


def test_no_late_event_brings_a_removed_photo_back(services: Services, bucket: Bucket) -> None:
    """Nor does it fail."""
    uploads.handle_s3_event(s3_event(KEY, name="ObjectRemoved:Delete"), services)

    uploads.handle_s3_event(s3_event(KEY), services)

    assert known(services) is None


def test_a_late_removal_does_not_hide_a_photo_that_was_uploaded_again(services: Services, bucket: Bucket) -> None:
    bucket.put(KEY, T_SHIRT)
    uploads.handle_s3_event(s3_event(KEY), services)

    uploads.handle_s3_event(s3_event(KEY, name="ObjectRemoved:Delete"), services)

    record = known(services)
    assert record is not None
    assert record.label == "t-shirt"


def test_a_photo_overwritten_while_the_old_one_is_classified_wins(services: Services, bucket: Bucket) -> None:
    """The slow writer saw the old photo, loses the race for the row, and looks again."""

    def overwrite() -> None:
        bucket.put(KEY, PANTS)
        uploads.handle_s3_event(s3_event(KEY), services)

    bucket.put(KEY, T_SHIRT)
    uploads.handle_s3_event(s3_event(KEY), replace_parts(services, s3=MeddledS3(bucket.client, overwrite)))

    record = known(services)
    assert record is not None
    assert record.label == "pants"


def test_a_photo_removed_while_it_is_classified_stays_removed(services: Services, bucket: Bucket) -> None:
    """Its row never existed when the removal came: the tombstone alone stops the slow writer."""

    def remove() -> None:
        bucket.delete(KEY)
        uploads.handle_s3_event(s3_event(KEY, name="ObjectRemoved:Delete"), services)

    bucket.put(KEY, T_SHIRT)
    uploads.handle_s3_event(s3_event(KEY), replace_parts(services, s3=MeddledS3(bucket.client, remove)))

    assert known(services) is None


def test_a_photo_that_came_back_while_another_was_classified_wins(services: Services, bucket: Bucket) -> None:
    """A → B → A: the event of the second A finds the record of A, and still stops the writer of B."""

    def restore() -> None:
        bucket.put(KEY, T_SHIRT)
        uploads.handle_s3_event(s3_event(KEY), services)

    bucket.put(KEY, T_SHIRT)
    uploads.handle_s3_event(s3_event(KEY), services)
    bucket.put(KEY, PANTS)
    uploads.handle_s3_event(s3_event(KEY), replace_parts(services, s3=MeddledS3(bucket.client, restore)))

    record = known(services)
    assert record is not None
    assert record.label == "t-shirt"


def test_a_record_that_keeps_changing_is_left_to_a_retry(services: Services, bucket: Bucket) -> None:
    class Restless:
        def get_object(self, **arguments: Any) -> Any:
            answer = bucket.client.get_object(**arguments)
            row = services.records.read(ID)
            services.records.mark_removed(row, answer["LastModified"] + timedelta(days=9999))
            return answer

    bucket.put(KEY, T_SHIRT)
    with pytest.raises(Busy):
        uploads.handle_s3_event(s3_event(KEY), replace_parts(services, s3=Restless()))


def test_a_newer_model_classifies_again(services: Services, bucket: Bucket) -> None:
    bucket.put(KEY, T_SHIRT)
    uploads.handle_s3_event(s3_event(KEY), services)
    row = services.records.read(ID)
    assert row.classification is not None
    services.records.write(replace(row.classification, model_version="older", confirmed_label="hat"), row)

    uploads.handle_s3_event(s3_event(KEY), services)

    record = known(services)
    assert record is not None
    assert record.model_version == services.model.description.version
    assert record.confirmed_label == "hat", "the seller spoke of this very photo"


def test_what_a_seller_said_of_the_old_photo_is_not_said_of_the_new(services: Services, bucket: Bucket) -> None:
    bucket.put(KEY, T_SHIRT)
    uploads.handle_s3_event(s3_event(KEY), services)
    row = services.records.read(ID)
    assert row.classification is not None
    services.records.write(replace(row.classification, confirmed_label="hat"), row)
    bucket.put(KEY, PANTS)

    uploads.handle_s3_event(s3_event(KEY), services)

    record = known(services)
    assert record is not None
    assert record.confirmed_label is None


@pytest.mark.parametrize("error", [THROTTLED, ReadTimeoutError(endpoint_url="https://s3")])
def test_what_may_pass_is_raised_so_that_lambda_retries(services: Services, bucket: Bucket, error: Exception) -> None:
    bucket.put(KEY, T_SHIRT)

    with pytest.raises(type(error)):
        uploads.handle_s3_event(s3_event(KEY), replace_parts(services, s3=BrokenS3(bucket.client, error)))

    assert known(services) is None


@pytest.mark.parametrize("code", ["NoSuchBucket", "404"], ids=["its bucket is gone", "and no more is known"])
def test_a_photo_is_not_taken_for_removed_because_something_else_is_missing(
    services: Services, bucket: Bucket, code: str
) -> None:
    bucket.put(KEY, T_SHIRT)
    uploads.handle_s3_event(s3_event(KEY), services)
    missing = ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": 404}}, "GetObject")  # type: ignore[typeddict-item]

    with pytest.raises(ClientError):
        uploads.handle_s3_event(s3_event(KEY), replace_parts(services, s3=BrokenS3(bucket.client, missing)))

    assert known(services) is not None


def test_one_object_that_fails_does_not_keep_the_others(services: Services, bucket: Bucket) -> None:
    for name in ("bad", "good"):
        bucket.put(f"uploads/{name}.jpg", T_SHIRT)
    broken = replace_parts(services, s3=BrokenS3(bucket.client, THROTTLED, only="bad"))

    with pytest.raises(ClientError):
        uploads.handle_s3_event(s3_event("uploads/bad.jpg", "uploads/good.jpg"), broken)

    assert known(services, "good.jpg") is not None


def test_an_event_that_lambda_gave_up_on_fails_its_photo(services: Services, bucket: Bucket) -> None:
    bucket.put(KEY, T_SHIRT)

    uploads.handle_failed_event(failed_event(KEY), services)

    record = known(services)
    assert record is not None
    assert record.failure is not None
    assert (record.status, record.failure.code) == (Status.FAILED, "internal_error")


def test_a_photo_that_was_classified_after_all_does_not_fail(services: Services, bucket: Bucket) -> None:
    bucket.put(KEY, T_SHIRT)
    uploads.handle_s3_event(s3_event(KEY), services)

    uploads.handle_failed_event(failed_event(KEY), services)

    record = known(services)
    assert record is not None
    assert record.status is Status.SUCCEEDED


def test_giving_up_on_a_newer_model_keeps_what_the_older_one_said(services: Services, bucket: Bucket) -> None:
    bucket.put(KEY, T_SHIRT)
    uploads.handle_s3_event(s3_event(KEY), services)
    row = services.records.read(ID)
    assert row.classification is not None
    services.records.write(replace(row.classification, model_version="older"), row)

    uploads.handle_failed_event(failed_event(KEY), services)

    record = known(services)
    assert record is not None
    assert (record.label, record.model_version) == ("t-shirt", "older")


def test_a_failed_event_about_a_removed_photo_leaves_it_removed(services: Services, bucket: Bucket) -> None:
    uploads.handle_failed_event(failed_event(KEY), services)

    assert known(services) is None


def test_another_event_for_a_photo_that_failed_through_our_fault_tries_again(
    services: Services, bucket: Bucket
) -> None:
    bucket.put(KEY, T_SHIRT)
    uploads.handle_failed_event(failed_event(KEY), services)

    uploads.handle_s3_event(s3_event(KEY), services)

    record = known(services)
    assert record is not None
    assert record.label == "t-shirt"


def test_a_failed_event_about_no_object_is_passed_over(services: Services) -> None:
    uploads.handle_failed_event(failed_event() | {"requestPayload": {"url": "https://example.com"}}, services)


def test_a_queue_delivers_again_what_failed_and_nothing_else(services: Services, bucket: Bucket) -> None:
    for name in ("bad", "good"):
        bucket.put(f"uploads/{name}.jpg", T_SHIRT)
    broken = replace_parts(services, s3=BrokenS3(bucket.client, THROTTLED, only="bad"))
    event = {
        "Records": [
            message(s3_event("uploads/good.jpg"), "good"),
            message(s3_event("uploads/bad.jpg"), "bad"),
            message({"Event": "s3:TestEvent"}, "test"),
            message("not JSON", "garbage"),
            message({"some": "thing"}, "unknown"),
            message(failed_event("uploads/good.jpg"), "failed"),
        ]
    }

    answer = handle(event, broken)

    assert answer == {"batchItemFailures": [{"itemIdentifier": name} for name in ("bad", "garbage", "unknown")]}
    record = known(services, "good.jpg")
    assert record is not None
    assert record.status is Status.SUCCEEDED


def test_a_queue_delivers_again_what_there_is_no_time_left_for(services: Services, bucket: Bucket) -> None:
    """Were the function stopped within a message, those that are done would come again too."""
    bucket.put(KEY, T_SHIRT)
    context: Any = Context(deadline=time.monotonic() + 29)

    answer = uploads.handle_queue({"Records": [message(s3_event(KEY))]}, context, services)

    assert answer == {"batchItemFailures": [{"itemIdentifier": "1"}]}
    assert known(services) is None
