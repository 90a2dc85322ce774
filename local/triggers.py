"""The events that reach the function without anybody asking: the bucket's, and those that failed before.

On AWS the bucket invokes the function asynchronously: Lambda tries three times, then sends the event to the failure
queue, which invokes the function in its turn. Here the bucket's events wait in a queue, and this module does the rest.
"""

import json
import logging
import threading
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from local.function import FunctionError

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

_TRIES = 3  # the first and two more, as Lambda does with an asynchronous event
_BATCH = 10

logger = logging.getLogger(__name__)


class Invocable(Protocol):
    """What answers events: the function, or a stand-in for it."""

    def invoke(self, event: Any) -> Any:
        """Give the answer; raises `FunctionError` where there is none."""


class QueueTrigger:
    """Hands a queue's messages to the function, in a thread of its own, from `start` to `stop`.

    A message that fails three times goes to `failures` as the record that Lambda would send there, or, where there is
    no such queue, stays for the queue's own redrive policy.
    """

    def __init__(  # noqa: PLR0913 - the tests wait for nothing
        self,
        function: Invocable,
        sqs: "SQSClient",
        queue_url: str,
        failures_url: str | None = None,
        *,
        wait_seconds: int = 1,
        retry_seconds: int = 1,
    ) -> None:
        self._function = function
        self._sqs = sqs
        self._queue_url = queue_url
        self._failures_url = failures_url
        self._wait_seconds = wait_seconds
        self._retry_seconds = retry_seconds
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.start = self._thread.start
        self.join = self._thread.join

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self.poll()
            except (BotoCoreError, ClientError):
                if not self._stopped.wait(1):
                    logger.exception("The queue could not be read")

    def poll(self) -> None:
        """Wait for messages, hand them to the function, and deal with those that it failed on."""
        messages = self._sqs.receive_message(
            QueueUrl=self._queue_url,
            MaxNumberOfMessages=_BATCH,
            WaitTimeSeconds=self._wait_seconds,
            MessageSystemAttributeNames=["All"],
        ).get("Messages", [])
        if messages:
            self._deliver(messages)

    def stop(self) -> None:
        """Poll no more; `join` returns once the last messages are dealt with."""
        self._stopped.set()

    def _deliver(self, messages: "list[MessageTypeDef]") -> None:
        try:
            answer = self._function.invoke({"Records": [self._record(message) for message in messages]})
            failed = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
        except FunctionError:
            if len(messages) > 1:  # one that kills the function must not take the others along; S3's events come singly
                for message in messages:
                    self._deliver([message])
                return
            failed = {message["MessageId"] for message in messages}
        for message in messages:
            if message["MessageId"] not in failed:
                self._delete(message)
            elif self._failures_url and int(message["Attributes"]["ApproximateReceiveCount"]) >= _TRIES:
                self._sqs.send_message(QueueUrl=self._failures_url, MessageBody=_destination_record(message))
                self._delete(message)
            else:
                self._sqs.change_message_visibility(
                    QueueUrl=self._queue_url,
                    ReceiptHandle=message["ReceiptHandle"],
                    VisibilityTimeout=self._retry_seconds,
                )

    def _delete(self, message: "MessageTypeDef") -> None:
        self._sqs.delete_message(QueueUrl=self._queue_url, ReceiptHandle=message["ReceiptHandle"])

    def _record(self, message: "MessageTypeDef") -> dict[str, Any]:
        return {
            "messageId": message["MessageId"],
            "receiptHandle": message["ReceiptHandle"],
            "body": message["Body"],
            "attributes": message["Attributes"],
            "messageAttributes": {},
            "md5OfBody": message["MD5OfBody"],
            "eventSource": "aws:sqs",
            "eventSourceARN": f"arn:aws:sqs:us-east-1:123456789012:{self._queue_url.rpartition('/')[2]}",
            "awsRegion": "us-east-1",
        }


def _destination_record(message: "MessageTypeDef") -> str:
    """What Lambda sends to an on-failure destination for an asynchronous event that it gave up on."""
    return json.dumps(
        {
            "version": "1.0",
            "timestamp": datetime.now(UTC).isoformat(),
            "requestContext": {
                "requestId": str(uuid.uuid4()),
                "functionArn": "arn:aws:lambda:us-east-1:123456789012:function:classifier:$LATEST",
                "condition": "RetriesExhausted",
                "approximateInvokeCount": _TRIES,
            },
            "requestPayload": json.loads(message["Body"]),
            "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
            "responsePayload": None,
        }
    )
