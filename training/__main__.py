"""Trains a model on data sets and writes it into a folder: `python -m training --data FOLDER --out build/model`.

A data set is a folder with `train/LABEL/` and maybe more; docs/training.md describes it. Each step runs in a process of
its own: TensorFlow and the runtime that serves cannot be loaded into one.
"""

import argparse
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
from training.publish import PublishError, publish
from training.recipe import Recipe, RecipeError
from training.run import Fit, RunError, read_record, run_name

_RECIPES = {False: "recipe.toml", True: "quick.toml"}
_FEW = 20  # photos of a label: fewer say little about it


def train_model(data: Sequence[Path], recipe_file: Path, weights: str, runs: Path, out: Path) -> int:
    """Run all steps, and return the exit code of the command. Raise the errors that `main` prints."""
    check_output(out, DESCRIPTION_FILE)
    training, recipe = TrainingPhotos.read(data), Recipe.load(recipe_file)
    for warning in (*training.warnings, *find_notes(training)):
        print(f"Note: {warning}", file=sys.stderr)
    run = runs / run_name(recipe, training.sha256, weights)
    print(
        f"Training on {len(training.names):,} photos of {len(training.photos.labels)} labels. The run is in {run}.",
        flush=True,
    )
    options = [option for folder in data for option in ("--data", str(folder))]
    if not _run("train", *options, "--recipe", str(recipe_file), "--weights", weights, "--run", str(run)):
        return 1
    fit = choose_fit(read_fits(run, read_record(run), training.photos.targets))
    if not _run("convert", "--run", str(run), "--fit", fit):
        return 1
    print(_report(publish(run, training, out), out))
    return 0


def _run(step: str, *arguments: str) -> bool:
    # A process group of its own: Ctrl-C then ends only this process with a sentence, which kills the other one.
    command = [sys.executable, "-m", f"training.{step}", *arguments]
    return subprocess.run(command, check=False, process_group=0).returncode == 0  # noqa: S603 - our own modules


def find_notes(training: TrainingPhotos) -> list[str]:
    """Return sentences about data that makes the figures less sure."""
    counts = [
        (label, int((training.photos.targets == index).sum())) for index, label in enumerate(training.photos.labels)
    ]
    few = [f"{label} ({count})" for label, count in counts if count < _FEW]
    notes = [f"There are few photos of {', '.join(few)}. The figures for them are rough."] if few else []
    if not training.has_senders:
        notes.append(
            "No senders.csv names the senders of these photos. Photos of one sender are in several folds, so the "
            "accuracy is too high."
        )
    alone = [label for label, senders in _senders_by_label(training).items() if senders == 1]
    if training.has_senders and alone:
        notes.append(
            f"All photos of {', '.join(alone)} are of one sender, so they are in one fold, and the network that is "
            "measured on them never saw the label. The accuracy for it says nothing."
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
    return run_command("train", command, DatasetError, RecipeError, RunError, PublishError)


if __name__ == "__main__":
    sys.exit(main())
