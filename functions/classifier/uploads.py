"""Events about objects in the bucket. Whatever their order, the record in the end is that of the newest object.

S3 delivers events at least once and in any order. So an event is only a hint that something happened to a key; the
bucket is the source of truth. For each event, `reconcile` does this:

1. It reads the row of the record (consistently).
2. It reads the object.
3. It writes the row, on the condition that the row is unchanged since step 1. If there is no object, it writes a
   tombstone. It writes even if there is nothing new.
4. If the condition fails, it begins again.

Why this is correct: if the write succeeds, nobody else wrote after step 1, so every earlier writer read the object
before this one did. So a record never goes back to an older object. This needs neither S3's `sequencer`, which
emulators do not send, nor version ids.
"""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

from classifier.bucket import Bucket, NotModified, ObjectNotFound, StoredObject
from classifier.classification import Classification, Source, Status
from classifier.classify import Origin, classify, make_failure
from classifier.errors import InternalError, InvalidRequest, NotFound, PhotoError
from classifier.eventbridge import EventType
from classifier.events import is_failed_event, is_s3_event, is_test_event
from classifier.keys import is_upload_key, object_key, photo_id_of
from classifier.records import Row
from classifier.results import save, save_new
from classifier.services import MAX_CALL_SECONDS, Services
from classifier.telemetry import Stopwatch, logger

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

_TOMBSTONE_LIFETIME = timedelta(days=1)  # a writer that saw the object lives for 15 minutes at most, Lambda's maximum
MAX_MESSAGE_MILLISECONDS = 3 * MAX_CALL_SECONDS * 1000  # reads the row, reads the object, writes the row
_INTERNAL_ERROR = InternalError(
    "The photo could not be classified through a fault of the service. Please upload it again."
)


def handle_s3_event(event: dict[str, Any], services: Services) -> dict[str, Any]:
    """Reconcile the record of each object that the event names. Return these records, for people who test by hand.

    One failure does not stop the others. The first error is raised in the end, so that Lambda retries the event.
    """
    records = _reconcile_all(event, services)
    return {"classifications": [record.to_json() for record in records if record]}


def handle_failed_event(event: dict[str, Any], services: Services) -> None:
    """Mark the photos of an event that Lambda gave up on as FAILED, unless their records are up to date."""
    payload = event["requestPayload"]
    if is_s3_event(payload):
        _reconcile_all(payload, services, final_attempt=True)
    else:
        logger.warning("An asynchronous event failed that names no object, so there is no record to mark.")


def handle_queue(
    event: dict[str, Any], context: "LambdaContext", services: Services
) -> dict[str, list[dict[str, str]]]:
    """Handle the S3 event or failed event in each message. Return the messages that SQS has to deliver again.

    These include messages for which no time is left: if the function timed out, SQS would deliver all of them again.
    """
    messages = event["Records"]
    successes = services.map(lambda message: _try_message(message, context, services), messages)
    failed = [message["messageId"] for message, success in zip(messages, successes, strict=True) if not success]
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}


def find_pending(photo_id: str, services: Services) -> Classification:
    """Return the PENDING classification of a photo that is in the bucket but has no record yet. Raise `NotFound`."""
    key = object_key(photo_id)
    if not is_upload_key(key):
        raise NotFound.photo(photo_id)
    try:
        created_at = services.bucket.last_modified(key)
    except ObjectNotFound as error:
        raise NotFound.photo(photo_id) from error
    return Classification(photo_id, Status.PENDING, Source.S3, created_at, scores={})


def reconcile(bucket: str, key: str, services: Services, *, final_attempt: bool = False) -> Classification | None:
    """Make the key's record that of the object that the bucket holds now, or a tombstone if it holds none.

    A `final_attempt` does not decode the photo. It marks it as FAILED, unless there is a record of this photo already.
    Return the record, or None for a tombstone. Raise the AWS SDK's errors, and `Busy` if the record kept changing.
    """
    photos = replace(services.bucket, name=bucket)
    return services.records.update(
        photo_id_of(key), lambda row: _reconcile_row(row, photos, services, final_attempt=final_attempt)
    )


