"""From a photo's bytes to its classification, for every kind of event."""

import hashlib
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from classifier.classification import Classification, Failure, Image, Source, Status
from classifier.errors import ClassifierError
from classifier.services import Services
from classifier.telemetry import Stopwatch


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a photo comes from, and the id and time of its classification.

    `modified_at` is when an upload was written to the bucket, and `sha256` is that of an upload that was read.
    """

    id: str
    source: Source
    created_at: datetime
    etag: str
    modified_at: datetime | None = None
    sha256: str | None = None

    @classmethod
    def new(cls, data: bytes, source: Source) -> Self:
        """Return the origin of a photo that came with a request, with a new id.

        S3's ETag of a small object is the MD5 of its bytes, so the same photo has the same ETag on every way in.
        """
        etag = hashlib.md5(data, usedforsecurity=False).hexdigest()
        return cls(uuid.uuid4().hex, source, datetime.now(UTC), etag)


def classify(data: bytes, origin: Origin, services: Services, stopwatch: Stopwatch) -> Classification:
    """Decode the photo and ask the model. Raise a `PhotoError` if the bytes can never be classified."""
    model = services.model
    with stopwatch.stage("decode"):
        photo = services.decoders.decode(data, model.description.input_size, services.settings.limits)
    with stopwatch.stage("infer"):
        scores, needs_review = model.predict(photo.pixels)
    return Classification(
        id=origin.id,
        status=Status.SUCCEEDED,
        source=origin.source,
        created_at=origin.created_at,
        scores=dict(sorted(scores.items(), key=lambda item: item[1], reverse=True)),
        is_uncertain=needs_review,
        model_version=model.description.version,
        image=Image(len(data), origin.etag, photo.format, photo.width, photo.height, origin.sha256, origin.modified_at),
        classified_at=datetime.now(UTC),
    )


def make_failure(error: ClassifierError, size: int, origin: Origin, model_version: str) -> Classification:
    """Return the FAILED classification of a photo of `size` bytes."""
    return Classification(
        id=origin.id,
        status=Status.FAILED,
        source=origin.source,
        created_at=origin.created_at,
        scores={},
        is_uncertain=True,
        model_version=model_version,
        image=Image(size, origin.etag, sha256=origin.sha256, modified_at=origin.modified_at),
        classified_at=datetime.now(UTC),
        failure=Failure(error.code, str(error)),
    )
