"""What can go wrong with a photo or a request. Each kind of error is a class.

    ClassifierError
    ├── InvalidRequest     400  the request or event is malformed, or of an unknown kind
    │   ├── Forbidden          403  the request has no valid token
    │   ├── MethodNotAllowed   405  the path exists, but not with this method
    │   └── PreconditionFailed 412  somebody else was faster
    ├── NotFound           404  neither the table nor the bucket knows the id
    ├── PhotoError              the photo can never be classified: its record is FAILED, and it is not retried
    │   ├── ImageTooLarge      413
    │   ├── UnsupportedImage   415
    │   └── UnreadableImage    422
    ├── UrlNotAllowed      422  the URL must not be fetched
    ├── UrlUnreachable     502  the URL's server did not send the photo
    ├── Busy               503  a transient fault; a later try may succeed
    └── InternalError      500  a fault of this service

Messages are written for the person who sent the photo. They contain no paths, hosts or internals of this service.
"""

from http import HTTPStatus
from typing import ClassVar, Self

DAMAGED = "The image is damaged, incomplete or of a rare kind. Send it again, or save it as a JPEG or PNG."
CHANGED = "It has changed since you read it. Read it again."  # by `If-Match`
_MAX_QUOTED = 1024  # characters; an id has at most so many


def quote(text: str) -> str:
    """Return what somebody sent as a message may contain it: in quotes, not long, without control characters.

    `repr` also escapes the characters that turn the direction of writing.
    """
    return repr(text if len(text) <= _MAX_QUOTED else f"{text[:_MAX_QUOTED]}…")


class ClassifierError(Exception):
    """Base of every error that this package raises on purpose. `str(error)` may be shown to anybody."""

    code: ClassVar[str]
    status: ClassVar[HTTPStatus]


class InvalidRequest(ClassifierError):
    code = "invalid_request"
    status = HTTPStatus.BAD_REQUEST


class Forbidden(InvalidRequest):
    status = HTTPStatus.FORBIDDEN


class PreconditionFailed(InvalidRequest):
    status = HTTPStatus.PRECONDITION_FAILED


class MethodNotAllowed(InvalidRequest):
    status = HTTPStatus.METHOD_NOT_ALLOWED


class NotFound(ClassifierError):
    code = "not_found"
    status = HTTPStatus.NOT_FOUND

    @classmethod
    def photo(cls, photo_id: str) -> Self:
        """Return the error for an id that no photo has."""
        return cls(f"There is no photo {quote(photo_id)}.")

    @classmethod
    def batch(cls, batch_id: str) -> Self:
        """Return the error for a listing that has no photos."""
        return cls(f"There is no batch {quote(batch_id)}.")


class PhotoError(ClassifierError):
    """The bytes themselves are at fault, so a retry cannot help."""


class ImageTooLarge(PhotoError):
    code = "image_too_large"
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class UnsupportedImage(PhotoError):
    code = "unsupported_image"
    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE


class UnreadableImage(PhotoError):
    code = "unreadable_image"
    status = HTTPStatus.UNPROCESSABLE_ENTITY


class UrlNotAllowed(ClassifierError):
    code = "url_not_allowed"
    status = HTTPStatus.UNPROCESSABLE_ENTITY


class UrlUnreachable(ClassifierError):
    code = "url_unreachable"
    status = HTTPStatus.BAD_GATEWAY


class Busy(ClassifierError):
    code = "busy"
    status = HTTPStatus.SERVICE_UNAVAILABLE


class InternalError(ClassifierError):
    code = "internal_error"
    status = HTTPStatus.INTERNAL_SERVER_ERROR
