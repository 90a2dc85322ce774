"""Word on Amazon EventBridge of each classification, so that nobody has to poll; off unless the settings name a bus."""

import json
from enum import StrEnum

from classifier.errors import Busy
from classifier.records import Classification
from classifier.services import Services

_SOURCE = "clothes-classifier"


class News(StrEnum):
    """What an event is of: its `detail-type`."""

    CLASSIFIED = "Photo Classified"
    CONFIRMED = "Label Confirmed"


def announce(news: News, classification: Classification, services: Services) -> None:
    """Send the classification as an event's detail; once it is stored, and for a duplicate's sake maybe again.

    Raises botocore's errors, and `Busy` where the bus does not take it: whoever sent the photo's event tries again.
    """
    bus = services.settings.event_bus
    if bus is None:
        return
    answer = services.events.put_events(
        Entries=[
            {
                "Source": _SOURCE,
                "DetailType": news.value,
                "Detail": json.dumps(classification.to_json(), ensure_ascii=False),
                "EventBusName": bus,
            }
        ]
    )
    if answer["FailedEntryCount"]:
        raise Busy("The event of the classification could not be sent; try again.")
