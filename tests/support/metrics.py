"""The metrics that the function writes to its output, in CloudWatch's embedded metric format."""

import json
from typing import Any

import pytest

from classifier.telemetry import flush_metrics


class Metrics:
    """The metrics that the function has recorded since this object was made."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self._lines: list[dict[str, Any]] = []
        flush_metrics()  # those of other tests
        capsys.readouterr()

    def values(self, name: str, **dimensions: str) -> list[float]:
        """Return all values of the metric with these dimensions, in the order in which they were recorded."""
        flush_metrics()
        output = self._capsys.readouterr().out.splitlines()
        self._lines += [json.loads(line) for line in output if line.startswith('{"_aws"')]
        matching = [line for line in self._lines if name in line and dimensions.items() <= line.items()]
        return [value for line in matching for value in line[name]]
