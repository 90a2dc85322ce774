"""What a seller might as well have photographed: other framing, light and backgrounds, and mixtures of photos."""

import keras
import numpy as np
import numpy.typing as npt
from PIL import Image

from training.dataset import Examples
from training.recipe import Recipe

_GREY = np.array([0.299, 0.587, 0.114], np.float32)  # the luma of ITU-R BT.601
_ASPECT = 4 / 3  # a crop is at most so much wider than high, or higher than wide


class TrainingBatches(keras.utils.PyDataset):  # type: ignore[misc] # Keras has no types
    """Shuffled batches of augmented photos: float32 in [0, 255] of shape (batch, size, size, 3), and their targets.

    Each batch depends on the seed, the epoch and its number alone, so a run that is resumed sees what it would have
    seen. The photos that fill no batch wait for another epoch's order.
    """

    def __init__(self, examples: Examples, size: int, epoch: int, recipe: Recipe) -> None:
        """Of photos of `size` pixels a side, from `epoch` on."""
        super().__init__(workers=2, max_queue_size=8)
        self._examples = examples
        self._size = size
        self._epoch = epoch
        self._recipe = recipe

    def __len__(self) -> int:
        return max(1, len(self._examples.images) // self._recipe.batch_size)

    def on_epoch_end(self) -> None:
        """Keras says that the next batch is of another epoch."""
        self._epoch += 1

    def __getitem__(self, number: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        order = np.random.default_rng((self._recipe.seed, self._epoch)).permutation(len(self._examples.images))
        chosen = order[number * self._recipe.batch_size : (number + 1) * self._recipe.batch_size]
        rng = np.random.default_rng((self._recipe.seed, self._epoch, number))
        photos = np.stack([augment(self._examples.images[index], self._size, self._recipe, rng) for index in chosen])
        targets = self._examples.targets[chosen]
        if rng.random() < self._recipe.cutmix_share:
            return cutmix(photos, targets, rng)
        return mixup(photos, targets, self._recipe.mixup, rng)


def augment(
    image: npt.NDArray[np.uint8], size: int, recipe: Recipe, rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Cut a random part out of a photo, scale it to a square of `size` pixels, mirror it and change its colours."""
    height, width = image.shape[:2]
    area = rng.uniform(recipe.smallest_crop, 1)
    aspect = np.exp(rng.uniform(-np.log(_ASPECT), np.log(_ASPECT)))
    part_height, part_width = min(np.sqrt(area / aspect), 1) * height, min(np.sqrt(area * aspect), 1) * width
    top, left = rng.uniform(0, height - part_height), rng.uniform(0, width - part_width)
    part = Image.fromarray(image).resize(
        (size, size), Image.Resampling.BILINEAR, box=(left, top, left + part_width, top + part_height)
    )
    mirrored = -1 if rng.random() < 0.5 else 1  # noqa: PLR2004 - every other one
    return jitter(np.asarray(part, np.float32)[:, ::mirrored], recipe.colour_jitter, rng)


def jitter(pixels: npt.NDArray[np.float32], most: float, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Change brightness and contrast by up to `most`, saturation by half as much again, white balance by a third."""
    brightness, contrast, saturation = (1 + rng.uniform(-most, most, 3) * (1, 1, 1.5)).astype(np.float32)
    white_balance = (1 + rng.uniform(-most, most, 3) * 0.3).astype(np.float32)
    lit = pixels * brightness
    mean = lit.mean()
    contrasted = (lit - mean) * contrast + mean
    grey = (contrasted @ _GREY)[..., np.newaxis]
    jittered: npt.NDArray[np.float32] = np.clip((grey + (contrasted - grey) * saturation) * white_balance, 0, 255)
    return jittered


def cutmix(
    photos: npt.NDArray[np.float32], targets: npt.NDArray[np.float32], rng: np.random.Generator
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Paste a square of another photo into each, the same square for all; targets go by area (Yun et al. 2019)."""
    size = photos.shape[1]
    side = int(size * np.sqrt(1 - rng.uniform()))
    top, left = rng.integers(0, size - side + 1, 2)
    others = rng.permutation(len(photos))
    mixed = photos.copy()
    mixed[:, top : top + side, left : left + side] = photos[others, top : top + side, left : left + side]
    share = np.float32(side * side / (size * size))
    return mixed, targets * (1 - share) + targets[others] * share


def mixup(
    photos: npt.NDArray[np.float32], targets: npt.NDArray[np.float32], alpha: float, rng: np.random.Generator
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Blend each photo and its target with another's, all in the same proportion, Beta(alpha, alpha)."""
    share = np.float32(rng.beta(alpha, alpha))
    others = rng.permutation(len(photos))
    return photos * (1 - share) + photos[others] * share, targets * (1 - share) + targets[others] * share
