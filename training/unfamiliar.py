"""What the model does not know: photos of other clothes, and pictures that a seller may send by mistake, drawn."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from training.dataset import photo_files, read_photos

_UNKNOWN_FOLDER = "unknown"
_DRAWN = 100  # of each kind
_WORDS = ("order", "total", "price", "size", "colour", "delivery", "account", "search", "basket", "settings", "save")


def unfamiliar_pictures(data: Path, size: int) -> dict[str, npt.NDArray[np.uint8]]:
    """By kind, RGB of shape (n, size, size, 3): the photos in `data/unknown`, if there is one, and the drawn kinds."""
    unknown = data / _UNKNOWN_FOLDER
    photos = {"other clothes": read_photos(photo_files(unknown), size)} if unknown.is_dir() else {}
    return photos | {kind: draw(kind, _DRAWN, size) for kind in KINDS}


def draw(kind: str, count: int, size: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    """Pictures of one of the `KINDS`: RGB, of shape (count, size, size, 3)."""
    rng = np.random.default_rng(seed)
    return np.stack([np.asarray(KINDS[kind](size, rng), np.uint8) for _ in range(count)])


def _noise(size: int, rng: np.random.Generator) -> Image.Image:
    """Fine to coarse: a grid of random colours, scaled up."""
    grain = int(rng.choice([size, size // 2, size // 8, size // 32]))
    grid = Image.fromarray(rng.integers(0, 256, (grain, grain, 3), np.uint8))
    return grid.resize((size, size), Image.Resampling.BICUBIC)


def _plain(size: int, rng: np.random.Generator) -> Image.Image:
    """One colour, or a slow change from one to another, as of a lens that something covers."""
    first, second = rng.integers(0, 256, (2, 3))
    if rng.random() < 0.5:  # noqa: PLR2004 - every other one
        second = first
    slope = np.linspace(0, 1, size)[:, np.newaxis, np.newaxis]
    return Image.fromarray(np.broadcast_to(first * (1 - slope) + second * slope, (size, size, 3)).astype(np.uint8))


def _drawing(size: int, rng: np.random.Generator) -> Image.Image:
    """Lines, ellipses and polygons on paper."""
    image = Image.new("RGB", (size, size), _colour(rng, 200))
    pen = ImageDraw.Draw(image)
    for _ in range(rng.integers(3, 12)):
        points = [tuple(map(int, point)) for point in rng.integers(0, size, (3, 2))]
        box = (*np.minimum(points[0], points[1]).tolist(), *(np.maximum(points[0], points[1]) + 1).tolist())
        width = int(rng.integers(1, 2 + size // 40))
        shape = rng.integers(0, 3)
        if shape == 0:
            pen.line(points, fill=_colour(rng), width=width)
        elif shape == 1:
            pen.ellipse(box, outline=_colour(rng), width=width)
        else:
            pen.polygon(points, fill=_colour(rng), outline=_colour(rng))
    return image


def _screenshot(size: int, rng: np.random.Generator) -> Image.Image:
    """A page of an app: a bar with its title, lines of text, pictures' places and a button."""
    light = rng.random() < 0.7  # noqa: PLR2004 - most are
    paper, ink = ("white", "black") if light else ("#202124", "white")
    image = Image.new("RGB", (size, size), paper)
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, 0, size, size // 9), fill=_colour(rng))
    pen.text((size // 20, size // 40), str(rng.choice(_WORDS)), fill="white", font_size=size / 14)
    top = size // 6
    while top < size * 0.85:
        if rng.random() < 0.2:  # noqa: PLR2004 - some
            pen.rectangle((size // 20, top, size // 3, top + size // 6), fill=_colour(rng, 120))
            top += size // 5
        else:
            text = " ".join(rng.choice(_WORDS, rng.integers(2, 7)))
            pen.text((size // 20, top), text, fill=ink, font_size=size / 22)
            top += size // 15
    pen.rounded_rectangle((size * 0.6, size * 0.88, size * 0.95, size * 0.97), size // 50, fill=_colour(rng))
    return image


def _colour(rng: np.random.Generator, least: int = 0) -> tuple[int, ...]:
    return tuple(rng.integers(least, 256, 3).tolist())


KINDS: dict[str, Callable[[int, np.random.Generator], Image.Image]] = {
    "noise": _noise,
    "plain colours": _plain,
    "drawings": _drawing,
    "screenshots": _screenshot,
}
