"""Measures a model on a folder of label folders: prints its metrics, and writes a page with them."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from evaluation.commands import check_output, run_command
from evaluation.dataset import (
    DatasetError,
    PhotoList,
    find_conflicts,
    find_evaluation_folder,
    find_oddities,
    hash_file,
    list_split,
    read_photo_metadata,
)
from evaluation.evaluation_page import write_evaluation
from evaluation.metrics import Metrics
from evaluation.models import ModelError, load_model
from evaluation.pages import FIGURES_FILE, count, interval, percent
from evaluation.predictions import PREDICTIONS_FILE, PredictionsError, evaluate_files, read_predictions


def evaluate_folder(folder: Path, data: Path, out: Path) -> int:
    """Measure the model in `folder` on the photos in `data`, print its metrics, and write the page into `out`.

    Return the exit code. Raise `DatasetError`, `ModelError`, `OutputError`, `PredictionsError` or `OSError`.
    """
    check_output(out, FIGURES_FILE)
    model = load_model(folder)
    photos_folder = find_evaluation_folder(data)
    photos = list_split(photos_folder, model.description.labels)
    notes = [*find_oddities([photos_folder]), *find_conflicts(photos.files), *_find_trained(folder, photos)]
    title = f"{model.description.version} on {photos_folder.resolve().name}"
    if photos_folder != data:
        print(f"{data} is a whole data set: its folder {photos_folder.name} is measured.")
    print(f"Classifying {count(len(photos.files), 'photo')} in {photos_folder} …")
    evaluation = evaluate_files(model, photos, read_photo_metadata(photos_folder, photos.files).known_senders)
    page = write_evaluation(out, title, evaluation, photos_folder, notes)
    for note in notes:
        print(f"Note: {note}", file=sys.stderr)
    print(summary(title, evaluation.metrics()))
    print(f"The page with all figures: {page}")
    return 0


def summary(title: str, metrics: Metrics) -> str:
    """Return the main figures in lines for a terminal."""
    senders = "" if metrics.senders is None else f" of {count(metrics.senders, 'sender')}"
    rows = [
        ("accuracy", f"{percent(metrics.accuracy)}  (95 % interval: {_interval(metrics)})"),
        ("macro-F1", f"{metrics.macro_f1:.3f}"),
        ("calibration error", f"{metrics.calibration_error:.3f}"),
        ("log loss", f"{metrics.log_loss:.3f}"),
        ("need no review", percent(metrics.passed)),
        ("accuracy on these", percent(metrics.passed_accuracy) if metrics.passed else "–"),
    ]
    lines = [f"  {name:<18} {value}" for name, value in rows]
    return "\n".join([f"{title}: {count(metrics.n, 'photo')}{senders}", *lines])


def _interval(metrics: Metrics) -> str:
    return interval(metrics.accuracy_low, metrics.accuracy_high)


def _find_trained(folder: Path, photos: PhotoList) -> list[str]:
    """Return a sentence if the model was trained on some of the photos, and has a file that says so."""
    path = folder / PREDICTIONS_FILE
    if not path.is_file():
        return []
    trained = set(read_predictions(path).hashes)
    found = sum(hash_file(photo) in trained for photo in photos.files)
    known = f"The model was trained on {found:,} of the {len(photos.files):,} photos, so the figures are too good."
    return [known] if found else []


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m evaluation.evaluate", description=__doc__)
    parser.add_argument("--model", type=Path, default=Path("model"), help="folder of the model (default: model)")
    parser.add_argument("--data", type=Path, required=True, help="folder of label folders")
    parser.add_argument(
        "--out", type=Path, default=Path("build/evaluation"), help="folder for the page (default: build/evaluation)"
    )
    found = parser.parse_args(arguments)
    errors = (DatasetError, ModelError, PredictionsError)
    return run_command("evaluate", lambda: evaluate_folder(found.model, found.data, found.out), *errors)


if __name__ == "__main__":
    sys.exit(main())
