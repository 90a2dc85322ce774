"""Puts the parts of the local system together."""

import os
from contextlib import ExitStack
from pathlib import Path

from local.aws import (
    BUCKET,
    REGION,
    TABLE,
    Resources,
    bridge_address,
    create_resources,
    environment,
    new_session,
    start_server,
)
from local.function import Function
from local.gateway import make_gateway
from local.triggers import QueueTrigger

_MODEL = Path(__file__).parent.parent / "model"
_EXAMPLE = Path(__file__).parent / "t-shirt.jpg"
_EXAMPLE_ID = "listing-42/front.jpg"  # the id in the files of `events/`


def run(host: str, port: int, aws_port: int, log: str) -> None:
    """Serve until Ctrl-C. `log` is "plain" or "json". Raise `FunctionError` if the function does not start."""
    endpoint = f"http://{host}:{aws_port}"
    concurrency = os.cpu_count() or 1
    with ExitStack() as running:  # stops everything in reverse order
        bridge = bridge_address(aws_port)
        for address in filter(None, (host, bridge)):
            running.callback(start_server(address, aws_port).shutdown)
        function = Function(_function_environment(endpoint, log), concurrency)
        running.callback(function.stop)
        session = new_session()
        resources = create_resources(session, endpoint)
        function.warm_up()
        _start_triggers(function, resources, concurrency, running)
        session.client("s3", endpoint_url=endpoint).upload_file(str(_EXAMPLE), BUCKET, f"uploads/{_EXAMPLE_ID}")
        gateway = make_gateway(function, host, port, log)
        print(_welcome(f"http://{host}:{port}", endpoint, aws_port if bridge else None), flush=True)
        gateway.serve_forever()


def _function_environment(endpoint: str, log: str) -> dict[str, str]:
    return {
        **environment(endpoint),
        "BUCKET_NAME": BUCKET,
        "TABLE_NAME": TABLE,
        "MODEL_DIR": str(_MODEL),
        "ALLOW_LOOPBACK_URLS": "1",
        "CURSOR_KEY": "local",
        "EVENT_BUS": "default",
        "POWERTOOLS_METRICS_DISABLED": "true",
        "LOG": log,
    }


def _start_triggers(function: Function, resources: Resources, concurrency: int, running: ExitStack) -> None:
    queues = [(resources.uploads_url, resources.failures_url)] * concurrency + [(resources.failures_url, None)]
    triggers = [QueueTrigger(function, resources.sqs, *urls) for urls in queues]
    for trigger in triggers:
        trigger.start()
        running.callback(trigger.join)
    for trigger in triggers:  # all are told to stop before the first one is waited for
        running.callback(trigger.stop)


def _welcome(url: str, endpoint: str, bridge_port: int | None) -> str:
    bridge = f" (from containers: http://host.docker.internal:{bridge_port})" if bridge_port else ""
    return f"""
Running. Open {url} for the seller's page, or {url}/docs for the description of the API.
S3, DynamoDB, SQS and EventBridge answer at {endpoint}{bridge}.
To try the API, open another terminal in this folder.

Read the example photo:
$ curl {url}/classifications/{_EXAMPLE_ID}

Upload a photo, with curl or with the AWS CLI. Any credentials work, and `make test` installs an AWS CLI:
$ curl -T local/t-shirt.jpg --user local:local --aws-sigv4 aws:amz:{REGION}:s3 {endpoint}/{BUCKET}/uploads/new.jpg
$ export PATH="$PWD/.venv-aws-cli/bin:$PATH"
$ export AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local AWS_DEFAULT_REGION={REGION}
$ aws --endpoint-url {endpoint} s3 cp local/t-shirt.jpg s3://{BUCKET}/uploads/new.jpg

Read its classification (PENDING for the first second):
$ curl {url}/classifications/new.jpg

All data is in memory. Ctrl-C stops the system and deletes it. This window shows a line for each photo:
"""
