"""Fine-tunes the network on a folder `train/ validation/ extra/` of label folders and converts it.

Trains one network on all of these photos, which is the one to ship, and one for each fold of senders that has not seen
theirs, which tell how well it does. Writes into the folder of a run; `training.publish` makes `model/` of it. Started
again on the same folder, it goes on where it stopped.
"""

import argparse
import json
import os
import shutil
import sys
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

# Before TensorFlow is imported: no start-up notices; and oneDNN's convolutions, which are twice as fast as its own also
# on processors without AVX-512, where they are not the default.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import keras
import numpy as np
import numpy.typing as npt
import rich.progress
from sklearn.model_selection import GroupKFold

from classifier.description import NETWORK_FILE
from training import network
from training.augment import TrainingBatches
from training.dataset import DatasetError, Examples, Split, fingerprint, read_photos, read_provenance, read_split
from training.recipe import Recipe, RecipeError
from training.run import (
    FINAL,
    LOGITS_FILE,
    PHOTOS_FILE,
    RECORD_FILE,
    WEIGHTS_FILE,
    fold_name,
    seed_logits_file,
    seed_weights_file,
)

_RECIPE = Path(__file__).with_name("recipe.toml")
_FOLDERS = ("train", "validation", "extra")  # the first has to be there
_PACKAGES = ("tensorflow", "keras", "numpy", "pillow", "scikit-learn")


class RunError(Exception):
    """The run's folder cannot be gone on with; the message says why."""


class Assignment(NamedTuple):
    """A network to train: which photos it learns from, and for which Keras's answers are kept; both are indexes."""

    name: str
    learns: npt.NDArray[np.int64]
    answers: npt.NDArray[np.int64]


def assignments(data: Path, split: Split, folds: int) -> list[Assignment]:
    """The network to ship, and one for each fold of senders."""
    everything = np.arange(len(split.files))
    validation = np.array([index for index, path in enumerate(split.files) if path.is_relative_to(data / "validation")])
    senders = read_provenance(data, split.files).senders
    if len(set(senders)) < folds:
        raise DatasetError(f"{len(set(senders))} senders cannot be divided into {folds} folds.")
    held_out = GroupKFold(folds).split(everything, groups=senders) if folds else []
    return [
        *(Assignment(fold_name(fold), learns, answers) for fold, (learns, answers) in enumerate(held_out)),
        Assignment(FINAL, everything, validation if validation.size else everything),
    ]


def train(data: Path, recipe: Recipe, weights: str, run: Path) -> None:
    """Train all networks of a recipe that `run` does not hold yet, each from every seed."""
    folders = [data / _FOLDERS[0], *(data / name for name in _FOLDERS[1:] if (data / name).is_dir())]
    split = read_split(folders, recipe.source_size)
    begin(run, _record(data, split, recipe, weights))
    unfinished = [
        assignment
        for assignment in assignments(data, split, recipe.folds)
        if not (run / assignment.name / PHOTOS_FILE).exists()
    ]
    untrained = [
        (seeded, assignment)
        for seeded in recipe.by_seed()
        for assignment in unfinished
        if not seed_logits_file(run / assignment.name, seeded.seed).exists()
    ]
    print(
        f"{len(split.files)} photos of {len(split.labels)} labels; {len(unfinished)} networks to finish, "
        f"{len(untrained)} trainings to do."
    )
    training = _Training(data, split, weights, run)
    with _progress_bar() as bar:
        progress = Progress(bar, recipe, [len(assignment.learns) for _, assignment in untrained])
        for seeded, assignment in untrained:
            progress.next(f"{assignment.name}, seed {seeded.seed}")
            training.train(assignment, seeded, progress)
    for assignment in unfinished:
        training.finish(assignment, recipe)


