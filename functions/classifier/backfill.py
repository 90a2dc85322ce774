"""S3 Batch Operations: classify again what the bucket holds, for instance with a newer model."""

from typing import Any
from urllib.parse import unquote_plus

from classifier.errors import may_pass
from classifier.records import Status
from classifier.services import Services
from classifier.telemetry import logger
from classifier.uploads import is_upload, synchronise


def handle_batch_job(event: dict[str, Any], services: Services) -> dict[str, Any]:
    """One result for each task, in the answer's form that Batch Operations asks for.

    `TemporaryFailure` is tried again by Batch Operations; the other results stand in the job's report.
    """
    return {
        "invocationSchemaVersion": event["invocationSchemaVersion"],
        "treatMissingKeysAs": "PermanentFailure",
        "invocationId": event["invocationId"],
        "results": services.each(lambda task: _result(task, services), event["tasks"]),
    }


def _result(task: dict[str, Any], services: Services) -> dict[str, str]:
    try:
        code, text = _perform(task, services)
    except Exception as error:
        logger.exception("A task failed", task_id=task["taskId"])
        code = "TemporaryFailure" if may_pass(error) else "PermanentFailure"
        text = "The photo could not be classified; the function's log says why."
    return {"taskId": task["taskId"], "resultCode": code, "resultString": text}


def _perform(task: dict[str, Any], services: Services) -> tuple[str, str]:
    # Schema 1.0 names the bucket by its ARN; keys are encoded as in the job's manifest.
    bucket = task.get("s3Bucket") or task["s3BucketArn"].rpartition(":")[2]
    key = unquote_plus(task["s3Key"])
    if not is_upload(key):
        return "PermanentFailure", "The object is no upload."
    classification = synchronise(bucket, key, services)
    if classification is None:
        return "PermanentFailure", "There is no such object any more."
    if classification.status is Status.SUCCEEDED:
        return "Succeeded", str(classification.label)
    return "PermanentFailure", str(classification.failure and classification.failure.code)
