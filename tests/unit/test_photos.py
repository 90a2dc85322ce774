"""From bytes to pixels: every format, every unusual form, every limit."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from classifier.errors import ImageTooLarge, UnreadableImage, UnsupportedImage
from classifier.limits import Limits
from classifier.photos import FORMATS, decode, is_known_format
from tests.support.drawings import encoded, garment, photo

SIZE = 32
LIMITS = Limits()
TOLERANCE = 6  # the largest difference of 8-bit samples that lossy formats, filters and rounding make


def halves(left: str = "red", right: str = "blue", size: tuple[int, int] = (64, 48)) -> Image.Image:
    """Return an image of two colours, which shows changes of orientation and colour."""
    image = Image.new("RGB", size, right)
    image.paste(left, (0, 0, size[0] // 2, size[1]))
    return image


def quadrants(pixels: np.ndarray[Any, Any]) -> list[tuple[int, ...]]:
    """Return the colours near the four corners: top left, top right, bottom left, bottom right."""
    return [tuple(int(v) for v in pixels[y, x]) for y in (3, -4) for x in (3, -4)]


def assert_close(actual: tuple[int, ...], expected: tuple[int, ...], tolerance: int = TOLERANCE) -> None:
    assert np.abs(np.subtract(actual, expected)).max() <= tolerance, (actual, expected)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("JPEG", {"quality": 95}),
        ("JPEG", {"quality": 95, "progressive": True}),
        ("PNG", {}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"quality": 95}),
        ("GIF", {}),
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("AVIF", {"quality": 95}),
        ("HEIF", {"quality": 95}),
    ],
)
def test_every_format_is_decoded_with_its_colours_and_size(name: str, options: dict[str, Any]) -> None:
    result = decode(encoded(halves(), name, **options), SIZE, LIMITS)

    assert (result.format, result.width, result.height) == (name, 64, 48)
    assert result.pixels.shape == (SIZE, SIZE, 3)
    assert result.pixels.dtype == np.uint8
    for corner, expected in zip(quadrants(result.pixels), [(255, 0, 0), (0, 0, 255)] * 2, strict=True):
        assert_close(corner, expected, tolerance=12)


def test_the_formats_are_those_of_the_contract() -> None:
    assert set(FORMATS) == {"JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF"}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_a_photo_is_rotated_by_its_exif_orientation(name: str, orientation: int) -> None:
    """Pixels, width and height are those of the upright photo."""
    upright = Image.new("RGB", (64, 48), "blue")
    upright.paste("red", (0, 0, 32, 24))  # the top left quarter
    stored = upright.transpose(INVERSE[orientation]) if orientation in INVERSE else upright
    exif = Image.Exif()
    exif[0x0112] = orientation

    result = decode(encoded(stored, name, exif=exif), SIZE, LIMITS)

    assert (result.width, result.height) == (64, 48)
    for corner, expected in zip(quadrants(result.pixels), [(255, 0, 0)] + [(0, 0, 255)] * 3, strict=True):
        assert_close(corner, expected, tolerance=40 if name in {"JPEG", "AVIF", "WEBP"} else TOLERANCE)


# EXIF orientation to the operation of a camera that is held in this way, the inverse of the one that makes it upright.
INVERSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("orientation", [6, 8])
def test_a_heic_is_rotated_once(orientation: int) -> None:
    """libheif rotates the image itself. Its EXIF has the orientation too, which must not rotate it again."""
    upright = Image.new("RGB", (64, 48), "blue")
    upright.paste("red", (0, 0, 32, 24))
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = upright.transpose(INVERSE[orientation])

    result = decode(encoded(stored, "HEIF", quality=95, exif=exif.tobytes()), SIZE, LIMITS)

    assert (result.width, result.height) == (64, 48)
    assert_close(quadrants(result.pixels)[0], (255, 0, 0), tolerance=40)
    assert_close(quadrants(result.pixels)[1], (0, 0, 255), tolerance=40)


@pytest.mark.parametrize(
    ("image", "name", "expected"),
    [
        (halves().convert("L"), "PNG", (76, 76, 76)),
        (halves().convert("P"), "PNG", (254, 0, 0)),
        (halves().convert("1"), "PNG", None),
        (halves().convert("CMYK"), "JPEG", (254, 0, 0)),
        (halves().convert("CMYK"), "TIFF", (255, 0, 0)),
        (Image.fromarray(np.full((48, 64), 40000, np.uint16)), "PNG", (156, 156, 156)),
        (Image.fromarray(np.full((48, 64), 40000, np.uint16)), "TIFF", (156, 156, 156)),
        (halves().convert("YCbCr"), "TIFF", (254, 0, 0)),
    ],
    ids=["grey", "palette", "bilevel", "cmyk-jpeg", "cmyk-tiff", "16-bit-png", "16-bit-tiff", "ycbcr-tiff"],
)
def test_every_mode_is_converted_to_rgb(image: Image.Image, name: str, expected: tuple[int, ...] | None) -> None:
    result = decode(encoded(image, name), SIZE, LIMITS)

    assert result.pixels.shape == (SIZE, SIZE, 3)
    if expected:
        assert_close(quadrants(result.pixels)[0], expected)


@pytest.mark.parametrize("mode", ["I", "F"])
def test_32_bit_samples_are_scaled_to_8_bits(mode: str) -> None:
    ramp = np.tile(np.linspace(-1000, 70000, 64), (48, 1)).astype(np.int32 if mode == "I" else np.float32)

    pixels = decode(encoded(Image.fromarray(ramp), "TIFF"), SIZE, LIMITS).pixels

    assert pixels[0, 0, 0] < 10
    assert pixels[0, -1, 0] > 245


@pytest.mark.parametrize("name", ["PNG", "WEBP", "GIF"])
def test_transparent_pixels_become_white(name: str) -> None:
    image = Image.new("RGBA", (64, 48), (0, 0, 0, 0))
    image.paste((255, 0, 0, 255), (0, 0, 32, 48))

    pixels = decode(encoded(image, name), SIZE, LIMITS).pixels

    assert_close(quadrants(pixels)[0], (255, 0, 0))
    assert_close(quadrants(pixels)[1], (255, 255, 255))


@pytest.mark.parametrize(
    ("image", "key", "red"),
    [
        (halves("red", "black"), (0, 0, 0), (255, 0, 0)),
        (halves("red", "black").convert("L"), 0, (76, 76, 76)),
        (halves("red", "black").quantize(2), 1, (255, 0, 0)),
    ],
    ids=["RGB", "grey", "palette"],
)
def test_pixels_of_the_transparent_colour_become_white(image: Image.Image, key: Any, red: tuple[int, ...]) -> None:
    """A PNG without an alpha channel can name one colour that is transparent."""
    left, right = quadrants(decode(encoded(image, "PNG", transparency=key), SIZE, LIMITS).pixels)[:2]

    assert_close(left, red)
    assert_close(right, (255, 255, 255))


@pytest.mark.parametrize("name", ["GIF", "WEBP", "TIFF", "PNG", "AVIF"])
def test_an_animation_is_decoded_to_its_first_frame(name: str) -> None:
    frames = [Image.new("RGB", (64, 48), colour) for colour in ("red", "blue", "green")]

    data = encoded(frames[0], name, save_all=True, append_images=frames[1:])

    assert_close(quadrants(decode(data, SIZE, LIMITS).pixels)[0], (255, 0, 0), tolerance=12)


def test_an_mpo_is_decoded_to_its_first_image_as_a_jpeg() -> None:
    data = encoded(halves(), "MPO", save_all=True, append_images=[halves("green", "white")])

    result = decode(data, SIZE, LIMITS)

    assert result.format == "JPEG"
    assert_close(quadrants(result.pixels)[0], (254, 0, 0))


def test_a_large_jpeg_has_the_pixels_of_a_small_one() -> None:
    """It is decoded at an eighth of its size."""
    small = decode(encoded(garment("t-shirt"), "PNG"), 224, LIMITS).pixels.astype(int)
    large = decode(photo("t-shirt", (4000, 3000)), 224, LIMITS).pixels.astype(int)

    assert np.abs(small - large).mean() < 4


@pytest.mark.parametrize("size", [(1003, 1501), (4007, 301)])
@pytest.mark.parametrize(("name", "mode"), [("PNG", "RGB"), ("PNG", "RGBA"), ("PNG", "P"), ("HEIF", "RGB")])
def test_an_image_converted_in_bands_has_the_pixels_of_one_converted_at_once(
    name: str, mode: str, size: tuple[int, int]
) -> None:
    """No size here is a multiple of the rows of a band, or of the factor by which the image is reduced first."""
    shown = garment("t-shirt", size).convert(mode)

    pixels = decode(encoded(shown, name, **({"quality": 95} if name == "HEIF" else {})), 64, LIMITS).pixels

    expected = np.asarray(shown.convert("RGB").resize((64, 64), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(pixels - expected).max() <= TOLERANCE


def test_a_heic_of_many_tiles_is_decoded() -> None:
    image = halves(size=(1024, 768))

    data = encoded(image, "HEIF", quality=60, tile_size=128)

    assert decode(data, SIZE, LIMITS).width == 1024


@pytest.mark.parametrize("length", [4, 100, 1000, 5000])
def test_a_truncated_photo_is_unreadable(length: int) -> None:
    with pytest.raises(UnreadableImage, match="damaged or incomplete"):
        decode(photo()[:length], SIZE, LIMITS)


@pytest.mark.parametrize(
    "data",
    [
        b"just some text",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%PDF-1.7",
        b"%!PS-Adobe-3.0 EPSF-3.0\n",
        b"\x00" * 64,
    ],
)
def test_a_file_of_another_type_is_unsupported(data: bytes) -> None:
    with pytest.raises(UnsupportedImage, match="JPEG"):
        decode(data, SIZE, LIMITS)


def test_a_format_that_only_pillow_reads_is_unsupported() -> None:
    with pytest.raises(UnsupportedImage):
        decode(encoded(halves(), "PPM"), SIZE, LIMITS)


def test_an_empty_file_is_unreadable() -> None:
    with pytest.raises(UnreadableImage, match="empty"):
        decode(b"", SIZE, LIMITS)


def test_a_file_over_the_limit_is_too_large() -> None:
    with pytest.raises(ImageTooLarge, match="1,000"):
        decode(photo(), SIZE, Limits(file_bytes=1000))


@pytest.mark.parametrize(
    ("size", "limits"),
    [((101, 100), Limits(pixels=10_000)), ((2001, 1), Limits(side=2000)), ((1, 2001), Limits(side=2000))],
)
def test_an_image_over_the_limits_is_too_large(size: tuple[int, int], limits: Limits) -> None:
    with pytest.raises(ImageTooLarge, match=f"{size[0]:,} × {size[1]:,}"):
        decode(encoded(Image.new("RGB", size), "PNG"), SIZE, limits)


@pytest.mark.parametrize("side", [7100, 10_000, 20_000, 60_000])
def test_a_png_that_states_too_many_pixels_is_refused_by_its_header(side: int) -> None:
    """The file has no pixels."""
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", len(header)) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    idat = struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))

    with pytest.raises(ImageTooLarge, match="megapixels"):
        decode(b"\x89PNG\r\n\x1a\n" + chunk + idat, SIZE, LIMITS)


def test_a_limit_may_be_above_that_of_pillow() -> None:
    """Pillow warns at 89 megapixels."""
    data = encoded(Image.new("L", (10_000, 10_000)), "JPEG")

    assert decode(data, SIZE, Limits(pixels=100_000_000)).width == 10_000


def test_the_first_bytes_show_a_known_format() -> None:
    assert all(is_known_format(encoded(halves(), name)[:64]) for name in FORMATS)
    assert not is_known_format(b'{"url": "https://example.com/photo.jpg"}')
    assert not is_known_format(b"")


def test_a_heic_is_decoded_to_its_main_image_and_not_to_its_thumbnail() -> None:
    heif = pillow_heif.from_pillow(halves("green", "green", (512, 512)))
    buffer = io.BytesIO()
    heif.save(buffer, quality=80)

    assert_close(quadrants(decode(buffer.getvalue(), SIZE, LIMITS).pixels)[0], (0, 128, 0), tolerance=12)


@pytest.mark.parametrize("mode", ["I", "F"])
def test_32_bit_samples_of_a_small_range_are_scaled_too(mode: str) -> None:
    ramp = np.tile(np.linspace(0, 100, 64) / (1 if mode == "I" else 1000), (48, 1))
    image = Image.fromarray(ramp.astype(np.int32 if mode == "I" else np.float32))

    pixels = decode(encoded(image, "TIFF"), SIZE, LIMITS).pixels

    assert pixels[0, 0, 0] < 10
    assert pixels[0, -1, 0] > 245


def test_32_bit_samples_of_one_value_are_black() -> None:
    pixels = decode(encoded(Image.new("F", (64, 48), 5.0), "TIFF"), SIZE, LIMITS).pixels

    assert not pixels.any()


def test_samples_that_are_not_numbers_are_decoded() -> None:
    """Files of 32-bit floating point samples can contain NaN."""
    samples = np.tile(np.array([np.nan, 1.0] * 32, np.float32), (48, 1))

    pixels = decode(encoded(Image.fromarray(samples), "TIFF"), 64, LIMITS).pixels

    assert (int(pixels[0, 0, 0]), int(pixels[0, -1, 0])) == (0, 255)
