"""Trains the networks of a recipe on a folder with `train/`, `validation/` and `extra/`, each of label folders.

Trains the network to ship on all of these photos, and for each fold of senders a network without them, which is used
for calibration and evaluation. Writes them into the folder of a run, from which `training.publish` makes `model/`.
Started again on the same folder, it resumes where it stopped.
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

# Before TensorFlow is imported: hide its start-up messages, and use oneDNN's convolutions. They are twice as fast as
# its own, but not the default on processors without AVX-512.
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
from evaluation.dataset import DatasetError, Examples, Split, fingerprint, read_photo_metadata, read_photos, read_split
from training.recipe import Recipe, RecipeError
from training.run import (
    FINAL,
    LOGITS_FILE,
    PHOTOS_FILE,
    RECORD_FILE,
    WEIGHTS_FILE,
    TrainingRecord,
    fold_name,
    seed_logits_file,
    seed_weights_file,
)

_RECIPE = Path(__file__).with_name("recipe.toml")
_FOLDERS = ("train", "validation", "extra")  # only the first is required
_PACKAGES = ("tensorflow", "keras", "numpy", "pillow", "scikit-learn")


class RunError(Exception):
    """The run's folder cannot be used; the message says why."""


class NetworkPlan(NamedTuple):
    """A network to train, and the indexes of its training photos and of its evaluation photos.

    The run keeps the Keras network's logits for the evaluation photos.
    """

    name: str
    training: npt.NDArray[np.int64]
    evaluation: npt.NDArray[np.int64]


def plan_networks(data: Path, split: Split, folds: int) -> list[NetworkPlan]:
    """Plan a network for each fold of senders, and the network to ship. Raise `DatasetError`."""
    everything = np.arange(len(split.files))
    validation = np.array([index for index, path in enumerate(split.files) if path.is_relative_to(data / "validation")])
    senders = read_photo_metadata(data, split.files).sender_ids
    if len(set(senders)) < folds:
        raise DatasetError(f"{len(set(senders))} senders cannot be divided into {folds} folds.")
    fold_indexes = GroupKFold(folds).split(everything, groups=senders) if folds else []
    return [
        *(NetworkPlan(fold_name(fold), training, held_out) for fold, (training, held_out) in enumerate(fold_indexes)),
        NetworkPlan(FINAL, everything, validation if validation.size else everything),
    ]


def train(data: Path, recipe: Recipe, weights: str, run: Path) -> None:
    """Train all networks of a recipe from each seed; skips those that `run` already has.

    Raise `DatasetError`, `RunError` or `OSError`.
    """
    folders = [data / _FOLDERS[0], *(data / name for name in _FOLDERS[1:] if (data / name).is_dir())]
    split = read_split(folders, recipe.source_size)
    open_run(run, make_record(data, split, recipe, weights))
    plans = [plan for plan in plan_networks(data, split, recipe.folds) if not (run / plan.name / PHOTOS_FILE).exists()]
    untrained = [
        (seeded, plan)
        for seeded in recipe.per_seed()
        for plan in plans
        if not seed_logits_file(run / plan.name, seeded.seed).exists()
    ]
    print(f"{len(split.files)} photos of {len(split.labels)} labels.")
    print(f"{len(untrained)} trainings to do, {len(plans)} networks to convert.")
    trainer = _Trainer(data, split, weights, run)
    trainer.train_all(untrained, recipe)
    for plan in plans:
        trainer.convert(plan, recipe)


