"""Run all benchmarks. Write `benchmarks/README.md` with its plot, and a record of this release into `history.json`."""

import argparse
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path

import requests

from benchmarks import history, processes, report
from benchmarks.contenders import DECODE_ONLY, ThisProject, Tutorial
from benchmarks.floors import find_floors
from benchmarks.photos import draw_photos, find_photos
from benchmarks.timing import Durations, measure_interleaved, median_milliseconds, save_for_pyperf
from classifier import photos
from classifier.model import find_network
from classifier.services import Services
from local.aws import BUCKET, new_session

_HERE = Path(__file__).parent
_SMALL_PHOTO, _PHONE_PHOTO = "JPEG, 400 px", "JPEG, 12 MP"
_BATCH_SIZE = 80  # so many that the way of the first photo, while nothing is decoded, does not count
_BATCH_ROUNDS = 3
_ROUNDS = 30
_LARGE_FILE_BYTES, _ROUNDS_OF_LARGE_FILES = 1_000_000, 11  # large files take long; fewer rounds are enough
_ROUNDS_OF_STARTS = 11


def main() -> None:
    """Run the benchmarks, which takes about ten minutes on two cores."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--photos", type=Path, help="a folder of photos to measure too")
    parser.add_argument(
        "--build", type=Path, default=Path("build/benchmarks"), help="the folder for networks, drawn photos and timings"
    )
    arguments = parser.parse_args()
    networks = prepare_networks(arguments.build)
    drawn = draw_photos(arguments.build / "photos")
    files = drawn | (find_photos(arguments.photos) if arguments.photos else {})
    _print_progress("photos")
    measured = {name: measure_photo(file, networks) for name, file in files.items()}
    photos = {name: durations for name, (durations, _) in measured.items()}
    decoders = {name: decoder for name, (_, decoder) in measured.items()}
    _print_progress("cold starts")
    starts, imports = measure_starts(drawn[_SMALL_PHOTO], networks["xception"])
    _print_progress("batches")
    batches = measure_batches(drawn[_PHONE_PHOTO])
    _print_progress("the local system")
    local_system = measure_local_system({name: drawn[name] for name in (_SMALL_PHOTO, _PHONE_PHOTO)})
    _print_progress("peak memory")
    peak_memory = {name: processes.measure_peak_memory(file) for name, file in files.items()}
    in_local_system = {f"{name}, local system": durations for name, durations in local_system.items()}
    in_starts = {f"start, {cores}": durations for cores, durations in starts.items()}
    save_for_pyperf({**photos, **in_starts, **batches, **in_local_system}, arguments.build / "timings.json")
    figures = report.Figures(photos, decoders, starts, imports, batches, local_system, peak_memory)
    report.write_report(figures, _HERE / "README.md", _HERE / "ratios.png")
    release = history.newest_release((_HERE.parent / "CHANGELOG.md").read_text(encoding="utf-8"))
    history.record(report.find_ratios(figures), report.processor_name(), release, history.HISTORY)
    print(history.describe_changes(history.read_history(history.HISTORY)))


def prepare_networks(build: Path) -> dict[str, Path]:
    """Return the files of the tutorials' networks by name. A subprocess creates missing ones with TensorFlow."""
    files = {name: build / f"{name}.tflite" for name in ("xception", "inception")}
    if not all(file.exists() for file in files.values()):
        build.mkdir(parents=True, exist_ok=True)
        print("Creating the tutorials' networks …", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "benchmarks.networks", str(build)], check=True)
    return files


def measure_photo(file: Path, networks: dict[str, Path]) -> tuple[Durations, str]:
    """Return the seconds from bytes to scores for each contender, and those of this project's stages.

    The floor is the lowest one of all decoders. Return its decoder's name, too.
    """
    data = file.read_bytes()
    services = Services.from_environment(os.environ | processes.function_environment(processes.UNUSED_ENDPOINT))
    this_project = ThisProject(services)
    floors = find_floors(find_network(services.settings.model_directory), data)
    contenders: dict[str, Callable[[], object]] = {
        "this project": partial(this_project, data),
        DECODE_ONLY: partial(photos.decode, data, services.description.input_size, services.settings.limits),
        **{name: partial(floor, data) for name, floor in floors.items()},
        **{name: partial(Tutorial(network), data) for name, network in networks.items()},
    }
    rounds = _ROUNDS if len(data) < _LARGE_FILE_BYTES else _ROUNDS_OF_LARGE_FILES
    durations = measure_interleaved(contenders, rounds)
    measured = {name: durations.pop(name) for name in floors}
    lowest = min(measured, key=lambda name: median_milliseconds(measured[name]))
    stages = {stage: seconds[-rounds:] for stage, seconds in this_project.stages.items()}  # no warm-up
    return durations | {report.FLOOR: measured[lowest]} | stages, lowest


