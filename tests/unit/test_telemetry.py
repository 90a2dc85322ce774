"""Metrics that are switched off, as in `make run`."""

import io
import json
from datetime import UTC, datetime

import pytest

from classifier.classification import Classification, Source, Status
from classifier.telemetry import Stopwatch, count_result, flush_metrics, logger

CLASSIFIED = Classification("a", Status.SUCCEEDED, Source.S3, datetime(2026, 1, 31, tzinfo=UTC), scores={"hat": 1.0})


def test_disabled_metrics_print_nothing_however_many_there_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Powertools prints a metric by itself when it has 100 values."""
    flush_metrics()  # what other tests have left
    capsys.readouterr()
    monkeypatch.setenv("POWERTOOLS_METRICS_DISABLED", "true")

    for _ in range(150):
        count_result(CLASSIFIED, Stopwatch())
        flush_metrics()

    assert capsys.readouterr().out == ""


def test_the_log_has_no_characters_that_falsify_what_people_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """An id holds what strangers choose: a line of its own, or text in the other direction."""
    output = io.StringIO()
    monkeypatch.setattr(logger.registered_handler, "stream", output)

    logger.info("classified", id="a\u202e\x9b\n{}")

    printed = output.getvalue()
    assert printed.isascii()
    assert printed.count("\n") == 1
    assert json.loads(printed)["id"] == "a\u202e\x9b\n{}"
