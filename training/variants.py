"""Compares the variants that `training.convert` wrote: their accuracy, size and time on each installed runtime.

The photos are the evaluation photos of the first fold.
"""

import argparse
import importlib
import importlib.util
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from evaluation.dataset import DatasetError, read_photos
from training.run import VARIANTS_FILE, evaluation_photos, fold_name, read_record, variant_file

RUNTIMES = ("tflite_runtime", "ai_edge_litert")  # those that `classifier.model` can use
SIZES = (192, 224, 256)
PRECISIONS = ("float32", "float16", "int8")


@dataclass(frozen=True, slots=True)
class VariantResult:
    """A variant on a runtime; the last three fields are None if the runtime cannot load it.

    `accuracy_mirrored` is the accuracy with the sum of the logits of a photo and its mirror image, which takes twice
    the time. `milliseconds` is the median time per photo on one thread.
    """

    size: int
    precision: str
    bytes: int
    runtime: str
    accuracy: float | None
    accuracy_mirrored: float | None
    milliseconds: float | None


def measure_variants(run: Path, data: Path, sizes: Sequence[int]) -> list[VariantResult]:
    """Measure each variant on each installed runtime. Raise `DatasetError` or `OSError`."""
    labels = read_record(run).labels
    paths = evaluation_photos(run / fold_name(0), data)
    targets = np.array([labels.index(path.parent.name) for path in paths], np.int64)
    runtimes = [runtime for runtime in RUNTIMES if importlib.util.find_spec(runtime)]
    results = []
    for size in sizes:
        images = read_photos(paths, size)
        for precision in PRECISIONS:
            file = variant_file(run, size, precision)
            for runtime in runtimes:
                measured = _measure(file, runtime, images, targets)
                results.append(VariantResult(size, precision, file.stat().st_size, runtime, *measured))
    return results


def _measure(
    file: Path, runtime: str, images: npt.NDArray[np.uint8], targets: npt.NDArray[np.int64]
) -> tuple[float, float, float] | tuple[None, None, None]:
    """Return the accuracy, the accuracy with mirroring, and the median milliseconds per photo."""
    try:
        network = _load(file, runtime)
    except (RuntimeError, ValueError) as error:
        print(f"{runtime} cannot load {file.name}: {error}", file=sys.stderr)
        return None, None, None
    logits, times = _predict(network, images)
    mirrored_logits, mirrored_times = _predict(network, images[:, :, ::-1])
    accuracy, accuracy_mirrored = (
        float((scores.argmax(axis=1) == targets).mean()) for scores in (logits, logits + mirrored_logits)
    )
    return accuracy, accuracy_mirrored, float(np.median(times + mirrored_times) * 1000)


def _load(file: Path, runtime: str) -> Any:
    interpreter = importlib.import_module(f"{runtime}.interpreter").Interpreter(str(file), num_threads=1)
    interpreter.allocate_tensors()
    return interpreter.get_signature_runner()


def _predict(network: Any, images: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.float64], list[float]]:
    """Return the logits, of shape (n, labels), and the seconds that each photo took."""
    logits, times = [], []
    for image in images:
        start = time.perf_counter()
        outputs = network(pixels=image[np.newaxis])
        times.append(time.perf_counter() - start)
        logits.append(outputs["logits"][0].astype(np.float64))
    return np.stack(logits), times


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m training.variants", description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="folder that training.convert wrote to")
    parser.add_argument("--data", type=Path, required=True, help="folder that the run was trained on")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="sides of photos that were converted for")
    arguments = parser.parse_args()
    try:
        results = measure_variants(arguments.run, arguments.data, arguments.sizes)
    except (DatasetError, OSError) as error:
        print(f"variants: {error}", file=sys.stderr)
        return 1
    rows = [asdict(result) for result in results]
    (arguments.run / VARIANTS_FILE).write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
