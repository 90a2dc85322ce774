"""The network: MobileNetV2 (Sandler et al. 2018) with a new head, and its conversion to TensorFlow Lite."""

import tempfile
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

# MobileNetV2 in half precision is 4.5 MB. A converter that loses the weights writes a file of some kilobytes instead,
# and says nothing.
_SMALLEST_NETWORK_BYTES = 1_000_000


class ExportError(Exception):
    """The converted network is not the one that was trained."""


def build(labels: int, weights: str, dropout: float) -> keras.Model:
    """RGB pixels, float32 in [0, 255], of shape (batch, side, side, 3), to logits of shape (batch, labels).

    `weights` is "imagenet", which Keras downloads, or the path of a file of MobileNetV2's weights without its top.
    """
    trunk = keras.applications.MobileNetV2(include_top=False, weights=weights, input_shape=(None, None, 3))
    pixels = keras.Input((None, None, 3), name="pixels")
    features = keras.layers.GlobalAveragePooling2D()(trunk(keras.layers.Rescaling(1 / 127.5, offset=-1)(pixels)))
    logits = keras.layers.Dense(labels, name="logits")(keras.layers.Dropout(dropout)(features))
    return keras.Model(pixels, logits)


def to_tflite(network: keras.Model, size: int) -> bytes:
    """Convert to TensorFlow Lite with float16 weights: one photo of `size` × `size` RGB pixels, uint8, to logits.

    The scaling of pixels stays inside, so that serving hands over bytes. float16 halves the file and moves scores by
    about a thousandth; int8 is ten times slower in tflite-runtime 2.14, whose fast kernels are for floats.
    """
    pixels = keras.Input((size, size, 3), batch_size=1, dtype="uint8", name="pixels")
    served = keras.Model(pixels, network(keras.ops.cast(pixels, "float32"), training=False))
    with tempfile.TemporaryDirectory() as directory:
        served.export(directory, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(directory)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
        converted: bytes = converter.convert()
    if len(converted) < _SMALLEST_NETWORK_BYTES:
        raise ExportError(f"The converted network has only {len(converted):,} bytes: its weights are missing.")
    return converted


def logits(network: keras.Model, images: npt.NDArray[np.uint8], batch_size: int) -> npt.NDArray[np.float32]:
    """The trained network's outputs, of shape (n, labels), for uint8 images of shape (n, side, side, 3)."""
    answers: npt.NDArray[np.float32] = network.predict(images, batch_size=batch_size, verbose=0)
    return answers


def write_tflite(network: keras.Model, size: int, path: Path) -> None:
    """Convert and write to `path`."""
    path.write_bytes(to_tflite(network, size))
