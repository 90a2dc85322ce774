"""Keeps records and bucket equal. Whatever the order of events, a record in the end is that of the newest object.

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

Photos are the same if their bytes have the same SHA-256: two photos can be made that have one MD5, and so one ETag.
"""

import hashlib
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from classifier.bucket import Bucket, ObjectNotFound, StoredObject
from classifier.classification import Classification, Source, Status
from classifier.classify import Origin, classify, make_failure
from classifier.errors import Busy, ClassifierError, InternalError, NotFound, PhotoError
from classifier.eventbridge import EventType
from classifier.keys import is_upload_key, object_key, photo_id_of
from classifier.records import Row
from classifier.results import save, save_new
from classifier.services import Services
from classifier.telemetry import Stopwatch, logger

_TOMBSTONE_LIFETIME = timedelta(days=1)  # a writer that saw the object lives for 15 minutes at most, Lambda's maximum
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
    return Classification(row.id, Status.PENDING, Source.S3, created_at, scores={})


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
    try:
        stored = bucket.open(object_key(row.id))
    except ObjectNotFound:
        services.records.mark_removed(row, datetime.now(UTC) + _TOMBSTONE_LIFETIME)
        logger.info("removed", id=row.id)
        return None
    with closing(stored.body):
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
        classification = replace(classification, confirmed_label=known.confirmed_label)
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
