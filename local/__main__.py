"""Starts the whole system on this machine and runs it until Ctrl-C."""

import argparse
import signal
import socket
import sys

_HOST = "127.0.0.1"


def main() -> int:
    """Run the local system, or say why it can't run."""
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    parser.add_argument("--port", type=int, default=8000, help="port of the API (default: 8000)")
    parser.add_argument("--aws-port", type=int, default=5000, help="port of S3, DynamoDB and SQS (default: 5000)")
    arguments = parser.parse_args()
    for name, port in (("PORT", arguments.port), ("AWS_PORT", arguments.aws_port)):
        if not _is_free(port):
            return _fail(f"Port {port} is taken. Choose another: make run {name}={port + 1}")
    try:
        from local.function import FunctionError  # noqa: PLC0415 - here, to say what a broken install lacks
        from local.system import run  # noqa: PLC0415
    except ImportError as error:
        return _fail(f"The installation is incomplete ({error}). Remove the folder .venv and run make again.")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends like Ctrl-C
    try:
        run(_HOST, arguments.port, arguments.aws_port)
    except KeyboardInterrupt:
        pass
    except FunctionError as error:
        return _fail(f"The function does not start: {': '.join(error.args)}")
    print("\nStopped.")
    return 0


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # ports of servers just ended are free
        try:
            probe.bind((_HOST, port))
        except OSError:
            return False
    return True


def _fail(message: str) -> int:
    print(message, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
