"""What is done with each classification, for every kind of event: store, publish, report."""

from datetime import datetime
from typing import TYPE_CHECKING

from classifier.classification import Classification
from classifier.eventbridge import EventType, publish
from classifier.services import Services
from classifier.telemetry import Stopwatch, count_result, logger

if TYPE_CHECKING:
    from classifier.records import Row


def save(
    event_type: EventType,
    classification: Classification,
    replacing: "Row",
    services: Services,
    expires_at: datetime | None = None,
) -> None:
    """Store the classification in place of the row, then publish it.

    Raise `Conflict` if the row has changed, the AWS SDK's errors, and `Busy`. Whoever calls again after an error stores
    and publishes again, so an event is published at least once.
    """
    services.records.write(classification, replacing, expires_at)
    publish(event_type, classification.to_json(services.description.categories), services)


def save_new(
    classification: Classification,
    replacing: "Row",
    services: Services,
    stopwatch: Stopwatch,
    expires_at: datetime | None = None,
) -> None:
    """Save a classification that was just made, and report it. Raise what `save` raises."""
    with stopwatch.stage("store"):
        save(EventType.CLASSIFIED, classification, replacing, services, expires_at)
    report(classification, stopwatch)


def report(classification: Classification, stopwatch: Stopwatch) -> None:
    """Log one line for the photo, and count it in the metrics."""
    code = classification.failure.code if classification.failure else None
    logger.info(
        "failed" if code else "classified",
        id=classification.id,
        label=classification.label,
        confidence=round(max(classification.scores.values(), default=0.0), 4),
        needs_review=classification.needs_review,
        code=code,
        reason=classification.failure.message if classification.failure else None,
        source=classification.source.value,
        milliseconds=stopwatch.milliseconds,
    )
    count_result(classification, stopwatch)
