"""Starts the whole system on this machine and runs it until Ctrl-C."""

import argparse
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

from local.rehearsal import FAULTS

_HOST = "127.0.0.1"
_MAX_PORT = 65535
_MODEL = Path(__file__).parent.parent / "model"


class UsageError(Exception):
    """The command line asks for something that is not possible. The message tells the user what to do."""


def main() -> int:
    """Run the local system. Print a sentence to stderr if that is not possible."""
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    parser.add_argument("--port", default="8000", help="port of the API (default: 8000)")
    parser.add_argument("--aws-port", default="5000", help="port of S3, DynamoDB, SQS and EventBridge (default: 5000)")
    parser.add_argument("--log", default="plain", help='"plain" for a line for each photo, or "json" (default: plain)')
    parser.add_argument("--model", type=Path, default=_MODEL, help="folder of the model (default: model/)")
    parser.add_argument("--fail", default="", help=f"rehearse a fault: {', '.join(FAULTS)}")
    arguments = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    try:
        with suppress(KeyboardInterrupt):
            ports = parse_ports(arguments.port, arguments.aws_port)
            _run(*ports, parse_log(arguments.log), arguments.model, parse_fail(arguments.fail))
    except UsageError as error:
        print(error, file=sys.stderr)
        return 1
    print("\nStopped.")
    return 0


def _stop(*_: object) -> None:
    """End the system. Further signals do nothing: they would interrupt the end, and `make` repeats those of a group."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)  # not SIG_IGN: one may wait already, and Python would print an error
    raise KeyboardInterrupt


def parse_ports(port: str, aws_port: str) -> tuple[int, int]:
    """Return two different free ports. Raise `UsageError`."""
    ports = _parse_port("PORT", port), _parse_port("AWS_PORT", aws_port)
    if ports[0] == ports[1]:
        raise UsageError(f"PORT and AWS_PORT are both {port}. Choose two different ports.")
    _check_free("PORT", ports[0])
    _check_free("AWS_PORT", ports[1])
    return ports


def parse_log(log: str) -> str:
    """Return the form of the log. Raise `UsageError`."""
    if log not in {"plain", "json"}:
        raise UsageError(f"LOG must be plain or json, not {log!r}.")
    return log


def parse_fail(name: str) -> str | None:
    """Return the name of the fault to rehearse, or None if the name is empty. Raise `UsageError`."""
    if name and name not in FAULTS:
        raise UsageError(f"FAIL must be one of {', '.join(FAULTS)}, not {name!r}.")
    return name or None


def _run(port: int, aws_port: int, log: str, model: Path, fail: str | None) -> None:
    try:
        from local.function import FunctionError  # noqa: PLC0415 - imported here to report an incomplete installation
        from local.system import run  # noqa: PLC0415
    except ImportError as error:
        raise UsageError(f"The installation is incomplete ({error}). Run: make clean run") from error
    try:
        run(_HOST, port, aws_port, log, model, fail)
    except FunctionError as error:
        raise UsageError(f"The function does not start: {': '.join(error.args)}") from error


def _parse_port(name: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or not 1 <= int(text) <= _MAX_PORT:
        raise UsageError(f"{name} must be a whole number from 1 to {_MAX_PORT}, not {text!r}.")
    return int(text)


def _check_free(name: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # ports of servers that have just ended are free
        try:
            probe.bind((_HOST, port))
        except PermissionError as error:
            raise UsageError(f"Port {port} needs root. Use a port from 1024 on: make run {name}=…") from error
        except OSError as error:
            raise UsageError(f"Port {port} is in use. Choose another one: make run {name}={_next(port)}") from error


def _next(port: int) -> int:
    return port + 1 if port < _MAX_PORT else port - 1


if __name__ == "__main__":
    sys.exit(main())
