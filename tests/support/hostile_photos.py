"""Draws photos as strangers send them: awkward, damaged or harmful. Everything is drawn here, with fixed seeds."""

import itertools
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any

import numpy as np
from PIL import Image

from classifier.limits import Limits
from tests.support.drawings import encoded, garment
from tests.support.photo_files import (
    BYTE,
    FIRST_BYTE,
    LONG,
    ORIENTATION,
    PNG_START,
    RATIONAL,
    ROWS_PER_STRIP,
    SHORT,
    STRIP_BYTES,
    STRIP_OFFSETS,
    TILE_BYTES,
    TILE_HEIGHT,
    TILE_OFFSETS,
    TILE_WIDTH,
    TRANSPARENCY,
    X_RESOLUTION,
    Heic,
    Size,
    Tags,
    animated_webp,
    box,
    chunk,
    content_of,
    cropped_to,
    deep_heif,
    exif,
    flat_webp,
    gif,
    jpeg,
    png,
    png_bytes,
    rle_bmp,
    segment,
    tiff,
    with_segments,
    with_stated_size,
    zeros,
)

SIZE = (64, 48)
LARGEST = (7000, 7000)  # just within the limits
MOST_BYTES = Limits().file_bytes - 2000  # leaves room for the rest of a file
# A file that wants more time or memory than a photo may take. Some libraries report a lack of memory as damage.
TOO_COSTLY = "image_too_large or unreadable_image"


@dataclass(frozen=True)
class Hostile:
    """A file with its `expected` outcome: a photo of that format, or an error of that code, or `TOO_COSTLY`.

    A `heavy` file takes a second or hundreds of megabytes.
    """

    name: str
    expected: str
    draw: Callable[[], bytes]
    heavy: bool = False


def corpus() -> list[Hostile]:
    """Return all files."""
    return [
        *photos(),
        *turned_photos(),
        *large_photos(),
        *too_large(),
        *attacks_by_metadata(),
        *attacks_in_few_bytes(),
        *attacks_by_repetition(),
        *polyglots(),
        *other_files(),
    ]


def flips(photo: Hostile, count: int) -> Iterator[bytes]:
    """Yield the file with one to eight bits flipped, more of them in its first bytes than elsewhere."""
    random = Random(photo.name)
    data = photo.draw()
    for _ in range(count):
        flipped = bytearray(data)
        for _ in range(random.randint(1, 8)):
            index = random.randrange(len(data) if random.random() < 0.5 else min(len(data), 200))
            flipped[index] ^= 1 << random.randrange(8)
        yield bytes(flipped)


# Photos.


def photos(size: Size = SIZE) -> Iterator[Hostile]:
    """Yield each format in each of its forms."""
    rgb, transparent = garment("t-shirt", size), garment("t-shirt", size)
    transparent.putalpha(Image.linear_gradient("L").resize(size))
    grey, palette = rgb.convert("L"), rgb.quantize(64)
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    animated: dict[str, Any] = {"save_all": True}
    forms: list[tuple[str, str, Image.Image, dict[str, Any]]] = [
        ("baseline", "JPEG", rgb, {}),
        ("progressive", "JPEG", rgb, {"progressive": True}),
        ("grey", "JPEG", grey, {}),
        ("cmyk", "JPEG", rgb.convert("CMYK"), {}),
        ("progressive cmyk", "JPEG", rgb.convert("CMYK"), {"progressive": True}),
        ("several", "MPO", rgb, animated),
        ("rgb", "PNG", rgb, {}),
        ("transparent", "PNG", transparent, {}),
        ("grey", "PNG", grey, {}),
        ("transparent grey", "PNG", transparent.convert("LA"), {}),
        ("palette", "PNG", palette, {}),
        ("transparent palette", "PNG", palette, {"transparency": 3}),
        ("bilevel", "PNG", rgb.convert("1"), {}),
        ("16 bit", "PNG", deep, {}),
        ("animated", "PNG", rgb, animated),
        ("lossy", "WEBP", rgb, {}),
        ("lossless", "WEBP", rgb, {"lossless": True}),
        ("transparent", "WEBP", transparent, {}),
        ("animated", "WEBP", rgb, animated),
        ("palette", "GIF", palette, {}),
        ("grey", "GIF", grey, {}),
        ("interlaced", "GIF", palette, {"interlace": 1}),
        ("transparent", "GIF", palette, {"transparency": 3}),
        ("animated", "GIF", rgb, animated),
        ("rgb", "BMP", rgb, {}),
        ("palette", "BMP", palette, {}),
        ("bilevel", "BMP", rgb.convert("1"), {}),
        ("transparent", "BMP", transparent, {}),
        ("rgb", "TIFF", rgb, {}),
        ("rgb in LZW", "TIFF", rgb, {"compression": "tiff_lzw"}),
        ("rgb in JPEG", "TIFF", rgb, {"compression": "jpeg"}),
        ("transparent", "TIFF", transparent, {"compression": "tiff_adobe_deflate"}),
        ("cmyk", "TIFF", rgb.convert("CMYK"), {}),
        ("lab", "TIFF", rgb.convert("LAB"), {}),
        ("palette", "TIFF", palette, {}),
        ("fax", "TIFF", rgb.convert("1"), {"compression": "group4"}),
        ("16 bit", "TIFF", deep, {}),
        ("32 bit", "TIFF", grey.convert("I"), {}),
        ("float", "TIFF", grey.convert("F"), {}),
        ("several", "TIFF", rgb, animated),
        ("rgb", "AVIF", rgb, {}),
        ("4:4:4", "AVIF", rgb, {"subsampling": "4:4:4"}),
        ("transparent", "AVIF", transparent, {}),
        ("animated", "AVIF", rgb, animated),
        ("rgb", "HEIF", rgb, {}),
        ("grey", "HEIF", grey, {}),
        ("transparent", "HEIF", transparent, {}),
        ("several", "HEIF", rgb, animated),
    ]
    for form, name, image, options in forms:
        expected = "JPEG" if name == "MPO" else name
        yield Hostile(f"{name}, {form}", expected, partial(drawn, image, name, **options))
    for form, depth, colour in [("16 bit rgb", 16, 2), ("16 bit transparent grey", 16, 4), ("16 bit rgba", 16, 6)]:
        yield Hostile(f"PNG, {form}", "PNG", partial(mottled_png, size, depth, colour))
    yield Hostile("PNG, interlaced", "PNG", partial(mottled_png, size, 8, 2, interlaced=True))
    yield Hostile("BMP, run-length encoded", "BMP", partial(rle_bmp, size, RUNS * size[1]))
    yield Hostile("HEIF, 10 bit", "HEIF", partial(deep_heif, size))
    yield Hostile("HEIF, tiles", "HEIF", partial(tiled_heic, 3, 2, (180, 120), side=64))


