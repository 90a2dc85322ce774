"""Events about objects. Whatever their order, the record in the end is that of the newest object."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from classifier import bucket_events
from classifier.classification import Classification, Status
from classifier.errors import Busy
from classifier.indexes import Filter
from classifier.services import Services
from local.function import Context
from tests.support.api import handle
from tests.support.bucket import Bucket, S3Client, with_s3
from tests.support.drawings import photo
from tests.support.errors import client_error
from tests.support.events import failed_event, message, queue_event, s3_event
from tests.support.listings import said, shown
from tests.support.services import replace_parts

T_SHIRT, PANTS = photo("t-shirt"), photo("pants")
KEY, ID = "uploads/listing-42/front.jpg", "listing-42/front.jpg"
THROTTLED = client_error("SlowDown", 503)


def find(services: Services, identifier: str = ID) -> Classification | None:
    """Return the photo's record, or None."""
    return services.records.read(identifier).classification


def read(services: Services, identifier: str = ID) -> Classification:
    """Return the photo's record. Fail if there is none."""
    record = find(services, identifier)
    assert record is not None
    return record


def log_lines(caplog: pytest.LogCaptureFixture, text: str) -> list[dict[str, Any]]:
    """Return the fields of each logged line with this message."""
    return [vars(record) for record in caplog.records if record.message == text]


def remaining(milliseconds: int) -> Any:
    """Return Lambda's context for an invocation with so much time left."""

    class Frozen(Context):
        def get_remaining_time_in_millis(self) -> int:
            return milliseconds

    return Frozen()


def change_record(services: Services, **changes: Any) -> None:
    """Replace attributes of the photo's record."""
    services.records.write(replace(read(services), **changes), services.records.read(ID))


def test_an_upload_is_classified(services: Services, bucket: Bucket) -> None:
    bucket.put(KEY, T_SHIRT)

    bucket_events.handle_s3_event(s3_event(KEY), services)

    record = read(services)
    assert (record.status, record.label, record.needs_review) == (Status.SUCCEEDED, "t-shirt", False)
    assert record.model_version == services.model.description.version
    assert record.image is not None
    assert (record.image.format, record.image.width, record.image.bytes) == ("JPEG", 400, len(T_SHIRT))
    assert list(record.scores.values()) == sorted(record.scores.values(), reverse=True)


def test_every_object_of_an_event_is_classified(services: Services, bucket: Bucket) -> None:
    keys = [f"uploads/{number}.jpg" for number in range(3)]
    for key in keys:
        bucket.put(key, T_SHIRT)

    bucket_events.handle_s3_event(s3_event(*keys), services)

    assert [find(services, f"{number}.jpg") is not None for number in range(3)] == [True] * 3


@pytest.mark.parametrize("name", ["a b.jpg", "a+b.jpg", "é.jpg", "100%.jpg", "a%20b.jpg", "%2B.jpg", "日本/👕.jpg"])
def test_keys_are_decoded_once(services: Services, bucket: Bucket, name: str) -> None:
    bucket.put(f"uploads/{name}", T_SHIRT)

    bucket_events.handle_s3_event(s3_event(f"uploads/{name}"), services)

    assert find(services, name) is not None


@pytest.mark.parametrize("key", ["uploads/", "uploads/folder/", "other/photo.jpg"])
def test_folders_and_other_prefixes_are_skipped(
    services: Services, bucket: Bucket, caplog: pytest.LogCaptureFixture, key: str
) -> None:
    bucket.put(key, b"")

    bucket_events.handle_s3_event(s3_event(key), services)

    assert find(services, key.removeprefix("uploads/") or key) is None
    assert [line["key"] for line in log_lines(caplog, "Skipped an object that is not an upload")] == [key]


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
    """No error is raised, so the event is not retried."""
    bucket.put(KEY, data)

    bucket_events.handle_s3_event(s3_event(KEY), services)

    record = read(services)
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

    class UnreadableS3(S3Client):
        def get_object(self, **parameters: Any) -> Any:
            return super().get_object(**parameters) | {"Body": Unreadable()}

    bucket.put(KEY, bytes(26 * 1024 * 1024))

    bucket_events.handle_s3_event(s3_event(KEY), with_s3(services, UnreadableS3(bucket.client)))

    record = read(services)
    assert record.failure is not None
    assert record.failure.code == "image_too_large"


