"""S3 Batch Operations: one result for each task."""

from typing import Any

import pytest

from classifier.batch_operations import handle_batch_job
from classifier.services import Services
from tests.support.bucket import Bucket, S3Client, with_s3
from tests.support.drawings import photo
from tests.support.errors import client_error


def job(*keys: str) -> dict[str, Any]:
    tasks = [{"taskId": str(n), "s3BucketArn": "arn:aws:s3:::photos", "s3Key": key} for n, key in enumerate(keys)]
    return {"invocationSchemaVersion": "1.0", "invocationId": "x", "tasks": tasks}


def results(answer: dict[str, Any]) -> list[tuple[str, str]]:
    return [(result["resultCode"], result["resultString"]) for result in answer["results"]]


def test_each_task_has_a_result_of_its_own(services: Services, bucket: Bucket) -> None:
    bucket.put("uploads/a b.jpg", photo("pants"))
    bucket.put("uploads/text.jpg", b"just text")

    answer = handle_batch_job(job("uploads/a+b.jpg", "uploads/text.jpg", "uploads/gone.jpg", "other.jpg"), services)

    assert [result["taskId"] for result in answer["results"]] == ["0", "1", "2", "3"]
    assert results(answer) == [
        ("Succeeded", "pants"),
        ("PermanentFailure", "unsupported_image"),
        ("PermanentFailure", "The object does not exist any more."),
        ("PermanentFailure", "The object is not an upload."),
    ]


@pytest.mark.parametrize(
    ("code", "status", "expected"), [("SlowDown", 503, "Temporary"), ("AccessDenied", 403, "Permanent")]
)
def test_only_a_transient_fault_is_a_temporary_failure(
    services: Services, caplog: pytest.LogCaptureFixture, code: str, status: int, expected: str
) -> None:
    broken = with_s3(services, S3Client(services.bucket.client, client_error(code, status)))

    answer = handle_batch_job(job("uploads/a.jpg"), broken)

    text = "The photo could not be classified; the function's log says why."
    assert results(answer) == [(f"{expected}Failure", text)]
    (line,) = [vars(record) for record in caplog.records if record.message == "A task failed"]
    assert line["task_id"] == "0"
    assert line["exc_info"]


def test_a_task_of_schema_2_names_its_bucket(services: Services, bucket: Bucket) -> None:
    bucket.put("uploads/a.jpg", photo("pants"))
    task = {"taskId": "1", "s3Bucket": "photos", "s3Key": "uploads/a.jpg"}

    answer = handle_batch_job({"invocationSchemaVersion": "2.0", "invocationId": "x", "tasks": [task]}, services)

    assert results(answer) == [("Succeeded", "pants")]
