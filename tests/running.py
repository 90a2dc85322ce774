"""A local system in a process of its own, as `make run` starts it, and what its users see of it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import boto3
import requests

from conftest import ROOT

PATIENCE = 20  # seconds; a photo takes well under one, and a loaded machine may take more


def start(port: int, aws_port: int, output: Path) -> "subprocess.Popen[bytes]":
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "POWERTOOLS_"))}
    command = [sys.executable, "-m", "local", "--port", str(port), "--aws-port", str(aws_port)]
    # A shell's background job ignores Ctrl-C, and what it starts would too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with output.open("wb") as log:
        return subprocess.Popen(
            command, cwd=ROOT, env={**environment, "PYTHONPATH": "functions"}, stdout=log, stderr=subprocess.STDOUT
        )


def workers_of(process: "subprocess.Popen[bytes]") -> list[int]:
    command = ["pgrep", "-P", str(process.pid), "-f", "spawn_main"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return [int(line) for line in found.stdout.split()]


def eventually(look: Callable[[], Any], wanted: Callable[[Any], bool], patience: float = PATIENCE) -> Any:
    """What `look` sees once it is `wanted`; fails with what it saw last."""
    deadline = time.monotonic() + patience
    while not wanted(seen := look()):
        assert time.monotonic() < deadline, f"still {seen!r} after {patience} seconds"
        time.sleep(0.05)
    return seen


@dataclass(frozen=True)
class System:
    """A running local system, as its users see it."""

    process: "subprocess.Popen[bytes]"
    url: str
    aws_url: str
    output: Path

    @property
    def s3(self) -> Any:
        return self.client("s3")

    def client(self, service: str) -> Any:
        client: Any = boto3.client  # its types know the service's name alone
        return client(service, endpoint_url=self.aws_url, region_name="us-east-1")

    def upload(self, identifier: str, data: bytes) -> None:
        self.s3.put_object(Bucket="photos", Key=f"uploads/{identifier}", Body=data)

    def get(self, path: str) -> requests.Response:
        return requests.get(self.url + path, timeout=30)

    def classification(self, identifier: str, wanted: Callable[[Any], bool]) -> Any:
        """What the API tells of the photo, once it is as wanted."""
        return eventually(lambda: self.get(f"/classifications/{quote(identifier)}").json(), wanted)


def is_healthy(process: "subprocess.Popen[bytes]", url: str, output: Path) -> bool:
    assert process.poll() is None, output.read_text()
    try:
        return requests.get(f"{url}/health", timeout=30).ok
    except requests.ConnectionError:
        return False


@contextmanager
def running(port: int, aws_port: int, output: Path) -> Iterator[System]:
    """A system on these ports; Ctrl-C ends it, and it must end well."""
    process = start(port, aws_port, output)
    url = f"http://127.0.0.1:{port}"
    try:
        eventually(lambda: is_healthy(process, url, output), bool, 60)
        yield System(process, url, f"http://127.0.0.1:{aws_port}", output)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        assert "Traceback" not in output.read_text()
        assert "Stopped." in output.read_text()
    finally:
        process.kill()


def status(*wanted: str) -> Callable[[Any], bool]:
    return lambda content: content.get("status") in wanted
