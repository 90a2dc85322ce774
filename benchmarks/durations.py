"""How long the function runs: durations that `make bench-container` measured, and what is assumed of AWS.

`benchmarks.costs` uses the means, and `benchmarks.scale` draws from the distributions.
"""

import math
import random
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.figures import read_figures

# The kinds of photos that sellers upload, and their assumed shares.
MIX = {"upload": 0.8, "heic_upload": 0.1, "small_upload": 0.05, "png_upload": 0.05}
_SEED = 0
_SAMPLES = 10_000  # of each distribution
_Z99 = 2.326  # the 99th percentile of the standard normal distribution


@dataclass(frozen=True, slots=True)
class Assumption:
    """A log-normal distribution of seconds, and the reason for it."""

    median: float
    percentile_99: float
    what: str
    reason: str

    @property
    def mean(self) -> float:
        """The mean in seconds."""
        return self.median * math.exp(self._sigma**2 / 2)

    @property
    def _sigma(self) -> float:
        return math.log(self.percentile_99 / self.median) / _Z99

    def draw(self) -> list[float]:
        """Return samples, the same ones each time."""
        generator = random.Random(_SEED)
        return [self.median * math.exp(self._sigma * generator.gauss(0, 1)) for _ in range(_SAMPLES)]


ASSUMPTIONS = {
    "event": Assumption(
        *(0.5, 3, "from the end of an upload until Lambda has S3's event"),
        "AWS says “typically in seconds but can sometimes take a minute or longer”; no other figure was found",
    ),
    "environment": Assumption(
        *(0.3, 1.5, "a new execution environment, until the function's own start begins"),
        "AWS: cold starts take from less than 0.1 to more than 1 second, the function's own start included",
    ),
    "bucket": Assumption(
        *(0.03, 0.3, "a call of S3, in addition to one of the stand-in on the same machine"),
        "AWS: small requests take tens of milliseconds in the median",
    ),
    "table": Assumption(0.005, 0.03, "a call of DynamoDB, likewise", "AWS: single-digit milliseconds"),
    "transfer": Assumption(
        *(2, 20, "the upload of a photo by its seller, which is not part of the wait"),
        "2.4 MB at 10 Mbit/s; photos of a listing follow each other",
    ),
}


def draw_uploads() -> list[float]:
    """Return measured seconds of uploads in the assumed mix, the same ones each time."""
    measured, generator = read_figures("durations"), random.Random(_SEED)
    drawn = (generator.choices(measured[kind], k=round(share * _SAMPLES)) for kind, share in MIX.items())
    return [seconds for samples in drawn for seconds in samples]


def read_starts() -> list[float]:
    """Return the seconds that the function needs to start: those of cold starts without those of the small photo."""
    measured = read_figures("durations")
    small = statistics.median(measured["small_upload"])
    return [seconds - small for seconds in measured["cold_start"]]


def mean_seconds(kind: str, usage: Mapping[str, Any]) -> float:
    """Return the mean of a warm invocation, with what its calls of AWS are assumed to take.

    `usage` is that of the kind in `usage.json`.
    """
    measured = read_figures("durations")
    kinds = MIX if kind == "upload" else {kind: 1}
    function: float = sum(share * statistics.mean(measured[one]) for one, share in kinds.items())
    table_calls = bool(usage["reads"]) + bool(usage["writes"])
    return function + table_calls * ASSUMPTIONS["table"].mean + len(usage["s3"]) * ASSUMPTIONS["bucket"].mean
