"""A queue's batches of photos: what the function takes, in all and of the processor, and what the photos alone take.

    python -m benchmarks.batch PHOTO COUNT ROUNDS

Prints these in seconds, round by round, as JSON. The environment says where S3 and DynamoDB are, and by the memory's
size how many processors there are.
"""

import json
import os
import sys
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from benchmarks.ways import ORIGIN
from classifier.app import dispatch
from classifier.classify import classify
from classifier.services import Services
from classifier.telemetry import Stopwatch
from local.function import Context

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

WHOLE, PROCESSOR, ALONE = "from S3 to DynamoDB", "work of the processor", "decoding and inference alone"


def main() -> None:
    """Upload, and classify; the first round does not count."""
    photo, count, rounds = Path(sys.argv[1]).read_bytes(), int(sys.argv[2]), int(sys.argv[3])
    services = Services.from_environment(os.environ)
    seconds: dict[str, list[float]] = {WHOLE: [], PROCESSOR: [], ALONE: []}
    for _ in range(rounds + 1):
        keys = [f"uploads/{uuid.uuid4().hex}/photo.jpg" for _ in range(count)]
        for key in keys:
            services.s3.put_object(Bucket=services.settings.bucket, Key=key, Body=photo)
        messages = [_message(number, key, services.settings.bucket) for number, key in enumerate(keys)]
        started, worked = time.perf_counter(), time.process_time()
        answer: Any = dispatch({"Records": messages}, cast("LambdaContext", Context()), services)
        seconds[WHOLE].append(time.perf_counter() - started)
        seconds[PROCESSOR].append(time.process_time() - worked)
        if answer != {"batchItemFailures": []}:
            raise RuntimeError(json.dumps(answer))
        for key in keys:
            services.s3.delete_object(Bucket=services.settings.bucket, Key=key)
        started = time.perf_counter()
        services.each(lambda data: classify(data, ORIGIN, services, Stopwatch()), [photo] * count)
        seconds[ALONE].append(time.perf_counter() - started)
    print(json.dumps({name: values[1:] for name, values in seconds.items()}))


def _message(number: int, key: str, bucket: str) -> dict[str, Any]:
    record = {"eventSource": "aws:s3", "s3": {"bucket": {"name": bucket}, "object": {"key": key}}}
    return {"messageId": str(number), "eventSource": "aws:sqs", "body": json.dumps({"Records": [record]})}


if __name__ == "__main__":
    main()