def drawn(image: Image.Image, name: str, **options: Any) -> bytes:
    """Return the image in that format, with two others behind it if `save_all` is set."""
    if "save_all" in options:
        options["append_images"] = [garment("pants", image.size), image.transpose(Image.Transpose.ROTATE_180)]
    return encoded(image.copy(), name, **options)  # saving changes an image


def mottled_png(size: Size, depth: int, colour: int, *, interlaced: bool = False) -> bytes:
    """Return a PNG in a form that Pillow does not write."""
    length = png_bytes(size, depth, colour, interlaced=interlaced)
    # Each byte is at most 4, so that it is a valid filter type wherever a row begins.
    pixels = zlib.compress(np.random.default_rng(0).integers(0, 5, length, np.uint8).tobytes())
    return png(size, depth, colour, interlaced=interlaced, pixels=pixels)


def turned_photos() -> Iterator[Hostile]:
    """Yield a photo in every EXIF orientation."""
    image = garment("pants", SIZE)
    for name, orientation in itertools.product(["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"], range(1, 9)):
        exif = Image.Exif()
        exif[0x0112] = orientation
        yield Hostile(f"{name}, orientation {orientation}", name, partial(drawn, image, name, exif=exif.tobytes()))


def tiled_heic(
    columns: int,
    rows: int,
    size: Size,
    *,
    side: int = 512,
    transparent: bool = False,
    deep: bool = False,
    chroma: int = 420,
) -> bytes:
    """Return a HEIC as phones write them: square tiles, commonly of 512 pixels a side, cut off where the photo ends."""
    heic = Heic((side, side), deep=deep, chroma=chroma)
    photo = heic.add_grid(columns, rows, size)
    heic.add_tiles(columns * rows)
    if transparent:
        heic.refer(b"auxl", heic.add_grid(columns, rows, size, heic.add_property(TRANSPARENCY)), [photo])
        heic.add_tiles(columns * rows)
    return heic.data()


