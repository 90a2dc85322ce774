"""The page of an evaluation, and its figures."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.dataset import read_about
from evaluation.metrics import accuracy_by_sender, coverage_points, scores_by_label
from evaluation.pages import Tile, encode_picture, link_to, percent, relative_name, render, write_page
from evaluation.plots import plot_coverage, plot_reliability, svg_uri
from evaluation.predictions import Evaluation

_MISTAKES = 30
_SENDERS = 20


def write_evaluation(folder: Path, title: str, evaluation: Evaluation, data: Path, notes: Sequence[str] = ()) -> Path:
    """Write `index.html` and `figures.json` into a folder, and return the page's path.

    The page shows photos of `data`. Do not publish it unless their licence allows it. `notes` are sentences that the
    page begins with. Raise `DatasetError` or `OSError`.
    """
    figures = make_figures(evaluation)
    page = render(
        "evaluation.html",
        **figures,
        title=title,
        about=read_about(data),
        warnings=notes,
        shown_senders=figures["by_sender"][:_SENDERS],
        wrong=int((~evaluation.correct).sum()),
        mistakes=_tiles(evaluation, data, folder),
        coverage_plot=svg_uri(plot_coverage(evaluation.confidences, evaluation.correct, _passed(figures))),
        reliability_plot=svg_uri(plot_reliability(evaluation.confidences, evaluation.correct)),
    )
    return write_page(folder, page, json.dumps({"title": title, "notes": list(notes), **figures}, indent=2))


def make_figures(evaluation: Evaluation) -> dict[str, Any]:
    """Return all figures of an evaluation, as JSON can have them."""
    confidences, correct, confusion = evaluation.confidences, evaluation.correct, evaluation.confusion
    senders = () if evaluation.senders is None else accuracy_by_sender(correct, evaluation.senders)
    return {
        "metrics": asdict(evaluation.metrics()),
        "labels": list(evaluation.split.labels),
        "by_label": [asdict(score) for score in scores_by_label(evaluation.split.labels, confusion)],
        "by_sender": [asdict(sender) for sender in senders],
        "confusion": confusion.tolist(),
        "coverage": [asdict(point) for point in coverage_points(confidences, correct)],
    }


def find_mistakes(evaluation: Evaluation) -> list[int]:
    """Return the indexes of the misclassified photos, those with the highest confidence first."""
    wrong = np.flatnonzero(~evaluation.correct)
    order: list[int] = wrong[np.argsort(-evaluation.confidences[wrong], kind="stable")].tolist()
    return order


def _passed(figures: dict[str, Any]) -> tuple[float, float]:
    return figures["metrics"]["passed"], figures["metrics"]["passed_accuracy"]


def _tiles(evaluation: Evaluation, data: Path, folder: Path) -> list[Tile]:
    split = evaluation.split
    tiles = []
    for index in find_mistakes(evaluation)[:_MISTAKES]:
        true, predicted = split.labels[split.targets[index]], split.labels[evaluation.predicted[index]]
        path, confidence = split.files[index], percent(evaluation.confidences[index], 0)
        tiles.append(
            Tile(
                name=relative_name(path, data),
                details=(("true", true), ("predicted", f"{predicted}, {confidence}")),
                picture=encode_picture(path),
                link=link_to(path, folder),
                alt=f"Photo in the folder {true}, classified as {predicted}",
            )
        )
    return tiles
