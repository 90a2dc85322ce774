"""S3 Batch Operations: classifies again what the bucket holds, for example with a newer model."""

from typing import Any
from urllib.parse import unquote_plus

from classifier.classification import Status
from classifier.keys import is_upload_key
from classifier.reconcile import reconcile
from classifier.services import Services
from classifier.telemetry import logger


def handle_batch_job(event: dict[str, Any], services: Services) -> dict[str, Any]:
    """Return one result for each task, in the form that Batch Operations asks for.

    Batch Operations retries a `TemporaryFailure`. The other results go into the job's report.
    """
    return {
        "invocationSchemaVersion": event["invocationSchemaVersion"],
        "treatMissingKeysAs": "PermanentFailure",
        "invocationId": event["invocationId"],
        "results": services.map(lambda task: _result(task, services), event["tasks"]),
    }


def _result(task: dict[str, Any], services: Services) -> dict[str, str]:
    try:
        code, text = _perform(task, services)
    except Exception as error:
        from classifier.faults import is_transient  # noqa: PLC0415 - needed only after an error

        logger.exception("A task failed", task_id=task["taskId"])
        code = "TemporaryFailure" if is_transient(error) else "PermanentFailure"
        text = "The photo could not be classified; the function's log says why."
    return {"taskId": task["taskId"], "resultCode": code, "resultString": text}


def _perform(task: dict[str, Any], services: Services) -> tuple[str, str]:
    # Schema 1.0 names the bucket by its ARN. Keys are encoded as in the job's manifest.
    bucket = task.get("s3Bucket") or task["s3BucketArn"].rpartition(":")[2]
    key = unquote_plus(task["s3Key"])
    if not is_upload_key(key):
        return "PermanentFailure", "The object is not an upload."
    classification = reconcile(bucket, key, services)
    if classification is None:
        return "PermanentFailure", "The object does not exist any more."
    if classification.status is Status.SUCCEEDED:
        return "Succeeded", str(classification.label)
    return "PermanentFailure", str(classification.failure and classification.failure.code)
