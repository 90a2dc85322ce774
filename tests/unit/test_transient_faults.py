"""Which errors are transient."""

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

from classifier.errors import Busy, UnreadableImage
from classifier.faults import is_no_answer, is_transient
from tests.support.errors import client_error


def test_every_code_that_the_sdk_retries_is_transient() -> None:
    """Except the codes of EC2 and of DynamoDB's transactions, which the function does not call."""
    throttled: Any = ThrottledRetryableChecker
    transient: Any = TransientRetryableChecker
    codes = {*throttled._THROTTLED_ERROR_CODES, *transient._TRANSIENT_ERROR_CODES}  # noqa: SLF001 - no public list
    codes -= {"EC2ThrottledException", "TransactionInProgressException"}

    assert [code for code in codes if not is_transient(client_error(code))] == []


@pytest.mark.parametrize(
    "error",
    [
        client_error("SlowDown", 503),
        client_error("InternalError", 500),
        client_error("TooManyRequests", 429),
        client_error("TransactionConflictException"),
        client_error("ExpiredToken"),
        client_error("ExpiredTokenException"),
        client_error("RequestTimeTooSkewed", 403),
        client_error("400"),
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
def test_throttling_faults_of_aws_and_broken_connections_is_transient(error: Exception) -> None:
    assert is_transient(error)


@pytest.mark.parametrize(
    "error",
    [
        client_error("AccessDenied", 403),
        client_error("Unknown", 499),
        ClientError({"Error": {"Code": "Unknown"}}, "GetObject"),
        client_error("403", 403),
        client_error("404", 404),
        client_error("NoSuchBucket", 404),
        client_error("AccessDeniedException"),
        client_error("ResourceNotFoundException"),
        client_error("ValidationException"),
        NoCredentialsError(),
        UnreadableImage("It is damaged."),
        ZeroDivisionError(),
    ],
    ids=repr,
)
def test_refusals_and_our_own_errors_are_not_transient(error: Exception) -> None:
    assert not is_transient(error)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (EndpointConnectionError(endpoint_url="http://127.0.0.1:5000"), True),
        (ConnectTimeoutError(endpoint_url="http://127.0.0.1:5000"), True),
        (ReadTimeoutError(endpoint_url="http://127.0.0.1:5000"), False),
        (client_error("SlowDown", 503), False),
    ],
    ids=repr,
)
def test_a_failed_connection_means_that_nothing_answers(error: Exception, expected: bool) -> None:  # noqa: FBT001
    assert is_no_answer(error) is expected
