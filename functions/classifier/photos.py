"""From a photo's bytes to the square of RGB pixels that the network takes.

Training, evaluation and serving all prepare pixels here, so the network sees the same in service as in training.
Nothing here depends on AWS, the model or the environment.
"""

import io
import math
import re
from collections.abc import Callable
from functools import cache, partial

# Plugins register themselves. Without these imports, Pillow imports all forty when it meets an unknown format.
from PIL import (
    BmpImagePlugin,  # noqa: F401
    GifImagePlugin,
    Image,
    ImageChops,
    ImageFile,
    JpegImagePlugin,  # noqa: F401
    PngImagePlugin,  # noqa: F401
    TiffImagePlugin,
)

from classifier.colours import to_srgb
from classifier.containers import (
    ADVICE,
    BRAND,
    JPEG,
    RIFF,
    Colours,
    Container,
    has_other_codec,
    is_known_format,
    is_whole_tiff,
    read_container,
    webp_size,
)
from classifier.errors import DAMAGED, PhotoError, UnreadableImage, UnsupportedImage
from classifier.heif_tiles import replace_missing_tiles
from classifier.limits import Limits
from classifier.pixels import FORMATS, Photo
from classifier.progressive import has_all_scans, without_details

# ruff: noqa: PLC0415 - what few photos need is imported when it is needed

Box = tuple[int, int, int, int]
Convert = Callable[[Image.Image], Image.Image]

_END_OF_JPEG = b"\xff\xd9"
_EIGHTH = 8  # the divisor in a JPEG's `decoderconfig`
# Tags of TIFF 6.0 and DNG. The first image of a camera's raw file is a preview, or has the tag of DNG.
_SUBFILE_TYPE, _PREVIEW, _ORIENTATION, _DNG_VERSION = 254, 1, 274, 50706
# Of the picture. The last tenth of a file holds up to 0.29 of it if the rest is plain (measured with 372 photos).
_MAX_MISSING = 0.4
# How libheif, libtiff and others say that they have too little memory. libheif's own limits are called the same.
_OUT_OF_MEMORY = re.compile("memory allocation error(?!: security)|out of memory|decoder error -9", re.IGNORECASE)
BAND_PIXELS = 1_000_000  # converted at a time, in whole rows
# An image is first reduced to this many times the size of the square. Larger factors make no visible difference.
_REDUCING_GAP = 3
_NO_FORMAT = f"This is not an image in a supported format. {ADVICE}"
_NO_KIND = "This kind of TIFF or HEIF is not supported. Save it as a JPEG or PNG."

Image.MAX_IMAGE_PIXELS = None  # `Limits` are checked instead
TiffImagePlugin.READ_LIBTIFF = True  # Pillow's own reader of uncompressed TIFFs mixes up the samples of 16-bit planes
# These are missing. libtiff has turned the bytes of the second one already.
TiffImagePlugin.OPEN_INFO[(b"MM", 0, (1,), 1, (16,), ())] = ("I;16B", "I;16B")
TiffImagePlugin.OPEN_INFO[(b"MM", 1, (1,), 1, (32,), ())] = ("I", "I;32N")

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


def decode(data: bytes, side: int, limits: Limits) -> Photo:
    """Decode a photo of any format in `FORMATS` to a square of `side` × `side` pixels, as browsers show it.

    Of animations and files with several pages, the first frame that is shown is decoded. Colours are converted to sRGB.
    Transparent pixels become white. So does what is missing at the end, up to 40 % of the picture.

    Raise `ImageTooLarge`, `UnsupportedImage` or `UnreadableImage`. Sizes are checked before pixels are decoded.
    """
    limits.check_bytes(len(data))
    container = read_container(data)
    if photo := _decode_still_webp(container, side, limits):
        return photo
    image = _open(container.data, limits)
    width, height = image.size
    square = to_srgb(_draw(image, container.data, side, limits), _colours(image, container.colours))
    # Pillow tells of the rotation of an AVIF in EXIF data. It rotates a TIFF, and libheif a HEIF.
    orientation = image.getexif().get(_ORIENTATION) if image.format == "AVIF" else container.orientation
    if orientation in _TO_UPRIGHT:
        square = square.transpose(_TO_UPRIGHT[orientation])
    if orientation in _SWAPS_SIDES:
        width, height = height, width
    name = "JPEG" if image.format == "MPO" else str(image.format)  # an MPO is a JPEG that is followed by others
    return Photo(name, width, height, side, square.tobytes())


def _decode_still_webp(container: Container, side: int, limits: Limits) -> Photo | None:
    """Return the photo of a WebP without transparency, or None for any other file.

    Raise `ImageTooLarge` for any WebP that is too large: Pillow takes memory for all pixels when it opens one.
    """
    size = webp_size(container.data)
    if size is None:
        return None
    limits.check_size(*size)
    from classifier.webp import decode_still

    still = decode_still(container.data, _REDUCING_GAP * side)
    if still is None:
        return None
    square = to_srgb(_resize(still, side), container.colours)
    return Photo("WEBP", *size, side, square.tobytes())


