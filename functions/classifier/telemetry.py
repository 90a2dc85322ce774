"""Logs and metrics, by Powertools for AWS Lambda."""

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

if TYPE_CHECKING:
    from classifier.classification import Classification

_NAMESPACE = "ClothesClassifier"
# Each stack has a name of its own, so that the metrics of two stacks in one account stay apart.
_SERVICE = os.environ.get("POWERTOOLS_SERVICE_NAME", "classifier")

# Each photo counts as 0 or 1, so the average is a share.
_FAILED_SHARE = "PhotosFailed"
_REVIEW_SHARE = "PhotosForReview"
_AGREED_SHARE = "SellersAgreed"

logger = Logger(
    service=_SERVICE,
    serialize_stacktrace=False,  # the text of an exception holds the stack trace already
    json_serializer=partial(json.dumps, default=str, separators=(",", ":")),  # in ASCII: ids hold what strangers choose
)
metrics = Metrics(namespace=_NAMESPACE, service=_SERVICE)
_metrics_lock = threading.Lock()  # Powertools' metrics are for one thread; the photos of a batch are in several


class Stopwatch:
    """Measures the stages of one photo: fetch, decode, infer, store. `milliseconds` maps stages to durations."""

    def __init__(self) -> None:
        self.milliseconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure the block, also if it raises."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.milliseconds[name] = round((time.perf_counter() - started) * 1000, 1)


def count_result(classification: "Classification", stopwatch: Stopwatch) -> None:
    """Count a photo by its label, or by its error code if it has none; record how long its stages took."""
    with _metrics_lock:
        if classification.failure:
            count_failure(classification.failure.code)
        else:
            _count("Classified", "label", str(classification.label))
            metrics.add_metric(name=_FAILED_SHARE, unit=MetricUnit.Count, value=0)
            metrics.add_metric(name=_REVIEW_SHARE, unit=MetricUnit.Count, value=int(classification.needs_review))
        for stage, milliseconds in stopwatch.milliseconds.items():
            metrics.add_metric(name=f"{stage.capitalize()}Time", unit=MetricUnit.Milliseconds, value=milliseconds)


def count_failure(error_code: str) -> None:
    """Count a photo that has no label."""
    _count("Failed", "code", error_code)
    metrics.add_metric(name=_FAILED_SHARE, unit=MetricUnit.Count, value=1)


def count_sellers_answer(*, agrees: bool) -> None:
    """Count what a seller said of a photo or a listing, and whether it is what the model says."""
    metrics.add_metric(name=_AGREED_SHARE, unit=MetricUnit.Count, value=int(agrees))


def flush_metrics() -> None:
    """Write the metrics that were recorded since the last flush."""
    if metrics.metric_set:
        metrics.flush_metrics()
        metrics.clear_metrics()  # Powertools keeps them if metrics are disabled, and prints them after 100 values


def _count(name: str, dimension: str, value: str) -> None:
    outcome = EphemeralMetrics(namespace=_NAMESPACE, service=_SERVICE)
    outcome.add_dimension("service", _SERVICE)
    outcome.add_dimension(dimension, value)
    outcome.add_metric(name=name, unit=MetricUnit.Count, value=1)
    outcome.flush_metrics()
