"""A listing as the HTTP API and the events show it."""

from datetime import UTC, datetime, timedelta
from typing import Any

from classifier.batches import count, judge
from classifier.classification import Classification, Status
from classifier.indexes import Filter
from classifier.records import Listing
from classifier.services import Services

MAX_PHOTOS = 1000  # of a listing; an answer of Lambda may have 6 MB
FORM_LIFETIME = timedelta(hours=1)  # of the form of an upload
_SLOW_UPLOAD = timedelta(minutes=5)  # an upload that began before its form ended


def read_photos(batch_id: str, services: Services) -> list[Classification]:
    """Return the classifications of the listing's photos, newest first."""
    return services.records.page(Filter(batch=batch_id), MAX_PHOTOS).classifications


def kept_until(services: Services) -> datetime:
    """Return when the row of a listing expires: after a photo that arrives now."""
    return datetime.now(UTC) + timedelta(days=services.settings.retention_days + 1)


def without_deleted(photos: list[Classification], listing: Listing) -> list[Classification]:
    """Return the photos that came after the deletion of their listing, or all if it was not deleted."""
    deleted_at = listing.deleted_at
    return [photo for photo in photos if not (deleted_at and was_on_the_way(uploaded_at(photo), deleted_at))]


def uploaded_at(photo: Classification) -> datetime:
    """Return when the photo was uploaded, or announced if it has not arrived."""
    return (photo.image and photo.image.modified_at) or photo.created_at


def was_on_the_way(uploaded: datetime, deleted_at: datetime) -> bool:
    """Return whether a form that was given out before the deletion may have been used for the upload."""
    return uploaded <= deleted_at + FORM_LIFETIME + _SLOW_UPLOAD


def describe_listing(listing: Listing, photos: list[Classification], services: Services) -> dict[str, Any]:
    """Return how far the photos are and what they say together, without the photos themselves."""
    description, confirmation = services.description, listing.confirmation
    verdict = judge(photos, confirmation, description.review_threshold)
    return {
        "batch_id": listing.batch_id,
        "total": len(photos),
        **{status.value.lower(): count(photos, status) for status in Status},
        "label": verdict.label,
        "confidence": verdict.confidence,
        "needs_review": verdict.needs_review,
        "predictions": [{"label": label, "score": score} for label, score in verdict.scores.items()],
        "confirmation": confirmation and confirmation.to_json(),
        "category": description.categories.get(verdict.label) if verdict.label else None,
    }
