"""What an evaluation found, for people: a page of tables with its plots, and the same figures as JSON."""

import json
from pathlib import Path

import matplotlib as mpl

mpl.use("agg")  # no screen is needed

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from training.dataset import Split
from training.evaluate import BINS, Evaluation, confusion_matrix, f1_by_label, reliability

PAGE_FILE = "README.md"
FIGURES_FILE = "figures.json"
CONFUSION_FILE = "confusion.png"
RELIABILITY_FILE = "reliability.png"
MISTAKES_FILE = "mistakes.jpg"
_MISTAKES = 30  # on the contact sheet, in rows of six
_COLUMNS = 6
_TILE = 200  # pixels
_CAPTION = 34  # pixels
_COLOUR = "#2563a8"


def write_report(folder: Path, title: str, evaluation: Evaluation) -> None:
    """Write the page, the figures and the plots of an evaluation into `folder`.

    The contact sheet of the most confident mistakes holds the evaluated photos themselves, so it is theirs to share or
    not.
    """
    folder.mkdir(parents=True, exist_ok=True)
    split, probabilities, figures = evaluation.split, evaluation.probabilities, evaluation.figures()
    predicted = probabilities.argmax(axis=1)
    confusion = confusion_matrix(predicted, split.targets, len(split.labels))
    record = {"title": title, **figures, "labels": split.labels, "confusion": confusion.tolist()}
    (folder / FIGURES_FILE).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    (folder / PAGE_FILE).write_text(page(title, split.labels, figures, confusion), encoding="utf-8")
    _plot_confusion(folder / CONFUSION_FILE, split.labels, confusion)
    _plot_reliability(folder / RELIABILITY_FILE, probabilities.max(axis=1), predicted == split.targets)
    _draw_mistakes(folder / MISTAKES_FILE, split, probabilities)


def page(title: str, labels: tuple[str, ...], figures: dict[str, float], confusion: npt.NDArray[np.int64]) -> str:
    """The report in Markdown."""
    f1 = f1_by_label(confusion)
    recall = np.diag(confusion) / np.maximum(confusion.sum(axis=1), 1)
    precision = np.diag(confusion) / np.maximum(confusion.sum(axis=0), 1)
    rows = "\n".join(
        f"| {label} | {confusion[i].sum()} | {precision[i]:.3f} | {recall[i]:.3f} | {f1[i]:.3f} |"
        for i, label in enumerate(labels)
    )
    return f"""# {title}

| figure | value |
| --- | --- |
| photos | {figures["n"]} |
| accuracy | {figures["accuracy"]:.4f} |
| 95 % interval | {figures["accuracy_low"]:.3f} – {figures["accuracy_high"]:.3f} |
| macro-F1 | {figures["macro_f1"]:.4f} |
| expected calibration error | {figures["calibration_error"]:.4f} |
| log-loss | {figures["log_loss"]:.4f} |
| pass without review | {figures["passed"]:.1%} |
| right among these | {figures["passed_accuracy"]:.2%} |

| label | photos | precision | recall | F1 |
| --- | --- | --- | --- | --- |
{rows}

![Confusion matrix]({CONFUSION_FILE})

![Reliability diagram]({RELIABILITY_FILE})
"""


def _plot_confusion(path: Path, labels: tuple[str, ...], confusion: npt.NDArray[np.int64]) -> None:
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    figure, axes = plt.subplots(figsize=(7.5, 6.5), layout="constrained")
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(labels)), labels, rotation=45, ha="right")
    axes.set_yticks(range(len(labels)), labels)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    for (row, column), count in np.ndenumerate(confusion):
        if count:
            light = shares[row, column] > 0.5  # noqa: PLR2004 - the middle of the colour scale
            axes.text(column, row, str(count), ha="center", va="center", color="white" if light else "black")
    figure.savefig(path, dpi=100)
    plt.close(figure)


def _plot_reliability(path: Path, confidences: npt.NDArray[np.float64], right: npt.NDArray[np.bool_]) -> None:
    bins = reliability(confidences, right)
    figure, (upper, lower) = plt.subplots(
        2, 1, figsize=(6, 6.5), sharex=True, height_ratios=(3, 1), layout="constrained"
    )
    width = 1 / BINS
    upper.plot([0, 1], [0, 1], color="grey", linestyle="--", linewidth=1, label="perfect calibration")
    upper.bar(
        [(index + 0.5) * width for index in bins],
        [accuracy for _, _, accuracy in bins.values()],
        width=width * 0.9,
        color=_COLOUR,
        label="accuracy",
    )
    upper.set_ylabel("accuracy")
    upper.set_ylim(0, 1)
    upper.legend(loc="upper left")
    lower.hist(confidences, bins=BINS, range=(0, 1), color=_COLOUR, rwidth=0.9)
    lower.set_xlabel("confidence")
    lower.set_ylabel("photos")
    figure.savefig(path, dpi=100)
    plt.close(figure)


def _draw_mistakes(path: Path, split: Split, probabilities: npt.NDArray[np.float64]) -> None:
    """The photos that the model was wrong about with the most confidence, each with what it is and was taken for."""
    predicted = probabilities.argmax(axis=1)
    confidences = probabilities.max(axis=1)
    wrong = np.flatnonzero(predicted != split.targets)
    shown = wrong[np.argsort(-confidences[wrong])][:_MISTAKES]
    rows = max(1, -(-len(shown) // _COLUMNS))
    sheet = Image.new("RGB", (_COLUMNS * _TILE, rows * (_TILE + _CAPTION)), "white")
    draw = ImageDraw.Draw(sheet)
    for place, index in enumerate(shown):
        left, top = place % _COLUMNS * _TILE, place // _COLUMNS * (_TILE + _CAPTION)
        sheet.paste(Image.fromarray(split.images[index]).resize((_TILE - 6, _TILE - 6)), (left + 3, top + 3))
        true, taken_for = split.labels[split.targets[index]], split.labels[predicted[index]]
        caption = f"{true}, taken for\n{taken_for} ({confidences[index]:.0%})"
        draw.text((left + 5, top + _TILE - 2), caption, fill="black")
    sheet.save(path, quality=85)
