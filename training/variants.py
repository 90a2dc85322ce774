"""Measures the variants that `training.convert` wrote, on the runtimes that are there: accuracy, size and time.

The photos are those of the senders that the first fold's network has not seen.
"""

import argparse
import importlib
import importlib.util
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from training.dataset import DatasetError, read_photos
from training.run import RECORD_FILE, VARIANTS_FILE, answered_photos, fold_name, variant_file

RUNTIMES = ("tflite_runtime", "ai_edge_litert")  # those that `classifier.model` serves with
SIZES = (192, 224, 256)
PRECISIONS = ("float32", "float16", "int8")


def measure_variants(run: Path, data: Path, sizes: Sequence[int]) -> list[dict[str, Any]]:
    """A row for each runtime and variant: bytes, accuracy with and without mirroring, milliseconds a photo.

    With mirroring the logits of a photo and its mirror image are added, which takes twice the time. A variant that the
    runtime refuses has None for what could not be measured.
    """
    labels = json.loads((run / RECORD_FILE).read_text(encoding="utf-8"))["labels"]
    paths = answered_photos(run / fold_name(0), data)
    targets = np.array([labels.index(path.parent.name) for path in paths])
    rows: list[dict[str, Any]] = []
    for size in sizes:
        images = read_photos(paths, size)
        for precision in PRECISIONS:
            file = variant_file(run, size, precision)
            row = {"size": size, "precision": precision, "bytes": file.stat().st_size}
            rows.extend(
                row | {"runtime": runtime} | _measure(file, runtime, images, targets)
                for runtime in RUNTIMES
                if importlib.util.find_spec(runtime)
            )
    return rows


def _measure(
    file: Path, runtime: str, images: npt.NDArray[np.uint8], targets: npt.NDArray[np.int64]
) -> dict[str, float | None]:
    """Answer all photos on one thread."""
    try:
        interpreter = importlib.import_module(f"{runtime}.interpreter").Interpreter(str(file), num_threads=1)
        interpreter.allocate_tensors()
        network = interpreter.get_signature_runner()
    except (RuntimeError, ValueError) as error:
        print(f"{runtime} refuses {file.name}: {error}", file=sys.stderr)
        return {"accuracy": None, "accuracy_mirrored": None, "milliseconds": None}
    times = []

    def answer(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
        began = time.perf_counter()
        outputs = network(pixels=pixels[np.newaxis])
        times.append(time.perf_counter() - began)
        logits: npt.NDArray[np.float64] = outputs["logits"][0].astype(np.float64)
        return logits

    plain = np.stack([answer(image) for image in images])
    mirrored = plain + np.stack([answer(image[:, ::-1]) for image in images])
    return {
        "accuracy": float((plain.argmax(axis=1) == targets).mean()),
        "accuracy_mirrored": float((mirrored.argmax(axis=1) == targets).mean()),
        "milliseconds": float(np.median(times) * 1000),
    }


def main() -> int:
    """Write the figures into the run's folder."""
    parser = argparse.ArgumentParser(prog="python -m training.variants", description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="folder that training.convert wrote to")
    parser.add_argument("--data", type=Path, required=True, help="the folder it was trained on")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="those that were converted")
    arguments = parser.parse_args()
    try:
        rows = measure_variants(arguments.run, arguments.data, arguments.sizes)
    except (DatasetError, OSError) as error:
        print(f"variants: {error}", file=sys.stderr)
        return 1
    (arguments.run / VARIANTS_FILE).write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
