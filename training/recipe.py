"""All that decides how the network is trained. `recipe.toml` holds the committed model's; `model.json` records it."""

import tomllib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any


class RecipeError(Exception):
    """The file is not a recipe; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of training at one size of photo, in pixels a side."""

    size: int
    epochs: int


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the network is trained. It serves photos of `size` pixels a side.

    That is more than it is trained at: a crop shows things larger than the whole photo does (Touvron et al. 2019).

    First the new head is fitted alone, for `head_epochs` on features of plain photos, so that fine-tuning does not
    begin by undoing what the trunk knows (Kumar et al. 2022). Then all is trained but for the stem and the first
    `frozen_blocks` of the 17 blocks: their filters are general, and half of the time would go there. The learning rate
    rises over a tenth of the steps and falls to nothing as a cosine does (AdamW). The weights are averaged over steps:
    an exponential moving average with `average_momentum`.
    All of that is done from `seeds` seeds, of which `seed` is the first, and the weights that they end with are
    averaged: the networks begin alike, and so end close enough together that their mean does better than any of them
    (Wortsman et al. 2022, "Model soups").

    Of the targets: `label_smoothing`; `class_balance` 0 trains for the labels' shares in the data, 1 for equal ones
    (Menon et al. 2021).

    Of the photos: a part of at least `smallest_crop` of the area is cut out, maybe mirrored, its colours changed by up
    to `colour_jitter`. `cutmix_share` of the batches are mixed by CutMix (Yun et al. 2019), the others by mixup (Zhang
    et al. 2018) with Beta(`mixup`, `mixup`).

    `folds`: into so many groups the senders are divided, each held out of a network that only measures and calibrates.
    """

    seed: int
    seeds: int
    size: int
    phases: tuple[Phase, ...]
    folds: int
    batch_size: int
    frozen_blocks: int
    head_epochs: int
    learning_rate: float
    weight_decay: float
    dropout: float
    average_momentum: float
    label_smoothing: float
    class_balance: float
    smallest_crop: float
    colour_jitter: float
    cutmix_share: float
    mixup: float

    @classmethod
    def read(cls, path: Path) -> "Recipe":
        """Read a TOML file that names every field of a recipe and nothing else."""
        try:
            return cls.of(tomllib.loads(path.read_text(encoding="utf-8")))
        except (tomllib.TOMLDecodeError, RecipeError) as error:
            raise RecipeError(f"{path}: {error}") from error

    @classmethod
    def of(cls, values: dict[str, Any]) -> "Recipe":
        """Make a recipe of a dictionary that names every field and nothing else."""
        odd = {field.name for field in fields(cls)} ^ set(values)
        if odd:
            raise RecipeError(f"each field of a recipe has to be named; missing or unknown: {', '.join(sorted(odd))}.")
        try:
            phases = tuple(Phase(**phase) for phase in values["phases"])
        except TypeError as error:
            raise RecipeError("a phase is a table such as { size = 192, epochs = 10 }.") from error
        return cls(**values | {"phases": phases})

    def by_seed(self) -> "list[Recipe]":
        """The recipe for each of the seeds alone."""
        return [replace(self, seed=self.seed + number) for number in range(self.seeds)]

    @property
    def epochs(self) -> int:
        """Of all phases together."""
        return sum(phase.epochs for phase in self.phases)

    @property
    def source_size(self) -> int:
        """Pixels a side at which photos are kept in memory, for crops to be cut from."""
        return self.size * 3 // 2
