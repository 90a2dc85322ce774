"""Measure the container image at several memory sizes under Lambda's emulator.

The medians are written into `memory-sizes.json`, from which `benchmarks.costs` computes, and `memory-sizes.md`. The
durations with the template's memory size are written into `durations.json`, from which `benchmarks.scale` draws.

Docker limits a container's CPU and memory as Lambda does for each memory size. This needs Linux, and the image that
`sam build` creates. SAM provides the emulator.
"""

import argparse
import base64
import json
import os
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import requests

from benchmarks import processes
from benchmarks.costs import memory_size
from benchmarks.figures import write_figures
from benchmarks.markdown import fill, table
from benchmarks.photos import draw_photos
from benchmarks.prices import read_prices
from benchmarks.report import processor_name
from benchmarks.timing import Durations, median_milliseconds, median_ratio
from benchmarks.usage import LISTING
from classifier.settings import MEGABYTES_PER_VCPU
from local.aws import BUCKET

_SIZES = (1024, 1769, 3538)  # MB; the last one has two vCPUs
_STARTS = 8  # of each size
_REPEATS = 10  # of each kind of invocation, after each start
# In Docker's default period of 100,000 microseconds, a photo is finished before its CPU share is used up.
_CPU_PERIOD = 20_000
_IMAGE = "classifierfunction:latest"  # the name that SAM gives it
_EMULATOR = "aws-lambda-rie-x86_64"
_ROUNDS_OF_STARTS = 15
_MOUNTED_PHOTO = "/photo.jpg"
_STARTS_TEXT = """In the image, with 1,769 MB: from the start of a new interpreter to its first response, with a photo
of 400 pixels (medians of paired measurements). Without the emulator, which starts the function with its first event."""
_WARM_UPS = 1  # invocation of each kind before it is measured
_UPLOADS = {
    "upload": "JPEG, 12 MP",
    "small_upload": "JPEG, 400 px",
    "heic_upload": "HEIC, 12 MP",
    "png_upload": "PNG, 12 MP",
}
_FIGURES = Path(__file__).with_name("memory-sizes.json")
_PAGE = Path(__file__).with_name("memory-sizes.md")


