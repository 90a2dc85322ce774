"""The local system after thousands of requests: none is refused, no record is lost, memory and speed stay.

Speed is compared between the system that has answered all of them and one that has just started, in turns, since no
machine is equally fast all the time.
"""

import itertools
import os
import statistics
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import requests
from PIL import Image

from tests.support.drawings import encoded
from tests.support.local_system import System, running
from tests.support.ports import free_port
from tests.support.scale import Scale

Record = Callable[[str, object], None]
CLIENTS = 8
WARM_UP = 50  # requests before the memory is measured for the first time
ROUNDS = 100  # of the comparison
MAX_GROWTH = 300 * 2**20  # bytes
MAX_RATIO = 1.5


def grainy_photo(seed: int) -> bytes:
    """Draw a JPEG of about 50 KB, as phones' photos are when they are shrunk for the web."""
    colours = np.random.default_rng(seed).integers(0, 255, (34, 34, 3), np.uint8)
    return encoded(Image.fromarray(colours).resize((540, 540)), quality=85)


PHOTOS = [grainy_photo(seed) for seed in range(CLIENTS)]


class Client:
    """Sends photos over one connection, and keeps the ids of their records."""

    def __init__(self, url: str) -> None:
        self.ids: list[str] = []
        self.statuses: set[int] = set()
        self._url = url
        self._session = requests.Session()

    def classify(self, photo: bytes) -> float:
        """Send a photo. Return how many seconds the answer took."""
        began = time.perf_counter()
        headers = {"Content-Type": "image/jpeg"}
        answer = self._session.post(f"{self._url}/classifications", photo, headers=headers, timeout=60)
        seconds = time.perf_counter() - began
        self.statuses.add(answer.status_code)
        self.ids.append(answer.json().get("id"))
        return seconds

    def read(self) -> set[str]:
        """Read all records. Return their statuses."""
        answers = (self._session.get(f"{self._url}/classifications/{one}", timeout=60).json() for one in self.ids)
        return {answer.get("status") for answer in answers}


def memory_of_all(process: "subprocess.Popen[bytes]") -> int:
    """Return the resident memory of a process and its children, in bytes."""
    children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True).stdout
    pids = [process.pid, *map(int, children.split())]
    pages = (int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return sum(pages) * os.sysconf("SC_PAGE_SIZE")


def classify_all(system: System, requests_: int) -> list[Client]:
    """Let all clients send photos at the same time, until so many are sent."""
    clients = [Client(system.url) for _ in range(CLIENTS)]
    numbers, lock = iter(range(requests_)), threading.Lock()

    def send(client: Client) -> None:
        for photo in itertools.cycle(PHOTOS):
            with lock:
                if next(numbers, None) is None:
                    return
            client.classify(photo)

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(send, clients))
    return clients


def times_as_slow(system: System, fresh: System) -> float:
    """Return how many times longer a request to the one takes than to the other: the median over paired requests."""
    one, other = Client(system.url), Client(fresh.url)
    other.classify(PHOTOS[0])  # its first request opens connections
    return statistics.median(one.classify(PHOTOS[0]) / other.classify(PHOTOS[0]) for _ in range(ROUNDS))


def test_thousands_of_requests_neither_fail_nor_use_up_memory(
    tmp_path: Path, scale: Scale, record_property: Record
) -> None:
    wanted = scale.of(5000, short=150)
    with running(free_port(), free_port(), tmp_path / "output") as system:
        classify_all(system, WARM_UP)
        before = memory_of_all(system.process)

        clients = classify_all(system, wanted)

        growth = memory_of_all(system.process) - before
        assert {status for client in clients for status in client.statuses} == {201}
        assert len({one for client in clients for one in client.ids}) == wanted
        assert {status for client in clients for status in client.read()} == {"SUCCEEDED"}
        assert growth < MAX_GROWTH
        if scale.whole:
            with running(free_port(), free_port(), tmp_path / "fresh") as fresh:
                ratio = times_as_slow(system, fresh)
            assert ratio < MAX_RATIO
            record_property("percent of a fresh system's time that a request takes afterwards", round(100 * ratio))
    record_property("requests from eight clients", wanted)
    record_property("MiB by which all processes grew", round(growth / 2**20))
