"""Classifications of listings, of every kind."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from classifier.classification import Classification, Confirmation, Person, Source, Status
from classifier.records import Row
from classifier.services import Services

START = datetime(2026, 1, 31, tzinfo=UTC)
SCORES = {"hat": {"hat": 0.9, "dress": 0.1}, "dress": {"dress": 0.6, "hat": 0.4}}


def record(number: int, **parts: Any) -> Classification:
    """Return one of many classifications. Each is a second younger than the one before."""
    label = "hat" if number % 2 else "dress"
    defaults = Classification(
        id=f"listing-{number % 3}/{number}.jpg",
        status=Status.SUCCEEDED,
        source=Source.S3,
        created_at=START + timedelta(seconds=number),
        scores=SCORES[label],
        is_uncertain=number % 5 == 0,
    )
    return replace(defaults, **parts)


def unfinished(number: int) -> Classification:
    """Return a classification without a label: PENDING if the number is even, else FAILED."""
    status = [Status.PENDING, Status.FAILED][number % 2]
    return record(number, status=status, scores={}, is_uncertain=status is Status.FAILED)


def said(label: str | None, **parts: Any) -> Confirmation:
    """Return what the shop said of a photo or a listing."""
    return replace(Confirmation(label, Person.SHOP, START), **parts)


def shown(classification: Classification, services: Services) -> dict[str, Any]:
    """Return the classification as the HTTP API shows it."""
    return classification.to_json(services.description.categories)


def store(services: Services, classifications: list[Classification], **options: Any) -> None:
    """Write the classifications to rows that do not exist yet, with the options of `Records.write`."""
    for classification in classifications:
        services.records.write(classification, Row(classification.id), **options)
