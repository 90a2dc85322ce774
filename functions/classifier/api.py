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

from classifier.classification import Classification, Person, Source, Status
from classifier.classify import Origin, classify
from classifier.confirmations import Precondition, confirm, confirm_listing, take_back, take_back_listing
from classifier.cors import allow_origin, embedding_origins, preflight_headers
from classifier.cursors import decode_cursor, encode_cursor
from classifier.deletions import delete_classification, delete_listing
from classifier.errors import (
    CHANGED,
    Busy,
    ClassifierError,
    InternalError,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    PhotoError,
    PreconditionFailed,
    quote,
)
from classifier.indexes import Filter
from classifier.listings import describe_listing, read_photos, without_deleted
from classifier.openapi import allowed_methods, describe_api
from classifier.pages import page
from classifier.reconcile import find_pending
from classifier.records import Conflict, Listing, Row
from classifier.request_parsing import (
    id_in_path,
    parse_choice,
    parse_limit,
    parse_object,
    query_parameters,
    read_body,
)
from classifier.results import save_new
from classifier.sellers import SELLERS_PREFIX, bearer_token, check_scope
from classifier.services import Services
from classifier.telemetry import Stopwatch, count_failure, logger
from classifier.thumbnails import make_thumbnail
from classifier.tokens import issue_token, read_token
from classifier.upload_forms import (
    EXPECTED_FILES,
    add_to_listing,
    create_listing,
    parse_files,
    parse_idempotency_key,
    sign_form,
)

if TYPE_CHECKING:
    from aws_lambda_powertools.event_handler.middlewares import NextMiddleware
    from aws_lambda_powertools.utilities.typing import LambdaContext

_RETRY_AFTER_SECONDS = 1  # a photo takes less than that once its event has arrived
_EXPECTED_PHOTO = 'Send {"url": "https://…"} as JSON, or the bytes of an image with a Content-Type such as image/jpeg.'
_EXPECTED_LABEL = 'Send {"label": "t-shirt"} as JSON, or {"label": null} for none of the labels.'
_LIST_PARAMETERS = ("label", "status", "needs_review", "confirmed", "batch", "limit", "cursor")
_NO_PATH = "This path does not exist. GET /openapi.json lists those that do."
_PAGES = ("/", "/desk", "/docs")  # people may add anything to their addresses
_DEFAULT_PAGE, _LARGEST_PAGE = 20, 100
_BOOLEANS = {"true": True, "false": False}

_DEFAULT_HEADERS = {"Cache-Control": ["no-store"], "X-Content-Type-Options": ["nosniff"]}

Headers = dict[str, str | list[str]]

_resolver = APIGatewayRestResolver()


def handle_request(event: dict[str, Any], context: "LambdaContext", services: Services) -> dict[str, Any]:
    """Answer an event of API Gateway's REST proxy integration, in the form that API Gateway expects."""
    path = _path_below_stage(event)
    prefix = _prefix(event["requestContext"].get("path") or path, path)
    is_sellers = path.startswith(SELLERS_PREFIX + "/")
    if is_sellers:
        path, prefix = path.removeprefix(SELLERS_PREFIX), prefix + SELLERS_PREFIX
    _resolver.append_context(services=services, prefix=prefix, is_sellers=is_sellers, listing=None)
    is_head = event["httpMethod"] == "HEAD"
    method = "GET" if is_head else event["httpMethod"]
    answer: dict[str, Any] = _resolver.resolve({**event, "path": path, "httpMethod": method}, context)
    answer["multiValueHeaders"] = {**_DEFAULT_HEADERS, **allow_origin(event), **answer["multiValueHeaders"]}
    if is_head or answer["body"] is None:  # a 204 or 304 has none
        return {**answer, "body": "", "isBase64Encoded": False}
    return answer


