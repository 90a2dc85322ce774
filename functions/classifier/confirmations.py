"""The seller's word on a label, which counts from then on."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from classifier.records import Classification, Row
from classifier.services import Services
from classifier.telemetry import count_confirmation
from classifier.uploads import awaited

_LIFE_UNTIL_EVENT = timedelta(
    days=1
)  # of a word on a photo whose event is on its way; Lambda's queue keeps one for six hours


def confirmed(identifier: str, label: str, services: Services) -> Classification:
    """Keep the label that the seller says, beside the model's; gives the classification with it.

    Raises `NotFound`, and `Busy` where the record kept changing.
    """

    def keep(row: Row) -> Classification:
        known, expires_at = row.classification, row.expires_at
        if known is None:
            known, expires_at = awaited(identifier, services), datetime.now(UTC) + _LIFE_UNTIL_EVENT
        classification = replace(known, confirmed_label=label)
        services.records.write(classification, row, expires_at)
        return classification

    classification = services.records.update(identifier, keep)
    if classification.label:
        count_confirmation(agrees=label == classification.label)
    return classification
