"""What people say about labels: sellers and the shop agree with the model, correct it, or take their answer back."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from classifier.batches import judge
from classifier.classification import Classification, Confirmation, Person
from classifier.errors import CHANGED, NotFound, PreconditionFailed
from classifier.eventbridge import EventType, publish
from classifier.keys import is_possible_batch, is_upload_key, object_key, photo_id_of
from classifier.listings import MAX_PHOTOS, describe_listing, kept_until, read_photos
from classifier.reconcile import find_pending, follow_listing, follow_row
from classifier.records import Listing, Row
from classifier.results import save
from classifier.services import Services
from classifier.telemetry import count_sellers_answer, logger

# How long a confirmation is kept if the photo's event does not come. Lambda keeps an event for six hours.
_LIFETIME_WITHOUT_EVENT = timedelta(days=1)


Precondition = Callable[[Classification], None]  # gets what a request would change, and may raise


def confirm(
    photo_id: str, label: str | None, by: Person, services: Services, precondition: Precondition | None = None
) -> Classification:
    """Store what a person said about a photo, and publish that. Return the classification with it.

    `label` is None if the photo shows none of the labels. Raise what `precondition` raises, `NotFound`, the AWS SDK's
    errors, and `Busy` if the record kept changing.
    """
    classification = _say(photo_id, Confirmation(label, by, datetime.now(UTC)), services, precondition)
    logger.info("confirmed", id=photo_id, label=label)
    if by is Person.SELLER and classification.label:
        count_sellers_answer(agrees=label == classification.label)
    return classification


def take_back(photo_id: str, services: Services, precondition: Precondition | None = None) -> Classification:
    """Remove what was said about a photo. What was said about its listing holds again. Raise what `confirm` raises."""
    classification = _say(photo_id, None, services, precondition)
    logger.info("taken back", id=photo_id)
    return follow_listing(classification, services.bucket, services) or classification


def _say(
    photo_id: str, confirmation: Confirmation | None, services: Services, precondition: Precondition | None
) -> Classification:
    def save_confirmation(row: Row) -> Classification:
        known, expires_at = row.classification, row.expires_at
        if known is None:
            known, expires_at = find_pending(row, services), datetime.now(UTC) + _LIFETIME_WITHOUT_EVENT
        if precondition:
            precondition(known)
        classification = replace(known, confirmation=confirmation)
        save(EventType.CONFIRMED, classification, row, services, expires_at)
        return classification

    return services.records.update(photo_id, save_confirmation)


def confirm_listing(
    batch_id: str, label: str | None, by: Person, services: Services, seen: Listing | None = None
) -> None:
    """Store what a person said about a whole listing, for all of its photos. Raise what `confirm` raises.

    `seen`: raise `PreconditionFailed` if the listing's row is not as it was then.
    """
    photos = _say_of_listing(batch_id, Confirmation(label, by, datetime.now(UTC)), services, seen)
    logger.info("listing confirmed", id=batch_id, label=label)
    models_label = judge([replace(photo, confirmation=None) for photo in photos], None, 0).label
    if by is Person.SELLER and models_label:
        count_sellers_answer(agrees=label == models_label)


def take_back_listing(batch_id: str, services: Services, seen: Listing | None = None) -> None:
    """Remove what was said about a whole listing. What was said about single photos holds.

    Raise what `confirm_listing` raises.
    """
    _say_of_listing(batch_id, None, services, seen)
    logger.info("listing taken back", id=batch_id)


def _say_of_listing(
    batch_id: str, confirmation: Confirmation | None, services: Services, seen: Listing | None
) -> list[Classification]:
    """Store and publish it. Return the listing's photos.

    The listing's own row is written first. If this ends before all photos follow it, the next call goes on.
    """
    if not find_photo_ids(batch_id, services):
        raise NotFound.batch(batch_id)

    def say(listing: Listing) -> Listing:
        if seen and seen.revision != listing.revision:
            raise PreconditionFailed(CHANGED)
        return replace(listing, confirmation=confirmation)

    services.records.update_listing(batch_id, say, kept_until(services))
    services.map(
        lambda one: services.records.update(one, lambda row: follow_row(row, services.bucket, services)),
        sorted(find_photo_ids(batch_id, services)),  # again: some may have arrived in the meantime
    )
    photos = read_photos(batch_id, services)
    content = describe_listing(services.records.read_listing(batch_id), photos, services)
    publish(EventType.LISTING_CONFIRMED, content, services)
    return photos


def find_photo_ids(batch_id: str, services: Services) -> set[str]:
    """Return the ids of a listing's photos: those in the bucket, whose list is up to date, and those announced."""
    if not is_possible_batch(batch_id):
        return set()
    keys = services.bucket.list_keys(object_key(f"{batch_id}/"), MAX_PHOTOS)
    uploaded = {photo_id_of(key) for key in keys if is_upload_key(key)}
    return uploaded | {photo.id for photo in read_photos(batch_id, services)}
