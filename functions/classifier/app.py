"""The front door: which kind of event came in, and whose it is."""

import os
from functools import cache
from typing import Any

from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import ConnectTimeoutError, EndpointConnectionError

from classifier.api import handle_request, is_http_request
from classifier.backfill import handle_batch_job, is_batch_job
from classifier.direct import handle_direct, is_direct
from classifier.errors import InvalidRequest
from classifier.services import Services
from classifier.telemetry import flush_metrics, logger, tracer
from classifier.uploads import (
    handle_failed_event,
    handle_queue,
    handle_s3_event,
    is_failed_event,
    is_queue_event,
    is_s3_event,
    is_test_event,
)

_KINDS = (
    'This function answers {"url": "https://…"}, requests of API Gateway (REST, proxy), S3 event notifications, '
    "SQS messages with such notifications, invocations by S3 Batch Operations, and failed asynchronous events."
)


class NoEndpoint(Exception):
    """The emulator of AWS that the function was told to use does not answer."""


_services = cache(lambda: Services.from_environment(os.environ))


@logger.inject_lambda_context(clear_state=True, correlation_id_path=correlation_paths.API_GATEWAY_REST)
@tracer.capture_lambda_handler(capture_response=False)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any] | None:
    """Answer any event that the function knows; raises `InvalidRequest` for others."""
    try:
        return dispatch(event, context, _services())
    except (EndpointConnectionError, ConnectTimeoutError) as error:
        if endpoint := os.environ.get("AWS_ENDPOINT_URL"):
            raise NoEndpoint(
                f"Nothing answers at {endpoint}, where AWS_ENDPOINT_URL says that AWS is. "
                "If that is the local system: is `make run` going?"
            ) from error
        raise
    finally:
        flush_metrics()


def dispatch(event: Any, context: LambdaContext, services: Services) -> dict[str, Any] | None:
    """Hand the event to whoever answers its kind."""
    if not isinstance(event, dict):
        raise InvalidRequest(_KINDS)
    if is_http_request(event):
        return handle_request(event, context, services)
    if is_queue_event(event):
        return handle_queue(event, context, services)
    if is_batch_job(event):
        return handle_batch_job(event, services)
    if is_direct(event):
        return handle_direct(event, services)
    if is_s3_event(event):
        return handle_s3_event(event, services)
    if is_failed_event(event):
        handle_failed_event(event, services)
    elif not is_test_event(event):
        raise InvalidRequest(_KINDS)
    return None
