"""What runs in processes of its own: fresh starts, batches on one core and on two, the local system."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from benchmarks.timing import Seconds
from classifier.services import MEGABYTES_OF_A_PROCESSOR
from local.aws import BUCKET, TABLE, create_resources, environment, new_session

ROOT = Path(__file__).parent.parent
_PATIENCE = 60  # seconds


class Aws:
    """moto's server in a process of its own, on some of the processors, with bucket and table."""

    def __init__(self, processors: set[int] | None = None) -> None:
        """Answers once this returns."""
        port = free_port()
        self.endpoint = f"http://127.0.0.1:{port}"
        self._process = _spawn(["-m", "moto.server", "--port", str(port)], {}, processors, stderr=subprocess.DEVNULL)
        wait_for(port)
        session = new_session()
        create_resources(session, self.endpoint)
        self.s3 = session.client("s3", endpoint_url=self.endpoint)
        # Nobody reads the queue.
        self.s3.put_bucket_notification_configuration(Bucket=BUCKET, NotificationConfiguration={})

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()


def wait_for(port: int) -> None:
    """Return once somebody listens; raises `OSError` after a minute."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def free_port() -> int:
    """One that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def settings(endpoint: str) -> dict[str, str]:
    """The function's, for that AWS."""
    return {
        **environment(endpoint),
        "BUCKET_NAME": BUCKET,
        "TABLE_NAME": TABLE,
        "MODEL_DIR": str(ROOT / "model"),
        "ALLOW_LOOPBACK_URLS": "1",
        "CURSOR_KEY": "local",
        "POWERTOOLS_LOG_LEVEL": "ERROR",
        "POWERTOOLS_METRICS_DISABLED": "true",
    }


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """A web server with the folder's files; gives its URL."""

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()


def start_afresh(endpoint: str, kind: str, *arguments: object) -> None:
    """Start an interpreter and wait until it has answered."""
    command = ["-m", "benchmarks.start", kind, *map(str, arguments)]
    told, _ = _spawn(command, settings(endpoint), stdout=subprocess.PIPE, text=True).communicate()
    if not told.endswith("answered\n"):
        raise RuntimeError(f"There was no answer to {kind}.")


def peak(photo: Path) -> float:
    """The most mebibytes of a process that classifies one photo."""
    command = ["-m", "benchmarks.peak", str(photo)]
    told, _ = _spawn(command, settings("http://127.0.0.1:1"), stdout=subprocess.PIPE, text=True).communicate()
    return float(told)


def imports(endpoint: str, kind: str, *arguments: object) -> dict[str, float]:
    """Milliseconds that each package's own modules take to import until the first answer."""
    command = ["-X", "importtime", "-m", "benchmarks.start", kind, *map(str, arguments)]
    process = _spawn(command, settings(endpoint), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    _, told = process.communicate()
    packages: dict[str, float] = {}
    for line in told.splitlines():
        if line.startswith("import time:") and "self [us]" not in line:
            own, _, name = line.removeprefix("import time:").split("|")
            package = name.strip().partition(".")[0]
            packages[package] = packages.get(package, 0) + int(own) / 1000
    return packages


def batches(photo: Path, count: int, rounds: int, processors: set[int]) -> Seconds:
    """Seconds of `benchmarks.batch` on these processors, which AWS shares."""
    aws = Aws(processors)
    try:
        variables = settings(aws.endpoint) | {
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(MEGABYTES_OF_A_PROCESSOR * len(processors))
        }
        command = ["-m", "benchmarks.batch", str(photo), str(count), str(rounds)]
        told, _ = _spawn(command, variables, processors, stdout=subprocess.PIPE, text=True).communicate()
        seconds: Seconds = json.loads(told.splitlines()[-1])
        return seconds
    finally:
        aws.stop()


@contextmanager
def local_system() -> Iterator[tuple[str, str]]:
    """`make run` on ports of its own; gives the URLs of the API and of AWS."""
    port, aws_port = free_port(), free_port()
    command = ["-m", "local", "--port", str(port), "--aws-port", str(aws_port)]
    process = _spawn(command, {}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(port)
        yield f"http://127.0.0.1:{port}", f"http://127.0.0.1:{aws_port}"
    finally:
        process.terminate()
        process.wait()


def _spawn(
    arguments: list[str], variables: dict[str, str], processors: set[int] | None = None, **options: Any
) -> "subprocess.Popen[str]":
    """Python, on some of the processors if they are named."""
    pinned = ["taskset", "--cpu-list", ",".join(map(str, processors))] if processors else []
    command = [*pinned, sys.executable, *arguments]
    return subprocess.Popen(command, cwd=ROOT, env=os.environ | variables, **options)
