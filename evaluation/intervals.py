"""95 % confidence intervals of accuracies, and the paired comparison of two models on the same photos.

The photos of one sender are alike, so many photos of few senders say less than as many photos of many. Where the
senders are known, the intervals come from a bootstrap that draws senders instead of photos (Davison and Hinkley 1997,
section 3.8). With few senders it is too narrow, so no interval is narrower than the one for independent photos.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

RESAMPLES = 2000
_SEED = 0
_ENDS = (0.025, 0.975)
_Z_95 = 1.959964  # the 97.5th percentile of the standard normal distribution


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """The accuracy of the new model minus that of the old one, on the same photos.

    `low` and `high` are the ends of the 95 % interval. `gained` counts the photos that only the new model classifies
    correctly, `lost` those that only the old one does. `p_value` is that of McNemar's test.
    """

    difference: float
    low: float
    high: float
    gained: int
    lost: int
    p_value: float

    @property
    def is_worse(self) -> bool:
        """Whether the new model is significantly worse."""
        return self.difference < 0 and (self.high < 0 or self.p_value < 0.05)  # noqa: PLR2004 - for 95 %

    @property
    def is_better(self) -> bool:
        """Whether the new model is significantly better."""
        return self.difference > 0 and (self.low > 0 or self.p_value < 0.05)  # noqa: PLR2004 - for 95 %


def accuracy_interval(
    correct: npt.NDArray[np.bool_], senders: npt.NDArray[np.str_] | None = None
) -> tuple[float, float]:
    """Return the interval of the accuracy; `correct` and `senders` are of shape (n,).

    It is Wilson's if `senders` is None.
    """
    low, high = wilson_interval(int(correct.sum()), len(correct))
    return (low, high) if senders is None else _widen(low, high, _resample(correct.astype(float), senders))


def wilson_interval(successes: int, n: int) -> tuple[float, float]:
    """Return the 95 % score interval of a proportion (Wilson 1927), which stays within 0 and 1."""
    share = successes / n
    centre = (share + _Z_95**2 / (2 * n)) / (1 + _Z_95**2 / n)
    half_width = _Z_95 * math.sqrt(share * (1 - share) / n + _Z_95**2 / (4 * n * n)) / (1 + _Z_95**2 / n)
    return max(0.0, centre - half_width), min(1.0, centre + half_width)


def paired_difference(
    new: npt.NDArray[np.bool_], old: npt.NDArray[np.bool_], senders: npt.NDArray[np.str_] | None = None
) -> PairedDifference:
    """Compare two models on the same photos. `new` and `old`, of shape (n,), are true where they are correct."""
    gained, lost = int((new & ~old).sum()), int((old & ~new).sum())
    low, high = difference_interval(gained, lost, len(new))
    if senders is not None:
        low, high = _widen(low, high, _resample(new.astype(float) - old.astype(float), senders))
    return PairedDifference((gained - lost) / len(new), low, high, gained, lost, mcnemar_p_value(gained, lost))


def difference_interval(gained: int, lost: int, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a difference of paired proportions (Agresti and Min 2005), for independent photos.

    It is Wald's interval with 0.5 added to each of the four counts of right and wrong answers.
    """
    n += 2
    centre = (gained - lost) / n
    half_width = _Z_95 * math.sqrt(max(0.0, gained + lost + 1 - (gained - lost) ** 2 / n)) / n
    return max(-1.0, centre - half_width), min(1.0, centre + half_width)


def mcnemar_p_value(gained: int, lost: int) -> float:
    """Return the two-sided p-value of McNemar's exact test (McNemar 1947): how likely such a difference is by chance.

    Of the photos that only one of the models classifies correctly, each model gets half by chance.
    """
    discordant, tail, ways = gained + lost, 0, 1
    for count in range(min(gained, lost) + 1):
        tail += ways
        ways = ways * (discordant - count) // (count + 1)  # the next binomial coefficient
    return float(min(1.0, 2 * tail / 2**discordant))


def _resample(values: npt.NDArray[np.float64], senders: npt.NDArray[np.str_]) -> tuple[float, float]:
    """Return the percentile interval of the mean of `values` over samples of senders."""
    groups = np.unique(senders, return_inverse=True)[1]
    counts, sums = np.bincount(groups), np.bincount(groups, values)
    rng = np.random.default_rng(_SEED)
    samples = (rng.integers(len(counts), size=len(counts)) for _ in range(RESAMPLES))
    low, high = np.quantile([sums[sample].sum() / counts[sample].sum() for sample in samples], _ENDS)
    return float(low), float(high)


def _widen(low: float, high: float, other: tuple[float, float]) -> tuple[float, float]:
    return min(low, other[0]), max(high, other[1])
