"""What a photo's file may be made of, and what its decoder may take: all that `Limits` cannot say.

A hostile file is small, says that its image is small, and yet keeps its decoder busy for minutes or fills the memory:
with scans of nothing, crumbs of metadata, tiles that are cut away. No camera writes what is refused here. Pillow and
the libraries behind it leave these limits to whoever uses them.
"""

import io
import math
import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from PIL import Image, TiffImagePlugin, TiffTags
from PIL.TiffImagePlugin import ImageFileDirectory_v2, TiffImageFile

from classifier.errors import ImageTooLarge, UnreadableImage

# Of a file, by Pillow's parsers in Python: three for each chunk of a PNG, of which they do 100,000 in a second.
_MOST_READS = 300_000

_JPEG = b"\xff\xd8\xff"
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # no byte of a scan, no restart, no padding
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_NO_SEGMENTS = {*range(0xC0), 0xC8, 0xD8, 0xD9, *range(0xF0, 0xFE)}  # markers that no length follows, or unknown ones
_EXIF = b"Exif\0\0"
_MOST_SEGMENTS = 1000  # of 64 KiB each; 25 MiB are 400
_MOST_SCANS = 32  # libjpeg writes 18 at most; one of 50 megapixels may take a tenth of a second
_MOST_EXIFS = 32  # Pillow joins them, and copies what it has for each
# libtiff counts the scans of what it has libjpeg decode, up to this.
os.environ.setdefault("LIBTIFF_JPEG_MAX_ALLOWED_SCAN_NUMBER", str(_MOST_SCANS))

_MOST_BOXES = 5_000  # libheif reads 1,000 items
_MOST_DECODED = 4  # times the most pixels of an image: its tiles, and others of the same file

_MOST_VALUES = 100_000  # of a TIFF's directory, or an EXIF's; Pillow makes an object of each
_TEXTS = {TiffTags.BYTE, TiffTags.ASCII, TiffTags.UNDEFINED}
_OFFSETS = {TiffImagePlugin.STRIPOFFSETS, TiffImagePlugin.TILEOFFSETS}  # values, whatever type they say they have
_MOST_STRIP_BYTES = 100_000_000  # of a strip or tile, which libtiff holds beside the image; common are 64 KiB

# Where a decoder holds more than 10 bytes for each pixel, as many pixels as take 500 MB.
_MOST_PIXELS_WEBP = 25_000_000  # 16 bytes: libwebp's two canvases, a copy, the image
_MOST_PIXELS_AVIF = 30_000_000  # 16 bytes: planes of 10 bits and transparency, two copies or one and the image
_MOST_PIXELS_RARE_HEIF = 24_000_000  # 20 bytes: planes of 10 bits or transparency, in forms that no phone writes
_MOST_PIXELS_RLE = 10_000_000  # Pillow decodes a BMP's run-length encoding in Python, as many in a second

_MOST_AVIF_BYTES = 512 * 1024 * 1024


class Pieces(io.BytesIO):
    """A file that may be read in so many pieces, for parsers in Python that take it to pieces of a byte."""

    reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """As a file does; raises `UnreadableImage`."""
        self.reads += 1
        if self.reads > _MOST_READS:
            raise UnreadableImage("The file is made of too many parts.")
        return super().read(size)


def check_segments(data: bytes) -> None:
    """Refuse a JPEG of too many segments, scans or pieces of EXIF, as libjpeg and Pillow both come upon them.

    Has to come before Pillow reads the header. Raises `UnreadableImage`.
    """
    if not data.startswith(_JPEG):
        return
    position, segments, scans, exifs = 2, 0, 0, 0
    while marker := _MARKER.search(data, position):
        kind, position = data[marker.end() - 1], marker.end()
        if kind == _END_OF_IMAGE and scans:
            return
        segments += 1
        scans += kind == _START_OF_SCAN
        exifs += data.startswith(_EXIF, position + 2)
        if segments > _MOST_SEGMENTS or scans > _MOST_SCANS or exifs > _MOST_EXIFS:
            raise UnreadableImage("The file is made of too many parts.")
        if kind not in _NO_SEGMENTS:
            position += max(2, int.from_bytes(data[position : position + 2]))


def check_boxes(data: bytes, most_pixels: int) -> None:
    """Refuse a HEIF or AVIF that is a small part of a large image, or made of many.

    libheif decodes whatever an image is made of, and nothing larger than its `ispe` (ISO 23008-12, 6.5.3) says.
    """
    properties = _only(_only(memoryview(data), b"meta")[4:], b"iprp")
    areas = [_area(content) if kind == b"ispe" else 0 for kind, content in _boxes(_only(properties, b"ipco"))]
    decoded = sum(_associated(content, areas) for kind, content in _boxes(properties) if kind == b"ipma")
    if max(areas, default=0) > most_pixels or decoded > _MOST_DECODED * most_pixels:
        raise ImageTooLarge("The image is made of larger ones.")


def check_image(image: Image.Image, data: bytes, most_pixels: int) -> None:
    """Refuse an image, its header read and no pixels yet, whose decoder would need too much memory or time for them.

    Raises `ImageTooLarge` or `UnreadableImage`, or `IndexError` where a box is cut short.
    """
    pixels, most = image.width * image.height, _most_pixels_of(image)
    if pixels > most:
        raise ImageTooLarge(
            f"The image has {pixels / 1e6:.1f} megapixels; of its kind at most {most / 1e6:g} are accepted."
        )
    if isinstance(image, TiffImageFile):
        _check_strips(image.tag_v2, most_pixels)
    if image.format in {"HEIF", "AVIF"}:
        check_boxes(data, most_pixels)


