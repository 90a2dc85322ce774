"""The image under Lambda's emulator at several memory sizes: starts, photos, dollars. Writes `memory-sizes.md`.

Docker gives a container the share of a processor that Lambda gives a function of the size, and as much memory. Needs
Linux, and the image as `sam build` leaves it; SAM brings the emulator.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from benchmarks import processes
from benchmarks.photos import drawn_photos
from benchmarks.report import table
from classifier.services import MEGABYTES_OF_A_PROCESSOR
from local.aws import BUCKET

_SIZES = (512, 1024, 1769, 3008)
_STARTS, _PHOTOS = 5, 10  # of each size, and after each start
_PERIOD = 20_000  # microseconds that the share is one of; in Docker's 100,000, a photo is done before it runs out
_GIGABYTE_SECOND = 16.67e-6  # dollars, on x86 in us-east-1
_IMAGE = "classifierfunction:latest"  # SAM's name for it
_EMULATOR = "aws-lambda-rie-x86_64"
_PAGE = Path(__file__).with_name("memory-sizes.md")


def main() -> None:
    """A minute or two on two cores."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory_sizes", description=__doc__)
    parser.add_argument("--build", type=Path, default=Path("build/benchmarks"), help="where what is made is kept")
    arguments = parser.parse_args()
    photos = drawn_photos(arguments.build / "photos")
    emulator = Path(os.environ["EMULATOR"])
    aws = processes.Aws()
    starts: dict[int, list[float]] = {size: [] for size in _SIZES}
    photo_times: dict[int, list[float]] = {size: [] for size in _SIZES}
    try:
        for number in range(_STARTS):
            print(f"Measuring start {number + 1} of {_STARTS} of each size …", file=sys.stderr)
            for size in _SIZES:
                with _emulated(size, emulator, aws.endpoint) as url:
                    starts[size].append(_seconds(url, aws, photos["JPEG, 400 px"]))
                    photo_times[size] += [_seconds(url, aws, photos["JPEG, 12 MP"]) for _ in range(_PHOTOS)]
    finally:
        aws.stop()
    _PAGE.write_text(_page(starts, photo_times), encoding="utf-8")


@contextmanager
def _emulated(size: int, emulator: Path, aws: str) -> Iterator[str]:
    """A container that has not been asked anything; gives the URL to invoke it at."""
    port, runtime_port = processes.free_port(), processes.free_port()
    settings = processes.settings(aws)
    del settings["MODEL_DIR"], settings["ALLOW_LOOPBACK_URLS"]  # the image has its own model, and refuses that one
    settings["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] = str(size)
    command = [
        *("run", "--rm", "-d", "--network", "host", "-v", f"{emulator}:/{_EMULATOR}:ro"),
        *(
            "--cpu-period",
            str(_PERIOD),
            "--cpu-quota",
            str(_PERIOD * size // MEGABYTES_OF_A_PROCESSOR),
            "-m",
            f"{size}m",
            "--memory-swap",
            f"{size}m",
        ),
        *(part for name, value in settings.items() for part in ("-e", f"{name}={value}")),
        *("--entrypoint", f"/{_EMULATOR}", _IMAGE, "--runtime-interface-emulator-address", f"127.0.0.1:{port}"),
        *("--runtime-api-address", f"127.0.0.1:{runtime_port}"),
        *("python", "-m", "awslambdaric", "classifier.app.lambda_handler"),
    ]
    name = _docker(*command)
    try:
        processes.wait_for(port)
        yield f"http://127.0.0.1:{port}/2015-03-31/functions/function/invocations"
    finally:
        _docker("kill", name)


def _docker(*arguments: str) -> str:
    """What it prints."""
    command = ["docker", *arguments]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def _seconds(url: str, aws: processes.Aws, photo: Path) -> float:
    """From the event of an upload to its answer, by when its record is written."""
    key = f"uploads/{uuid.uuid4().hex}.jpg"
    aws.s3.put_object(Bucket=BUCKET, Key=key, Body=photo.read_bytes())
    record = {"eventSource": "aws:s3", "eventName": "ObjectCreated:Put"}
    event: Any = {"Records": [record | {"s3": {"bucket": {"name": BUCKET}, "object": {"key": key}}}]}
    started = time.perf_counter()
    answer = requests.post(url, json=event, timeout=60).json()
    seconds = time.perf_counter() - started
    if [classification["status"] for classification in answer.get("classifications", [])] != ["SUCCEEDED"]:
        raise RuntimeError(f"The photo was not classified: {answer}")
    return seconds


def _page(starts: dict[int, list[float]], photo_times: dict[int, list[float]]) -> str:
    rows = []
    for size in _SIZES:
        start, photo = statistics.median(starts[size]), statistics.median(photo_times[size])
        dollars = photo * size / 1024 * _GIGABYTE_SECOND * 1e6
        rows.append([f"{size:,}", f"{start * 1000:,.0f}", f"{photo * 1000:.0f}", f"{dollars:.2f}"])
    return f"""# What memory sizes buy

`make bench-container` measures this and writes this page: the image under Lambda's emulator, with the memory of each
size and its share of every {_PERIOD / 1000:.0f} ms of a processor (Lambda gives one to 1,769 MB). Uploads come as S3's
events; S3 and DynamoDB are moto's server on the same machine. Medians; sizes take turns.

{table(["MB", "ms to the first answer (400 px)", "ms for 12 megapixels, warm", "dollars a million of these"], rows)}

Lambda itself gives a start more of the processor than its size buys, and has to fetch the image before the first one.
Dollars are for GB-seconds alone, at {_GIGABYTE_SECOND * 1e6:.2f} for a million.
"""


if __name__ == "__main__":
    main()
