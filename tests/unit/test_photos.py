"""From bytes to pixels: every format, every unusual form, every limit."""

import io
import re
import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import pillow_heif
import pytest
from PIL import Image, JpegImagePlugin

from classifier.errors import ImageTooLarge, UnreadableImage, UnsupportedImage
from classifier.limits import Limits
from classifier.photos import decode
from tests.support.drawings import encoded, garment, photo
from tests.support.icc_profiles import P3, cmyk_profile, grey_profile, rgb_profile
from tests.support.paths import DATA, needs_photos
from tests.support.photo_files import (
    BYTE,
    LONG,
    ORIENTATION,
    SHORT,
    Heic,
    Samples,
    animated_webp,
    avif_with_exif,
    bmp,
    bmp_rows,
    chunk,
    code_points,
    deep_heif,
    exif,
    gamma_chunk,
    jpeg,
    png_of,
    profile_chunk,
    segment,
    tiff_of,
    with_colour_box,
    with_crop,
    with_segments,
    with_wrong_checksum,
)

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


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["JPEG", "PNG", "TIFF", "AVIF"])
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
        assert_close(corner, expected, tolerance=40 if name in {"JPEG", "AVIF"} else TOLERANCE)


@pytest.mark.parametrize("orientation", [3, 6])
def test_a_webp_is_not_rotated_as_in_browsers(orientation: int) -> None:
    data = encoded(halves(), "WEBP", lossless=True, exif=b"Exif\0\0" + exif({ORIENTATION: (SHORT, orientation)}))

    result = decode(data, SIZE, LIMITS)

    assert (result.width, result.height) == (64, 48)
    assert_close(quadrants(result.pixels)[0], (255, 0, 0), tolerance=12)


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
        (halves("white", "black").convert("1"), "PNG", (255, 255, 255)),
        (halves().convert("CMYK"), "JPEG", (254, 0, 0)),
        (halves().convert("CMYK"), "TIFF", (255, 0, 0)),
        (Image.fromarray(np.full((48, 64), 40000, np.uint16)), "PNG", (156, 156, 156)),
        (Image.fromarray(np.full((48, 64), 40000, np.uint16)), "TIFF", (156, 156, 156)),
        (halves().convert("YCbCr"), "TIFF", (254, 0, 0)),
    ],
    ids=["grey", "palette", "bilevel", "cmyk-jpeg", "cmyk-tiff", "16-bit-png", "16-bit-tiff", "ycbcr-tiff"],
)
def test_every_mode_is_converted_to_rgb(image: Image.Image, name: str, expected: tuple[int, ...]) -> None:
    result = decode(encoded(image, name), SIZE, LIMITS)

    assert result.pixels.shape == (SIZE, SIZE, 3)
    assert_close(quadrants(result.pixels)[0], expected)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(
    ("sample_type", "value", "brightest", "shown"),
    [
        (np.float32, 0.5, 1, 128),
        (np.float32, -0.5, 1, 0),
        (np.float32, 0.25, 0.5, 64),
        (np.float32, 100, 200, 100),
        (np.float32, 100, 255, 100),
        (np.float32, 1000, 40_000, 4),
        (np.float32, 2**31, 2**31, 128),
        (np.uint32, 1, 1, 255),
        (np.uint32, 100, 200, 100),
        (np.uint32, 257 * 40, 65_535, 40),
        (np.uint32, 2**31, 2**32 - 1, 128),
    ],
)
def test_32_bit_samples_are_scaled_by_the_usual_white_above_them(
    sample_type: type[np.generic], value: float, brightest: float, shown: int, *, compressed: bool, order: str
) -> None:
    """No such file states which value is white."""
    samples = np.full((48, 64), value, sample_type)
    samples[0] = brightest
    samples[-1] = 0

    pixels = decode(tiff_of(samples, 1, order=order, compressed=compressed), 64, LIMITS).pixels

    assert_close(tuple(pixels[32, 32]), (shown,) * 3, tolerance=1)
    assert not pixels[-1].any()


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


