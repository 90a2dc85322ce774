"""Events about objects in the bucket: from S3, from the queues, and those that Lambda gave up on."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

from classifier.classification import Classification
from classifier.clients import MAX_CALL_SECONDS
from classifier.decoders import MAX_SECONDS
from classifier.errors import InvalidRequest
from classifier.events import KNOWN_EVENTS, is_failed_event, is_s3_event, is_test_event
from classifier.keys import is_upload_key, photo_id_of
from classifier.reconcile import reconcile
from classifier.services import Services
from classifier.telemetry import logger

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

# Reads the row, reads the object, decodes it, writes the row.
MAX_MESSAGE_MILLISECONDS = (3 * MAX_CALL_SECONDS + MAX_SECONDS) * 1000


def handle_bucket_event(event: Any, services: Services) -> dict[str, Any] | None:
    """Handle an S3 event, an S3 test event, or an event that Lambda gave up on.

    Raise `InvalidRequest` for anything else, and the errors of the handlers.
    """
    if is_s3_event(event):
        return handle_s3_event(event, services)
    if is_failed_event(event):
        handle_failed_event(event, services)
    elif not is_test_event(event):
        raise InvalidRequest(KNOWN_EVENTS)
    return None


def handle_s3_event(event: dict[str, Any], services: Services) -> dict[str, Any]:
    """Reconcile the record of each object that the event names. Return these records, for people who test by hand.

    One failure does not stop the others. The first error is raised in the end, so that Lambda retries the event.
    """
    records = _reconcile_all(event, services)
    return {"classifications": [record.to_json(services.description.categories) for record in records if record]}


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
        handle_bucket_event(json.loads(message["body"]), services)
    except Exception:
        logger.exception("A message failed", message_id=message["messageId"])
        return False
    return True
