"""The HTTP API: routes, statuses, errors to answers."""

import base64
import hashlib
import itertools
import json
import re
import uuid
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from functools import cache
from http import HTTPStatus
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar
from urllib.parse import quote, unquote, urlsplit

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response, content_types
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.utilities.typing import LambdaContext

from classifier.announcements import News, announce
from classifier.batches import count, verdict
from classifier.classify import Origin, classify
from classifier.confirmations import confirmed
from classifier.cursors import opened, sealed
from classifier.errors import (
    Busy,
    ClassifierError,
    InternalError,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    PhotoError,
    may_pass,
)
from classifier.pages import page
from classifier.records import LONGEST_KEY, Classification, Conflict, Filter, Source, Status, format_time
from classifier.services import Services
from classifier.telemetry import Stopwatch, count_failure, logger, report
from classifier.uploads import PREFIX, awaited, unknown

_RETRY_AFTER_SECONDS = 1  # a photo takes less than that once its event arrives
_UPLOAD_LIFE = timedelta(hours=1)
_MOST_FILES = 50
_LONGEST_NAME = 200  # bytes of UTF-8; S3 takes 1,024 for the whole key
_IMAGE_TYPES = (
    "image/jpeg",
    "image/png",
    "image/webp",
    "image/gif",
    "image/bmp",
    "image/tiff",
    "image/heic",
    "image/heif",
    "image/avif",
)
# "/" would make folders, "." and ".." lead elsewhere in a URL, and S3 replaces "${filename}" in a posted form's key.
_FORBIDDEN_IN_NAMES = re.compile(r"[\x00-\x1f\x7f/\\]|\$\{|^\.{1,2}$")
_EXPECTED_PHOTO = 'Send {"url": "https://…"} as JSON, or the bytes of an image with a Content-Type such as image/jpeg.'
_EXPECTED_LABEL = 'Send {"label": "t-shirt"} as JSON.'
_LIST_PARAMETERS = ("label", "status", "needs_review", "batch", "limit", "cursor")
_PAGE, _LARGEST_PAGE = 20, 100
_LARGEST_BATCH = 1000  # photos; what Lambda answers may have 6 MB
_EXPECTED_FILES = 'Send {"files": [{"name": "front.jpg", "content_type": "image/jpeg"}]} as JSON.'

Meaning = TypeVar("Meaning")

_resolver = APIGatewayRestResolver()


def handle_request(event: dict[str, Any], context: LambdaContext, services: Services) -> dict[str, Any]:
    """Answer an event of API Gateway's REST proxy integration in the form that API Gateway expects."""
    path = _routed_path(event)
    full_path = event["requestContext"].get("path") or path
    prefix = full_path.removesuffix(path) if full_path.endswith(path) else ""
    _resolver.append_context(services=services, prefix=prefix)
    is_head = event["httpMethod"] == "HEAD"
    method = "GET" if is_head else event["httpMethod"]
    answer: dict[str, Any] = _resolver.resolve({**event, "path": path, "httpMethod": method}, context)
    return {**answer, "body": ""} if is_head else answer


@_resolver.post("/predict")
def predict() -> Response[str]:
    """The flat map of scores in label order, as the tutorials' clients know it."""
    classification, labels = _classify_request()
    return _answer(
        HTTPStatus.OK,
        {label: classification.scores[label] for label in labels},
        {"Location": _location(classification.id)},
    )


@_resolver.post("/classifications")
def create_classification() -> Response[str]:
    """The whole classification of a photo that comes as a URL or as bytes."""
    classification, _ = _classify_request()
    return _answer(HTTPStatus.CREATED, classification.to_json(), {"Location": _location(classification.id)})


