"""Logs and metrics: one line, one count and the stages' milliseconds for each photo."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from classifier.records import Classification

_NAMESPACE = "ClothesClassifier"
# Each stack has a name of its own, so that the metrics of two in one account stay apart.
_SERVICE = os.environ.get("POWERTOOLS_SERVICE_NAME", "classifier")

# One or zero for each photo: their average is the share.
_FAILED_SHARE = "PhotosFailed"
_REVIEW_SHARE = "PhotosForReview"
_AGREED_SHARE = "SellersAgreed"

logger = Logger(service=_SERVICE, serialize_stacktrace=False)  # the text of an exception has it already
metrics = Metrics(namespace=_NAMESPACE, service=_SERVICE)
_measuring = threading.Lock()  # Powertools' metrics are for one thread, and a batch's photos are in several


class Stopwatch:
    """Milliseconds of each stage of one photo's way: fetch, decode, infer, store."""

    def __init__(self) -> None:
        self.milliseconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the block under `name`; a block that raises is not a stage that took that long."""
        started = time.perf_counter()
        yield
        self.milliseconds[name] = round((time.perf_counter() - started) * 1000, 1)


def report(classification: Classification, stopwatch: Stopwatch) -> None:
    """Say what became of a photo, once it is stored."""
    code = classification.failure.code if classification.failure else None
    logger.info(
        "failed" if code else "classified",
        id=classification.id,
        label=classification.label,
        confidence=round(max(classification.scores.values(), default=0.0), 4),
        needs_review=classification.needs_review,
        code=code,
        source=classification.source.value,
        milliseconds=stopwatch.milliseconds,
    )
    with _measuring:
        if code:
            count_failure(code)
        else:
            _count("Classified", "label", str(classification.label))
            metrics.add_metric(name=_FAILED_SHARE, unit=MetricUnit.Count, value=0)
            metrics.add_metric(name=_REVIEW_SHARE, unit=MetricUnit.Count, value=int(classification.needs_review))
        for stage, milliseconds in stopwatch.milliseconds.items():
            metrics.add_metric(name=f"{stage.capitalize()}Time", unit=MetricUnit.Milliseconds, value=milliseconds)


def count_failure(code: str) -> None:
    """Count a photo that has no label, by the code of its error."""
    _count("Failed", "code", code)
    metrics.add_metric(name=_FAILED_SHARE, unit=MetricUnit.Count, value=1)


def count_confirmation(*, agrees: bool) -> None:
    """Count a seller's word on a label of the model's."""
    metrics.add_metric(name=_AGREED_SHARE, unit=MetricUnit.Count, value=int(agrees))


def flush_metrics() -> None:
    """Write out what was measured since the last flush, if anything was."""
    if metrics.metric_set:
        metrics.flush_metrics()


def _count(name: str, dimension: str, value: str) -> None:
    outcome = EphemeralMetrics(namespace=_NAMESPACE, service=_SERVICE)
    outcome.add_dimension("service", _SERVICE)
    outcome.add_dimension(dimension, value)
    outcome.add_metric(name=name, unit=MetricUnit.Count, value=1)
    outcome.flush_metrics()
