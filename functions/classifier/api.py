"""The HTTP API: routes, status codes, and errors as answers."""

import hashlib
import json
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote as encode_path
from urllib.parse import urlsplit

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response, content_types
from aws_lambda_powertools.event_handler.exceptions import NotFoundError

from classifier.batches import count, verdict
from classifier.classification import Classification, Source, Status
from classifier.classify import Origin, classify
from classifier.confirmations import confirm
from classifier.cursors import decode_cursor, encode_cursor
from classifier.errors import (
    Busy,
    ClassifierError,
    InternalError,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    PhotoError,
    quote,
)
from classifier.indexes import Filter
from classifier.openapi import allowed_methods, describe_api
from classifier.pages import page
from classifier.reconcile import find_pending
from classifier.records import Conflict, Row
from classifier.request_parsing import (
    id_in_path,
    parse_choice,
    parse_limit,
    parse_object,
    query_parameters,
    read_body,
)
from classifier.results import save_new
from classifier.services import Services
from classifier.telemetry import Stopwatch, count_failure, logger
from classifier.upload_forms import EXPECTED_FILES, create_listing, parse_files, sign_form

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

_RETRY_AFTER_SECONDS = 1  # a photo takes less than that once its event has arrived
_EXPECTED_PHOTO = 'Send {"url": "https://…"} as JSON, or the bytes of an image with a Content-Type such as image/jpeg.'
_EXPECTED_LABEL = 'Send {"label": "t-shirt"} as JSON.'
_LIST_PARAMETERS = ("label", "status", "needs_review", "batch", "limit", "cursor")
_DEFAULT_PAGE, _LARGEST_PAGE = 20, 100
_LARGEST_BATCH = 1000  # photos; an answer of Lambda may have 6 MB

_DEFAULT_HEADERS = {"Cache-Control": ["no-store"], "X-Content-Type-Options": ["nosniff"]}

Headers = dict[str, str | list[str]]

_resolver = APIGatewayRestResolver()


def handle_request(event: dict[str, Any], context: "LambdaContext", services: Services) -> dict[str, Any]:
    """Answer an event of API Gateway's REST proxy integration, in the form that API Gateway expects."""
    path = _path_below_stage(event)
    _resolver.append_context(services=services, prefix=_prefix(event["requestContext"].get("path") or path, path))
    is_head = event["httpMethod"] == "HEAD"
    method = "GET" if is_head else event["httpMethod"]
    answer: dict[str, Any] = _resolver.resolve({**event, "path": path, "httpMethod": method}, context)
    answer["multiValueHeaders"] = {**_DEFAULT_HEADERS, **answer["multiValueHeaders"]}
    return {**answer, "body": ""} if is_head else answer


@_resolver.post("/predict")
def predict() -> Response[str]:
    """Return the score of each label, in label order, as the tutorials' clients expect it."""
    classification = _classify_request()
    scores = {label: classification.scores[label] for label in _services().description.labels}
    return _answer(HTTPStatus.OK, scores, {"Location": _location(classification.id)})


@_resolver.post("/classifications")
def create_classification() -> Response[str]:
    """Classify a photo that comes as a URL or as bytes."""
    classification = _classify_request()
    return _answer(HTTPStatus.CREATED, classification.to_json(), {"Location": _location(classification.id)})


