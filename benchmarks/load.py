"""Measure how long clients wait for photos on the local system at several rates, and write `load.json`.

`benchmarks.scale` compares its simulation with these figures. The simulation gets other measurements: the durations of
photos and requests that come one by one, and how many of each the full system handles a second.
"""

import argparse
import json
import os
import random
import sys
import threading
import time
import uuid
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import requests
from botocore.config import Config

from benchmarks import processes
from benchmarks.figures import write_figures
from benchmarks.photos import draw_photos
from benchmarks.report import processor_name
from local.aws import BUCKET, new_session

_PHOTO = "JPEG, 4 MP"
_WARM_UPS = 20
_ALONE = 40  # photos, one by one
_FULL_PHOTOS, _FULL_REQUESTS = 300, 600  # at once
_RATES = (2, 4, 6, 8, 10)  # photos a second
_SECONDS = 60  # of each rate
_POLL_SECONDS = 1  # `Retry-After` of a PENDING photo
_THREADS = 400
_SEED = 0


class Client:
    """Uploads a photo, and asks for its status. Many threads can use it."""

    def __init__(self, urls: tuple[str, str], photo: bytes) -> None:
        self._url, aws_url = urls
        self._photo = photo
        config = Config(max_pool_connections=_THREADS, retries={"total_max_attempts": 1})
        self._local = threading.local()  # a session is for one thread
        self._s3 = new_session().client("s3", endpoint_url=aws_url, config=config)

    def upload(self) -> str:
        """Upload the photo. Return its id."""
        photo_id = f"{uuid.uuid4().hex}/front.jpg"
        self._s3.put_object(Bucket=BUCKET, Key=f"uploads/{photo_id}", Body=self._photo)
        return photo_id

    def ask(self, photo_id: str) -> bool:
        """Ask for the status once. Return whether it is final."""
        if not hasattr(self._local, "session"):
            self._local.session = requests.Session()
        answer = self._local.session.get(f"{self._url}/classifications/{photo_id}", timeout=60)
        return bool(answer.ok and answer.json()["status"] == "SUCCEEDED")

    def wait(self, photo_id: str) -> None:
        """Ask for the status each second until it is final."""
        while not self.ask(photo_id):
            time.sleep(_POLL_SECONDS)


def main() -> None:
    """Measure, which takes five minutes, and write the file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    parser.add_argument("--build", type=Path, default=Path("build/benchmarks"), help="the folder for drawn photos")
    photo = draw_photos(parser.parse_args().build / "photos")[_PHOTO].read_bytes()
    with TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with processes.local_system(log) as urls:
            client = Client(urls, photo)
            for _ in range(_WARM_UPS):
                client.wait(client.upload())
            figures: dict[str, Any] = {"photo": _PHOTO, "seconds": _SECONDS, "processors": os.cpu_count()}
            figures["machine"] = processor_name()
            figures |= _measure_alone(client, log)
            figures |= _measure_full(client, log)
            figures |= {f"rate_{rate}": _measure_rate(client, log, rate) for rate in _RATES}
    write_figures("load", figures)


def _measure_alone(client: Client, log: Path) -> dict[str, list[float]]:
    """Return the seconds of photos and of requests that come one by one, and those until an event is handled."""
    uploaded, statuses = {}, []
    for _ in range(_ALONE):
        photo_id = client.upload()
        uploaded[photo_id] = time.time()
        client.wait(photo_id)
        began = time.perf_counter()
        client.ask(photo_id)
        statuses.append(time.perf_counter() - began)
    classified = _read_log(log)
    durations = {photo_id: classified[photo_id][1] for photo_id in uploaded}
    events = [classified[photo_id][0] - durations[photo_id] - began for photo_id, began in uploaded.items()]
    return {"upload": _rounded(durations.values()), "status": _rounded(statuses), "event": _rounded(events)}


def _measure_full(client: Client, log: Path) -> dict[str, float]:
    """Return how many photos and how many requests the full system handles a second."""
    with ThreadPoolExecutor(_THREADS) as pool:
        began = time.time()
        ids = set(pool.map(lambda _: client.upload(), range(_FULL_PHOTOS)))
        while not ids <= (classified := _read_log(log)).keys():
            time.sleep(1)
        last = max(classified[photo_id][0] for photo_id in ids)
        began_asking = time.time()
        list(pool.map(client.ask, [*ids] * (_FULL_REQUESTS // _FULL_PHOTOS)))
        asked = time.time()
    return {
        "full_uploads": round(_FULL_PHOTOS / (last - began), 1),
        "full_statuses": round(_FULL_REQUESTS / (asked - began_asking), 1),
    }


def _measure_rate(client: Client, log: Path, rate: float) -> dict[str, Any]:
    """Return the seconds from the end of each upload until the photo is classified, and until its client knows that."""
    print(f"Measuring {rate} photos a second …", file=sys.stderr)
    randomness = random.Random(_SEED)
    times, now = [], 0.0
    while (now := now + randomness.expovariate(rate)) < _SECONDS:
        times.append(now)
    began = time.time()

    def arrive(at: float) -> tuple[str, float, float]:
        time.sleep(max(0, began + at - time.time()))
        photo_id = client.upload()
        uploaded = time.time()
        client.wait(photo_id)
        return photo_id, uploaded, time.time()

    with ThreadPoolExecutor(_THREADS) as pool:
        photos = list(pool.map(arrive, times))
    classified = _read_log(log)
    return {
        "uploads": _rounded(uploaded - began for _, uploaded, _ in photos),
        "classified": _rounded(classified[photo_id][0] - uploaded for photo_id, uploaded, _ in photos),
        "read": _rounded(read - uploaded for _, uploaded, read in photos),
    }


def _read_log(log: Path) -> dict[str, tuple[float, float]]:
    """Return when each photo was classified, and the seconds that it took, by its id."""
    lines = [line for line in log.read_text(encoding="utf-8").splitlines() if '"message":"classified"' in line]
    entries = [json.loads(line) for line in lines]
    return {
        entry["id"]: (
            datetime.strptime(entry["timestamp"], "%Y-%m-%d %H:%M:%S,%f%z").timestamp(),
            sum(entry["milliseconds"].values()) / 1000,
        )
        for entry in entries
    }


def _rounded(seconds: Iterable[float]) -> list[float]:
    return [round(value, 3) for value in seconds]


if __name__ == "__main__":
    main()
