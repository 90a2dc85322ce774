"""S3 Batch Operations: one result for each task."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from classifier.backfill import handle_batch_job
from classifier.services import Services
from tests.support.bucket import Bucket
from tests.support.services import replace_parts
from tests.support.drawings import photo


def job(*keys: str) -> dict[str, Any]:
    tasks = [{"taskId": str(n), "s3BucketArn": "arn:aws:s3:::photos", "s3Key": key} for n, key in enumerate(keys)]
    return {"invocationSchemaVersion": "1.0", "invocationId": "x", "tasks": tasks}


def results(answer: dict[str, Any]) -> list[tuple[str, str]]:
    return [(result["resultCode"], result["resultString"]) for result in answer["results"]]


def test_each_task_gets_its_own_result(services: Services, bucket: Bucket) -> None:
    bucket.put("uploads/a b.jpg", photo("pants"))
    bucket.put("uploads/text.jpg", b"just text")

    answer = handle_batch_job(job("uploads/a+b.jpg", "uploads/text.jpg", "uploads/gone.jpg", "other.jpg"), services)

    assert [result["taskId"] for result in answer["results"]] == ["0", "1", "2", "3"]
    assert results(answer) == [
        ("Succeeded", "pants"),
        ("PermanentFailure", "unsupported_image"),
        ("PermanentFailure", "There is no such object any more."),
        ("PermanentFailure", "The object is no upload."),
    ]


@pytest.mark.parametrize(
    ("code", "status", "expected"), [("SlowDown", 503, "Temporary"), ("AccessDenied", 403, "Permanent")]
)
def test_what_may_pass_is_tried_again_and_nothing_else(
    services: Services, code: str, status: int, expected: str
) -> None:
    class S3:
        def get_object(self, **_: object) -> None:
            raise ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "GetObject")  # type: ignore[typeddict-item]

    answer = handle_batch_job(job("uploads/a.jpg"), replace_parts(services, s3=S3()))

    assert answer["results"][0]["resultCode"] == f"{expected}Failure"
