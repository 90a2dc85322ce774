"""Thousands of uploads at once on the local system: no photo is lost, and no label is wrong, even after a kill."""

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import requests
from botocore.exceptions import BotoCoreError, ClientError

from tests.support.drawings import photo
from tests.support.local_system import System, is_healthy, running, start, status, wait_until, worker_pids
from tests.support.ports import free_port
from tests.support.scale import Scale

Record = Callable[[str, object], None]
PHOTOS = {"t-shirt": photo("t-shirt"), "pants": photo("pants"), None: b"just text"}
SELLERS = 4
CLIENTS = 2
TIMEOUT = 900  # seconds for all uploads


@dataclass
class Load:
    """Sellers who upload, clients who poll, and what they saw. `answers` holds the durations of requests in seconds."""

    system: System
    uploads: int
    uploaded: list[str] = field(default_factory=list)
    answers: list[float] = field(default_factory=list)
    statuses: set[int] = field(default_factory=set)
    labels: dict[str, str | None] = field(default_factory=dict)

    def expected(self) -> dict[str, str | None]:
        """Return the label of each id. One file in twenty is not a photo, and has the label None."""
        kinds: list[str | None] = ["t-shirt", "pants"] * 10
        kinds[7] = None
        return {f"listing-{n % 50}/{n}.jpg": kinds[n % len(kinds)] for n in range(self.uploads)}

    def run(self, during: Callable[[], None]) -> None:
        """Upload all photos, and poll until each has its final status. Call `during` when half of them have it."""
        photos = list(self.expected().items())
        with ThreadPoolExecutor(SELLERS + CLIENTS) as pool:
            tasks = [pool.submit(self._upload, photos[number::SELLERS]) for number in range(SELLERS)]
            tasks += [pool.submit(self._poll, number) for number in range(CLIENTS)]
            wait_until(lambda: len(self.labels), lambda count: count >= self.uploads / 2, TIMEOUT)
            during()
            for task in tasks:
                task.result()

    def _upload(self, photos: list[tuple[str, str | None]]) -> None:
        s3 = self.system.s3
        for identifier, kind in photos:
            s3.put_object(Bucket="photos", Key=f"uploads/{identifier}", Body=PHOTOS[kind])
            self.uploaded.append(identifier)

    def _poll(self, number: int) -> None:
        """Ask for each of this client's photos, and every second again for those that are not done."""
        deadline = time.monotonic() + TIMEOUT
        with requests.Session() as session:
            while len(self.labels) < self.uploads:
                assert time.monotonic() < deadline, f"{len(self.labels)} of {self.uploads} are done"
                for identifier in self.uploaded[number::CLIENTS]:
                    if identifier not in self.labels:
                        self._read(session, identifier)
                time.sleep(1)

    def _read(self, session: requests.Session, identifier: str) -> None:
        began = time.perf_counter()
        answer = session.get(f"{self.system.url}/classifications/{identifier}", timeout=30)
        self.answers.append(time.perf_counter() - began)
        self.statuses.add(answer.status_code)
        if answer.json().get("status") in {"SUCCEEDED", "FAILED"}:
            self.labels[identifier] = answer.json()["label"]


def memory_of(pids: list[int]) -> int:
    """Return the resident memory of the processes, in bytes."""
    pages = (int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return sum(pages) * os.sysconf("SC_PAGE_SIZE")


def test_every_upload_gets_its_label_while_memory_does_not_grow(
    tmp_path: Path, scale: Scale, record_property: Record
) -> None:
    with running(free_port(), free_port(), tmp_path / "output") as system:
        load = Load(system, scale.of(2000, short=60))
        half: list[int] = []
        began = time.monotonic()

        load.run(during=lambda: half.append(memory_of(worker_pids(system.process))))

        seconds = time.monotonic() - began
        assert load.labels == load.expected()
        assert load.statuses == {200}
        assert memory_of(worker_pids(system.process)) < half[0] * 1.1
    record_property("uploads", load.uploads)
    record_property("uploads a second", round(load.uploads / seconds))
    record_property("answers", len(load.answers))
    for percentile in (50, 95, 99):
        milliseconds = round(float(np.percentile(load.answers, percentile)) * 1000)
        record_property(f"milliseconds of an answer at the {percentile}th percentile", milliseconds)


def test_no_upload_is_lost_when_a_worker_is_killed(tmp_path: Path, scale: Scale, record_property: Record) -> None:
    with running(free_port(), free_port(), tmp_path / "output") as system:
        load = Load(system, scale.of(500, short=40))

        load.run(during=lambda: os.kill(worker_pids(system.process)[0], signal.SIGKILL))

        assert load.labels == load.expected()
        assert load.statuses <= {200, 502}  # 502: the worker was answering the request
    record_property("uploads around a kill", load.uploads)


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
def test_a_system_that_ended_during_uploads_starts_again_empty(tmp_path: Path, ending: signal.Signals) -> None:
    """Everything in the local system is in memory."""
    port, aws_port = free_port(), free_port()
    process = start(port, aws_port, tmp_path / "first")
    system = System(process, f"http://127.0.0.1:{port}", f"http://127.0.0.1:{aws_port}", tmp_path / "first")
    wait_until(lambda: is_healthy(process, system.url, system.output), bool, 60)
    system.upload("done.jpg", PHOTOS["pants"])
    system.classification("done.jpg", status("SUCCEEDED"))
    with ThreadPoolExecutor(1) as seller:
        seller.submit(upload_until_the_end, system)
        time.sleep(0.5)
        process.send_signal(ending)
        process.wait(30)
    with running(port, aws_port, tmp_path / "second") as again:
        assert again.get("/classifications/done.jpg").status_code == 404
        again.upload("new.jpg", PHOTOS["pants"])
        assert again.classification("new.jpg", status("SUCCEEDED"))["label"] == "pants"


def upload_until_the_end(system: System) -> None:
    """Upload photos until the system does not answer."""
    s3 = system.s3
    with suppress(BotoCoreError, ClientError):
        for number in range(100_000):
            s3.put_object(Bucket="photos", Key=f"uploads/{number}.jpg", Body=PHOTOS["t-shirt"])
