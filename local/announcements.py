"""Shows what EventBridge brings of each classification: a line for each."""

import json
import threading
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


class Announcer:
    """Reads a queue of events in a thread of its own, and prints them."""

    def __init__(self, sqs: "SQSClient", queue_url: str) -> None:
        self._sqs = sqs
        self._queue_url = queue_url
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.start = self._thread.start
        self.join = self._thread.join
        self.stop = self._stopped.set

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                answer = self._sqs.receive_message(QueueUrl=self._queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
            except (BotoCoreError, ClientError):
                self._stopped.wait(1)
                continue
            for message in answer.get("Messages", []):
                print(told(json.loads(message["Body"])), flush=True)
                self._sqs.delete_message(QueueUrl=self._queue_url, ReceiptHandle=message["ReceiptHandle"])


def told(event: dict[str, Any]) -> str:
    """An event in a line."""
    detail = event["detail"]
    if detail["confirmed_label"]:
        what = f"{detail['confirmed_label']}, says its seller"
    elif detail["label"]:
        what = f"{detail['label']} ({detail['confidence']:.0%}){', needs a look' if detail['needs_review'] else ''}"
    else:
        what = detail["error"]["message"]
    return f"{event['detail-type']}: {detail['id']}: {what}"
