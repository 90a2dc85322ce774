"""Trains the networks of a recipe on the photos in `train/`, `validation/` and `extra/` of data sets.

Trains the network to ship on all of these photos, and for each fold of senders a network without them, which is used
for calibration and evaluation. Writes them into the folder of a run, from which `training.publish` makes a model.
Started again on the same folder, it resumes where it stopped.
"""

import argparse
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

# Before Keras imports its backend: hide TensorFlow's start-up messages, and use oneDNN's convolutions. They are twice
# as fast as its own, but not the default on processors without AVX-512.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import keras
import numpy as np
import numpy.typing as npt

from evaluation.dataset import DatasetError, read_photos
from evaluation.pages import count
from evaluation.predictions import NetworkOutputs
from training import network
from training.augment import Examples
from training.data import TrainingPhotos, divide
from training.fit import Tuner, fit_probe
from training.network import Features, Head
from training.out_of_distribution import ood_images
from training.recipe import Phase, Recipe, RecipeError
from training.run import (
    FINAL,
    Fit,
    FitOutputs,
    TrainingRecord,
    network_names,
    outputs_file,
    served_file,
    weights_file,
    write_record,
    written_at_once,
)
from training.serving import Familiarity, Served
from training.trunks import TRUNKS, WeightsError, describe_weights, read_weights

_PACKAGES = ("keras", "numpy", "pillow", "scikit-learn")
_SAMPLE = 1536  # training photos to which the familiarity is fitted
_CHECKED = 200  # training photos on which the conversion of the network to ship is checked
STUDENT = "student"


class NetworkPlan(NamedTuple):
    """A network to train, and the indexes of its training photos and of its evaluation photos."""

    name: str
    training: npt.NDArray[np.int64]
    evaluation: npt.NDArray[np.int64]

    def sample(self) -> npt.NDArray[np.int64]:
        """Return the indexes of up to 1,536 training photos in random order."""
        return np.random.default_rng(0).permutation(self.training)[:_SAMPLE]


def plan_networks(groups: npt.NDArray[np.int64], folds: int) -> list[NetworkPlan]:
    """Plan a network for each fold of groups, and the network to ship. Raise `DatasetError`.

    `groups`, of shape (photos,): photos of one group, such as those of one sender, are in the same fold.
    """
    found = len(np.unique(groups))
    if found < folds:
        raise DatasetError(
            f"All photos are of {count(found, 'sender')}, which cannot be divided into {folds} folds. Add photos of "
            "others. Where senders are unknown, each photo counts as one."
        )
    everything, fold_of_photo = np.arange(len(groups)), divide(groups, folds)
    *names, final = network_names(folds)
    plans = [
        NetworkPlan(name, np.flatnonzero(fold_of_photo != fold), np.flatnonzero(fold_of_photo == fold))
        for fold, name in enumerate(names)
    ]
    return [*plans, NetworkPlan(final, everything, np.random.default_rng(1).permutation(everything)[:_CHECKED])]