def _colours(image: Image.Image, colours: Colours) -> Colours:
    return Colours(profile=image.info.get("icc_profile")) if image.format == "TIFF" else colours


def _draw(image: ImageFile.ImageFile, data: bytes, side: int, limits: Limits) -> Image.Image:
    """Decode the pixels. Return the whole image as a square in RGB, RGBA, CMYK, L or LA, not upright yet."""
    image.draft(None, (side, side))  # JPEG only: decode at 1/2, 1/4 or 1/8, but not below this size
    try:
        if "progressive" in image.info and image.decoderconfig[0] == _EIGHTH:
            image = _open(without_details(data), limits)
            image.draft(None, (side, side))
        other = replace_missing_tiles(data) if image.format == "HEIF" else None
        square = _scale_to_square(image, side)
        return square if other is None else _draw_without_tiles(square, _open(other, limits), side)
    except Exception as error:
        _check_cause(error)
        image.close()  # its pixels take memory
    try:
        return _draw_incomplete(data, side, limits)
    except Exception as error:
        _check_cause(error)
        raise UnreadableImage(DAMAGED) from error


def _draw_without_tiles(square: Image.Image, other: ImageFile.ImageFile, side: int) -> Image.Image:
    """Return the square, white where it differs from the other image. Raise `UnreadableImage` if that is too much."""
    missing = ImageChops.difference(square.convert("RGB"), _scale_to_square(other, side).convert("RGB")).convert("L")
    if 1 - missing.histogram()[0] / side**2 > _MAX_MISSING:
        raise UnreadableImage(DAMAGED)
    white = Image.new(square.mode, square.size, "white")
    return Image.composite(white, square, missing.point(lambda value: 255 if value else 0))


def _check_cause(error: Exception) -> None:
    """Raise an error again that is not the file's fault. Raise `MemoryError` if a library speaks of memory."""
    if isinstance(error, PhotoError | ImportError | MemoryError):
        raise error
    if _OUT_OF_MEMORY.search(str(error)):
        raise MemoryError from error


def _draw_incomplete(data: bytes, side: int, limits: Limits) -> Image.Image:
    """Draw what is there, and white for the rest. Raise `UnreadableImage` if too much is missing.

    The decoder begins once with a black and once with a white picture: what is missing differs in the end.
    """
    mode = _open(data, limits).mode
    fills = (255, 0) if mode == "CMYK" else (0, 255)
    black, white = (_draw_over(fill, _open(data, limits), side, indexes=mode == "P") for fill in fills)
    missing = ImageChops.difference(black.convert("RGB"), white.convert("RGB")).convert("L")
    share = 1 - missing.histogram()[0] / side**2
    if share == 1 and data.startswith(JPEG) and has_all_scans(data):
        # libjpeg draws nothing of a progressive JPEG before its end.
        return _scale_to_square(_open(data + _END_OF_JPEG, limits), side)
    if share > _MAX_MISSING:
        raise UnreadableImage(DAMAGED)
    if mode != "P":
        return white
    square = _draw_over(0, _open(data, limits), side)
    return Image.composite(Image.new(square.mode, square.size, "white"), square, missing)


def _draw_over(fill: int, image: ImageFile.ImageFile, side: int, *, indexes: bool = False) -> Image.Image:
    """Let the decoder draw over a picture of one value, as far as it gets. Show indexes of colours as grey if asked."""
    prepare = image.load_prepare

    def prepare_and_fill() -> None:
        prepare()
        bands = len(image.getbands())
        image.im.paste(fill if bands == 1 else (fill,) * bands, (0, 0, *image.size))

    image.draft(None, (side, side))
    image.load_prepare = prepare_and_fill  # type: ignore[method-assign]
    try:
        image.load()
    except Exception as error:
        _check_cause(error)
        image.tile = []  # nothing more is to be loaded
    if indexes:
        image.putpalette(bytes(index for index in range(256) for _ in "RGB"))
        image.info.pop("transparency", None)
    square = _scale_to_square(image, side)
    image.close()  # its pixels take memory, and the garbage collector comes later
    return square


def load(*, all_formats: bool, threads: int) -> None:
    """Import what `decode` would import for a photo, for a process that cannot import anything later.

    `threads` is for `set_threads`.
    """
    from PIL import ImageCms, MpoImagePlugin  # noqa: F401

    Image.preinit()
    for encoding in ("ascii", "latin-1", "utf-8", "utf-16"):
        "".encode(encoding)
    if all_formats:
        from classifier import rgb_spaces, samples, webp  # noqa: F401

        register_modern_formats()
        set_threads(threads)


@cache
def register_modern_formats() -> None:
    """Register WebP, AVIF and HEIF with Pillow. Their libraries take as long to load as a photo takes to classify."""
    import pillow_heif
    from PIL import AvifImagePlugin, WebPImagePlugin  # noqa: F401

    # Only the main image counts: an embedded preview may show something else.
    pillow_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)
    set_threads(1)


