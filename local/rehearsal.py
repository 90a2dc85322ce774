"""The faults of a rehearsal, which `make run FAIL=name` starts. docs/rehearsal.md describes them for people on call.

The emulator of AWS, the gateway and the function's settings have the faults, so the function has no code for them.
Imports only the standard library, so that a wrong name is reported even if the installation is incomplete.
"""

import json
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_DESCRIPTION, _NETWORK = "model.json", "clothing.tflite"
# Not the operations that create the table.
_TABLE_OPERATIONS = ("GetItem", "BatchGetItem", "PutItem", "Query")
_UPLOADS = "/photos/uploads/"
_SLOW_SECONDS = 16  # DurationAlarm has a threshold of 15 seconds
_PAUSE_SECONDS = 1  # the SDK waits 3 seconds for the next bytes

Middleware = Callable[["WSGIApplication", "WSGIEnvironment", "StartResponse"], Iterable[bytes]]


def pass_on(
    application: "WSGIApplication", environ: "WSGIEnvironment", start_response: "StartResponse"
) -> Iterable[bytes]:
    """Answer as the emulator of AWS does."""
    return application(environ, start_response)


def _throttle_table(
    application: "WSGIApplication", environ: "WSGIEnvironment", start_response: "StartResponse"
) -> Iterable[bytes]:
    service, _, operation = environ.get("HTTP_X_AMZ_TARGET", "").partition(".")
    if not service.startswith("DynamoDB_") or operation not in _TABLE_OPERATIONS:
        return application(environ, start_response)
    error = {
        "__type": "com.amazon.coral.availability#ThrottlingException",
        "message": "Rate of requests exceeds limits",
    }
    return _answer(environ, start_response, "400 Bad Request", "application/x-amz-json-1.0", json.dumps(error))


def _forbid_reading(
    application: "WSGIApplication", environ: "WSGIEnvironment", start_response: "StartResponse"
) -> Iterable[bytes]:
    if not _reads_photo(environ):
        return application(environ, start_response)
    error = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
    return _answer(environ, start_response, "403 Forbidden", "application/xml", error)


def _send_slowly(
    application: "WSGIApplication", environ: "WSGIEnvironment", start_response: "StartResponse"
) -> Iterable[bytes]:
    answer = application(environ, start_response)
    return _trickle(b"".join(answer)) if _reads_photo(environ) else answer


def _trickle(content: bytes) -> Iterator[bytes]:
    """Yield the content in small parts over `_SLOW_SECONDS`."""
    size = len(content) * _PAUSE_SECONDS // _SLOW_SECONDS + 1
    for start in range(0, len(content), size):
        time.sleep(_PAUSE_SECONDS)
        yield content[start : start + size]


def _reads_photo(environ: "WSGIEnvironment") -> bool:
    return environ["REQUEST_METHOD"] in {"GET", "HEAD"} and environ["PATH_INFO"].startswith(_UPLOADS)


def _answer(
    environ: "WSGIEnvironment", start_response: "StartResponse", status: str, content_type: str, body: str
) -> Iterable[bytes]:
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))  # a client may still be sending
    start_response(status, [("Content-Type", content_type), ("Content-Length", str(len(body)))])
    return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body.encode()]


def _copy_description(model: Path, folder: Path) -> None:
    shutil.copy(model / _DESCRIPTION, folder)


def _copy_model_with_wrong_labels(model: Path, folder: Path) -> None:
    shutil.copy(model / _NETWORK, folder)
    description = json.loads((model / _DESCRIPTION).read_text(encoding="utf-8"))
    description["labels"].reverse()
    (folder / _DESCRIPTION).write_text(json.dumps(description), encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Fault:
    """What breaks, in one sentence, and the logical ids of the template's alarms that change to ALARM.

    The rest is how the local system breaks: `aws` answers the requests to the emulator of AWS, `prepare_model` fills
    another folder from that of the model, `settings` are added to the function's, the API throttles its clients, or the
    function's process dies at each event of the bucket.
    """

    breaks: str
    alarms: frozenset[str]
    aws: Middleware = pass_on
    prepare_model: Callable[[Path, Path], None] | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    throttles_clients: bool = False
    crashes_on_uploads: bool = False


NO_FAULT = Fault("Nothing breaks.", frozenset())

# A version whose invocations fail is the newest version, too.
_FUNCTION_FAILS = frozenset({"ErrorsAlarm", "NewVersionErrorsAlarm"})
# Photos get no record, so their events go from the failure queue to the dead-letter queue.
_NO_RECORD = _FUNCTION_FAILS | {"ApiFaultsAlarm", "FailureQueueAgeAlarm", "DeadLettersAlarm"}
_FAILED_RECORDS = _FUNCTION_FAILS | {"InternalErrorsAlarm", "PhotosFailedAlarm"}

FAULTS = {
    "table-throttled": Fault("DynamoDB throttles all reads and writes of records.", _NO_RECORD, aws=_throttle_table),
    "bucket-forbidden": Fault("The bucket refuses to let anybody read photos.", _NO_RECORD, aws=_forbid_reading),
    "bucket-slow": Fault(
        f"S3 takes {_SLOW_SECONDS} seconds to send a photo.", frozenset({"DurationAlarm"}), aws=_send_slowly
    ),
    "function-crashes": Fault("The function's process dies at each upload.", _FAILED_RECORDS, crashes_on_uploads=True),
    "model-missing": Fault(
        "The image lacks the file of the network.",
        _FAILED_RECORDS | {"ApiFaultsAlarm"},
        prepare_model=_copy_description,
    ),
    "wrong-labels": Fault(
        "The labels in the model's description are in the wrong order.",
        frozenset({"SellersDisagreeAlarm"}),
        prepare_model=_copy_model_with_wrong_labels,
    ),
    "photos-too-large": Fault(
        "The limit of the photos' size is far too low.",
        frozenset({"PhotosFailedAlarm"}),
        settings={"MAX_IMAGE_SIDE": "100"},
    ),
    "all-need-review": Fault(
        "The review threshold is 1, which no confidence reaches.",
        frozenset({"PhotosForReviewAlarm"}),
        settings={"REVIEW_THRESHOLD": "1"},
    ),
    "clients-throttled": Fault(
        "API Gateway refuses all requests that need an API key: there are too many.",
        frozenset({"ClientsThrottledAlarm"}),
        throttles_clients=True,
    ),
}
