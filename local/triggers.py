"""Invokes the function with the bucket's events, and with events that failed.

On AWS, S3 invokes the function asynchronously. Lambda tries an event three times, then sends it to the failure queue,
which invokes the function again. Here, the bucket's events wait in a queue, and this module does what Lambda does.
"""

import json
import logging
import threading
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from local.function import FunctionError, Invocable
from local.template import function_settings

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

logger = logging.getLogger(__name__)


class QueueTrigger:
    """Invokes the function with a queue's messages, in its own thread, from `start` to `stop`.

    A message whose last try fails goes to the queue `failures_url`, as the record that Lambda would send. Without such
    a queue, the queue's own redrive policy deals with it. A retry waits for `retry_seconds`, where Lambda waits for
    minutes.
    """

    def __init__(  # noqa: PLR0913 - tests do not wait
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
        self._settings = function_settings()
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
        """Wait for messages, invoke the function with them, and deal with those that failed."""
        messages = self._sqs.receive_message(
            QueueUrl=self._queue_url,
            MaxNumberOfMessages=self._settings.batch_size,
            WaitTimeSeconds=self._wait_seconds,
            MessageSystemAttributeNames=["All"],
        ).get("Messages", [])
        if messages:
            self._deliver(messages)

    def stop(self) -> None:
        """Stop polling. `join` returns once the last messages are dealt with."""
        self._stopped.set()

    def _deliver(self, messages: "list[MessageTypeDef]") -> None:
        try:
            answer = self._function.invoke({"Records": [self._record(message) for message in messages]})
            failed = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
        except FunctionError:
            if len(messages) > 1:  # one of them may have killed the function. On AWS, S3's events come one by one.
                for message in messages:
                    self._deliver([message])
                return
            failed = {message["MessageId"] for message in messages}
        for message in messages:
            if message["MessageId"] in failed:
                self._retry(message)
            else:
                self._delete(message)

    def _retry(self, message: "MessageTypeDef") -> None:
        """Make the message visible again, or move it to the failure queue after its last try."""
        tries = self._settings.tries
        if self._failures_url and int(message["Attributes"]["ApproximateReceiveCount"]) >= tries:
            self._sqs.send_message(QueueUrl=self._failures_url, MessageBody=_destination_record(message, tries))
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


def _destination_record(message: "MessageTypeDef", tries: int) -> str:
    """Return the record that Lambda sends to an on-failure destination after the last try of an event."""
    return json.dumps(
        {
            "version": "1.0",
            "timestamp": datetime.now(UTC).isoformat(),
            "requestContext": {
                "requestId": str(uuid.uuid4()),
                "functionArn": "arn:aws:lambda:us-east-1:123456789012:function:classifier:$LATEST",
                "condition": "RetriesExhausted",
                "approximateInvokeCount": tries,
            },
            "requestPayload": json.loads(message["Body"]),
            "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
            "responsePayload": None,
        }
    )
