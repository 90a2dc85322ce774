"""Shows what EventBridge brings of each classification: a line for each."""

import json
from typing import Any


class Printer:
    """Stands where the function stands for other queues, and prints the events that it is invoked with."""

    def invoke(self, event: dict[str, Any]) -> dict[str, Any]:
        """All of a batch's messages."""
        for record in event["Records"]:
            print(told(json.loads(record["body"])), flush=True)
        return {"batchItemFailures": []}


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
