"""Makes networks of the shape that the tutorials' have, with random weights, which answer as slowly as trained ones.

python -m benchmarks.networks FOLDER
"""

import sys
from pathlib import Path

import keras
import tensorflow as tf

_LABELS = 10
# Of each tutorial's network: where it begins, and the side in pixels of what it takes.
SHAPES = {"xception": (keras.applications.Xception, 299), "inception": (keras.applications.InceptionV3, 150)}


def main() -> None:
    """Convert each in single precision, as the tutorials do."""
    for name, (begin, side) in SHAPES.items():
        keras.utils.set_random_seed(0)
        base = begin(weights=None, include_top=False, input_shape=(side, side, 3), pooling="avg")
        network = keras.Sequential([base, keras.layers.Dense(_LABELS)])
        converter = tf.lite.TFLiteConverter.from_keras_model(network)
        (Path(sys.argv[1]) / f"{name}.tflite").write_bytes(converter.convert())


if __name__ == "__main__":
    main()
