"""The recipe: all hyperparameters. `recipe.toml` holds the committed model's, and `model.json` records them."""

import tomllib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any


class RecipeError(Exception):
    """The file is not a recipe; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Phase:
    """Some epochs of training on crops of one size, in pixels a side."""

    size: int
    epochs: int


@dataclass(frozen=True, slots=True)
class Recipe:
    """The hyperparameters of training.

    Size: the model serves photos of `size` pixels a side. The crops of the `phases` are smaller, because a random crop
    shows an object larger than the whole photo does (Touvron et al. 2019).

    Steps: first only the new head is trained, for `head_epochs` on the features of unaugmented photos, so that
    fine-tuning does not distort the pretrained features (Kumar et al. 2022). Then the whole network is trained by
    AdamW, except the stem and the first `frozen_blocks` of the 17 blocks: their filters are general, and training them
    would take half of the time. The learning rate rises during the first tenth of the steps and then follows a cosine
    to zero. The weights are an exponential moving average over the steps, with the momentum `average_momentum`.

    Seeds: all of this is done from `seeds` seeds, the first of which is `seed`, and the resulting weights are averaged.
    The networks start from the same pretrained weights and end close enough to each other for their average to be more
    accurate than each of them (Wortsman et al. 2022, "Model soups").

    Loss: cross-entropy with `label_smoothing`. With `class_balance` 0 it is trained for the labels' frequencies in the
    data, with 1 for equal frequencies (logit adjustment, Menon et al. 2021).

    Augmentation: a random crop of at least `smallest_crop` of the area is mirrored at random, and its colours are
    changed by up to `colour_jitter`. CutMix (Yun et al. 2019) mixes `cutmix_share` of the batches, and mixup (Zhang et
    al. 2018) with Beta(`mixup`, `mixup`) the others.

    Cross-validation: the senders are divided into `folds` folds. For each fold a network is trained without it, which
    is used only for calibration and evaluation.
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
    def load(cls, path: Path) -> "Recipe":
        """Read a TOML file that has every field of a recipe and no others. Raise `RecipeError` or `OSError`."""
        try:
            return cls.from_dict(tomllib.loads(path.read_text(encoding="utf-8")))
        except (tomllib.TOMLDecodeError, RecipeError) as error:
            raise RecipeError(f"{path}: {error}") from error

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Recipe":
        """Make a recipe from a dictionary that has every field and no others. Raise `RecipeError`."""
        names = {field.name for field in fields(cls)}
        if names != set(values):
            different = ", ".join(sorted(names ^ set(values)))
            raise RecipeError(f"A recipe has every field once and no others. Missing or unknown: {different}.")
        try:
            phases = tuple(Phase(**phase) for phase in values["phases"])
        except TypeError as error:
            raise RecipeError("A phase must be a table such as { size = 192, epochs = 10 }.") from error
        return cls(**values | {"phases": phases})

    def per_seed(self) -> "list[Recipe]":
        """Return a recipe for each of the seeds."""
        return [replace(self, seed=self.seed + number) for number in range(self.seeds)]

    @property
    def epochs(self) -> int:
        """The epochs of all phases."""
        return sum(phase.epochs for phase in self.phases)

    @property
    def source_size(self) -> int:
        """The side in pixels of the photos that are kept in memory, from which crops are cut."""
        return self.size * 3 // 2
