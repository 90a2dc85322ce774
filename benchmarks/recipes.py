"""Compares training runs on held-out photos: alone, as ensembles, in a row, and with thresholds for each label.

    python -m benchmarks.recipes build/training/* --data folder

All figures are from cross-validation by sender, with calibrations that are fitted to the other folds. The runs must be
on the photos in `--data`. Writes benchmarks/recipes.md.
"""

import argparse
import itertools
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.markdown import fill, table
from evaluation.metrics import compute_metrics, coverage_points
from evaluation.predictions import NetworkOutputs
from training.choice import HeldOut, read_held_out
from training.data import TrainingPhotos
from training.fit_calibration import cross_calibrate, fit_review_threshold
from training.recipe import Recipe
from training.run import FINAL, Fit, RunError, converted_file, read_record
from training.trunk_names import TITLES

_PAGE = Path(__file__).with_name("recipes.md")
_COMMITTED = Path(__file__).parent.parent / "training" / "recipe.toml"
_MOST = 4  # networks in an ensemble: the best ones
_SHARES = (0.0, 0.1, 0.2, 0.3, 0.5, 1.0)  # of the photos that the second of two networks in a row sees


@dataclass(frozen=True, slots=True)
class Network:
    """The held-out results of a network of a run. `size` is in bytes, if it is known."""

    name: str
    is_taught: bool
    is_committed: bool
    held_out: HeldOut
    size: int | None

    @property
    def short_name(self) -> str:
        """The trunk."""
        return self.name.split(",")[0]


def read_networks(runs: Sequence[Path], training: TrainingPhotos) -> list[Network]:
    """Read the fine-tuned networks, or the probes if nothing was fine-tuned, of the runs on these photos."""
    networks, committed = [], Recipe.load(_COMMITTED)
    for run in runs:
        record = read_record(run)
        if record.data_sha256 != training.sha256:
            raise RunError(f"{run} was trained on other photos.")
        for fit in (Fit.TUNED,) if record.recipe.phases else (Fit.PROBE,):
            converted = converted_file(run / FINAL, fit)
            size = converted.stat().st_size if converted.exists() else None
            held_out = read_held_out(run, record, training.photos.targets, fit)
            recipe = record.recipe
            is_taught, is_committed = bool(recipe.teachers), recipe == committed
            networks.append(Network(describe(recipe, fit), is_taught, is_committed, held_out, size))
    return networks


def describe(recipe: Recipe, fit: Fit) -> str:
    """Return the trunk of a network and what differs between recipes."""
    title = f"{TITLES[recipe.trunk]}, {recipe.size} px"
    if fit is Fit.PROBE:
        return f"{title}, linear probe"
    steps = " + ".join(f"{phase.steps} at {phase.size}" for phase in recipe.phases)
    taught = f", taught by {' + '.join(TITLES[teacher] for teacher in recipe.teachers)}" if recipe.teachers else ""
    seeds = f", {recipe.seeds} seeds" if recipe.seeds > 1 else ""
    return f"{title}, steps {steps}{seeds}{taught}"


def combine(networks: Sequence[Network]) -> HeldOut:
    """Return the results of the mean of the networks' logits, calibrated as one network."""
    first = networks[0].held_out
    logits = np.mean([network.held_out.outputs.logits for network in networks], axis=0)
    outputs = NetworkOutputs(logits, first.outputs.familiarities)
    probabilities, passed = cross_calibrate(outputs, first.targets, first.fold_of_photo)
    return HeldOut(first.folds, outputs, first.indexes, first.targets, first.fold_of_photo, probabilities, passed)


def row(name: str, held_out: HeldOut, size: int | None = None) -> list[str]:
    """Return a row of the first two tables."""
    metrics = compute_metrics(held_out.probabilities, held_out.targets, held_out.passed)
    correct = held_out.probabilities.argmax(axis=1) == held_out.targets
    folds = [f"{correct[held_out.fold_of_photo == fold].mean():.3f}" for fold in np.unique(held_out.fold_of_photo)]
    figures = [f"{metrics.accuracy:.4f}", f"{metrics.macro_f1:.3f}", f"{metrics.log_loss:.4f}"]
    coverage = [f"{metrics.calibration_error:.3f}", f"{metrics.passed:.1%}", f"{metrics.passed_accuracy:.1%}"]
    return [name, *folds, *figures, *coverage, "" if size is None else f"{size / 1e6:.1f}"]


