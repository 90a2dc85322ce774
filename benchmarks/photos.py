"""Photos to measure with, drawn with as much detail as phones' have, so that their files are about as long."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from classifier.photos import register_rare_formats

SMALL = (300, 400)  # as in the data set
PHONE = (3024, 4032)
LARGE = (6048, 8064)
_SEED = 0


@dataclass(frozen=True)
class Drawn:
    """A photo of so many pixels in a format of Pillow's."""

    name: str
    size: tuple[int, int]
    format: str
    options: dict[str, Any]
    grain: bool = True


DRAWN = (
    Drawn("JPEG, 400 px", SMALL, "JPEG", {"quality": 90}),
    Drawn("JPEG, 4 MP", (1728, 2304), "JPEG", {"quality": 90}),
    Drawn("JPEG, 12 MP", PHONE, "JPEG", {"quality": 90}),
    Drawn("JPEG, 48 MP", LARGE, "JPEG", {"quality": 90}),
    Drawn("JPEG, progressive, 12 MP", PHONE, "JPEG", {"quality": 90, "progressive": True}),
    Drawn("HEIC, 12 MP", PHONE, "HEIF", {"quality": 60, "tile_size": 512, "enc_params": {"preset": "ultrafast"}}),
    Drawn("HEIC, 48 MP", LARGE, "HEIF", {"quality": 60, "tile_size": 512, "enc_params": {"preset": "ultrafast"}}),
    Drawn("WebP, 12 MP", PHONE, "WEBP", {"quality": 80, "method": 0}),
    Drawn("PNG, 12 MP", PHONE, "PNG", {"compress_level": 1}),
    Drawn("PNG, 48 MP", LARGE, "PNG", {"compress_level": 1}, grain=False),  # with it, longer than is accepted
)


def drawn_photos(folder: Path) -> dict[str, Path]:
    """A file for each of `DRAWN` by its name, drawn anew where the folder has none yet."""
    register_rare_formats()
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for photo in DRAWN:
        file = folder / f"{photo.name.replace(' ', '-').replace(',', '')}.{photo.format.lower()}"
        if not file.exists():
            _garment(photo.size, grain=photo.grain).save(file, photo.format, **photo.options)
        files[photo.name] = file
    return files


def given_photos(folder: Path) -> dict[str, Path]:
    """A folder's photos by their names."""
    return {file.name: file for file in sorted(folder.iterdir()) if file.is_file()}


def _garment(size: tuple[int, int], *, grain: bool) -> Image.Image:
    """A shirt on a carpet; the carpet's grain is what a camera makes long files of."""
    width, height = size
    generator = np.random.default_rng(_SEED)
    coarse = generator.normal(150, 25, (height // 16 + 1, width // 16 + 1, 3)).clip(0, 255).astype(np.uint8)
    if grain:
        floor = np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)).astype(np.int16)
        floor += generator.integers(-9, 10, (height, width, 1), np.int16)
        canvas = Image.fromarray(floor.clip(0, 255).astype(np.uint8))
    else:
        canvas = Image.fromarray(coarse).resize(size, Image.Resampling.NEAREST)
    outline = [
        (0.3, 0.2),
        (0.7, 0.2),
        (0.9, 0.4),
        (0.8, 0.5),
        (0.7, 0.4),
        (0.7, 0.9),
        (0.3, 0.9),
        (0.3, 0.4),
        (0.2, 0.5),
    ]
    ImageDraw.Draw(canvas).polygon([(x * width, y * height) for x, y in [*outline, (0.1, 0.4)]], (30, 70, 160))
    return canvas