def test_a_heic_is_cropped() -> None:
    picture = Image.new("RGB", (321, 241), "white")
    picture.paste("red", (100, 80, 221, 161))

    photo = decode(with_crop((101, 61), encoded(picture, "HEIF")), SIZE, LIMITS)

    assert (photo.width, photo.height) == (101, 61)
    assert np.abs(photo.pixels.astype(int) - (255, 0, 0)).max() <= 20


def test_what_the_first_frame_of_an_animated_webp_does_not_cover_is_white() -> None:
    """Here no frame has transparent pixels."""
    pixels = decode(animated_webp((64, 64)), 64, LIMITS).pixels

    assert (pixels[17:] > 250).all()
    assert (pixels[:15, :15] < 5).all()


def test_a_heic_of_many_tiles_is_decoded() -> None:
    image = halves(size=(1024, 768))

    data = encoded(image, "HEIF", quality=60, tile_size=128)

    assert decode(data, SIZE, LIMITS).width == 1024


@pytest.mark.parametrize("length", [4, 100, 1000, 5000])
def test_the_start_of_a_photo_is_unreadable(length: int) -> None:
    with pytest.raises(UnreadableImage, match="damaged, incomplete"):
        decode(photo()[:length], SIZE, LIMITS)


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF"])
def test_a_file_may_end_after_any_byte_of_its_header(name: str) -> None:
    """No part of the code may look behind the end."""
    data = animated_webp((64, 48)) if name == "WEBP" else encoded(Image.new("RGB", (64, 48), "red"), name)

    for length in range(1, min(len(data), 600)):
        with suppress(UnreadableImage, UnsupportedImage):
            decode(data[:length], SIZE, LIMITS)


PICTURE = garment("t-shirt", (400, 300))
DEEP = np.asarray(PICTURE.convert("L")).astype(np.uint16) * 257
TRANSPARENT = PICTURE.convert("RGBA")
TRANSPARENT.putalpha(200)


def with_black_ends(image: Image.Image) -> Image.Image:
    """Return the image with 256 colours of which the first and the last are the same."""
    reduced = image.quantize(254)
    shifted = Image.fromarray(np.asarray(reduced) + 1)
    shifted.putpalette([0, 0, 0, *(reduced.getpalette() or [])[: 254 * 3], 0, 0, 0])
    return shifted


CUT: dict[str, bytes] = {
    "JPEG": encoded(PICTURE, "JPEG"),
    "JPEG, progressive": encoded(PICTURE, "JPEG", progressive=True),
    "JPEG, grey": encoded(PICTURE.convert("L"), "JPEG"),
    "JPEG, CMYK": encoded(PICTURE.convert("CMYK"), "JPEG"),
    "JPEG, progressive CMYK": encoded(PICTURE.convert("CMYK"), "JPEG", progressive=True),
    "PNG": encoded(PICTURE, "PNG"),
    "PNG, transparent": encoded(TRANSPARENT, "PNG"),
    "PNG, palette": encoded(with_black_ends(PICTURE), "PNG"),
    "PNG, grey with alpha": encoded(TRANSPARENT.convert("LA"), "PNG"),
    "PNG, 16 bit": png_of(DEEP, 16, 0),
    "PNG, bilevel": encoded(PICTURE.convert("1"), "PNG"),
    "WEBP": encoded(PICTURE, "WEBP"),
    "WEBP, lossless": encoded(PICTURE, "WEBP", lossless=True),
    "GIF": encoded(with_black_ends(PICTURE), "GIF"),
    "BMP": encoded(PICTURE, "BMP"),
    "TIFF": encoded(PICTURE, "TIFF"),
    "AVIF": encoded(PICTURE, "AVIF"),
    "HEIF": encoded(PICTURE, "HEIF"),
}


