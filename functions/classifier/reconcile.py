"""Keeps records and bucket equal. Whatever the order of events, a record in the end is that of the newest object.

S3 delivers events at least once and in any order. So an event is only a hint that something happened to a key; the
bucket is the source of truth. For each event, `reconcile` does this:

1. It reads the row of the record (consistently).
2. It reads the object.
3. It writes the row, on the condition that the row is unchanged since step 1. If there is no object, it writes a
   tombstone. It writes even if there is nothing new.
4. If the condition fails, it begins again.
5. It reads the row of the photo's listing. If somebody has confirmed or deleted the listing, or taken that back, it
   does the same to the photo. Whoever does this to a listing writes that row first, and then looks for the photos in
   the bucket: so a photo that arrives at the same time is found by one of the two.

Why this is correct: if the write succeeds, nobody else wrote after step 1, so every earlier writer read the object
before this one did. So a record never goes back to an older object. This needs neither S3's `sequencer`, which
emulators do not send, nor version ids.

An object under an id that somebody has deleted is deleted, too, if its upload may have been on the way.

Photos are the same if their bytes have the same SHA-256: two photos can be made that have one MD5, and so one ETag.
"""

import hashlib
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from classifier.batches import count
from classifier.bucket import Bucket, ObjectNotFound, StoredObject
from classifier.classification import Classification, Source, Status
from classifier.classify import Origin, classify, make_failure
from classifier.errors import Busy, ClassifierError, InternalError, NotFound, PhotoError
from classifier.eventbridge import EventType, publish
from classifier.indexes import Filter
from classifier.keys import batch_of, is_upload_key, object_key, photo_id_of
from classifier.listings import describe_listing, read_photos, uploaded_at, was_on_the_way
from classifier.records import Row
from classifier.results import save, save_new
from classifier.services import Services
from classifier.telemetry import Stopwatch, logger

_TOMBSTONE_LIFETIME = timedelta(days=1)  # a writer that saw the object lives for 15 minutes at most, Lambda's maximum
# The event of an upload that was on the way when its photo was deleted can come late: after 6 hours in Lambda and 14
# days in the failure queue.
DELETED_LIFETIME = timedelta(days=15)
_FEW_PHOTOS = 10
_INTERNAL_ERROR = InternalError(
    "The photo could not be classified through a fault of the service. Please upload it again."
)


def find_pending(row: Row, services: Services) -> Classification:
    """Return the PENDING classification of a photo that is in the bucket but has no record yet.

    Raise `NotFound`, and `Busy` if it has a record that this version of the code cannot read: another version can.
    """
    if not row.is_readable:
        raise Busy("This version of the service cannot read the photo's record; try again in a moment.")
    key = object_key(row.id)
    if not is_upload_key(key):
        raise NotFound.photo(row.id)
    try:
        created_at = services.bucket.last_modified(key)
    except ObjectNotFound as error:
        raise NotFound.photo(row.id) from error
    batch_id = batch_of(row.id)
    deletions = [row.deleted_at, batch_id and services.records.read_listing(batch_id).deleted_at]
    if any(deleted_at and was_on_the_way(created_at, deleted_at) for deleted_at in deletions):
        raise NotFound.photo(row.id)
    return Classification(row.id, Status.PENDING, Source.S3, created_at, scores={})


def reconcile(bucket: str, key: str, services: Services, *, final_attempt: bool = False) -> Classification | None:
    """Make the key's record that of the object that the bucket holds now, or a tombstone if it holds none.

    A `final_attempt` does not decode the photo. It marks it as FAILED, unless there is a record of this photo already.
    Return the record, or None for a tombstone. Raise the AWS SDK's errors, and `Busy` if the record kept changing.
    """
    photos = replace(services.bucket, name=bucket)
    photo_id = photo_id_of(key)

    def reconcile_row(row: Row) -> Classification | None:
        return _reconcile_row(row, photos, services, final_attempt=final_attempt)

    classification = services.records.update(photo_id, reconcile_row)
    if classification:
        classification = follow_listing(classification, photos, services)
        if classification is None:  # whoever wrote the tombstone may have ended before the object was deleted
            classification = services.records.update(photo_id, reconcile_row)
    publish_if_finished(batch_of(photo_id), services)
    return classification


def publish_if_finished(batch_id: str | None, services: Services) -> None:
    """Publish the listing if none of its photos is pending. It costs reads, so only if events are published."""
    if batch_id is None or services.settings.event_bus is None:
        return
    newest = services.records.page(Filter(batch=batch_id), _FEW_PHOTOS).classifications
    if not newest or count(newest, Status.PENDING):  # as a rule, the newest photos are pending until the last one
        return
    photos = read_photos(batch_id, services)
    if count(photos, Status.PENDING) == 0:
        content = describe_listing(services.records.read_listing(batch_id), photos, services)
        publish(EventType.LISTING_FINISHED, content, services)


def mark_removed(row: Row, expires_at: datetime, deleted_at: datetime | None, services: Services) -> None:
    """Publish that the photo is gone, and store a tombstone. Raise `Conflict`, the AWS SDK's errors, and `Busy`.

    It is published first: after an error, whoever tries again finds the photo's record, and publishes again.
    """
    if row.classification:
        publish(EventType.REMOVED, {"id": row.id, "batch_id": row.classification.batch_id}, services)
    services.records.mark_removed(row, expires_at, deleted_at)