def check_request(resolver: APIGatewayRestResolver, handle: "NextMiddleware") -> Any:
    """Refuse what a token does not open, and parameters of the query that the route does not know."""
    event = resolver.current_event
    if resolver.context["is_sellers"] and event.http_method != "OPTIONS":
        token = bearer_token(event.headers.get("Authorization", ""))
        listing = read_token(token, _services().signing_keys)
        check_scope(event.http_method, event.path, listing)
        resolver.append_context(listing=listing, token=token)
    is_list = (event.http_method, event.path) == ("GET", "/classifications")
    if event.path not in _PAGES and event.http_method != "OPTIONS":  # a preflight has the query of its request
        query_parameters(event, _LIST_PARAMETERS if is_list else ())
    return handle(resolver)


_resolver.use(middlewares=[check_request])


@_resolver.route("/.*", "OPTIONS")
def answer_preflight() -> Response[str]:
    """Tell browsers what pages of other origins may send (CORS)."""
    methods = allowed_methods(_resolver.current_event.path)
    if not methods:
        raise NotFound(_NO_PATH)
    return Response(HTTPStatus.NO_CONTENT, headers=preflight_headers([*methods, "OPTIONS"]))


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
    return _answer(HTTPStatus.CREATED, _show(classification), {"Location": _location(classification.id)})


@_resolver.get("/classifications/.+")
def read_classification() -> Response[str]:
    """Return the classification of an upload or of an earlier request."""
    photo_id = id_in_path(_resolver.current_event.path, "/classifications/")
    services = _services()
    row = services.records.read(photo_id)
    classification = row.classification or find_pending(row, services)
    return _answer_state(_show(classification), pending=classification.status is Status.PENDING)


@_resolver.delete("/classifications/.+")
def remove_classification() -> Response[str]:
    """Delete a photo and its record."""
    photo_id = id_in_path(_resolver.current_event.path, "/classifications/")
    delete_classification(photo_id, _services(), _precondition())
    return Response(HTTPStatus.NO_CONTENT)


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
            "items": [_show(classification) for classification in found.classifications],
            "next_cursor": found.position and encode_cursor(found.position, wanted, key),
        },
    )


@_resolver.get("/batches/.+")
def read_batch() -> Response[str]:
    """Return how far the photos of a listing are, and what they say together."""
    return _answer_batch(id_in_path(_resolver.current_event.path, "/batches/"))


@_resolver.put("/batches/.+/confirmation")
def confirm_batch() -> Response[str]:
    """Store what a person says about a whole listing."""
    batch_id = id_in_path(_resolver.current_event.path.removesuffix("/confirmation"), "/batches/")
    confirm_listing(batch_id, _requested_label(), _person(), _services(), _seen_listing(batch_id))
    return _answer_batch(batch_id)


@_resolver.delete("/batches/.+/confirmation")
def take_back_batch() -> Response[str]:
    """Remove what a person said about a whole listing."""
    batch_id = id_in_path(_resolver.current_event.path.removesuffix("/confirmation"), "/batches/")
    take_back_listing(batch_id, _services(), _seen_listing(batch_id))
    return _answer_batch(batch_id)


@_resolver.delete("/batches/.+")  # after the route above, whose paths it matches, too
def remove_batch() -> Response[str]:
    """Delete all photos of a listing and their records."""
    batch_id = id_in_path(_resolver.current_event.path, "/batches/")
    _seen_listing(batch_id)
    delete_listing(batch_id, _services())
    return Response(HTTPStatus.NO_CONTENT)


@_resolver.put("/confirmations/.+")
def confirm_label() -> Response[str]:
    """Store what a person says about one photo: agree, correct, or none of the labels."""
    photo_id = id_in_path(_resolver.current_event.path, "/confirmations/")
    confirmed = confirm(photo_id, _requested_label(), _person(), _services(), _precondition())
    return _answer_state(_show(confirmed), pending=confirmed.status is Status.PENDING)


