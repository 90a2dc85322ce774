"""What a file says of its picture beside the pixels: which way is up, and in which colour space its numbers are.

Browsers show a picture whatever its metadata are, but decoders refuse some files with broken ones. So `read_container`
reads the metadata that matter, ignores those that are broken, and returns the file without any.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from classifier.errors import UnsupportedImage

JPEG, _PNG, RIFF, _WEBP = b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"RIFF", b"WEBP"
BRAND = b"ftyp"  # from the fifth byte of an AVIF or HEIF on
_EXIF, _ICC = b"Exif\0", b"ICC_PROFILE\0"  # "Exif\0" is followed by one more byte, which may have any value
# Of HEIF and AVIF, as the first or one of the other brands: films have the same kind of file.
_IMAGE_BRANDS = {b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"mif2", b"msf1"}
_MAGIC = (JPEG, _PNG, b"GIF87a", b"GIF89a", b"BM", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_TIFF_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}  # of bytes
_ORIENTATION, _SHORT = 0x0112, 3  # TIFF 6.0, sections 8 and 2
_TIFF_VALUE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}  # by type
_APP1, _APP2, _START_OF_SCAN = 0xE1, 0xE2, 0xDA
# Starts of frames with lossless, hierarchical or arithmetic coding (T.81, table B.1), and that of JPEG-LS (T.87)
_UNSUPPORTED_FRAMES = {0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7}
_FRAMES = {0xC0, 0xC1, 0xC2}
_RARE_JPEG = "This is a rare kind of JPEG (arithmetic, lossless or 12 bits). Save it as an ordinary JPEG."
ADVICE = "Send a JPEG, PNG, WebP, GIF, BMP, TIFF, HEIC or AVIF."
# Segments that libjpeg does not need: comments, and the application's segments but for those of JFIF and Adobe, which
# say how colours are coded.
_METADATA = {0xFE, *range(0xE1, 0xEE), 0xEF}
_PIXEL_CHUNKS = {b"IHDR", b"PLTE", b"IDAT", b"IEND"}
_KEY_BYTES = {0: 2, 2: 6, 3: 1}  # of tRNS at least, by the PNG's type of colour
_PNG_UNIT = 100_000  # of gAMA and cHRM
_RENDERING_INTENTS = {b"\0", b"\1", b"\2", b"\3"}  # the content of sRGB
_SRGB_GAMMA, _GAMMA_TOLERANCE = 2.2, 0.05  # libpng takes what is that near for sRGB
# An item entry of version 2 or 3, with its number and its protection, up to the type (ISO 14496-12, 8.11.6).
_METADATA_ITEM = re.compile(rb"(infe(?:\x02.{7}|\x03.{9}))(?:Exif|mime)", re.DOTALL)
_CODE_POINTS = re.compile(rb"(colrnclx).{4}", re.DOTALL)
_WEBP_HAS_PROFILE, _WEBP_HAS_ALPHA, _WEBP_IS_ANIMATED = 0x20, 0x10, 0x02
_MAX_MISSING_BYTES = 0.11  # as a share of the file; zeros in their place spoil little
_MAX_PARTS = 255  # of a profile in a JPEG: their number is a byte
_MAX_PROFILE_BYTES = 4 * 2**20  # printers' profiles have 1 to 3 MB


class Cicp(NamedTuple):
    """Code points of colour primaries and transfer characteristics (ITU-T H.273)."""

    primaries: int
    transfer: int


SRGB = Cicp(1, 13)
# Browsers take these transfer characteristics of a HEIF or AVIF for those of sRGB, as cameras mean them.
_VIDEO_TRANSFERS = {1, 6, 14, 15}


@dataclass(frozen=True, slots=True)
class Colours:
    """How a file describes its colour space. The first that can be used counts. If none can, it is sRGB.

    `gamma` is the exponent that makes samples linear. `chromaticities` are x and y of white, red, green and blue; they
    count only together with a gamma.
    """

    cicp: Cicp | None = None
    profile: bytes | None = None
    gamma: float | None = None
    chromaticities: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class Container:
    """A file's metadata, and the file without them. `orientation` is a value of EXIF, 1 to 8."""

    data: bytes
    orientation: int = 1
    colours: Colours = field(default_factory=Colours)


def is_known_format(data: bytes) -> bool:
    """Return whether the first bytes are those of a format that may be decoded."""
    if data[4:8] == BRAND:
        return any(data[start : start + 4] in _IMAGE_BRANDS for start in range(8, 64, 4))
    return data.startswith(_MAGIC) or (data.startswith(RIFF) and data[8:12] == _WEBP)


