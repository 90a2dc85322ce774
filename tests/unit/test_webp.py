"""libwebp's own interface, compared with Pillow's way to the same pixels."""

import io

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageStat

from classifier import webp
from classifier.decoders import Decoders
from classifier.limits import Limits
from classifier.photos import decode
from classifier.webp import decode_still
from tests.support.drawings import encoded, garment

PICTURE = garment("t-shirt", (301, 205))  # odd sizes: colours have half as many samples
TRANSPARENT = Image.merge("RGBA", (*PICTURE.split(), Image.linear_gradient("L").resize(PICTURE.size)))


def mean_difference(one: Image.Image, other: Image.Image) -> float:
    return float(np.mean(ImageStat.Stat(ImageChops.difference(one, other)).mean))


def animation(frames: int) -> bytes:
    file = io.BytesIO()
    others = [PICTURE.rotate(90 * number) for number in range(1, frames)]
    PICTURE.save(file, "WEBP", save_all=True, append_images=others, minimize_size=False)
    return file.getvalue()


@pytest.mark.parametrize("lossless", [True, False])
def test_a_picture_of_the_wanted_size_has_the_pixels_that_pillow_reads(*, lossless: bool) -> None:
    data = encoded(PICTURE, "WEBP", lossless=lossless)

    still = decode_still(data, 301)
    assert still is not None
    assert still.tobytes() == Image.open(io.BytesIO(data)).convert("RGB").tobytes()


@pytest.mark.parametrize("lossless", [True, False])
@pytest.mark.parametrize(("max_side", "size"), [(250, (301, 205)), (100, (100, 100)), (1, (1, 1))])
def test_a_picture_is_reduced_if_both_sides_are_larger(max_side: int, size: tuple[int, int], *, lossless: bool) -> None:
    data = encoded(PICTURE, "WEBP", lossless=lossless)
    still = decode_still(data, max_side)

    assert still is not None
    assert still.size == size
    reduced = Image.open(io.BytesIO(data)).convert("RGB").resize(size, Image.Resampling.BOX)
    assert mean_difference(still, reduced) < 2


def test_a_colour_profile_does_not_stand_in_the_way() -> None:
    data = encoded(PICTURE, "WEBP", icc_profile=bytes(200), exif=bytes(20))

    assert data[12:16] == b"VP8X"
    still = decode_still(data, 301)
    assert still is not None
    assert still.tobytes() == Image.open(io.BytesIO(data)).convert("RGB").tobytes()


@pytest.mark.parametrize(
    "data",
    [
        encoded(TRANSPARENT, "WEBP"),
        encoded(TRANSPARENT, "WEBP", lossless=True),
        animation(3),
        encoded(PICTURE, "WEBP")[:-200],
        encoded(PICTURE, "WEBP")[:20],
        encoded(PICTURE, "JPEG"),
        b"",
    ],
    ids=["transparent", "transparent, lossless", "animation", "cut short", "header", "JPEG", "empty"],
)
def test_what_pillow_decodes_better_is_left_to_it(data: bytes) -> None:
    assert decode_still(data, 301) is None


def test_a_library_with_another_interface_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webp, "_ABI_VERSION", 0x0109)

    assert decode_still(encoded(PICTURE, "WEBP"), 301) is None


@pytest.mark.parametrize("quality", [20, 95])
def test_a_photo_gives_nearly_the_pixels_of_a_decoding_in_full(quality: int, monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(garment("t-shirt", (1500, 2000)), "WEBP", quality=quality)
    photo = decode(data, 100, Limits())
    monkeypatch.setattr(webp, "decode_still", lambda *_: None)
    whole = decode(data, 100, Limits())

    assert (photo.format, photo.width, photo.height) == (whole.format, whole.width, whole.height)
    assert np.abs(photo.pixels.astype(int) - whole.pixels).mean() < 0.5


def test_a_large_webp_without_transparency_keeps_within_the_memory_of_a_photo() -> None:
    """Pillow would take 8 bytes for each pixel."""
    size = (8100, 6100)
    photo = Decoders(1).decode(encoded(garment("t-shirt", (81, 61)).resize(size), "WEBP", method=0), 100, Limits())

    assert (photo.width, photo.height) == size