@_resolver.get("/classifications/.+")
def read_classification() -> Response[str]:
    """Return the classification of an upload or of an earlier request."""
    photo_id = id_in_path(_resolver.current_event.path, "/classifications/")
    services = _services()
    row = services.records.read(photo_id)
    classification = row.classification or find_pending(row, services)
    body = json.dumps(classification.to_json(), ensure_ascii=False)
    etag = f'"{hashlib.sha256(body.encode()).hexdigest()[:32]}"'
    headers: Headers = {"ETag": etag, "Cache-Control": "no-cache"}
    if classification.status is Status.PENDING:
        headers["Retry-After"] = str(_RETRY_AFTER_SECONDS)
    if _matches(_resolver.current_event.headers.get("If-None-Match", ""), etag):
        return Response(HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(HTTPStatus.OK, content_types.APPLICATION_JSON, body, headers)


@_resolver.get("/classifications")
def list_classifications() -> Response[str]:
    """List classifications, newest first, page by page."""
    services = _services()
    parameters = query_parameters(_resolver.current_event, _LIST_PARAMETERS)
    wanted = _parse_filter(parameters)
    limit = parse_limit(parameters, _DEFAULT_PAGE, _LARGEST_PAGE)
    key = services.settings.cursor_key
    position = decode_cursor(parameters["cursor"], wanted, key) if "cursor" in parameters else None
    found = services.records.page(wanted, limit, position)
    return _answer(
        HTTPStatus.OK,
        {
            "items": [classification.to_json() for classification in found.classifications],
            "next_cursor": found.position and encode_cursor(found.position, wanted, key),
        },
    )


@_resolver.get("/batches/.+")
def read_batch() -> Response[str]:
    """Return how far the photos of a listing are, and their verdict."""
    batch_id = id_in_path(_resolver.current_event.path, "/batches/")
    photos = _services().records.page(Filter(batch=batch_id), _LARGEST_BATCH).classifications
    if not photos:
        raise NotFound(f"There is no batch {quote(batch_id)}.")
    label, confidence = verdict(photos) or (None, None)
    answer = {
        "batch_id": batch_id,
        "total": len(photos),
        **{status.value.lower(): count(photos, status) for status in Status},
        "label": label,
        "confidence": confidence,
        "items": [photo.to_json() for photo in photos],
    }
    return _answer(HTTPStatus.OK, answer, {"Retry-After": str(_RETRY_AFTER_SECONDS)} if answer["pending"] else {})


@_resolver.put("/confirmations/.+")
def confirm_label() -> Response[str]:
    """Store that the seller agrees with the label, or corrects it."""
    photo_id = id_in_path(_resolver.current_event.path, "/confirmations/")
    label = parse_object(read_body(_resolver.current_event), _EXPECTED_LABEL).get("label")
    if not isinstance(label, str):
        raise InvalidRequest(f"`label` is missing or not a string. {_EXPECTED_LABEL}")
    return _answer(HTTPStatus.OK, confirm(photo_id, _known_label(label), _services()).to_json())


@_resolver.post("/uploads")
def create_uploads() -> Response[str]:
    """Return presigned forms by which the photos of one listing go straight to the bucket."""
    files = parse_files(parse_object(read_body(_resolver.current_event), EXPECTED_FILES))
    listing = create_listing(files, _services())
    items = [{**item, "status_url": _location(item["id"])} for item in listing["items"]]
    return _answer(HTTPStatus.CREATED, {**listing, "items": items})


@_resolver.get("/model")
def read_model() -> Response[str]:
    """Return what the model is and how accurate it is."""
    description = _services().description
    return _answer(
        HTTPStatus.OK,
        {
            "name": description.name,
            "version": description.version,
            "labels": description.labels,
            "input": {"width": description.input_size, "height": description.input_size, "channels": "RGB"},
            "accuracy": description.accuracy,
            "review_threshold": description.review_threshold,
            "familiarity_threshold": description.familiarity_threshold,
        },
    )


@_resolver.get("/health")
def check_health() -> Response[str]:
    """Run the model once."""
    model = _services().model
    model.check()
    return _answer(HTTPStatus.OK, {"status": "ok", "model_version": model.description.version})


@_resolver.get("/")
def show_page() -> Response[str]:
    """Return the seller's page."""
    bucket = urlsplit(sign_form("any", "image/jpeg", _services())["url"])
    return _page("seller", f"{bucket.scheme}://{bucket.netloc}")


@_resolver.get("/docs")
def show_docs() -> Response[str]:
    """Return the OpenAPI description as a page to read."""
    return _page("docs")


@_resolver.get("/openapi.json")
def describe() -> Response[str]:
    """Return the OpenAPI description."""
    return _answer(HTTPStatus.OK, describe_api(_services().description.labels, _resolver.context["prefix"]))


@_resolver.exception_handler(ClassifierError)
def answer_error(error: ClassifierError) -> Response[str]:
    """Answer one of our errors with the status and code of its class."""
    return _refusal(error)


@_resolver.not_found
def answer_no_route(_: NotFoundError) -> Response[str]:
    """Answer a path or method that does not exist."""
    allowed = allowed_methods(_resolver.current_event.path)
    if not allowed:
        return _refusal(NotFound("This path does not exist. GET /openapi.json lists those that do."))
    methods = ", ".join(allowed)
    message = f"The method {quote(_resolver.current_event.http_method)} is not allowed. Allowed: {methods}."
    return _refusal(MethodNotAllowed(message), {"Allow": methods})


@_resolver.exception_handler(Exception)
def answer_fault(error: Exception) -> Response[str]:
    """Answer any other error. The details go to the log only."""
    from classifier.faults import is_transient  # noqa: PLC0415 - needed only after an error

    if isinstance(error, Conflict) or is_transient(error):  # on the next try, the photo has another id
        logger.warning("A request met a transient fault", reason=repr(error))
        return _refusal(Busy("The service is busy; try again in a moment."))
    logger.exception("A request failed")
    return _refusal(InternalError("The service failed. Please try again later."))


def _refusal(error: ClassifierError, headers: Headers | None = None) -> Response[str]:
    logger.info("refused", code=error.code, reason=str(error))
    if isinstance(error, PhotoError):
        count_failure(error.code)
    body = {
        "error": {"code": error.code, "message": str(error)},
        "request_id": _resolver.current_event.request_context.request_id,
    }
    retry_after: Headers = {"Retry-After": str(_RETRY_AFTER_SECONDS)} if isinstance(error, Busy) else {}
    return _answer(error.status, body, {**retry_after, **(headers or {})})


def _classify_request() -> Classification:
    """Classify the photo in the request, and save the result."""
    services = _services()
    services.decoders.start()  # it gets ready while this process fetches the photo
    stopwatch = Stopwatch()
    with stopwatch.stage("fetch"):
        data, source = _requested_photo(services)
    classification = classify(data, Origin.new(data, source), services, stopwatch)
    expires_at = classification.created_at + timedelta(days=services.settings.retention_days)
    save_new(classification, Row(classification.id), services, stopwatch, expires_at)
    return classification


def _requested_photo(services: Services) -> tuple[bytes, Source]:
    """Return the image in the body, whatever its Content-Type, or the image at the body's `url`."""
    from classifier.containers import is_known_format  # noqa: PLC0415 - few requests need it

    body = read_body(_resolver.current_event)
    is_image = _resolver.current_event.headers.get("Content-Type", "").lower().startswith("image/")
    if is_image or (body and is_known_format(body)):
        return body, Source.BYTES
    url = parse_object(body, _EXPECTED_PHOTO).get("url")
    if not isinstance(url, str):
        raise InvalidRequest(f"`url` is missing or not a string. {_EXPECTED_PHOTO}")
    return services.downloader.fetch(url), Source.URL


def _parse_filter(parameters: dict[str, str]) -> Filter:
    if parameters.get("batch") == "":
        raise InvalidRequest("`batch` is empty.")
    return Filter(
        label=_known_label(parameters["label"]) if "label" in parameters else None,
        status=parse_choice("status", parameters, {status.value: status for status in Status}),
        needs_review=parse_choice("needs_review", parameters, {"true": True, "false": False}),
        batch=parameters.get("batch"),
    )


def _known_label(label: str) -> str:
    labels = _services().description.labels
    if label not in labels:
        raise InvalidRequest(f"Unknown label {quote(label)}. Known labels: {', '.join(labels)}.")
    return label


def _matches(if_none_match: str, etag: str) -> bool:
    """Return whether the header contains the ETag, by weak comparison (RFC 9110, section 13.1.2)."""
    candidates = {candidate.strip().removeprefix("W/") for candidate in if_none_match.split(",")}
    return etag in candidates or "*" in candidates


def _location(photo_id: str) -> str:
    return f"{_resolver.context['prefix']}/classifications/{encode_path(photo_id)}"


def _services() -> Services:
    services: Services = _resolver.context["services"]
    return services


def _prefix(full_path: str, path: str) -> str:
    """Return what is before the path: a stage, or the base path of a domain. The path of `…/prod` is `/`, too."""
    if path == "/":
        return full_path.rstrip("/")
    return full_path.removesuffix(path) if full_path.endswith(path) else ""


def _path_below_stage(event: dict[str, Any]) -> str:
    """Return the path without the stage. API Gateway removes the stage itself; some emulators and tests do not."""
    path: str = event.get("path") or "/"
    stage = event["requestContext"].get("stage")
    return path.removeprefix(f"/{stage}") or "/" if stage and f"{path}/".startswith(f"/{stage}/") else path


def _page(name: str, uploads_origin: str = "") -> Response[str]:
    html, policy = page(name, _resolver.context["prefix"], uploads_origin)
    headers: Headers = {
        "Content-Security-Policy": policy,
        "Cache-Control": "no-cache",
        "Referrer-Policy": "no-referrer",
    }
    return Response(HTTPStatus.OK, "text/html; charset=utf-8", html, headers)


def _answer(status: HTTPStatus, content: dict[str, Any], headers: Headers | None = None) -> Response[str]:
    return Response(status, content_types.APPLICATION_JSON, json.dumps(content, ensure_ascii=False), headers)