class _Room:
    """Pixels that photos at work share: whoever finds too few waits for others to give theirs back."""

    def __init__(self) -> None:
        self._taken = 0
        self._changed = threading.Condition()

    @contextmanager
    def take(self, pixels: int, most: int) -> Iterator[None]:
        """Hold so many, of which all together are at most `most`."""
        with self._changed:
            self._changed.wait_for(lambda: self._taken + pixels <= most)
            self._taken += pixels
        try:
            yield
        finally:
            with self._changed:
                self._taken -= pixels
                self._changed.notify_all()


_room = _Room()


@contextmanager
def room(image: Image.Image, most_pixels: int) -> Iterator[None]:
    """Let threads decode photos at once that together are no larger than the largest that is accepted.

    An AVIF is alone, and gets so much memory: what its planes measure shows only as they are decoded. Raises
    `MemoryError`, or what libavif makes of it.
    """
    if image.format != "AVIF":
        with _room.take(min(image.width * image.height, most_pixels), most_pixels):
            yield
        return
    with _room.take(most_pixels, most_pixels), _bounded_memory():
        yield


@contextmanager
def _bounded_memory() -> Iterator[None]:
    """Let this process have so much more memory than it has, and none of its threads more."""
    if sys.platform != "linux":
        yield
        return
    import resource  # noqa: PLC0415 - not on every platform

    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    used = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
    limits = [used + _MOST_AVIF_BYTES, *(limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY)]
    resource.setrlimit(resource.RLIMIT_DATA, (min(limits), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _boxes(data: memoryview) -> list[tuple[bytes, memoryview]]:
    """Kinds and contents of the boxes that follow one another (ISO 14496-12, 4.2)."""
    boxes = []
    while data:
        size, header = int.from_bytes(data[:4]), 8
        if size == 1:
            size, header = int.from_bytes(data[8:16]), 16
        size = size or len(data)
        if size < header:  # not a box, and nothing that follows is one
            break
        boxes.append((bytes(data[4:8]), data[header:size]))
        if len(boxes) > _MOST_BOXES:
            raise UnreadableImage("The file is made of too many parts.")
        data = data[size:]
    return boxes


def _only(data: memoryview, wanted: bytes) -> memoryview:
    """The content of the one box of that kind, or of none."""
    contents = [content for kind, content in _boxes(data) if kind == wanted]
    if len(contents) > 1:
        raise UnreadableImage("The image is damaged or incomplete.")
    return contents[0] if contents else memoryview(b"")


def _area(ispe: memoryview) -> int:
    return int.from_bytes(ispe[4:8]) * int.from_bytes(ispe[8:12])


def _associated(ipma: memoryview, areas: list[int]) -> int:
    """The areas of all items, by the properties that this box (ISO 23008-12, 9.3) associates with them."""
    version, wide, items, position = ipma[0], ipma[3] & 1, int.from_bytes(ipma[4:8]), 8
    if items > _MOST_BOXES:
        raise UnreadableImage("The file is made of too many parts.")
    area = 0
    for _ in range(items):
        position += 4 if version else 2
        for _ in range(ipma[position]):
            index = int.from_bytes(ipma[position + 1 : position + 3]) & 0x7FFF if wide else ipma[position + 1] & 0x7F
            area += areas[index - 1] if 0 < index <= len(areas) else 0
            position += 2 if wide else 1
        position += 1
    return area


def _most_pixels_of(image: Image.Image) -> float:
    match image.format, image.info:
        case "WEBP", _:
            return _MOST_PIXELS_WEBP
        case "AVIF", _:
            return _MOST_PIXELS_AVIF
        case "HEIF", {"bit_depth": 8} | {"chroma": 420} if not image.has_transparency_data:
            return math.inf
        case "HEIF", _:
            return _MOST_PIXELS_RARE_HEIF
        case "BMP", {"compression": 1 | 2}:  # run-length encoding, for which biCompression stands
            return _MOST_PIXELS_RLE
    return math.inf


def _check_strips(tags: ImageFileDirectory_v2, most_pixels: int) -> None:
    """Refuse strips and tiles that are large, or that stand out of the image far."""
    width, height = tags[TiffImagePlugin.IMAGEWIDTH], tags[TiffImagePlugin.IMAGELENGTH]
    columns = tags.get(TiffImagePlugin.TILEWIDTH, width)
    rows = tags.get(TiffImagePlugin.TILELENGTH, min(tags.get(TiffImagePlugin.ROWSPERSTRIP, height), height))
    depths = tags.get(TiffImagePlugin.BITSPERSAMPLE, (1,))
    samples = max(len(depths), tags.get(TiffImagePlugin.SAMPLESPERPIXEL, 1))
    decoded = math.ceil(width / columns) * columns * math.ceil(height / rows) * rows
    if columns * rows * samples * max(depths) > 8 * _MOST_STRIP_BYTES or decoded > 2 * most_pixels:
        raise ImageTooLarge("The image is not divided into strips or tiles that are small enough.")


def _bounded_load(self: ImageFileDirectory_v2, fp: IO[bytes]) -> None:
    """Read a directory as Pillow does, unless it holds too many values."""
    _load(self, fp)
    values = 0
    for tag, data in self._tagdata.items():
        kind = self.tagtype[tag]
        if tag in _OFFSETS or kind not in _TEXTS:
            values += len(data) // self._load_dispatch[kind][0]
    if values > _MOST_VALUES:
        raise UnreadableImage("The file is made of too many parts.")


_load = ImageFileDirectory_v2.load
ImageFileDirectory_v2.load = _bounded_load  # type: ignore[method-assign]
