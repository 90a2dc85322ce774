"""The network: a pretrained trunk, average pooling and a dense head."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import numpy.typing as npt

from training.trunks import TRUNKS, build_trunk, fold

_BATCH = 64  # photos in a forward pass without training


class Head(NamedTuple):
    """A dense layer: `kernel`, of shape (features, labels), and `bias`, of shape (labels,)."""

    kernel: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]


class Features(NamedTuple):
    """What the head and the familiarity look at, for n photos: arrays of shape (n, features) and (n, textures)."""

    pooled: npt.NDArray[np.float32]
    textures: npt.NDArray[np.float32]


def build(trunk: str, labels: int, dropout: float = 0.0, *, folded: bool = False) -> keras.Model:
    """Build a network from RGB pixels, float32 in [0, 255], of shape (batch, side, side, 3).

    It has the outputs `logits`, of shape (batch, labels), `pooled`, of shape (batch, features), which are the inputs of
    the head, and `textures`, of shape (batch, textures): the means and the standard deviations of the channels after
    a quarter and half of the blocks.
    """
    pixels = keras.Input((None, None, 3), name="pixels")
    maps = build_trunk(TRUNKS[trunk], pixels, folded=folded)
    pooled = keras.layers.GlobalAveragePooling2D()(maps.last)
    logits = keras.layers.Dense(labels, name="head")(keras.layers.Dropout(dropout)(pooled))
    textures = keras.ops.concatenate([_moments(texture) for texture in maps.textures], axis=-1)
    return keras.Model(pixels, {"logits": logits, "pooled": pooled, "textures": textures})


def _moments(maps: "keras.KerasTensor") -> "keras.KerasTensor":
    mean = keras.ops.mean(maps, axis=(1, 2))
    square = keras.ops.mean(maps * maps, axis=(1, 2))
    return keras.ops.concatenate([mean, keras.ops.sqrt(keras.ops.maximum(square - mean * mean, 1e-6))], axis=-1)


def load(network: keras.Model, trunk_weights: Sequence[npt.NDArray[np.float32]], head: Head) -> None:
    """Set all weights of a network."""
    network.set_weights([*trunk_weights, *head])


def load_average(network: keras.Model, files: Sequence[Path]) -> None:
    """Set a network's weights to the mean of the weights in several files (Wortsman et al. 2022, "Model soups")."""
    weights = []
    for file in files:
        network.load_weights(file)
        weights.append(network.get_weights())
    network.set_weights([np.mean(values, axis=0) for values in zip(*weights, strict=True)])


def fold_weights(network: keras.Model) -> list[npt.NDArray[np.float32]]:
    """Return the weights for a `folded` network, rounded to float16: the runtime gets exactly these.

    Rounding here rather than in the conversion makes the network in Keras and the converted one agree.
    """
    *trunk, kernel, bias = network.get_weights()
    return [weights.astype(np.float16).astype(np.float32) for weights in (*fold(trunk), kernel, bias)]


def extract_features(network: keras.Model, images: npt.NDArray[np.uint8]) -> Features:
    """Return the features of uint8 images of shape (n, side, side, 3)."""
    outputs = predict(network, images)
    return Features(outputs["pooled"], outputs["textures"])


def predict(model: keras.Model, images: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray[np.float32]]:
    """Return a model's outputs for images of shape (n, side, side, 3).

    All batches have one size, because a compiling backend compiles anew for each size.
    """
    batch = min(_BATCH, len(images))
    padding = -len(images) % batch
    padded = np.concatenate([images, np.repeat(images[-1:], padding, axis=0)])
    outputs = model.predict(padded, batch_size=batch, verbose=0)
    return {name: values[: len(images)] for name, values in outputs.items()}
