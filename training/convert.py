"""Converts a network of a run to TensorFlow Lite. Needs TensorFlow, whatever backend the run was trained on."""

import argparse
import os
import sys
from pathlib import Path

# Before TensorFlow is imported: hide its start-up messages.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import tensorflow as tf

from training.run import FINAL, Fit, RunError, converted_file, read_record, served_file
from training.serving import Served


def to_tflite(network: keras.Model, size: int) -> bytes:
    """Convert a network to a TensorFlow Lite file with float16 weights.

    It takes one photo, `pixels`, uint8 RGB of shape (1, size, size, 3).
    """
    weights = [variable.numpy() for variable in network.trainable_variables]
    others = [variable.numpy() for variable in network.non_trainable_variables]

    @tf.function(input_signature=[tf.TensorSpec((1, size, size, 3), tf.uint8, name="pixels")])  # type: ignore[untyped-decorator]
    def serve(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        # The weights are constants, because the converter can lose Keras's variables without an error, and to save the
        # variables for it takes longer than the whole conversion.
        constants = ([tf.constant(value) for value in values] for values in (weights, others))
        outputs: dict[str, tf.Tensor]
        outputs, _ = network.stateless_call(*constants, tf.cast(pixels, tf.float32), training=False)
        return outputs

    converter = tf.lite.TFLiteConverter.from_concrete_functions([serve.get_concrete_function()], tf.Module())
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]
    converted: bytes = converter.convert()
    return converted


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m training.convert", description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="folder that training.train wrote")
    parser.add_argument("--fit", type=Fit, required=True, choices=list(Fit), help="which of the two networks")
    arguments = parser.parse_args()
    folder = arguments.run / FINAL
    try:
        served = Served.load(served_file(folder, arguments.fit))
        converted = to_tflite(served.build(), read_record(arguments.run).recipe.size)
        converted_file(folder, arguments.fit).write_bytes(converted)
    except (RunError, OSError) as error:
        print(f"convert: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
