"""AWS on this machine: moto's server, with the bucket, the table and the queues of the template."""

import io
import json
import logging
import socket
import struct
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import boto3
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server
from werkzeug.wrappers import Request

from local.rehearsal import Middleware, pass_on
from local.template import resource_properties

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from mypy_boto3_sqs import SQSClient

BUCKET = "photos"
TABLE = "classifications"
REGION = "us-east-1"
_TABLE_PROPERTIES = ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode")
_QUEUE_PROPERTIES = ("VisibilityTimeout", "MessageRetentionPeriod")
_BRIDGE = b"docker0"  # Docker's name for the network interface of its default network
_SIOCGIFADDR = 0x8915  # the request for an interface's address: netdevice(7)


@dataclass(frozen=True, slots=True)
class Resources:
    """The queues of the local system: one for the bucket's events, one for events that failed."""

    sqs: "SQSClient"
    uploads_url: str
    failures_url: str


def environment(endpoint: str) -> dict[str, str]:
    """Return the environment variables that make every AWS client of a process use `endpoint`."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def start_server(host: str, port: int, middleware: Middleware = pass_on) -> BaseWSGIServer:
    """Start S3, DynamoDB, SQS and EventBridge, in memory. They answer on `port` once this returns.

    `middleware` can answer a request in their place.
    """
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # it logs each request otherwise
    application = partial(middleware, _OneAtATime(DomainDispatcherApplication(create_backend_app)))
    server = make_server(host, port, application, threaded=True, request_handler=MotoRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


class _OneAtATime:
    """Lets moto handle one request to the bucket at a time: its S3 fails if two threads write one object."""

    _lock = threading.Lock()  # for all servers, which share their objects

    def __init__(self, application: "WSGIApplication") -> None:
        self._application = application

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> "Iterable[bytes]":
        """Answer a request (PEP 3333)."""
        if not environ["PATH_INFO"].startswith(f"/{BUCKET}"):
            return self._application(environ, start_response)
        body = Request(environ).get_data()  # before the lock: a client may be slow
        environ |= {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body)), "wsgi.input_terminated": True}
        with self._lock:
            return list(self._application(environ, start_response))


def bridge_address(port: int) -> str | None:
    """Return the address at which Docker's containers reach this machine, if there is one and the port is free there.

    Linux has one. Docker Desktop forwards `host.docker.internal` to the loopback address by itself.
    """
    if sys.platform != "linux":
        return None
    import fcntl  # noqa: PLC0415 - Windows has none

    with suppress(OSError), socket.socket() as probe:
        answer = fcntl.ioctl(probe, _SIOCGIFADDR, struct.pack("256s", _BRIDGE))
        address = socket.inet_ntoa(answer[20:24])
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((address, port))
        return address
    return None


def new_session() -> boto3.Session:
    """Return a session with credentials. moto accepts any."""
    return boto3.Session(aws_access_key_id="local", aws_secret_access_key="local", region_name=REGION)  # noqa: S106


def create_resources(session: boto3.Session, endpoint: str | None = None) -> Resources:
    """Create the table, the queues and the bucket, whose events go to a queue. `endpoint` is that of an emulator."""
    table = resource_properties("ClassificationsTable")
    session.client("dynamodb", endpoint_url=endpoint).create_table(
        TableName=TABLE, **{name: table[name] for name in _TABLE_PROPERTIES}
    )
    sqs = session.client("sqs", endpoint_url=endpoint)
    failures = _create_failure_queue(sqs)
    # The bucket's events wait in a queue, as they do inside of Lambda.
    uploads = _create_queue(sqs, "uploads", "FailureQueue")
    s3 = session.client("s3", endpoint_url=endpoint)
    s3.create_bucket(Bucket=BUCKET)
    notification: Any = {"QueueConfigurations": _notifications(_arn(sqs, uploads))}
    s3.put_bucket_notification_configuration(Bucket=BUCKET, NotificationConfiguration=notification)
    return Resources(sqs, uploads, failures)


def _create_failure_queue(sqs: "SQSClient") -> str:
    dead_letters = _create_queue(sqs, "dead-letters", "DeadLetterQueue")
    max_receives = resource_properties("FailureQueue")["RedrivePolicy"]["maxReceiveCount"]
    redrive = {"deadLetterTargetArn": _arn(sqs, dead_letters), "maxReceiveCount": max_receives}
    return _create_queue(sqs, "failures", "FailureQueue", RedrivePolicy=json.dumps(redrive))


def _create_queue(sqs: "SQSClient", name: str, template_name: str, **attributes: str) -> str:
    """Create a queue with the settings that a queue of the template has. Return its URL."""
    properties = resource_properties(template_name)
    settings: Any = {key: str(properties[key]) for key in _QUEUE_PROPERTIES if key in properties} | attributes
    return sqs.create_queue(QueueName=name, Attributes=settings)["QueueUrl"]


def _notifications(queue_arn: str) -> list[dict[str, Any]]:
    """Return the bucket's notifications with the queue as their target."""
    bucket = resource_properties("UploadsBucket")
    return [
        {
            "QueueArn": queue_arn,
            "Events": [notification["Event"]],
            "Filter": {"Key": {"FilterRules": notification["Filter"]["S3Key"]["Rules"]}},
        }
        for notification in bucket["NotificationConfiguration"]["LambdaConfigurations"]
    ]


def _arn(sqs: "SQSClient", queue_url: str) -> str:
    return sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
