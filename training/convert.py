"""Converts the first fold's network of a run in every way that `training.variants` compares."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's start-up notices, before it is imported

from training import network
from training.dataset import DatasetError, read_photos
from training.recipe import Recipe
from training.run import RECORD_FILE, WEIGHTS_FILE, answered_photos, fold_name, variant_file
from training.variants import PRECISIONS, SIZES

_SAMPLES = 200  # of the training photos, for the ranges of int8


def convert(run: Path, data: Path, sizes: Sequence[int]) -> None:
    """Write a TensorFlow Lite file for each size and precision into the run's folder."""
    record = json.loads((run / RECORD_FILE).read_text(encoding="utf-8"))
    recipe = Recipe.of(record["recipe"])
    learnt = [path for fold in range(1, recipe.folds) for path in answered_photos(run / fold_name(fold), data)]
    sample = network.sample(learnt)
    for size in sizes:
        model = network.load(run / fold_name(0) / WEIGHTS_FILE, len(record["labels"]), recipe)
        plain = read_photos(sample, size)
        served = network.finish(model, plain)
        for precision, converted in network.to_tflite(served, size, PRECISIONS, plain[:_SAMPLES]).items():
            path = variant_file(run, size, precision)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(converted)


def main() -> int:
    """Convert."""
    parser = argparse.ArgumentParser(prog="python -m training.convert", description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="folder that training.train wrote")
    parser.add_argument("--data", type=Path, required=True, help="the folder it was trained on")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="of photos, in pixels a side")
    arguments = parser.parse_args()
    try:
        convert(arguments.run, arguments.data, arguments.sizes)
    except (DatasetError, OSError) as error:
        print(f"convert: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
