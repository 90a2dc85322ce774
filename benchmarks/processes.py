"""Subprocesses of the benchmarks: moto's server, cold starts, batches on one and two cores, the local system."""

import compileall
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

from benchmarks.timing import Durations
from classifier.settings import MEGABYTES_PER_VCPU
from local.aws import BUCKET, TABLE, create_resources, environment, new_session

ROOT = Path(__file__).parent.parent
UNUSED_ENDPOINT = "http://127.0.0.1:1"  # for code that needs the setting but sends no request to AWS
_START_TIMEOUT_SECONDS = 60


class MotoServer:
    """moto's server in a subprocess, with the bucket and the table."""

    def __init__(self) -> None:
        """Start the server and wait until it answers."""
        port = find_free_port()
        self.endpoint = f"http://127.0.0.1:{port}"
        self._process = _start_python(["-m", "moto.server", "--port", str(port)], {}, stderr=subprocess.DEVNULL)
        wait_for_port(port)
        session = new_session()
        create_resources(session, self.endpoint)
        self.s3 = session.client("s3", endpoint_url=self.endpoint)
        # The bucket must not notify the queue, because nothing reads the queue.
        self.s3.put_bucket_notification_configuration(Bucket=BUCKET, NotificationConfiguration={})

    def stop(self) -> None:
        """Stop the server."""
        self._process.kill()
        self._process.wait()


def wait_for_port(port: int) -> None:
    """Wait until a local process listens on the port. Raise `OSError` after a minute."""
    deadline = time.monotonic() + _START_TIMEOUT_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def find_free_port() -> int:
    """Return a port on which no process listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def function_environment(endpoint: str) -> dict[str, str]:
    """Return the function's environment variables for an AWS endpoint."""
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
def file_server(folder: Path) -> Iterator[str]:
    """Serve the folder's files over HTTP. Yield the server's URL."""

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()


def compile_function() -> None:
    """Compile the function's modules to byte code, as its image does. Python may be told to write none by itself."""
    compileall.compile_dir(ROOT / "functions", quiet=1)


def run_cold_start(endpoint: str, cpus: set[int], kind: str, *arguments: object) -> None:
    """Run `benchmarks.start` in a new interpreter on these CPUs. Raise `RuntimeError` if it does not answer."""
    command = ["-m", "benchmarks.start", kind, *map(str, arguments)]
    process = _start_python(command, function_environment(endpoint), cpus, stdout=subprocess.PIPE, text=True)
    output, _ = process.communicate()
    if not output.endswith("answered\n"):
        raise RuntimeError(f"The cold start {kind!r} did not answer.")


def measure_peak_memory(photo: Path) -> float:
    """Return the peak memory in MiB of a process that classifies one photo."""
    command = ["-m", "benchmarks.peak_memory", str(photo)]
    process = _start_python(command, function_environment(UNUSED_ENDPOINT), stdout=subprocess.PIPE, text=True)
    output, _ = process.communicate()
    return float(output)


def measure_imports(endpoint: str, kind: str, *arguments: object) -> dict[str, float]:
    """Return the import time of each package in milliseconds, until the first answer of a cold start."""
    command = ["-X", "importtime", "-m", "benchmarks.start", kind, *map(str, arguments)]
    variables = function_environment(endpoint)
    process = _start_python(command, variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    _, output = process.communicate()
    packages: dict[str, float] = {}
    for line in output.splitlines():
        if line.startswith("import time:") and "self [us]" not in line:
            microseconds, _, module = line.removeprefix("import time:").split("|")
            package = module.strip().partition(".")[0]
            packages[package] = packages.get(package, 0) + int(microseconds) / 1000
    return packages


def measure_batches(photo: Path, count: int, rounds: int, cpus: set[int]) -> Durations:
    """Return the seconds of `benchmarks.batch` on these CPUs. S3 and DynamoDB are a stand-in on the last CPU of all."""
    port = find_free_port()
    last = {max(os.sched_getaffinity(0))}
    aws = _start_python(["-m", "benchmarks.aws_stand_in", str(port), str(photo)], {}, last, stderr=subprocess.DEVNULL)
    try:
        wait_for_port(port)
        memory = {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(MEGABYTES_PER_VCPU * len(cpus))}
        variables = function_environment(f"http://127.0.0.1:{port}") | memory
        command = ["-m", "benchmarks.batch", str(photo), str(count), str(rounds)]
        output, _ = _start_python(command, variables, cpus, stdout=subprocess.PIPE, text=True).communicate()
        durations: Durations = json.loads(output.splitlines()[-1])
        return durations
    finally:
        aws.kill()
        aws.wait()


@contextmanager
def local_system(log: Path = Path(os.devnull)) -> Iterator[tuple[str, str]]:
    """Start the local system on free ports, with Lambda's log in a file. Yield the URLs of its API and of its AWS."""
    port, aws_port = find_free_port(), find_free_port()
    command = ["-m", "local", "--port", str(port), "--aws-port", str(aws_port), "--log", "json"]
    with log.open("w") as output:
        process = _start_python(command, {}, stdout=output, stderr=subprocess.DEVNULL)
    try:
        wait_for_port(port)
        yield f"http://127.0.0.1:{port}", f"http://127.0.0.1:{aws_port}"
    finally:
        process.terminate()
        process.wait()


def _start_python(
    arguments: list[str], variables: dict[str, str], cpus: set[int] | None = None, **options: Any
) -> "subprocess.Popen[str]":
    """Start a Python interpreter, on some CPUs if they are given."""
    prefix = ["taskset", "--cpu-list", ",".join(map(str, cpus))] if cpus else []
    command = [*prefix, sys.executable, *arguments]
    return subprocess.Popen(command, cwd=ROOT, env=os.environ | variables, **options)