def read_container(data: bytes) -> Container:
    """Read the metadata of a JPEG, PNG, WebP, HEIF or AVIF. Other files are returned as they are.

    Raise `UnsupportedImage` for a kind of JPEG that is not supported.
    """
    if data.startswith(JPEG):
        return _read_jpeg(data)
    if data.startswith(_PNG):
        return _read_png(data)
    if data.startswith(RIFF) and data[8:12] == _WEBP:
        return _read_webp(data)
    if data[4:8] == BRAND:
        return _read_boxes(data)
    return Container(data)


def _orientation(exif: bytes) -> int:
    """Return the orientation in the first directory of EXIF data, or 1 if there is none."""
    order = _TIFF_ORDERS.get(exif[:4])
    if order is None:
        return 1
    try:
        (offset,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, offset)
        for number in range(count):
            tag, kind, values, value = struct.unpack_from(f"{order}HHIH", exif, offset + 2 + 12 * number)
            if tag == _ORIENTATION and (kind, values) == (_SHORT, 1):
                return value if 1 <= value <= 8 else 1  # noqa: PLR2004 - the values of EXIF
    except struct.error:  # cut short
        pass
    return 1


def _read_jpeg(data: bytes) -> Container:
    """Read the segments before the first scan (ITU-T T.81, annex B). Keep those that libjpeg needs."""
    kept, position, exif, profile = list[bytes | memoryview]([data[:2]]), 2, b"", []
    for kind, start, end in _segments(data):
        content = data[start + 4 : end]
        if kind == _APP1 and content.startswith(_EXIF) and not exif:
            exif = content[len(_EXIF) + 1 :]
        elif kind == _APP2 and content.startswith(_ICC):
            profile.append(content[len(_ICC) :])
        if kind in _UNSUPPORTED_FRAMES or (kind in _FRAMES and content[:1] != b"\x08"):  # bits of a sample
            raise UnsupportedImage(_RARE_JPEG)
        if kind not in _METADATA:
            kept.append(data[start:end])
        position = end
    kept.append(memoryview(data)[position:])  # the pixels, which are not copied twice
    return Container(b"".join(kept), _orientation(exif), Colours(profile=_joined(profile)))


def _joined(parts: list[bytes]) -> bytes | None:
    """Join the parts of a profile. Each begins with its number and the count of all (ICC.1, annex B.4)."""
    count = len(parts)
    numbers = [bytes((number, count)) for number in range(1, count + 1)] if count <= _MAX_PARTS else None
    parts = sorted(parts)
    return b"".join(part[2:] for part in parts) if parts and [part[:2] for part in parts] == numbers else None


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield kind, start and end of each segment of a JPEG before the first scan."""
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:  # noqa: PLR2004 - begins each marker
        kind = data[position + 1]
        if kind == 0xFF:  # noqa: PLR2004 - padding
            position += 1
            continue
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4])
        if kind == _START_OF_SCAN or end > len(data):
            return
        yield kind, position, end
        position = end


def _read_png(data: bytes) -> Container:
    """Read the chunks (PNG, third edition). Keep those that hold the pixels of the first frame.

    Of the others, only those count that are before the pixels and have the right checksum.
    """
    kept, found = [data[:8]], dict[bytes, bytes]()
    for kind, start, end in _chunks(data):
        if kind in _PIXEL_CHUNKS:
            kept.append(data[start:end])
            found.setdefault(kind, b"")
        elif b"IDAT" in found or kind in found or not _has_right_checksum(data[start:end]):
            continue
        else:
            found[kind] = data[start + 8 : end - 4]
            if kind == b"tRNS" and b"IHDR" in found:
                kept.append(_transparency(found[kind], *data[24:26]))
    whole = _first_frame(data) if b"acTL" in found and b"fcTL" not in found else None
    return Container(whole or b"".join(kept), _orientation(found.get(b"eXIf", b"")), _png_colours(found))


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, start and end of each chunk of a PNG, the last one perhaps cut short."""
    position = 8
    while position + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        end = min(position + 12 + length, len(data))
        yield kind, position, end
        position = end


