"""Measure the container image at several memory sizes under Lambda's emulator, and write `memory-sizes.md`.

Docker limits a container's CPU and memory as Lambda does for each memory size. This needs Linux, and the image that
`sam build` creates. SAM provides the emulator.
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
from benchmarks.photos import draw_photos
from benchmarks.report import table
from classifier.settings import MEGABYTES_PER_VCPU
from local.aws import BUCKET

_SIZES = (1024, 1769, 3008)  # MB
_STARTS = 5  # of each size
_PHOTOS = 10  # after each start
# In Docker's default period of 100,000 microseconds, a photo is finished before its CPU share is used up.
_CPU_PERIOD = 20_000
_GIGABYTE_SECOND = 16.67e-6  # dollars, on x86 in us-east-1
_IMAGE = "classifierfunction:latest"  # the name that SAM gives it
_EMULATOR = "aws-lambda-rie-x86_64"
_PAGE = Path(__file__).with_name("memory-sizes.md")


def main() -> None:
    """Measure, which takes a minute or two on two cores, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory_sizes", description=__doc__)
    parser.add_argument("--build", type=Path, default=Path("build/benchmarks"), help="the folder for drawn photos")
    photos = draw_photos(parser.parse_args().build / "photos")
    emulator = Path(os.environ["EMULATOR"])
    aws = processes.MotoServer()
    starts: dict[int, list[float]] = {size: [] for size in _SIZES}
    photo_times: dict[int, list[float]] = {size: [] for size in _SIZES}
    try:
        for number in range(_STARTS):
            print(f"Measuring start {number + 1} of {_STARTS} of each size …", file=sys.stderr)
            for size in _SIZES:
                with _run_container(size, emulator, aws.endpoint) as url:
                    starts[size].append(_measure_upload(url, aws, photos["JPEG, 400 px"]))
                    photo_times[size] += [_measure_upload(url, aws, photos["JPEG, 12 MP"]) for _ in range(_PHOTOS)]
    finally:
        aws.stop()
    _PAGE.write_text(_page(starts, photo_times), encoding="utf-8")


@contextmanager
def _run_container(size: int, emulator: Path, endpoint: str) -> Iterator[str]:
    """Start a new container. Yield the URL that invokes its function."""
    port, runtime_port = processes.find_free_port(), processes.find_free_port()
    settings = processes.function_environment(endpoint)
    del (
        settings["MODEL_DIR"],
        settings["ALLOW_LOOPBACK_URLS"],
    )  # the image contains its model; Lambda rejects the latter
    settings["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] = str(size)
    limits = {
        "--cpu-period": _CPU_PERIOD,
        "--cpu-quota": _CPU_PERIOD * size // MEGABYTES_PER_VCPU,
        "--memory": f"{size}m",
        "--memory-swap": f"{size}m",
    }
    name = _docker(
        *("run", "--rm", "-d", "--network", "host", "-v", f"{emulator}:/{_EMULATOR}:ro"),
        *(str(part) for option in limits.items() for part in option),
        *(part for name, value in settings.items() for part in ("-e", f"{name}={value}")),
        *("--entrypoint", f"/{_EMULATOR}", _IMAGE, "--runtime-interface-emulator-address", f"127.0.0.1:{port}"),
        *("--runtime-api-address", f"127.0.0.1:{runtime_port}"),
        *("python", "-m", "awslambdaric", "classifier.app.lambda_handler"),
    )
    try:
        processes.wait_for_port(port)
        yield f"http://127.0.0.1:{port}/2015-03-31/functions/function/invocations"
    finally:
        _docker("kill", name)


def _docker(*arguments: str) -> str:
    """Run a Docker command and return its output."""
    command = ["docker", *arguments]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def _measure_upload(url: str, aws: processes.MotoServer, photo: Path) -> float:
    """Return the seconds from an upload's event to its answer, which the function gives after it writes the record."""
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
    return f"""# Memory sizes

`make bench-container` measures these figures and writes this page. The image runs under Lambda's emulator, with the
memory of each size and a proportional share of each {_CPU_PERIOD / 1000:.0f} ms of CPU time (Lambda gives one vCPU to
1,769 MB). The events are S3's events of uploads. S3 and DynamoDB are moto's server on the same machine. Times are
medians; the sizes are measured alternately.

{table(["MB", "cold start, 400 px: ms", "warm, 12 megapixels: ms", "dollars per million warm photos"], rows)}

On Lambda, a cold start gets more CPU time than its memory size includes, and Lambda has to load the image before the
first one. The dollars are for GB-seconds only, at {_GIGABYTE_SECOND * 1e6:.2f} dollars per million GB-seconds.
"""


if __name__ == "__main__":
    main()
