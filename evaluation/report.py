"""Writes the report of an evaluation: a page with plots, and the same metrics as JSON."""

import json
from dataclasses import asdict
from pathlib import Path

import matplotlib as mpl

mpl.use("agg")  # draws into files, so it needs no display

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from evaluation.predictions import Evaluation
from evaluation.metrics import RELIABILITY_BINS, confusion_matrix, reliability_bins
from evaluation.report_page import CONFUSION_FILE, RELIABILITY_FILE, report_page

PAGE_FILE = "README.md"
METRICS_FILE = "figures.json"
MISTAKES_FILE = "mistakes.jpg"
_MISTAKES = 30  # on the contact sheet, in rows of six
_COLUMNS = 6
_TILE = 200  # pixels
_CAPTION = 34  # pixels
_COLOUR = "#2563a8"


def write_report(folder: Path, title: str, evaluation: Evaluation) -> None:
    """Write the page, the metrics, the plots and a contact sheet of mistakes into `folder`.

    The contact sheet contains evaluated photos. Do not publish it unless their licence allows it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    split, probabilities, metrics = evaluation.split, evaluation.probabilities, evaluation.metrics()
    predicted = probabilities.argmax(axis=1)
    confusion = confusion_matrix(split.targets, predicted, len(split.labels))
    content = {"title": title, **asdict(metrics), "labels": split.labels, "confusion": confusion.tolist()}
    (folder / METRICS_FILE).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    (folder / PAGE_FILE).write_text(report_page(title, split.labels, metrics, confusion), encoding="utf-8")
    _plot_confusion(folder / CONFUSION_FILE, split.labels, confusion)
    _plot_reliability(folder / RELIABILITY_FILE, probabilities.max(axis=1), predicted == split.targets)
    _draw_mistakes(folder / MISTAKES_FILE, evaluation)


def _plot_confusion(path: Path, labels: tuple[str, ...], confusion: npt.NDArray[np.int64]) -> None:
    recall = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    figure, axes = plt.subplots(figsize=(7.5, 6.5), layout="constrained")
    axes.imshow(recall, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(labels)), labels, rotation=45, ha="right")
    axes.set_yticks(range(len(labels)), labels)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    for row, column in np.argwhere(confusion):
        is_dark = recall[row, column] > 0.5  # noqa: PLR2004 - the middle of the colour scale
        count, colour = str(confusion[row, column]), "white" if is_dark else "black"
        axes.text(column, row, count, ha="center", va="center", color=colour)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def _plot_reliability(path: Path, confidences: npt.NDArray[np.float64], correct: npt.NDArray[np.bool_]) -> None:
    bins = reliability_bins(confidences, correct)
    figure, (upper, lower) = plt.subplots(
        2, 1, figsize=(6, 6.5), sharex=True, height_ratios=(3, 1), layout="constrained"
    )
    width = 1 / RELIABILITY_BINS
    centres, accuracies = [(held.index + 0.5) * width for held in bins], [held.accuracy for held in bins]
    upper.plot([0, 1], [0, 1], color="grey", linestyle="--", linewidth=1, label="perfect calibration")
    upper.bar(centres, accuracies, width=width * 0.9, color=_COLOUR, label="accuracy")
    upper.set_ylabel("accuracy")
    upper.set_ylim(0, 1)
    upper.legend(loc="upper left")
    lower.hist(confidences, bins=RELIABILITY_BINS, range=(0, 1), color=_COLOUR, rwidth=0.9)
    lower.set_xlabel("confidence")
    lower.set_ylabel("photos")
    figure.savefig(path, dpi=100)
    plt.close(figure)


def _draw_mistakes(path: Path, evaluation: Evaluation) -> None:
    """Draw the misclassified photos with the highest confidence, each with its true and its predicted label."""
    confidences = evaluation.probabilities.max(axis=1)
    wrong = np.flatnonzero(evaluation.probabilities.argmax(axis=1) != evaluation.split.targets)
    shown = wrong[np.argsort(-confidences[wrong])][:_MISTAKES]
    rows = max(1, -(-len(shown) // _COLUMNS))
    sheet = Image.new("RGB", (_COLUMNS * _TILE, rows * (_TILE + _CAPTION)), "white")
    for position, index in enumerate(shown):
        left, top = position % _COLUMNS * _TILE, position // _COLUMNS * (_TILE + _CAPTION)
        _draw_mistake(sheet, left, top, evaluation, int(index))
    sheet.save(path, quality=85)


def _draw_mistake(sheet: Image.Image, left: int, top: int, evaluation: Evaluation, index: int) -> None:
    split, scores = evaluation.split, evaluation.probabilities[index]
    photo = Image.fromarray(split.images[index]).resize((_TILE - 6, _TILE - 6))
    sheet.paste(photo, (left + 3, top + 3))
    true, predicted = split.labels[split.targets[index]], split.labels[scores.argmax()]
    caption = f"true: {true}\npredicted: {predicted} ({scores.max():.0%})"
    ImageDraw.Draw(sheet).text((left + 5, top + _TILE - 2), caption, fill="black")