@dataclass(frozen=True, slots=True)
class _Training:
    """Networks that learn from photos below `data`, from initial `weights` on; `run` keeps what they become."""

    data: Path
    split: Split
    weights: str
    run: Path

    def train(self, assignment: Assignment, recipe: Recipe, progress: "Progress") -> None:
        """Train a network from the recipe's own seed; write its weights and its answers."""
        folder = self.run / assignment.name
        backup = folder / f"backup-{recipe.seed}"
        one_hot = np.eye(len(self.split.labels), dtype=np.float32)[self.split.targets]
        examples = Examples(self.split.images[assignment.learns], one_hot[assignment.learns])
        learnt = self._files(assignment.learns)
        keras.utils.clear_session()  # what Keras keeps of the network before
        keras.utils.set_random_seed(recipe.seed)
        model = network.build(len(self.split.labels), self.weights, recipe.dropout, recipe.frozen_blocks)
        if not backup.exists():
            network.fit_head(model, Examples(read_photos(learnt, recipe.phases[0].size), examples.targets), recipe)
        fine_tune(model, examples, recipe, backup, [progress])
        network.measure_norms(model, read_photos(network.sample(learnt), recipe.size))
        model.save_weights(seed_weights_file(folder, recipe.seed))
        answered = read_photos(self._files(assignment.answers), recipe.size)
        np.save(seed_logits_file(folder, recipe.seed), model.predict(answered, verbose=0))
        shutil.rmtree(backup)

    def finish(self, assignment: Assignment, recipe: Recipe) -> None:
        """Average what the seeds became, convert it, write its answers, and that nothing of it is left to do."""
        folder = self.run / assignment.name
        model = network.build(len(self.split.labels), None, recipe.dropout, recipe.frozen_blocks)
        network.average(model, [seed_weights_file(folder, seeded.seed) for seeded in recipe.by_seed()])
        model.save_weights(folder / WEIGHTS_FILE)
        served = network.finish(model, read_photos(network.sample(self._files(assignment.learns)), recipe.size))
        (folder / NETWORK_FILE).write_bytes(network.to_tflite(served, recipe.size)["float16"])
        answered = self._files(assignment.answers)
        logits = keras.Model(served.input, served.output["logits"])
        np.save(folder / LOGITS_FILE, logits.predict(read_photos(answered, recipe.size), verbose=0))
        names = [path.relative_to(self.data).as_posix() for path in answered]
        (folder / PHOTOS_FILE).write_text(json.dumps(names, indent=0) + "\n", encoding="utf-8")

    def _files(self, chosen: npt.NDArray[np.int64]) -> list[Path]:
        return [self.split.files[index] for index in chosen]


def _record(data: Path, split: Split, recipe: Recipe, weights: str) -> dict[str, Any]:
    return {
        "labels": split.labels,
        "recipe": asdict(recipe),
        "photos": len(split.files),
        "data_sha256": fingerprint(data, split.files),
        "weights": Path(weights).name,
        "packages": {name: version(name) for name in _PACKAGES},
    }


