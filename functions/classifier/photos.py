"""From a photo's bytes to the square of RGB pixels that the network takes.

Training, evaluation and serving all prepare pixels here, so the network sees the same in service as in training.
Nothing here depends on AWS, the model or the environment.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

# Plugins register themselves. Without these imports, Pillow imports all forty when it meets an unknown format.
from PIL import (
    BmpImagePlugin,  # noqa: F401
    GifImagePlugin,  # noqa: F401
    Image,
    JpegImagePlugin,  # noqa: F401
    PngImagePlugin,  # noqa: F401
    TiffImagePlugin,  # noqa: F401
)

from classifier import structure
from classifier.errors import ImageTooLarge, PhotoError, UnreadableImage, UnsupportedImage
from classifier.limits import Limits

if TYPE_CHECKING:
    import pillow_heif

    _Source = Image.Image | pillow_heif.HeifImage

# No other format is opened. Pillow also reads formats that run programs (EPS), and many that nobody uses for photos.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF")
_RIFF, _BRAND = b"RIFF", b"ftyp"  # WebP begins with "RIFF"; AVIF and HEIF have "ftyp" from the fifth byte on
_MAGIC_BYTES = 32  # enough to recognize each of these formats
_EXIF_ORIENTATION = 0x0112
BAND_PIXELS = 1_000_000  # converted at a time, in whole rows
# An image is first reduced to this many times the size of the square. Larger factors make no visible difference.
_REDUCING_GAP = 3

# EXIF orientation (TIFF 6.0, section "Orientation") to the operation that makes the image upright.
_TO_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SWAPS_SIDES = {5, 6, 7, 8}


@dataclass(frozen=True, slots=True)
class Photo:
    """A decoded photo: its format as Pillow names it, its width and height when it is upright, and its pixels.

    `pixels` is the whole photo, upright, scaled to a square: RGB, uint8, of shape (size, size, 3).
    """

    format: str
    width: int
    height: int
    pixels: npt.NDArray[np.uint8]


def decode(data: bytes, size: int, limits: Limits) -> Photo:
    """Decode a photo of any format in `FORMATS` to a square of `size` × `size` pixels.

    Of animations and files with several pages, the first frame is decoded. Transparent pixels become white.

    Raise `ImageTooLarge`, `UnsupportedImage` or `UnreadableImage`. Sizes are checked before pixels are decoded.
    """
    limits.check_bytes(len(data))
    image = _open(data, limits)
    width, height = image.size
    try:
        image.draft(None, (size, size))  # JPEG only: decode at 1/2, 1/4 or 1/8, but not below this size
        with structure.memory_budget(image, limits.pixels):
            square = _scale_to_square(image, data, size)
        orientation = image.getexif().get(_EXIF_ORIENTATION)  # TIFF and HEIF are rotated while they are loaded
    except Exception as error:  # parsers raise all kinds of exceptions for hostile bytes
        raise UnreadableImage("The image is damaged or incomplete.") from error
    if orientation in _TO_UPRIGHT:
        square = square.transpose(_TO_UPRIGHT[orientation])
    if orientation in _SWAPS_SIDES:
        width, height = height, width
    format_name = "JPEG" if image.format == "MPO" else str(image.format)  # MPO is a JPEG followed by more images
    return Photo(format_name, width, height, np.asarray(square))


def is_known_format(data: bytes) -> bool:
    """Return whether the first bytes are those of a format that `decode` reads."""
    accepts: list[Callable[[bytes], bool | str] | None] = [Image.OPEN[name][1] for name in _candidate_formats(data)]
    return any(accept and accept(data[:_MAGIC_BYTES]) is True for accept in accepts)


@cache
def register_rare_formats() -> None:
    """Register WebP, AVIF and HEIF with Pillow. Their libraries take as long to load as a photo takes to classify."""
    import pillow_heif  # noqa: PLC0415
    from PIL import AvifImagePlugin, WebPImagePlugin  # noqa: F401, PLC0415

    # Only the main image counts: an embedded preview may show something else.
    # One thread, because each thread holds a tile in memory.
    pillow_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False, decode_threads=1)
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1


def _candidate_formats(data: bytes) -> list[str]:
    """Return those of `FORMATS` that are registered, including every format that the data can be in."""
    if data.startswith(_RIFF) or data[4:8] == _BRAND:
        register_rare_formats()
    return [name for name in FORMATS if name in Image.OPEN]


def _open(data: bytes, limits: Limits) -> Image.Image:
    """Read the header, without decoding pixels."""
    try:
        structure.check_segments(data)
        # Pillow's limit is one for the whole process, and Pillow only warns up to twice the limit. It covers frames.
        Image.MAX_IMAGE_PIXELS = 2 * limits.pixels
        image = Image.open(structure.BoundedReader(data), formats=_candidate_formats(data))
        limits.check_size(*image.size)
        structure.check_image(image, data, limits.pixels)
    except PhotoError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageTooLarge(f"The image has more than {limits.pixels / 1e6:g} megapixels.") from error
    except Exception as error:
        if is_known_format(data):
            raise UnreadableImage("The image is damaged or incomplete.") from error
        raise UnsupportedImage(f"This is not an image in a supported format: {', '.join(FORMATS)}.") from error
    return image


def _scale_to_square(image: Image.Image, data: bytes, size: int) -> Image.Image:
    """Return the whole image as a square in RGB, on white.

    The image is converted and reduced in bands: a converted copy of 50 megapixels would take 200 MB.
    """
    source: _Source = image
    if image.format == "HEIF":
        import pillow_heif  # noqa: PLC0415

        heif = pillow_heif.open_heif(data)
        source = heif[heif.primary_index]
        source.load()
    else:
        image.load()
        if image.mode == "RGB" and not image.has_transparency_data:  # needs no conversion, so no copy
            return image.resize((size, size), Image.Resampling.BILINEAR, reducing_gap=_REDUCING_GAP)
    width, height = source.size
    x, y = (max(1, int(length / size / _REDUCING_GAP)) for length in (width, height))
    rows = max(1, BAND_PIXELS // (width * y)) * y
    bands = [(top, min(top + rows, height)) for top in range(0, height, rows)]
    to_rgb = _conversion(image, source, bands)
    reduced = Image.new("RGB", (math.ceil(width / x), math.ceil(height / y)))
    for top, bottom in bands:
        reduced.paste(to_rgb(_band(source, top, bottom)).reduce((x, y)), (0, top // y))
    return reduced.resize((size, size), Image.Resampling.BILINEAR, box=(0, 0, width / x, height / y))


def _band(source: "_Source", top: int, bottom: int) -> Image.Image:
    """Return some rows. Those of a HEIF image come from its decoder's memory: Pillow's image would be a copy of it."""
    if isinstance(source, Image.Image):
        return source.crop((0, top, source.width, bottom))
    size = source.size[0], bottom - top
    return Image.frombuffer(source.mode, size, np.asarray(source)[top:bottom], "raw", source.mode, source.stride, 1)


def _conversion(
    image: Image.Image, source: "_Source", bands: list[tuple[int, int]]
) -> Callable[[Image.Image], Image.Image]:
    """Return the function that converts a band to RGB."""
    if image.mode in {"I", "F"}:
        return _make_stretch(_band(source, *band) for band in bands)
    if image.mode.startswith("I;16"):
        return _reduce_to_8_bits
    if image.has_transparency_data:
        return _on_white
    return partial(Image.Image.convert, mode="RGB")


def _on_white(band: Image.Image) -> Image.Image:
    """Put the band on a white background."""
    opaque = Image.new("RGBA", band.size, "white")
    opaque.alpha_composite(band.convert("RGBA"))
    return opaque.convert("RGB")


def _reduce_to_8_bits(band: Image.Image) -> Image.Image:
    """Keep the upper byte of 16-bit samples."""
    return Image.fromarray((np.asarray(band) >> 8).astype(np.uint8))


def _make_stretch(bands: Iterable[Image.Image]) -> Callable[[Image.Image], Image.Image]:
    """Return a function that maps the darkest 32-bit sample to black and the brightest to white.

    Files with such samples do not state which value is white.
    """
    extremes = [(samples.min(), samples.max()) for samples in map(_samples, bands)]
    low, high = min(low for low, _ in extremes), max(high for _, high in extremes)

    def stretch(band: Image.Image) -> Image.Image:
        return Image.fromarray(((_samples(band) - low) / max(high - low, 1e-9) * 255).astype(np.uint8))

    return stretch


def _samples(band: Image.Image) -> npt.NDArray[np.float64]:
    return np.nan_to_num(np.asarray(band)).astype(np.float64)
