"""The seller's word on a label, which counts from then on."""

from dataclasses import replace

from classifier.errors import NotFound
from classifier.records import Classification, Records, Row
from classifier.telemetry import count_confirmation


def confirmed(identifier: str, label: str, records: Records) -> Classification:
    """Keep the label that the seller says, beside the model's; gives the classification with it.

    Raises `NotFound`, and `Busy` where the record kept changing.
    """

    def keep(row: Row) -> Classification:
        if row.classification is None:
            raise NotFound(f"There is no photo {identifier!r}.")
        classification = replace(row.classification, confirmed_label=label)
        records.write(classification, row, row.expires_at)
        return classification

    classification = records.update(identifier, keep)
    if classification.label:
        count_confirmation(agrees=label == classification.label)
    return classification