def main() -> None:
    """Measure, which takes five minutes on two cores, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory_sizes", description=__doc__)
    parser.add_argument("--build", type=Path, default=Path("build/benchmarks"), help="the folder for drawn photos")
    photos = draw_photos(parser.parse_args().build / "photos")
    emulator = Path(os.environ["EMULATOR"])
    aws = processes.MotoServer()
    durations: dict[int, Durations] = {size: {} for size in _SIZES}
    try:
        for number in range(_STARTS):
            print(f"Measuring start {number + 1} of {_STARTS} of each size …", file=sys.stderr)
            for size, measured in durations.items():
                with _run_container(size, emulator, aws.endpoint) as url:
                    for kind, seconds in _measure_container(url, aws, photos).items():
                        measured.setdefault(kind, []).extend(seconds)
        print("Measuring cold starts …", file=sys.stderr)
        starts = _measure_starts(aws, photos["JPEG, 400 px"])
    finally:
        aws.stop()
    medians = {
        str(size): {kind: round(statistics.median(seconds) * 1000, 1) for kind, seconds in measured.items()}
        for size, measured in durations.items()
    }
    default = {kind: [round(value, 4) for value in seconds] for kind, seconds in durations[memory_size()].items()}
    write_figures("durations", default)
    _FIGURES.write_text(json.dumps(medians, indent=2) + "\n", encoding="utf-8")
    _PAGE.write_text(format_page(medians, starts), encoding="utf-8")


def _measure_container(url: str, aws: processes.MotoServer, photos: Mapping[str, Path]) -> Durations:
    """Return the seconds of the cold start, and of each kind of invocation after it."""
    cold_start = _measure_upload(url, aws, photos["JPEG, 400 px"])
    stored = _put(aws, photos["JPEG, 400 px"])
    _invoke(url, _bucket_event("ObjectCreated:Put", stored))
    kinds = {
        **{kind: partial(_measure_upload, url, aws, photos[name]) for kind, name in _UPLOADS.items()},
        "status": partial(_measure_request, url, _status_event(stored), 200),
        "announcement": partial(_measure_request, url, _announcement_event(), 201),
        "expiry": partial(_measure_expiry, url, aws, photos["JPEG, 400 px"]),
    }
    durations = {"cold_start": [cold_start]}
    for kind, measure in kinds.items():
        durations[kind] = [measure() for _ in range(_WARM_UPS + _REPEATS)][_WARM_UPS:]
    return durations


@contextmanager
def _run_container(size: int, emulator: Path, endpoint: str) -> Iterator[str]:
    """Start a new container. Yield the URL that invokes its function."""
    port, runtime_port = processes.find_free_port(), processes.find_free_port()
    name = _docker(
        *("run", "-d", *_options(size, endpoint), "-v", f"{emulator}:/{_EMULATOR}:ro"),
        *("--entrypoint", f"/{_EMULATOR}", _IMAGE, "--runtime-interface-emulator-address", f"127.0.0.1:{port}"),
        *("--runtime-api-address", f"127.0.0.1:{runtime_port}"),
        *("python", "-m", "awslambdaric", "classifier.app.lambda_handler"),
    )
    try:
        processes.wait_for_port(port)
        yield f"http://127.0.0.1:{port}/2015-03-31/functions/function/invocations"
    finally:
        _docker("kill", name)


def _measure_starts(aws: processes.MotoServer, photo: Path) -> Durations:
    """Return the seconds of cold starts in the image, with the template's memory size and without the emulator."""
    keys = [_put(aws, photo) for _ in range(_ROUNDS_OF_STARTS)]
    rounds = {
        "bare": [["bare", _MOUNTED_PHOTO] for _ in keys],
        "upload": [["upload", key] for key in keys],
        "predict": [["predict", _MOUNTED_PHOTO] for _ in keys],
        "status": [["status", key.removeprefix("uploads/")] for key in keys],
    }
    mounts = {Path(__file__).with_name(name): f"/{name}" for name in ("start.py", "image_starts.py")}
    mounts[photo.resolve()] = _MOUNTED_PHOTO
    output = _docker(
        *("run", "-i", *_options(memory_size(), aws.endpoint), "-e", "PYTHONPATH=/var/task"),
        *(part for file, name in mounts.items() for part in ("-v", f"{file}:{name}:ro")),
        *("--entrypoint", "python", _IMAGE, "/image_starts.py", "/start.py"),
        text=json.dumps(rounds),
    )
    durations: Durations = json.loads(output)
    return durations


