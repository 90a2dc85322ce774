"""Events about objects in the bucket: whatever their order, the record in the end is that of the newest object.

S3 delivers events at least once and in any order, so an event is taken only as word that something happened to a key.
What counts is what the bucket holds: `synchronise` reads the record's row, then the object, then writes under the
condition that the row is unchanged. If that write succeeds, nobody wrote between the two readings of the row, so
every earlier writer had seen the bucket before this one did; records only ever move forward. That holds because every
synchronisation writes, even one that finds nothing new, and leaves a tombstone where there is no object.
It needs no sequencers, which emulators lack, and no version ids; S3 and DynamoDB both read their own writes.
"""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import ClientError

from classifier.announcements import News, announce
from classifier.classify import Origin, classify, failed
from classifier.errors import InternalError, InvalidRequest, NotFound, PhotoError
from classifier.events import is_failed_event, is_s3_event, is_test_event
from classifier.records import Classification, Row, Source, Status
from classifier.services import Services
from classifier.telemetry import Stopwatch, logger, report

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef

PREFIX = "uploads/"
_TOMBSTONE_LIFE = timedelta(days=1)  # a writer who saw the object lives for 15 minutes at most, Lambda's longest run
_LONGEST_MESSAGE = 30_000  # milliseconds; its three calls to AWS take 22 seconds where all their tries hang
_INTERNAL_ERROR = InternalError(
    "The photo could not be classified through a fault of the service. Please upload it again."
)


def handle_s3_event(event: dict[str, Any], services: Services) -> dict[str, Any]:
    """Bring the record of each object that the event names up to date; answers those records, for whoever tries it.

    One that fails does not keep the others from being done; the first error is raised in the end, so that Lambda
    delivers the event again.
    """
    records = _synchronise_all(event, services)
    return {"classifications": [record.to_json() for record in records if record]}


def handle_failed_event(event: dict[str, Any], services: Services) -> None:
    """Say of each object of an event that Lambda gave up on that it FAILED, unless its record is up to date."""
    payload = event["requestPayload"]
    if is_s3_event(payload):
        _synchronise_all(payload, services, giving_up=True)
    else:
        logger.warning("An asynchronous event failed that is about no object; there is no record to mark.")


def handle_queue(event: dict[str, Any], context: LambdaContext, services: Services) -> dict[str, list[dict[str, str]]]:
    """Handle each message's S3 event or failed event; answers which messages the queue has to deliver again.

    Among these are those that there is no time left for: were the function stopped at one, all would come again.
    """
    messages = event["Records"]
    handled = services.each(lambda message: _is_handled(message, context, services), messages)
    failed = [message["messageId"] for message, is_handled in zip(messages, handled, strict=True) if not is_handled]
    return {"batchItemFailures": [{"itemIdentifier": identifier} for identifier in failed]}


def is_upload(key: str) -> bool:
    """Tell the key of a photo from those of folders, and from what others may keep in the bucket."""
    return key.startswith(PREFIX) and not key.endswith("/")


def awaited(identifier: str, services: Services) -> Classification:
    """The classification of a photo that lies in the bucket and whose event is still on its way; or `NotFound`."""
    key = PREFIX + identifier
    if not is_upload(key):
        raise unknown(identifier)
    try:
        head = services.s3.head_object(Bucket=services.settings.bucket, Key=key)
    except ClientError as error:
        if error.response["Error"]["Code"] == "404":
            raise unknown(identifier) from error
        raise
    return Classification(identifier, Status.PENDING, Source.S3, created_at=head["LastModified"], scores={})


def unknown(identifier: str) -> NotFound:
    """What to say of an id that is no photo's."""
    return NotFound(f"There is no photo {identifier!r}.")


def synchronise(bucket: str, key: str, services: Services, *, giving_up: bool = False) -> Classification | None:
    """Make the key's record that of the object that the bucket holds now, or a tombstone if it holds none.

    Who is `giving_up` has the object marked as FAILED if nothing is known of it, without looking at its bytes.
    Answers the record, None for a tombstone. Raises botocore's errors, and `Busy` where the record kept changing.
    """
    return services.records.update(
        key.removeprefix(PREFIX), lambda row: _synchronise_row(row, bucket, key, services, giving_up=giving_up)
    )


