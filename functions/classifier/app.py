"""The front door: which kind of event came in, and whose it is. Only its owner is imported."""
# ruff: noqa: PLC0415 - what a kind of event does not need, its cold start does not wait for

import os
from functools import cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.logging import correlation_paths
from botocore.exceptions import ConnectTimeoutError, EndpointConnectionError

from classifier import events
from classifier.errors import InvalidRequest
from classifier.services import Services
from classifier.telemetry import flush_metrics, logger

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

_KINDS = (
    'This function answers {"url": "https://…"}, requests of API Gateway (REST, proxy), S3 event notifications, '
    "SQS messages with such notifications, invocations by S3 Batch Operations, and failed asynchronous events."
)


class NoEndpoint(Exception):
    """The emulator of AWS that the function was told to use does not answer."""


_services = cache(lambda: Services.from_environment(os.environ))

if os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "provisioned-concurrency":
    # Nobody waits for such a start, and what it makes is there for all events.
    from classifier import api, photos, uploads  # noqa: F401

    _services().prepare()


@logger.inject_lambda_context(clear_state=True, correlation_id_path=correlation_paths.API_GATEWAY_REST)
def lambda_handler(event: dict[str, Any], context: "LambdaContext") -> dict[str, Any] | None:
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


def dispatch(event: Any, context: "LambdaContext", services: Services) -> dict[str, Any] | None:
    """Hand the event to whoever answers its kind."""
    if not isinstance(event, dict):
        raise InvalidRequest(_KINDS)
    if events.is_http_request(event):
        from classifier.api import handle_request

        return handle_request(event, context, services)
    if events.is_direct(event):
        from classifier.direct import handle_direct

        return handle_direct(event, services)
    if events.is_batch_job(event):
        from classifier.backfill import handle_batch_job

        return handle_batch_job(event, services)
    from classifier import uploads

    if events.is_queue_event(event):
        return uploads.handle_queue(event, context, services)
    if events.is_s3_event(event):
        return uploads.handle_s3_event(event, services)
    if events.is_failed_event(event):
        uploads.handle_failed_event(event, services)
    elif not events.is_test_event(event):
        raise InvalidRequest(_KINDS)
    return None