def _reconcile_row(row: Row, bucket: Bucket, services: Services, *, final_attempt: bool) -> Classification | None:
    """Read the object, and write the row that follows from it. Raise `Conflict` if the row has changed."""
    known_etag = settled_etag(row, None if final_attempt else services.description.version)
    try:
        stored = bucket.open(object_key(row.id), known_etag)
    except NotModified:
        return _save_unchanged(row, services)
    except ObjectNotFound:
        services.records.mark_removed(row, datetime.now(UTC) + _TOMBSTONE_LIFETIME)
        logger.info("removed", id=row.id)
        return None
    with closing(stored.body):
        return _save_object(stored, row, services, final_attempt=final_attempt)


def _save_object(stored: StoredObject, row: Row, services: Services, *, final_attempt: bool) -> Classification:
    """Classify the object, or mark it as FAILED in a final attempt. Save the result."""
    stopwatch = Stopwatch()
    origin = Origin(row.id, Source.S3, stored.last_modified, stored.etag)
    if final_attempt:
        classification = make_failure(_INTERNAL_ERROR, stored.size, origin, services.description.version)
    else:
        classification = _classify_object(stored, origin, services, stopwatch)
    if not _is_same_photo(row, origin):
        row = row.without_photo()
    if row.classification:
        classification = replace(classification, confirmed_label=row.classification.confirmed_label)
    save_new(classification, row, services, stopwatch)
    return classification


def _save_unchanged(row: Row, services: Services) -> Classification | None:
    """Save the record as it is. This makes slower writers fail, and publishes if the first writer could not."""
    if row.classification:
        save(EventType.CLASSIFIED, row.classification, row, services)
        logger.info("unchanged", id=row.id)
    return row.classification


def _is_same_photo(row: Row, origin: Origin) -> bool:
    """Return whether the row is about this photo: it was announced, or the row has the photo's ETag."""
    known = row.classification
    return known is not None and (
        known.status is Status.PENDING or (known.image is not None and known.image.etag == origin.etag)
    )


def settled_etag(row: Row, model_version: str | None) -> str | None:
    """Return the ETag of the row's photo if this model version (None: any) would not change the record, else None."""
    known = row.classification
    if known is None or known.status is Status.PENDING or known.image is None:
        return None
    if known.failure and known.failure.code == InternalError.code:
        return None  # the fault may be over
    return known.image.etag if model_version in {None, known.model_version} else None


def _classify_object(stored: StoredObject, origin: Origin, services: Services, stopwatch: Stopwatch) -> Classification:
    try:
        services.settings.limits.check_bytes(stored.size)
        with stopwatch.stage("fetch"):
            data = stored.body.read()
        return classify(data, origin, services, stopwatch)
    except PhotoError as error:
        return make_failure(error, stored.size, origin, services.description.version)


def _reconcile_all(
    event: dict[str, Any], services: Services, *, final_attempt: bool = False
) -> list[Classification | None]:
    def try_to_reconcile(place: tuple[str, str]) -> Classification | Exception | None:
        bucket, key = place
        try:
            return reconcile(bucket, key, services, final_attempt=final_attempt)
        except Exception as error:
            # Without the stack trace: the first error is raised, and whoever catches it logs that.
            logger.warning("An object could not be reconciled", id=photo_id_of(key), reason=repr(error))
            return error

    records = []
    for outcome in services.map(try_to_reconcile, list(_uploads(event))):
        if isinstance(outcome, Exception):
            raise outcome
        records.append(outcome)
    return records


def _uploads(event: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield bucket and key of each upload that the event names. Folders and other prefixes are skipped."""
    for record in event["Records"]:
        key = unquote_plus(record["s3"]["object"]["key"])
        if is_upload_key(key):
            yield record["s3"]["bucket"]["name"], key
        else:
            logger.info("Skipped an object that is not an upload", key=key)


def _try_message(message: dict[str, Any], context: "LambdaContext", services: Services) -> bool:
    """Handle a message. Return whether that succeeded."""
    if context.get_remaining_time_in_millis() < MAX_MESSAGE_MILLISECONDS:
        logger.warning("No time is left for a message", message_id=message["messageId"])
        return False
    try:
        _handle_message(message["body"], services)
    except Exception:
        logger.exception("A message failed", message_id=message["messageId"])
        return False
    return True


def _handle_message(body: str, services: Services) -> None:
    try:
        event = json.loads(body)
    except ValueError as error:
        raise InvalidRequest("The message is not JSON.") from error
    if is_s3_event(event):
        handle_s3_event(event, services)
    elif is_failed_event(event):
        handle_failed_event(event, services)
    elif not is_test_event(event):
        raise InvalidRequest("The message is neither an S3 event nor a failed one.")
