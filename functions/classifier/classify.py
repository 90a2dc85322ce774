"""Bytes to a classification: the one way in for every caller."""

import hashlib
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from classifier.errors import ClassifierError
from classifier.records import Classification, Failure, Image, Source, Status
from classifier.services import Services
from classifier.telemetry import Stopwatch


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a photo comes from, and under which id its classification is kept."""

    id: str
    source: Source
    created_at: datetime
    etag: str

    @classmethod
    def new(cls, data: bytes, source: Source) -> Self:
        """Of a photo that came with a request, under an id of its own.

        The bucket's ETag of a small object is the MD5 of its bytes, so the same photo has one ETag however it comes.
        """
        etag = hashlib.md5(data, usedforsecurity=False).hexdigest()
        return cls(uuid.uuid4().hex, source, datetime.now(UTC), etag)


def classify(data: bytes, origin: Origin, services: Services, stopwatch: Stopwatch) -> Classification:
    """Decode the photo and ask the model; raises a `PhotoError` for bytes that can never be classified."""
    from classifier import photos  # noqa: PLC0415 - numpy and Pillow, which reading a record does without

    model = services.model
    with stopwatch.stage("decode"):
        photo = photos.decode(data, model.description.input_size, services.settings.limits)
    with stopwatch.stage("infer"):
        scores, needs_review = model.predict(photo.pixels)
    ranked = dict(sorted(scores.items(), key=lambda item: item[1], reverse=True))
    return Classification(
        id=origin.id,
        status=Status.SUCCEEDED,
        source=origin.source,
        created_at=origin.created_at,
        scores=ranked,
        needs_review=needs_review,
        model_version=model.description.version,
        image=Image(len(data), origin.etag, photo.format, photo.width, photo.height),
        classified_at=datetime.now(UTC),
    )


def failed(error: ClassifierError, size: int, origin: Origin, model_version: str) -> Classification:
    """The record of a photo of `size` bytes that has no label."""
    return Classification(
        id=origin.id,
        status=Status.FAILED,
        source=origin.source,
        created_at=origin.created_at,
        scores={},
        needs_review=True,
        model_version=model_version,
        image=Image(size, origin.etag),
        classified_at=datetime.now(UTC),
        failure=Failure(error.code, str(error)),
    )