def fine_tune(
    model: keras.Model, examples: Examples, recipe: Recipe, backup: Path, callbacks: list[keras.callbacks.Callback]
) -> None:
    """Train a network through all phases, from what `backup` holds on; leaves it with the average over its steps."""
    steps = max(1, len(examples.images) // recipe.batch_size) * recipe.epochs
    warm_up = steps // 10
    rate = keras.optimizers.schedules.CosineDecay(
        recipe.learning_rate / 100,
        decay_steps=steps - warm_up,
        warmup_target=recipe.learning_rate,
        warmup_steps=warm_up,
    )
    optimizer = keras.optimizers.AdamW(
        rate, weight_decay=recipe.weight_decay, use_ema=True, ema_momentum=recipe.average_momentum
    )
    model.compile(optimizer, network.balanced_loss(examples.targets, recipe))
    # Else its variables are made inside the graph, with a branch for each; TensorFlow keeps each such graph for good.
    optimizer.build(model.trainable_variables)
    first = 0
    for phase in recipe.phases:
        last = first + phase.epochs
        model.fit(
            TrainingBatches(examples, phase.size, first, recipe),
            initial_epoch=first,
            epochs=last,
            # A new one for each phase: it reads its file once.
            callbacks=[keras.callbacks.BackupAndRestore(backup, delete_checkpoint=False), *callbacks],
            shuffle=False,  # the batches are shuffled already
            verbose=0,
        )
        first = last
    optimizer.finalize_variable_values(model.trainable_variables)


class Progress(keras.callbacks.Callback):  # type: ignore[misc] # Keras has no types
    """Shows how far the whole run is and how long it will take, and a line for each epoch."""

    def __init__(self, progress: rich.progress.Progress, recipe: Recipe, learns: list[int]) -> None:
        """`learns`: from how many photos each training learns that is still to come."""
        super().__init__()
        self._bar = progress
        self._recipe = recipe
        # A step costs what its photos have in pixels.
        self._sizes = [phase.size for phase in recipe.phases for _ in range(phase.epochs)]
        self._costs = [max(1, n // recipe.batch_size) * sum(size**2 for size in self._sizes) for n in learns]
        self._steps = [max(1, n // recipe.batch_size) for n in learns]
        self._network = -1
        self._name = ""
        self._size = 0
        self._task = progress.add_task("", total=sum(self._costs) or None)

    def next(self, name: str) -> None:
        """The next network is begun."""
        self._network += 1
        self._name = name
        self._bar.update(self._task, description=f"{name}: head")

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002 - as Keras calls it
        """Keras begins an epoch."""
        self._size = self._sizes[epoch]
        done = sum(self._costs[: self._network])
        done += self._steps[self._network] * sum(size**2 for size in self._sizes[:epoch])
        if self._bar.tasks[self._task].completed != done:  # gone on with: what was done before says nothing of the pace
            self._bar.reset(self._task, completed=done)
        self._bar.update(self._task, description=f"{self._name}: epoch {epoch + 1} of {self._recipe.epochs}")

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002 - likewise
        """Keras has made a step."""
        self._bar.advance(self._task, self._size**2)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Keras has made an epoch."""
        figures = ", ".join(f"{name} {value:.3f}" for name, value in (logs or {}).items())
        self._bar.console.print(
            f"{self._name}: epoch {epoch + 1} of {self._recipe.epochs} at {self._size} pixels: {figures}"
        )


def _progress_bar() -> rich.progress.Progress:
    return rich.progress.Progress(
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(),
        rich.progress.TaskProgressColumn(),
        rich.progress.TimeElapsedColumn(),
        rich.progress.TextColumn("left:"),
        rich.progress.TimeRemainingColumn(),
        speed_estimate_period=600,
    )


def begin(run: Path, record: dict[str, Any]) -> None:
    """Write what the run is made from, or see that what the folder holds was made from the same."""
    path = run / RECORD_FILE
    record = json.loads(json.dumps(record))  # lists for tuples, as it will be read
    if path.exists():
        begun = json.loads(path.read_text(encoding="utf-8"))
        changed = sorted(name for name in record.keys() | begun.keys() if record.get(name) != begun.get(name))
        if changed:
            raise RunError(f"{run} was begun with other {', '.join(changed)}. Remove it, or train into another folder.")
    run.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def main() -> int:
    """Train, convert, and write the run's folder."""
    parser = argparse.ArgumentParser(prog="python -m training.train", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ and, if there are, the others")
    parser.add_argument("--weights", default="imagenet", help='"imagenet" (downloaded) or a file of weights')
    parser.add_argument("--run", type=Path, required=True, help="folder to write the results of this run to")
    parser.add_argument("--recipe", type=Path, default=_RECIPE, help="TOML file (default: training/recipe.toml)")
    arguments = parser.parse_args()
    try:
        train(arguments.data, Recipe.read(arguments.recipe), arguments.weights, arguments.run)
    except (DatasetError, RecipeError, RunError, OSError) as error:
        print(f"train: {error}", file=sys.stderr)
        return 1
    print(f"Wrote {arguments.run}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
