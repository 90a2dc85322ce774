"""Compare the int8 network with the one with float16 weights, and write `int8.md`.

The accuracy is that of the networks of a run's folds, each converted to int8 and measured on the senders that it has
not seen. The speed is that of the networks in `model/`, in the runtime that serves int8 networks.
"""

import argparse
import os
from functools import partial
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "tensorflow"

import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter

from benchmarks.markdown import fill, table
from benchmarks.report import processor_name
from benchmarks.timing import measure_interleaved, median_milliseconds, median_ratio
from classifier.description import INT8_NETWORK_FILE, NETWORK_FILE
from evaluation.dataset import read_photos
from evaluation.predictions import NetworkOutputs
from training import network
from training.choice import read_fits
from training.convert import to_tflite
from training.data import TrainingPhotos
from training.fit_calibration import calibrate
from training.recipe import Recipe
from training.run import Fit, FitOutputs, outputs_file, read_record, weights_file
from training.train import STUDENT, NetworkPlan, plan_networks

_PAGE = Path(__file__).with_suffix(".md")
_MODEL = Path(__file__).parent.parent / "model"
_CALIBRATION_PHOTOS = 400  # as in `training.convert`
_ROUNDS = 200

Pixels = npt.NDArray[np.uint8]


def main() -> None:
    """Measure, which takes five minutes on two cores, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.int8", description=__doc__)
    parser.add_argument("run", type=Path, help="folder of a training run whose networks were fine-tuned")
    parser.add_argument("--data", type=Path, required=True, help="folder of its data set")
    arguments = parser.parse_args()
    run, record, training = arguments.run, read_record(arguments.run), TrainingPhotos.read([arguments.data])
    held_out = read_fits(run, record, training.photos.targets)[Fit.TUNED]
    calibration = calibrate(held_out.outputs, held_out.targets)
    pixels = read_photos(training.photos.files, record.recipe.size)
    rows = []
    for plan in plan_networks(training.groups, record.recipe.folds)[:-1]:
        print(f"Measuring {plan.name} …", flush=True)
        float16 = FitOutputs.load(outputs_file(run / plan.name, Fit.TUNED)).photos
        int8 = run_int8(
            convert_fold(run / plan.name, plan, record.recipe, pixels, len(record.labels)), pixels[plan.evaluation]
        )
        answers = [calibration.probabilities(outputs).argmax(axis=1) for outputs in (float16, int8)]
        rows.append([*answers, training.photos.targets[plan.evaluation]])
    _PAGE.write_text(format_page(rows, record.recipe.trunk), encoding="utf-8")
    print(f"Wrote {_PAGE}")


def convert_fold(folder: Path, plan: NetworkPlan, recipe: Recipe, pixels: Pixels, labels: int) -> bytes:
    """Convert the network of a fold to int8, with photos of its training."""
    model = network.build(recipe.trunk, labels)
    network.load_average(model, [weights_file(folder, STUDENT, seed) for seed in range(1, recipe.seeds + 1)])
    folded = network.build(recipe.trunk, labels, folded=True)
    folded.set_weights(network.fold_weights(model))
    return to_tflite(folded, recipe.size, pixels[plan.sample()[:_CALIBRATION_PHOTOS]])


def run_int8(content: bytes, pixels: Pixels) -> NetworkOutputs:
    """Return the outputs of a converted network for photos of shape (n, side, side, 3), without familiarities."""
    runner = Interpreter(model_content=content).get_signature_runner()
    logits = [runner(pixels=photo[np.newaxis])["logits"][0] for photo in pixels]
    return NetworkOutputs(np.array(logits, np.float64), np.zeros(len(logits)))


def measure_speed() -> dict[str, list[float]]:
    """Return the seconds of the networks in `model/` for a photo, on one thread."""

    def invoke(interpreter: Any) -> None:
        interpreter.invoke()

    contenders = {}
    for name in (NETWORK_FILE, INT8_NETWORK_FILE):
        interpreter = Interpreter(model_path=str(_MODEL / name), num_threads=1)
        interpreter.allocate_tensors()
        contenders[name] = partial(invoke, interpreter)
    return measure_interleaved(contenders, _ROUNDS)


def format_page(folds: list[list[npt.NDArray[np.int64]]], trunk: str) -> str:
    """Return the page. `folds` has the answers of both networks and the right ones, for each fold."""
    seconds = measure_speed()
    folds = [*folds, [np.concatenate(answers) for answers in zip(*folds, strict=True)]]
    names = [*(f"fold {number}" for number in range(1, len(folds))), "all"]
    rows = [
        [
            name,
            f"{len(right):,}",
            f"{(float16 == right).mean() * 100:.1f} %",
            f"{(int8 == right).mean() * 100:.1f} %",
            f"{(int8 != float16).mean() * 100:.1f} %",
        ]
        for name, (float16, int8, right) in zip(names, folds, strict=True)
    ]
    times = [f"{median_milliseconds(values):.1f}" for values in seconds.values()]
    ratio = median_ratio(seconds[INT8_NETWORK_FILE], seconds[NETWORK_FILE])
    accuracy = fill(f"""The accuracy of {trunk} on the senders of each fold, of whom its network has seen no photo: with
        float16 weights, and converted to int8 with {_CALIBRATION_PHOTOS} photos of its training. All photos together
        calibrate the scores here, so the figures differ a little from those in the
        [model card](../model/README.md).""")
    speed = fill(f"""The networks in `model/` take {times[0]} and {times[1]} ms for a photo, on one thread of
        ai-edge-litert: int8 takes {ratio:.2f} of the time (median of paired ratios).""")
    return f"""# int8

`make bench-int8` measures these figures and writes this page. They are from {processor_name()}. The function
runs the int8 network on Python 3.13 ([why](../README.md#how-it-is-made)).

{accuracy}

{table(["", "photos", "float16", "int8", "other answers"], rows)}

{speed}
"""


if __name__ == "__main__":
    main()
