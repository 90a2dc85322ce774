"""What a classification is: everything that is known of one photo, and how the HTTP API shows it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from classifier.keys import batch_of


class Status(StrEnum):
    """How far the classification is."""

    PENDING = "PENDING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


class Source(StrEnum):
    """How the photo came in."""

    S3 = "s3"
    URL = "url"
    BYTES = "bytes"


@dataclass(frozen=True, slots=True)
class Image:
    """The file. Format, width and height (pixels) are None if the file could not be decoded.

    `sha256` is the hash of an upload's bytes, in hexadecimal. It is None if the file was too large to be read, and for
    a photo that came with a request. `modified_at` is when an upload was written to the bucket.
    """

    bytes: int
    etag: str
    format: str | None = None
    width: int | None = None
    height: int | None = None
    sha256: str | None = None
    modified_at: datetime | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the file as the HTTP API shows it."""
        return {name: value for name, value in asdict(self).items() if name not in {"sha256", "modified_at"}}


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a photo has no label: an error code of `errors`, and a message for the seller."""

    code: str
    message: str


class Person(StrEnum):
    """Who said what a photo shows."""

    SELLER = "seller"
    SHOP = "shop"


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What a person said about a photo or a listing. `label` is None if it shows none of the labels.

    `of_listing`: it was said about the whole listing of the photo.
    """

    label: str | None
    by: Person
    at: datetime
    of_listing: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the confirmation as the HTTP API shows it."""
        return {"label": self.label, "by": self.by.value, "at": format_time(self.at)}


@dataclass(frozen=True, slots=True)
class Classification:
    """Everything that is known of one photo.

    `scores` maps each label to its probability, highest first. It is empty unless the status is SUCCEEDED.
    `is_uncertain`: the model is not sure, or failed. `confirmation` is what a person said, of this photo or of its
    whole listing.
    """

    id: str
    status: Status
    source: Source
    created_at: datetime
    scores: Mapping[str, float]
    is_uncertain: bool = False
    confirmation: Confirmation | None = None
    model_version: str | None = None
    image: Image | None = None
    classified_at: datetime | None = None
    failure: Failure | None = None

    @property
    def label(self) -> str | None:
        """The model's label: the one with the highest score."""
        return next(iter(self.scores), None)

    @property
    def needs_review(self) -> bool:
        """Whether a person should look at the photo, and none has."""
        is_unclear = self.status is Status.FAILED or (self.status is Status.SUCCEEDED and self.is_uncertain)
        return is_unclear and self.confirmation is None

    @property
    def confirmed_label(self) -> str | None:
        """The label that a person said. None if nobody said one, and if it is none of the labels."""
        return self.confirmation.label if self.confirmation else None

    @property
    def effective_label(self) -> str | None:
        """The label that lists and the category go by: what a person said, else the model's."""
        return self.confirmation.label if self.confirmation else self.label

    @property
    def batch_id(self) -> str | None:
        """The listing that an uploaded photo belongs to."""
        return batch_of(self.id) if self.source is Source.S3 else None

    def to_json(self, categories: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """Return the classification as the HTTP API shows it. `categories` are the model's, by label."""
        return {
            "id": self.id,
            "status": self.status.value,
            "label": self.label,
            "confidence": self.scores[self.label] if self.label else None,
            "needs_review": self.needs_review,
            "predictions": [{"label": label, "score": score} for label, score in self.scores.items()],
            "confirmed_label": self.confirmed_label,
            "confirmation": self.confirmation and self.confirmation.to_json(),
            "category": categories.get(self.effective_label) if self.effective_label else None,
            "batch_id": self.batch_id,
            "model_version": self.model_version,
            "image": self.image and self.image.to_json(),
            "source": self.source.value,
            "created_at": format_time(self.created_at),
            "classified_at": self.classified_at and format_time(self.classified_at),
            "error": self.failure and asdict(self.failure),
        }


def format_time(time: datetime) -> str:
    """Format a time in ISO 8601, UTC, with milliseconds: `2026-01-31T12:00:00.000Z`."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
