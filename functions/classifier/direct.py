"""Direct invocation with `{"url": "…"}`, as the tutorials' clients do it. Nothing is stored."""

from typing import Any

from classifier.classification import Source
from classifier.classify import Origin, classify
from classifier.results import report
from classifier.services import Services
from classifier.telemetry import Stopwatch


def handle_direct(event: dict[str, Any], services: Services) -> dict[str, float]:
    """Return the score of each label, in label order. Errors are raised, so the caller gets them as Lambda's errors."""
    stopwatch = Stopwatch()
    with stopwatch.stage("fetch"):
        data = services.downloader.fetch(event["url"])
    classification = classify(data, Origin.new(data, Source.URL), services, stopwatch)
    report(classification, stopwatch)
    return {label: classification.scores[label] for label in services.description.labels}
