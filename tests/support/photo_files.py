"""Builds photo files byte by byte, in forms that no encoder writes. The pictures are small or of one colour."""

import io
import re
import struct
import zlib
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pillow_heif
from PIL import Image

from tests.support.drawings import encoded

Size = tuple[int, int]
Samples = npt.NDArray[Any]  # of an image: (height, width) or (height, width, channels)

PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
_PNG_PASSES = [
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
]  # first column and row of each pass, and steps to the next ones
_MEBIBYTE = 2**20


def zeros(length: int) -> bytes:
    """Return a zlib stream of so many zero bytes. It has a thousandth of their length and takes little time to make."""
    whole, rest = divmod(length, _MEBIBYTE)
    block, end = zlib.compressobj(9, zlib.DEFLATED, -15), zlib.compressobj(9, zlib.DEFLATED, -15)
    blocks = (block.compress(bytes(_MEBIBYTE)) + block.flush(zlib.Z_FULL_FLUSH)) * whole
    checksum = struct.pack(">I", length % 65521 << 16 | 1)
    return b"\x78\xda" + blocks + end.compress(bytes(rest)) + end.flush() + checksum


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    """Return a chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(
    size: Size,
    depth: int = 8,
    colour: int = 2,
    *,
    interlaced: bool = False,
    before: bytes = b"",
    after: bytes = b"",
    pixels: bytes | None = None,
) -> bytes:
    """Return a black PNG, or one of these compressed pixels, with chunks before and after the pixels."""
    header = struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, interlaced)
    if pixels is None:
        pixels = zeros(png_bytes(size, depth, colour, interlaced=interlaced))
    return PNG_START + chunk(b"IHDR", header) + before + chunk(b"IDAT", pixels) + after + chunk(b"IEND")


def png_bytes(size: Size, depth: int, colour: int, *, interlaced: bool) -> int:
    """Return how many bytes a PNG's pixels have before compression (PNG, section 8.2)."""
    width, height = size
    length = 0
    for x, y, dx, dy in _PNG_PASSES if interlaced else [(0, 0, 1, 1)]:
        columns, rows = len(range(x, width, dx)), len(range(y, height, dy))
        length += rows * (1 + (columns * depth * _PNG_SAMPLES[colour] + 7) // 8) if columns else 0
    return length


def png_of(
    samples: Samples, depth: int = 8, colour: int = 2, *, interlaced: bool = False, before: bytes = b"", **options: Any
) -> bytes:
    """Return a PNG of these samples."""
    passes = _PNG_PASSES if interlaced else [(0, 0, 1, 1)]
    rows = b"".join(b"\0" + row for x, y, dx, dy in passes for row in _packed_rows(samples[y::dy, x::dx], depth))
    size = (samples.shape[1], samples.shape[0])
    return png(size, depth, colour, interlaced=interlaced, before=before, pixels=zlib.compress(rows), **options)


def _packed_rows(samples: Samples, depth: int) -> list[bytes]:
    if samples.size == 0:
        return []
    if depth >= 8:
        return [row.astype(f">u{depth // 8}").tobytes() for row in samples]
    bits = samples[..., np.newaxis] >> np.arange(depth - 1, -1, -1) & 1
    return [np.packbits(row.astype(bool)).tobytes() for row in bits]


def gamma_chunk(exponent: float) -> bytes:
    """Return a PNG's chunk that says that samples to the power of this are linear light."""
    return chunk(b"gAMA", struct.pack(">I", round(100_000 / exponent)))


def chromaticities_chunk(white: tuple[float, float], primaries: Iterable[tuple[float, float]]) -> bytes:
    """Return a PNG's chunk with x and y of white, red, green and blue."""
    numbers = [round(number * 100_000) for point in (white, *primaries) for number in point]
    return chunk(b"cHRM", struct.pack(">8I", *numbers))


def profile_chunk(profile: bytes) -> bytes:
    """Return a PNG's chunk with an ICC profile."""
    return chunk(b"iCCP", b"name\0\0" + zlib.compress(profile))


def with_wrong_checksum(chunk_: bytes) -> bytes:
    """Return the chunk of a PNG with another checksum."""
    return chunk_[:-1] + bytes([chunk_[-1] ^ 1])


def segment(kind: int, data: bytes) -> bytes:
    """Return a segment of a JPEG."""
    return bytes((0xFF, kind)) + struct.pack(">H", 2 + len(data)) + data


def jpeg(size: Size, scans: int = 1, components: int = 1, frame: int = 0xC2, scan: bytes = b"") -> bytes:
    """Return a JPEG of one scan of all components, then scans of one component each.

    It is progressive unless `frame` is the marker of another process.
    """
    width, height = size
    ids = range(1, components + 1)
    coded = b"".join(bytes((id_, 0x11, 0)) for id_ in ids)
    tables = segment(0xDB, bytes(1) + b"\1" * 64) + _huffman_table(0x00, 0) + _huffman_table(0x10, 0xE0)
    first = segment(0xDA, bytes((components, *(byte for id_ in ids for byte in (id_, 0)), 0, 0, 1))) + scan
    others = [segment(0xDA, bytes((1, id_, 0, 1, 63, 0))) + scan for id_ in ids]
    header = segment(frame, struct.pack(">BHHB", 8, height, width, components) + coded)
    return b"\xff\xd8" + tables + header + first + b"".join(others) * (scans // components) + b"\xff\xd9"


def _huffman_table(number: int, symbol: int) -> bytes:
    return segment(0xC4, bytes((number, 1, *[0] * 15, symbol)))


def with_segments(segments: bytes) -> bytes:
    """Return a small JPEG with these segments before all others."""
    return b"\xff\xd8" + segments + encoded(Image.new("RGB", (8, 8)), "JPEG")[2:]


def gif(size: Size, frame: Size | None = None, extensions: bytes = b"") -> bytes:
    """Return a GIF whose header and frame state these sizes, with 8 × 8 pixels."""
    pixels = encoded(Image.new("L", (8, 8)), "GIF").partition(b",")[2][9:]
    return (
        b"GIF89a"
        + struct.pack("<HHBBB", *size, 0, 0, 0)
        + extensions
        + b","
        + struct.pack("<HHHHB", 0, 0, *(frame or size), 0)
        + pixels
    )


def rle_bmp(size: Size, runs: bytes) -> bytes:
    """Return a BMP of 256 colours in RLE8."""
    palette = b"".join(bytes((index, 0, 255 - index, 0)) for index in range(256))
    start = 14 + 40 + len(palette)
    header = struct.pack("<IiiHHIIiiII", 40, *size, 1, 8, 1, len(runs), 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", start + len(runs), 0, 0, start) + header + palette + runs


def bmp(
    size: Size,
    depth: int,
    pixels: bytes,
    palette: bytes = b"",
    *,
    masks: Iterable[int] = (),
    compression: int = 0,
    top_down: bool = False,
) -> bytes:
    """Return a BMP with a header of 40 bytes, and of 124 bytes if it has four masks of bits."""
    bits = b"".join(struct.pack("<I", mask) for mask in masks)
    header_size = 124 if len(bits) == 16 else 40
    rest = bits + b"BGRs" + bytes(64) if header_size == 124 else bits
    start = 14 + 40 + len(rest) + len(palette)
    height = -size[1] if top_down else size[1]
    header = struct.pack(
        "<IiiHHIIiiII", header_size, size[0], height, 1, depth, compression, len(pixels), 0, 0, len(palette) // 4, 0
    )
    return b"BM" + struct.pack("<IHHI", start + len(pixels), 0, 0, start) + header + rest + palette + pixels


def bmp_rows(samples: Samples, depth: int) -> bytes:
    """Return the rows of a BMP from the last to the first, of samples of at most 8 bits or of whole pixels."""
    packed = _packed_rows(samples[::-1], depth) if depth < 8 else [row.tobytes() for row in samples[::-1]]
    return b"".join(row + bytes(-len(row) % 4) for row in packed)


BYTE, SHORT, LONG, RATIONAL = 1, 3, 4, 5
_TIFF_VALUES = {BYTE: 1, SHORT: 2, LONG: 4, RATIONAL: 8, 7: 1}  # bytes of a value, by type
STRIP_OFFSETS, ROWS_PER_STRIP, STRIP_BYTES, ORIENTATION, X_RESOLUTION = 273, 278, 279, 274, 282
TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_BYTES = 322, 323, 324, 325
FIRST_BYTE = 8  # the offset of the pixels, which follow a TIFF's header

Tags = Mapping[int, tuple[int, int | bytes]]


def tiff(size: Size, pixels: bytes, tags: Tags, *, depth: int = 8, samples: int = 1, compression: int = 1) -> bytes:
    """Return a TIFF. A tag's value is a number, or bytes, which are stored outside of the directory."""
    photometric = {1: 1, 3: 2, 4: 2}[samples]
    described: dict[int, tuple[int, int | bytes]] = {
        256: (LONG, size[0]),
        257: (LONG, size[1]),
        258: (SHORT, struct.pack("<H", depth) * samples if samples > 1 else depth),
        259: (SHORT, compression),
        262: (SHORT, photometric),
        277: (SHORT, samples),
        STRIP_OFFSETS: (LONG, FIRST_BYTE),
        ROWS_PER_STRIP: (LONG, size[1]),
        STRIP_BYTES: (LONG, len(pixels)),
    }
    if samples == 4:
        described[338] = (SHORT, 2)
    return b"II*\0" + struct.pack("<I", 8 + len(pixels)) + pixels + directory({**described, **tags}, 8 + len(pixels))


def tiff_of(
    samples: Samples,
    photometric: int,
    *,
    order: str = "<",
    planar: bool = False,
    compressed: bool = False,
    tags: Mapping[int, tuple[int, bytes]] | None = None,
) -> bytes:
    """Return a TIFF of these samples, with their type, in this order of bytes, in deflate if it is `compressed`.

    The bytes of the values of other tags are in that order already.
    """
    height, width = samples.shape[:2]
    planes = samples.reshape(height, width, -1)
    channels = planes.shape[2]
    ordered = planes.astype(planes.dtype.newbyteorder(">" if order == ">" else "<"))
    strips = [ordered[..., i].tobytes() for i in range(channels)] if planar else [ordered.tobytes()]
    strips = [zlib.compress(strip) for strip in strips] if compressed else strips
    lengths = [len(strip) for strip in strips]
    longs, shorts = partial(_numbers, order, "I"), partial(_numbers, order, "H")
    entries: dict[int, tuple[int, bytes]] = {
        256: (LONG, longs(width)),
        257: (LONG, longs(height)),
        258: (SHORT, shorts(*[planes.dtype.itemsize * 8] * channels)),
        259: (SHORT, shorts(8 if compressed else 1)),
        262: (SHORT, shorts(photometric)),
        STRIP_OFFSETS: (LONG, longs(*[FIRST_BYTE + sum(lengths[:i]) for i in range(len(strips))])),
        277: (SHORT, shorts(channels)),
        ROWS_PER_STRIP: (LONG, longs(height)),
        STRIP_BYTES: (LONG, longs(*lengths)),
        284: (SHORT, shorts(2 if planar else 1)),
        339: (SHORT, shorts(*[3 if planes.dtype.kind == "f" else 1] * channels)),
        **({338: (SHORT, shorts(2))} if channels == 4 and photometric == 2 else {}),
        **(tags or {}),
    }
    start = FIRST_BYTE + sum(lengths)
    magic = b"II*\0" if order == "<" else b"MM\0*"
    return magic + longs(start) + b"".join(strips) + _ordered_directory(entries, start, order)


def _numbers(order: str, kind: str, *values: int) -> bytes:
    return struct.pack(f"{order}{len(values)}{kind}", *values)


def _ordered_directory(entries: Mapping[int, tuple[int, bytes]], start: int, order: str) -> bytes:
    table, outside = b"", b""
    for tag, (kind, value) in sorted(entries.items()):
        table += struct.pack(f"{order}HHI", tag, kind, len(value) // _TIFF_VALUES[kind])
        if len(value) <= 4:
            table += value.ljust(4, b"\0")
            continue
        table += struct.pack(f"{order}I", start + 2 + 12 * len(entries) + 4 + len(outside))
        outside += value
    return struct.pack(f"{order}H", len(entries)) + table + bytes(4) + outside


def directory(tags: Tags, start: int) -> bytes:
    """Return the directory of a TIFF or EXIF that begins at the offset `start`. Equal values share their bytes."""
    entries, outside, offsets = b"", b"", {}
    for tag, (kind, value) in sorted(tags.items()):
        if isinstance(value, int):
            entries += struct.pack("<HHII", tag, kind, 1, value)
            continue
        if value not in offsets:
            offsets[value] = start + 2 + 12 * len(tags) + 4 + len(outside)
            outside += value
        entries += struct.pack("<HHII", tag, kind, len(value) // _TIFF_VALUES[kind], offsets[value])
    return struct.pack("<H", len(tags)) + entries + bytes(4) + outside


def exif(tags: Tags) -> bytes:
    """Return EXIF data as a PNG contains them."""
    return b"II*\0" + struct.pack("<I", 8) + directory(tags, 8)


def animated_webp(canvas: Size, chunks: bytes = b"") -> bytes:
    """Return an animated WebP with this canvas, a frame of 16 × 16 pixels, and chunks behind it."""
    frame = encoded(Image.new("RGB", (16, 16)), "WEBP")[12:]
    width, height = (struct.pack("<I", side - 1)[:3] for side in canvas)
    side = struct.pack("<I", 15)[:3]
    header = _riff(b"VP8X", b"\2\0\0\0" + width + height) + _riff(b"ANIM", bytes(6))
    return _riff(b"RIFF", b"WEBP" + header + _riff(b"ANMF", bytes(6) + side * 2 + bytes(4) + frame) + chunks)


def flat_webp(size: Size) -> bytes:
    """Return a lossless WebP of one colour. It has 30 bytes whatever its size in pixels."""
    data = encoded(Image.new("RGBA", (16, 16), (200, 0, 0, 100)), "WEBP", lossless=True)
    (bits,) = struct.unpack_from("<I", data, 21)
    width, height = size
    return data[:21] + struct.pack("<I", bits >> 28 << 28 | height - 1 << 14 | width - 1) + data[25:]


def _riff(kind: bytes, data: bytes) -> bytes:
    return kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)


def box(kind: bytes, *contents: bytes, version: int | None = None) -> bytes:
    """Return a box of a HEIF or AVIF (ISO 14496-12, 4.2)."""
    content = (b"" if version is None else struct.pack(">I", version << 24)) + b"".join(contents)
    return struct.pack(">I", 8 + len(content)) + kind + content


def content_of(data: bytes, *path: bytes) -> bytes:
    """Return the content of the first box at the path."""
    for kind in path:
        while data[4:8] != kind:
            data = data[int.from_bytes(data[:4]) :]
        data = data[12 if kind == b"meta" else 8 : int.from_bytes(data[:4])]
    return data


class Heic:
    """Builds a HEIC of equal tiles, grids of tiles, and references between them.

    Items have the numbers 1, 2, … in the order in which they are added. Item 1 is the photo.
    """

    def __init__(self, tile: Size, *, deep: bool = False, **options: Any) -> None:
        """Encode a tile of this size with the options, in 10 bits if it is `deep`."""
        fast: dict[str, Any] = {"quality": 50, "enc_params": {"preset": "ultrafast"}} | options
        whole = deep_heif(tile, **fast) if deep else encoded(Image.new("RGB", tile, (40, 90, 160)), "HEIF", **fast)
        self._pixels = content_of(whole, b"mdat")
        self._properties = [box(b"hvcC", content_of(whole, b"meta", b"iprp", b"ipco", b"hvcC"))]
        self._tile_size = self.add_size(tile)
        self._items: list[tuple[bytes, bytes, list[int]]] = []
        self._references: list[bytes] = []

    def add_size(self, size: Size) -> int:
        """Add a property with the size of an item. Return its number."""
        return self.add_property(box(b"ispe", struct.pack(">II", *size), version=0))

    def add_property(self, property_: bytes) -> int:
        """Add a property. Return its number."""
        self._properties.append(property_)
        return len(self._properties)

    def add_tiles(self, count: int = 1, *properties: int) -> list[int]:
        """Add so many tiles, which share their bytes. Return their numbers."""
        return [self._add(b"hvc1", self._pixels, 1, self._tile_size, *properties) for _ in range(count)]

    def add_grid(self, columns: int, rows: int, size: Size, *properties: int) -> int:
        """Add an image of the tiles that are added next, cut off at the size. Return its number."""
        number = self._add(
            b"grid", struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, *size), self.add_size(size), *properties
        )
        self.refer(b"dimg", number, range(number + 1, number + 1 + columns * rows))
        return number

    def refer(self, kind: bytes, item: int, others: Iterable[int]) -> None:
        """Add a reference from an item to others."""
        numbers = list(others)
        self._references.append(box(kind, struct.pack(f">HH{len(numbers)}H", item, len(numbers), *numbers)))

    def _add(self, kind: bytes, data: bytes, *properties: int) -> int:
        self._items.append((kind, data, list(properties)))
        return len(self._items)

    def data(self) -> bytes:
        """Return the file."""
        start = box(b"ftyp", b"heic", bytes(4), b"mif1heic")
        offset = len(start) + len(self._meta({})) + 8
        offsets = {}
        for data in dict.fromkeys(data for _, data, _ in self._items):
            offsets[data] = offset
            offset += len(data)
        return start + self._meta(offsets) + box(b"mdat", *offsets)

    def _meta(self, offsets: dict[bytes, int]) -> bytes:
        numbered = list(enumerate(self._items, 1))
        kinds = [
            box(b"infe", struct.pack(">HH", number, 0), kind, b"\0", version=2) for number, (kind, _, _) in numbered
        ]
        located = [
            struct.pack(">HHHII", number, 0, 1, offsets.get(data, 0), len(data)) for number, (_, data, _) in numbered
        ]
        associated = [struct.pack(">HB", number, len(used)) + bytes(used) for number, (_, _, used) in numbered]
        count = struct.pack(">H", len(numbered))
        return box(
            b"meta",
            box(b"hdlr", bytes(4), b"pict", bytes(13), version=0),
            box(b"pitm", struct.pack(">H", 1), version=0),
            box(b"iloc", b"\x44\0", count, *located, version=0),
            box(b"iinf", count, *kinds, version=0),
            box(b"iref", *self._references, version=0) if self._references else b"",
            box(
                b"iprp",
                box(b"ipco", *self._properties),
                box(b"ipma", struct.pack(">I", len(numbered)), *associated, version=0),
            ),
            version=0,
        )


def cropped_to(size: Size) -> bytes:
    """Return the property of an image of which only the middle is shown."""
    width, height = size
    return box(b"clap", struct.pack(">8I", width, 1, height, 1, 0, 1, 0, 1))


TRANSPARENCY = box(b"auxC", b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0", version=0)


def deep_heif(size: Size, *, samples: bytes | None = None, **options: Any) -> bytes:
    """Return a HEIF of 10 bits, black or of these samples, which have 16 bits."""
    buffer = io.BytesIO()
    pillow_heif.from_bytes("RGB;16", size, samples or bytes(size[0] * size[1] * 6)).save(buffer, **options)
    return buffer.getvalue()


def with_colour_box(data: bytes, content: bytes) -> bytes:
    """Return the HEIF or AVIF with this content in the place of its code points of colours, which is as long."""
    return re.sub(rb"colrnclx.{7}", lambda _: b"colr" + content.ljust(11, b"\0"), data, flags=re.DOTALL)


def with_crop(size: Size, data: bytes) -> bytes:
    """Return the HEIC of an odd size with another crop in its middle (the clap box, ISO 14496-12, 12.1.4)."""
    width, height = size
    crop = b"clap" + struct.pack(">8I", width, 1, height, 1, 0, 1, 0, 1)
    return re.sub(rb"clap.{32}", lambda _: crop, data, flags=re.DOTALL)


def avif_with_exif(image: Image.Image, content: bytes) -> bytes:
    """Return an AVIF whose EXIF data begin with this, as far as they are as long as those that the encoder accepts."""
    accepted = exif({256: (SHORT, 1)})
    data = encoded(image, "AVIF", exif=b"Exif\0\0" + accepted, quality=90)
    assert accepted in data
    return data.replace(accepted, content[: len(accepted)].ljust(len(accepted), b"\0"))


def code_points(primaries: int, transfer: int) -> bytes:
    """Return the content of a colour box with these code points (ITU-T H.273), BT.601's matrix and the full range."""
    return b"nclx" + struct.pack(">HHHB", primaries, transfer, 6, 0x80)


def with_stated_size(size: Size, data: bytes) -> bytes:
    """Return the HEIF or AVIF with another size in its header."""
    stated = struct.pack(">4sIII", b"ispe", 0, *size)
    return re.sub(rb"ispe.{12}", lambda _: stated, data, flags=re.DOTALL)