def follow_listing(classification: Classification, photos: Bucket, services: Services) -> Classification | None:
    """Do to a photo what a person did to its whole listing. Return its classification then."""
    if classification.batch_id is None:
        return classification
    listing, current = services.records.read_listing(classification.batch_id), classification.confirmation
    if not (listing.deleted_at or listing.confirmation or (current and current.of_listing)):
        return classification
    return services.records.update(classification.id, lambda row: follow_row(row, photos, services))


def follow_row(row: Row, photos: Bucket, services: Services) -> Classification | None:
    """Write the row of a photo that follows from its listing. What was said of the photo itself holds."""
    known = row.classification
    if known is None or known.batch_id is None:
        return known
    listing = services.records.read_listing(known.batch_id)
    if listing.deleted_at and was_on_the_way(uploaded_at(known), listing.deleted_at):
        delete_photo(row, listing.deleted_at, photos, services)
        return None
    current = known.confirmation
    confirmation = listing.confirmation and replace(listing.confirmation, of_listing=True)
    is_own = current is not None and not current.of_listing
    if is_own or confirmation == current or not listing.exists:
        return known
    classification = replace(known, confirmation=confirmation)
    save(EventType.CONFIRMED, classification, row, services, row.expires_at)
    return classification


def delete_photo(row: Row, deleted_at: datetime, photos: Bucket, services: Services) -> None:
    """Store a tombstone, then delete the object: an upload that is on the way finds the tombstone."""
    mark_removed(row, datetime.now(UTC) + DELETED_LIFETIME, deleted_at, services)
    photos.delete([object_key(row.id)])
    logger.info("deleted", id=row.id)


def _reconcile_row(row: Row, bucket: Bucket, services: Services, *, final_attempt: bool) -> Classification | None:
    """Read the object, and write the row that follows from it. Raise `Conflict` if the row has changed."""
    try:
        stored = bucket.open(object_key(row.id))
    except ObjectNotFound:
        lifetime = DELETED_LIFETIME if row.deleted_at else _TOMBSTONE_LIFETIME
        mark_removed(row, datetime.now(UTC) + lifetime, row.deleted_at, services)
        logger.info("removed", id=row.id)
        return None
    with closing(stored.body):
        if row.deleted_at and was_on_the_way(stored.last_modified, row.deleted_at):
            delete_photo(row, row.deleted_at, bucket, services)
            return None
        return _save_object(stored, row, services, final_attempt=final_attempt)


def _save_object(stored: StoredObject, row: Row, services: Services, *, final_attempt: bool) -> Classification:
    """Classify the object, or mark it as FAILED in a final attempt, unless its record is up to date. Save the row."""
    stopwatch = Stopwatch()
    content = _read(stored, services, stopwatch)
    sha256 = hashlib.sha256(content).hexdigest() if isinstance(content, bytes) else None
    origin = Origin(row.id, Source.S3, stored.last_modified, stored.etag, stored.last_modified, sha256)
    if not is_same_photo(row.classification, origin):
        row = row.without_photo()
    known = row.classification
    if known:  # the time of a record does not change: another place in the lists costs twice the writes
        origin = replace(origin, created_at=known.created_at)
    if known and is_settled(known, None if final_attempt else services.description.version):
        return _save_unchanged(known, row, services)
    if final_attempt and isinstance(content, bytes):
        content = _INTERNAL_ERROR
    classification = _classify_content(content, stored.size, origin, services, stopwatch)
    if known:
        classification = replace(classification, confirmation=known.confirmation)
    save_new(classification, row, services, stopwatch)
    return classification


def _read(stored: StoredObject, services: Services, stopwatch: Stopwatch) -> bytes | ClassifierError:
    """Return the object's bytes. An object that is too large is not read: return its error."""
    try:
        services.settings.limits.check_bytes(stored.size)
    except PhotoError as error:
        return error
    with stopwatch.stage("fetch"):
        return stored.body.read()


def is_same_photo(known: Classification | None, origin: Origin) -> bool:
    """Return whether the classification is about the object, or announced it.

    Their bytes decide. If one of them was not read, they are the same if they have the same ETag and time.
    """
    if known is None or known.status is Status.PENDING:
        return known is not None
    if known.image is None:
        return False
    if known.image.sha256 and origin.sha256:
        return known.image.sha256 == origin.sha256
    return (known.image.etag, known.image.modified_at) == (origin.etag, origin.modified_at)


def is_settled(known: Classification, model_version: str | None) -> bool:
    """Return whether this version of the model (None: any) would not change the classification of the same photo."""
    if known.failure and known.failure.code == InternalError.code:
        return False  # the fault may be over
    return known.status is not Status.PENDING and model_version in {None, known.model_version}


def _save_unchanged(known: Classification, row: Row, services: Services) -> Classification:
    """Save the record as it is. This makes slower writers fail, and publishes if the first writer could not."""
    save(EventType.CLASSIFIED, known, row, services)
    logger.info("unchanged", id=row.id)
    return known


def _classify_content(
    content: bytes | ClassifierError, size: int, origin: Origin, services: Services, stopwatch: Stopwatch
) -> Classification:
    """Classify the bytes. If that is impossible, or there is an error already, return a FAILED classification."""
    try:
        if isinstance(content, ClassifierError):
            raise content
        return classify(content, origin, services, stopwatch)
    except (PhotoError, InternalError) as error:
        return make_failure(error, size, origin, services.description.version)
