"""The report in a model's folder: a Markdown page with plots, and the same figures as JSON. It shows no photos."""

import json
from dataclasses import asdict
from pathlib import Path

from evaluation.plots import plot_confusion, plot_reliability, save_png
from evaluation.predictions import Evaluation
from evaluation.report_page import CONFUSION_FILE, RELIABILITY_FILE, report_page

PAGE_FILE = "README.md"
FIGURES_FILE = "figures.json"


def write_report(folder: Path, title: str, evaluation: Evaluation) -> None:
    """Write the page, the figures and the plots into `folder`. Raise `OSError`."""
    folder.mkdir(parents=True, exist_ok=True)
    labels, metrics, confusion = evaluation.split.labels, evaluation.metrics(), evaluation.confusion
    content = {"title": title, **asdict(metrics), "labels": labels, "confusion": confusion.tolist()}
    (folder / FIGURES_FILE).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    (folder / PAGE_FILE).write_text(report_page(title, labels, metrics, confusion), encoding="utf-8")
    save_png(plot_confusion(labels, confusion), folder / CONFUSION_FILE)
    save_png(plot_reliability(evaluation.confidences, evaluation.correct), folder / RELIABILITY_FILE)
