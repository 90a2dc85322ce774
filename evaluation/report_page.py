"""The page of an evaluation report, in Markdown."""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from evaluation.metrics import Metrics, scores_by_label

CONFUSION_FILE = "confusion.png"
RELIABILITY_FILE = "reliability.png"


def report_page(title: str, labels: Sequence[str], metrics: Metrics, confusion: npt.NDArray[np.int64]) -> str:
    """Return the page; `confusion`, of shape (labels, labels), is as `confusion_matrix` returns it."""
    return f"""# {title}

| metric | value |
| --- | --- |
{table_rows(_metric_rows(metrics))}

| label | photos | precision | recall | F1 |
| --- | --- | --- | --- | --- |
{table_rows(_label_rows(labels, confusion))}

![Confusion matrix]({CONFUSION_FILE})

![Reliability diagram]({RELIABILITY_FILE})
"""


def table_rows(rows: Iterable[Iterable[str]]) -> str:
    """Return the rows of a Markdown table, one a line."""
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _metric_rows(metrics: Metrics) -> list[tuple[str, str]]:
    senders = [] if metrics.senders is None else [("senders", str(metrics.senders))]
    return [
        ("photos", str(metrics.n)),
        *senders,
        ("accuracy", f"{metrics.accuracy:.4f}"),
        ("95 % interval of the accuracy", f"{metrics.accuracy_low:.3f} – {metrics.accuracy_high:.3f}"),
        ("macro-F1", f"{metrics.macro_f1:.4f}"),
        ("expected calibration error", f"{metrics.calibration_error:.4f}"),
        ("log-loss", f"{metrics.log_loss:.4f}"),
        ("photos that need no review", f"{metrics.passed:.1%}"),
        ("accuracy on these", f"{metrics.passed_accuracy:.2%}"),
    ]


def _label_rows(labels: Sequence[str], confusion: npt.NDArray[np.int64]) -> list[tuple[str, ...]]:
    scores = scores_by_label(labels, confusion)
    columns = [(score.label, score.photos, score.precision or 0, score.recall or 0, score.f1) for score in scores]
    return [(label, str(n), *(f"{value:.3f}" for value in values)) for label, n, *values in columns]