@dataclass(slots=True)
class Trainer:
    """Trains networks on photos, from the initial `weights`, and writes them into `run`."""

    training: TrainingPhotos
    recipe: Recipe
    weights: str
    run: Path
    log: Callable[[str], None] = field(default=partial(print, flush=True))
    _images: dict[int, npt.NDArray[np.uint8]] = field(default_factory=dict)
    _unknown: dict[str, npt.NDArray[np.uint8]] | None = None
    _features: dict[str, Features] = field(default_factory=dict)
    _tuners: dict[str, Tuner] = field(default_factory=dict)

    def train(self, plans: Sequence[NetworkPlan]) -> None:
        """Train and measure all networks that the run does not have yet. Raise `WeightsError` or `DatasetError`."""
        for number, plan in enumerate(plans, 1):
            self.log(f"Network {number} of {len(plans)}: {plan.name}")
            if not outputs_file(self._folder(plan), Fit.PROBE).exists():
                self.fit_probe(plan)
            if self.recipe.phases and not outputs_file(self._folder(plan), Fit.TUNED).exists():
                self.fine_tune(plan)

    def fit_probe(self, plan: NetworkPlan) -> None:
        """Fit and measure the pretrained trunk with a new head."""
        features = self.features(self.recipe.trunk)
        head = self._probe_head(plan, self.recipe.trunk)
        model = network.build(self.recipe.trunk, self._labels)
        network.load(model, read_weights(TRUNKS[self.recipe.trunk], self.weights), head)
        sample = plan.sample()
        familiarity = Familiarity.fit(Features(features.pooled[sample], features.textures[sample]))
        self._measure(plan, Fit.PROBE, Served(self.recipe.trunk, network.fold_weights(model), familiarity))

    def fine_tune(self, plan: NetworkPlan) -> None:
        """Fine-tune the network of each seed, with its teachers before it, and measure the average of the weights."""
        folder, recipe = self._folder(plan), self.recipe
        for teacher in recipe.teachers:
            self.tune(plan, f"teacher-{teacher}", teacher, recipe.teacher_phases, 1)
        seeds = range(1, recipe.seeds + 1)
        for seed in seeds:
            self.tune(plan, STUDENT, recipe.trunk, recipe.phases, seed)
        model = self._tuner(STUDENT, recipe.trunk, recipe.phases).network
        network.load_average(model, [weights_file(folder, STUDENT, seed) for seed in seeds])
        weights = network.fold_weights(model)
        folded = network.build(recipe.trunk, self._labels, folded=True)
        folded.set_weights(weights)
        familiarity = Familiarity.fit(network.extract_features(folded, self._pixels(recipe.size)[plan.sample()]))
        self._measure(plan, Fit.TUNED, Served(recipe.trunk, weights, familiarity))

    def tune(self, plan: NetworkPlan, role: str, trunk: str, phases: Sequence[Phase], seed: int) -> None:
        """Fine-tune one network from one seed, and write its weights, unless the run has them."""
        written = weights_file(self._folder(plan), role, seed)
        if written.exists():
            return
        tuner = self._tuner(role, trunk, phases)
        if role == STUDENT:
            for name, teacher in zip(self.recipe.teachers, tuner.teachers, strict=True):
                teacher.load_weights(weights_file(self._folder(plan), f"teacher-{name}", 1))
        network.load(tuner.network, read_weights(TRUNKS[trunk], self.weights), self._probe_head(plan, trunk))
        one_hot = np.eye(self._labels, dtype=np.float32)[self._targets]
        examples = Examples(self._pixels(self.recipe.source_size)[plan.training], one_hot[plan.training])
        checkpoint = written.with_suffix(".checkpoint")
        progress = _Progress(f"{plan.name}, {role} {seed}", phases, self.log)
        tuner.tune(examples, seed, checkpoint, progress.report)
        with written_at_once(written) as part:
            tuner.network.save_weights(part)
        shutil.rmtree(checkpoint, ignore_errors=True)

    def features(self, trunk: str) -> Features:
        """Return the features of all photos from a pretrained trunk; the run keeps them."""
        if trunk not in self._features:
            path = self.run / f"{trunk}-features.npz"
            if not path.exists():
                model = network.build(trunk, self._labels)
                weights = read_weights(TRUNKS[trunk], self.weights)
                network.load(model, weights, Head(*model.get_layer("head").get_weights()))
                features = network.extract_features(model, self._pixels(self.recipe.size))
                with written_at_once(path) as part:
                    np.savez(part, **features._asdict())
            with np.load(path) as arrays:
                self._features[trunk] = Features(arrays["pooled"], arrays["textures"])
        return self._features[trunk]

    def _probe_head(self, plan: NetworkPlan, trunk: str) -> Head:
        pooled = self.features(trunk).pooled[plan.training]
        return fit_probe(pooled, self._targets[plan.training], self._labels, self.recipe)

    def _tuner(self, role: str, trunk: str, phases: Sequence[Phase]) -> Tuner:
        """Return the tuner for a role, which has been compiled if the role was tuned before."""
        if role not in self._tuners:
            teachers = self.recipe.teachers if role == STUDENT else ()
            built = [network.build(teacher, self._labels) for teacher in teachers]
            self._tuners[role] = Tuner(
                network.build(trunk, self._labels, self.recipe.dropout), self.recipe, phases, built
            )
        return self._tuners[role]

    def _measure(self, plan: NetworkPlan, fit: Fit, served: Served) -> None:
        """Write the outputs of a network, and of the network to ship also the network."""
        folder, model = self._folder(plan), served.build()
        if plan.name == FINAL:
            served.save(served_file(folder, fit))
        outputs = FitOutputs(
            plan.evaluation,
            _outputs(model, self._pixels(self.recipe.size)[plan.evaluation]),
            {kind: _outputs(model, images) for kind, images in self._unknown_images().items()},
        )
        outputs.save(outputs_file(folder, fit))

    @property
    def _labels(self) -> int:
        return len(self.training.photos.labels)

    @property
    def _targets(self) -> npt.NDArray[np.int64]:
        return self.training.photos.targets

    def _pixels(self, size: int) -> npt.NDArray[np.uint8]:
        """Return all photos as squares of `size` pixels, which are kept in memory."""
        if size not in self._images:
            self._images[size] = read_photos(self.training.photos.files, size)
        return self._images[size]

    def _unknown_images(self) -> dict[str, npt.NDArray[np.uint8]]:
        if self._unknown is None:
            self._unknown = ood_images(self.training.data, self.recipe.size)
        return self._unknown

    def _folder(self, plan: NetworkPlan) -> Path:
        folder = self.run / plan.name
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def _outputs(model: keras.Model, images: npt.NDArray[np.uint8]) -> NetworkOutputs:
    outputs = network.predict(model, images)
    return NetworkOutputs(outputs["logits"].astype(np.float64), outputs["familiarity"].astype(np.float64))


