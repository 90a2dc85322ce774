"""Data augmentation: random crops, mirroring, colour jitter, CutMix and mixup."""

import keras
import numpy as np
import numpy.typing as npt
from PIL import Image

from evaluation.dataset import Examples
from training.recipe import Recipe

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # the weights of red, green and blue in ITU-R BT.601
_MAX_ASPECT_RATIO = 4 / 3  # of a crop, wide or high


class TrainingBatches(keras.utils.PyDataset):  # type: ignore[misc] # Keras has no types
    """Shuffled batches of augmented photos: float32 in [0, 255] of shape (batch, size, size, 3), and their targets.

    A batch depends only on the seed, the epoch and its index, so a resumed run gets the same batches as an
    uninterrupted one. The last photos of an epoch that do not fill a batch are left out.
    """

    def __init__(self, examples: Examples, size: int, epoch: int, recipe: Recipe) -> None:
        """Make batches of crops of `size` pixels a side; the first epoch has the number `epoch`."""
        super().__init__(workers=2, max_queue_size=8)
        self._examples = examples
        self._size = size
        self._epoch = epoch
        self._recipe = recipe

    def __len__(self) -> int:
        return max(1, len(self._examples.images) // self._recipe.batch_size)

    def on_epoch_end(self) -> None:
        """Move on to the next epoch; Keras calls this."""
        self._epoch += 1

    def __getitem__(self, index: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        recipe, examples = self._recipe, self._examples
        order = np.random.default_rng((recipe.seed, self._epoch)).permutation(len(examples.images))
        chosen = order[index * recipe.batch_size : (index + 1) * recipe.batch_size]
        rng = np.random.default_rng((recipe.seed, self._epoch, index))
        images = np.stack([augment(examples.images[number], self._size, recipe, rng) for number in chosen])
        targets = examples.targets[chosen]
        if rng.random() < recipe.cutmix_share:
            return cutmix(images, targets, rng)
        return mixup(images, targets, recipe.mixup, rng)


def augment(
    image: npt.NDArray[np.uint8], size: int, recipe: Recipe, rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Return a random crop of a photo, resized to a square of `size` pixels, mirrored at random, with colour jitter."""
    crop = random_resized_crop(image, size, recipe.smallest_crop, rng)
    mirrored = crop[:, ::-1] if rng.random() < 0.5 else crop  # noqa: PLR2004 - half of the photos
    return jitter_colours(mirrored, recipe.colour_jitter, rng)


def random_resized_crop(
    image: npt.NDArray[np.uint8], size: int, smallest: float, rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Cut a random part of at least `smallest` of the area out of a photo, and resize it to `size` × `size`."""
    height, width = image.shape[:2]
    area = rng.uniform(smallest, 1)
    aspect = np.exp(rng.uniform(-np.log(_MAX_ASPECT_RATIO), np.log(_MAX_ASPECT_RATIO)))
    crop_height, crop_width = min(np.sqrt(area / aspect), 1) * height, min(np.sqrt(area * aspect), 1) * width
    top, left = rng.uniform(0, height - crop_height), rng.uniform(0, width - crop_width)
    box = (left, top, left + crop_width, top + crop_height)
    return np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR, box=box), np.float32)


def jitter_colours(
    pixels: npt.NDArray[np.float32], strength: float, rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Change brightness and contrast by up to `strength`, saturation by 1.5 and white balance by 0.3 times as much."""
    brightness, contrast, saturation = (1 + rng.uniform(-strength, strength, 3) * (1, 1, 1.5)).astype(np.float32)
    white_balance = (1 + rng.uniform(-strength, strength, 3) * 0.3).astype(np.float32)
    brightened = pixels * brightness
    mean = brightened.mean()
    contrasted = (brightened - mean) * contrast + mean
    grey = (contrasted @ _LUMA)[..., np.newaxis]
    jittered: npt.NDArray[np.float32] = np.clip((grey + (contrasted - grey) * saturation) * white_balance, 0, 255)
    return jittered


def cutmix(
    images: npt.NDArray[np.float32], targets: npt.NDArray[np.float32], rng: np.random.Generator
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Replace a square of each image by that of another, and mix the targets by area (Yun et al. 2019).

    The square is the same for the whole batch.
    """
    size = images.shape[1]
    side = int(size * np.sqrt(1 - rng.uniform()))
    top, left = rng.integers(0, size - side + 1, 2)
    others = rng.permutation(len(images))
    mixed = images.copy()
    mixed[:, top : top + side, left : left + side] = images[others, top : top + side, left : left + side]
    share = np.float32(side * side / (size * size))
    return mixed, targets * (1 - share) + targets[others] * share


def mixup(
    images: npt.NDArray[np.float32], targets: npt.NDArray[np.float32], alpha: float, rng: np.random.Generator
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Blend each image and its target with another (Zhang et al. 2018).

    The weight, from Beta(alpha, alpha), is the same for the whole batch.
    """
    weight = np.float32(rng.beta(alpha, alpha))
    others = rng.permutation(len(images))
    return images * (1 - weight) + images[others] * weight, targets * (1 - weight) + targets[others] * weight
