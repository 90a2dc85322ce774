"""Limits on how a photo's file is built and on what its decoder may use, beyond the sizes that `Limits` checks.

A hostile file can be small, declare a small image, and still keep its decoder busy for minutes or fill the memory: with
empty scans, metadata in many small parts, or tiles that are cropped away. No camera writes what is refused here. Pillow
and the libraries behind it leave these limits to their users.
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

# By Pillow's parsers, which are in Python: three reads for each chunk of a PNG. They read 100,000 chunks in a second.
MAX_READS = 300_000

_JPEG = b"\xff\xd8\xff"
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # not a byte of a scan, a restart marker or padding
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_NO_SEGMENTS = {*range(0xC0), 0xC8, 0xD8, 0xD9, *range(0xF0, 0xFE)}  # markers without a length, and unknown markers
_EXIF = b"Exif\0\0"
MAX_SEGMENTS = 1000  # a segment has up to 64 KiB, so a file of 25 MiB needs 400
MAX_SCANS = 32  # libjpeg writes at most 18; one scan of 50 megapixels can take a tenth of a second
MAX_EXIFS = 32  # Pillow joins them, and copies all of them again for each
# The same limit for JPEG data in a TIFF, which libtiff checks itself.
os.environ.setdefault("LIBTIFF_JPEG_MAX_ALLOWED_SCAN_NUMBER", str(MAX_SCANS))

MAX_BOXES = 5_000  # libheif reads at most 1,000 items
MAX_DECODED = 4  # times the pixel limit of an image: its tiles, and other images in the same file

MAX_VALUES = 100_000  # of a directory of TIFF or EXIF; Pillow makes a Python object of each value
_TEXTS = {TiffTags.BYTE, TiffTags.ASCII, TiffTags.UNDEFINED}
_OFFSETS = {TiffImagePlugin.STRIPOFFSETS, TiffImagePlugin.TILEOFFSETS}  # numbers, whatever type the file declares
MAX_STRIP_BYTES = 100_000_000  # of a strip or tile, which libtiff keeps in memory beside the image; 64 KiB are common

# For decoders that use more than 10 bytes for each pixel: the number of pixels that takes 500 MB.
MAX_PIXELS_WEBP = 25_000_000  # 16 bytes: libwebp's two canvases, a copy, the image
MAX_PIXELS_AVIF = 30_000_000  # 16 bytes: planes of 10 bits and transparency, two copies or one and the image
MAX_PIXELS_RARE_HEIF = 24_000_000  # 20 bytes: planes of 10 bits or transparency, in forms that phones do not write
MAX_PIXELS_RLE = 10_000_000  # Pillow decodes run-length encoded BMPs in Python, 10 million pixels in a second

MAX_AVIF_BYTES = 512 * 1024 * 1024


class BoundedReader(io.BytesIO):
    """A file with a limit on the number of reads: parsers in Python can be made to read single bytes."""

    reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """Read as a file does. Raise `UnreadableImage` after too many reads."""
        self.reads += 1
        if self.reads > MAX_READS:
            raise UnreadableImage("The file is made of too many parts.")
        return super().read(size)


def check_segments(data: bytes) -> None:
    """Refuse a JPEG with too many segments, scans or EXIF blocks. Raise `UnreadableImage`.

    Finds segments as both libjpeg and Pillow do. Call it before Pillow reads the header.
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
        if segments > MAX_SEGMENTS or scans > MAX_SCANS or exifs > MAX_EXIFS:
            raise UnreadableImage("The file is made of too many parts.")
        if kind not in _NO_SEGMENTS:
            position += max(2, int.from_bytes(data[position : position + 2]))


def check_boxes(data: bytes, max_pixels: int) -> None:
    """Refuse a HEIF or AVIF image that is a small part of a large one, or is made of many. Raise `ImageTooLarge`.

    libheif decodes every image that an image is made of, none of them larger than its `ispe` (ISO 23008-12, 6.5.3).
    """
    properties = _single_box(_single_box(memoryview(data), b"meta")[4:], b"iprp")
    areas = [_area(content) if kind == b"ispe" else 0 for kind, content in _boxes(_single_box(properties, b"ipco"))]
    decoded = sum(_associated(content, areas) for kind, content in _boxes(properties) if kind == b"ipma")
    if max(areas, default=0) > max_pixels or decoded > MAX_DECODED * max_pixels:
        raise ImageTooLarge("The image is made of larger ones.")


def check_image(image: Image.Image, data: bytes, max_pixels: int) -> None:
    """Refuse an image whose header was read, if decoding its pixels would take too much memory or time.

    Raise `ImageTooLarge` or `UnreadableImage`, or `IndexError` if a box is cut short.
    """
    pixels, most = image.width * image.height, _max_pixels_of(image)
    if pixels > most:
        raise ImageTooLarge(f"The image has {pixels:,} pixels; the limit for {image.format} of this kind is {most:,}.")
    if isinstance(image, TiffImageFile):
        check_strips(image.tag_v2, max_pixels)
    if image.format in {"HEIF", "AVIF"}:
        check_boxes(data, max_pixels)


