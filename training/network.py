"""The network: MobileNetV2 (Sandler et al. 2018) with a new head, and its conversion to TensorFlow Lite."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from sklearn.cluster import KMeans

from training.dataset import Examples
from training.recipe import Recipe

_SAMPLE = 1536  # photos, to finish a network with
_NORM_BATCH = 64  # of these at once, to measure batch norms on
_PROTOTYPES = 100
_LEAST_DEVIATION = 0.05  # of a feature; the usual one has ten times that
_TRUNK = "trunk"
_FEATURES = "features"
_HEAD = "logits"


def build(labels: int, weights: str | None, dropout: float, frozen_blocks: int) -> keras.Model:
    """RGB pixels, float32 in [0, 255], of shape (batch, side, side, 3), to logits of shape (batch, labels).

    `weights` is "imagenet", which Keras downloads, the path of a file of MobileNetV2's weights without its top, or None
    for random ones.
    The stem and the first `frozen_blocks` of the 17 blocks stay as they are in training.
    """
    trunk = _with_fused_norms(
        keras.applications.MobileNetV2(include_top=False, weights=weights, input_shape=(None, None, 3), name=_TRUNK)
    )
    first_trained = f"block_{frozen_blocks}_expand" if frozen_blocks else "expanded_conv_depthwise"
    for layer in trunk.layers:
        if layer.name == first_trained:
            break
        layer.trainable = False
    pixels = keras.Input((None, None, 3), name="pixels")
    scaled = keras.layers.Rescaling(1 / 127.5, offset=-1)(pixels)
    features = keras.layers.GlobalAveragePooling2D(name=_FEATURES)(trunk(scaled))
    logits = keras.layers.Dense(labels, name=_HEAD)(keras.layers.Dropout(dropout)(features))
    return keras.Model(pixels, logits)


def _with_fused_norms(network: keras.Model) -> keras.Model:
    """The same network, with batch norms that take less time."""

    def clone(layer: keras.layers.Layer) -> keras.layers.Layer:
        kind = FusedBatchNormalization if isinstance(layer, keras.layers.BatchNormalization) else type(layer)
        return kind.from_config(layer.get_config())

    fused = keras.models.clone_model(network, clone_function=clone)
    fused.set_weights(network.get_weights())
    return fused


class FusedBatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc] # Keras has no types
    """Batch norm by TensorFlow's own kernel, in one pass over the images.

    Keras 3 makes it of seven operations, which take more of a step on a processor than all convolutions do.
    """

    def call(self, inputs: tf.Tensor, training: bool | None = None, mask: None = None) -> tf.Tensor:  # noqa: ARG002, FBT001 - as Keras calls it
        """Images of shape (batch, height, width, channels) to the same."""
        if not (training and self.trainable):
            return self._normalised(inputs, self.moving_mean, self.moving_variance, is_training=False)[0]
        outputs, mean, variance = self._normalised(inputs, None, None, is_training=True)
        for moving, new in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + new * (1 - self.momentum))
        return outputs

    def _normalised(
        self, inputs: tf.Tensor, mean: keras.Variable | None, variance: keras.Variable | None, *, is_training: bool
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        outputs: tuple[tf.Tensor, tf.Tensor, tf.Tensor] = tf.compat.v1.nn.fused_batch_norm(
            inputs, self.gamma, self.beta, mean, variance, self.epsilon, is_training=is_training
        )
        return outputs


def load(weights: Path, labels: int, recipe: Recipe) -> keras.Model:
    """The network of a run, from the file of its weights."""
    network = build(labels, None, recipe.dropout, recipe.frozen_blocks)
    network.load_weights(weights)
    return network


def average(network: keras.Model, files: Sequence[Path]) -> None:
    """Give a network the mean of the weights in several files (Wortsman et al. 2022)."""
    weights = []
    for file in files:
        network.load_weights(file)
        weights.append(network.get_weights())
    network.set_weights([np.mean(values, axis=0) for values in zip(*weights, strict=True)])


def balanced_loss(targets: npt.NDArray[np.float32], recipe: Recipe) -> "BalancedCrossEntropy":
    """The loss for training on these one-hot targets, of shape (n, labels)."""
    shares = (targets.sum(axis=0) + 1) / (len(targets) + targets.shape[1])  # a label that has no photo has a share too
    return BalancedCrossEntropy(shares, recipe.class_balance, recipe.label_smoothing)


class BalancedCrossEntropy(keras.losses.Loss):  # type: ignore[misc] # Keras has no types
    """Cross-entropy as if every label were as frequent as the others (logit adjustment, Menon et al. 2021).

    While training, the logits compete on top of the logarithms of the labels' shares in the data, to the power of
    `balance`; what is learnt beside these is what serves.
    """

    def __init__(self, shares: npt.NDArray[np.float64], balance: float, label_smoothing: float) -> None:
        super().__init__(name="balanced_cross_entropy")
        self._adjustment = balance * np.log(shares).astype(np.float32)
        self._smoothing = label_smoothing

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """Targets and logits, each of shape (batch, labels), to losses of shape (batch,)."""
        return keras.losses.categorical_crossentropy(
            y_true, y_pred + self._adjustment, from_logits=True, label_smoothing=self._smoothing
        )


def fit_head(network: keras.Model, examples: Examples, recipe: Recipe) -> None:
    """Fit the head alone, on the features of plain photos: a linear probe."""
    seen = features(network, examples.images)
    mean, deviation = seen.mean(axis=0), seen.std(axis=0) + _LEAST_DEVIATION
    probe = keras.Sequential([keras.Input(seen.shape[1:]), keras.layers.Dense(examples.targets.shape[1])])
    probe.compile(keras.optimizers.AdamW(1e-3, weight_decay=0.05), balanced_loss(examples.targets, recipe))
    probe.fit((seen - mean) / deviation, examples.targets, batch_size=64, epochs=recipe.head_epochs, verbose=0)
    weights, bias = probe.get_weights()
    weights = weights / deviation[:, np.newaxis]
    network.get_layer(_HEAD).set_weights([weights, bias - mean @ weights])


def features(network: keras.Model, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """What the head sees, of shape (n, features), of uint8 images of shape (n, side, side, 3)."""
    headless = keras.Model(network.input, network.get_layer(_FEATURES).output)
    seen: npt.NDArray[np.float32] = headless.predict(images, verbose=0)
    return seen


def sample(learnt: Sequence[Path]) -> list[Path]:
    """Enough of the photos that a network learnt from to finish it with, in random order."""
    order = np.random.default_rng(0).permutation(len(learnt))
    return [learnt[index] for index in order[:_SAMPLE]]


def finish(network: keras.Model, images: npt.NDArray[np.uint8]) -> keras.Model:
    """Make a trained network ready to be served: the same weights, with the outputs "logits" and "familiarity".

    `images` are plain photos that it learnt from, in random order: uint8, of shape (n, size, size, 3), of the size that
    is to be served.
    """
    measure_norms(network, images)
    _round_to_half(network)
    return _with_familiarity(network, _prototypes(features(network, images)))


def measure_norms(network: keras.Model, images: npt.NDArray[np.uint8]) -> None:
    """Measure anew the means and variances of the batch norms that were trained, on such images as `finish` takes.

    What Keras keeps while training is of the last thousand steps: of mixed photos, of other sizes, and of weights that
    the average has left behind (Wu and Johnson 2021, "Rethinking Batch in BatchNorm").
    """
    norms = [
        layer
        for layer in network.get_layer(_TRUNK).layers
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
    ]
    for norm in norms:
        norm.momentum = 0  # so that it keeps what it saw of the last batch alone
    kept = [variable for norm in norms for variable in (norm.moving_mean, norm.moving_variance)]
    # A graph, for when Keras runs a network eagerly it holds on to all that the layers give till the last one is done.
    look = tf.function(network, autograph=False)
    seen = []
    for first in range(0, len(images), _NORM_BATCH):
        look(images[first : first + _NORM_BATCH], training=True)
        seen.append([variable.numpy() for variable in kept])
    for variable, values in zip(kept, zip(*seen, strict=True), strict=True):
        variable.assign(np.mean(values, axis=0))


def _prototypes(seen: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Directions of features that stand for those of the photos seen: unit vectors, of shape (prototypes, features).

    `seen`: features, of shape (n, features). The prototypes are the centres of clusters of their directions.
    """
    directions = np.unique(seen / np.linalg.norm(seen, axis=1, keepdims=True), axis=0)
    clusters = KMeans(min(_PROTOTYPES, len(directions)), n_init=1, random_state=0).fit(directions)
    centres = clusters.cluster_centers_
    found: npt.NDArray[np.float32] = (centres / np.linalg.norm(centres, axis=1, keepdims=True)).astype(np.float32)
    return found