def _has_right_checksum(chunk: bytes) -> bool:
    return zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:])


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _transparency(content: bytes, depth: int, colour: int) -> bytes:
    """Return the chunk that says which colours are transparent, or nothing if it is too short or of no use.

    Pillow extends samples of 2 and 4 bits to 8, but not this value of them.
    """
    if len(content) < _KEY_BYTES.get(colour, len(content) + 1):
        return b""
    if colour == 0 and depth in {2, 4}:
        content = (int.from_bytes(content[:2]) * 255 // (2**depth - 1)).to_bytes(4)[2:]
    return _chunk(b"tRNS", content)


def _first_frame(data: bytes) -> bytes | None:
    """Return a PNG of the first frame of an animation whose default image is no frame, or None if it is not whole."""
    before, frame, control = [data[:8]], list[bytes](), b""
    for kind, start, end in _chunks(data):
        if kind == b"fcTL":
            if control:
                break
            control = data[start + 8 : end]
        elif kind == b"fdAT" and control:
            frame.append(_chunk(b"IDAT", data[start + 12 : end - 4]))
        elif kind in {b"IHDR", b"PLTE", b"tRNS"}:
            before.append(data[start:end])
    covers = control[4:12] == data[16:24] and not any(control[12:20])
    return b"".join([*before, *frame, _chunk(b"IEND", b"")]) if frame and covers else None


def _png_colours(found: dict[bytes, bytes]) -> Colours:
    code_points, gamma, chromaticities = (found.get(kind, b"") for kind in (b"cICP", b"gAMA", b"cHRM"))
    name, _, compressed = found.get(b"iCCP", b"").partition(b"\0")
    colours = Colours(
        # The last two are the matrix, which is none, and the full range.
        cicp=Cicp(*code_points[:2]) if len(code_points) == 4 and code_points[2:] == b"\0\1" else None,  # noqa: PLR2004
        profile=_inflate(compressed[1:]) if name else None,
    )
    number = int.from_bytes(gamma) if len(gamma) == 4 else 0  # noqa: PLR2004 - one number
    if number == 0 or found.get(b"sRGB", b"") in _RENDERING_INTENTS:
        return colours
    points = struct.unpack(">8I", chromaticities) if len(chromaticities) == 32 else ()  # noqa: PLR2004 - eight numbers
    exponent = _PNG_UNIT / number
    if not points and abs(_SRGB_GAMMA / exponent - 1) < _GAMMA_TOLERANCE:
        return colours
    return replace(colours, gamma=exponent, chromaticities=tuple(point / _PNG_UNIT for point in points) or None)


def _inflate(compressed: bytes) -> bytes | None:
    """Return a compressed profile, or None if it is broken or too large."""
    try:
        inflater = zlib.decompressobj()
        profile = inflater.decompress(compressed, _MAX_PROFILE_BYTES)
    except zlib.error:
        return None
    return profile if inflater.eof else None


def webp_size(data: bytes) -> tuple[int, int] | None:
    """Return width and height that the first chunk of a WebP states (RFC 9649, RFC 6386), or None."""
    header = data[12:30]
    if not (data.startswith(RIFF) and data[8:12] == _WEBP and len(header) == 18):  # noqa: PLR2004
        return None
    match header[:4]:
        case b"VP8X":
            return int.from_bytes(header[12:15], "little") + 1, int.from_bytes(header[15:18], "little") + 1
        case b"VP8L":
            bits = int.from_bytes(header[9:13], "little")
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8 ":
            width, height = struct.unpack_from("<HH", header, 14)
            return width & 0x3FFF, height & 0x3FFF
    return None


def _read_webp(data: bytes) -> Container:
    """Read the chunks (RFC 9649). Browsers do not look for an orientation in the EXIF data of a WebP."""
    profile = None
    flags = data[20] if data[12:16] == b"VP8X" and len(data) > 20 else 0  # noqa: PLR2004 - the first byte of VP8X
    if flags & _WEBP_HAS_PROFILE:
        profile = next((data[start:end] for kind, start, end in _webp_chunks(data) if kind == b"ICCP"), None)
    completed = _completed_webp(data)
    if flags & _WEBP_IS_ANIMATED:  # what the first frame does not cover is transparent, also if no frame is
        completed = completed[:20] + bytes([flags | _WEBP_HAS_ALPHA]) + completed[21:]
    return Container(completed, colours=Colours(profile=profile))


def _webp_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, start of the content and end of each chunk of a WebP. The end may be behind the file."""
    position = 12
    while position + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, position)
        yield kind, position + 8, position + 8 + length
        position += 8 + length + length % 2


def _completed_webp(data: bytes) -> bytes:
    """Fill up a file as `_completed` does, with some zeros more, which its last chunk gets.

    libwebp refuses a picture that needs more bytes than there are. Zeros make it need more than the missing bytes did.
    """
    size = 8 + int.from_bytes(data[4:8], "little")
    completed = _completed(data, size)
    more = len(completed) // 20 * 2
    for kind, start, end in _webp_chunks(data) if completed != data else ():
        if len(data) < end <= size and kind != b"ANMF":  # a frame of an animation has chunks of its own
            larger = bytearray(completed + bytes(more))
            struct.pack_into("<I", larger, 4, size - 8 + more)
            struct.pack_into("<I", larger, start - 4, end - start + more)
            return bytes(larger)
    return completed


def _read_boxes(data: bytes) -> Container:
    """Read the boxes of a HEIF or AVIF (ISO 14496-12, ISO 23008-12). Its decoder turns the picture upright.

    libheif would read the metadata, and refuses code points of colours that it does not know. So the items of metadata
    get a type that it ignores, and the code points become those of sRGB.
    """
    end, meta = 0, (0, 0)
    for kind, start, end in _boxes(data, 0, len(data)):
        if kind == b"meta":
            meta = start + 4, min(end, len(data))
    hidden = _CODE_POINTS.sub(rb"\1" + struct.pack(">HH", *SRGB), _METADATA_ITEM.sub(rb"\1skip", data[slice(*meta)]))
    whole = data if hidden == data[slice(*meta)] else data[: meta[0]] + hidden + data[meta[1] :]
    return Container(_completed(whole, end), colours=_box_colours(data, meta))


def _box_colours(data: bytes, meta: tuple[int, int]) -> Colours:
    """Read the first colour boxes. A profile counts more than code points (MIAF, ISO 23000-22, 7.3.6.4)."""
    cicp = None
    for start, end in find_boxes(data, *meta, b"iprp", b"ipco", b"colr"):
        kind = data[start : start + 4]
        if kind in {b"prof", b"rICC"}:
            return Colours(profile=data[start + 4 : end])
        if kind == b"nclx" and cicp is None and end - start >= 8:  # noqa: PLR2004 - two numbers after the kind
            primaries, transfer = struct.unpack_from(">HH", data, start + 4)
            cicp = Cicp(primaries, SRGB.transfer if transfer in _VIDEO_TRANSFERS else transfer)
    return Colours(cicp=cicp)


def find_boxes(data: bytes, start: int, end: int, *path: bytes) -> Iterator[tuple[int, int]]:
    """Yield start and end of the content of each box at the path."""
    for kind, inner_start, inner_end in _boxes(data, start, end):
        if kind == path[0] and inner_end <= end:
            if path[1:]:
                yield from find_boxes(data, inner_start, inner_end, *path[1:])
            else:
                yield inner_start, inner_end


def _boxes(data: bytes, position: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, start of the content and end of each box in this part of the file. The end may be behind the file."""
    while position + 8 <= end:
        length, kind = struct.unpack_from(">I4s", data, position)
        header = 8
        if length == 1 and position + 16 <= end:
            header, (length,) = 16, struct.unpack_from(">Q", data, position + 8)
        length = length or end - position
        if length < header:  # neither this nor what follows is a box
            return
        yield kind, position + header, position + length
        position += length


def _completed(data: bytes, size: int) -> bytes:
    """Fill up a file with zeros to the size that it states, if at most a tenth is missing."""
    missing = size - len(data)
    return data + bytes(missing) if 0 < missing <= _MAX_MISSING_BYTES * size else data


def is_whole_tiff(data: bytes) -> bool:
    """Return whether this is a TIFF with a whole first directory, often its last part (TIFF 6.0, section 2)."""
    order = _TIFF_ORDERS.get(data[:4])
    if order is None:
        return False
    try:
        (offset,) = struct.unpack_from(f"{order}I", data, 4)
        (count,) = struct.unpack_from(f"{order}H", data, offset)
        entries = [struct.unpack_from(f"{order}HHII", data, offset + 2 + 12 * number) for number in range(count)]
    except struct.error:
        return False
    sizes = [_TIFF_VALUE_BYTES.get(kind, 0) * number for _, kind, number, _ in entries]
    # A value of up to four bytes is in the entry, in the place of its offset.
    return all(size <= 4 or value + size <= len(data) for size, (*_, value) in zip(sizes, entries, strict=True))  # noqa: PLR2004


def has_other_codec(data: bytes) -> bool:
    """Return whether this is a HEIF whose pictures are coded as in neither HEIC nor AVIF."""
    return data[4:8] == BRAND and b"infe" in data and not any(codec in data for codec in (b"hvc1", b"av01"))
