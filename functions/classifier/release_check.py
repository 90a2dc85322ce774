"""Checks a new version of the function before it gets traffic. It is a Lambda function of its own, with the same image.

CodeDeploy invokes it before it shifts traffic, and waits until it reports a result. If the result is a failure,
CodeDeploy stops the release, and all traffic stays with the version before.
"""

import base64
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from classifier.telemetry import logger

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext
    from mypy_boto3_codedeploy import CodeDeployClient
    from mypy_boto3_codedeploy.literals import LifecycleEventStatusType
    from mypy_boto3_lambda import LambdaClient

_ANSWER_SECONDS = 29  # API Gateway waits no longer
_PAUSE_SECONDS = 5  # before an invocation that Lambda refused is tried again
# While Lambda prepares the image of the new version, and if other functions use all the concurrency.
_REFUSALS = {"ResourceConflictException", "ResourceNotReadyException", "TooManyRequestsException"}
_SCANS = 10_000


class WrongAnswer(Exception):
    """The new version answered something else than expected. The message says what."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The new version's answer to a request of the HTTP API."""

    status: int
    headers: dict[str, str]
    content: Any


@dataclass(frozen=True, slots=True)
class Release:
    """A new version (its ARN), the photos of known labels, and the clients of AWS.

    `deadline` is when the check has to be over, in the seconds of `time.monotonic`.
    """

    version: str
    photos: Path
    lambda_: "LambdaClient"
    codedeploy: "CodeDeployClient"
    deadline: float

    @classmethod
    def from_environment(cls, deadline: float) -> Self:
        """Read the template's variables, and make the clients."""
        import boto3  # noqa: PLC0415 - tests need no clients
        from botocore.config import Config  # noqa: PLC0415

        once = Config(read_timeout=_ANSWER_SECONDS, retries={"mode": "standard", "total_max_attempts": 1})
        return cls(
            os.environ["NEW_VERSION"],
            Path(os.environ["MODEL_DIR"]) / "known",
            boto3.client("lambda", config=once),
            boto3.client("codedeploy"),
            deadline,
        )


def lambda_handler(event: dict[str, Any], context: "LambdaContext") -> None:
    """Check the new version, and tell CodeDeploy the result."""
    # The last request may begin just before the deadline.
    seconds = context.get_remaining_time_in_millis() / 1000 - _ANSWER_SECONDS - _PAUSE_SECONDS
    report(event, Release.from_environment(time.monotonic() + seconds))


def report(event: dict[str, Any], release: Release) -> None:
    """Check the release, and tell CodeDeploy the result. Otherwise the deployment would wait for an hour."""
    status: LifecycleEventStatusType = "Failed"
    try:
        check(release)
        status = "Succeeded"
    except Exception:  # CodeDeploy has to know, whatever it is
        logger.exception("The new version failed its check", version=release.version)
    logger.info("The new version was checked", version=release.version, status=status)
    release.codedeploy.put_lifecycle_event_hook_execution_status(
        deploymentId=event["DeploymentId"],
        lifecycleEventHookExecutionId=event["LifecycleEventHookExecutionId"],
        status=status,
    )


def check(release: Release) -> None:
    """Send requests to the new version. Raise `WrongAnswer`, and the AWS SDK's errors."""
    _expect(200, _request(release, "GET", "/health"), "GET /health")
    for photo in sorted(release.photos.glob("*.jpg")):
        _check_photo(release, photo)
    hostile = _expect(413, _request(release, "POST", "/predict", _hostile_photo()), "the hostile photo")
    if hostile.content["error"]["code"] != "image_too_large":
        raise WrongAnswer(f"The hostile photo is refused with {hostile.content}.")
    _expect(200, _request(release, "GET", "/health"), "GET /health after the hostile photo")
    _expect(
        404, _request(release, "GET", "/classifications/no-such-photo"), "the status of a photo that does not exist"
    )


def _check_photo(release: Release, photo: Path) -> None:
    """Classify a photo, read its status, delete its record. Raise `WrongAnswer` if the label is not the file's name."""
    predicted = _expect(200, _request(release, "POST", "/predict", photo.read_bytes()), photo.name)
    location = predicted.headers["Location"]
    try:
        status = _expect(200, _request(release, "GET", location), f"the status of {photo.name}")
    finally:
        _expect(204, _request(release, "DELETE", location), f"the deletion of {photo.name}")
    for label in (max(predicted.content, key=predicted.content.__getitem__), status.content["label"]):
        if label != photo.stem:
            raise WrongAnswer(f"The label of {photo.name} is {label!r}.")


def _request(release: Release, method: str, path: str, photo: bytes | None = None) -> Answer:
    """Invoke the new version with an event of API Gateway. Raise `WrongAnswer` if the invocation fails."""
    headers = {"Content-Type": "image/jpeg"} if photo else {}
    event = {
        "httpMethod": method,
        "path": path,
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "requestContext": {"path": path, "stage": "", "requestId": "release-check"},
        "body": base64.b64encode(photo).decode() if photo else None,
        "isBase64Encoded": photo is not None,
    }
    answer = _invoke(release, json.dumps(event).encode())
    content = answer["Payload"].read()
    if "FunctionError" in answer:
        raise WrongAnswer(f"{method} {path} failed: {content.decode(errors='replace')}")
    result = json.loads(content)
    headers = {name: values[0] for name, values in result["multiValueHeaders"].items()}
    return Answer(result["statusCode"], headers, json.loads(result["body"] or "null"))


def _invoke(release: Release, payload: bytes) -> Any:
    """Invoke the new version, again after each refusal by Lambda. Raise `WrongAnswer` after the deadline."""
    while time.monotonic() < release.deadline:
        try:
            return release.lambda_.invoke(FunctionName=release.version, Payload=payload)
        except release.lambda_.exceptions.ClientError as error:
            if error.response["Error"]["Code"] not in _REFUSALS:
                raise
            logger.info("Lambda refused an invocation", reason=str(error))
        time.sleep(_PAUSE_SECONDS)
    raise WrongAnswer("The check did not end in time.")


def _expect(status: int, answer: Answer, request: str) -> Answer:
    if answer.status != status:
        raise WrongAnswer(f"{request}: {answer.status} instead of {status}: {answer.content}")
    return answer


def _hostile_photo() -> bytes:
    """Return 100 kB that take minutes to decode: a progressive JPEG of 48 megapixels in 10,000 scans (ITU-T T.81)."""
    quantization = bytes.fromhex("ffdb0043 00") + b"\1" * 64
    dc_table = bytes.fromhex("ffc40014 00 01") + bytes(15) + bytes.fromhex("00")  # one code, of one bit
    frame = bytes.fromhex("ffc2000b 08 1770 1f40 01 011100")  # progressive, 8 bits, 6,000 × 8,000 pixels, grey
    scan = bytes.fromhex("ffda0008 01 0100 000001")  # of the means of all blocks, which small pictures need, too
    return b"\xff\xd8" + quantization + dc_table + frame + scan * _SCANS + b"\xff\xd9"