def set_threads(count: int) -> None:
    """Let so many threads decode the tiles of a HEIF or AVIF beside each other. Each holds some in memory."""
    import pillow_heif
    from PIL import AvifImagePlugin

    pillow_heif.options.DECODE_THREADS = count
    AvifImagePlugin.DEFAULT_MAX_THREADS = count


def _candidate_formats(data: bytes) -> list[str]:
    """Return those of `FORMATS` that are registered, including every format that the data can be in."""
    if data.startswith(RIFF) or data[4:8] == BRAND:
        register_modern_formats()
    return [name for name in FORMATS if name in Image.OPEN]


def _open(data: bytes, limits: Limits) -> ImageFile.ImageFile:
    """Read the header, without decoding pixels."""
    try:
        image = Image.open(io.BytesIO(data), formats=_candidate_formats(data))
    except Exception as error:
        _check_cause(error)
        if not is_known_format(data):
            raise UnsupportedImage(_NO_FORMAT) from error
        if is_whole_tiff(data) or has_other_codec(data):
            raise UnsupportedImage(_NO_KIND) from error
        raise UnreadableImage(DAMAGED) from error
    limits.check_size(*image.size)
    if isinstance(image, TiffImagePlugin.TiffImageFile) and (
        _DNG_VERSION in image.tag_v2 or image.tag_v2.get(_SUBFILE_TYPE, 0) & _PREVIEW
    ):
        raise UnsupportedImage(f"This is the raw file of a camera. {ADVICE}")
    return image


def _scale_to_square(image: Image.Image, side: int) -> Image.Image:
    """Return the whole image as a square, in RGB, RGBA, CMYK, L or LA."""
    image.load()
    if image.mode in {"RGB", "CMYK", "L"} and not image.has_transparency_data:  # needs no conversion, so no copy
        square = _resize(image, side)
    else:
        square = _scale_in_bands(image, side)
    # The first frame of a GIF need not cover the whole image. The rest is transparent.
    covered = image.dispose_extent if isinstance(image, GifImagePlugin.GifImageFile) else None
    if covered and covered != (0, 0, image.width, image.height):
        frame = Image.new("L", image.size)
        frame.paste(255, covered)
        square = Image.composite(square.convert("RGBA"), Image.new("RGBA", square.size, "white"), _resize(frame, side))
    return square


def _resize(image: Image.Image, side: int) -> Image.Image:
    return image.resize((side, side), Image.Resampling.BILINEAR, reducing_gap=_REDUCING_GAP)


def _scale_in_bands(image: Image.Image, side: int) -> Image.Image:
    """Convert and reduce the image in bands: a converted copy of 50 megapixels would take 200 MB."""
    width, height = image.size
    x, y = (max(1, int(length / side / _REDUCING_GAP)) for length in (width, height))
    rows = max(1, BAND_PIXELS // (width * y)) * y
    bands = [(0, top, width, min(top + rows, height)) for top in range(0, height, rows)]
    mode, convert = _conversion(image, bands)
    reduced = Image.new(mode, (math.ceil(width / x), math.ceil(height / y)))
    for band in bands:
        reduced.paste(convert(image.crop(band)).reduce((x, y)), (0, band[1] // y))
    return reduced.resize((side, side), Image.Resampling.BILINEAR, box=(0, 0, width / x, height / y))


def _conversion(image: Image.Image, bands: list[Box]) -> tuple[str, Convert]:
    """Return the mode into which a band is converted, and the function that does it."""
    if image.mode in {"I", "F"}:
        return "L", _make_scale(image, bands)
    if image.mode.startswith("I;16"):
        from classifier.samples import is_inverted, reduce_16_bits

        transparent = image.info.get("transparency")
        convert = partial(reduce_16_bits, inverted=is_inverted(image), transparent=transparent)
        return "L" if transparent is None else "LA", convert
    opaque = "L" if image.mode in {"1", "L", "LA"} else "RGB"
    mode = f"{opaque}A" if _is_transparent(image) else opaque
    return mode, partial(Image.Image.convert, mode=mode)


def _is_transparent(image: Image.Image) -> bool:
    """Return whether a part is transparent. In a BMP whose alpha is 0 everywhere, it has no meaning."""
    has_no_meaning = image.format == "BMP" and image.mode == "RGBA" and image.getextrema()[-1] == (0, 0)
    return image.has_transparency_data and not has_no_meaning


def _make_scale(image: Image.Image, bands: list[Box]) -> Convert:
    from classifier.samples import find_white, is_swapped, read_32_bits, scale_32_bits

    read = partial(read_32_bits, swapped=is_swapped(image))
    white = find_white(max(float(read(image.crop(band)).max()) for band in bands))
    return lambda band: scale_32_bits(read(band), white)