@_resolver.delete("/confirmations/.+")
def take_back_label() -> Response[str]:
    """Remove what a person said about one photo."""
    photo_id = id_in_path(_resolver.current_event.path, "/confirmations/")
    remaining = take_back(photo_id, _services(), _precondition())
    return _answer_state(_show(remaining), pending=remaining.status is Status.PENDING)


@_resolver.post("/uploads")
def create_uploads() -> Response[str]:
    """Return presigned forms by which the photos of one listing go straight to the bucket."""
    content = parse_object(read_body(_resolver.current_event), EXPECTED_FILES, ("files", "batch_id"))
    services, own = _services(), _resolver.context["listing"]
    files, batch_id = parse_files(content), content.get("batch_id", own)
    key = parse_idempotency_key(_resolver.current_event.headers.get("Idempotency-Key"))
    if "batch_id" in content and not isinstance(batch_id, str):
        raise InvalidRequest("`batch_id` must be a string: that of an earlier answer.")
    if own is not None and batch_id != own:
        raise NotFound.batch(batch_id)
    if batch_id is None:
        listing = create_listing(files, key, services)
    else:
        listing = add_to_listing(files, batch_id, key, services)
    items = [{**item, "status_url": _location(item["id"])} for item in listing["items"]]
    token = _resolver.context.get("token") or issue_token(listing["batch_id"], services.signing_keys)
    return _answer(HTTPStatus.CREATED, {"batch_id": listing["batch_id"], "token": token, "items": items})


