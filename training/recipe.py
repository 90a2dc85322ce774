"""The recipe: all hyperparameters. `recipe.toml` holds the committed model's, and `model.json` records them."""

import tomllib
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from training.trunk_names import TITLES


class RecipeError(Exception):
    """The file is not a recipe; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Phase:
    """Some steps of training on pictures of one size, in pixels a side."""

    size: int
    steps: int


@dataclass(frozen=True, slots=True)
class Recipe:
    """The hyperparameters of training.

    Network: the pretrained `trunk`, and a new head. The model serves photos of `size` pixels a side. The pictures of
    the `phases` are smaller, because a random crop shows an object larger than the photo does (Touvron et al. 2019).

    Probe: first only the head is trained, as a logistic regression on the features of the pretrained trunk (a linear
    probe) with the inverse regularisation `probe_c`. Fine-tuning starts from it (Kumar et al. 2022). Without `phases`
    nothing is fine-tuned.

    Fine-tuning: all convolutions are trained by AdamW, with `weight_decay`, on batches of `batch_size`. `dropout` is
    the share of the features that the head does not see in a step. The batch norms stay as they came. The learning rate
    rises to `learning_rate` during the first tenth of the steps and then follows a cosine to zero. The weights are an
    exponential moving average over the steps, with the momentum `average_momentum`. Each network but the teachers
    is trained from `seeds` seeds, whose weights are averaged (Wortsman et al. 2022, "Model soups").

    Teachers: with `teachers`, the names of trunks, each of these is fine-tuned first, in `teacher_phases`. The
    network then learns to answer as the mean of their logits on the same picture (Beyer et al. 2022, "A good
    teacher is patient and consistent"), instead of the labels.

    Loss of networks that learn from the labels: cross-entropy with `label_smoothing`. With `class_balance` 0 it is
    trained for the labels' frequencies in the data, with 1 for equal frequencies (logit adjustment, Menon et al. 2021).

    Augmentation: a random crop of at least `smallest_crop` of the area is mirrored at random, and its colours are
    changed by up to `colour_jitter`. CutMix (Yun et al. 2019) mixes `cutmix_share` of the batches, and mixup (Zhang et
    al. 2018) with Beta(`mixup`, `mixup`) the others.

    Cross-validation: the senders are divided into `folds` folds. For each fold a network is trained without it, which
    is used only for calibration and evaluation.
    """

    trunk: str
    size: int
    folds: int
    seeds: int
    probe_c: float
    phases: tuple[Phase, ...]
    teachers: tuple[str, ...]
    teacher_phases: tuple[Phase, ...]
    batch_size: int
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
            phases = {name: tuple(Phase(**phase) for phase in values[name]) for name in ("phases", "teacher_phases")}
        except TypeError as error:
            raise RecipeError("A phase must be a table such as { size = 192, steps = 1200 }.") from error
        recipe = cls(**values | phases | {"teachers": tuple(values["teachers"])})
        _check_numbers(recipe)
        for trunk in (recipe.trunk, *recipe.teachers):
            if trunk not in TITLES:
                raise RecipeError(f"There is no trunk {trunk}. There are {', '.join(TITLES)}.")
        if recipe.folds < 2:  # noqa: PLR2004
            raise RecipeError(
                "folds must be at least 2: the photos of each fold measure a network that never saw them."
            )
        return recipe

    def to_dict(self) -> dict[str, Any]:
        """Return the values as JSON has them."""
        return asdict(self)

    @property
    def source_size(self) -> int:
        """The side in pixels of the photos that are kept in memory, from which crops are cut."""
        return self.size * 3 // 2


def _check_numbers(recipe: Recipe) -> None:
    """Raise `RecipeError` unless whole numbers are above 0 and others at least 0."""
    names = ("phases", "teacher_phases")
    tables = [("", recipe), *((f"{name}: ", phase) for name in names for phase in getattr(recipe, name))]
    for place, table in tables:
        for field in fields(table):
            value = getattr(table, field.name)
            if field.type is int and (type(value) is not int or value < 1):
                raise RecipeError(f"{place}{field.name} must be a whole number above 0, not {value!r}.")
            if field.type is float and (type(value) not in (int, float) or not 0 <= value < float("inf")):
                raise RecipeError(f"{place}{field.name} must be a number of at least 0, not {value!r}.")
