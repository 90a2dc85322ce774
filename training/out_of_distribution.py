"""Out-of-distribution images: photos of other clothes, and generated images that sellers may upload by mistake."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from evaluation.dataset import list_photos, read_photos

UNKNOWN_FOLDER = "unknown"
_GENERATED = 100  # images of each kind
_WORDS = ("order", "total", "price", "size", "colour", "delivery", "account", "search", "basket", "settings", "save")


def ood_images(data: Sequence[Path], size: int) -> dict[str, npt.NDArray[np.uint8]]:
    """Return RGB images of shape (n, size, size, 3) by kind: generated ones, and the photos in the folders `unknown`.

    `data` are the folders of the data sets. Raise `DatasetError`.
    """
    folders = [folder / UNKNOWN_FOLDER for folder in data if (folder / UNKNOWN_FOLDER).is_dir()]
    unknown = [path for folder in folders for path in list_photos(folder)]
    photos = {"other photos": read_photos(unknown, size)} if unknown else {}
    return photos | {kind: generate(kind, _GENERATED, size) for kind in KINDS}


def generate(kind: str, count: int, size: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    """Generate images of one of the `KINDS`: RGB, of shape (count, size, size, 3)."""
    rng = np.random.default_rng(seed)
    return np.stack([np.asarray(KINDS[kind](size, rng), np.uint8) for _ in range(count)])


def _noise(size: int, rng: np.random.Generator) -> Image.Image:
    """Draw fine to coarse noise: a grid of random colours, scaled up."""
    cells = int(rng.choice([size, size // 2, size // 8, size // 32]))
    grid = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), np.uint8))
    return grid.resize((size, size), Image.Resampling.BICUBIC)


def _plain(size: int, rng: np.random.Generator) -> Image.Image:
    """Draw one colour or a gradient between two, such as a photo with a covered lens."""
    first, second = rng.integers(0, 256, (2, 3))
    if rng.random() < 0.5:  # noqa: PLR2004 - half of the images
        second = first
    slope = np.linspace(0, 1, size)[:, np.newaxis, np.newaxis]
    return Image.fromarray(np.broadcast_to(first * (1 - slope) + second * slope, (size, size, 3)).astype(np.uint8))


def _drawing(size: int, rng: np.random.Generator) -> Image.Image:
    """Draw lines, ellipses and polygons on a light background."""
    image = Image.new("RGB", (size, size), _colour(rng, 200))
    draw = ImageDraw.Draw(image)
    for _ in range(rng.integers(3, 12)):
        _draw_shape(draw, size, rng)
    return image


def _draw_shape(draw: ImageDraw.ImageDraw, size: int, rng: np.random.Generator) -> None:
    points = [tuple(map(int, point)) for point in rng.integers(0, size, (3, 2))]
    box = (*np.minimum(points[0], points[1]).tolist(), *(np.maximum(points[0], points[1]) + 1).tolist())
    width = int(rng.integers(1, 2 + size // 40))
    shape = rng.integers(0, 3)
    if shape == 0:
        draw.line(points, fill=_colour(rng), width=width)
    elif shape == 1:
        draw.ellipse(box, outline=_colour(rng), width=width)
    else:
        draw.polygon(points, fill=_colour(rng), outline=_colour(rng))


def _screenshot(size: int, rng: np.random.Generator) -> Image.Image:
    """Draw a screenshot of an app: a title bar, lines of text, placeholders of images and a button."""
    is_light = rng.random() < 0.7  # noqa: PLR2004 - most apps are
    background, ink = ("white", "black") if is_light else ("#202124", "white")
    image = Image.new("RGB", (size, size), background)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, size, size // 9), fill=_colour(rng))
    draw.text((size // 20, size // 40), str(rng.choice(_WORDS)), fill="white", font_size=size / 14)
    top = size // 6
    while top < size * 0.85:
        top += _draw_row(draw, size, top, ink, rng)
    draw.rounded_rectangle((size * 0.6, size * 0.88, size * 0.95, size * 0.97), size // 50, fill=_colour(rng))
    return image


def _draw_row(draw: ImageDraw.ImageDraw, size: int, top: int, ink: str, rng: np.random.Generator) -> int:
    """Draw a placeholder or a line of text, and return its height."""
    if rng.random() < 0.2:  # noqa: PLR2004 - a fifth of the rows
        draw.rectangle((size // 20, top, size // 3, top + size // 6), fill=_colour(rng, 120))
        return size // 5
    text = " ".join(rng.choice(_WORDS, rng.integers(2, 7)))
    draw.text((size // 20, top), text, fill=ink, font_size=size / 22)
    return size // 15


def _colour(rng: np.random.Generator, darkest: int = 0) -> tuple[int, ...]:
    return tuple(rng.integers(darkest, 256, 3).tolist())


KINDS: dict[str, Callable[[int, np.random.Generator], Image.Image]] = {
    "noise": _noise,
    "plain colours": _plain,
    "drawings": _drawing,
    "screenshots": _screenshot,
}