@dataclass(frozen=True, slots=True)
class _Trainer:
    """Trains networks on photos below `data`, from the initial `weights`, and writes them into `run`."""

    data: Path
    split: Split
    weights: str
    run: Path

    def train_all(self, untrained: list[tuple[Recipe, NetworkPlan]], recipe: Recipe) -> None:
        """Train each of the networks from its recipe's seed, with a progress bar."""
        with _progress_bar() as bar:
            progress = Progress(bar, recipe, [len(plan.training) for _, plan in untrained])
            for seeded, plan in untrained:
                progress.start_network(f"{plan.name}, seed {seeded.seed}")
                self.train(plan, seeded, progress)

    def train(self, plan: NetworkPlan, recipe: Recipe, progress: "Progress") -> None:
        """Train a network from the recipe's seed, and write its weights and its logits."""
        folder = self.run / plan.name
        backup = folder / f"backup-{recipe.seed}"
        paths = self._paths(plan.training)
        model = self._fit(plan, recipe, backup, progress)
        network.update_batch_norms(model, read_photos(network.sample_photos(paths), recipe.size))
        model.save_weights(seed_weights_file(folder, recipe.seed))
        images = read_photos(self._paths(plan.evaluation), recipe.size)
        np.save(seed_logits_file(folder, recipe.seed), model.predict(images, verbose=0))
        shutil.rmtree(backup)

    def _fit(self, plan: NetworkPlan, recipe: Recipe, backup: Path, progress: "Progress") -> keras.Model:
        one_hot = np.eye(len(self.split.labels), dtype=np.float32)[self.split.targets]
        examples = Examples(self.split.images[plan.training], one_hot[plan.training])
        keras.utils.clear_session()  # frees what Keras holds of the previous network
        keras.utils.set_random_seed(recipe.seed)
        model = network.build(len(self.split.labels), self.weights, recipe.dropout, recipe.frozen_blocks)
        if not backup.exists():
            images = read_photos(self._paths(plan.training), recipe.phases[0].size)
            network.fit_head(model, Examples(images, examples.targets), recipe)
        fine_tune(model, examples, recipe, backup, [progress])
        return model

    def convert(self, plan: NetworkPlan, recipe: Recipe) -> None:
        """Average the weights of the seeds, convert the network, and write its logits.

        Writes the names of its evaluation photos last: they mark the network as complete.
        """
        folder = self.run / plan.name
        model = network.build(len(self.split.labels), None, recipe.dropout, recipe.frozen_blocks)
        network.load_average(model, [seed_weights_file(folder, seeded.seed) for seeded in recipe.per_seed()])
        model.save_weights(folder / WEIGHTS_FILE)
        sample = network.sample_photos(self._paths(plan.training))
        served = network.prepare_for_serving(model, read_photos(sample, recipe.size))
        (folder / NETWORK_FILE).write_bytes(network.to_tflite(served, recipe.size)["float16"])
        paths = self._paths(plan.evaluation)
        logits = keras.Model(served.input, served.output["logits"])
        np.save(folder / LOGITS_FILE, logits.predict(read_photos(paths, recipe.size), verbose=0))
        names = [path.relative_to(self.data).as_posix() for path in paths]
        (folder / PHOTOS_FILE).write_text(json.dumps(names, indent=0) + "\n", encoding="utf-8")

    def _paths(self, indexes: npt.NDArray[np.int64]) -> list[Path]:
        return [self.split.files[index] for index in indexes]


def make_record(data: Path, split: Split, recipe: Recipe, weights: str) -> TrainingRecord:
    """Make the record of a run."""
    return TrainingRecord(
        labels=split.labels,
        recipe=recipe,
        photos=len(split.files),
        data_sha256=fingerprint(data, split.files),
        weights=Path(weights).name,
        packages={name: version(name) for name in _PACKAGES},
    )


