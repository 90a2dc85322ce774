"""The limits on the structure of a file. Photos of cameras are far below them."""

import struct
from collections.abc import Callable

import pytest
from PIL import Image

from classifier import structure
from classifier.errors import ImageTooLarge, UnreadableImage
from classifier.limits import Limits
from classifier.photos import decode
from tests.support.drawings import encoded, photo
from tests.support.hostile_photos import tiled_heic
from tests.support.photo_files import box, flat_webp, jpeg, rle_bmp, segment, with_segments, with_stated_size

LIMITS = Limits()
SMALL = Image.new("RGB", (64, 64))


def test_a_progressive_jpeg_with_more_than_32_scans_is_unreadable() -> None:
    assert decode(jpeg((64, 64), 31), 32, LIMITS).format == "JPEG"
    with pytest.raises(UnreadableImage, match="too many parts"):
        decode(jpeg((64, 64), 32), 32, LIMITS)


@pytest.mark.parametrize(
    "data",
    [photo() + b"\xff\xda\0\x02" * 1000, with_segments(segment(0xE2, b"\xff\xda\0\x02" * 1000))],
    ids=["behind it", "in a segment"],
)
def test_bytes_outside_of_the_image_do_not_count_as_scans(data: bytes) -> None:
    """They may be in the video behind a phone's photo, or in a thumbnail."""
    assert decode(data, 32, LIMITS).format == "JPEG"


@pytest.mark.parametrize("disguise", [b"\xff\xd9", b"\xff\xf0\xff\xff", b"\xff\xd8\xff\xff", b"\xff\x01\xff\xff"])
def test_scans_are_counted_behind_bytes_that_decoders_skip(disguise: bytes) -> None:
    """Pillow and libjpeg skip these bytes."""
    data = jpeg((64, 64), 100)

    with pytest.raises(UnreadableImage, match="too many parts"):
        structure.check_segments(data[:2] + disguise + data[2:])


def test_a_heic_with_48_megapixels_in_tiles_passes() -> None:
    """Phones write such files. A limit of a pixel less than the photo has refuses it."""
    data = tiled_heic(16, 12, (8064, 6048))

    structure.check_boxes(data, LIMITS.pixels)
    structure.check_boxes(data, 8064 * 6048)
    with pytest.raises(ImageTooLarge):
        structure.check_boxes(data, 8064 * 6048 - 1)


@pytest.mark.parametrize(
    "written",
    [
        lambda content: box(b"meta", content),
        lambda content: struct.pack(">I4sQ", 1, b"meta", 16 + len(content)) + content,
        lambda content: struct.pack(">I4s", 0, b"meta") + content,
    ],
    ids=["short", "long", "to the end"],
)
def test_a_box_is_read_however_its_length_is_written(written: Callable[[bytes], bytes]) -> None:
    data = with_stated_size((8000, 8000), encoded(SMALL, "HEIF"))
    start = data.index(b"meta") - 4
    length = int.from_bytes(data[start : start + 4])

    with pytest.raises(ImageTooLarge, match="larger ones"):
        structure.check_boxes(data[:start] + written(data[start + 8 : start + length]), LIMITS.pixels)


def test_bytes_behind_a_heic_are_ignored() -> None:
    assert decode(encoded(SMALL, "HEIF") + b"\0\0\0\3junk", 32, LIMITS).format == "HEIF"


@pytest.mark.parametrize(
    ("data", "most"),
    [(flat_webp((5000, 5001)), "25,000,000"), (rle_bmp((5000, 2001), b""), "10,000,000")],
    ids=["WebP", "run-length encoded BMP"],
)
def test_some_formats_have_lower_limits(data: bytes, most: str) -> None:
    with pytest.raises(ImageTooLarge, match=f"the limit for (WEBP|BMP) of this kind is {most}"):
        decode(data, 32, LIMITS)


@pytest.mark.parametrize(
    ("limit", "name"),
    [("MAX_READS", "PNG"), ("MAX_READS", "GIF"), ("MAX_VALUES", "TIFF"), ("MAX_BOXES", "HEIF")],
)
def test_a_file_in_too_many_parts_is_unreadable(limit: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(structure, limit, 3)

    with pytest.raises(UnreadableImage):
        decode(encoded(SMALL, name), 32, LIMITS)