def _with_familiarity(network: keras.Model, directions: npt.NDArray[np.float32]) -> keras.Model:
    """The network with two outputs: "logits", and "familiarity", of shape (batch,).

    That is the cosine between a photo's features and the nearest of these unit vectors, of shape (n, features), after
    the distances in the space of normalised features of Sun et al. 2022.
    """
    seen = network.get_layer(_FEATURES).output
    direction = keras.layers.UnitNormalization(name="direction")(seen)
    nearness = keras.layers.Dense(len(directions), use_bias=False, name="nearness")
    familiarity = keras.ops.max(nearness(direction), axis=-1)
    nearness.set_weights([_half(directions.T)])
    return keras.Model(network.input, {"logits": network.output, "familiarity": familiarity})


def _round_to_half(network: keras.Model) -> None:
    """Round the weights to what half precision can hold, so that the converted network answers as this one does.

    Conversion multiplies each convolution by its batch norm and rounds the product. Rounded by the converter alone, two
    hundredths of a probability would differ from what was trained and measured here. So the batch norms are multiplied
    into the convolutions here, and left with nothing but the bias.
    """
    layers = network.get_layer(_TRUNK).layers
    for convolution, norm in itertools.pairwise(layers):
        if isinstance(norm, keras.layers.BatchNormalization):
            gamma, beta, mean, variance = norm.get_weights()
            scale = gamma / np.sqrt(variance + norm.epsilon)
            (kernel,) = convolution.get_weights()
            depthwise = isinstance(convolution, keras.layers.DepthwiseConv2D)
            convolution.set_weights([_half(kernel * (scale[:, np.newaxis] if depthwise else scale))])
            one, none = np.ones_like(gamma), np.zeros_like(gamma)
            norm.set_weights([one * np.sqrt(1 + norm.epsilon), _half(beta - mean * scale), none, one])
    network.get_layer(_HEAD).set_weights([_half(weights) for weights in network.get_layer(_HEAD).get_weights()])


