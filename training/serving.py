"""The network as it is served: with folded batch norms and float16 weights, and with a photo's familiarity."""

from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
from sklearn.cluster import KMeans

from training import network
from training.network import Features

_PROTOTYPES = 100
_TEXTURE_WEIGHT = 0.15  # enough to call 95 % of drawings and screenshots unfamiliar; more would cost familiar photos
_MIN_DEVIATION = 1e-3  # of a texture that hardly varies


@dataclass(frozen=True, slots=True)
class Familiarity:
    """What the features of familiar photos are like.

    `prototypes`, of shape (features, clusters), are unit vectors: the directions of the clusters of pooled features.
    `texture_means` and `texture_deviations` are of shape (textures,).

    The familiarity is the cosine to the nearest prototype (Sun et al. 2022 measure distances between normalised
    features in the same way), less a penalty for textures that are far from the usual ones: 0.15 times the logarithm of
    their mean squared standard score, if that is over 1. Fine-tuned features alone take screenshots and drawings for
    clothes; their flat areas and sharp edges show in the statistics of earlier layers.
    """

    prototypes: npt.NDArray[np.float32]
    texture_means: npt.NDArray[np.float32]
    texture_deviations: npt.NDArray[np.float32]

    @classmethod
    def fit(cls, features: Features) -> "Familiarity":
        """Fit it to the features of unaugmented training photos."""
        pooled, textures = features
        directions = np.unique(pooled / np.linalg.norm(pooled, axis=1, keepdims=True), axis=0)
        clusters = KMeans(min(_PROTOTYPES, len(directions)), n_init=1, random_state=0).fit(directions)
        centres = clusters.cluster_centers_ / np.linalg.norm(clusters.cluster_centers_, axis=1, keepdims=True)
        deviations = np.maximum(textures.std(axis=0), _MIN_DEVIATION)
        return cls(_to_float16(centres.T), textures.mean(axis=0), deviations)


@dataclass(frozen=True, slots=True)
class Served:
    """A network to serve: the name of its `trunk`, its folded weights, and its familiarity."""

    trunk: str
    weights: list[npt.NDArray[np.float32]]
    familiarity: Familiarity

    def build(self) -> keras.Model:
        """Build it: from pixels, float32, of shape (batch, side, side, 3), to `logits` and `familiarity`, (batch,)."""
        core = network.build(self.trunk, len(self.weights[-1]), folded=True)
        core.set_weights(self.weights)
        familiarity = _familiarity(self.familiarity, core.output["pooled"], core.output["textures"])
        return keras.Model(core.input, {"logits": core.output["logits"], "familiarity": familiarity})

    def save(self, path: Path) -> None:
        """Write it into a file, the weights as float16: that is what they were rounded to."""
        arrays = {f"weights_{number:03}": weights.astype(np.float16) for number, weights in enumerate(self.weights)}
        familiarity = self.familiarity
        np.savez(
            path,
            trunk=self.trunk,
            prototypes=familiarity.prototypes.astype(np.float16),
            texture_means=familiarity.texture_means,
            texture_deviations=familiarity.texture_deviations,
            **arrays,
        )

    @classmethod
    def load(cls, path: Path) -> "Served":
        """Read the file that `save` wrote. Raise `OSError`."""
        with np.load(path) as arrays:
            weights = [arrays[name].astype(np.float32) for name in sorted(arrays) if name.startswith("weights_")]
            familiarity = Familiarity(
                arrays["prototypes"].astype(np.float32), arrays["texture_means"], arrays["texture_deviations"]
            )
            return cls(str(arrays["trunk"]), weights, familiarity)


def _familiarity(familiarity: Familiarity, pooled: keras.KerasTensor, textures: keras.KerasTensor) -> keras.KerasTensor:
    similarity = keras.layers.Dense(familiarity.prototypes.shape[1], use_bias=False)
    cosine = keras.ops.max(similarity(keras.layers.UnitNormalization()(pooled)), axis=-1)
    similarity.set_weights([familiarity.prototypes])
    scores = (textures - familiarity.texture_means) / familiarity.texture_deviations
    distance = keras.ops.mean(scores * scores, axis=-1)
    return cosine - _TEXTURE_WEIGHT * keras.ops.log(keras.ops.maximum(distance, 1.0))


def _to_float16(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    return values.astype(np.float16).astype(np.float32)
