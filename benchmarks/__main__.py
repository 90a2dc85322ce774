"""Measures everything, and writes `benchmarks/README.md` with its plot."""

import argparse
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import requests

from benchmarks import processes, report
from benchmarks.photos import drawn_photos, given_photos
from benchmarks.timing import Seconds, in_turns, keep
from benchmarks.ways import Floor, Ours, Tutorial
from classifier.services import Services
from local.aws import BUCKET, new_session

_HERE = Path(__file__).parent
_NOWHERE = "http://127.0.0.1:1"  # what needs no AWS is given none
_SHORT, _PHONE = "JPEG, 400 px", "JPEG, 12 MP"
_BATCH = 20
_ROUNDS, _ROUNDS_OF_LONG, _LONG = 30, 11, 1_000_000  # of files of so many bytes


def main() -> None:
    """Some ten minutes on two cores."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--photos", type=Path, help="a folder of photos, to measure on these too")
    parser.add_argument("--build", type=Path, default=Path("build/benchmarks"), help="where what is made is kept")
    arguments = parser.parse_args()
    networks = made_networks(arguments.build)
    drawn = drawn_photos(arguments.build / "photos")
    photos = drawn | (given_photos(arguments.photos) if arguments.photos else {})
    _say("photos")
    measured = {name: measure_photo(file, networks) for name, file in photos.items()}
    _say("starts")
    starts, imports = measure_starts(drawn[_SHORT], networks["xception"])
    _say("batches")
    batches = measure_batches(drawn[_PHONE])
    _say("the local system")
    paths = measure_paths({name: drawn[name] for name in (_SHORT, _PHONE)})
    _say("memory")
    peaks = {name: processes.peak(file) for name, file in photos.items()}
    keep({**measured, "start": starts, **batches, **paths}, arguments.build / "timings.json")
    figures = report.Figures(measured, starts, imports, batches, paths, peaks)
    report.write(figures, _HERE / "README.md", _HERE / "ratios.png")


def made_networks(build: Path) -> dict[str, Path]:
    """The tutorials' networks by name, made where they are not there yet; TensorFlow stays out of this process."""
    files = {name: build / f"{name}.tflite" for name in ("xception", "inception")}
    if not all(file.exists() for file in files.values()):
        build.mkdir(parents=True, exist_ok=True)
        _say("the tutorials' networks")
        subprocess.run([sys.executable, "-m", "benchmarks.networks", str(build)], check=True)
    return files


def measure_photo(file: Path, networks: dict[str, Path]) -> Seconds:
    """From bytes to scores by each way, and the stages of ours."""
    data = file.read_bytes()
    services = Services.from_environment(os.environ | processes.settings(_NOWHERE))
    ours = Ours(services)
    contenders: dict[str, Callable[[], object]] = {
        "ours": partial(ours, data),
        "floor": partial(Floor(services.settings.model_directory / "clothing.tflite"), data),
        **{name: partial(Tutorial(network), data) for name, network in networks.items()},
    }
    return in_turns(contenders, rounds=_ROUNDS if len(data) < _LONG else _ROUNDS_OF_LONG) | ours.stages


def measure_starts(photo: Path, network: Path) -> tuple[Seconds, dict[str, float]]:
    """Fresh interpreters to their first answers; and what the imports of the function take, by package."""
    aws = processes.Aws()
    try:
        with processes.serving(photo.parent) as url:
            photo_url = f"{url}/{photo.name}"
            key = f"uploads/{photo.name}"
            aws.s3.put_object(Bucket=BUCKET, Key=key, Body=photo.read_bytes())
            start = partial(processes.start_afresh, aws.endpoint)

            def upload() -> None:
                new = f"uploads/{uuid.uuid4().hex}"
                aws.s3.copy_object(Bucket=BUCKET, Key=new, CopySource={"Bucket": BUCKET, "Key": key})
                start("upload", new)

            upload()
            start("upload", key)
            starts = in_turns(
                {
                    "imports, one decoding, one invocation": partial(start, "bare", photo),
                    "ours: a URL": partial(start, "direct", photo_url),
                    "ours: an upload": upload,
                    "ours: a photo in a request": partial(start, "predict", photo),
                    "ours: a status": partial(start, "status", photo.name),
                    "the tutorial's: a URL": partial(start, "tutorial", network, photo_url),
                },
                rounds=11,
            )
            return starts, processes.imports(aws.endpoint, "upload", key)
    finally:
        aws.stop()


def measure_batches(photo: Path) -> dict[str, Seconds]:
    """On one core and on two, in turns."""
    cores = sorted(os.sched_getaffinity(0))[:2]
    seconds: dict[str, Seconds] = {}
    for _ in range(3):
        for name, chosen in (("one core", cores[:1]), ("two cores", cores)):
            measured = processes.batches(photo, _BATCH, 3, set(chosen))
            kept = seconds.setdefault(name, {what: [] for what in measured})
            for what, values in measured.items():
                kept[what] += [value / _BATCH for value in values]
    return seconds


def measure_paths(photos: dict[str, Path]) -> dict[str, Seconds]:
    """Through the local system, as clients see it."""
    paths: dict[str, Seconds] = {}
    with processes.local_system() as (url, aws_url), requests.Session() as http:
        s3 = new_session().client("s3", endpoint_url=aws_url)
        for name, file in photos.items():
            data = file.read_bytes()

            def upload(data: bytes = data) -> None:
                identifier = uuid.uuid4().hex
                s3.put_object(Bucket=BUCKET, Key=f"uploads/{identifier}", Body=data)
                while http.get(f"{url}/classifications/{identifier}", timeout=30).json()["status"] == "PENDING":
                    time.sleep(0.005)

            def predict(data: bytes = data) -> None:
                answer = http.post(f"{url}/predict", data, headers={"Content-Type": "image/jpeg"}, timeout=30)
                answer.raise_for_status()

            contenders: dict[str, Any] = {"upload to status": upload, "POST /predict": predict}
            paths[name] = in_turns(contenders, rounds=30)
    return paths


def _say(what: str) -> None:
    print(f"Measuring {what} …", file=sys.stderr)


if __name__ == "__main__":
    main()