def large_photos() -> Iterator[Hostile]:
    """Yield photos of each format in the forms that take the most memory or time of those that are accepted."""
    forms: list[tuple[str, Callable[[], bytes]]] = [
        ("JPEG, progressive, four colours", partial(jpeg, LARGEST, 20, 4, scan=bytes(100))),
        ("JPEG, empty scans", partial(jpeg, LARGEST, 31)),
        ("PNG, 16 bit rgba", partial(png, LARGEST, 16, 6)),
        ("PNG, interlaced", partial(png, LARGEST, 8, 6, interlaced=True)),
        ("PNG, 16 bit", partial(png, LARGEST, 16, 0)),
        ("PNG, transparent palette", partial(png, LARGEST, 8, 3, before=PALETTE)),
        ("WEBP, lossless", partial(flat_webp, (5000, 5000))),
        ("WEBP, 16,384 groups of codes", partial(webp_of_groups, 512)),
        ("WEBP, animated", partial(animated_webp, (5000, 5000))),
        ("GIF, transparent", partial(gif, LARGEST, (8, 8), b"!\xf9\x04\x05\0\0\0\0")),
        ("GIF, one colour", lambda: encoded(Image.new("L", LARGEST), "GIF")),
        ("BMP, bilevel", lambda: encoded(Image.new("1", LARGEST), "BMP")),
        ("BMP, run-length encoded", partial(rle_bmp, (10_000, 2500), RUNS * 2500)),
        ("TIFF, transparent, on its side", partial(striped_tiff, LARGEST, 4, 8, {ORIENTATION: (SHORT, 6)})),
        ("TIFF, 16 bit transparent, on its side", partial(striped_tiff, LARGEST, 4, 16, {ORIENTATION: (SHORT, 6)})),
        ("TIFF, LZW", lambda: encoded(Image.new("RGB", LARGEST), "TIFF", compression="tiff_lzw")),
        ("TIFF, JPEG of 30 scans", partial(tiff_of_scans, 30)),
        ("TIFF, float", partial(striped_tiff, LARGEST, 1, 32, {339: (SHORT, 3)})),
        ("AVIF, rgb", lambda: encoded(Image.new("RGB", (5400, 5400)), "AVIF", speed=10, subsampling="4:4:4")),
        ("AVIF, transparent", lambda: encoded(Image.new("RGBA", (5400, 5400)), "AVIF", speed=10)),
        ("HEIF, 48 tiles", partial(tiled_heic, 8, 6, (4032, 3024))),
        ("HEIF, 196 tiles", partial(tiled_heic, 14, 14, LARGEST)),
        ("HEIF, transparent", partial(tiled_heic, 10, 10, (4800, 5000), transparent=True)),
        ("HEIF, 4:4:4", partial(tiled_heic, 14, 14, LARGEST, chroma=444)),
        ("HEIF, 10 bit", partial(tiled_heic, 14, 14, LARGEST, deep=True)),
        ("HEIF, rare", partial(tiled_heic, 10, 10, (4800, 5000), transparent=True, deep=True, chroma=444)),
    ]
    for name, draw in forms:
        yield Hostile(f"large {name}", name.partition(",")[0], draw, heavy=True)


PALETTE = chunk(b"PLTE", bytes(range(256)) * 3) + chunk(b"tRNS", bytes(range(256)))


