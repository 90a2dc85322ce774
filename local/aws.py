"""AWS on this machine: moto's server with the bucket, the table and the queues, as the template describes them."""

import json
import logging
import socket
import struct
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
from moto.server import ThreadedMotoServer

from local.template import read_template

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

BUCKET = "photos"
TABLE = "classifications"
_REGION = "us-east-1"
_TABLE_PROPERTIES = ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode")
_MESSAGE_LIFE = 30  # seconds until a message that nobody answered for is delivered again
_REDELIVERIES = 3
_BRIDGE = b"docker0"  # Docker's name for the network interface of its default network
_SIOCGIFADDR = 0x8915  # asks for an interface's address: netdevice(7)


@dataclass(frozen=True, slots=True)
class Resources:
    """What the local system made in its AWS: queues of the bucket's events, of failed ones and of announcements."""

    sqs: "SQSClient"
    uploads_url: str
    failures_url: str
    announcements_url: str


def environment(endpoint: str) -> dict[str, str]:
    """The settings that make any AWS client of a process talk to `endpoint`."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": _REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def start_server(host: str, port: int) -> ThreadedMotoServer:
    """S3, DynamoDB and SQS in memory, answering on `port` once this returns."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for each of its requests, otherwise
    server = ThreadedMotoServer(host, port, verbose=False)
    server.start()
    return server


def bridge_address(port: int) -> str | None:
    """The address by which Docker's containers reach this machine, if it has one and the port is free there.

    That is so on Linux. Docker Desktop brings what its containers send to `host.docker.internal` to the loopback
    address by itself.
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
    """A session with credentials, of which any will do."""
    return boto3.Session(aws_access_key_id="local", aws_secret_access_key="local", region_name=_REGION)  # noqa: S106


def create_resources(session: boto3.Session, endpoint: str | None = None) -> Resources:
    """Make the table, the queues, and the bucket whose events go to the queue, at AWS or at an endpoint of its kind."""
    resources = read_template()["Resources"]
    table = resources["ClassificationsTable"]["Properties"]
    session.client("dynamodb", endpoint_url=endpoint).create_table(
        TableName=TABLE, **{name: table[name] for name in _TABLE_PROPERTIES}
    )
    sqs = session.client("sqs", endpoint_url=endpoint)
    dead_letters = _create_queue(sqs, "dead-letters")
    redrive = json.dumps({"deadLetterTargetArn": _arn(sqs, dead_letters), "maxReceiveCount": _REDELIVERIES})
    failures = _create_queue(sqs, "failures", RedrivePolicy=redrive)
    uploads = _create_queue(sqs, "uploads")
    s3 = session.client("s3", endpoint_url=endpoint)
    s3.create_bucket(Bucket=BUCKET)
    s3.put_bucket_notification_configuration(
        Bucket=BUCKET, NotificationConfiguration={"QueueConfigurations": [_notification(resources, _arn(sqs, uploads))]}
    )
    announcements = _create_queue(sqs, "announcements")
    events = session.client("events", endpoint_url=endpoint)
    events.put_rule(Name="announcements", EventPattern=json.dumps({"source": ["clothes-classifier"]}))
    events.put_targets(Rule="announcements", Targets=[{"Id": "queue", "Arn": _arn(sqs, announcements)}])
    return Resources(sqs, uploads, failures, announcements)


def _notification(resources: dict[str, Any], queue_arn: str) -> Any:
    """The function's own trigger, with the queue in the function's place."""
    trigger = resources["ClassifierFunction"]["Properties"]["Events"]["Uploads"]["Properties"]
    rules = [{"Name": rule["Name"], "Value": rule["Value"]} for rule in trigger["Filter"]["S3Key"]["Rules"]]
    return {"QueueArn": queue_arn, "Events": trigger["Events"], "Filter": {"Key": {"FilterRules": rules}}}


def _create_queue(sqs: "SQSClient", name: str, **attributes: str) -> str:
    return sqs.create_queue(
        QueueName=name,
        Attributes={"VisibilityTimeout": str(_MESSAGE_LIFE), **attributes},  # type: ignore[dict-item]
    )["QueueUrl"]


def _arn(sqs: "SQSClient", queue_url: str) -> str:
    return sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
