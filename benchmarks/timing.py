"""Times taken in pairs: machines are not equally fast all the time, so what is compared is measured in turns."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random

import pyperf

Seconds = dict[str, list[float]]


def in_turns(contenders: Mapping[str, Callable[[], object]], rounds: int) -> Seconds:
    """What each takes in each round, in which all have a turn in some order; after a round that does not count."""
    random = Random(0)
    for contender in contenders.values():
        contender()
    seconds: Seconds = {name: [] for name in contenders}
    for _ in range(rounds):
        for name in random.sample(list(contenders), len(contenders)):
            started = time.perf_counter()
            contenders[name]()
            seconds[name].append(time.perf_counter() - started)
    return seconds


def milliseconds(seconds: Sequence[float]) -> float:
    """The median."""
    return statistics.median(seconds) * 1000


def ratio(seconds: Sequence[float], others: Sequence[float]) -> float:
    """How many times the others' time, in the median over rounds."""
    return statistics.median(mine / other for mine, other in zip(seconds, others, strict=True))


def keep(measured: Mapping[str, Seconds], file: Path) -> None:
    """All of it for `python -m pyperf`, which shows and compares it."""
    benchmarks = [
        pyperf.Benchmark([pyperf.Run(seconds, metadata={"name": f"{group}: {name}"}, collect_metadata=False)])
        for group, contenders in measured.items()
        for name, seconds in contenders.items()
    ]
    pyperf.BenchmarkSuite(benchmarks).dump(str(file), replace=True)
