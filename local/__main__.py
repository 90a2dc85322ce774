"""Starts the whole system on this machine and runs it until Ctrl-C."""

import argparse
import os
import signal
import socket
import sys
from contextlib import ExitStack
from pathlib import Path

from local.aws import BUCKET, TABLE, create_resources, environment, new_session, start_server
from local.function import Function, FunctionError
from local.gateway import make_gateway
from local.triggers import QueueTrigger

_HOST = "127.0.0.1"
_MODEL = Path(__file__).parent.parent / "model"


def main() -> int:
    """Run the local system."""
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    parser.add_argument("--port", type=int, default=8000, help="port of the API (default: 8000)")
    parser.add_argument("--aws-port", type=int, default=5000, help="port of S3, DynamoDB and SQS (default: 5000)")
    arguments = parser.parse_args()
    for name, port in (("PORT", arguments.port), ("AWS_PORT", arguments.aws_port)):
        if not _is_free(port):
            print(f"Port {port} is taken. Choose another: make run {name}={port + 1}", file=sys.stderr)
            return 1
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends like Ctrl-C
    try:
        _run(arguments.port, arguments.aws_port)
    except KeyboardInterrupt:
        pass
    except FunctionError as error:
        print(f"The function does not start: {': '.join(error.args)}", file=sys.stderr)
        return 1
    print("\nStopped.")
    return 0


def _run(port: int, aws_port: int) -> None:
    endpoint = f"http://{_HOST}:{aws_port}"
    settings = {
        **environment(endpoint),
        "BUCKET_NAME": BUCKET,
        "TABLE_NAME": TABLE,
        "MODEL_DIR": str(_MODEL),
        "ALLOW_LOOPBACK_URLS": "1",
        "POWERTOOLS_TRACE_DISABLED": "true",
        "POWERTOOLS_METRICS_DISABLED": "true",
    }
    concurrency = os.cpu_count() or 1
    with ExitStack() as running:  # ends in the opposite order of its beginning
        server = start_server(_HOST, aws_port)
        running.callback(server.stop)
        function = Function(settings, concurrency)
        running.callback(function.stop)
        resources = create_resources(new_session(), endpoint)
        function.warm_up()
        queues = [(resources.uploads_url, resources.failures_url)] * concurrency + [(resources.failures_url, None)]
        triggers = [QueueTrigger(function, resources.sqs, *urls) for urls in queues]
        for trigger in triggers:
            trigger.start()
            running.callback(trigger.join)
        for trigger in triggers:
            running.callback(trigger.stop)
        gateway = make_gateway(function, _HOST, port)
        print(_welcome(port, endpoint), flush=True)
        gateway.serve_forever()


def _welcome(port: int, endpoint: str) -> str:
    return f"""
Running. The API answers on http://{_HOST}:{port}, S3, DynamoDB and SQS on {endpoint}.

  upload a photo   aws --endpoint-url {endpoint} s3 cp photo.jpg s3://{BUCKET}/uploads/photo.jpg
              or   curl --user any:any --aws-sigv4 aws:amz:us-east-1:s3 \\
                        -T photo.jpg {endpoint}/{BUCKET}/uploads/photo.jpg
  read its label   curl http://{_HOST}:{port}/classifications/photo.jpg

Everything is in memory. Ctrl-C ends it.
"""


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # ports of servers just ended are free
        try:
            probe.bind((_HOST, port))
        except OSError:
            return False
    return True


if __name__ == "__main__":
    sys.exit(main())
