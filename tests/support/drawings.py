"""Draws the photos that the tests upload: garments that the model can tell apart."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pillow_heif
from PIL import Image, ImageDraw

from classifier.photos import register_modern_formats

pillow_heif.register_heif_opener()  # Pillow then writes HEIF too
register_modern_formats()  # reads it as the function does, and writes the others

_FLOOR = (196, 178, 150)


def garment(kind: str, size: tuple[int, int] = (400, 400)) -> Image.Image:
    """Return a picture of a garment on a floor, as sellers photograph them."""
    canvas = Image.new("RGB", (400, 400), _FLOOR)
    noise = np.random.default_rng(7).normal(0, 6, (400, 400, 1))  # a floor is never one colour
    canvas = Image.fromarray(np.clip(np.asarray(canvas) + noise, 0, 255).astype(np.uint8))
    _GARMENTS[kind](ImageDraw.Draw(canvas))
    return canvas.resize(size, Image.Resampling.BICUBIC)


def encoded(image: Image.Image, image_format: str = "JPEG", **options: Any) -> bytes:
    """Return the image as a file of the format."""
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def photo(kind: str = "t-shirt", size: tuple[int, int] = (400, 400)) -> bytes:
    """Return a JPEG of a garment."""
    return encoded(garment(kind, size), quality=90)


def care_label(size: tuple[int, int] = (400, 400)) -> bytes:
    """Return a JPEG of a care label: symbols and lines of text on white fabric."""
    noise = np.random.default_rng(7).normal(0, 7, (400, 400, 1))
    weave = noise + np.array([86, 96, 112])
    canvas = Image.fromarray(np.clip(weave, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(canvas)
    draw.rectangle((90, 40, 310, 360), fill=(246, 245, 240), outline=(190, 188, 180), width=2)
    ink = (40, 40, 45)
    draw.polygon([(110, 80), (120, 115), (150, 115), (160, 80)], outline=ink, width=3)  # a washtub
    draw.polygon([(185, 115), (203, 80), (221, 115)], outline=ink, width=3)  # bleach
    draw.rectangle((245, 80, 282, 117), outline=ink, width=3)  # a dryer
    draw.ellipse((250, 85, 277, 112), outline=ink, width=3)
    for line in range(9):
        draw.rectangle((110, 145 + 22 * line, 290 - 23 * (line % 4), 152 + 22 * line), fill=ink)
    return encoded(canvas.resize(size, Image.Resampling.BICUBIC), quality=90)


def _t_shirt(draw: ImageDraw.ImageDraw) -> None:
    body = [(130, 80), (165, 70), (200, 90), (235, 70), (270, 80), (350, 150), (310, 195), (275, 170)]
    draw.polygon([*body, (275, 350), (125, 350), (125, 170), (90, 195), (50, 150)], fill=(30, 70, 160))
    draw.arc((165, 45, 235, 100), 20, 160, fill=(20, 50, 120), width=5)


def _pants(draw: ImageDraw.ImageDraw) -> None:
    draw.polygon([(130, 30), (270, 30), (290, 380), (225, 380), (200, 140), (175, 380), (110, 380)], fill=(40, 55, 95))
    draw.rectangle((128, 30, 272, 50), fill=(30, 42, 75))
    draw.line((200, 50, 200, 140), fill=(25, 35, 65), width=3)


_GARMENTS: dict[str, Callable[[ImageDraw.ImageDraw], None]] = {"t-shirt": _t_shirt, "pants": _pants}
