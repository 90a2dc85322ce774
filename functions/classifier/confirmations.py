"""The seller's word on a label, which counts from then on."""

from dataclasses import replace

from classifier.errors import Busy, NotFound
from classifier.records import Classification, Conflict, Records
from classifier.telemetry import count_confirmation

_ATTEMPTS = 10  # each lost race means that somebody else moved the record forward


def confirmed(identifier: str, label: str, records: Records) -> Classification:
    """Keep the label that the seller says, beside the model's; gives the classification with it.

    Raises `NotFound`, and `Busy` where the record kept changing.
    """
    for _ in range(_ATTEMPTS):
        row = records.read(identifier)
        known = row.classification
        if known is None:
            raise NotFound(f"There is no photo {identifier!r}.")
        classification = replace(known, confirmed_label=label)
        try:
            records.write(classification, row, row.expires_at)
        except Conflict:
            continue
        if known.label:
            count_confirmation(agrees=label == known.label)
        return classification
    raise Busy(f"The record of {identifier!r} keeps changing; try again.")
