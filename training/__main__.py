"""Trains a model on data sets and writes it into a folder: `python -m training --data FOLDER --out build/model`.

A data set is a folder with `train/LABEL/` and maybe more; docs/training.md describes it. Each step runs in a process of
its own: TensorFlow and the runtime that serves cannot be loaded into one.
"""

import argparse
import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from classifier.description import DESCRIPTION_FILE
from evaluation.commands import check_output, run_command
from evaluation.dataset import DatasetError
from evaluation.evaluate import summary
from training.choice import choose_fit, read_fits
from training.data import TrainingPhotos
from training.model_description import ModelDescription
from training.out_of_distribution import UNKNOWN_FOLDER
from training.publish import PublishError, publish
from training.recipe import Recipe, RecipeError
from training.run import Fit, RunError, read_record, run_name

_RECIPES = {False: "recipe.toml", True: "quick.toml"}
# TensorFlow says this at each start on a machine without a GPU. TF_CPP_MIN_LOG_LEVEL does not hide it.
_NOISE = re.compile(r"WARNING: All log messages before absl|[IW]0000 |E0000 .*failed call to cuInit")
_BACKENDS = ("tensorflow", "jax", "torch")
_FEW = 20  # photos of a label: fewer say little about it


class BackendError(Exception):
    """Keras cannot use the backend; the message says why."""


def train_model(data: Sequence[Path], recipe_file: Path, weights: str, runs: Path, out: Path) -> int:
    """Run all steps, and return the exit code of the command. Raise the errors that `main` prints."""
    check_output(out, DESCRIPTION_FILE)
    _check_backend(os.environ.get("KERAS_BACKEND", "tensorflow"))
    training, recipe = TrainingPhotos.read(data), Recipe.load(recipe_file)
    for warning in (*training.warnings, *find_notes(training)):
        print(f"Note: {warning}", file=sys.stderr)
    run = runs / run_name(recipe, training.sha256, weights)
    started = "continues in" if run.exists() else "is in"
    print(
        f"Training on {len(training.names):,} photos of {len(training.photos.labels)} labels. The run {started} {run}.",
        flush=True,
    )
    options = [option for folder in data for option in ("--data", str(folder))]
    if not _run("train", *options, "--recipe", str(recipe_file), "--weights", weights, "--run", str(run)):
        return 1
    fit = choose_fit(read_fits(run, read_record(run), training.photos.targets))
    if not _run("convert", *options, "--run", str(run), "--fit", fit):
        return 1
    print(_report(publish(run, training, out), out))
    return 0


def _check_backend(name: str) -> None:
    """Raise `BackendError` if Keras cannot use a backend of this name."""
    if name not in _BACKENDS:
        raise BackendError(f"KERAS_BACKEND={name}: there is no such backend. There are {', '.join(_BACKENDS)}.")
    if importlib.util.find_spec(name) is None:
        raise BackendError(f"KERAS_BACKEND={name}: the package is not installed. docs/training.md says how.")


def _run(step: str, *arguments: str) -> bool:
    command = [sys.executable, "-m", f"training.{step}", *arguments]
    # A process group of its own: Ctrl-C then reaches only this process, which ends the other one without a traceback.
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace", process_group=0)  # noqa: S603 - our own modules
    with process:
        try:
            for line in process.stderr or ():
                if not _NOISE.match(line):
                    print(line, end="", file=sys.stderr, flush=True)
        except BaseException:
            process.kill()
            raise
    return process.returncode == 0


def find_notes(training: TrainingPhotos) -> list[str]:
    """Return sentences about data that makes the figures less sure."""
    counts = [
        (label, int((training.photos.targets == index).sum())) for index, label in enumerate(training.photos.labels)
    ]
    few = [f"{label} ({count})" for label, count in counts if count < _FEW]
    notes = [f"There are few photos of {', '.join(few)}. The figures for them are rough."] if few else []
    if not training.has_senders:
        notes.append(
            "No senders.csv names the senders of all photos. Photos of one sender may have been in training and in "
            "measuring, so the accuracy may be too high."
        )
    alone = [label for label, senders in _senders_by_label(training).items() if senders == 1]
    if training.has_senders and alone:
        notes.append(
            f"All photos of {', '.join(alone)} are of one sender. So the network that is measured on them never saw "
            "the label, and the accuracy for it says nothing."
        )
    if not any((folder / UNKNOWN_FOLDER).is_dir() for folder in training.data):
        notes.append(
            "There is no folder unknown/ with photos of none of the labels, so it is not measured how often the model "
            "takes such photos for one of its labels."
        )
    return notes


def _senders_by_label(training: TrainingPhotos) -> dict[str, int]:
    targets, groups = training.photos.targets, training.groups
    return {label: len(set(groups[targets == index])) for index, label in enumerate(training.photos.labels)}


def _report(description: ModelDescription, out: Path) -> str:
    """Return what the command says at its end."""
    accuracies = {fit: f"{accuracy:.1%}" for fit, accuracy in description.held_out_accuracies.items()}
    lines = [
        summary(f"{description.version} on {name.replace('_', ' ')} photos", metrics)
        for name, metrics in description.metrics.items()
    ]
    if Fit.TUNED in accuracies:
        chosen = "the fine-tuned network" if description.fit is Fit.TUNED else "the linear probe"
        lines.append(
            f"Held-out accuracy of the linear probe {accuracies[Fit.PROBE]}, of the fine-tuned network "
            f"{accuracies[Fit.TUNED]}: {chosen} was taken."
        )
    lines.append(f"Wrote {description.version} to {out}. Compare it with the one in model/: make compare NEW={out}")
    return "\n".join(lines)


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument(
        "--data", type=Path, action="append", required=True, help="folder of a data set; may be repeated"
    )
    parser.add_argument("--quick", action="store_true", help="fit only a linear probe: minutes instead of hours")
    parser.add_argument("--recipe", type=Path, help="TOML file (default: training/recipe.toml, or quick.toml)")
    parser.add_argument("--weights", default="imagenet", help='of MobileNetV2: "imagenet" (downloaded) or a file')
    parser.add_argument("--runs", type=Path, default=Path("build/training"), help="folder of the runs")
    parser.add_argument("--out", type=Path, default=Path("build/model"), help="folder to write the model to")
    found = parser.parse_args()
    recipe = found.recipe or Path(__file__).with_name(_RECIPES[found.quick])
    command = partial(train_model, found.data, recipe, found.weights, found.runs, found.out)
    return run_command("train", command, BackendError, DatasetError, RecipeError, RunError, PublishError)


if __name__ == "__main__":
    sys.exit(main())
