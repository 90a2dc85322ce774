"""Data augmentation: random crops, mirroring, colour jitter, CutMix and mixup.

The random numbers are drawn by numpy, and depend only on the seed and the step. So a resumed run sees the same pictures
as an uninterrupted one, and every backend of Keras sees the same. The backend does the work on the pixels.
"""

from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt

from training.recipe import Recipe

_LUMA = (0.299, 0.587, 0.114)  # the weights of red, green and blue in ITU-R BT.601
_MAX_ASPECT_RATIO = 4 / 3  # of a crop, wide or high


class Examples(NamedTuple):
    """Training examples: `images`, uint8, of shape (n, side, side, 3), and one-hot `targets`, of shape (n, labels)."""

    images: npt.NDArray[np.uint8]
    targets: npt.NDArray[np.float32]


class TrainingBatches(keras.utils.PyDataset):  # type: ignore[misc] # Keras has no types
    """The batches of some steps: photos with the parameters of their augmentation, and the mixed targets.

    The photos are in random order; after the last one they start again in another order.
    """

    def __init__(self, examples: Examples, size: int, steps: range, recipe: Recipe, seed: int) -> None:
        """Make the batches of pictures of `size` pixels a side for these steps."""
        super().__init__(workers=2, max_queue_size=8)
        self._examples = examples
        self._size = size
        self._steps = steps
        self._recipe = recipe
        self._seed = seed

    def __len__(self) -> int:
        return len(self._steps)

    def __getitem__(self, index: int) -> tuple[dict[str, npt.NDArray[Any]], npt.NDArray[np.float32]]:
        step = self._steps[index]
        chosen = choose_photos(len(self._examples.images), self._recipe.batch_size, step, self._seed)
        parameters = draw_parameters(
            len(chosen), self._size, self._recipe, np.random.default_rng((self._seed, step, 1))
        )
        targets = self._examples.targets[chosen]
        share = parameters.mixed_share()[:, np.newaxis]
        mixed = targets * (1 - share) + targets[parameters.partners] * share
        return {"images": self._examples.images[chosen], **parameters._asdict()}, mixed.astype(np.float32)


def choose_photos(photos: int, batch_size: int, step: int, seed: int) -> npt.NDArray[np.int64]:
    """Return the indexes of a step's photos, of shape (batch_size,), from an endless sequence of permutations."""
    positions = np.arange(step * batch_size, (step + 1) * batch_size)
    passes, places = np.divmod(positions, photos)
    orders = {number: np.random.default_rng((seed, int(number))).permutation(photos) for number in np.unique(passes)}
    return np.array([orders[number][place] for number, place in zip(passes, places, strict=True)], np.int64)


class Parameters(NamedTuple):
    """How the pictures of a batch are made from its photos.

    `rows` and `columns`, of shape (batch, size), are the centres of the picture's pixels in the photo, as fractions of
    its sides; the columns of a mirrored picture run backwards. `colours`, of shape (batch, 6), has the factors of
    brightness, contrast, saturation, red, green and blue. `partners`, of shape (batch,), are the indexes of the
    pictures that are mixed in. `row_shares` and `column_shares`, of shape (batch, size): their product is the share of
    the partner in each pixel.
    """

    rows: npt.NDArray[np.float32]
    columns: npt.NDArray[np.float32]
    colours: npt.NDArray[np.float32]
    partners: npt.NDArray[np.int32]
    row_shares: npt.NDArray[np.float32]
    column_shares: npt.NDArray[np.float32]

    def mixed_share(self) -> npt.NDArray[np.float32]:
        """Return the share of the partner in each picture, of shape (batch,)."""
        shares: npt.NDArray[np.float32] = self.row_shares.mean(axis=1) * self.column_shares.mean(axis=1)
        return shares


def draw_parameters(batch: int, size: int, recipe: Recipe, rng: np.random.Generator) -> Parameters:
    """Draw the parameters of a batch of pictures of `size` pixels a side."""
    rows, columns = _draw_crops(batch, size, recipe.smallest_crop, rng)
    mix = _draw_cutmix if rng.random() < recipe.cutmix_share else _draw_mixup
    shares = mix(batch, size, recipe, rng)
    colours = _draw_colours(batch, recipe.colour_jitter, rng)
    return Parameters(rows, columns, colours, rng.permutation(batch).astype(np.int32), *shares)