def _half(weights: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return weights.astype(np.float16).astype(np.float32)


def to_tflite(
    network: keras.Model,
    size: int,
    precisions: Sequence[str] = ("float16",),
    samples: npt.NDArray[np.uint8] | tuple[()] = (),
) -> dict[str, bytes]:
    """Convert to TensorFlow Lite: one photo of `size` × `size` RGB pixels, uint8, to the network's outputs.

    The scaling of pixels stays inside, so that serving hands over bytes. `precisions` are those of the weights,
    "float32", "float16" or "int8"; the last is also that of the arithmetic, and is fitted to `samples` of photos, of
    shape (n, size, size, 3). The answer has a file for each.
    """
    weights = [variable.numpy() for variable in network.trainable_variables]
    others = [variable.numpy() for variable in network.non_trainable_variables]

    @tf.function(input_signature=[tf.TensorSpec((1, size, size, 3), tf.uint8, name="pixels")])  # type: ignore[untyped-decorator]
    def answer(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        # With the weights as constants: the converter can lose Keras's variables without a word, and to save them for
        # it takes longer than all else here.
        constants = ([tf.constant(value) for value in values] for values in (weights, others))
        outputs: dict[str, tf.Tensor]
        outputs, _ = network.stateless_call(*constants, tf.cast(pixels, tf.float32), training=False)
        return outputs

    served = answer.get_concrete_function()
    return {precision: _convert(served, precision, samples) for precision in precisions}


def _convert(function: Any, precision: str, samples: npt.NDArray[np.uint8] | tuple[()]) -> bytes:
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], tf.Module())
    if precision != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if precision == "int8":
        converter.representative_dataset = lambda: ([sample[np.newaxis]] for sample in samples)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converted: bytes = converter.convert()
    return converted