def _synchronise_row(row: Row, bucket: str, key: str, services: Services, *, giving_up: bool) -> Classification | None:
    """One compare-and-swap: see the object, write the row that follows from it; raises `Conflict` if it changed."""
    stopwatch = Stopwatch()
    etag = _settled_etag(row, None if giving_up else services.description.version)
    try:
        condition: dict[str, Any] = {"IfNoneMatch": f'"{etag}"'} if etag else {}
        answer = services.s3.get_object(Bucket=bucket, Key=key, **condition)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in {"304", "NotModified"} and row.classification:
            services.records.write(row.classification, replacing=row)
            announce(News.CLASSIFIED, row.classification, services)  # who wrote it may have ended before it could
            return row.classification
        if code == "NoSuchKey":  # not any 404, which a missing bucket has too
            services.records.mark_removed(row, datetime.now(UTC) + _TOMBSTONE_LIFE)
            logger.info("removed", id=row.id)
            return None
        raise
    with closing(answer["Body"]):
        origin = Origin(row.id, Source.S3, answer["LastModified"], answer["ETag"].strip('"'))
        if giving_up:
            classification = failed(_INTERNAL_ERROR, answer["ContentLength"], origin, services.description.version)
        else:
            classification = _classify_object(answer, origin, services, stopwatch)
    if row.classification and _is_of(row.classification, origin):
        classification = replace(classification, confirmed_label=row.classification.confirmed_label)
    with stopwatch.stage("store"):
        services.records.write(classification, replacing=row)
        announce(News.CLASSIFIED, classification, services)
    report(classification, stopwatch)
    return classification


def _is_of(known: Classification, origin: Origin) -> bool:
    """Whether what is known is of this photo: it was announced, or has been looked at before."""
    return known.status is Status.PENDING or (known.image is not None and known.image.etag == origin.etag)


def _settled_etag(row: Row, model_version: str | None) -> str | None:
    """The ETag of the object that the row speaks of, if the model of that version, or any, has no more to say of it."""
    known = row.classification
    if known is None or known.status is Status.PENDING or known.image is None:
        return None
    if known.failure and known.failure.code == InternalError.code:
        return None  # a fault of ours may be over
    return known.image.etag if model_version in {None, known.model_version} else None


def _classify_object(
    answer: "GetObjectOutputTypeDef", origin: Origin, services: Services, stopwatch: Stopwatch
) -> Classification:
    size = answer["ContentLength"]
    try:
        services.settings.limits.check_bytes(size)
        with stopwatch.stage("fetch"):
            data = answer["Body"].read()
        return classify(data, origin, services, stopwatch)
    except PhotoError as error:
        return failed(error, size, origin, services.description.version)


def _synchronise_all(
    event: dict[str, Any], services: Services, *, giving_up: bool = False
) -> list[Classification | None]:
    def try_to_synchronise(place: tuple[str, str]) -> Classification | Exception | None:
        bucket, key = place
        try:
            return synchronise(bucket, key, services, giving_up=giving_up)
        except Exception as error:
            # Without its traceback: the first is raised, and whoever catches it logs that.
            logger.warning("An object could not be synchronised", id=key.removeprefix(PREFIX), reason=repr(error))
            return error

    records = []
    for outcome in services.each(try_to_synchronise, list(_objects(event))):
        if isinstance(outcome, Exception):
            raise outcome
        records.append(outcome)
    return records


def _objects(event: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Bucket and key of each upload that the event names; folders and other prefixes are none of ours."""
    for record in event["Records"]:
        key = unquote_plus(record["s3"]["object"]["key"])
        if is_upload(key):
            yield record["s3"]["bucket"]["name"], key
        else:
            logger.info("Skipped an object that is no upload", key=key)


def _is_handled(message: dict[str, Any], context: LambdaContext, services: Services) -> bool:
    if context.get_remaining_time_in_millis() < _LONGEST_MESSAGE:
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