def test_an_overwritten_photo_gets_a_label_of_its_own(services: Services, bucket: Bucket) -> None:
    for data, label in ((T_SHIRT, "t-shirt"), (PANTS, "pants")):
        bucket.put(KEY, data)
        bucket_events.handle_s3_event(s3_event(KEY), services)
        assert read(services).label == label


def test_a_duplicate_changes_nothing(services: Services, bucket: Bucket) -> None:
    bucket.put(KEY, T_SHIRT)
    bucket_events.handle_s3_event(s3_event(KEY), services)
    before = find(services)

    bucket_events.handle_s3_event(s3_event(KEY), services)

    assert find(services) == before


def test_a_duplicate_is_not_classified_again(
    services: Services, bucket: Bucket, caplog: pytest.LogCaptureFixture
) -> None:
    bucket.put(KEY, T_SHIRT)
    bucket_events.handle_s3_event(s3_event(KEY), services)
    before = read(services)

    answer = bucket_events.handle_s3_event(s3_event(KEY), replace_parts(services, model=None))

    assert answer == {"classifications": [shown(before, services)]}
    assert [line["id"] for line in log_lines(caplog, "unchanged")] == [ID]


def test_a_removed_photo_has_no_record(services: Services, bucket: Bucket) -> None:
    bucket.put(KEY, T_SHIRT)
    bucket_events.handle_s3_event(s3_event(KEY), services)
    bucket.delete(KEY)

    bucket_events.handle_s3_event(s3_event(KEY, name="ObjectRemoved:Delete"), services)

    assert find(services) is None


def test_a_late_event_does_not_restore_a_removed_photo(services: Services) -> None:
    """It does not fail, either."""
    bucket_events.handle_s3_event(s3_event(KEY, name="ObjectRemoved:Delete"), services)

    bucket_events.handle_s3_event(s3_event(KEY), services)

    assert find(services) is None


def test_a_late_removal_does_not_remove_a_photo_that_was_uploaded_again(services: Services, bucket: Bucket) -> None:
    bucket.put(KEY, T_SHIRT)
    bucket_events.handle_s3_event(s3_event(KEY), services)

    bucket_events.handle_s3_event(s3_event(KEY, name="ObjectRemoved:Delete"), services)

    record = read(services)
    assert record.label == "t-shirt"


def test_the_record_is_of_the_photo_that_overwrote_another_during_its_classification(
    services: Services, bucket: Bucket
) -> None:
    """The writer that read the old photo gets a conflict, and reads again."""

    def overwrite() -> None:
        bucket.put(KEY, PANTS)
        bucket_events.handle_s3_event(s3_event(KEY), services)

    bucket.put(KEY, T_SHIRT)
    bucket_events.handle_s3_event(s3_event(KEY), with_s3(services, S3Client(bucket.client, afterwards=overwrite)))

    record = read(services)
    assert record.label == "pants"


def test_a_photo_that_is_removed_during_its_classification_stays_removed(services: Services, bucket: Bucket) -> None:
    """There was no row when it was removed, so only the tombstone makes the other writer conflict."""

    def remove() -> None:
        bucket.delete(KEY)
        bucket_events.handle_s3_event(s3_event(KEY, name="ObjectRemoved:Delete"), services)

    bucket.put(KEY, T_SHIRT)
    bucket_events.handle_s3_event(s3_event(KEY), with_s3(services, S3Client(bucket.client, afterwards=remove)))

    assert find(services) is None


