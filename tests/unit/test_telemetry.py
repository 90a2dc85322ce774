"""Metrics that are switched off, as in `make run`."""

import pytest

from classifier.telemetry import Stopwatch, count_result, flush_metrics


def test_disabled_metrics_print_nothing_however_many_there_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Powertools prints a metric by itself when it has 100 values."""
    monkeypatch.setenv("POWERTOOLS_METRICS_DISABLED", "true")

    for _ in range(150):
        count_result("hat", None, needs_review=False, stopwatch=Stopwatch())
        flush_metrics()

    assert capsys.readouterr().out == ""
