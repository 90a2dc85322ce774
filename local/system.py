"""The parts of the local system put together."""

import os
from contextlib import ExitStack
from pathlib import Path

from local.announcements import Printer
from local.aws import BUCKET, TABLE, bridge_address, create_resources, environment, new_session, start_server
from local.function import Function
from local.gateway import make_gateway
from local.triggers import QueueTrigger

_MODEL = Path(__file__).parent.parent / "model"
_EXAMPLE = Path(__file__).parent / "t-shirt.jpg"
_EXAMPLE_ID = "listing-42/front.jpg"  # that of the files in `events/`


def run(host: str, port: int, aws_port: int) -> None:
    """Serve until Ctrl-C; raises `FunctionError` if the function does not start."""
    endpoint = f"http://{host}:{aws_port}"
    settings = {
        **environment(endpoint),
        "BUCKET_NAME": BUCKET,
        "TABLE_NAME": TABLE,
        "MODEL_DIR": str(_MODEL),
        "ALLOW_LOOPBACK_URLS": "1",
        "CURSOR_KEY": "local",
        "EVENT_BUS": "default",
        "POWERTOOLS_METRICS_DISABLED": "true",
    }
    concurrency = os.cpu_count() or 1
    with ExitStack() as running:  # ends in the opposite order of its beginning
        bridge = bridge_address(aws_port)
        for address in filter(None, (host, bridge)):
            running.callback(start_server(address, aws_port).stop)
        function = Function(settings, concurrency)
        running.callback(function.stop)
        session = new_session()
        resources = create_resources(session, endpoint)
        function.warm_up()
        queues = [(resources.uploads_url, resources.failures_url)] * concurrency + [(resources.failures_url, None)]
        triggers = [QueueTrigger(function, resources.sqs, *urls) for urls in queues]
        triggers.append(QueueTrigger(Printer(), resources.sqs, resources.announcements_url))
        for trigger in triggers:
            trigger.start()
            running.callback(trigger.join)
        for trigger in triggers:
            running.callback(trigger.stop)
        session.client("s3", endpoint_url=endpoint).upload_file(str(_EXAMPLE), BUCKET, f"uploads/{_EXAMPLE_ID}")
        gateway = make_gateway(function, host, port)
        print(_welcome(f"http://{host}:{port}", endpoint, aws_port if bridge else None), flush=True)
        gateway.serve_forever()


def _welcome(url: str, endpoint: str, bridge_port: int | None) -> str:
    bridge = f",\nfor containers on http://host.docker.internal:{bridge_port}" if bridge_port else ""
    return f"""
Running. Open {url} to sell something. The API answers there too ({url}/docs),
S3, DynamoDB and SQS on {endpoint}{bridge}.

  look at one      curl {url}/classifications/{_EXAMPLE_ID}
  upload a photo   aws --endpoint-url {endpoint} s3 cp photo.jpg s3://{BUCKET}/uploads/photo.jpg
              or   curl --user any:any --aws-sigv4 aws:amz:us-east-1:s3 \\
                        -T photo.jpg {endpoint}/{BUCKET}/uploads/photo.jpg
  read its label   curl {url}/classifications/photo.jpg

Everything is in memory. Ctrl-C ends it.
"""