def _draw_crops(
    batch: int, size: int, smallest: float, rng: np.random.Generator
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Draw parts of at least `smallest` of the area of a photo, half of them mirrored."""
    area = rng.uniform(smallest, 1, batch)
    aspect = np.exp(rng.uniform(-np.log(_MAX_ASPECT_RATIO), np.log(_MAX_ASPECT_RATIO), batch))
    centres = (np.arange(size) + 0.5) / size
    sides = np.minimum(np.sqrt(np.stack([area / aspect, area * aspect])), 1)[..., np.newaxis]
    starts = rng.uniform(0, 1 - sides)
    rows, columns = (starts + sides * centres).astype(np.float32)
    is_mirrored = rng.random(batch) < 0.5  # noqa: PLR2004 - half of the photos
    columns[is_mirrored] = columns[is_mirrored, ::-1]
    return rows, columns


def _draw_colours(batch: int, strength: float, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Change brightness and contrast by up to `strength`, saturation by 1.5 and each colour by 0.3 times as much."""
    ranges = strength * np.array([1, 1, 1.5, 0.3, 0.3, 0.3])
    return (1 + rng.uniform(-ranges, ranges, (batch, 6))).astype(np.float32)


def _draw_cutmix(
    batch: int, size: int, recipe: Recipe, rng: np.random.Generator
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Draw a square, the same for the whole batch, that comes from the partner (Yun et al. 2019)."""
    del recipe
    side = int(size * np.sqrt(1 - rng.uniform()))
    top, left = rng.integers(0, size - side + 1, 2)
    shares = np.zeros((2, batch, size), np.float32)
    shares[0, :, top : top + side] = 1
    shares[1, :, left : left + side] = 1
    return shares[0], shares[1]


def _draw_mixup(
    batch: int, size: int, recipe: Recipe, rng: np.random.Generator
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Draw the weight of the partner from Beta(mixup, mixup), the same for the whole batch (Zhang et al. 2018)."""
    share = np.float32(rng.beta(recipe.mixup, recipe.mixup))
    return np.full((batch, size), share), np.ones((batch, size), np.float32)


def make_pictures(batch: dict[str, Any]) -> Any:
    """Return pictures of `images` with their `Parameters`: float32 in [0, 255], of shape (batch, size, size, 3)."""
    pictures = jitter_colours(resample(batch["images"], batch["rows"], batch["columns"]), batch["colours"])
    shares = batch["row_shares"][:, :, None, None] * batch["column_shares"][:, None, :, None]
    partners = keras.ops.take(pictures, batch["partners"], axis=0)
    return pictures * (1 - shares) + partners * shares


def resample(images: Any, rows: Any, columns: Any) -> Any:
    """Crop, mirror and resize images of shape (batch, side, side, 3): two matrix products for each image."""
    images = keras.ops.cast(images, "float32")
    vertical = _interpolation(rows, images.shape[1])
    horizontal = _interpolation(columns, images.shape[2])
    narrowed = keras.ops.einsum("bsh,bhwc->bswc", vertical, images)
    return keras.ops.einsum("btw,bswc->bstc", horizontal, narrowed)


def _interpolation(centres: Any, side: int) -> Any:
    """Return the weights of the photo's pixels in the picture's, of shape (batch, size, side).

    Bilinear, over as many pixels of the photo as the picture's pixel covers, as Pillow resizes.
    """
    pixels = keras.ops.arange(0.5, side, dtype="float32")
    positions = centres * side
    spacing = keras.ops.maximum(keras.ops.abs(positions[:, 1:2] - positions[:, 0:1]), 1.0)[..., None]
    weights = keras.ops.relu(1 - keras.ops.abs(pixels - positions[..., None]) / spacing)
    return weights / keras.ops.sum(weights, axis=-1, keepdims=True)


def jitter_colours(pictures: Any, colours: Any) -> Any:
    """Change the colours of pictures of shape (batch, size, size, 3) by the factors of `Parameters`."""
    brightness, contrast, saturation = (colours[:, index, None, None, None] for index in range(3))
    brightened = pictures * brightness
    mean = keras.ops.mean(brightened, axis=(1, 2, 3), keepdims=True)
    contrasted = (brightened - mean) * contrast + mean
    grey = keras.ops.sum(contrasted * keras.ops.convert_to_tensor(_LUMA, "float32"), axis=-1, keepdims=True)
    return keras.ops.clip((grey + (contrasted - grey) * saturation) * colours[:, None, None, 3:], 0, 255)
