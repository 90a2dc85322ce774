"""The page of a comparison of two models, its figures, and its table for a terminal."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.comparison import Comparison
from evaluation.dataset import read_about
from evaluation.intervals import PairedDifference
from evaluation.models import Footprint
from evaluation.pages import (
    Tile,
    count,
    encode_picture,
    interval,
    link_to,
    percent,
    points,
    relative_name,
    render,
    write_page,
)
from evaluation.predictions import Evaluation

_PHOTOS = 30  # of each kind of change


def write_comparison(
    folder: Path, versions: tuple[str, str], comparison: Comparison, footprints: Sequence[Footprint]
) -> Path:
    """Write `index.html` and `figures.json` into a folder, and return the page's path.

    `versions` and `footprints` are those of the new and of the old model. The page shows photos. Do not publish it
    unless their licence allows it. Raise `DatasetError` or `OSError`.
    """
    changes, figures = comparison.changes, make_figures(versions, comparison, footprints)
    page = render(
        "comparison.html",
        title=f"{versions[0]} compared with {versions[1]}",
        about=read_about(comparison.data) if comparison.data else None,
        comparison=comparison,
        versions=versions,
        metrics=comparison.new.metrics(),
        difference=comparison.difference,
        conclusion=conclude(comparison.difference),
        rows=compare_metrics(comparison, footprints),
        by_label=comparison.by_label,
        changes=[
            ("Right before, wrong now", len(changes.lost), _tiles(comparison, changes.lost, folder)),
            ("Wrong before, right now", len(changes.gained), _tiles(comparison, changes.gained, folder)),
            ("Wrong before, another wrong answer now", len(changes.other), _tiles(comparison, changes.other, folder)),
        ],
    )
    return write_page(folder, page, json.dumps(figures, indent=2))


def conclude(difference: PairedDifference) -> str:
    """Return a sentence about a difference of accuracies."""
    if difference.is_worse:
        return "The new model is worse."
    if difference.is_better:
        return "The new model is better."
    return "The difference may be due to chance." if difference.difference else "Both models are right equally often."


def make_figures(versions: tuple[str, str], comparison: Comparison, footprints: Sequence[Footprint]) -> dict[str, Any]:
    """Return all figures of a comparison, as JSON can have them."""
    sides = zip(("new", "old"), versions, (comparison.new, comparison.old), footprints, strict=True)
    return {
        **{
            name: {"version": version, "metrics": asdict(side.metrics()), **asdict(footprint)}
            for name, version, side, footprint in sides
        },
        "difference": asdict(comparison.difference),
        "by_label": [asdict(label) for label in comparison.by_label],
        "changes": {name: len(indexes) for name, indexes in asdict(comparison.changes).items()},
        "notes": list(comparison.notes),
    }


def compare_metrics(comparison: Comparison, footprints: Sequence[Footprint]) -> list[tuple[str, str, str]]:
    """Return rows of a table: the name of a figure, that of the old model, and that of the new one."""
    columns = [
        [name for name, _ in _rows(comparison.old, footprints[1], 0.0)],
        *(
            [value for _, value in _rows(side, footprint, macro_f1)]
            for side, footprint, macro_f1 in (
                (comparison.old, footprints[1], comparison.macro_f1[1]),
                (comparison.new, footprints[0], comparison.macro_f1[0]),
            )
        ),
    ]
    return list(zip(*columns, strict=True))


def terminal_table(versions: tuple[str, str], comparison: Comparison, footprints: Sequence[Footprint]) -> str:
    """Return the comparison in lines for a terminal."""
    rows = [
        ("", "old", "new"),
        ("version", versions[1], versions[0]),
        *compare_metrics(comparison, footprints),
        *(
            (
                f"recall of {row.label} ({row.photos})",
                percent(row.old_recall),
                f"{percent(row.new_recall)} {row.change}",
            )
            for row in comparison.by_label
        ),
    ]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    lines = [f"{name:<{widths[0]}}  {old:<{widths[1]}}  {new}".rstrip() for name, old, new in rows]
    return "\n".join([*lines, "", describe_difference(comparison), _describe_changes(comparison)])


def describe_difference(comparison: Comparison) -> str:
    """Return sentences about the difference of the accuracies."""
    found, metrics = comparison.difference, comparison.new.metrics()
    senders = "" if metrics.senders is None else f" of {count(metrics.senders, 'sender')}"
    return (
        f"On {count(metrics.n, 'photo')}{senders}, the accuracy of the new model differs by {points(found.difference)} "
        f"percentage points (95 % interval: {points(found.low)} to {points(found.high)}, p = {found.p_value:.2g}). "
        f"{conclude(found)}"
    )


def _describe_changes(comparison: Comparison) -> str:
    changes = comparison.changes
    return (
        f"Right before and wrong now: {len(changes.lost)}. Wrong before and right now: {len(changes.gained)}. "
        f"Another wrong answer: {len(changes.other)}."
    )


def _rows(side: Evaluation, footprint: Footprint, macro_f1: float) -> list[tuple[str, str]]:
    metrics = side.metrics()
    return [
        ("accuracy", percent(metrics.accuracy)),
        ("95 % interval", interval(metrics.accuracy_low, metrics.accuracy_high)),
        ("macro-F1", f"{macro_f1:.3f}"),
        ("expected calibration error", f"{metrics.calibration_error:.3f}"),
        ("need no review (coverage)", percent(metrics.passed)),
        ("accuracy on these", percent(metrics.passed_accuracy) if metrics.passed else "–"),
        ("size in MB", f"{footprint.size / 1e6:.1f}"),
        ("milliseconds a photo", f"{footprint.milliseconds:.1f}"),
    ]


def _tiles(comparison: Comparison, indexes: Sequence[int], folder: Path) -> list[Tile]:
    return [_tile(comparison, index, folder) for index in indexes[:_PHOTOS]]


def _tile(comparison: Comparison, index: int, folder: Path) -> Tile:
    split, data = comparison.new.split, comparison.data
    path, true = split.files[index], split.labels[split.targets[index]]
    old, new = (_answer(side, index) for side in (comparison.old, comparison.new))
    return Tile(
        name=relative_name(path, data) if data else path.as_posix(),
        details=(("true", true), ("old", old), ("new", new)),
        picture=encode_picture(path) if data else None,
        link=link_to(path, folder) if data else None,
        alt=f"Photo in the folder {true}. Old answer: {old}. New answer: {new}",
    )


def _answer(side: Evaluation, index: int) -> str:
    label = side.split.labels[side.predicted[index]]
    return f"{label}, {percent(float(np.max(side.probabilities[index])), 0)}"
