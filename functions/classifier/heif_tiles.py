"""The tiles of a HEIF, of which some may be missing: libheif leaves those out, and says nothing.

Phones write a photo as a grid of tiles, each of which is an item of the file (ISO 23008-12, 6.6.2.3).
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from classifier.containers import find_boxes
from classifier.errors import DAMAGED, UnreadableImage

_SIZES = {0: "", 4: "I", 8: "Q"}  # of fields, in bytes
_SAMPLE = 8  # bytes of zeros at the start or the end of a tile: neither HEVC nor AV1 has so many there


class _Field(NamedTuple):
    """A number in the file: where it is, as `struct` describes it, and its value."""

    position: int
    format: str
    value: int


class _Extent(NamedTuple):
    """Where the data of an item are: `base` is added to `offset`."""

    base: _Field
    offset: _Field
    length: _Field

    @property
    def start(self) -> int:
        return self.base.value + self.offset.value

    def is_missing(self, data: bytes) -> bool:
        """Tell whether the data are behind the end of the file, or zeros where something must be."""
        start, end = self.start, self.start + self.length.value
        return end > len(data) or not any(data[start : start + _SAMPLE]) or not any(data[end - _SAMPLE : end])


def replace_missing_tiles(data: bytes) -> bytes | None:
    """Return the file with a whole tile in the place of each that is missing, or None if no tile is missing.

    So what is missing is what differs between the pictures of both. Raise `UnreadableImage` if no tile is whole.
    """
    metas = list(find_boxes(data, 0, len(data), b"meta"))
    if not metas:
        return None
    meta = metas[0][0] + 4, metas[0][1]
    try:
        extents, pictures = dict(_read_locations(data, meta)), _read_parts_of_photo(data, meta)
    except (struct.error, IndexError):
        return None  # the decoder says what is wrong
    moves: list[tuple[_Extent, _Extent]] = []
    for tiles in pictures:
        found = [extents[tile] for tile in tiles if tile in extents]
        missing = [extent for extent in found if extent.is_missing(data)]
        whole = [extent for extent in found if extent not in missing]
        if missing and not whole:
            raise UnreadableImage(DAMAGED)
        moves += [(extent, whole[0]) for extent in missing]
    if not moves:
        return None
    replaced = bytearray(data)
    for extent, other in moves:
        _move(replaced, extent, other)
    return bytes(replaced)


def _move(data: bytearray, extent: _Extent, other: _Extent) -> None:
    """Let an extent be where the other one is. Raise `UnreadableImage` if its numbers have no place in the file."""
    changes = [(extent.length, other.length.value)]
    if extent.base.format:
        changes += [(extent.base, other.start), (extent.offset, 0)]
    else:
        changes.append((extent.offset, other.start))
    for field, value in changes:
        if field.format:
            struct.pack_into(f">{field.format}", data, field.position, value)
        elif value:
            raise UnreadableImage(DAMAGED)


def _read_parts_of_photo(data: bytes, meta: tuple[int, int]) -> list[tuple[int, ...]]:
    """Return the numbers of the items of which the photo consists, for each picture in it that consists of others.

    Other pictures in the file, such as a gain map, do not matter: nobody shows them.
    """
    parts = dict(_read_derivations(data, meta))
    pictures, waiting = list[tuple[int, ...]](), list[int]()
    for start, _ in find_boxes(data, *meta, b"pitm"):  # the photo (ISO 14496-12, 8.11.4)
        waiting += struct.unpack_from(">H" if data[start] == 0 else ">I", data, start + 4)
    while waiting:
        found = parts.pop(waiting.pop(), ())
        if found:
            pictures.append(found)
            waiting += found
    return pictures


def _read_derivations(data: bytes, meta: tuple[int, int]) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Yield the numbers of pictures, and of the items of which each consists (ISO 14496-12, 8.11.12)."""
    for start, end in find_boxes(data, *meta, b"iref"):
        number = "H" if data[start] == 0 else "I"
        for inner, _ in find_boxes(data, start + 4, end, b"dimg"):
            item, count = struct.unpack_from(f">{number}H", data, inner)
            yield item, struct.unpack_from(f">{count}{number}", data, inner + struct.calcsize(f">{number}H"))


def _read_locations(data: bytes, meta: tuple[int, int]) -> Iterator[tuple[int, _Extent]]:
    """Yield the numbers of items, and where their data are, if they are in one piece (ISO 14496-12, 8.11.3)."""
    for start, _ in find_boxes(data, *meta, b"iloc"):
        reader = _Reader(data, start)
        version = reader.read("B").value
        reader.position += 3
        sizes = reader.read("H").value
        offset_size, length_size, base_size, index_size = (
            _SIZES.get(sizes >> shift & 15, "") for shift in (12, 8, 4, 0)
        )
        number = "I" if version > 1 else "H"
        for _ in range(reader.read(number).value):
            item = reader.read(number).value
            method = reader.read("H").value & 15 if version else 0
            reader.read("H")
            base = reader.read(base_size)
            count = reader.read("H").value
            for _ in range(count):
                if version:
                    reader.read(index_size)
                extent = _Extent(base, reader.read(offset_size), reader.read(length_size))
            if count == 1 and method == 0:
                yield item, extent


class _Reader:
    """Reads one number after the other."""

    def __init__(self, data: bytes, position: int) -> None:
        self._data, self.position = data, position

    def read(self, kind: str) -> _Field:
        """Read a number. One without a format is 0. Raise `struct.error` behind the end."""
        value = struct.unpack_from(f">{kind}", self._data, self.position)[0] if kind else 0
        field = _Field(self.position, kind, value)
        self.position += struct.calcsize(f">{kind}")
        return field