def striped_tiff(size: Size, samples: int, depth: int, tags: Tags) -> bytes:
    """Return a TIFF in deflate whose four strips are the same bytes."""
    width, height = size
    strip = zeros(width * height // 4 * samples * depth // 8)
    striped: Tags = {
        STRIP_OFFSETS: (LONG, struct.pack("<I", FIRST_BYTE) * 4),
        STRIP_BYTES: (LONG, struct.pack("<I", len(strip)) * 4),
        ROWS_PER_STRIP: (LONG, height // 4),
    }
    return tiff(size, strip, {**striped, **tags}, depth=depth, samples=samples, compression=8)


def too_large() -> Iterator[Hostile]:
    """Yield headers that state more than is accepted, with almost nothing behind them."""
    small = {name: encoded(Image.new("RGB", (64, 64)), name) for name in ("AVIF", "HEIF")}
    for size in [(7072, 7072), (20_001, 1), (1, 20_001), (65_535, 65_535)]:
        for name, draw in {
            "PNG": partial(png, size, pixels=b""),
            "JPEG": partial(jpeg, size),
            "GIF": partial(gif, size),
            "GIF frame": partial(gif, (8, 8), size),
            "BMP": partial(rle_bmp, size, b""),
            "TIFF": partial(tiff, size, b"", {}),
            "AVIF": partial(with_stated_size, size, small["AVIF"]),
            "HEIF": partial(with_stated_size, size, small["HEIF"]),
        }.items():
            # libavif reads none of more than 32,768 pixels a side.
            code = "unreadable_image" if name == "AVIF" and max(size) > 32_768 else "image_too_large"
            yield Hostile(f"{name} of {size[0]} × {size[1]}", code, draw)
    most = (16_383, 16_383)
    yield Hostile("WEBP of 16383 × 16383", "image_too_large", partial(flat_webp, most))
    yield Hostile("WEBP with a canvas of 16383 × 16383", "image_too_large", partial(animated_webp, most))
    yield Hostile("PNG of 14000 × 14000", "image_too_large", partial(png, (14_000, 14_000)))
    yield Hostile("a file of too many bytes", "image_too_large", partial(bytes, Limits().file_bytes + 1))


def attacks_by_metadata() -> Iterator[Hostile]:
    """Yield files of 25 MiB that are all metadata."""
    forms: list[tuple[str, str, Callable[[], bytes]]] = [
        ("PNG, a giant text", "PNG", lambda: png(TINY, before=chunk(b"tEXt", b"k\0" + bytes(MOST_BYTES)))),
        ("PNG, a text of lines", "PNG", lambda: png(TINY, before=chunk(b"tEXt", RAW_PROFILE + b"\n" * MOST_BYTES))),
        ("PNG, tiny texts", "PNG", lambda: png(TINY, before=tiny_texts())),
        ("PNG, tiny texts at its end", "PNG", lambda: png(TINY, after=tiny_texts())),
        ("PNG, empty chunks of pixels", "PNG", lambda: png(TINY, before=many(chunk(b"IDAT")))),
        ("PNG, an EXIF of fractions", "PNG", lambda: png(TINY, before=chunk(b"eXIf", exif(fractions())))),
        ("GIF, a giant comment", "GIF", lambda: gif(TINY, None, b"!\xfe" + many(b"\xff" + bytes(255)) + b"\0")),
        (
            "GIF, a comment in tiny blocks",
            TOO_COSTLY,
            lambda: gif(TINY, None, b"!\xfe" + many(b"\2ab") + b"\0"),
        ),
        ("GIF, tiny comments", TOO_COSTLY, lambda: gif(TINY, None, many(b"!\xfe\1a\0"))),
        ("JPEG, padding", "JPEG", lambda: with_segments(many(b"\xff"))),
        ("JPEG, empty comments", "JPEG", lambda: with_segments(many(segment(0xFE, b"")))),
        ("JPEG, EXIF segments", "JPEG", lambda: with_segments(many(segment(0xE1, EXIF)))),
        (
            "JPEG, empty comments between scans",
            "JPEG",
            lambda: jpeg(TINY, 2, scan=many(segment(0xFE, b""), 3)),
        ),
        ("JPEG, Photoshop's blocks", "JPEG", lambda: with_segments(many(segment(0xED, PHOTOSHOP)))),
        ("JPEG, empty tables", "JPEG", lambda: with_segments(many(segment(0xC4, bytes(17))))),
        ("JPEG, restart intervals", TOO_COSTLY, lambda: with_segments(many(segment(0xDD, b"\0\0")))),
        ("JPEG, empty segments of JFIF", TOO_COSTLY, lambda: with_segments(many(segment(0xE0, b"")))),
        ("PNG, frames without pixels", "PNG", lambda: png(TINY, before=many(frame_control(0)))),
        ("PNG, empty transparencies", "PNG", lambda: png(TINY, before=many(chunk(b"tRNS")))),
        ("BMP, empty runs", TOO_COSTLY, lambda: rle_bmp((1, 20_000), many(b"\0\0"))),
        ("TIFF, tiny strips", "unreadable_image", partial(tiff_of_strips, LONG)),
        ("TIFF, tiny strips, numbered in bytes", "unreadable_image", partial(tiff_of_strips, BYTE)),
        ("TIFF, a resolution of fractions", "TIFF", partial(tiff_of_fractions, X_RESOLUTION)),
        ("TIFF, tags that share their bytes", TOO_COSTLY, tiff_of_tags),
        ("TIFF, many directories", "TIFF", partial(tiff_of_directories, 100_000)),
        ("WEBP, empty chunks", "WEBP", lambda: animated_webp((16, 16), many(b"abcd\0\0\0\0"))),
        ("HEIF, empty boxes", "HEIF", lambda: encoded(SMALL, "HEIF") + many(box(b"free"))),
        ("AVIF, empty boxes", "AVIF", lambda: encoded(SMALL, "AVIF") + many(box(b"free"))),
    ]
    for name, expected, draw in forms:
        yield Hostile(name, expected, draw, heavy=True)


def attacks_in_few_bytes() -> Iterator[Hostile]:
    """Yield files that unpack to much, are decoded and not shown, or are held several times by their decoder."""
    forms: list[tuple[str, str, Callable[[], bytes]]] = [
        ("PNG, a profile that unpacks to 1 GiB", "PNG", png_of_a_profile),
        # Pixels that end early but properly are black or grey from there on: decoders take this for a photo.
        ("PNG, pixels that end with a row", "PNG", partial(png, SIZE, pixels=zeros((1 + 3 * SIZE[0]) * 24))),
        ("PNG, pixels that end within a row", "unreadable_image", partial(png, SIZE, pixels=zeros(5000))),
        ("JPEG, pixels that end early", "JPEG", half_a_jpeg),
        (
            "JPEG, arithmetic, 200 scans",
            "unsupported_image",
            partial(jpeg, LARGEST, 200, frame=0xCA, scan=ARITHMETIC_SCAN),
        ),
        ("JPEG, sequential, 200 scans", "unreadable_image", partial(jpeg, LARGEST, 200, 2, frame=0xC1)),
        ("JPEG, arithmetic", "unsupported_image", partial(jpeg, LARGEST, 1, 4, frame=0xC9, scan=ARITHMETIC_SCAN)),
        ("JPEG, lossless", "unsupported_image", partial(jpeg, SIZE, frame=0xC3)),
        ("JPEG, hierarchical", "unsupported_image", partial(jpeg, SIZE, frame=0xC5)),
        ("GIF, a large frame that is disposed of", "image_too_large", partial(gif, TINY, (65_535, 8_500), DISPOSAL)),
        ("TIFF, a directory that follows itself", "TIFF", partial(tiff_of_directories, 1)),
        ("TIFF, one tile", TOO_COSTLY, partial(tiled_tiff, TINY, (10_000, 9_500))),
        ("TIFF, a strip that unpacks to 1 GiB", "TIFF", lambda: tiff(TINY, zeros(2**30), {}, compression=8)),
        ("TIFF, an EXIF directory in itself", "TIFF", lambda: tiff(TINY, bytes(64), {EXIF_DIRECTORY: (LONG, 72)})),
        ("TIFF, one strip", TOO_COSTLY, tiff_of_one_strip),
        ("WEBP, 49 megapixels", TOO_COSTLY, partial(flat_webp, LARGEST)),
        ("WEBP, 65,536 groups of codes", TOO_COSTLY, partial(webp_of_groups, 1024)),
        ("HEIF, rare, 49 megapixels", TOO_COSTLY, partial(tiled_heic, 14, 14, LARGEST, deep=True, chroma=444)),
        ("HEIF, larger than stated", "unreadable_image", lambda: with_stated_size((64, 64), encoded(MEDIUM, "HEIF"))),
        ("HEIF, smaller than stated", "unreadable_image", lambda: with_stated_size(LARGEST, encoded(SMALL, "HEIF"))),
        ("AVIF, larger than stated", "AVIF", lambda: with_stated_size((64, 64), encoded(MEDIUM, "AVIF"))),
    ]
    for name, expected, draw in forms:
        yield Hostile(name, expected, draw)
    forms = [
        ("PNG, texts that unpack to 63 MiB", "PNG", partial(png_of_texts, 63)),
        ("PNG, texts that unpack to 65 MiB", "PNG", partial(png_of_texts, 65)),
        ("TIFF, tiles that stick out of the image", TOO_COSTLY, partial(tiled_tiff, (20_000, 1), (16, 250_000))),
        ("TIFF, arithmetic JPEGs that stick out of the image", TOO_COSTLY, tiff_of_arithmetic_jpegs),
        ("AVIF, smaller than stated", "AVIF", lambda: with_stated_size((5000, 5000), encoded(SMALL, "AVIF"))),
        ("HEIF, a grid of large tiles", TOO_COSTLY, heic_of_large_tiles),
        ("HEIF, a transparency of large tiles", TOO_COSTLY, heic_of_large_transparency),
        ("HEIF, the middle of a large image", TOO_COSTLY, heic_of_the_middle),
        ("HEIF, four large tiles", "HEIF", heic_of_four_large_tiles),
        ("HEIF, a picture turned 250 times", TOO_COSTLY, partial(turned_heic, (6000, 6000), 250)),
        ("HEIF, a small picture turned 250 times", "HEIF", partial(turned_heic, (512, 512), 250)),
    ]
    for name, expected, draw in forms:
        yield Hostile(name, expected, draw, heavy=True)


TINY = (8, 8)
SMALL, MEDIUM = Image.new("RGB", (64, 64), "navy"), Image.new("RGB", (1024, 1024), "navy")
RAW_PROFILE = b"Raw profile type exif\0"
EXIF_DIRECTORY = 34665  # the tag
EXIF = b"Exif\0\0" + bytes(1000)
PHOTOSHOP = b"Photoshop 3.0\0" + (b"8BIM" + bytes(8)) * 5000
DISPOSAL = b"!\xf9\4\x08" + bytes(4)
RUNS = b"\1\5\0\0"  # one pixel, and the rest of the row
ARITHMETIC_SCAN = b"\x55\xaa\x31\x12" * 50  # arithmetic coding takes longer than Huffman coding


def half_a_jpeg() -> bytes:
    """Return a JPEG that ends early, with the marker of its end."""
    data = encoded(garment("pants", SIZE), "JPEG")
    return data[: len(data) - 200] + b"\xff\xd9"


def many(piece: bytes, parts: int = 1) -> bytes:
    """Repeat the piece as often as it fits into a file, or into one of so many parts of a file."""
    return piece * (MOST_BYTES // parts // len(piece))


def tiny_texts() -> bytes:
    """Return empty texts, each under another name."""
    return b"".join(chunk(b"tEXt", struct.pack(">I", 0x41414141 + number)) for number in range(MOST_BYTES // 16))


def png_of_texts(mebibytes: int) -> bytes:
    """Return a PNG whose texts unpack to so many mebibytes."""
    text = zlib.compress(bytes(2**20 - 1))
    return png(TINY, before=b"".join(chunk(b"zTXt", b"k%d\0\0" % number + text) for number in range(mebibytes)))


def png_of_a_profile() -> bytes:
    return png(TINY, before=chunk(b"iCCP", b"k\0\0" + zeros(2**30)))


def fractions(tag: int = ORIENTATION, parts: int = 1) -> Tags:
    """Return a tag of more than three million fractions, divided by `parts`."""
    return {tag: (RATIONAL, many(struct.pack("<II", 1, 1), parts))}


def tiff_of_fractions(tag: int) -> bytes:
    return tiff(TINY, bytes(64), fractions(tag, 4))


def tiff_of_strips(kind: int) -> bytes:
    """Return a TIFF of many strips of one row, which share their bytes. `kind` is the type of their offsets."""
    places = many({LONG: struct.pack("<I", FIRST_BYTE), BYTE: bytes((FIRST_BYTE,))}[kind])
    return tiff(TINY, bytes(64), {STRIP_OFFSETS: (kind, places), ROWS_PER_STRIP: (LONG, 1)})


def tiff_of_tags() -> bytes:
    """Return a TIFF of 20,000 tags that share 12 MiB."""
    return tiff(TINY, bytes(64), dict.fromkeys(range(40_000, 60_000), (7, many(b"a", 2))))


def tiff_of_directories(count: int) -> bytes:
    """Return a TIFF of so many directories. Each leads to the next, and the last to the first."""
    data = tiff(TINY, bytes(64), {})
    start, page = 8 + 64, data[8 + 64 : -4]
    length = len(page) + 4
    pages = [page + struct.pack("<I", start + length * ((number + 1) % count)) for number in range(count)]
    return data[:start] + b"".join(pages)


def tiled_tiff(size: Size, tile: Size) -> bytes:
    """Return a TIFF in deflate, in 16 bits and four samples, whose tiles share their bytes."""
    return tiff_of_tiles(size, tile, zeros(tile[0] * tile[1] * 8), samples=4, depth=16, compression=8)


def tiff_of_arithmetic_jpegs() -> bytes:
    """Return a TIFF of 1,250 tiles, each the same JPEG of half a megapixel in 97 scans."""
    tile = 16, 32_000
    return tiff_of_tiles((20_000, 1), tile, jpeg(tile, 97, frame=0xCA, scan=ARITHMETIC_SCAN), compression=7)


def tiff_of_tiles(size: Size, tile: Size, data: bytes, **options: int) -> bytes:
    """Return a TIFF whose tiles share their bytes."""
    tiles = -(-size[0] // tile[0]) * -(-size[1] // tile[1])
    tags: Tags = {
        TILE_WIDTH: (LONG, tile[0]),
        TILE_HEIGHT: (LONG, tile[1]),
        TILE_OFFSETS: (LONG, struct.pack("<I", FIRST_BYTE) * tiles) if tiles > 1 else (LONG, FIRST_BYTE),
        TILE_BYTES: (LONG, struct.pack("<I", len(data)) * tiles) if tiles > 1 else (LONG, len(data)),
    }
    return tiff(size, data, tags, **options)


def tiff_of_one_strip() -> bytes:
    """Return a TIFF whose only strip unpacks to 392 MB."""
    width, height = LARGEST
    return tiff(LARGEST, zeros(width * height * 8), {ORIENTATION: (SHORT, 6)}, samples=4, depth=16, compression=8)


def tiff_of_scans(scans: int) -> bytes:
    """Return a TIFF of three strips, each the same JPEG of 16 megapixels in so many scans."""
    strip = jpeg((4000, 4000), scans, frame=0xCA, scan=ARITHMETIC_SCAN)
    tags: Tags = {
        STRIP_OFFSETS: (LONG, struct.pack("<I", FIRST_BYTE) * 3),
        STRIP_BYTES: (LONG, struct.pack("<I", len(strip)) * 3),
        ROWS_PER_STRIP: (LONG, 4000),
    }
    return tiff((4000, 12_000), strip, tags, compression=7)


def heic_of_large_tiles() -> bytes:
    """Return a HEIC of 400 tiles of 16 megapixels, of which it shows a corner."""
    heic = Heic((4000, 4000))
    heic.add_grid(20, 20, (64, 64))
    heic.add_tiles(400)
    return heic.data()


def heic_of_large_transparency() -> bytes:
    """Return a HEIC whose transparency is a grid of 400 tiles of 16 megapixels."""
    heic = Heic((4000, 4000))
    (photo,) = heic.add_tiles(1)
    grid = heic.add_grid(20, 20, (4000, 4000), heic.add_property(TRANSPARENCY))
    heic.add_tiles(400)
    heic.refer(b"auxl", grid, [photo])
    return heic.data()


def heic_of_four_large_tiles() -> bytes:
    """Return a HEIC of four tiles of 36 megapixels, which libheif may decode at the same time."""
    heic = Heic((6000, 6000), chroma=444)
    heic.add_grid(2, 2, (64, 64))
    heic.add_tiles(4)
    return heic.data()


def turned_heic(size: Size, times: int) -> bytes:
    """Return a HEIC that is to be rotated so many times."""
    heic = Heic(size)
    heic.add_tiles(1, *[heic.add_property(box(b"irot", b"\1"))] * times)
    return heic.data()


def heic_of_the_middle() -> bytes:
    """Return a HEIC that shows the middle of 400 megapixels."""
    heic = Heic((4000, 4000))
    heic.add_grid(5, 5, (20_000, 20_000), heic.add_property(cropped_to((64, 64))))
    heic.add_tiles(25)
    return heic.data()


def attacks_by_repetition() -> Iterator[Hostile]:
    """Yield files in which one thing is there hundreds or thousands of times."""
    forms: list[tuple[str, str, Callable[[], bytes]]] = [
        ("HEIF, 900 items of metadata over the same bytes", TOO_COSTLY, partial(heic_of_metadata, 900, 31)),
        ("HEIF, 10 items of metadata over the same bytes", "HEIF", partial(heic_of_metadata, 10, 31)),
        ("HEIF, 300 pictures in an item", "HEIF", lambda: with_repeated_item(encoded(MEDIUM, "HEIF"), 300)),
        ("AVIF, 300 pictures in an item", "AVIF", lambda: with_repeated_item(encoded(MEDIUM, "AVIF"), 300)),
        ("AVIF, 900 large pictures in an item", TOO_COSTLY, lambda: with_repeated_item(flat_avif((5000, 5000)), 900)),
        ("HEIF, 300 pictures", "HEIF", partial(several, "HEIF", 300)),
        ("AVIF, a film of 1,000 frames", "AVIF", partial(several, "AVIF", 1000)),
        ("GIF, a million frames", "GIF", gif_of_frames),
        ("PNG, a hundred thousand frames", "PNG", png_of_frames),
        ("WEBP, a hundred thousand frames", "WEBP", webp_of_frames),
    ]
    for name, expected, draw in forms:
        yield Hostile(name, expected, draw, heavy=True)


def heic_of_metadata(items: int, extents: int) -> bytes:
    """Return a HEIC with so many EXIF items, each of which has the same 30 KiB so many times."""
    length, count = 30 * 1024, struct.pack(">H", items + 1)
    whole = encoded(SMALL, "HEIF")
    pixels, numbers = content_of(whole, b"mdat"), range(2, items + 2)
    kinds = [
        box(b"infe", struct.pack(">HH", n, 0), b"Exif" if n > 1 else b"hvc1", b"\0", version=2) for n in (1, *numbers)
    ]
    size = box(b"ispe", struct.pack(">II", *SMALL.size), version=0)
    codec = box(b"hvcC", content_of(whole, b"meta", b"iprp", b"ipco", b"hvcC"))
    association = box(b"ipma", struct.pack(">IHB", 1, 1, 2), b"\1\2", version=0)

    def meta(offset: int) -> bytes:
        extent = struct.pack(">II", offset + len(pixels), length)
        places = [struct.pack(">HHH", n, 0, extents) + extent * extents for n in numbers]
        return box(
            b"meta",
            box(b"hdlr", bytes(4), b"pict", bytes(13), version=0),
            box(b"pitm", struct.pack(">H", 1), version=0),
            box(b"iloc", b"\x44\0", count, struct.pack(">HHHII", 1, 0, 1, offset, len(pixels)), *places, version=0),
            box(b"iinf", count, *kinds, version=0),
            box(b"iref", *(box(b"cdsc", struct.pack(">HHH", n, 1, 1)) for n in numbers), version=0),
            box(b"iprp", box(b"ipco", codec, size), association),
            version=0,
        )

    start = box(b"ftyp", b"heic", bytes(4), b"mif1heic")
    return start + meta(len(start) + len(meta(0)) + 8) + box(b"mdat", pixels, bytes(length))


def with_repeated_item(data: bytes, times: int) -> bytes:
    """Return the HEIF or AVIF of one item with the item's bytes repeated."""
    pixels = content_of(data, b"mdat")
    before, _, _ = data.rpartition(struct.pack(">I", 8 + len(pixels)) + b"mdat")
    located = before.replace(struct.pack(">I", len(pixels)), struct.pack(">I", len(pixels) * times))
    return located + box(b"mdat", pixels * times)


def flat_avif(size: Size) -> bytes:
    return encoded(Image.new("RGB", size), "AVIF", speed=10)


def several(name: str, count: int) -> bytes:
    """Return a file of so many small pictures."""
    return encoded(SMALL.copy(), name, save_all=True, append_images=[SMALL] * (count - 1))


def gif_of_frames() -> bytes:
    """Return a GIF of as many frames as fit."""
    start, comma, frame = encoded(Image.new("L", TINY), "GIF")[:-1].partition(b",")
    return start + many(comma + frame) + b";"


def png_of_frames() -> bytes:
    """Return an animated PNG of as many frames as fit."""
    pixels = zlib.compress(bytes(png_bytes(TINY, 8, 2, interlaced=False)))

    def frame(number: int) -> bytes:
        return frame_control(2 * number - 1) + chunk(b"fdAT", struct.pack(">I", 2 * number) + pixels)

    count = MOST_BYTES // len(frame(1))
    animation = chunk(b"acTL", struct.pack(">II", count, 0))
    frames = b"".join(frame(number) for number in range(1, count))
    return png(TINY, before=animation + frame_control(0), after=frames)


def frame_control(number: int) -> bytes:
    """Return the chunk that begins a frame of an animated PNG."""
    return chunk(b"fcTL", struct.pack(">IIIIIHHBB", number, *TINY, 0, 0, 1, 1, 0, 0))


def webp_of_frames() -> bytes:
    """Return an animated WebP of as many frames as fit."""
    frame = encoded(Image.new("RGB", (16, 16)), "WEBP")[12:]
    return animated_webp((16, 16), many(riff(b"ANMF", bytes(6) + b"\x0f\0\0" * 2 + bytes(4) + frame)))


def webp_of_groups(side: int) -> bytes:
    """Return a lossless WebP with a group of prefix codes for each 4 × 4 pixels (RFC 9649, 5 and 6)."""
    blocks = side // 4
    single = "1000"  # a code of one symbol, which takes no bits
    # Codes of 8 bits for the symbols 0 to 255. The lengths 0 and 8 have codes of one bit; they are the third and the
    # twelfth of the lengths' order.
    lengths = "0" + "0001" + "000" * 2 + "100" + "000" * 8 + "100" + "0"
    green, red = lengths + "1" * 256 + "0" * 24, lengths + "1" * 256
    byte = [f"{value:08b}" for value in range(256)]
    groups = "".join(byte[group % 256] + byte[group // 256] for group in range(blocks**2))
    size = f"{side - 1:014b}"[::-1] * 2 + "0000"  # least significant bit first; no transparency, version 0
    bits = size + "00" + "1000" + "0" + green + red + single * 3 + groups + single * 5 * blocks**2
    packed = np.packbits(np.frombuffer(bits.encode(), np.uint8) - ord("0"), bitorder="little")
    return riff(b"RIFF", b"WEBP" + riff(b"VP8L", b"\x2f" + packed.tobytes()))


def riff(kind: bytes, data: bytes) -> bytes:
    """Return a chunk of a WebP."""
    return kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)


def polyglots() -> Iterator[Hostile]:
    """Yield files of two types at once. Their first bytes decide."""
    jpg, webp = encoded(garment("pants", SIZE), "JPEG"), encoded(garment("pants", SIZE), "WEBP")
    archive = b"PK\3\4" + bytes(26) + b"evil.exe" + bytes(100)
    page = b"<html><script>alert(1)</script></html>"
    pdf = b"%PDF-1.7\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF"
    forms: list[tuple[str, str, bytes]] = [
        ("JPEG and ZIP", "JPEG", jpg + archive),
        ("JPEG and PDF", "JPEG", with_segments(segment(0xFE, pdf))),
        ("JPEG and PHP", "JPEG", with_segments(segment(0xFE, b"<?php system($_GET[0]); ?>"))),
        ("JPEG and film", "JPEG", jpg + b"\0\0\0\x18ftypisom" + np.random.default_rng(0).bytes(200_000)),
        ("PNG and ZIP", "PNG", png(SIZE) + archive),
        ("PNG and page", "PNG", png(SIZE, before=chunk(b"tEXt", b"a\0" + page))),
        ("GIF and script", "GIF", gif(TINY, None, b"!\xfe\x0c*/alert(1)//\0")),
        ("WEBP and page", "WEBP", webp + page),
        ("BMP and script", "BMP", encoded(SMALL, "BMP") + b"*/=1;alert(1)"),
        ("TIFF and JPEG", "TIFF", tiff(TINY, jpg + bytes(64), {})),
        ("PNG in front of JPEG", "unreadable_image", PNG_START + jpg),
        ("page in front of PNG", "unsupported_image", page + png(SIZE)),
        ("PDF in front of JPEG", "unsupported_image", pdf + jpg),
    ]
    for name, expected, data in forms:
        yield Hostile(name, expected, partial(bytes, data))


def other_files() -> Iterator[Hostile]:
    """Yield files that are not photos, or only begin like photos."""
    noise = np.random.default_rng(0).bytes(10_000)
    starts = {
        "JPEG": b"\xff\xd8\xff",
        "PNG": PNG_START,
        "WEBP": b"RIFF\x10\0\0\0WEBPVP8 ",
        "GIF": b"GIF89a",
        "BMP": b"BM",
        "TIFF": b"II*\0",
        "large TIFF": b"II+\0\x08\0\0\0",
        "AVIF": b"\0\0\0\x18ftypavif",
        "HEIF": b"\0\0\0\x18ftypheic",
    }
    for name, start in starts.items():
        for rest, data in {"nothing": b"", "zeros": bytes(10_000), "noise": noise, "ones": b"\xff" * 10_000}.items():
            # "RIFF", "WEBP" and ones state 16,383 pixels a side.
            expected = "image_too_large" if (name, rest) == ("WEBP", "ones") else "unreadable_image"
            yield Hostile(f"{name}'s first bytes and {rest}", expected, partial(bytes, start + data))
    others = {
        "zeros": bytes(10_000),
        "noise": noise,
        "text": b"just some text",
        "SVG": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        "PDF": b"%PDF-1.7",
        "EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        "film": b"\0\0\0\x18ftypisom" + bytes(100),
        "sound": b"RIFF\x10\0\0\0WAVEfmt " + bytes(100),
        "ICO": encoded(SMALL, "ICO"),
        "PPM": encoded(SMALL, "PPM"),
        "JPEG 2000": encoded(SMALL, "JPEG2000"),
        "TGA": encoded(SMALL, "TGA"),
    }
    for name, data in others.items():
        yield Hostile(name, "unsupported_image", partial(bytes, data))
    yield Hostile("nothing", "unreadable_image", bytes)
    yield Hostile("a byte", "unsupported_image", partial(bytes, 1))
