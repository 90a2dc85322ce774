"""What may pass is told from what does not."""

from typing import Any

import pytest
import urllib3.exceptions
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    FlexibleChecksumError,
    IncompleteReadError,
    NoCredentialsError,
    ReadTimeoutError,
    ResponseStreamingError,
)
from botocore.retries.standard import ThrottledRetryableChecker, TransientRetryableChecker

from classifier.errors import Busy, UnreadableImage, may_pass


def answered(code: str, status: int = 400, **content: Any) -> ClientError:
    """The error of a call that a service answered."""
    response: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}, **content}
    return ClientError(response, "PutItem")


def cancelled(*reasons: str) -> ClientError:
    """The error of a transaction; items that were not the reason have one that says None."""
    return answered("TransactionCanceledException", CancellationReasons=[{"Code": reason} for reason in reasons])


def test_what_the_sdk_tries_again_may_pass() -> None:
    """By its own lists, of which this one knows all but EC2's."""
    throttled, transient = vars(ThrottledRetryableChecker), vars(TransientRetryableChecker)
    codes = {*throttled["_THROTTLED_ERROR_CODES"], *transient["_TRANSIENT_ERROR_CODES"]} - {"EC2ThrottledException"}

    assert [code for code in codes if not may_pass(answered(code))] == []


@pytest.mark.parametrize(
    "error",
    [
        answered("SlowDown", 503),
        answered("InternalError", 500),
        answered("TooManyRequests", 429),
        answered("TransactionConflictException"),
        answered("ExpiredToken"),
        answered("ExpiredTokenException"),
        answered("RequestTimeTooSkewed", 403),
        answered("400"),
        cancelled("None", "TransactionConflict"),
        cancelled("ThrottlingError"),
        cancelled("ProvisionedThroughputExceeded"),
        ConnectTimeoutError(endpoint_url="https://s3"),
        ReadTimeoutError(endpoint_url="https://s3"),
        EndpointConnectionError(endpoint_url="https://s3"),
        ConnectionClosedError(endpoint_url="https://s3"),
        ResponseStreamingError(error="reset"),
        IncompleteReadError(actual_bytes=1, expected_bytes=2),
        FlexibleChecksumError(error_msg="another"),
        urllib3.exceptions.SSLError("broken"),
        Busy("Others were faster."),
    ],
    ids=repr,
)
def test_throttling_faults_of_aws_and_broken_connections_may_pass(error: Exception) -> None:
    assert may_pass(error)


@pytest.mark.parametrize(
    "error",
    [
        answered("AccessDenied", 403),
        answered("403", 403),
        answered("404", 404),
        answered("NoSuchBucket", 404),
        answered("AccessDeniedException"),
        answered("ResourceNotFoundException"),
        answered("ValidationException"),
        cancelled("None", "ValidationError"),
        NoCredentialsError(),
        UnreadableImage("It is damaged."),
        ZeroDivisionError(),
    ],
    ids=repr,
)
def test_refusals_and_faults_of_ours_do_not_pass(error: Exception) -> None:
    assert not may_pass(error)
