"""Create networks with the tutorials' architectures. Their weights are random, which does not change their speed.

python -m benchmarks.networks FOLDER
"""

import sys
from pathlib import Path

import keras
import tensorflow as tf

_LABELS = 10
# The base network of each tutorial, and the side of its input in pixels.
ARCHITECTURES = {"xception": (keras.applications.Xception, 299), "inception": (keras.applications.InceptionV3, 150)}


def main() -> None:
    """Convert each network in single precision, as the tutorials do."""
    for name, (create_base, side) in ARCHITECTURES.items():
        keras.utils.set_random_seed(0)
        base = create_base(weights=None, include_top=False, input_shape=(side, side, 3), pooling="avg")
        network = keras.Sequential([base, keras.layers.Dense(_LABELS)])
        converter = tf.lite.TFLiteConverter.from_keras_model(network)
        (Path(sys.argv[1]) / f"{name}.tflite").write_bytes(converter.convert())


if __name__ == "__main__":
    main()
