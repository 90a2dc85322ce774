"""What sellers say about labels: they agree with the model, or correct it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from classifier.classification import Classification
from classifier.eventbridge import EventType
from classifier.reconcile import find_pending
from classifier.records import Row
from classifier.results import save
from classifier.services import Services
from classifier.telemetry import count_confirmation, logger

# How long a confirmation is kept if the photo's event does not come. Lambda keeps an event for six hours.
_LIFETIME_WITHOUT_EVENT = timedelta(days=1)


def confirm(photo_id: str, label: str, services: Services) -> Classification:
    """Store the seller's label beside the model's, and publish that. Return the classification with it.

    Raise `NotFound`, the AWS SDK's errors, and `Busy` if the record kept changing.
    """

    def save_label(row: Row) -> Classification:
        known, expires_at = row.classification, row.expires_at
        if known is None:
            known, expires_at = find_pending(row, services), datetime.now(UTC) + _LIFETIME_WITHOUT_EVENT
        classification = replace(known, confirmed_label=label)
        save(EventType.CONFIRMED, classification, row, services, expires_at)
        return classification

    classification = services.records.update(photo_id, save_label)
    logger.info("confirmed", id=photo_id, label=label)
    if classification.label:
        count_confirmation(agrees=label == classification.label)
    return classification
