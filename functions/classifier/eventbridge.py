"""Publishes what happens to photos and listings to Amazon EventBridge. Off unless the settings name a bus."""

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from classifier.errors import Busy
from classifier.services import Services

_SOURCE = "clothes-classifier"


class EventType(StrEnum):
    """The `detail-type` of an event."""

    CLASSIFIED = "Photo Classified"
    CONFIRMED = "Label Confirmed"
    REMOVED = "Photo Removed"
    LISTING_FINISHED = "Listing Finished"
    LISTING_CONFIRMED = "Listing Confirmed"
    LISTING_REMOVED = "Listing Removed"


def publish(event_type: EventType, detail: Mapping[str, Any], services: Services) -> None:
    """Send an event with this detail. The same event may be sent again.

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
                "Detail": json.dumps(detail, ensure_ascii=False),
                "EventBusName": bus,
            }
        ]
    )
    if answer["FailedEntryCount"]:
        raise Busy("An event could not be sent; try again.")