def open_run(run: Path, record: TrainingRecord) -> None:
    """Write the record into the run's folder. Raise `RunError` if the folder has a different record."""
    path = run / RECORD_FILE
    content = json.dumps(asdict(record), indent=2) + "\n"
    if path.exists():
        new, old = json.loads(content), json.loads(path.read_text(encoding="utf-8"))
        changed = sorted(name for name in new.keys() | old.keys() if new.get(name) != old.get(name))
        if changed:
            raise RunError(
                f"{run} has a run with different {', '.join(changed)}. Delete it, or train into another folder."
            )
    run.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def fine_tune(
    model: keras.Model, examples: Examples, recipe: Recipe, backup: Path, callbacks: list[keras.callbacks.Callback]
) -> None:
    """Train a network through all phases, and set its weights to their moving average.

    Checkpoints each epoch to `backup`, and resumes from the checkpoint there.
    """
    optimizer = _make_optimizer(recipe, steps=recipe.epochs * max(1, len(examples.images) // recipe.batch_size))
    model.compile(optimizer, network.make_loss(examples.targets, recipe))
    # Otherwise Keras makes its variables inside the graph, with a branch for each; TensorFlow never frees that graph.
    optimizer.build(model.trainable_variables)
    first = 0
    for phase in recipe.phases:
        last = first + phase.epochs
        # Each phase needs its own: a BackupAndRestore restores only once.
        checkpoint = keras.callbacks.BackupAndRestore(backup, delete_checkpoint=False)
        model.fit(
            TrainingBatches(examples, phase.size, first, recipe),
            initial_epoch=first,
            epochs=last,
            callbacks=[checkpoint, *callbacks],
            shuffle=False,  # TrainingBatches shuffles
            verbose=0,
        )
        first = last
    optimizer.finalize_variable_values(model.trainable_variables)


def _make_optimizer(recipe: Recipe, steps: int) -> keras.optimizers.Optimizer:
    warm_up = steps // 10
    rate = keras.optimizers.schedules.CosineDecay(
        recipe.learning_rate / 100,
        decay_steps=steps - warm_up,
        warmup_target=recipe.learning_rate,
        warmup_steps=warm_up,
    )
    return keras.optimizers.AdamW(
        rate, weight_decay=recipe.weight_decay, use_ema=True, ema_momentum=recipe.average_momentum
    )


class Progress(keras.callbacks.Callback):  # type: ignore[misc] # Keras has no types
    """Shows a progress bar for all trainings of the run with the remaining time, and a line for each epoch."""

    def __init__(self, bar: rich.progress.Progress, recipe: Recipe, photos: list[int]) -> None:
        """`photos` has the number of training photos of each training to do."""
        super().__init__()
        self._bar = bar
        self._recipe = recipe
        self._sizes = [phase.size for phase in recipe.phases for _ in range(phase.epochs)]
        self._steps = [max(1, n // recipe.batch_size) for n in photos]  # of each epoch
        # The time of a step is proportional to its pixels.
        self._costs = [steps * sum(size**2 for size in self._sizes) for steps in self._steps]
        self._network = -1
        self._name = ""
        self._size = 0
        self._task = bar.add_task("", total=sum(self._costs) or None)

    def start_network(self, name: str) -> None:
        """Show that the next training starts."""
        self._network += 1
        self._name = name
        self._bar.update(self._task, description=f"{name}: head")

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002 - Keras's signature
        """Show that an epoch starts; Keras calls this."""
        self._size = self._sizes[epoch]
        done = sum(self._costs[: self._network])
        done += self._steps[self._network] * sum(size**2 for size in self._sizes[:epoch])
        if self._bar.tasks[self._task].completed != done:  # resumed: earlier epochs must not count for the speed
            self._bar.reset(self._task, completed=done)
        self._bar.update(self._task, description=f"{self._name}: epoch {epoch + 1} of {self._recipe.epochs}")

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002 - Keras's signature
        """Advance the bar by a step; Keras calls this."""
        self._bar.advance(self._task, self._size**2)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Print the loss of the epoch; Keras calls this."""
        metrics = ", ".join(f"{name} {value:.3f}" for name, value in (logs or {}).items())
        self._bar.console.print(
            f"{self._name}: epoch {epoch + 1} of {self._recipe.epochs} at {self._size} pixels: {metrics}"
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


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m training.train", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with train/, and maybe validation/ and extra/")
    parser.add_argument("--weights", default="imagenet", help='"imagenet" (downloaded) or a file of weights')
    parser.add_argument("--run", type=Path, required=True, help="folder to write this run to")
    parser.add_argument("--recipe", type=Path, default=_RECIPE, help="TOML file (default: training/recipe.toml)")
    arguments = parser.parse_args()
    try:
        train(arguments.data, Recipe.load(arguments.recipe), arguments.weights, arguments.run)
    except (DatasetError, RecipeError, RunError, OSError) as error:
        print(f"train: {error}", file=sys.stderr)
        return 1
    print(f"Wrote {arguments.run}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
