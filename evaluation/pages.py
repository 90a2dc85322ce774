"""HTML pages that are one file each: styles, plots and pictures are part of it, and it has no script."""

import base64
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from classifier.limits import Limits
from classifier.photos import decode

PAGE_FILE = "index.html"
FIGURES_FILE = "figures.json"
_PICTURE_SIDE = 320  # pixels; a page shows pictures at half of this, and screens have up to two pixels for one of CSS
_QUALITY = 80  # of the JPEG; a picture has about 15 kB


@dataclass(frozen=True, slots=True)
class Tile:
    """A photo on a page: its name, what is said about it in pairs, and if there is a file, its picture and a link."""

    name: str
    details: tuple[tuple[str, str], ...]
    picture: str | None
    link: str | None
    alt: str


def render(template: str, **values: Any) -> str:
    """Return a page."""
    return _ENVIRONMENT.get_template(template).render(values)


def write_page(folder: Path, page: str, figures: str) -> Path:
    """Write a page and its figures as JSON into a folder, and return the page's path. Raise `OSError`."""
    folder.mkdir(parents=True, exist_ok=True)
    # The name of a file need not be valid Unicode.
    (folder / PAGE_FILE).write_text(page, encoding="utf-8", errors="replace")
    (folder / FIGURES_FILE).write_text(figures + "\n", encoding="utf-8")
    return folder / PAGE_FILE


def encode_picture(path: Path) -> str:
    """Return a small picture of a photo as a `data:` URI. Raise `PhotoError` or `OSError`."""
    photo = decode(path.read_bytes(), _PICTURE_SIDE, Limits())
    scale = min(1, _PICTURE_SIDE / max(photo.width, photo.height))
    size = (max(1, round(photo.width * scale)), max(1, round(photo.height * scale)))
    picture = Image.frombytes("RGB", (photo.side, photo.side), photo.rgb).resize(size, Image.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def link_to(path: Path, folder: Path) -> str:
    """Return the relative URL of a file for a page in a folder."""
    return quote(os.fsencode(os.path.relpath(path, folder)))


def relative_name(path: Path, data: Path) -> str:
    """Return a photo's path relative to the data."""
    return (path.relative_to(data) if path.is_relative_to(data) else path).as_posix()


def percent(share: float, decimals: int = 1) -> str:
    """Return a share in percent."""
    return f"{share * 100:.{decimals}f} %"


def interval(low: float, high: float) -> str:
    """Return an interval of shares in percent."""
    return f"{low * 100:.1f} – {high * 100:.1f} %"


def points(difference: float) -> str:
    """Return a difference of shares in percentage points, with its sign unless it is 0."""
    rounded = round(difference * 100, 1)
    return f"{rounded:+.1f}" if rounded else "0.0"


def count(number: int, noun: str) -> str:
    """Return a number with its noun: 1 photo, 2,000 photos."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _shade(number: int, total: int) -> int:
    """Return how dark a cell of a confusion matrix is, from 0 to 4."""
    return 0 if not number else 1 + sum(number > total * step for step in (0.05, 0.2, 0.6))


def _make_environment(filters: Sequence[Any]) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {function.__name__.lstrip("_"): function for function in filters}
    environment.globals |= {"interval": interval, "count": count, "shade": _shade}
    return environment


_ENVIRONMENT = _make_environment([percent, points])
