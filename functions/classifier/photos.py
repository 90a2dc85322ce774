"""Bytes of a photo to the square of RGB pixels that the network takes.

Training, evaluation and serving all prepare pixels here, so that the network is asked what it was taught. Nothing
here knows of AWS, the model or the environment.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import (  # the plugins register themselves: without these imports, Pillow loads all forty at the first miss
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

# Nothing else is ever opened: Pillow also speaks formats that run programs (EPS) or that nobody uses for photos.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF")
_RIFF, _BRAND = b"RIFF", b"ftyp"  # WebP's first bytes; those of AVIF and HEIF from the fifth on
_MAGIC_BYTES = 32  # more than any of these formats needs to show what it is
_EXIF_ORIENTATION = 0x0112
_BAND_PIXELS = 1_000_000  # worked on at a time, in whole rows
_REDUCING_GAP = 3  # times the square's size an image keeps until the last step; from so many on it shows no difference

# What shows an image upright whose EXIF orientation is the key (TIFF 6.0, section "Orientation").
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ON_ITS_SIDE = {5, 6, 7, 8}


@dataclass(frozen=True, slots=True)
class Photo:
    """A decoded photo: its format as Pillow names it, its size as a person sees it, and its pixels.

    `pixels` is RGB, uint8, of shape (size, size, 3), upright, the whole photo squeezed into a square.
    """

    format: str
    width: int
    height: int
    pixels: npt.NDArray[np.uint8]


def decode(data: bytes, size: int, limits: Limits) -> Photo:
    """Read a photo of any format in `FORMATS` into a square of `size` × `size` pixels.

    Animated and many-page files give their first frame; transparent pixels become white.

    Raises `ImageTooLarge`, `UnsupportedImage` or `UnreadableImage`; sizes are checked before pixels are decoded.
    """
    limits.check_bytes(len(data))
    image = _open(data, limits)
    width, height = image.size
    try:
        image.draft(None, (size, size))  # JPEG alone: decode at 1/2, 1/4 or 1/8, never below what is asked
        with structure.room(image, limits.pixels):
            square = _squeeze(image, data, size)
        orientation = image.getexif().get(_EXIF_ORIENTATION)  # the plugins for TIFF and HEIF turn while they load
    except Exception as error:  # decoders meet hostile bytes with whatever exception their parser stumbles into
        raise UnreadableImage("The image is damaged or incomplete.") from error
    if orientation in _UPRIGHT:
        square = square.transpose(_UPRIGHT[orientation])
    if orientation in _ON_ITS_SIDE:
        width, height = height, width
    format_name = "JPEG" if image.format == "MPO" else str(image.format)  # MPO: a JPEG with more pictures behind it
    return Photo(format_name, width, height, np.asarray(square))


def is_known_format(data: bytes) -> bool:
    """Tell whether the first bytes are those of a format that `decode` reads."""
    accepts: list[Callable[[bytes], bool | str]] = [a for a in (Image.OPEN[name][1] for name in _readable(data)) if a]
    return any(accept(data[:_MAGIC_BYTES]) is True for accept in accepts)


@cache
def register_rare_formats() -> None:
    """Teach Pillow WebP, AVIF and HEIF, whose libraries take as long to load as a photo takes to classify."""
    import pillow_heif  # noqa: PLC0415
    from PIL import AvifImagePlugin, WebPImagePlugin  # noqa: F401, PLC0415

    # A photo's only picture is its main one: an embedded preview may show something else.
    # One thread: each would hold a tile of its own.
    pillow_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False, decode_threads=1)
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1


def _readable(data: bytes) -> list[str]:
    """Those of `FORMATS` that Pillow has learnt, among them whichever the data may be in."""
    if data.startswith(_RIFF) or data[4:8] == _BRAND:
        register_rare_formats()
    return [name for name in FORMATS if name in Image.OPEN]


def _open(data: bytes, limits: Limits) -> Image.Image:
    """Read the header; no pixels yet."""
    try:
        structure.check_segments(data)
        # Pillow's own limit is one for the whole process, and up to twice that it only warns. It sees to frames, too.
        Image.MAX_IMAGE_PIXELS = 2 * limits.pixels
        image = Image.open(structure.Pieces(data), formats=_readable(data))
        limits.check_size(*image.size)
        structure.check_image(image, data, limits.pixels)
    except PhotoError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageTooLarge(f"The image has more than {limits.pixels / 1e6:g} megapixels.") from error
    except Exception as error:
        if is_known_format(data):
            raise UnreadableImage("The image is damaged or incomplete.") from error
        raise UnsupportedImage(f"This is not an image in a format that is accepted: {', '.join(FORMATS)}.") from error
    return image


def _squeeze(image: Image.Image, data: bytes, size: int) -> Image.Image:
    """The whole image as a square in RGB, white where it is transparent.

    Band after band is made RGB, and smaller as far as the square allows: a copy of 50 megapixels would take 200 MB.
    """
    source: _Source = image
    if image.format == "HEIF":
        import pillow_heif  # noqa: PLC0415

        heif = pillow_heif.open_heif(data)
        source = heif[heif.primary_index]
        source.load()
    else:
        image.load()
        if image.mode == "RGB" and not image.has_transparency_data:  # no copy then but the smaller ones
            return image.resize((size, size), Image.Resampling.BILINEAR, reducing_gap=_REDUCING_GAP)
    width, height = source.size
    x, y = (max(1, int(length / size / _REDUCING_GAP)) for length in (width, height))
    rows = max(1, _BAND_PIXELS // (width * y)) * y
    bands = [(top, min(top + rows, height)) for top in range(0, height, rows)]
    to_rgb = _conversion(image, source, bands)
    reduced = Image.new("RGB", (math.ceil(width / x), math.ceil(height / y)))
    for top, bottom in bands:
        reduced.paste(to_rgb(_band(source, top, bottom)).reduce((x, y)), (0, top // y))
    return reduced.resize((size, size), Image.Resampling.BILINEAR, box=(0, 0, width / x, height / y))


def _band(source: "_Source", top: int, bottom: int) -> Image.Image:
    """Some rows; of a HEIF out of its decoder's memory, of which Pillow's image would be a copy."""
    if isinstance(source, Image.Image):
        return source.crop((0, top, source.width, bottom))
    size = source.size[0], bottom - top
    return Image.frombuffer(source.mode, size, np.asarray(source)[top:bottom], "raw", source.mode, source.stride, 1)


def _conversion(
    image: Image.Image, source: "_Source", bands: list[tuple[int, int]]
) -> Callable[[Image.Image], Image.Image]:
    """What makes a band RGB."""
    if image.mode in {"I", "F"}:
        return _stretching(_band(source, *band) for band in bands)
    if image.mode.startswith("I;16"):
        return _narrowed
    if image.has_transparency_data:
        return _on_white
    return partial(Image.Image.convert, mode="RGB")


def _on_white(band: Image.Image) -> Image.Image:
    opaque = Image.new("RGBA", band.size, "white")
    opaque.alpha_composite(band.convert("RGBA"))
    return opaque.convert("RGB")


def _narrowed(band: Image.Image) -> Image.Image:
    """16-bit samples by their upper byte."""
    return Image.fromarray((np.asarray(band) >> 8).astype(np.uint8))


def _stretching(bands: Iterable[Image.Image]) -> Callable[[Image.Image], Image.Image]:
    """What maps 32-bit samples, whose white no file states, so that the darkest is black and the brightest white."""
    extremes = [(samples.min(), samples.max()) for samples in map(_samples, bands)]
    low, high = min(low for low, _ in extremes), max(high for _, high in extremes)

    def stretch(band: Image.Image) -> Image.Image:
        return Image.fromarray(((_samples(band) - low) / max(high - low, 1e-9) * 255).astype(np.uint8))

    return stretch


def _samples(band: Image.Image) -> npt.NDArray[np.float64]:
    return np.nan_to_num(np.asarray(band)).astype(np.float64)