def test_the_record_is_of_the_photo_that_was_restored_during_the_classification_of_another(
    services: Services, bucket: Bucket
) -> None:
    """A → B → A: the event of the second A finds the record of A, and still makes the writer of B conflict."""

    def restore() -> None:
        bucket.put(KEY, T_SHIRT)
        bucket_events.handle_s3_event(s3_event(KEY), services)

    bucket.put(KEY, T_SHIRT)
    bucket_events.handle_s3_event(s3_event(KEY), services)
    bucket.put(KEY, PANTS)
    bucket_events.handle_s3_event(s3_event(KEY), with_s3(services, S3Client(bucket.client, afterwards=restore)))

    record = read(services)
    assert record.label == "t-shirt"


def test_an_event_fails_if_its_record_keeps_changing(services: Services, bucket: Bucket) -> None:
    class RacingS3(S3Client):
        def get_object(self, **parameters: Any) -> Any:
            answer = super().get_object(**parameters)
            row = services.records.read(ID)
            services.records.mark_removed(row, answer["LastModified"] + timedelta(days=9999))
            return answer

    bucket.put(KEY, T_SHIRT)
    with pytest.raises(Busy):
        bucket_events.handle_s3_event(s3_event(KEY), with_s3(services, RacingS3(bucket.client)))


def test_a_newer_model_classifies_again(services: Services, bucket: Bucket) -> None:
    bucket.put(KEY, T_SHIRT)
    bucket_events.handle_s3_event(s3_event(KEY), services)
    change_record(services, model_version="older", confirmation=said("hat"))

    bucket_events.handle_s3_event(s3_event(KEY), services)

    record = read(services)
    assert record.model_version == services.model.description.version
    assert record.confirmation == said("hat"), "the seller confirmed this photo"


def test_a_confirmation_of_the_old_photo_does_not_hold_for_the_new_one(services: Services, bucket: Bucket) -> None:
    bucket.put(KEY, T_SHIRT)
    bucket_events.handle_s3_event(s3_event(KEY), services)
    change_record(services, confirmation=said("hat"))
    bucket.put(KEY, PANTS)

    bucket_events.handle_s3_event(s3_event(KEY), services)

    record = read(services)
    assert record.confirmation is None


@pytest.mark.parametrize("error", [THROTTLED, ReadTimeoutError(endpoint_url="https://s3")])
def test_a_transient_fault_is_raised_so_that_lambda_retries(
    services: Services, bucket: Bucket, error: Exception
) -> None:
    bucket.put(KEY, T_SHIRT)

    with pytest.raises(type(error)):
        bucket_events.handle_s3_event(s3_event(KEY), with_s3(services, S3Client(bucket.client, error)))

    assert find(services) is None


@pytest.mark.parametrize("code", ["NoSuchBucket", "404"], ids=["the bucket is gone", "the answer has no code"])
def test_a_record_is_kept_if_something_else_than_the_object_is_missing(
    services: Services, bucket: Bucket, code: str
) -> None:
    bucket.put(KEY, T_SHIRT)
    bucket_events.handle_s3_event(s3_event(KEY), services)
    missing = client_error(code, 404)

    with pytest.raises(ClientError):
        bucket_events.handle_s3_event(s3_event(KEY), with_s3(services, S3Client(bucket.client, missing)))

    assert find(services) is not None


