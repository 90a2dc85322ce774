"""Deletes photos and listings for good: no late event, retry or overtaken writer brings them back.

A tombstone is written before the object is deleted. A writer that read the photo before gets a conflict, begins again,
and finds the tombstone. An upload that is still on the way is deleted when its event comes.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from classifier.bucket import ObjectNotFound
from classifier.classification import Source
from classifier.confirmations import Precondition, find_photo_ids
from classifier.errors import NotFound
from classifier.eventbridge import EventType, publish
from classifier.keys import batch_of, is_upload_key, object_key, photo_id_of
from classifier.listings import MAX_PHOTOS
from classifier.reconcile import DELETED_LIFETIME, delete_photo, find_pending, mark_removed, publish_if_finished
from classifier.records import Row
from classifier.services import Services
from classifier.telemetry import logger

# A restored table (docs/operations.md) has records of up to 35 days ago. The tombstone of a photo that has no object
# lasts longer, so that its record does not come back.
_REQUEST_LIFETIME = timedelta(days=36)


def delete_classification(photo_id: str, services: Services, precondition: Precondition | None = None) -> None:
    """Delete a photo and its record.

    Raise what `precondition` raises, `NotFound`, the AWS SDK's errors, and `Busy` if the record kept changing.
    """
    now = datetime.now(UTC)

    def delete(row: Row) -> None:
        known = row.classification
        if precondition:
            precondition(known or find_pending(row, services))
        if known and known.source is not Source.S3:
            mark_removed(row, now + _REQUEST_LIFETIME, now, services)
        elif known or not row.is_readable or _is_in_bucket(photo_id, services):
            delete_photo(row, now, services.bucket, services)
        else:
            raise NotFound.photo(photo_id)

    services.records.update(photo_id, delete)
    publish_if_finished(batch_of(photo_id), services)


def _is_in_bucket(photo_id: str, services: Services) -> bool:
    key = object_key(photo_id)
    if not is_upload_key(key):
        return False
    try:
        services.bucket.last_modified(key)
    except ObjectNotFound:
        return False
    return True


def delete_listing(batch_id: str, services: Services) -> None:
    """Delete all photos of a listing and their records. Raise what `delete_classification` raises.

    The listing's own row is written first, so that photos that arrive at the same time are deleted, too.
    """
    photo_ids, now = find_photo_ids(batch_id, services), datetime.now(UTC)
    if not photo_ids and not services.records.read_listing(batch_id).exists:
        raise NotFound.batch(batch_id)
    expires_at = now + DELETED_LIFETIME
    services.records.update_listing(
        batch_id, lambda seen: replace(seen, deleted_at=now, confirmation=None, unknown={}), expires_at
    )
    photo_ids |= find_photo_ids(batch_id, services)
    keys = [object_key(one) for one in photo_ids]
    while photo_ids or keys:
        services.map(
            lambda one: services.records.update(one, lambda row: mark_removed(row, expires_at, now, services)),
            sorted(photo_ids),
        )
        for start in range(0, len(keys), MAX_PHOTOS):
            services.bucket.delete(keys[start : start + MAX_PHOTOS])
        keys = services.bucket.list_keys(object_key(f"{batch_id}/"), MAX_PHOTOS)  # also what is not a photo
        photo_ids = {photo_id_of(key) for key in keys if is_upload_key(key)}
    logger.info("listing deleted", id=batch_id)
    publish(EventType.LISTING_REMOVED, {"batch_id": batch_id}, services)
