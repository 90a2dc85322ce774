"""Converts a network of a run to TensorFlow Lite, with float16 weights and to int8.

It needs TensorFlow, whatever backend the run was trained on.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

# Before TensorFlow is imported: hide its start-up messages.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from evaluation.dataset import DatasetError, read_photos
from training.data import TrainingPhotos
from training.run import FINAL, Fit, RunError, converted_file, int8_file, read_record, served_file
from training.serving import Served

_CALIBRATION_PHOTOS = 400  # as many others measure the result


def to_tflite(network: keras.Model, size: int, calibration: npt.NDArray[np.uint8] | None = None) -> bytes:
    """Convert a network to a TensorFlow Lite file with float16 weights or, if there are calibration photos, to int8.

    It takes one photo, `pixels`, uint8 RGB of shape (1, size, size, 3). `calibration`, of shape (n, size, size, 3), are
    photos that show which values the network's activations have (Jacob et al. 2018, "Quantization and Training of
    Neural Networks for Efficient Integer-Arithmetic-Only Inference").
    """
    weights = [variable.numpy() for variable in network.trainable_variables]
    others = [variable.numpy() for variable in network.non_trainable_variables]
    input_type = (
        tf.uint8 if calibration is None else tf.float32
    )  # the converter itself makes it uint8 for int8 networks

    @tf.function(input_signature=[tf.TensorSpec((1, size, size, 3), input_type, name="pixels")])  # type: ignore[untyped-decorator]
    def serve(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        # The weights are constants, because the converter can lose Keras's variables without an error, and to save the
        # variables for it takes longer than the whole conversion.
        constants = ([tf.constant(value) for value in values] for values in (weights, others))
        outputs: dict[str, tf.Tensor]
        outputs, _ = network.stateless_call(*constants, tf.cast(pixels, tf.float32), training=False)
        return outputs

    converter = tf.lite.TFLiteConverter.from_concrete_functions([serve.get_concrete_function()], tf.Module())
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if calibration is None:
        converter.target_spec.supported_types = [tf.float16]
    else:
        converter.representative_dataset = lambda: ([photo[np.newaxis].astype(np.float32)] for photo in calibration)
        converter.inference_input_type = tf.uint8
    converted: bytes = converter.convert()
    return converted


def measure_agreement(networks: Sequence[bytes], photos: npt.NDArray[np.uint8]) -> float:
    """Return the share of photos, of shape (n, side, side, 3), to which all converted networks give the same label.

    tflite-runtime cannot run all int8 networks, so this is its successor, which serves them.
    """
    runners = [Interpreter(model_content=network).get_signature_runner() for network in networks]
    labels = [[runner(pixels=photo[np.newaxis])["logits"].argmax() for photo in photos] for runner in runners]
    return float(np.mean([len(set(found)) == 1 for found in zip(*labels, strict=True)]))


def read_photos_of(training: TrainingPhotos, size: int) -> npt.NDArray[np.uint8]:
    """Return up to 800 training photos in random order, of shape (n, size, size, 3)."""
    files = training.photos.files
    indexes = np.random.default_rng(0).permutation(len(files))[: 2 * _CALIBRATION_PHOTOS]
    return read_photos([files[index] for index in indexes], size)


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m training.convert", description=__doc__)
    parser.add_argument(
        "--data", type=Path, action="append", required=True, help="folder of a data set; may be repeated"
    )
    parser.add_argument("--run", type=Path, required=True, help="folder that training.train wrote")
    parser.add_argument("--fit", type=Fit, required=True, choices=list(Fit), help="which of the two networks")
    arguments = parser.parse_args()
    folder, fit = arguments.run / FINAL, arguments.fit
    try:
        network, size = Served.load(served_file(folder, fit)).build(), read_record(arguments.run).recipe.size
        photos = read_photos_of(TrainingPhotos.read(arguments.data), size)
        float16, int8 = to_tflite(network, size), to_tflite(network, size, photos[::2])
        converted_file(folder, fit).write_bytes(float16)
        int8_file(folder, fit).write_bytes(int8)
        agreement = measure_agreement([float16, int8], photos[1::2])
        int8_file(folder, fit).with_suffix(".json").write_text(json.dumps(agreement), encoding="utf-8")
    except (DatasetError, RunError, OSError) as error:
        print(f"convert: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
