"""Compares two models on the same photos: prints a table, and writes a page with the photos whose answer changed."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from evaluation.commands import check_output, run_command
from evaluation.comparison import Candidate, Comparison, ComparisonError, compare_on_photos, compare_on_predictions
from evaluation.comparison_page import terminal_table, write_comparison
from evaluation.dataset import DatasetError
from evaluation.models import ModelError, load_model, measure_footprints
from evaluation.pages import FIGURES_FILE
from evaluation.predictions import PredictionsError


def compare(new: Candidate, old: Candidate, data: Path | None) -> Comparison:
    """Compare the models on the photos in `data` or, if it is None, on the predictions in their folders.

    Raise `ComparisonError`, `DatasetError`, `PredictionsError` or `OSError`.
    """
    return compare_on_photos(new, old, data) if data else compare_on_predictions(new, old)


def compare_folders(new: Path, old: Path, data: Path | None, out: Path) -> int:
    """Compare the models in two folders, print a table, and write the page into `out`.

    Return the exit code. Raise `ModelError`, `OutputError` and what `compare` raises.
    """
    check_output(out, FIGURES_FILE)
    models = [Candidate(folder, load_model(folder)) for folder in (new, old)]
    comparison = compare(models[0], models[1], data)
    footprints = measure_footprints([new, old], [one.model for one in models])
    versions = (models[0].model.description.version, models[1].model.description.version)
    page = write_comparison(out, versions, comparison, footprints)
    for note in comparison.notes:
        print(f"Note: {note}", file=sys.stderr)
    print(terminal_table(versions, comparison, footprints))
    print(f"The page with all figures: {page}")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m evaluation.compare", description=__doc__)
    parser.add_argument("--new", type=Path, required=True, help="folder of the new model")
    parser.add_argument("--old", type=Path, default=Path("model"), help="folder of the old model (default: model)")
    parser.add_argument("--data", type=Path, help="folder of label folders (default: both models' predictions.csv)")
    parser.add_argument(
        "--out", type=Path, default=Path("build/comparison"), help="folder for the page (default: build/comparison)"
    )
    found = parser.parse_args(arguments)
    errors = (ComparisonError, DatasetError, ModelError, PredictionsError)
    return run_command("compare", lambda: compare_folders(found.new, found.old, found.data, found.out), *errors)


if __name__ == "__main__":
    sys.exit(main())