def _options(size: int, endpoint: str) -> list[str]:
    """Return the options of a container with this memory size."""
    settings = processes.function_environment(endpoint)
    del settings["MODEL_DIR"], settings["ALLOW_LOOPBACK_URLS"]  # the image has its model; Lambda rejects the latter
    settings["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] = str(size)
    limits = {
        "--cpu-period": _CPU_PERIOD,
        "--cpu-quota": _CPU_PERIOD * size // MEGABYTES_PER_VCPU,
        "--memory": f"{size}m",
        "--memory-swap": f"{size}m",
    }
    return [
        *("--rm", "--network", "host"),
        *(str(part) for option in limits.items() for part in option),
        *(part for name, value in settings.items() for part in ("-e", f"{name}={value}")),
    ]


def _docker(*arguments: str, text: str | None = None) -> str:
    """Run a Docker command, with a text on its standard input, and return its output."""
    command = ["docker", *arguments]
    return subprocess.run(command, input=text, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def _measure_upload(url: str, aws: processes.MotoServer, photo: Path) -> float:
    """Return the seconds from an upload's event to its answer, which the function gives after it writes the record."""
    answer, seconds = _invoke(url, _bucket_event("ObjectCreated:Put", _put(aws, photo)))
    if [classification["status"] for classification in answer.get("classifications", [])] != ["SUCCEEDED"]:
        raise RuntimeError(f"The photo was not classified: {answer}")
    return seconds


def _measure_request(url: str, event: Any, status: int) -> float:
    """Return the seconds of a request. Raise `RuntimeError` if its answer has another status."""
    answer, seconds = _invoke(url, event)
    if answer.get("statusCode") != status:
        raise RuntimeError(f"The answer is not {status}: {answer}")
    return seconds


def _measure_expiry(url: str, aws: processes.MotoServer, photo: Path) -> float:
    """Return the seconds of the event of a classified photo that the bucket's lifecycle rule has deleted."""
    key = _put(aws, photo)
    _invoke(url, _bucket_event("ObjectCreated:Put", key))
    aws.s3.delete_object(Bucket=BUCKET, Key=key)
    answer, seconds = _invoke(url, _bucket_event("LifecycleExpiration:Delete", key))
    if answer.get("classifications") != []:
        raise RuntimeError(f"The record was not removed: {answer}")
    return seconds


def _put(aws: processes.MotoServer, photo: Path) -> str:
    """Upload the photo. Return its key."""
    key = f"uploads/{uuid.uuid4().hex}/front.jpg"
    aws.s3.put_object(Bucket=BUCKET, Key=key, Body=photo.read_bytes())
    return key


def _invoke(url: str, event: Any) -> tuple[Any, float]:
    """Return the function's answer to the event, and the seconds until it came."""
    started = time.perf_counter()
    answer = requests.post(url, json=event, timeout=60).json()
    return answer, time.perf_counter() - started


def _bucket_event(name: str, key: str) -> Any:
    record = {"eventSource": "aws:s3", "eventName": name}
    return {"Records": [record | {"s3": {"bucket": {"name": BUCKET}, "object": {"key": key}}}]}


def _status_event(key: str) -> Any:
    photo_id = key.removeprefix("uploads/")
    return _read_event("api_read_classification") | {"path": f"/classifications/{photo_id}"}


def _announcement_event() -> Any:
    files = [{"name": f"{number}.jpg", "content_type": "image/jpeg"} for number in range(LISTING)]
    body = base64.b64encode(json.dumps({"files": files}).encode()).decode()
    return _read_event("api_create_uploads") | {"body": body}


def _read_event(name: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((processes.ROOT / "events" / f"{name}.json").read_text(encoding="utf-8"))
    return event


def _introduction() -> str:
    return fill(f"""`make bench-container` measures these figures and writes this page. They are from
        {processor_name()}. The image runs under Lambda's emulator, with the memory of each size and a proportional
        share of each {_CPU_PERIOD / 1000:.0f} ms of CPU time (Lambda gives one vCPU to 1,769 MB, and two to 3,538).
        S3 and DynamoDB are moto's server on the same machine. Times are medians in milliseconds. The sizes are
        measured alternately, and all but the cold starts are warm.""")


def format_page(medians: Mapping[str, Mapping[str, float]], starts: Durations) -> str:
    """Return the page. `medians` has milliseconds by memory size and kind of invocation, `starts` the cold starts."""
    gigabyte_second = read_prices().prices["lambda_gigabyte_seconds"].tiers[0].dollars
    kinds = ("cold_start", *_UPLOADS, "status", "announcement", "expiry")
    rows = [
        [
            f"{int(size):,}",
            *(f"{milliseconds[kind]:,.0f}" for kind in kinds),
            f"{milliseconds['upload'] / 1000 * int(size) / 1024 * gigabyte_second * 1e6:.2f}",
        ]
        for size, milliseconds in medians.items()
    ]
    head = [
        "MB",
        "cold start, 400 px",
        *(f"upload, {name}" for name in _UPLOADS.values()),
        "status",
        f"announcement of {LISTING} photos",
        "expired photo",
        "dollars per million uploads",
    ]
    return f"""# Memory sizes

{_introduction()}

{table(head, rows)}

1,769 MB are the template's default. A smaller function costs less, and its photos and cold starts take longer. A second
vCPU helps only the tiles of HEIC and AVIF, and events of several photos ([batches](README.md#batches)).

Uploads and expired photos are S3's events, the others requests: `GET /classifications/{{id}}` and `POST /uploads`. On
Lambda, a cold start gets more CPU time than its memory size includes, and Lambda has to load the image before the first
one. The dollars are for GB-seconds only, at {gigabyte_second * 1e6:.2f} dollars per million GB-seconds.

## Cold starts

{fill(_STARTS_TEXT)}

{table(["first response", "ms", "÷ the imports"], _start_rows(starts))}
"""


def _start_rows(starts: Durations) -> list[list[str]]:
    names = {
        "bare": "imports with the AWS SDK, one decode, one invocation of the network",
        "upload": "S3 event of an upload",
        "predict": "`POST /predict` with a photo",
        "status": "`GET /classifications/{id}`",
    }
    return [
        [name, f"{median_milliseconds(starts[kind]):.0f}", f"{median_ratio(starts[kind], starts['bare']):.2f}"]
        for kind, name in names.items()
    ]


if __name__ == "__main__":
    main()
