"""Measure batches of photos that arrive in SQS messages.

    python -m benchmarks.batch PHOTO COUNT ROUNDS

Prints JSON with a list of seconds, one for each round, for each of the measurements below. The environment names the
endpoint of S3 and DynamoDB, which is `aws_stand_in` with the same photo, and the memory size, which determines the
number of vCPUs.
"""

import json
import os
import sys
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from benchmarks.contenders import ORIGIN
from benchmarks.timing import Durations
from classifier.app import dispatch
from classifier.classify import classify
from classifier.services import Services
from classifier.telemetry import Stopwatch
from local.function import Context

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

INVOCATION, CLASSIFY_ONLY = "whole invocation", "decoding and inference only"


def main() -> None:
    """Measure the rounds, after one that does not count."""
    photo, count, rounds = Path(sys.argv[1]).read_bytes(), int(sys.argv[2]), int(sys.argv[3])
    services = Services.from_environment(os.environ)
    durations: Durations = {INVOCATION: [], CLASSIFY_ONLY: []}
    for _ in range(rounds + 1):
        for name, seconds in _measure_round(photo, count, services).items():
            durations[name].append(seconds)
    print(json.dumps({name: seconds[1:] for name, seconds in durations.items()}))


def _measure_round(photo: bytes, count: int, services: Services) -> dict[str, float]:
    """Classify the photos through an event and without one. Return seconds."""
    keys = [f"uploads/{uuid.uuid4().hex}/photo.jpg" for _ in range(count)]
    event = {"Records": [_message(number, key, services.bucket.name) for number, key in enumerate(keys)]}
    context = cast("LambdaContext", Context())
    started = time.perf_counter()
    answer: Any = dispatch(event, context, services)
    invocation = time.perf_counter() - started
    if answer != {"batchItemFailures": []}:
        raise RuntimeError(json.dumps(answer))
    started = time.perf_counter()
    services.map(lambda data: classify(data, ORIGIN, services, Stopwatch()), [photo] * count)
    return {INVOCATION: invocation, CLASSIFY_ONLY: time.perf_counter() - started}


def _message(number: int, key: str, bucket: str) -> dict[str, Any]:
    record = {"eventSource": "aws:s3", "s3": {"bucket": {"name": bucket}, "object": {"key": key}}}
    return {"messageId": str(number), "eventSource": "aws:sqs", "body": json.dumps({"Records": [record]})}


if __name__ == "__main__":
    main()
