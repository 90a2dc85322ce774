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

from evaluation.dataset import Examples
from training.recipe import Recipe

_SAMPLE_SIZE = 1536  # photos, for batch-norm statistics and prototypes
_NORM_BATCH = 64  # photos in a forward pass that measures batch-norm statistics
_PROTOTYPES = 100
_MIN_DEVIATION = 0.05  # of a feature; the usual one is ten times as large
_TRUNK = "trunk"
_FEATURES = "features"
_HEAD = "logits"


def build(labels: int, weights: str | None, dropout: float, frozen_blocks: int) -> keras.Model:
    """Build a network from RGB pixels, float32 in [0, 255], of shape (batch, side, side, 3), to (batch, labels) logits.

    `weights` is "imagenet", which Keras downloads, the path of a file of weights of MobileNetV2 without its top, or
    None for random weights. The stem and the first `frozen_blocks` of the 17 blocks are not trainable.
    """
    trunk = _fuse_batch_norms(
        keras.applications.MobileNetV2(include_top=False, weights=weights, input_shape=(None, None, 3), name=_TRUNK)
    )
    _freeze_blocks(trunk, frozen_blocks)
    pixels = keras.Input((None, None, 3), name="pixels")
    scaled = keras.layers.Rescaling(1 / 127.5, offset=-1)(pixels)
    features = keras.layers.GlobalAveragePooling2D(name=_FEATURES)(trunk(scaled))
    logits = keras.layers.Dense(labels, name=_HEAD)(keras.layers.Dropout(dropout)(features))
    return keras.Model(pixels, logits)


def _fuse_batch_norms(network: keras.Model) -> keras.Model:
    def clone(layer: keras.layers.Layer) -> keras.layers.Layer:
        kind = FusedBatchNormalization if isinstance(layer, keras.layers.BatchNormalization) else type(layer)
        return kind.from_config(layer.get_config())

    fused = keras.models.clone_model(network, clone_function=clone)
    fused.set_weights(network.get_weights())
    return fused


def _freeze_blocks(trunk: keras.Model, blocks: int) -> None:
    first_trainable = f"block_{blocks}_expand" if blocks else "expanded_conv_depthwise"
    for layer in itertools.takewhile(lambda layer: layer.name != first_trainable, trunk.layers):
        layer.trainable = False


class FusedBatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc] # Keras has no types
    """Batch normalisation by TensorFlow's fused kernel.

    Keras 3 uses seven operations instead. On a CPU they take more time in a training step than all convolutions.
    """

    def call(self, inputs: tf.Tensor, training: bool | None = None, mask: None = None) -> tf.Tensor:  # noqa: ARG002, FBT001 - Keras's signature
        """Normalise images of shape (batch, height, width, channels)."""
        if not (training and self.trainable):
            return self._normalise(inputs, self.moving_mean, self.moving_variance, is_training=False)[0]
        outputs, mean, variance = self._normalise(inputs, None, None, is_training=True)
        for moving, new in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + new * (1 - self.momentum))
        return outputs

    def _normalise(
        self, inputs: tf.Tensor, mean: keras.Variable | None, variance: keras.Variable | None, *, is_training: bool
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        outputs: tuple[tf.Tensor, tf.Tensor, tf.Tensor] = tf.compat.v1.nn.fused_batch_norm(
            inputs, self.gamma, self.beta, mean, variance, self.epsilon, is_training=is_training
        )
        return outputs


def load(weights: Path, labels: int, recipe: Recipe) -> keras.Model:
    """Build the network of a recipe, and load its weights from a file."""
    network = build(labels, None, recipe.dropout, recipe.frozen_blocks)
    network.load_weights(weights)
    return network


def load_average(network: keras.Model, files: Sequence[Path]) -> None:
    """Set a network's weights to the mean of the weights in several files (Wortsman et al. 2022)."""
    weights = []
    for file in files:
        network.load_weights(file)
        weights.append(network.get_weights())
    network.set_weights([np.mean(values, axis=0) for values in zip(*weights, strict=True)])


def make_loss(targets: npt.NDArray[np.float32], recipe: Recipe) -> "LogitAdjustedCrossEntropy":
    """Return the loss for training on one-hot targets of shape (n, labels)."""
    priors = (targets.sum(axis=0) + 1) / (len(targets) + targets.shape[1])  # + 1: no prior is 0, its logarithm infinite
    return LogitAdjustedCrossEntropy(priors, recipe.class_balance, recipe.label_smoothing)


class LogitAdjustedCrossEntropy(keras.losses.Loss):  # type: ignore[misc] # Keras has no types
    """Cross-entropy that trains for equally frequent labels (logit adjustment, Menon et al. 2021).

    It adds `balance` times the logarithms of the labels' `priors`, of shape (labels,), to the logits. In serving
    nothing is added.
    """

    def __init__(self, priors: npt.NDArray[np.float64], balance: float, label_smoothing: float) -> None:
        super().__init__(name="logit_adjusted_cross_entropy")
        self._adjustment = balance * np.log(priors).astype(np.float32)
        self._smoothing = label_smoothing

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """Return losses of shape (batch,) for targets and logits of shape (batch, labels)."""
        return keras.losses.categorical_crossentropy(
            y_true, y_pred + self._adjustment, from_logits=True, label_smoothing=self._smoothing
        )


def fit_head(network: keras.Model, examples: Examples, recipe: Recipe) -> None:
    """Train only the head, on the features of unaugmented photos (a linear probe)."""
    features = extract_features(network, examples.images)
    mean, deviation = features.mean(axis=0), features.std(axis=0) + _MIN_DEVIATION
    probe = keras.Sequential([keras.Input(features.shape[1:]), keras.layers.Dense(examples.targets.shape[1])])
    probe.compile(keras.optimizers.AdamW(1e-3, weight_decay=0.05), make_loss(examples.targets, recipe))
    probe.fit((features - mean) / deviation, examples.targets, batch_size=64, epochs=recipe.head_epochs, verbose=0)
    kernel, bias = probe.get_weights()
    kernel = kernel / deviation[:, np.newaxis]
    network.get_layer(_HEAD).set_weights([kernel, bias - mean @ kernel])


def extract_features(network: keras.Model, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Return the inputs of the head, of shape (n, features), for uint8 images of shape (n, side, side, 3)."""
    extractor = keras.Model(network.input, network.get_layer(_FEATURES).output)
    features: npt.NDArray[np.float32] = extractor.predict(images, verbose=0)
    return features


def sample_photos(paths: Sequence[Path]) -> list[Path]:
    """Return up to 1,536 of a network's training photos in random order, for `prepare_for_serving`."""
    order = np.random.default_rng(0).permutation(len(paths))
    return [paths[index] for index in order[:_SAMPLE_SIZE]]


def prepare_for_serving(network: keras.Model, images: npt.NDArray[np.uint8]) -> keras.Model:
    """Return the trained network with the outputs "logits" and "familiarity", and with weights that fit float16.

    `images` are unaugmented training photos in random order: uint8, of shape (n, size, size, 3), of the size that is
    served. Changes `network`.
    """
    update_batch_norms(network, images)
    _fold_batch_norms(network.get_layer(_TRUNK))
    _round_weights(network.get_layer(_HEAD))
    return _add_familiarity(network, _fit_prototypes(extract_features(network, images)))


def update_batch_norms(network: keras.Model, images: npt.NDArray[np.uint8]) -> None:
    """Measure the statistics of the trainable batch norms again, as means over batches of images.

    `images` are as `prepare_for_serving` takes them. The moving averages from training are of mixed images, of other
    sizes, and of weights from before the averaging (Wu and Johnson 2021, "Rethinking 'Batch' in BatchNorm").
    """
    norms = [layer for layer in network.get_layer(_TRUNK).layers if _is_batch_norm(layer) and layer.trainable]
    for norm in norms:
        norm.momentum = 0  # so that it keeps only the statistics of the last batch
    variables = [variable for norm in norms for variable in (norm.moving_mean, norm.moving_variance)]
    # As a graph: in eager execution Keras holds the outputs of all layers in memory until the last layer is done.
    forward = tf.function(network, autograph=False)
    statistics = []
    for start in range(0, len(images), _NORM_BATCH):
        forward(images[start : start + _NORM_BATCH], training=True)
        statistics.append([variable.numpy() for variable in variables])
    for variable, values in zip(variables, zip(*statistics, strict=True), strict=True):
        variable.assign(np.mean(values, axis=0))


def _is_batch_norm(layer: keras.layers.Layer) -> bool:
    return isinstance(layer, keras.layers.BatchNormalization)


def _fold_batch_norms(trunk: keras.Model) -> None:
    """Multiply the batch norms into the convolutions, and round the products to float16.

    The converter folds the batch norms too, and rounds the products. Folding and rounding here makes the Keras network
    return the same probabilities as the converted one; without it they differ by 0.02.
    """
    for convolution, norm in itertools.pairwise(trunk.layers):
        if _is_batch_norm(norm):
            gamma, beta, mean, variance = norm.get_weights()
            scale = gamma / np.sqrt(variance + norm.epsilon)
            (kernel,) = convolution.get_weights()
            is_depthwise = isinstance(convolution, keras.layers.DepthwiseConv2D)
            convolution.set_weights([_to_float16(kernel * (scale[:, np.newaxis] if is_depthwise else scale))])
            ones, zeros = np.ones_like(gamma), np.zeros_like(gamma)
            norm.set_weights([ones * np.sqrt(1 + norm.epsilon), _to_float16(beta - mean * scale), zeros, ones])


def _round_weights(layer: keras.layers.Layer) -> None:
    layer.set_weights([_to_float16(weights) for weights in layer.get_weights()])


def _to_float16(weights: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return weights.astype(np.float16).astype(np.float32)


def _fit_prototypes(features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Cluster the directions of features of shape (n, features). Return unit vectors of shape (clusters, features)."""
    directions = np.unique(features / np.linalg.norm(features, axis=1, keepdims=True), axis=0)
    clusters = KMeans(min(_PROTOTYPES, len(directions)), n_init=1, random_state=0).fit(directions)
    centres = clusters.cluster_centers_
    prototypes: npt.NDArray[np.float32] = centres / np.linalg.norm(centres, axis=1, keepdims=True)
    return prototypes.astype(np.float32)


def _add_familiarity(network: keras.Model, prototypes: npt.NDArray[np.float32]) -> keras.Model:
    """Return the network with the outputs "logits" and "familiarity", of shape (batch,).

    The familiarity is the highest cosine similarity between a photo's features and the prototypes, of shape (n,
    features). Sun et al. 2022 measure distances between normalised features in the same way.
    """
    features = network.get_layer(_FEATURES).output
    direction = keras.layers.UnitNormalization(name="direction")(features)
    similarity = keras.layers.Dense(len(prototypes), use_bias=False, name="similarity")
    familiarity = keras.ops.max(similarity(direction), axis=-1)
    similarity.set_weights([_to_float16(prototypes.T)])
    return keras.Model(network.input, {"logits": network.output, "familiarity": familiarity})


def to_tflite(
    network: keras.Model,
    size: int,
    precisions: Sequence[str] = ("float16",),
    samples: npt.NDArray[np.uint8] | tuple[()] = (),
) -> dict[str, bytes]:
    """Convert a network to TensorFlow Lite files, one for each precision.

    They take one photo, uint8 RGB of shape (1, size, size, 3), and scale its pixels themselves. `precisions` are those
    of the weights: "float32", "float16" or "int8". With "int8" the arithmetic is int8 too, and its ranges are fitted to
    `samples`, photos of shape (n, size, size, 3).
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

    function = serve.get_concrete_function()
    return {precision: _convert(function, precision, samples) for precision in precisions}


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