class _Progress:
    """Says how far a network is, and estimates how long the rest of it takes."""

    def __init__(self, name: str, phases: Sequence[Phase], log: Callable[[str], None]) -> None:
        self._name = name
        self._sizes = [phase.size for phase in phases for _ in range(phase.steps)]
        self._log = log
        self._last = (time.monotonic(), 0)

    def report(self, done: int, loss: float) -> None:
        now, (before, last) = time.monotonic(), self._last
        self._last = (now, done)
        # The time of a step is proportional to its pixels.
        work, rest = (sum(size**2 for size in sizes) for sizes in (self._sizes[last:done], self._sizes[done:]))
        minutes = (now - before) / work * rest / 60
        left = f"{minutes:.0f} more minutes of this network"
        self._log(f"{self._name}: step {done} of {len(self._sizes)}, loss {loss:.3f}, {left}")


def make_record(training: TrainingPhotos, recipe: Recipe, weights: str) -> TrainingRecord:
    """Make the record of a run."""
    return TrainingRecord(
        labels=training.photos.labels,
        recipe=recipe,
        photos=len(training.names),
        data_sha256=training.sha256,
        weights=describe_weights(TRUNKS[recipe.trunk], weights),
        backend=keras.backend.backend(),
        packages={name: version(name) for name in _PACKAGES},
    )


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m training.train", description=__doc__)
    parser.add_argument(
        "--data", type=Path, action="append", required=True, help="folder of a data set; may be repeated"
    )
    parser.add_argument("--recipe", type=Path, required=True, help="TOML file")
    parser.add_argument("--weights", required=True, help='of MobileNetV2: "imagenet" (downloaded) or a file')
    parser.add_argument("--run", type=Path, required=True, help="folder to write this run to")
    arguments = parser.parse_args()
    try:
        recipe, training = Recipe.load(arguments.recipe), TrainingPhotos.read(arguments.data)
        plans = plan_networks(training.groups, recipe.folds)
        write_record(arguments.run, make_record(training, recipe, arguments.weights))
        Trainer(training, recipe, arguments.weights, arguments.run).train(plans)
    except (DatasetError, RecipeError, WeightsError, OSError) as error:
        print(f"train: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
