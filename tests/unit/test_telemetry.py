"""Metrics that are switched off, as in `make run`."""

from datetime import UTC, datetime

import pytest

from classifier.classification import Classification, Source, Status
from classifier.telemetry import Stopwatch, count_result, flush_metrics

CLASSIFIED = Classification("a", Status.SUCCEEDED, Source.S3, datetime(2026, 1, 31, tzinfo=UTC), scores={"hat": 1.0})


def test_disabled_metrics_print_nothing_however_many_there_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Powertools prints a metric by itself when it has 100 values."""
    monkeypatch.setenv("POWERTOOLS_METRICS_DISABLED", "true")

    for _ in range(150):
        count_result(CLASSIFIED, Stopwatch())
        flush_metrics()

    assert capsys.readouterr().out == ""