@_resolver.get("/classifications/.+")
def read_classification() -> Response[str]:
    """The classification of an upload or of an earlier request."""
    identifier = _identifier_in_path("/classifications/")
    services = _services()
    classification = services.records.read(identifier).classification or awaited(identifier, services)
    body = json.dumps(classification.to_json(), ensure_ascii=False)
    etag = f'"{hashlib.sha256(body.encode()).hexdigest()[:32]}"'
    headers = {"ETag": etag, "Cache-Control": "no-cache"}
    if classification.status is Status.PENDING:
        headers["Retry-After"] = str(_RETRY_AFTER_SECONDS)
    if _matches(_resolver.current_event.headers.get("If-None-Match", ""), etag):
        return Response(HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(HTTPStatus.OK, content_types.APPLICATION_JSON, body, headers)


@_resolver.get("/classifications")
def list_classifications() -> Response[str]:
    """Classifications of some kind, newest first, page by page."""
    services = _services()
    parameters = _parameters()
    wanted = Filter(
        label=_known_label(parameters["label"]) if "label" in parameters else None,
        status=_one_of("status", parameters, {status.value: status for status in Status}),
        needs_review=_one_of("needs_review", parameters, {"true": True, "false": False}),
        batch=_one_batch(parameters.get("batch")),
    )
    limit = parameters.get("limit", str(_PAGE))
    if not (limit.isascii() and limit.isdecimal()) or not 1 <= int(limit) <= _LARGEST_PAGE:
        raise InvalidRequest(f"`limit` must be a number from 1 to {_LARGEST_PAGE}.")
    key = services.settings.cursor_key
    position = opened(parameters["cursor"], wanted, key) if "cursor" in parameters else None
    page = services.records.page(wanted, int(limit), position)
    return _answer(
        HTTPStatus.OK,
        {
            "items": [classification.to_json() for classification in page.classifications],
            "next_cursor": page.position and sealed(page.position, wanted, key),
        },
    )


@_resolver.get("/batches/.+")
def read_batch() -> Response[str]:
    """How far the photos of a listing are, and what they say together."""
    batch_id = _identifier_in_path("/batches/")
    photos = _services().records.page(Filter(batch=batch_id), _LARGEST_BATCH).classifications
    if not photos:
        raise NotFound(f"There is no batch {batch_id!r}.")
    label, confidence = verdict(photos) or (None, None)
    answer = {
        "batch_id": batch_id,
        "total": len(photos),
        **{status.value.lower(): count(photos, status) for status in Status},
        "label": label,
        "confidence": confidence,
        "items": [photo.to_json() for photo in photos],
    }
    headers: dict[str, str | list[str]] = {"Retry-After": str(_RETRY_AFTER_SECONDS)} if answer["pending"] else {}
    return _answer(HTTPStatus.OK, answer, headers)


@_resolver.put("/confirmations/.+")
def confirm() -> Response[str]:
    """The seller agrees with the label, or says the right one."""
    identifier = _identifier_in_path("/confirmations/")
    label = _json_object(_body(), _EXPECTED_LABEL).get("label")
    if not isinstance(label, str):
        raise InvalidRequest(f"`label` is missing or not a string. {_EXPECTED_LABEL}")
    classification = confirmed(identifier, _known_label(label), _services())
    announce(News.CONFIRMED, classification, _services())
    return _answer(HTTPStatus.OK, classification.to_json())


@_resolver.post("/uploads")
def create_uploads() -> Response[str]:
    """Presigned forms through which photos of one listing go straight to the bucket."""
    services = _services()
    now = datetime.now(UTC)
    expires_at = now + _UPLOAD_LIFE
    batch_id = uuid.uuid4().hex
    files = _requested_files()
    announced = [
        Classification(f"{batch_id}/{name}", Status.PENDING, Source.S3, created_at=now, scores={}) for name, _ in files
    ]
    services.records.create(announced, expires_at)
    items = [
        {
            "id": classification.id,
            **_upload_form(classification.id, content_type, services),
            "status_url": _location(classification.id),
            "expires_at": format_time(expires_at),
        }
        for classification, (_, content_type) in zip(announced, files, strict=True)
    ]
    return _answer(HTTPStatus.CREATED, {"batch_id": batch_id, "items": items})


@_resolver.get("/model")
def read_model() -> Response[str]:
    """What the model is and how well it knows."""
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
    """Have the model answer once."""
    model = _services().model
    model.check()
    return _answer(HTTPStatus.OK, {"status": "ok", "model_version": model.description.version})


@_resolver.get("/")
def show_page() -> Response[str]:
    """For sellers, in their browsers."""
    services = _services()
    form = _upload_form("any", _IMAGE_TYPES[0], services)
    return _page("seller", "{0.scheme}://{0.netloc}".format(urlsplit(form["url"])))


@_resolver.get("/docs")
def show_docs() -> Response[str]:
    """For developers: what `GET /openapi.json` says, to read."""
    return _page("docs")


@_resolver.get("/openapi.json")
def describe() -> Response[str]:
    """All of this, for machines."""
    document = _openapi()
    components = document["components"]
    known = {**components["schemas"]["KnownLabel"], "enum": _services().description.labels}
    components = {**components, "schemas": {**components["schemas"], "KnownLabel": known}}
    servers = [{"url": _resolver.context["prefix"] or "/"}]
    return _answer(HTTPStatus.OK, {**document, "servers": servers, "components": components})


@_resolver.exception_handler(ClassifierError)
def explain(error: ClassifierError) -> Response[str]:
    """Each error of ours as the answer that its class names."""
    return _refusal(error)


@_resolver.not_found
def explain_no_route(_: NotFoundError) -> Response[str]:
    """A path or method that is none of ours."""
    allowed = _methods(_resolver.current_event.path)
    if allowed:
        message = f"{_resolver.current_event.http_method} is not for this path; it answers {', '.join(allowed)}."
        return _refusal(MethodNotAllowed(message), {"Allow": ", ".join(allowed)})
    return _refusal(NotFound("There is nothing here. What there is, GET /openapi.json tells."))


@_resolver.exception_handler(Exception)
def explain_fault(error: Exception) -> Response[str]:
    """Anything unforeseen: the log tells all of it, the caller learns that it is our fault."""
    if isinstance(error, Conflict) or may_pass(error):  # another try has another id
        logger.warning("A request met a fault that may pass", reason=repr(error))
        return _refusal(Busy("The service is busy; try again in a moment."))
    logger.exception("A request failed")
    return _refusal(InternalError("The service failed to answer. The fault is ours; try again later."))


def _refusal(error: ClassifierError, headers: dict[str, str | list[str]] | None = None) -> Response[str]:
    logger.info("refused", code=error.code, reason=str(error))
    if isinstance(error, PhotoError):
        count_failure(error.code)
    body = {
        "error": {"code": error.code, "message": str(error)},
        "request_id": _resolver.current_event.request_context.request_id,
    }
    if isinstance(error, Busy):
        headers = {"Retry-After": str(_RETRY_AFTER_SECONDS)}
    return _answer(error.status, body, headers)


def _classify_request() -> tuple[Classification, tuple[str, ...]]:
    """Classify the photo of the request and keep the record; gives it with the model's labels in their order."""
    services = _services()
    stopwatch = Stopwatch()
    with stopwatch.stage("fetch"):
        data, source = _requested_photo(services)
    classification = classify(data, Origin.new(data, source), services, stopwatch)
    with stopwatch.stage("store"):
        expires_at = classification.created_at + timedelta(days=services.settings.retention_days)
        services.records.create([classification], expires_at)
        announce(News.CLASSIFIED, classification, services)
    report(classification, stopwatch)
    return classification, services.description.labels


def _requested_photo(services: Services) -> tuple[bytes, Source]:
    """The image in the body, whatever it is called, or the one behind the body's `url`."""
    from classifier.photos import is_known_format  # noqa: PLC0415 - numpy and Pillow, which most requests do without

    body = _body()
    is_image = _resolver.current_event.headers.get("Content-Type", "").lower().startswith("image/")
    if body and (is_image or is_known_format(body)):
        return body, Source.BYTES
    url = _json_object(body, _EXPECTED_PHOTO).get("url")
    if not isinstance(url, str):
        raise InvalidRequest(f"`url` is missing or not a string. {_EXPECTED_PHOTO}")
    return services.downloader.fetch(url), Source.URL


def _body() -> bytes:
    event = _resolver.current_event
    text = event.body or ""
    if not event.is_base64_encoded:
        return text.encode()
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise InvalidRequest("The body is not valid base64.") from error


def _json_object(body: bytes, expected: str) -> dict[str, Any]:
    """The body's JSON object; `expected` tells the caller what to send instead of anything else."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"The body is not JSON. {expected}") from error
    if not isinstance(content, dict):
        raise InvalidRequest(f"The body is not a JSON object. {expected}")
    return content


def _parameters() -> dict[str, str]:
    """Those of the query, each of them known and said once."""
    said = _resolver.current_event.raw_event.get("multiValueQueryStringParameters") or {}
    for name, values in said.items():
        if name not in _LIST_PARAMETERS:
            raise InvalidRequest(f"There is no parameter {name!r}; there are {', '.join(_LIST_PARAMETERS)}.")
        if len(values) > 1:
            raise InvalidRequest(f"`{name}` is there {len(values)} times.")
    return {name: values[0] for name, values in said.items()}


def _one_of(name: str, parameters: dict[str, str], meanings: dict[str, Meaning]) -> Meaning | None:
    if name not in parameters:
        return None
    if parameters[name] not in meanings:
        raise InvalidRequest(f"`{name}` must be one of {', '.join(meanings)}.")
    return meanings[parameters[name]]


def _one_batch(batch: str | None) -> str | None:
    if batch == "":
        raise InvalidRequest("`batch` is empty.")
    return batch


def _known_label(label: str) -> str:
    labels = _services().description.labels
    if label not in labels:
        raise InvalidRequest(f"There is no label {label!r}; there are {', '.join(labels)}.")
    return label


def _requested_files() -> list[tuple[str, str]]:
    """Name and content type of each file that a listing announces, no two of one name."""
    files = _json_object(_body(), _EXPECTED_FILES).get("files")
    if not isinstance(files, list) or not 1 <= len(files) <= _MOST_FILES:
        raise InvalidRequest(f"`files` must be a list of 1 to {_MOST_FILES} files.")
    taken: set[str] = set()
    named = []
    for file in files:
        name, content_type = _checked_file(file)
        name = _unused(name, taken)
        taken.add(name)
        named.append((name, content_type))
    return named


def _checked_file(file: object) -> tuple[str, str]:
    if not isinstance(file, dict) or not isinstance(name := file.get("name"), str):
        raise InvalidRequest(f"Each of `files` needs a `name`. {_EXPECTED_FILES}")
    if not _is_file_name(name):
        raise InvalidRequest(
            f"A file's `name` must have 1 to {_LONGEST_NAME} bytes, and no slash, no control character and no '${{'."
        )
    content_type = file.get("content_type")
    if content_type not in _IMAGE_TYPES:
        raise InvalidRequest(f"A file's `content_type` must be one of {', '.join(_IMAGE_TYPES)}.")
    return name, content_type


def _is_file_name(name: str) -> bool:
    try:
        length = len(name.encode())
    except UnicodeEncodeError:  # JSON can spell half of a surrogate pair
        return False
    return 0 < length <= _LONGEST_NAME and not _FORBIDDEN_IN_NAMES.search(name)


def _unused(name: str, taken: set[str]) -> str:
    """The name, or one with a number before its ending: two photos from two phones may both be IMG_0001.jpg."""
    path = PurePosixPath(name)
    numbered = (f"{path.stem}-{number}{path.suffix}" for number in itertools.count(2))
    return next(candidate for candidate in itertools.chain([name], numbered) if candidate not in taken)


def _upload_form(identifier: str, content_type: str, services: Services) -> dict[str, Any]:
    """URL and fields of a form that admits this key, this type and no file over the limit."""
    form: dict[str, Any] = services.s3.generate_presigned_post(
        Bucket=services.settings.bucket,
        Key=PREFIX + identifier,
        Fields={"Content-Type": content_type},
        Conditions=[
            {"Content-Type": content_type},
            ["content-length-range", 1, services.settings.limits.file_bytes],
        ],
        ExpiresIn=int(_UPLOAD_LIFE.total_seconds()),
    )
    return form


def _identifier_in_path(prefix: str) -> str:
    """The id behind the prefix, with what is percent-encoded decoded."""
    encoded = _resolver.current_event.path.removeprefix(prefix)
    try:
        identifier = unquote(encoded, errors="strict")
    except UnicodeDecodeError as error:  # no key is spelt like that: S3's are UTF-8
        raise unknown(encoded) from error
    if len((PREFIX + identifier).encode()) > LONGEST_KEY:
        raise unknown(identifier)
    return identifier


@cache
def _openapi() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(Path(__file__).with_name("openapi.json").read_text(encoding="utf-8"))
    return document


def _methods(path: str) -> list[str]:
    """What may be asked of a path: nothing if there is none such."""
    for template, operations in _openapi()["paths"].items():
        if fnmatchcase(path, re.sub(r"{\w+}", "?*", template)):  # ids may hold slashes
            methods = [name.upper() for name in operations]
            return [*methods, "HEAD"] if "GET" in methods else methods
    return []


def _matches(if_none_match: str, etag: str) -> bool:
    """Weak comparison of RFC 9110, section 13.1.2."""
    candidates = {candidate.strip().removeprefix("W/") for candidate in if_none_match.split(",")}
    return etag in candidates or "*" in candidates


def _location(identifier: str) -> str:
    return f"{_resolver.context['prefix']}/classifications/{quote(identifier)}"


def _services() -> Services:
    services: Services = _resolver.context["services"]
    return services


def _routed_path(event: dict[str, Any]) -> str:
    """The path below the stage: API Gateway strips the stage itself, some emulators and tests do not."""
    path: str = event.get("path") or "/"
    stage = event["requestContext"].get("stage")
    return path.removeprefix(f"/{stage}") if stage and path.startswith(f"/{stage}/") else path


def _page(name: str, uploads: str = "") -> Response[str]:
    html, policy = page(name, _resolver.context["prefix"], uploads)
    headers: dict[str, str | list[str]] = {
        "Content-Security-Policy": policy,
        "Cache-Control": "no-cache",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
    return Response(HTTPStatus.OK, "text/html; charset=utf-8", html, headers)


def _answer(
    status: HTTPStatus, content: dict[str, Any], headers: dict[str, str | list[str]] | None = None
) -> Response[str]:
    return Response(status, content_types.APPLICATION_JSON, json.dumps(content, ensure_ascii=False), headers)
