"""Photos to measure with. They are drawn with as much detail as phones' photos, so their files are about as large."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from classifier.photos import register_modern_formats

SMALL = (300, 400)  # as in the data set
PHONE = (3024, 4032)
LARGE = (6048, 8064)
_SEED = 0
_SHIRT = (  # corners, as fractions of width and height
    (0.3, 0.2),
    (0.7, 0.2),
    (0.9, 0.4),
    (0.8, 0.5),
    (0.7, 0.4),
    (0.7, 0.9),
    (0.3, 0.9),
    (0.3, 0.4),
    (0.2, 0.5),
    (0.1, 0.4),
)


@dataclass(frozen=True)
class Drawing:
    """A photo to draw: its size in pixels, Pillow's name of its format, and the encoder's options."""

    name: str
    size: tuple[int, int]
    format: str
    options: dict[str, Any]
    noise: bool = True


DRAWINGS = (
    Drawing("JPEG, 400 px", SMALL, "JPEG", {"quality": 90}),
    Drawing("JPEG, 4 MP", (1728, 2304), "JPEG", {"quality": 90}),
    Drawing("JPEG, 12 MP", PHONE, "JPEG", {"quality": 90}),
    Drawing("JPEG, 48 MP", LARGE, "JPEG", {"quality": 90}),
    Drawing("JPEG, progressive, 12 MP", PHONE, "JPEG", {"quality": 90, "progressive": True}),
    Drawing("HEIC, 12 MP", PHONE, "HEIF", {"quality": 60, "tile_size": 512, "enc_params": {"preset": "ultrafast"}}),
    Drawing("HEIC, 48 MP", LARGE, "HEIF", {"quality": 60, "tile_size": 512, "enc_params": {"preset": "ultrafast"}}),
    Drawing("WebP, 12 MP", PHONE, "WEBP", {"quality": 80, "method": 0}),
    Drawing("PNG, 12 MP", PHONE, "PNG", {"compress_level": 1}),
    # With noise, the file would exceed the size limit.
    Drawing("PNG, 48 MP", LARGE, "PNG", {"compress_level": 1}, noise=False),
)


def draw_photos(folder: Path) -> dict[str, Path]:
    """Return the file of each drawing by its name. Draw those that the folder does not have yet."""
    register_modern_formats()
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for drawing in DRAWINGS:
        file = folder / f"{drawing.name.replace(' ', '-').replace(',', '')}.{drawing.format.lower()}"
        if not file.exists():
            _draw_shirt(drawing.size, noise=drawing.noise).save(file, drawing.format, **drawing.options)
        files[drawing.name] = file
    return files


def find_photos(folder: Path) -> dict[str, Path]:
    """Return the folder's files by their names."""
    return {file.name: file for file in sorted(folder.iterdir()) if file.is_file()}


def _draw_shirt(size: tuple[int, int], *, noise: bool) -> Image.Image:
    """Return an image of a shirt on a carpet. Noise makes files as large as those of a camera."""
    width, height = size
    generator = np.random.default_rng(_SEED)
    coarse = generator.normal(150, 25, (height // 16 + 1, width // 16 + 1, 3)).clip(0, 255).astype(np.uint8)
    if noise:
        carpet = np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)).astype(np.int16)
        carpet += generator.integers(-9, 10, (height, width, 1), np.int16)
        canvas = Image.fromarray(carpet.clip(0, 255).astype(np.uint8))
    else:
        canvas = Image.fromarray(coarse).resize(size, Image.Resampling.NEAREST)
    ImageDraw.Draw(canvas).polygon([(x * width, y * height) for x, y in _SHIRT], (30, 70, 160))
    return canvas
