"""Puts the parts of the local system together."""

import os
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

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
from local.function import CrashingFunction, Function, Invocable
from local.gateway import make_gateway
from local.lambda_log import LoggedFunction
from local.rehearsal import FAULTS, NO_FAULT, Fault
from local.triggers import QueueTrigger

_EXAMPLE = Path(__file__).parent / "t-shirt.jpg"
_EXAMPLE_ID = "listing-42/front.jpg"  # the id in the files of `events/`


def run(  # noqa: PLR0913, PLR0917 - as many as the command line has
    host: str, port: int, aws_port: int, log: str, model: Path, fail: str | None
) -> None:
    """Serve until Ctrl-C, with the model in a folder and the fault of the name `fail`. `log` is "plain" or "json".

    Raise `FunctionError` if the function does not start.
    """
    fault = FAULTS[fail] if fail else NO_FAULT
    endpoint = f"http://{host}:{aws_port}"
    concurrency = os.cpu_count() or 1
    with ExitStack() as running:  # stops everything in reverse order
        bridge = bridge_address(aws_port)
        for address in filter(None, (host, bridge)):
            running.callback(start_server(address, aws_port, fault.aws).shutdown)
        settings = _function_environment(endpoint, log, model) | _fault_environment(fault, model, running)
        function = Function(settings, concurrency)
        running.callback(function.stop)
        session = new_session()
        resources = create_resources(session, endpoint)
        function.warm_up()
        logged = LoggedFunction(function, log)
        bucket_function = LoggedFunction(CrashingFunction(), log) if fault.crashes_on_uploads else logged
        _start_triggers(bucket_function, logged, resources, concurrency, running)
        session.client("s3", endpoint_url=endpoint).upload_file(str(_EXAMPLE), BUCKET, f"uploads/{_EXAMPLE_ID}")
        gateway = make_gateway(logged, host, port, log, throttles_clients=fault.throttles_clients)
        print(_welcome(f"http://{host}:{port}", endpoint, aws_port if bridge else None, fail), flush=True)
        gateway.serve_forever()


def _function_environment(endpoint: str, log: str, model: Path) -> dict[str, str]:
    return {
        **environment(endpoint),
        "BUCKET_NAME": BUCKET,
        "TABLE_NAME": TABLE,
        "MODEL_DIR": str(model),
        "ALLOW_LOOPBACK_URLS": "1",
        "CURSOR_KEY": "local",
        "EVENT_BUS": "default",
        "POWERTOOLS_METRICS_DISABLED": "false" if log == "json" else "true",
        "LOG": log,
    }


def _fault_environment(fault: Fault, model: Path, running: ExitStack) -> dict[str, str]:
    """Return the settings by which the function fails. The folder of a broken model is deleted in the end."""
    if fault.prepare_model is None:
        return dict(fault.settings)
    folder = running.enter_context(TemporaryDirectory())
    fault.prepare_model(model, Path(folder))
    return {**fault.settings, "MODEL_DIR": folder}


def _start_triggers(
    bucket_function: Invocable, function: Invocable, resources: Resources, concurrency: int, running: ExitStack
) -> None:
    """Invoke `bucket_function` with the bucket's events, and `function` with those that failed."""
    bucket_queue = (bucket_function, resources.sqs, resources.uploads_url, resources.failures_url)
    triggers = [QueueTrigger(*bucket_queue) for _ in range(concurrency)]
    triggers.append(QueueTrigger(function, resources.sqs, resources.failures_url))
    for trigger in triggers:
        trigger.start()
        running.callback(trigger.join)
    for trigger in triggers:  # all are told to stop before the first one is waited for
        running.callback(trigger.stop)


def _welcome(url: str, endpoint: str, bridge_port: int | None, fail: str | None) -> str:
    bridge = f" (from containers: http://host.docker.internal:{bridge_port})" if bridge_port else ""
    rehearsal = f"\nA rehearsal, {fail}: {FAULTS[fail].breaks} docs/rehearsal.md says what to do.\n" if fail else ""
    return f"""
Running. Open {url} for the seller's page,
{url}/desk for the review desk of the shop's staff,
or {url}/docs for the description of the API.
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
{rehearsal}"""