def in_a_row(small: HeldOut, large: HeldOut) -> Iterator[list[str]]:
    """Yield the accuracy when only the photos of which the first network is least sure go to the second one too."""
    both = (small.probabilities + large.probabilities) / 2
    order = np.argsort(small.probabilities.max(axis=1))
    for share in _SHARES:
        probabilities = small.probabilities.copy()
        seen = order[: round(share * len(order))]
        probabilities[seen] = both[seen]
        accuracy = (probabilities.argmax(axis=1) == small.targets).mean()
        yield [f"{share:.0%}", f"{accuracy:.4f}"]


def coverage_with_thresholds_by_label(held_out: HeldOut) -> tuple[float, float]:
    """Return coverage and accuracy on covered photos with a threshold for each label, fitted to the other folds."""
    predicted, confidences = held_out.probabilities.argmax(axis=1), held_out.probabilities.max(axis=1)
    passed = np.zeros(len(predicted), bool)
    for fold in np.unique(held_out.fold_of_photo):
        inside = held_out.fold_of_photo == fold
        for label in np.unique(predicted):
            mask = ~inside & (predicted == label)
            threshold = fit_review_threshold(held_out.probabilities[mask], held_out.targets[mask])
            passed |= inside & (predicted == label) & (confidences >= threshold)
    return float(passed.mean()), float((predicted == held_out.targets)[passed].mean())


def page(networks: Sequence[Network]) -> str:
    """Return the page."""
    networks = sorted(networks, key=lambda network: network.held_out.accuracy, reverse=True)
    shown = next((network for network in networks if network.is_committed), networks[0])
    folds = [f"fold {number + 1}" for number in range(len(shown.held_out.folds))]
    header = ["network", *folds, "all", "macro-F1", "log loss", "calibration error", "coverage", "accuracy on covered"]
    by_label = coverage_with_thresholds_by_label(shown.held_out)
    committed = " (`training/recipe.toml`)" if shown.is_committed else ""
    confidences = shown.held_out.probabilities.max(axis=1)
    correct = shown.held_out.probabilities.argmax(axis=1) == shown.held_out.targets
    points = coverage_points(confidences, correct)
    thresholds = [[f"{point.threshold:.3f}", f"{point.coverage:.0%}", f"{point.accuracy:.1%}"] for point in points]
    return f"""# Recipes

`python -m benchmarks.recipes build/training/* --data folder` writes this page from training runs. All figures are from
cross-validation by sender on {len(correct):,} photos: each photo is classified by a network that never saw a photo of
its sender, with a calibration that is fitted to the other folds.

## Networks

{table([*header, "MB"], [row(network.name, network.held_out, network.size) for network in networks])}

## Ensembles

The mean of the logits of several of the networks above, which take the sum of their times. Each is the best one of its
trunk.

### Of networks that learned from the labels

{_ensembles(header, [network for network in networks if not network.is_taught])}

### Of networks that learned from teachers

{_ensembles(header, [network for network in networks if network.is_taught])}

## Two networks in a row

{_two_in_a_row(networks)}

## Coverage

{fill(f"The network: {shown.name}{committed}. Its accuracy on the photos with at least this confidence:")}

{table(["threshold", "coverage", "accuracy"], thresholds)}

One threshold for all labels, fitted to the other folds, covers {shown.held_out.passed.mean():.1%}, and
{correct[shown.held_out.passed].mean():.1%} of these are right. A threshold for each label covers {by_label[0]:.1%},
and {by_label[1]:.1%} of these are right.
"""


def _ensembles(header: Sequence[str], networks: Sequence[Network]) -> str:
    best = dict[str, Network]()
    for network in networks:
        best.setdefault(network.short_name, network)
    members = list(best.values())[:_MOST]
    chosen = [group for count in range(2, len(members) + 1) for group in itertools.combinations(members, count)]
    rows = [row(" + ".join(network.short_name for network in networks), combine(networks))[:-1] for networks in chosen]
    return table(header, rows) if rows else "There are fewer than two."


def _two_in_a_row(networks: Sequence[Network]) -> str:
    sized = sorted((network for network in networks if network.size), key=lambda network: network.size or 0)
    if len(sized) < 2:  # noqa: PLR2004
        return "There is one run with a converted network."
    small, large = sized[0], sized[-1]
    rows = table(["photos that both classify", "accuracy"], list(in_a_row(small.held_out, large.held_out)))
    return f"""First {small.name}. The photos of which it is least sure also go to
{large.name}, and the mean of both
answers counts, after the calibration. (An ensemble is the mean before it.)

{rows}"""


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recipes", description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+", help="folders of training runs")
    parser.add_argument("--data", type=Path, action="append", required=True, help="folder of the data set")
    arguments = parser.parse_args()
    try:
        networks = read_networks(arguments.runs, TrainingPhotos.read(arguments.data))
    except RunError as error:
        print(f"recipes: {error}", file=sys.stderr)
        return 1
    _PAGE.write_text(page(networks), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