def measure_starts(photo: Path, network: Path) -> tuple[dict[str, Durations], dict[str, float]]:
    """Return the seconds of cold starts by number of cores, and the import times of packages in milliseconds."""
    processes.compile_function()
    aws = processes.MotoServer()
    try:
        with processes.file_server(photo.parent) as url:
            key = f"uploads/{photo.name}"
            aws.s3.put_object(Bucket=BUCKET, Key=key, Body=photo.read_bytes())
            contenders: dict[tuple[str, str], Callable[[], object]] = {}
            for cores, cpus in _cores().items():
                start = partial(processes.run_cold_start, aws.endpoint, cpus)
                start("upload", key)  # stores the classification that the status request reads
                for name, contender in _cold_starts(start, aws, photo, network, f"{url}/{photo.name}").items():
                    contenders[cores, name] = contender
            durations = measure_interleaved(contenders, _ROUNDS_OF_STARTS)
            starts = {
                cores: {name: seconds for (of, name), seconds in durations.items() if of == cores} for cores in _cores()
            }
            return starts, processes.measure_imports(aws.endpoint, "upload", key)
    finally:
        aws.stop()


def _cores() -> dict[str, set[int]]:
    cpus = sorted(os.sched_getaffinity(0))[:2]
    return {report.ONE_CORE: set(cpus[:1]), report.TWO_CORES: set(cpus)}


def _cold_starts(
    start: Callable[..., None], aws: processes.MotoServer, photo: Path, network: Path, photo_url: str
) -> dict[str, Callable[[], object]]:
    def start_with_upload() -> None:
        key = f"uploads/{uuid.uuid4().hex}"  # a new key, because a known photo is not classified again
        aws.s3.put_object(Bucket=BUCKET, Key=key, Body=photo.read_bytes())
        start("upload", key)

    return {
        report.WITH_SDK: partial(start, "bare", photo),
        report.WITHOUT_SDK: partial(start, "bare_without_sdk", photo),
        report.DIRECT: partial(start, "direct", photo_url),
        "this project, S3 event of an upload": start_with_upload,
        "this project, `POST /predict` with a photo": partial(start, "predict", photo),
        "this project, `GET /classifications/{id}`": partial(start, "status", photo.name),
        "the Xception tutorial's function with a URL": partial(start, "tutorial", network, photo_url),
    }


def measure_batches(photo: Path) -> dict[str, Durations]:
    """Return the seconds per photo on one core and on two, measured alternately."""
    batches: dict[str, Durations] = {cores: {} for cores in _cores()}
    for _ in range(3):
        for cores, cpus in _cores().items():
            for name, values in processes.measure_batches(photo, _BATCH_SIZE, _BATCH_ROUNDS, cpus).items():
                batches[cores].setdefault(name, []).extend(value / _BATCH_SIZE for value in values)
    return batches


def measure_local_system(photos: dict[str, Path]) -> dict[str, Durations]:
    """Return the seconds that a client of the local system waits for each photo."""
    with processes.local_system() as (url, aws_url), requests.Session() as http:
        s3 = new_session().client("s3", endpoint_url=aws_url)

        def upload(data: bytes) -> None:
            identifier = uuid.uuid4().hex
            s3.put_object(Bucket=BUCKET, Key=f"uploads/{identifier}", Body=data)
            while http.get(f"{url}/classifications/{identifier}", timeout=30).json()["status"] == "PENDING":
                time.sleep(0.005)

        def predict(data: bytes) -> None:
            response = http.post(f"{url}/predict", data, headers={"Content-Type": "image/jpeg"}, timeout=30)
            response.raise_for_status()

        durations: dict[str, Durations] = {}
        for name, file in photos.items():
            data = file.read_bytes()
            contenders = {"upload until classified": partial(upload, data), "POST /predict": partial(predict, data)}
            durations[name] = measure_interleaved(contenders, _ROUNDS)
        return durations


def _print_progress(name: str) -> None:
    print(f"Measuring {name} …", file=sys.stderr)


if __name__ == "__main__":
    main()