@pytest.mark.parametrize("percent", [1, 10])
@pytest.mark.parametrize("name", CUT)
def test_the_last_tenth_of_a_file_may_be_missing(name: str, percent: int) -> None:
    whole = decode(CUT[name], SIZE, LIMITS)

    cut = decode(CUT[name][: -len(CUT[name]) * percent // 100], SIZE, LIMITS)

    assert (cut.format, cut.width, cut.height) == (whole.format, 400, 300)
    rows = np.abs(cut.pixels.astype(int) - whole.pixels).mean(axis=(1, 2))
    assert (rows < 5).mean() > 0.75
    assert rows.mean() < 20


@pytest.mark.parametrize("quality", [30, 80])
def test_any_number_of_the_last_bytes_of_a_webp_may_be_missing(quality: int) -> None:
    """A lossy picture ends in arithmetic coding. Its decoder may need more bytes than it would of the whole file."""
    data = encoded(PICTURE, "WEBP", quality=quality)

    for missing in range(1, 100):
        assert decode(data[:-missing], SIZE, LIMITS).width == 400


@pytest.mark.parametrize("name", [name for name in CUT if "progressive" not in name])
def test_half_of_a_file_may_not_be_missing(name: str) -> None:
    with pytest.raises(UnreadableImage, match="damaged, incomplete"):
        decode(CUT[name][: len(CUT[name]) // 2], SIZE, LIMITS)


@pytest.mark.parametrize(
    "name", [name for name in CUT if name.startswith(("PNG", "TIFF", "JPEG")) and "progressive" not in name]
)
def test_what_is_missing_is_white(name: str) -> None:
    cut = decode(CUT[name][: -len(CUT[name]) // 10], SIZE, LIMITS)

    assert (cut.pixels[-1] > 250).all()


def test_of_an_interlaced_png_only_the_missing_lines_are_white() -> None:
    data = png_of(np.zeros((64, 64, 3), np.uint8), interlaced=True)
    pixels = zlib.decompress(data[data.index(b"IDAT") + 4 : -16])
    header = data[: data.index(b"IDAT") - 4]

    cut = decode(header + chunk(b"IDAT", zlib.compress(pixels[: -64 * 3 * 8])), 64, LIMITS).pixels

    assert not cut[:48].any()
    assert not cut[::2].any()
    assert (cut[-1] == 255).all()


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_progressive_jpeg_may_lack_the_scans_that_refine_it(mode: str) -> None:
    """The last ones refine the lowest bit, and have half of the bytes."""
    data = encoded(PICTURE.convert(mode), "JPEG", progressive=True)
    _, second, *_, last = (match.start() for match in re.finditer(b"\xff\xda", data))
    whole = decode(data, SIZE, LIMITS).pixels.astype(int)

    for end in (-2, last + 100, last, -len(data) // 10):
        assert np.abs(decode(data[:end], SIZE, LIMITS).pixels - whole).mean() < 2
    with pytest.raises(UnreadableImage, match="damaged, incomplete"):
        decode(data[:second], SIZE, LIMITS)


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_tiff_without_its_directory_is_unreadable(order: str) -> None:
    data = tiff_of(np.zeros((48, 64, 3), np.uint8), 2, order=order)

    with pytest.raises(UnreadableImage, match="damaged, incomplete"):
        decode(data[: 8 + 48 * 64 * 3], SIZE, LIMITS)


@pytest.mark.parametrize("missing", [1, 20, 100, 1000])
def test_a_tiff_that_ends_in_its_directory_is_unreadable(missing: int) -> None:
    data = encoded(PICTURE, "TIFF", compression="tiff_lzw")

    with pytest.raises(UnreadableImage, match="damaged, incomplete"):
        decode(data[:-missing], SIZE, LIMITS)


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_tiff_of_a_kind_that_is_not_read_is_unsupported(order: str) -> None:
    data = tiff_of(np.zeros((48, 64, 3), np.float32), 2, order=order)

    with pytest.raises(UnsupportedImage, match="This kind of TIFF"):
        decode(data, SIZE, LIMITS)


@pytest.mark.parametrize("name", ["HEIF", "AVIF"])
def test_a_heif_with_another_codec_is_unsupported(name: str) -> None:
    data = encoded(PICTURE, name).replace(b"hvc1", b"vvc1").replace(b"av01", b"vvc1")

    with pytest.raises(UnsupportedImage, match=r"HEIF is not supported\. Save it as a JPEG"):
        decode(data, SIZE, LIMITS)


@pytest.mark.parametrize("name", ["JPEG", "PNG"])
def test_the_last_tenth_of_a_file_may_hold_much_of_a_plain_picture(name: str) -> None:
    """Such as the wall behind a garment."""
    picture = Image.new("RGB", (400, 300), "silver")
    picture.paste(garment("t-shirt", (400, 225)), (0, 0))
    data = encoded(picture, name, quality=95) if name == "JPEG" else encoded(picture, name)
    whole = decode(data, SIZE, LIMITS).pixels.astype(int)

    cut = decode(data[: -len(data) // 10], SIZE, LIMITS).pixels

    assert np.abs(cut[: SIZE // 2] - whole[: SIZE // 2]).mean() < 5
    assert (cut[-1] == 255).all()


@needs_photos
def test_real_photos_may_lack_their_last_tenth() -> None:
    for file in sorted((DATA / "test").glob("*/*.jpg")):
        data = file.read_bytes()

        assert decode(data[: -len(data) // 10], SIZE, LIMITS).format == "JPEG", file


@pytest.mark.parametrize("words", ["Memory allocation error: 72800015 bytes", "decoder error -9", "Out of memory"])
def test_too_little_memory_is_not_called_damage(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some libraries say in words that they have too little."""

    def fail(*_: object) -> None:
        raise OSError(words)

    data = photo()
    monkeypatch.setattr(JpegImagePlugin.JpegImageFile, "load", fail)

    with pytest.raises(MemoryError):
        decode(data, SIZE, LIMITS)


# Metadata

TURNED = exif({ORIENTATION: (SHORT, 6)})
BROKEN_EXIF = b"II*\0\x08\0\0\0\xff\xff"


@pytest.mark.parametrize(
    "data",
    [
        with_segments(segment(0xE1, b"Exif\0\0" + BROKEN_EXIF)),
        with_segments(segment(0xE0, b"JFIF\0\1\1\1\0\x48\0\x48\0\0") + segment(0xE1, b"Exif\0\0" + BROKEN_EXIF)),
        with_segments(segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<not XML")),
        with_segments(segment(0xE2, b"MPF\0nonsense")),
        with_segments(segment(0xE2, b"ICC_PROFILE\0\1\1nonsense")),
        with_segments(segment(0xED, b"Photoshop 3.0\x008BIM\4")),
        png_of(np.zeros((8, 8, 3), np.uint8), before=chunk(b"eXIf", BROKEN_EXIF)),
        png_of(np.zeros((8, 8, 3), np.uint8), before=chunk(b"iCCP", b"nonsense")),
        png_of(np.zeros((8, 8, 3), np.uint8), before=with_wrong_checksum(chunk(b"iCCP", b"name\0\0"))),
        png_of(np.zeros((8, 8, 3), np.uint8), before=with_wrong_checksum(chunk(b"pHYs", bytes(9)))),
        png_of(np.zeros((8, 8, 3), np.uint8), before=chunk(b"zTXt", b"key\0\0" + zlib.compress(bytes(10**7)))),
        png_of(np.zeros((8, 8, 3), np.uint8), before=chunk(b"tEXt", b"key\0" + b"a" * 2 * 10**6)),
        png_of(np.zeros((8, 8, 3), np.uint8), before=chunk(b"acTL", bytes(8))),
        png_of(np.zeros((8, 8, 3), np.uint8), before=chunk(b"tRNS", b"\0")),
        encoded(Image.new("RGB", (8, 8)), "WEBP", exif=b"Exif\0\0" + BROKEN_EXIF, icc_profile=b"nonsense"),
        avif_with_exif(Image.new("RGB", (8, 8)), BROKEN_EXIF),
        encoded(Image.new("RGB", (8, 8)), "AVIF", icc_profile=b"nonsense"),
        encoded(Image.new("RGB", (8, 8)), "HEIF", exif=b"Exif\0\0" + BROKEN_EXIF, xmp=b"<not XML"),
        encoded(Image.new("RGB", (8, 8)), "HEIF", icc_profile=b"nonsense"),
        with_colour_box(encoded(Image.new("RGB", (8, 8)), "HEIF"), code_points(200, 200)),
        encoded(Image.new("RGB", (8, 8)), "TIFF", icc_profile=b"nonsense"),
    ],
)
def test_broken_metadata_are_ignored(data: bytes) -> None:
    result = decode(data, SIZE, LIMITS)

    assert (result.width, result.height) in {(8, 8), (64, 64)}
    assert result.pixels.max() <= TOLERANCE


@pytest.mark.parametrize(
    "data",
    [
        png_of(np.full((8, 8, 3), 128, np.uint8), before=gamma_chunk(1)),
        png_of(np.full((8, 8, 3), 128, np.uint8), before=profile_chunk(rgb_profile(P3, gamma=1))),
        png_of(np.full((8, 8), 128, np.uint8), 8, 0, before=profile_chunk(grey_profile(1))),
        png_of(np.full((8, 8), 128 * 257), 16, 0, before=profile_chunk(grey_profile(1))),
        png_of(np.full((8, 8, 2), (128, 255)), 8, 4, before=profile_chunk(grey_profile(1))),
        png_of(np.full((8, 8), 8), 4, 0, before=chunk(b"iCCP", profile_chunk(grey_profile(1))[8:-4])),
        *(
            encoded(Image.new("RGB", (64, 64), (128,) * 3), name, icc_profile=rgb_profile(P3, gamma=1))
            for name in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF")
        ),
        *(
            with_colour_box(encoded(Image.new("RGB", (64, 64), (128,) * 3), name), code_points(12, 8))
            for name in ("AVIF", "HEIF")
        ),
        encoded(Image.new("L", (64, 64), 128), "TIFF", icc_profile=grey_profile(1)),
    ],
)
def test_colours_are_converted_to_srgb(data: bytes) -> None:
    """Each file states in another way that its samples are linear light."""
    assert_close(quadrants(decode(data, SIZE, LIMITS).pixels)[0], (188, 188, 188), tolerance=8)


@pytest.mark.parametrize("name", ["JPEG", "TIFF"])
def test_the_inks_of_a_profile_of_cmyk_are_shown(name: str) -> None:
    cyan = Image.new("CMYK", (64, 64), (255, 0, 0, 0))

    plain, printed = (
        decode(encoded(cyan, name, icc_profile=profile), SIZE, LIMITS).pixels for profile in (None, cmyk_profile())
    )

    assert_close(quadrants(plain)[0], (0, 255, 255), tolerance=8)
    assert_close(quadrants(printed)[0], (22, 128, 178), tolerance=8)


# Rare kinds of ordinary formats


@pytest.mark.parametrize(
    ("samples", "photometric", "planar"),
    [
        (np.full((48, 64, 3), (200, 100, 50), np.uint8), 2, True),
        (np.full((48, 64, 3), (200 * 257, 100 * 257, 50 * 257), np.uint16), 2, False),
        (np.full((48, 64, 3), (200 * 257, 100 * 257, 50 * 257), np.uint16), 2, True),
        (np.full((48, 64, 4), (200, 100, 50, 255), np.uint8), 2, True),
        (np.full((48, 64, 4), (55, 155, 205, 0), np.uint8), 5, True),
    ],
)
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compressed", [False, True])
def test_every_order_of_a_tiffs_samples_is_read(
    samples: Samples, photometric: int, *, planar: bool, order: str, compressed: bool
) -> None:
    data = tiff_of(samples, photometric, order=order, planar=planar, compressed=compressed)

    assert_close(quadrants(decode(data, SIZE, LIMITS).pixels)[0], (200, 100, 50), tolerance=1)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(("sample_type", "factor"), [(np.uint8, 1), (np.uint16, 257)])
@pytest.mark.parametrize(("photometric", "shown"), [(1, 200), (0, 55)])
def test_0_may_be_white_in_a_tiff(
    sample_type: type[np.generic], factor: int, photometric: int, shown: int, *, compressed: bool, order: str
) -> None:
    data = tiff_of(np.full((48, 64), 200 * factor, sample_type), photometric, order=order, compressed=compressed)

    assert_close(quadrants(decode(data, SIZE, LIMITS).pixels)[0], (shown,) * 3, tolerance=1)


@pytest.mark.parametrize(
    ("depth", "colour", "value", "key", "red"),
    [
        (1, 0, 1, b"\0\0", 255),
        (2, 0, 1, b"\0\2", 85),
        (4, 0, 5, b"\0\6", 85),
        (8, 0, 100, b"\0\x65", 100),
        (16, 0, 100 * 257, struct.pack(">H", 100 * 257 + 1), 100),
        (8, 2, 100, struct.pack(">3H", 100, 100, 101), 100),
    ],
)
def test_only_the_very_colour_that_a_png_names_is_transparent(
    depth: int, colour: int, value: int, key: bytes, red: int
) -> None:
    shape = (8, 8, 3) if colour else (8, 8)
    samples = np.full(shape, value)

    other = png_of(samples, depth, colour, before=chunk(b"tRNS", key))
    same = png_of(samples, depth, colour, before=chunk(b"tRNS", struct.pack(">H", value) * (3 if colour else 1)))

    assert_close(quadrants(decode(other, SIZE, LIMITS).pixels)[0], (red,) * 3, tolerance=1)
    assert_close(quadrants(decode(same, SIZE, LIMITS).pixels)[0], (255,) * 3, tolerance=0)


def test_grey_with_alpha_of_16_bit_is_put_on_white() -> None:
    data = png_of(np.full((8, 8, 2), (100 * 257, 128 * 257)), 16, 4)

    assert_close(quadrants(decode(data, SIZE, LIMITS).pixels)[0], (177, 177, 177), tolerance=1)


def test_an_animated_png_is_decoded_to_its_first_frame_and_not_to_its_default_image() -> None:
    frames = [Image.new("RGB", (64, 48), colour) for colour in ("red", "blue", "green")]

    data = encoded(frames[0], "PNG", save_all=True, append_images=frames[1:], default_image=True)

    assert_close(quadrants(decode(data, SIZE, LIMITS).pixels)[0], (0, 0, 255))


def test_around_a_small_first_frame_a_gif_is_white() -> None:
    data = encoded(Image.new("RGB", (8, 8), "red"), "GIF")
    start = data.index(b",\0\0\0\0\x08\0\x08\0")
    framed = data[:6] + struct.pack("<HH", 16, 16) + data[10 : start + 1] + struct.pack("<HH", 8, 0) + data[start + 5 :]

    result = decode(framed, SIZE, LIMITS)

    assert (result.width, result.height) == (16, 16)
    white = (255, 255, 255)
    assert quadrants(result.pixels) == [white, (255, 0, 0), white, white]


@pytest.mark.parametrize(("alpha", "shown"), [(0, (200, 100, 50)), (255, (200, 100, 50)), (128, (228, 178, 153))])
def test_the_alpha_of_a_bmp_counts_unless_it_is_0_everywhere(alpha: int, shown: tuple[int, ...]) -> None:
    pixels = bmp_rows(np.full((8, 8, 4), (50, 100, 200, alpha), np.uint8), 32)

    data = bmp((8, 8), 32, pixels, masks=(0xFF0000, 0xFF00, 0xFF, 0xFF000000), compression=3)

    assert_close(quadrants(decode(data, SIZE, LIMITS).pixels)[0], shown, tolerance=1)


def test_a_heif_of_10_bits_is_decoded() -> None:
    samples = np.full((64, 64, 3), (200 * 257, 100 * 257, 50 * 257), np.uint16)

    pixels = decode(deep_heif((64, 64), samples=samples.tobytes(), quality=95), SIZE, LIMITS).pixels

    assert_close(quadrants(pixels)[0], (200, 100, 50))


def test_a_heic_of_a_grid_is_decoded() -> None:
    heic = Heic((64, 64))
    heic.add_grid(2, 2, (100, 90))
    heic.add_tiles(4)

    result = decode(heic.data(), SIZE, LIMITS)

    assert (result.width, result.height) == (100, 90)
    for corner in quadrants(result.pixels):
        assert_close(corner, (40, 90, 160))


# What is refused


@pytest.mark.parametrize(
    "tags",
    [{50706: (BYTE, b"\1\4\0\0")}, {254: (LONG, struct.pack("<I", 1))}, {254: (LONG, struct.pack("<I", 3))}],
    ids=["DNG", "preview", "preview of several"],
)
def test_the_raw_file_of_a_camera_is_unsupported(tags: dict[int, tuple[int, bytes]]) -> None:
    data = tiff_of(np.zeros((48, 64, 3), np.uint8), 2, tags=tags)

    with pytest.raises(UnsupportedImage, match=r"raw file of a camera\. Send a JPEG, PNG"):
        decode(data, SIZE, LIMITS)


def test_one_of_several_pages_of_a_tiff_is_no_raw_file() -> None:
    data = tiff_of(np.zeros((48, 64, 3), np.uint8), 2, tags={254: (LONG, struct.pack("<I", 2))})

    assert decode(data, SIZE, LIMITS).format == "TIFF"


@pytest.mark.parametrize(
    "draw",
    [
        lambda: jpeg((8, 8), frame=0xC9),
        lambda: jpeg((8, 8), frame=0xCA),
        lambda: b"\xff\x0a" + bytes(60),
        lambda: b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(60),
    ],
    ids=["arithmetic JPEG", "progressive arithmetic JPEG", "JPEG XL", "JPEG XL in a container"],
)
def test_what_browsers_do_not_show_is_unsupported_with_advice(draw: Callable[[], bytes]) -> None:
    with pytest.raises(UnsupportedImage, match=r"Send a JPEG, PNG, WebP, GIF, BMP, TIFF, HEIC or AVIF|ordinary JPEG"):
        decode(draw(), SIZE, LIMITS)


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


def test_a_heic_is_decoded_to_its_main_image_and_not_to_its_thumbnail() -> None:
    heif = pillow_heif.from_pillow(halves("green", "green", (512, 512)))
    buffer = io.BytesIO()
    heif.save(buffer, quality=80)

    assert_close(quadrants(decode(buffer.getvalue(), SIZE, LIMITS).pixels)[0], (0, 128, 0), tolerance=12)


def test_samples_that_are_not_numbers_are_decoded() -> None:
    """Files of 32-bit floating point samples can contain NaN."""
    samples = np.tile(np.array([np.nan, 1.0] * 32, np.float32), (48, 1))

    pixels = decode(encoded(Image.fromarray(samples), "TIFF"), 64, LIMITS).pixels

    assert (int(pixels[0, 0, 0]), int(pixels[0, -1, 0])) == (0, 255)
