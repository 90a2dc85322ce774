"""Tiles of a HEIF that are missing: libheif would leave their place green, and say nothing."""

import struct

import numpy as np
import pytest
from PIL import Image

from classifier.errors import UnreadableImage
from classifier.heif_tiles import replace_missing_tiles
from classifier.limits import Limits
from classifier.photos import decode, register_modern_formats
from tests.support.drawings import encoded, garment
from tests.support.photo_files import box

register_modern_formats()
SIZE, LIMITS = 96, Limits()
GRID = encoded(garment("t-shirt", (1200, 900)), "HEIF", tile_size=128)
TILES = 80  # 10 columns and 8 rows
WHITE = 250  # and more, in all colours


def white_share(data: bytes) -> float:
    pixels = decode(data, SIZE, LIMITS).pixels
    return float((pixels.min(axis=2) >= WHITE).mean())


def zeroed(begin: float, end: float) -> bytes:
    """Return the file with zeros from one part of it to another."""
    first, last = int(begin * len(GRID)), int(end * len(GRID))
    return GRID[:first] + bytes(last - first) + GRID[last:]


def test_a_whole_file_is_left_alone() -> None:
    assert replace_missing_tiles(GRID) is None


def test_files_without_tiles_are_left_alone() -> None:
    assert replace_missing_tiles(encoded(garment("t-shirt", (100, 100)), "HEIF")) is None
    assert replace_missing_tiles(b"") is None


@pytest.mark.parametrize("missing", [0.05, 0.1, 0.3])
def test_what_is_missing_becomes_white(missing: float) -> None:
    whole = decode(GRID, SIZE, LIMITS).pixels.astype(int)

    cut = decode(GRID[: -int(missing * len(GRID))], SIZE, LIMITS).pixels.astype(int)

    is_white = cut.min(axis=2) >= WHITE
    assert missing * 0.5 < is_white.mean() <= 0.4
    assert np.abs(cut - whole)[~is_white].mean() < 2
    assert is_white[-1].all()  # tiles are in the order of rows


@pytest.mark.parametrize("data", [GRID[: len(GRID) // 2], GRID[: len(GRID) // 10], zeroed(0.3, 0.9), zeroed(0.5, 1)])
def test_too_much_may_not_be_missing(data: bytes) -> None:
    with pytest.raises(UnreadableImage, match="damaged, incomplete"):
        decode(data, SIZE, LIMITS)


@pytest.mark.parametrize(("begin", "end"), [(0.5, 0.51), (0.5, 0.7), (0.9, 1)])
def test_zeros_in_the_place_of_tiles_become_white(begin: float, end: float) -> None:
    assert 0 < white_share(zeroed(begin, end)) - white_share(GRID) < 2.5 * (end - begin) + 0.1


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_missing_tiles_of_a_turned_picture_become_white(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x112] = orientation
    data = encoded(garment("t-shirt", (1200, 900)), "HEIF", tile_size=128, exif=exif.tobytes())

    pixels = decode(data[: -len(data) // 10], SIZE, LIMITS).pixels

    edge = {3: pixels[0], 6: pixels[:, 0], 8: pixels[:, -1]}[orientation]
    assert (edge >= WHITE).all()


def make_file(
    version: int,
    offset: str,
    base: str,
    tiles: list[bytes],
    *,
    cut: int = 0,
    groups: list[tuple[int, list[int]]] | None = None,
) -> bytes:
    """Write a file with a grid of these tiles, as far as their locations go. The last bytes of it are missing.

    `groups` has the numbers of pictures with those of their tiles. The photo is number 99.
    """
    sizes = {"": 0, "I": 4, "Q": 8}
    number = "I" if version == 2 else "H"

    def locations(start: int) -> bytes:
        entries, position = b"", start
        for item, tile in enumerate(tiles, 1):
            method = struct.pack(">H", 0) if version else b""
            numbers = [position if base else 0, 1, 0 if base else position, len(tile)]
            layout = f">{base}H{offset}I"
            values = [value for value, kind in zip(numbers, (base, "H", offset, "I"), strict=True) if kind]
            entries += struct.pack(f">{number}", item) + method + bytes(2) + struct.pack(layout, *values)
            position += len(tile)
        head = struct.pack(">B3xBB", version, sizes[offset] << 4 | 4, sizes[base] << 4)
        return box(b"iloc", head + struct.pack(f">{number}", len(tiles)) + entries)

    groups = groups or [(99, [*range(1, len(tiles) + 1)])]
    references = [box(b"dimg", struct.pack(f">HH{len(ids)}H", item, len(ids), *ids)) for item, ids in groups]
    grid = box(b"pitm", bytes(4) + struct.pack(">H", 99)) + box(b"iref", bytes(4), *references)
    head = box(b"ftyp", b"heic" + bytes(4) + b"mif1")
    start = len(head) + len(box(b"meta", bytes(4) + grid + locations(0))) + 8
    content = head + box(b"meta", bytes(4) + grid + locations(start)) + box(b"mdat", b"".join(tiles))
    return content[: len(content) - cut]


@pytest.mark.parametrize("version", [0, 1, 2])
@pytest.mark.parametrize(("offset", "base"), [("I", ""), ("Q", ""), ("I", "I"), ("I", "Q"), ("", "I")])
def test_a_missing_tile_gets_the_place_of_a_whole_one(version: int, offset: str, base: str) -> None:
    tiles = [bytes([number]) * 20 for number in (1, 2, 3)]
    cut = make_file(version, offset, base, tiles, cut=10)
    as_if = make_file(version, offset, base, [*tiles[:2], tiles[0]], cut=10)

    replaced = replace_missing_tiles(cut)

    assert replaced is not None
    assert replace_missing_tiles(replaced) is None
    assert len(replaced) == len(cut) == len(as_if)


@pytest.mark.parametrize("data", [bytes(20), b"\1" * 12 + bytes(8), bytes(8) + b"\1" * 12])
def test_a_tile_is_missing_if_its_start_or_end_is_zeros(data: bytes) -> None:
    assert replace_missing_tiles(make_file(0, "I", "", [b"\1" * 20, data])) is not None


def test_at_least_one_tile_must_be_whole() -> None:
    with pytest.raises(UnreadableImage):
        replace_missing_tiles(make_file(0, "I", "", [bytes(20), bytes(20)]))


@pytest.mark.parametrize("others", [[(98, [2])], [(98, [1, 2])], [(98, [99, 2])], [(97, [98]), (98, [2])]])
def test_missing_tiles_of_other_pictures_do_not_matter(others: list[tuple[int, list[int]]]) -> None:
    """Such as those of a gain map, or of another photo in the file."""
    tiles = [b"\1" * 20, bytes(20)]

    assert replace_missing_tiles(make_file(0, "I", "", tiles, groups=[(99, [1]), *others])) is None


def test_the_photo_may_consist_of_pictures_that_consist_of_tiles() -> None:
    tiles = [b"\1" * 20, bytes(20)]

    assert replace_missing_tiles(make_file(0, "I", "", tiles, groups=[(98, [1, 2]), (99, [98])])) is not None
    assert replace_missing_tiles(make_file(0, "I", "", tiles, groups=[(98, [99, 1]), (99, [98])])) is None


def test_broken_locations_are_left_to_the_decoder() -> None:
    data = make_file(0, "I", "", [b"\1" * 20, b"\2" * 20])
    start = data.index(b"iloc") + 4

    for value in (b"\xff" * 8, bytes(8), b"\0\0\0\0\x44\x44\xff\xff"):
        broken = data[:start] + value + data[start + 8 :]
        assert replace_missing_tiles(broken) in {None, broken}
