"""Interleaved measurements: a machine is not equally fast all the time, so contenders are measured alternately."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import TypeVar

import pyperf

Name = TypeVar("Name")

Durations = dict[str, list[float]]  # seconds of each round, by contender or stage


def measure_interleaved(contenders: Mapping[Name, Callable[[], object]], rounds: int) -> dict[Name, list[float]]:
    """Return the seconds of each contender in each round. The order in a round is random; a warm-up does not count."""
    random = Random(0)
    for contender in contenders.values():
        contender()
    durations: dict[Name, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name in random.sample(list(contenders), len(contenders)):
            started = time.perf_counter()
            contenders[name]()
            durations[name].append(time.perf_counter() - started)
    return durations


def median_milliseconds(seconds: Sequence[float]) -> float:
    """Return the median in milliseconds."""
    return statistics.median(seconds) * 1000


def median_ratio(seconds: Sequence[float], reference: Sequence[float]) -> float:
    """Return the median over rounds of the duration divided by the reference's duration in the same round."""
    return statistics.median(duration / other for duration, other in zip(seconds, reference, strict=True))


def ratio_quartiles(seconds: Sequence[float], reference: Sequence[float]) -> list[float]:
    """Return the three quartiles over rounds of the duration divided by the reference's in the same round."""
    ratios = [duration / other for duration, other in zip(seconds, reference, strict=True)]
    return [round(quartile, 3) for quartile in statistics.quantiles(ratios, n=4, method="inclusive")]


def median_difference(seconds: Sequence[float], reference: Sequence[float]) -> float:
    """Return the median over rounds, in milliseconds, of the duration less the reference's in the same round."""
    return statistics.median(duration - other for duration, other in zip(seconds, reference, strict=True)) * 1000


def save_for_pyperf(measurements: Mapping[str, Durations], file: Path) -> None:
    """Write all durations to a file that `python -m pyperf` can show and compare."""
    benchmarks = [
        pyperf.Benchmark([pyperf.Run(seconds, metadata={"name": f"{group}: {name}"}, collect_metadata=False)])
        for group, durations in measurements.items()
        for name, seconds in durations.items()
    ]
    pyperf.BenchmarkSuite(benchmarks).dump(str(file), replace=True)
