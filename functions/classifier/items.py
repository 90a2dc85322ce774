"""The form in which the table stores a classification, and which versions of the code can read it.

During a deployment two versions of the code work on one table, and after a rollback an older one reads what a newer one
wrote. So reading ignores attributes that this version does not know and has a default for each that may be missing;
`Records.write` keeps unknown attributes. docs/records.md says what may change and what must not.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar

from classifier.classification import Classification, Confirmation, Failure, Image, Person, Source, Status, format_time

Value = TypeVar("Value")
MAX_COUNT = 2**53  # of bytes or pixels: JSON's readers have exact numbers up to here

_ATTRIBUTES = {
    "id",
    "status",
    "source",
    "created_at",
    "classified_at",
    "predictions",
    "needs_review",
    "confirmation",
    "confirmed_label",  # of older versions
    "model_version",
    "image",
    "error",
    "review_state",
    "label_state",
    "batch_id",
    "created_at_id",
    "revision",
    "expires_at",
}


def to_item(classification: Classification) -> dict[str, Any]:
    """Return the attributes of the record, but for those of the indexes. Attributes without a value are left out."""
    attributes = {
        "id": classification.id,
        "status": classification.status.value,
        "source": classification.source.value,
        "created_at": format_time(classification.created_at),
        "classified_at": classification.classified_at and format_time(classification.classified_at),
        "predictions": [
            {"label": label, "score": Decimal(repr(score))}  # the AWS SDK refuses floats
            for label, score in classification.scores.items()
        ],
        "needs_review": classification.is_uncertain,
        "confirmation": classification.confirmation and confirmation_attributes(classification.confirmation),
        "model_version": classification.model_version,
        "image": classification.image and _image_attributes(classification.image),
        "error": classification.failure and asdict(classification.failure),
    }
    return _without_none(attributes)


class UnreadableItem(Exception):
    """The attributes are not those of a record: somebody else wrote them, or a version that broke the rules."""


def from_item(item: Mapping[str, Any]) -> Classification:
    """Return the classification of a record. Only `id`, `status` and `created_at` have to be there.

    Raise `UnreadableItem` if an attribute has a wrong type or an unknown value.
    """
    try:
        return _from_known(_without_none(item))
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise UnreadableItem(repr(error)) from error


def read_expiry(item: Mapping[str, Any]) -> datetime | None:
    """Return when the record expires, or None if it does not."""
    try:
        return datetime.fromtimestamp(int(item["expires_at"]), UTC)
    except (KeyError, OverflowError, TypeError, ValueError):  # missing, or not a time
        return None


def _from_known(item: Mapping[str, Any]) -> Classification:
    image, error = item.get("image"), item.get("error")
    return Classification(
        id=_text(item["id"]),
        status=Status(item["status"]),
        source=Source(item.get("source", Source.S3)),
        created_at=_time(item["created_at"]),
        scores={_text(one["label"]): _score(one["score"]) for one in item.get("predictions", [])},
        is_uncertain=_flag(item.get("needs_review", False)),
        confirmation=_read_confirmation(item),
        model_version=_optional(_text, item, "model_version"),
        image=_image(_without_none(image)) if image else None,
        classified_at=_optional(_time, item, "classified_at"),
        failure=Failure(_text(error["code"]), _text(error["message"])) if error else None,
    )


def confirmation_attributes(confirmation: Confirmation) -> dict[str, Any]:
    """Return the attribute of a confirmation. It has no `label` for none of the labels."""
    return _without_none(confirmation.to_json() | {"of_listing": confirmation.of_listing or None})


def parse_confirmation(stored: Mapping[str, Any]) -> Confirmation:
    """Return the confirmation of an attribute. Raise `TypeError`, `ValueError` or `KeyError`."""
    label, of_listing = _optional(_text, stored, "label"), _flag(stored.get("of_listing", False))
    return Confirmation(label, Person(stored["by"]), _time(stored["at"]), of_listing)


def _read_confirmation(item: Mapping[str, Any]) -> Confirmation | None:
    if "confirmation" in item:
        return parse_confirmation(item["confirmation"])
    if "confirmed_label" in item:  # an older version did not store who said it, and when
        return Confirmation(_text(item["confirmed_label"]), Person.SHOP, _time(item["created_at"]))
    return None


def unknown_attributes(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes that this version of the code does not know: those that a newer version wrote."""
    return {name: value for name, value in item.items() if name not in _ATTRIBUTES}


def _image_attributes(image: Image) -> dict[str, Any]:
    modified_at = image.modified_at and format_time(image.modified_at)
    return _without_none(asdict(image) | {"modified_at": modified_at})


def _image(stored: Mapping[str, Any]) -> Image:
    return Image(
        bytes=_count(stored["bytes"]),
        etag=_text(stored["etag"]),
        format=_optional(_text, stored, "format"),
        width=_optional(_count, stored, "width"),
        height=_optional(_count, stored, "height"),
        sha256=_optional(_text, stored, "sha256"),
        modified_at=_optional(_time, stored, "modified_at"),
    )


# Each of these raises `TypeError` or `ValueError` for a value that this version of the code would not write.


def _optional(read: Callable[[Any], Value], stored: Mapping[str, Any], name: str) -> Value | None:
    return read(stored[name]) if name in stored else None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(value)
    return value


def _time(value: Any) -> datetime:
    time = datetime.fromisoformat(_text(value))
    if time.tzinfo is None:
        raise ValueError(value)
    return time


def _score(value: Any) -> float:
    score = float(value)
    if not 0 <= score <= 1:
        raise ValueError(value)
    return score


def _count(value: Any) -> int:
    count = int(value)
    if not 0 <= count < MAX_COUNT:
        raise ValueError(value)
    return count


def _without_none(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if value is not None}