@_resolver.get("/thumbnails/.+")
def show_thumbnail() -> Response[bytes]:
    """Return a small picture of an upload."""
    photo_id = id_in_path(_resolver.current_event.path, "/thumbnails/")
    known = _resolver.current_event.headers.get("If-None-Match", "")
    thumbnail = make_thumbnail(photo_id, lambda etag: _matches(known, etag), _services())
    headers: Headers = {"ETag": thumbnail.etag, "Cache-Control": "private, no-cache"}
    if thumbnail.jpeg is None:
        return Response(HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(HTTPStatus.OK, "image/jpeg", thumbnail.jpeg, headers)


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
            "categories": description.categories,
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
    return _page(
        "seller",
        uploads=f"{bucket.scheme}://{bucket.netloc}",
        embedders=embedding_origins(_resolver.current_event.raw_event),
        max_bytes=_services().settings.limits.file_bytes,
    )


@_resolver.get("/desk")
def show_desk() -> Response[str]:
    """Return the review desk, the page of the shop's staff."""
    return _page("desk")


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
        return _refusal(NotFound(_NO_PATH))
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
    content_type = _resolver.current_event.headers.get("Content-Type", "").lower()
    is_image = content_type.startswith(("image/", "application/octet-stream"))
    if is_image or (body and is_known_format(body)):
        return body, Source.BYTES
    url = parse_object(body, _EXPECTED_PHOTO, ("url",)).get("url")
    if not isinstance(url, str):
        raise InvalidRequest(f"`url` is missing or not a string. {_EXPECTED_PHOTO}")
    return services.downloader.fetch(url), Source.URL


def _parse_filter(parameters: dict[str, str]) -> Filter:
    if parameters.get("batch") == "":
        raise InvalidRequest("`batch` is empty.")
    return Filter(
        label=_known_label(parameters["label"]) if "label" in parameters else None,
        status=parse_choice("status", parameters, {status.value: status for status in Status}),
        needs_review=parse_choice("needs_review", parameters, _BOOLEANS),
        confirmed=parse_choice("confirmed", parameters, _BOOLEANS),
        batch=parameters.get("batch"),
    )


def _requested_label() -> str | None:
    """Return the label in the body. None stands for none of the labels."""
    content = parse_object(read_body(_resolver.current_event), _EXPECTED_LABEL, ("label",))
    if "label" not in content or not isinstance(content["label"], str | None):
        raise InvalidRequest(f"`label` is missing or not a string. {_EXPECTED_LABEL}")
    return None if content["label"] is None else _known_label(content["label"])


def _person() -> Person:
    """Return who sends the request: a seller with the token of a listing, or the shop with its key."""
    return Person.SHOP if _resolver.context["listing"] is None else Person.SELLER


def _show(classification: Classification) -> dict[str, Any]:
    return classification.to_json(_services().description.categories)


def _answer_batch(batch_id: str) -> Response[str]:
    content = _show_listing(_services().records.read_listing(batch_id))
    return _answer_state(content, pending=content["pending"] > 0)


def _show_listing(listing: Listing) -> dict[str, Any]:
    services = _services()
    photos = without_deleted(read_photos(listing.batch_id, services), listing)
    is_sellers = _resolver.context["listing"] is not None and listing.exists
    if not photos and not is_sellers:  # new photos are missing for a second, and the shop's clients would not wait
        raise NotFound.batch(listing.batch_id)
    return {**describe_listing(listing, photos, services), "items": [_show(photo) for photo in photos]}


def _answer_state(content: dict[str, Any], *, pending: bool) -> Response[str]:
    """Answer with an ETag, or with 304 if the client has this state already. `pending` asks it to come again."""
    body, etag = json.dumps(content, ensure_ascii=False), _etag(content)
    headers: Headers = {"ETag": etag, "Cache-Control": "no-cache"}
    if pending:
        headers["Retry-After"] = str(_RETRY_AFTER_SECONDS)
    is_known = _matches(_resolver.current_event.headers.get("If-None-Match", ""), etag)
    if _resolver.current_event.http_method == "GET" and is_known:
        return Response(HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(HTTPStatus.OK, content_types.APPLICATION_JSON, body, headers)


def _etag(content: dict[str, Any]) -> str:
    body = json.dumps(content, ensure_ascii=False)
    return f'"{hashlib.sha256(body.encode()).hexdigest()[:32]}"'


def _precondition() -> Precondition | None:
    """Return what checks a photo by the headers `If-Match` and `If-None-Match`. None if there are none."""
    return (lambda known: _check_preconditions(_show(known))) if _has_conditions() else None


def _seen_listing(batch_id: str) -> Listing | None:
    """Return the listing if it passes the headers `If-Match` and `If-None-Match`. None if there are none."""
    if not _has_conditions():
        return None
    listing = _services().records.read_listing(batch_id)
    _check_preconditions(_show_listing(listing))
    return listing


def _has_conditions() -> bool:
    return any(_resolver.current_event.headers.get(name) for name in ("If-Match", "If-None-Match"))


def _check_preconditions(content: dict[str, Any]) -> None:
    """Raise `PreconditionFailed` (RFC 9110, section 13.1). `content` is what the request would change.

    `If-None-Match: *` is about its confirmation. ETags that a proxy has marked as weak count, too.
    """
    headers = _resolver.current_event.headers
    expected, only_first = headers.get("If-Match"), headers.get("If-None-Match")
    if only_first not in {None, "*"}:
        raise InvalidRequest("`If-None-Match` must be `*` here.")
    if only_first and content["confirmation"]:
        raise PreconditionFailed("Somebody has said already what it shows.")
    if expected and not _matches(expected, _etag(content)):
        raise PreconditionFailed(CHANGED)


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


def _page(name: str, **options: Any) -> Response[str]:
    html, policy = page(name, _resolver.context["prefix"], **options)
    headers: Headers = {
        "Content-Security-Policy": policy,
        "Cache-Control": "no-cache",
        "Referrer-Policy": "no-referrer",
    }
    return Response(HTTPStatus.OK, "text/html; charset=utf-8", html, headers)


def _answer(status: HTTPStatus, content: dict[str, Any], headers: Headers | None = None) -> Response[str]:
    return Response(status, content_types.APPLICATION_JSON, json.dumps(content, ensure_ascii=False), headers)