def test_an_object_that_fails_is_logged_and_does_not_stop_the_others(
    services: Services, bucket: Bucket, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("bad", "good"):
        bucket.put(f"uploads/{name}.jpg", T_SHIRT)
    broken = with_s3(services, S3Client(bucket.client, THROTTLED, failing="bad"))

    with pytest.raises(ClientError):
        bucket_events.handle_s3_event(s3_event("uploads/bad.jpg", "uploads/good.jpg"), broken)

    assert find(services, "good.jpg") is not None
    (line,) = log_lines(caplog, "An object could not be reconciled")
    assert (line["id"], line["reason"]) == ("bad.jpg", repr(THROTTLED))


def test_a_failed_event_marks_its_photo_as_failed(services: Services, bucket: Bucket) -> None:
    bucket.put(KEY, T_SHIRT)

    bucket_events.handle_failed_event(failed_event(KEY), services)

    record = read(services)
    assert record.failure is not None
    assert (record.status, record.failure.code) == (Status.FAILED, "internal_error")
    assert record.model_version == services.description.version


def test_a_failed_event_does_not_change_the_record_of_a_classified_photo(services: Services, bucket: Bucket) -> None:
    bucket.put(KEY, T_SHIRT)
    bucket_events.handle_s3_event(s3_event(KEY), services)

    bucket_events.handle_failed_event(failed_event(KEY), services)

    record = read(services)
    assert record.status is Status.SUCCEEDED


def test_a_failed_event_keeps_the_result_of_an_older_model(services: Services, bucket: Bucket) -> None:
    bucket.put(KEY, T_SHIRT)
    bucket_events.handle_s3_event(s3_event(KEY), services)
    change_record(services, model_version="older")

    bucket_events.handle_failed_event(failed_event(KEY), services)

    record = read(services)
    assert (record.label, record.model_version) == ("t-shirt", "older")


def test_a_failed_event_about_a_removed_photo_leaves_it_removed(services: Services, bucket: Bucket) -> None:
    bucket_events.handle_failed_event(failed_event(KEY), services)

    assert find(services) is None


def test_another_event_classifies_a_photo_that_failed_by_an_internal_error(services: Services, bucket: Bucket) -> None:
    bucket.put(KEY, T_SHIRT)
    bucket_events.handle_failed_event(failed_event(KEY), services)

    bucket_events.handle_s3_event(s3_event(KEY), services)

    record = read(services)
    assert record.label == "t-shirt"


def test_a_failed_event_that_names_no_object_writes_nothing(
    services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    bucket_events.handle_failed_event(failed_event() | {"requestPayload": {"url": "https://example.com"}}, services)

    assert services.records.page(Filter(), 10).classifications == []
    assert "names no object" in caplog.text


def test_a_queue_delivers_again_only_the_messages_that_failed(
    services: Services, bucket: Bucket, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("bad", "good"):
        bucket.put(f"uploads/{name}.jpg", T_SHIRT)
    broken = with_s3(services, S3Client(bucket.client, THROTTLED, failing="bad"))
    event = queue_event(
        message(s3_event("uploads/good.jpg"), "good"),
        message(s3_event("uploads/bad.jpg"), "bad"),
        message({"Event": "s3:TestEvent"}, "test"),
        message("not JSON", "garbage"),
        message({"some": "thing"}, "unknown"),
        message(failed_event("uploads/good.jpg"), "failed"),
    )

    answer = handle(event, broken)

    assert answer == {"batchItemFailures": [{"itemIdentifier": name} for name in ("bad", "garbage", "unknown")]}
    failures = {line["message_id"]: str(line["exc_info"][1]) for line in log_lines(caplog, "A message failed")}
    assert failures.keys() == {"bad", "garbage", "unknown"}
    assert failures["garbage"].startswith("Expecting value")
    assert "This function answers" in failures["unknown"]
    record = read(services, "good.jpg")
    assert record.status is Status.SUCCEEDED


def test_a_queue_delivers_again_a_message_for_which_no_time_is_left(
    services: Services, bucket: Bucket, caplog: pytest.LogCaptureFixture
) -> None:
    """If the function timed out during a message, SQS would deliver the handled ones again too."""
    bucket.put(KEY, T_SHIRT)
    event = queue_event(message(s3_event(KEY)))

    answer = bucket_events.handle_queue(event, remaining(49_999), services)

    assert answer == {"batchItemFailures": [{"itemIdentifier": "1"}]}
    assert find(services) is None
    assert [line["message_id"] for line in log_lines(caplog, "No time is left for a message")] == ["1"]
    assert bucket_events.handle_queue(event, remaining(50_000), services) == {"batchItemFailures": []}
