"""Which errors of AWS are transient: a later try may succeed. Imported only where an error is handled."""

from http import HTTPStatus

from botocore.exceptions import (
    ClientError,
    ConnectionError,  # noqa: A004 - botocore's, not Python's
    ConnectTimeoutError,
    EndpointConnectionError,
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
)
from urllib3.exceptions import HTTPError

from classifier.errors import Busy

_TRANSIENT_CODES = {
    # Too many requests, to S3, to DynamoDB or to the KMS behind them. The SDK has the same list.
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
    # The request arrived too slowly, or met another request.
    "PriorRequestNotComplete",
    "RequestTimeout",
    "RequestTimeoutException",
    "TransactionConflictException",
    # Another execution environment has other credentials and another clock.
    "ExpiredToken",
    "ExpiredTokenException",
    "RequestTimeTooSkewed",
    # A bad request without a reason: the answer was cut short, or it was to HEAD, which has no body.
    "400",
}
# The connection broke or hung. urllib3 raises some of its own errors while the body of an S3 object is read.
_CONNECTION_ERRORS = (ConnectionError, HTTPClientError, HTTPError, IncompleteReadError, FlexibleChecksumError)


def is_transient(error: Exception) -> bool:
    """Return whether a later try may succeed: throttling, timeouts, broken connections, 5xx of AWS, `Busy`."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return (
            status >= HTTPStatus.INTERNAL_SERVER_ERROR
            or status == HTTPStatus.TOO_MANY_REQUESTS
            or error.response["Error"]["Code"] in _TRANSIENT_CODES
        )
    return isinstance(error, (*_CONNECTION_ERRORS, Busy))


def is_no_answer(error: Exception) -> bool:
    """Return whether nothing answered at the endpoint."""
    return isinstance(error, EndpointConnectionError | ConnectTimeoutError)
