"""Plots of an evaluation. The figures are made without pyplot, so they need no display and are freed at once."""

import base64
import io
import warnings
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from evaluation.metrics import RELIABILITY_BINS, reliability_bins

_COLOUR = "#2563a8"
_DOTS_PER_INCH = 100
_LOWEST_TOP = 0.9  # the accuracy at which the scale begins at the latest


def save_png(figure: Figure, path: Path) -> None:
    """Write a figure into a file. Raise `OSError`."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # its font lacks the letters of some labels; it draws boxes
        figure.savefig(path, dpi=_DOTS_PER_INCH, format="png")


def svg_uri(figure: Figure) -> str:
    """Return a figure as a `data:` URI of an SVG image, the same one each time."""
    file = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "figure"}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(file.getvalue()).decode()


def plot_confusion(labels: Sequence[str], confusion: npt.NDArray[np.int64]) -> Figure:
    """Plot counts of shape (labels, labels), as `confusion_matrix` returns them, with the recall as colour."""
    recall = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(7.5, 6.5), layout="constrained")
    axes = figure.subplots()
    axes.imshow(recall, cmap="Blues", vmin=0, vmax=1)
    # A label is a folder's name, which may contain dollar signs. They would begin a formula.
    axes.set_xticks(range(len(labels)), labels, rotation=45, ha="right", parse_math=False)
    axes.set_yticks(range(len(labels)), labels, parse_math=False)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    for row, column in np.argwhere(confusion):
        is_dark = recall[row, column] > 0.5  # noqa: PLR2004 - the middle of the colour scale
        count, colour = str(confusion[row, column]), "white" if is_dark else "black"
        axes.text(column, row, count, ha="center", va="center", color=colour)
    return figure


def plot_reliability(confidences: npt.NDArray[np.float64], correct: npt.NDArray[np.bool_]) -> Figure:
    """Plot the accuracy and the number of photos by confidence; both arrays are of shape (n,)."""
    bins = reliability_bins(confidences, correct)
    figure = Figure(figsize=(6, 6.5), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
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
    return figure


def plot_coverage(
    confidences: npt.NDArray[np.float64], correct: npt.NDArray[np.bool_], passed: tuple[float, float]
) -> Figure:
    """Plot the accuracy on the photos with the highest confidence against their share of all photos.

    Both arrays are of shape (n,). `passed` are the coverage and the accuracy with the model's own thresholds.
    """
    ranked = correct[np.argsort(-confidences, kind="stable")]
    counts = np.arange(1, len(ranked) + 1)
    figure = Figure(figsize=(6, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.plot(counts / len(ranked), np.cumsum(ranked) / counts, color=_COLOUR, label="threshold of the confidence")
    axes.plot(*passed, "o", color="#b3261e", label="thresholds of the model")
    axes.set_xlabel("coverage: share of the photos that need no review")
    axes.set_ylabel("accuracy on these")
    axes.set_xlim(0, 1.02)
    # With few mistakes, a scale of its own would make a cliff of a single photo.
    axes.set_ylim(min(_LOWEST_TOP, axes.get_ylim()[0]), 1.005)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.grid(visible=True, color="#dddddd", linewidth=0.6)
    axes.legend(loc="lower left")
    return figure
