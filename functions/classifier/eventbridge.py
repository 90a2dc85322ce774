"""Publishes classifications to Amazon EventBridge, so that nobody has to poll. Off unless the settings name a bus."""

import json
from enum import StrEnum

from classifier.classification import Classification
from classifier.errors import Busy
from classifier.services import Services

_SOURCE = "clothes-classifier"


class EventType(StrEnum):
    """The `detail-type` of an event."""

    CLASSIFIED = "Photo Classified"
    CONFIRMED = "Label Confirmed"


def publish(event_type: EventType, classification: Classification, services: Services) -> None:
    """Send the classification as the detail of an event. The same event may be sent again.

    Raise the AWS SDK's errors, and `Busy` if EventBridge did not accept the event.
    """
    bus = services.settings.event_bus
    if bus is None:
        return
    answer = services.eventbridge.put_events(
        Entries=[
            {
                "Source": _SOURCE,
                "DetailType": event_type.value,
                "Detail": json.dumps(classification.to_json(), ensure_ascii=False),
                "EventBusName": bus,
            }
        ]
    )
    if answer["FailedEntryCount"]:
        raise Busy("The event of the classification could not be sent; try again.")
