"""Converts the first fold's network of a run for each size and precision that `training.variants` compares."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before TensorFlow is imported: hides its start-up messages

from training import network
from evaluation.dataset import DatasetError, read_photos
from training.run import WEIGHTS_FILE, evaluation_photos, fold_name, read_record, variant_file
from training.variants import PRECISIONS, SIZES

_SAMPLES = 200  # training photos, to fit the ranges of int8 to


def convert(run: Path, data: Path, sizes: Sequence[int]) -> None:
    """Write a TensorFlow Lite file for each size and precision into the run's folder."""
    record = read_record(run)
    other_folds = range(1, record.recipe.folds)  # the first fold's network was trained on their photos
    training_photos = [path for fold in other_folds for path in evaluation_photos(run / fold_name(fold), data)]
    sample = network.sample_photos(training_photos)
    for size in sizes:
        model = network.load(run / fold_name(0) / WEIGHTS_FILE, len(record.labels), record.recipe)
        images = read_photos(sample, size)
        served = network.prepare_for_serving(model, images)
        for precision, converted in network.to_tflite(served, size, PRECISIONS, images[:_SAMPLES]).items():
            path = variant_file(run, size, precision)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(converted)


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m training.convert", description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="folder that training.train wrote")
    parser.add_argument("--data", type=Path, required=True, help="folder that the run was trained on")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="sides of photos, in pixels")
    arguments = parser.parse_args()
    try:
        convert(arguments.run, arguments.data, arguments.sizes)
    except (DatasetError, OSError) as error:
        print(f"convert: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