class _PixelBudget:
    """A number of pixels that threads share. A thread that needs more than are left waits for the others."""

    def __init__(self) -> None:
        self._taken = 0
        self._changed = threading.Condition()

    @contextmanager
    def take(self, pixels: int, most: int) -> Iterator[None]:
        """Hold that many pixels. All threads together hold at most `most`."""
        with self._changed:
            self._changed.wait_for(lambda: self._taken + pixels <= most)
            self._taken += pixels
        try:
            yield
        finally:
            with self._changed:
                self._taken -= pixels
                self._changed.notify_all()


_pixel_budget = _PixelBudget()


@contextmanager
def memory_budget(image: Image.Image, max_pixels: int) -> Iterator[None]:
    """Decode photos at the same time only if together they have no more pixels than the largest photo may have.

    An AVIF is decoded alone, with a limit on memory, because the size of its planes is known only while it is decoded.
    Raise `MemoryError`, or what libavif raises instead.
    """
    if image.format != "AVIF":
        with _pixel_budget.take(min(image.width * image.height, max_pixels), max_pixels):
            yield
        return
    with _pixel_budget.take(max_pixels, max_pixels), _bounded_memory():
        yield


@contextmanager
def _bounded_memory() -> Iterator[None]:
    """Limit how much more memory this process may allocate, for all of its threads."""
    if sys.platform != "linux":
        yield
        return
    import resource  # noqa: PLC0415 - not on every platform

    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    used = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
    limits = [used + MAX_AVIF_BYTES, *(limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY)]
    resource.setrlimit(resource.RLIMIT_DATA, (min(limits), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _boxes(data: memoryview) -> list[tuple[bytes, memoryview]]:
    """Return kinds and contents of a sequence of boxes (ISO 14496-12, 4.2)."""
    boxes = []
    while data:
        size, header = int.from_bytes(data[:4]), 8
        if size == 1:
            size, header = int.from_bytes(data[8:16]), 16
        size = size or len(data)
        if size < header:  # neither this nor what follows is a box
            break
        boxes.append((bytes(data[4:8]), data[header:size]))
        if len(boxes) > MAX_BOXES:
            raise UnreadableImage("The file is made of too many parts.")
        data = data[size:]
    return boxes


def _single_box(data: memoryview, wanted: bytes) -> memoryview:
    """Return the content of the only box of that kind, or nothing if there is none."""
    contents = [content for kind, content in _boxes(data) if kind == wanted]
    if len(contents) > 1:
        raise UnreadableImage("The image is damaged or incomplete.")
    return contents[0] if contents else memoryview(b"")


def _area(ispe: memoryview) -> int:
    return int.from_bytes(ispe[4:8]) * int.from_bytes(ispe[8:12])


def _associated(ipma: memoryview, areas: list[int]) -> int:
    """Return the sum of the areas of all items, by the properties of each item in this box (ISO 23008-12, 9.3)."""
    version, wide, items, position = ipma[0], ipma[3] & 1, int.from_bytes(ipma[4:8]), 8
    if items > MAX_BOXES:
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


def _max_pixels_of(image: Image.Image) -> float:
    match image.format, image.info:
        case "WEBP", _:
            return MAX_PIXELS_WEBP
        case "AVIF", _:
            return MAX_PIXELS_AVIF
        case "HEIF", {"bit_depth": 8} | {"chroma": 420} if not image.has_transparency_data:
            return math.inf
        case "HEIF", _:
            return MAX_PIXELS_RARE_HEIF
        case "BMP", {"compression": 1 | 2}:  # values of biCompression that stand for run-length encoding
            return MAX_PIXELS_RLE
    return math.inf


def check_strips(tags: ImageFileDirectory_v2, max_pixels: int) -> None:
    """Refuse large strips and tiles, and those that are much larger than the image."""
    width, height = tags[TiffImagePlugin.IMAGEWIDTH], tags[TiffImagePlugin.IMAGELENGTH]
    columns = tags.get(TiffImagePlugin.TILEWIDTH, width)
    rows = tags.get(TiffImagePlugin.TILELENGTH, min(tags.get(TiffImagePlugin.ROWSPERSTRIP, height), height))
    depths = tags.get(TiffImagePlugin.BITSPERSAMPLE, (1,))
    samples = max(len(depths), tags.get(TiffImagePlugin.SAMPLESPERPIXEL, 1))
    decoded = math.ceil(width / columns) * columns * math.ceil(height / rows) * rows
    if columns * rows * samples * max(depths) > 8 * MAX_STRIP_BYTES or decoded > 2 * max_pixels:
        raise ImageTooLarge("The image is not divided into strips or tiles that are small enough.")


def _bounded_load(self: ImageFileDirectory_v2, fp: IO[bytes]) -> None:
    """Read a directory as Pillow does. Raise `UnreadableImage` if it has too many values."""
    _load(self, fp)
    values = 0
    for tag, data in self._tagdata.items():
        kind = self.tagtype[tag]
        if tag in _OFFSETS or kind not in _TEXTS:
            values += len(data) // self._load_dispatch[kind][0]
    if values > MAX_VALUES:
        raise UnreadableImage("The file is made of too many parts.")


_load = ImageFileDirectory_v2.load
ImageFileDirectory_v2.load = _bounded_load  # type: ignore[method-assign]
