"""The scans of progressive JPEGs, as Pillow's libjpeg writes and reads them."""

import io
import re
import tracemalloc
from typing import Any

import pytest
from PIL import Image, JpegImagePlugin

from classifier.errors import UnreadableImage
from classifier.limits import Limits
from classifier.photos import decode
from classifier.progressive import has_all_scans, without_details
from tests.support.drawings import encoded, garment
from tests.support.photo_files import jpeg

SMALL = garment("t-shirt", (64, 48))
LARGE = garment("t-shirt", (1210, 1003))  # parts of blocks at both edges
START_OF_SCAN = b"\xff\xda"


def at_an_eighth(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    assert isinstance(image, JpegImagePlugin.JpegImageFile)
    image.draft(None, (image.width // 8, image.height // 8))
    assert image.decoderconfig[0] == 8
    image.load()
    return image


def test_whether_a_progressive_jpeg_has_all_scans() -> None:
    data = encoded(SMALL, "JPEG", progressive=True)
    _, second, *_, last = (match.start() for match in re.finditer(START_OF_SCAN, data))

    assert has_all_scans(data)
    assert has_all_scans(data[: last + 20])
    assert has_all_scans(data[:last]), "it refines the last bit"
    assert not has_all_scans(data[:second])
    assert not has_all_scans(encoded(SMALL, "JPEG"))


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("options", [{}, {"restart_marker_blocks": 7}, {"quality": 30}], ids=["", "restarts", "coarse"])
def test_without_details_the_pixels_are_the_same_at_an_eighth(
    mode: str, subsampling: str, options: dict[str, Any]
) -> None:
    data = encoded(LARGE.convert(mode), "JPEG", progressive=True, subsampling=subsampling, **options)
    short = without_details(data)

    assert short.count(START_OF_SCAN) < data.count(START_OF_SCAN)
    assert len(short) < len(data)
    assert at_an_eighth(short) == at_an_eighth(data)


def test_many_blocks_without_details_are_the_same() -> None:
    """One code says that up to 32,767 blocks are empty."""
    data = encoded(SMALL.resize((2048, 1600)), "JPEG", progressive=True)

    assert at_an_eighth(without_details(data)) == at_an_eighth(data)


@pytest.mark.parametrize("length", [-2, -100, 500])
def test_a_progressive_jpeg_without_an_end_is_returned_as_it_is(length: int) -> None:
    data = encoded(LARGE, "JPEG", progressive=True)[:length]

    assert without_details(data) == data


def test_a_photo_in_which_only_details_are_damaged_is_decoded_as_if_they_were_whole() -> None:
    data = encoded(LARGE, "JPEG", progressive=True)
    last = data.rindex(START_OF_SCAN)
    damaged = data[: last + 10] + b"\x55" * 400 + data[last + 410 :]

    assert damaged != data
    assert decode(damaged, 100, Limits()).rgb == decode(data, 100, Limits()).rgb


@pytest.mark.parametrize("side", [100, 300])
def test_a_progressive_photo_gives_the_pixels_of_all_its_scans(side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(LARGE, "JPEG", progressive=True)
    photo = decode(data, side, Limits())
    monkeypatch.setattr("classifier.photos.without_details", lambda data: data)

    assert photo.rgb == decode(data, side, Limits()).rgb
    assert (photo.width, photo.height) == LARGE.size


@pytest.mark.parametrize(
    "scan",
    [b"\xff\xda", b"\xff\xda\0\2", b"\xff\xda\0\x08\x09\1\0\0\x3f\0", b"\xff\xc2\0\2"],
    ids=["cut short", "empty", "of too many components", "an empty frame"],
)
def test_a_malformed_segment_between_scans_is_the_photo_s_own_fault(scan: bytes) -> None:
    data = encoded(LARGE, "JPEG", progressive=True)
    last = data.rindex(START_OF_SCAN)

    with pytest.raises(UnreadableImage):
        decode(data[:last] + scan + data[last:], 100, Limits())


def test_a_baseline_jpeg_is_not_searched_for_scans(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: bytes) -> bytes:
        raise AssertionError

    monkeypatch.setattr("classifier.photos.without_details", fail)

    assert decode(encoded(LARGE, "JPEG"), 100, Limits()).width == LARGE.width
    assert decode(jpeg((8, 8)), 100, Limits()).width == 8


def test_a_file_without_some_of_its_scans_is_left_alone() -> None:
    """libjpeg smooths a picture whose details are not known. To say that they are zero would change that."""
    data = encoded(LARGE, "JPEG", progressive=True)
    starts = [match.start() for match in re.finditer(START_OF_SCAN, data)]

    for start in starts[1:-1]:
        cut = data[:start] + b"\xff\xd9"
        assert at_an_eighth(without_details(cut)) == at_an_eighth(cut)
    assert without_details(data[: starts[1]] + b"\xff\xd9") == data[: starts[1]] + b"\xff\xd9"


def test_metadata_between_scans_is_kept_in_one_piece() -> None:
    """A piece for each of millions of comments would take hundreds of megabytes."""
    data = encoded(LARGE, "JPEG", progressive=True)
    place = [match.start() for match in re.finditer(START_OF_SCAN, data)][1]
    commented = data[:place] + b"\xff\xfe\0\2" * 200_000 + data[place:]

    tracemalloc.start()
    short = without_details(commented)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert at_an_eighth(short) == at_an_eighth(data)
    assert peak < 5 * len(commented)
