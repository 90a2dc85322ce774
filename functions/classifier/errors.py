"""What can go wrong with a photo or a request, told apart by class.

    ClassifierError
    ├── InvalidRequest     400  the request or event is not one this function answers
    │   └── MethodNotAllowed   405  the path is answered, but not by this method
    ├── NotFound           404  neither the table nor the bucket knows the id
    ├── PhotoError              the photo can never be classified: its record is FAILED and it is not retried
    │   ├── ImageTooLarge      413
    │   ├── UnsupportedImage   415
    │   └── UnreadableImage    422
    ├── UrlNotAllowed      422  the URL is not one that may be fetched
    ├── UrlUnreachable     502  the URL's server did not give the photo
    ├── Busy               503  AWS or others get in the way; trying again helps
    └── InternalError      500  a fault of ours

Each message is written for the person who sent the photo: it names no path, host or internal of this service.
"""

from http import HTTPStatus
from typing import Any, ClassVar

from botocore.exceptions import (
    ClientError,
    ConnectionError,  # noqa: A004 - botocore's, not Python's
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
)
from urllib3.exceptions import HTTPError


class ClassifierError(Exception):
    """Base of every error that this package raises on purpose; `str(error)` may be shown to anybody."""

    code: ClassVar[str]
    status: ClassVar[HTTPStatus]


class InvalidRequest(ClassifierError):
    code = "invalid_request"
    status = HTTPStatus.BAD_REQUEST


class MethodNotAllowed(InvalidRequest):
    status = HTTPStatus.METHOD_NOT_ALLOWED


class NotFound(ClassifierError):
    code = "not_found"
    status = HTTPStatus.NOT_FOUND


class PhotoError(ClassifierError):
    """The bytes themselves are at fault, so that trying them again can't help."""


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


# What AWS says where trying again helps.
_PASSING = {
    # Too many requests, to S3, to DynamoDB or to the KMS behind them; the SDK has the same list.
    "BandwidthLimitExceeded",
    "LimitExceededException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "Throttling",
    "ThrottledException",
    "ThrottlingException",
    "TooManyRequestsException",
    # The request came too slowly, or met another one.
    "PriorRequestNotComplete",
    "RequestTimeout",
    "RequestTimeoutException",
    "TransactionConflictException",
    "TransactionInProgressException",
    # Why a transaction was cancelled.
    "ProvisionedThroughputExceeded",
    "ThrottlingError",
    "TransactionConflict",
    # Credentials and clock are another execution environment's next time.
    "ExpiredToken",
    "ExpiredTokenException",
    "RequestTimeTooSkewed",
    # A bad request, and no word of why: the answer was cut short, or it was to HEAD, which has no body.
    "400",
}
# The connection broke or hung. What breaks while S3's object is read, urllib3 raises itself in part.
_BROKEN = (ConnectionError, HTTPClientError, HTTPError, IncompleteReadError, FlexibleChecksumError)


def may_pass(error: Exception) -> bool:
    """Tell whether trying again later may help: throttling, time-outs, broken connections, faults of AWS."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        is_aws_s = status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS
        return is_aws_s or not _PASSING.isdisjoint(_codes(error))
    return isinstance(error, (*_BROKEN, Busy))


def _codes(error: ClientError) -> set[str]:
    """The error's code, and those of each item of a transaction that was cancelled."""
    response: dict[str, Any] = {**error.response}
    return {response["Error"]["Code"], *(reason.get("Code", "") for reason in response.get("CancellationReasons", []))}
