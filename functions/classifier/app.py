"""Lambda's entry point: recognizes the kind of event, and imports only the module that handles it."""
# ruff: noqa: PLC0415 - a cold start imports only what its event needs

import gc
import os
from functools import cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.logging import correlation_paths

from classifier import events
from classifier.errors import InvalidRequest
from classifier.services import Services
from classifier.telemetry import flush_metrics, logger

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


class NoEndpoint(Exception):
    """The emulator of AWS that the function is told to use does not answer."""


# A cold start makes many objects that stay and little garbage. Looking for that takes a tenth of the cold start.
gc.disable()


@cache
def end_cold_start() -> None:
    """Let Python look for garbage from now on, but not among the objects that are there."""
    gc.freeze()
    gc.enable()


@cache
def get_services() -> Services:
    """Return the services of this execution environment."""
    return Services.from_environment(os.environ)


if os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "provisioned-concurrency":
    # No request waits for this start, so everything is made now.
    from classifier import api, bucket_events  # noqa: F401

    get_services().warm_up()
    end_cold_start()


@logger.inject_lambda_context(clear_state=True, correlation_id_path=correlation_paths.API_GATEWAY_REST)
def lambda_handler(event: dict[str, Any], context: "LambdaContext") -> dict[str, Any] | None:
    """Answer an event. Raise `InvalidRequest` for a kind of event that is not known."""
    services = get_services()
    try:
        return dispatch(event, context, services)
    except Exception as error:
        if services.settings.endpoint:
            _check_endpoint(services.settings.endpoint, error)
        raise
    finally:
        flush_metrics()
        end_cold_start()


def dispatch(event: Any, context: "LambdaContext", services: Services) -> dict[str, Any] | None:
    """Pass the event to the module that handles its kind."""
    if not isinstance(event, dict):
        raise InvalidRequest(events.KNOWN_EVENTS)
    if events.is_http_request(event):
        from classifier.api import handle_request

        return handle_request(event, context, services)
    services.decoders.start()  # it gets ready while this process imports modules and fetches the photo
    if events.is_direct(event):
        from classifier.direct import handle_direct

        return handle_direct(event, services)
    if events.is_batch_job(event):
        from classifier.batch_operations import handle_batch_job

        return handle_batch_job(event, services)
    if events.is_queue_event(event):
        from classifier.bucket_events import handle_queue

        return handle_queue(event, context, services)
    from classifier.bucket_events import handle_bucket_event

    return handle_bucket_event(event, services)


def _check_endpoint(endpoint: str, error: Exception) -> None:
    """Raise `NoEndpoint` if the error means that nothing answers there."""
    from classifier.faults import is_no_answer

    if is_no_answer(error):
        raise NoEndpoint(
            f"Nothing answers at {endpoint}, the endpoint that AWS_ENDPOINT_URL names. "
            "If that is the local system: is `make run` running?"
        ) from error
