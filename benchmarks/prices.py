"""Reads `prices.toml`: the prices of AWS by tier, and its quotas."""

import math
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

_FILE = Path(__file__).with_name("prices.toml")


@dataclass(frozen=True, slots=True)
class Tier:
    """A price in dollars per unit, for the units up to `up_to` in a month."""

    dollars: float
    up_to: float = math.inf


@dataclass(frozen=True, slots=True)
class Price:
    """What AWS charges for a unit."""

    tiers: Sequence[Tier]
    unit: str
    date: date
    source: str
    note: str = ""

    def cost(self, amount: float) -> float:
        """Return the dollars for `amount` units in a month. Each tier's price applies to the units within it."""
        dollars, below = 0.0, 0.0
        for tier in self.tiers:
            dollars += max(0.0, min(amount, tier.up_to) - below) * tier.dollars
            below = tier.up_to
        return dollars


@dataclass(frozen=True, slots=True)
class Quota:
    """A limit that AWS sets. `code` is that of Service Quotas, or empty; `raisable` says whether AWS raises it."""

    value: float
    unit: str
    date: date
    source: str
    raisable: bool
    service: str = ""
    code: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class PriceList:
    """The prices and the quotas by name."""

    prices: dict[str, Price]
    quotas: dict[str, Quota]


@cache
def read_prices() -> PriceList:
    """Read the file."""
    content = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    prices = {name: _parse_price(entry) for name, entry in content["prices"].items()}
    return PriceList(prices, {name: Quota(**entry) for name, entry in content["quotas"].items()})


def _parse_price(entry: dict[str, Any]) -> Price:
    return Price(**{**entry, "tiers": [Tier(**tier) for tier in entry["tiers"]]})
