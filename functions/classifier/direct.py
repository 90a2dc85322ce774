"""Direct invocation with `{"url": "…"}`, as the tutorials' clients do it: scores come back, nothing is stored."""

from typing import Any

from classifier.classify import Origin, classify
from classifier.records import Source
from classifier.services import Services
from classifier.telemetry import Stopwatch, report


def handle_direct(event: dict[str, Any], services: Services) -> dict[str, float]:
    """The flat map of scores in label order; errors are raised, and so reach the caller as the invocation's error."""
    stopwatch = Stopwatch()
    with stopwatch.stage("fetch"):
        data = services.downloader.fetch(event["url"])
    classification = classify(data, Origin.new(data, Source.URL), services, stopwatch)
    report(classification, stopwatch)
    return {label: classification.scores[label] for label in services.description.labels}
