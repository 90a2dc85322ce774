"""A local system in a process of its own, as `make run` starts it, and as its users see it."""

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
from botocore.config import Config

from tests.support.paths import ROOT, TESTS_MODEL

TIMEOUT = 20  # seconds; a photo takes much less than one, but more on a loaded machine


def start(port: int, aws_port: int, output: Path, *options: str) -> "subprocess.Popen[bytes]":
    """Start a local system on these ports, with further options, that writes its output to the file.

    It has the model of the tests unless the options name another one.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "POWERTOOLS_"))}
    ports = ["--port", str(port), "--aws-port", str(aws_port)]
    command = [sys.executable, "-m", "local", *ports, "--model", str(TESTS_MODEL), *options]
    # A shell's background job ignores Ctrl-C, and its child processes inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with output.open("wb") as log:
        return subprocess.Popen(
            command, cwd=ROOT, env={**environment, "PYTHONPATH": "functions"}, stdout=log, stderr=subprocess.STDOUT
        )


def worker_pids(process: "subprocess.Popen[bytes]") -> list[int]:
    """Return the process ids of the local system's workers."""
    command = ["pgrep", "-P", str(process.pid), "-f", "spawn_main"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return [int(line) for line in found.stdout.split()]


def wait_until(read: Callable[[], Any], is_wanted: Callable[[Any], bool], timeout: float = TIMEOUT) -> Any:
    """Read until the value is wanted. Return it; fail with the last value after so many seconds."""
    deadline = time.monotonic() + timeout
    while not is_wanted(value := read()):
        assert time.monotonic() < deadline, f"still {value!r} after {timeout} seconds"
        time.sleep(0.05)
    return value


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

    def client(self, service: str, config: Config | None = None) -> Any:
        client: Any = boto3.client  # its stubs want the service's name as a literal
        return client(service, endpoint_url=self.aws_url, region_name="us-east-1", config=config)

    def upload(self, identifier: str, data: bytes) -> None:
        self.s3.put_object(Bucket="photos", Key=f"uploads/{identifier}", Body=data)

    def get(self, path: str) -> requests.Response:
        return requests.get(self.url + path, timeout=30)

    def classification(self, identifier: str, is_wanted: Callable[[Any], bool]) -> Any:
        """Return the photo's classification once it is wanted."""
        return wait_until(lambda: self.get(f"/classifications/{quote(identifier)}").json(), is_wanted)


def is_healthy(process: "subprocess.Popen[bytes]", url: str, output: Path) -> bool:
    """Tell whether the system answers. Fail with its output if its process has ended."""
    assert process.poll() is None, output.read_text()
    try:
        return requests.get(f"{url}/health", timeout=30).ok
    except requests.ConnectionError:
        return False


@contextmanager
def running(port: int, aws_port: int, output: Path, *options: str) -> Iterator[System]:
    """Run a system on these ports. End it by two signals, and assert that it ends without an error."""
    process = start(port, aws_port, output, *options)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: is_healthy(process, url, output), bool, 60)
        yield System(process, url, f"http://127.0.0.1:{aws_port}", output)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)  # as if a whole group of processes was told to end
        assert process.wait(30) == 0
        assert "Traceback" not in output.read_text()
        assert "Stopped." in output.read_text()
    finally:
        process.kill()


def status(*wanted: str) -> Callable[[Any], bool]:
    """Return a function that tells whether a classification has one of these statuses."""
    return lambda content: content.get("status") in wanted
