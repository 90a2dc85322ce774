"""Draws photos in all formats and forms of the contract, to be compared with what a browser shows of them."""

import io
import struct
import zlib
from collections.abc import Iterator
from functools import cache
from itertools import product
from typing import Any

import numpy as np
from PIL import Image, ImageCms, ImageDraw

from tests.support.drawings import encoded, garment
from tests.support.icc_profiles import (
    D50,
    D65,
    P3,
    PROPHOTO,
    cmyk_profile,
    grey_profile,
    rgb_profile,
    rgb_table_profile,
    srgb_profile,
)
from tests.support.photo_files import (
    LONG,
    ORIENTATION,
    PNG_START,
    SHORT,
    Samples,
    animated_webp,
    avif_with_exif,
    bmp,
    bmp_rows,
    chromaticities_chunk,
    chunk,
    code_points,
    deep_heif,
    exif,
    gamma_chunk,
    png_of,
    profile_chunk,
    rle_bmp,
    segment,
    tiff_of,
    with_colour_box,
    with_wrong_checksum,
    zeros,
)

SIZE = (400, 300)
_QUALITY: dict[str, dict[str, Any]] = {"JPEG": {"quality": 92}, "WEBP": {"quality": 92}, "AVIF": {"quality": 90}}
_BROKEN_EXIFS = {
    "cut short": b"II*\0\x08\0\0\0\xff\xff",
    "of no order": b"nonsense" * 4,
    "empty": b"",
    "far away": b"MM\0*\xff\xff\xff\xf0",
    "endless": b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\xff\xff\xff\xff\xff\xff\xff\x7f\0\0\0\0",
    "of another type": exif({ORIENTATION: (LONG, 6)}),
    "of another value": exif({ORIENTATION: (SHORT, 9)}),
    "of several values": exif({ORIENTATION: (SHORT, struct.pack("<4H", 6, 6, 6, 6))}),
    "behind an unreadable tag": exif({271: (LONG, 2**32 - 1), ORIENTATION: (SHORT, 6)}),
}
_XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
)
# Code points of primaries and transfer characteristics, ITU-T H.273
_CODE_POINTS = {
    "BT.709": (1, 1),
    "sRGB": (1, 13),
    "PAL": (5, 5),
    "BT.601": (6, 6),
    "linear": (1, 8),
    "gamma 2.2": (4, 4),
    "Display P3": (12, 13),
    "BT.2020": (9, 14),
    "PQ": (9, 16),
    "PQ in P3": (12, 16),
    "HLG": (9, 18),
    "unspecified": (2, 2),
    "unknown": (200, 200),
}


def corpus() -> Iterator[tuple[str, bytes]]:
    """Yield files with their names, which begin with the format."""
    yield from _formats()
    yield from _orientations()
    yield from _profiles()
    yield from _jpegs()
    yield from _pngs()
    yield from _png_colours()
    yield from _webps()
    yield from _avifs()
    yield from _gifs()
    yield from _bmps()
    yield from _incomplete()


@cache
def picture() -> Image.Image:
    """Return a picture with a colour of its own in three corners."""
    image = garment("t-shirt", SIZE)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, 80, 60), fill=(220, 40, 40))
    draw.rectangle((320, 0, 400, 60), fill=(40, 200, 60))
    draw.rectangle((0, 240, 80, 300), fill=(250, 220, 30))
    return image


@cache
def transparent_picture() -> Image.Image:
    """Return the picture with more and more transparency upwards."""
    image = picture().convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(SIZE))
    return image


def file(name: str, image: Image.Image | None = None, **options: Any) -> bytes:
    """Return the picture, or this one, as a file of the format."""
    # A copy, because saving changes an image
    return encoded((image or picture()).copy(), name, **{**_QUALITY.get(name, {}), **options})


def _grey() -> Image.Image:
    return picture().convert("L")


def _rgb_samples() -> Samples:
    return np.asarray(picture())


def _grey_samples() -> Samples:
    return np.asarray(_grey())


def _deep(samples: Samples) -> Samples:
    return samples.astype(np.uint16) * 257


def _formats() -> Iterator[tuple[str, bytes]]:
    for name in ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP"):
        yield f"{name}, plain", file(name)
        for size in [(1, 1), (3, 2), (1, 3000), (3000, 1), (1500, 7)]:
            yield f"{name}, {size[0]} × {size[1]}", file(name, picture().resize(size))
    yield "JPEG, 12 megapixels", file("JPEG", picture().resize((4000, 3000), Image.Resampling.BICUBIC))
    yield "PNG, 6 megapixels", file("PNG", picture().resize((3000, 2000), Image.Resampling.BICUBIC), compress_level=1)


def _orientations() -> Iterator[tuple[str, bytes]]:
    for name, number in product(("JPEG", "PNG", "WEBP", "AVIF"), range(1, 9)):
        yield f"{name}, orientation {number}", file(name, exif=b"Exif\0\0" + exif({ORIENTATION: (SHORT, number)}))
    for form, broken in _BROKEN_EXIFS.items():
        yield f"JPEG, EXIF {form}", _with_segment(file("JPEG"), 0xE1, b"Exif\0\0" + broken)
        yield f"JPEG, EXIF {form} and a resolution", _with_exif_behind_jfif(broken)
        yield f"PNG, EXIF {form}", png_of(_rgb_samples(), before=chunk(b"eXIf", broken))
        yield f"WEBP, EXIF {form}", file("WEBP", exif=b"Exif\0\0" + broken)
        yield f"AVIF, EXIF {form}", avif_with_exif(picture(), broken)
    turned = exif({ORIENTATION: (SHORT, 6)})
    big_endian = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    yield "JPEG, EXIF of another order of bytes", _with_segment(file("JPEG"), 0xE1, b"Exif\0\0" + big_endian)
    yield "PNG, EXIF of another order of bytes", png_of(_rgb_samples(), before=chunk(b"eXIf", big_endian))
    yield "PNG, EXIF with the start of a JPEG's", png_of(_rgb_samples(), before=chunk(b"eXIf", b"Exif\0\0" + turned))
    yield "PNG, EXIF behind the pixels", png_of(_rgb_samples(), after=chunk(b"eXIf", turned))
    yield "PNG, EXIF with a wrong checksum", png_of(_rgb_samples(), before=with_wrong_checksum(chunk(b"eXIf", turned)))
    two = segment(0xE1, b"Exif\0\0" + turned) + segment(0xE1, b"Exif\0\0" + exif({ORIENTATION: (SHORT, 3)}))
    yield "JPEG, two EXIFs", _with_segments(file("JPEG"), two)
    broken_first = segment(0xE1, b"Exif\0\0" + _BROKEN_EXIFS["cut short"]) + segment(0xE1, b"Exif\0\0" + turned)
    yield "JPEG, a broken EXIF before another", _with_segments(file("JPEG"), broken_first)
    yield "JPEG, EXIF with a wrong start", _with_segment(file("JPEG"), 0xE1, b"Exif\0\1" + turned)
    yield "JPEG, EXIF behind the tables", _with_segment_behind_tables(file("JPEG"), b"Exif\0\0" + turned)
    yield "JPEG, XMP's orientation", _with_segment(file("JPEG"), 0xE1, b"http://ns.adobe.com/xap/1.0/\0" + _XMP)
    yield (
        "PNG, XMP's orientation",
        png_of(_rgb_samples(), before=chunk(b"iTXt", b"XML:com.adobe.xmp" + bytes(5) + _XMP)),
    )
    yield "WEBP, XMP's orientation", file("WEBP", xmp=_XMP)
    yield "AVIF, XMP's orientation", file("AVIF", xmp=_XMP)
    yield (
        "AVIF, turned and mirrored, with a profile",
        file("AVIF", exif=b"Exif\0\0" + exif({ORIENTATION: (SHORT, 7)}), icc_profile=rgb_profile(P3)),
    )


def _with_segment(jpeg: bytes, kind: int, content: bytes) -> bytes:
    return _with_segments(jpeg, segment(kind, content))


def _with_segments(jpeg: bytes, segments: bytes) -> bytes:
    return jpeg[:2] + segments + jpeg[2:]


def _with_exif_behind_jfif(content: bytes) -> bytes:
    data = file("JPEG", dpi=(72, 72))
    end = 4 + int.from_bytes(data[4:6])
    return data[:end] + segment(0xE1, b"Exif\0\0" + content) + data[end:]


def _with_segment_behind_tables(jpeg: bytes, content: bytes) -> bytes:
    start = jpeg.index(b"\xff\xda")
    return jpeg[:start] + segment(0xE1, content) + jpeg[start:]


@cache
def _rgb_profiles() -> dict[str, bytes]:
    return {
        "sRGB": srgb_profile(),
        "Display P3": rgb_profile(P3),
        "ProPhoto": rgb_profile(PROPHOTO, D50, 1.8),
        "linear": rgb_profile(P3, gamma=1),
        "of a table": rgb_table_profile(),
    }


@cache
def _unfit_profiles() -> dict[str, bytes]:
    """Return profiles of which Chromium makes no use."""
    p3 = rgb_profile(P3)
    return {
        "of grey": grey_profile(1.8),
        "of CMYK": cmyk_profile(),
        "of nonsense": b"nonsense" * 30,
        "cut short": p3[:200],
        "of another version": p3[:8] + b"\x09" + p3[9:],
        "without a signature": p3[:36] + b"nope" + p3[40:],
        "without curves": p3.replace(b"TRC", b"XXX"),
    }


@cache
def _damaged_profiles() -> dict[str, bytes]:
    """Return profiles of which Chromium makes use all the same."""
    p3 = rgb_profile(P3)
    return {
        "without its last byte": p3[:-1],
        "with zeros behind it": p3 + bytes(100),
    }


def _profiles() -> Iterator[tuple[str, bytes]]:
    for name in ("JPEG", "PNG", "WEBP", "AVIF"):
        for form, profile in _rgb_profiles().items():
            yield f"{name}, profile {form}", file(name, icc_profile=profile)
        for form, profile in _unfit_profiles().items():
            yield f"{name}, unfit profile {form}", file(name, icc_profile=profile)
        for form, profile in _damaged_profiles().items():
            yield f"{name}, damaged profile {form}", file(name, icc_profile=profile)
    for name in ("PNG", "WEBP", "AVIF"):
        yield f"{name}, transparent", file(name, transparent_picture())
        yield (
            f"{name}, transparent with a profile",
            file(name, transparent_picture(), icc_profile=_rgb_profiles()["ProPhoto"]),
        )
    for name in ("JPEG", "PNG"):
        yield f"{name}, grey with its profile", file(name, _grey(), icc_profile=grey_profile(1.8))
        yield f"{name}, grey with a linear profile", file(name, _grey(), icc_profile=grey_profile(1))
        yield f"{name}, grey with a profile of RGB", file(name, _grey(), icc_profile=_rgb_profiles()["ProPhoto"])
        yield f"{name}, grey with a profile of CMYK", file(name, _grey(), icc_profile=cmyk_profile())
    for depth in (1, 2, 4, 16):
        samples = _deep(_grey_samples()) if depth == 16 else _grey_samples() >> 8 - depth
        before = profile_chunk(grey_profile(1))
        yield f"PNG, grey {depth} with a linear profile", png_of(samples, depth, 0, before=before)
    transparent_grey, profile = transparent_picture().convert("LA"), grey_profile(1.8)
    yield "PNG, transparent grey with its profile", file("PNG", transparent_grey, icc_profile=profile)
    palette = picture().quantize(64)
    yield "PNG, palette with a profile", file("PNG", palette, icc_profile=_rgb_profiles()["ProPhoto"])


def _jpegs() -> Iterator[tuple[str, bytes]]:
    forms: list[tuple[str, dict[str, Any]]] = [
        ("4:4:4", {"subsampling": "4:4:4"}),
        ("4:2:2", {"subsampling": "4:2:2"}),
        ("4:2:0", {"subsampling": "4:2:0"}),
        ("progressive", {"progressive": True}),
        ("optimized", {"optimize": True}),
        ("restart markers by rows", {"restart_marker_rows": 1}),
        ("restart markers by blocks", {"restart_marker_blocks": 3, "progressive": True}),
        ("RGB", {"keep_rgb": True}),
        ("a resolution", {"dpi": (300, 300)}),
        ("a comment", {"comment": b"c" * 60_000}),
        ("low quality", {"quality": 20}),
    ]
    for form, options in forms:
        yield f"JPEG, {form}", file("JPEG", **options)
    jpeg, cmyk = file("JPEG"), picture().convert("CMYK")
    yield "JPEG, grey", file("JPEG", _grey())
    yield "JPEG, grey progressive", file("JPEG", _grey(), progressive=True)
    yield "JPEG, CMYK", file("JPEG", cmyk)
    yield "JPEG, CMYK with its profile", file("JPEG", cmyk, icc_profile=cmyk_profile())
    yield "JPEG, CMYK with a profile of RGB", file("JPEG", cmyk, icc_profile=_rgb_profiles()["ProPhoto"])
    yield "JPEG, CMYK, progressive", file("JPEG", cmyk, progressive=True)
    yield "JPEG, YCCK", _with_adobe_transform(file("JPEG", cmyk), 2)
    yield "JPEG, CMYK without Adobe's mark", _without_adobe(file("JPEG", cmyk))
    yield "JPEG, RGB by Adobe's mark", _with_segment(jpeg, 0xEE, b"Adobe\0d\0\0\0\0\0")
    yield "JPEG, YCbCr by Adobe's mark", _with_segment(jpeg, 0xEE, b"Adobe\0d\0\0\0\0\1")
    yield "JPEG, without JFIF", jpeg[:2] + jpeg[20:]
    yield "JPEG, without its last two bytes", jpeg[:-2]
    yield "JPEG, progressive without its last two bytes", file("JPEG", progressive=True)[:-2]
    yield "JPEG, more behind its end", jpeg + bytes(1000)
    yield "JPEG, several", file("MPO", save_all=True, append_images=[_grey()])
    yield "JPEG, padding between segments", _with_segments(jpeg, b"\xff" * 5)
    profile = srgb_profile() + rgb_profile(P3)  # two parts, of which each is a profile
    parts = [segment(0xE2, b"ICC_PROFILE\0" + bytes((i + 1, 2)) + profile[i::2]) for i in range(2)]
    yield "JPEG, a profile of mixed parts", _with_segments(jpeg, b"".join(parts))
    p3 = rgb_profile(P3)
    first, second = (
        segment(0xE2, b"ICC_PROFILE\0" + bytes((i, 2)) + part) for i, part in ((1, p3[:300]), (2, p3[300:]))
    )
    for form, segments in {
        "two parts": first + second,
        "two parts in the wrong order": second + first,
        "half missing": first,
        "its first part twice": first + first + second,
    }.items():
        yield f"JPEG, a profile of {form}", _with_segments(jpeg, segments)
    damaged = bytearray(jpeg)
    damaged[len(jpeg) * 9 // 10] ^= 0x55
    yield "JPEG, a damaged byte", bytes(damaged)


def _with_adobe_transform(jpeg: bytes, transform: int) -> bytes:
    end = jpeg.index(b"Adobe") + 11
    return jpeg[:end] + bytes([transform]) + jpeg[end + 1 :]


def _without_adobe(jpeg: bytes) -> bytes:
    start = jpeg.index(b"Adobe") - 4
    return jpeg[:start] + jpeg[start + 16 :]


def _pngs() -> Iterator[tuple[str, bytes]]:
    grey, rgb = _grey_samples(), _rgb_samples()
    alpha = np.asarray(transparent_picture().getchannel("A"))
    rgba, grey_alpha = np.dstack([rgb, alpha]), np.dstack([grey, alpha])
    kinds = [
        ("grey 8", grey, 8, 0),
        ("grey 4", grey >> 4, 4, 0),
        ("grey 2", grey >> 6, 2, 0),
        ("grey 1", grey >> 7, 1, 0),
        ("grey 16", _deep(grey), 16, 0),
        ("RGB 8", rgb, 8, 2),
        ("RGB 16", _deep(rgb), 16, 2),
        ("grey with alpha 8", grey_alpha, 8, 4),
        ("grey with alpha 16", _deep(grey_alpha), 16, 4),
        ("RGBA 8", rgba, 8, 6),
        ("RGBA 16", _deep(rgba), 16, 6),
    ]
    for (form, samples, depth, colour), interlaced in product(kinds, (False, True)):
        name = f"PNG, {form}{', interlaced' * interlaced}"
        yield name, png_of(samples, depth, colour, interlaced=interlaced)
    for depth in (1, 2, 4, 8):
        palette = picture().quantize(2**depth, dither=Image.Dither.NONE)
        colours = chunk(b"PLTE", bytes(palette.getpalette() or ()))
        yield f"PNG, palette {depth}", png_of(np.asarray(palette), depth, 3, before=colours)
        some = colours + chunk(b"tRNS", bytes(range(128, 256, 128 >> min(depth, 7)))[: 2**depth - 1])
        yield f"PNG, transparent palette {depth}", png_of(np.asarray(palette), depth, 3, before=some, interlaced=True)
    yield from _keyed_pngs()
    yield from _odd_pngs()
    yield from _animated_pngs()
    yield "PNG, bilevel dithered", file("PNG", picture().convert("1"))


def _keyed_pngs() -> Iterator[tuple[str, bytes]]:
    """Yield PNGs in which one colour is transparent."""
    grey, rgb = _grey_samples(), _rgb_samples()
    for depth, samples in ((8, grey), (16, _deep(grey)), (4, grey >> 4), (1, grey >> 7)):
        key = chunk(b"tRNS", struct.pack(">H", samples[0, 0]))
        yield f"PNG, a transparent grey of {depth}", png_of(samples, depth, 0, before=key)
    for depth, samples in ((8, rgb), (16, _deep(rgb))):
        key = chunk(b"tRNS", struct.pack(">3H", *samples[0, 0]))
        yield f"PNG, a transparent colour of {depth}", png_of(samples, depth, 2, before=key)
    near = chunk(b"tRNS", struct.pack(">3H", *(_deep(rgb)[0, 0] - 1)))
    yield "PNG, a transparent colour of 16 that is nowhere", png_of(_deep(rgb), 16, 2, before=near)
    near = chunk(b"tRNS", struct.pack(">H", int(_deep(grey)[0, 0]) - 1))
    yield "PNG, a transparent grey of 16 that is nowhere", png_of(_deep(grey), 16, 0, before=near)
    yield "PNG, a transparent colour without a number", png_of(rgb, before=chunk(b"tRNS"))
    yield "PNG, a transparent colour of one number", png_of(rgb, before=chunk(b"tRNS", b"\0\1"))
    key = chunk(b"tRNS", struct.pack(">3H", *rgb[0, 0]))
    yield "PNG, a transparent colour with a wrong checksum", png_of(rgb, before=with_wrong_checksum(key))
    yield "PNG, a transparent colour behind the pixels", png_of(rgb, after=key)


def _odd_pngs() -> Iterator[tuple[str, bytes]]:
    rgb = _rgb_samples()
    data = png_of(rgb)
    start = data.index(b"IDAT") - 4
    pixels = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rgb))
    parts = [chunk(b"IDAT", pixels[i : i + 5000]) for i in range(0, len(pixels), 5000)]
    head, end = data[:start], chunk(b"IEND")
    yield "PNG, pixels in parts", head + b"".join(parts) + end
    yield "PNG, pixels in parts, one empty", head + parts[0] + chunk(b"IDAT") + b"".join(parts[1:]) + end
    yield "PNG, without its last chunk", data[:-12]
    yield "PNG, more behind its end", data + bytes(1000)
    yield "PNG, a wrong checksum at its end", data[:-1] + b"\0"
    yield "PNG, a wrong checksum of the pixels", head + with_wrong_checksum(chunk(b"IDAT", pixels)) + end
    yield "PNG, a wrong checksum of the last pixels", head + b"".join(parts[:-1]) + with_wrong_checksum(parts[-1]) + end
    yield "PNG, a wrong checksum inside the pixels", head + chunk(b"IDAT", pixels[:-1] + b"\0") + end
    yield "PNG, pixels without a checksum inside", head + chunk(b"IDAT", pixels[:-4]) + end
    yield "PNG, too many pixels", head + chunk(b"IDAT", zlib.compress(zlib.decompress(pixels) + bytes(5000))) + end
    yield "PNG, a wrong checksum of the header", _with_wrong_checksum_of_the_header(data)
    texts = {
        "a long text": chunk(b"tEXt", b"key\0" + b"a" * 2_000_000),
        "an inflated text": chunk(b"zTXt", b"key\0\0" + zeros(200 * 2**20)),
        "an inflated international text": chunk(b"iTXt", b"key\0\1\0\0\0" + zeros(200 * 2**20)),
        "a broken text": chunk(b"zTXt", b"key\0\0nonsense"),
        "a text with a wrong checksum": with_wrong_checksum(chunk(b"tEXt", b"key\0text")),
        "a resolution with a wrong checksum": with_wrong_checksum(chunk(b"pHYs", bytes(9))),
        "an unknown chunk": chunk(b"abCd", b"text"),
        "many texts": chunk(b"tEXt", b"key\0text") * 2000,
        "a background": chunk(b"bKGD", bytes(6)),
        "significant bits": chunk(b"sBIT", b"\1\1\1"),
        "a histogram without a palette": chunk(b"hIST", b"\0\1"),
        "a time": chunk(b"tIME", b"\x07\xe4\x0d\x20\x19\x3d\x3d"),
        "a palette as advice": chunk(b"PLTE", bytes(range(30))),
    }
    for form, extra in texts.items():
        yield f"PNG, {form}", png_of(rgb, before=extra)
    yield "PNG, a long text behind the pixels", png_of(rgb, after=chunk(b"tEXt", b"key\0" + b"a" * 2_000_000))
    filtered = encoded(picture(), "PNG", optimize=True)
    yield "PNG, optimized", filtered


def _with_wrong_checksum_of_the_header(data: bytes) -> bytes:
    end = len(PNG_START) + 25
    return data[: end - 1] + bytes([data[end - 1] ^ 1]) + data[end:]


def _animated_pngs() -> Iterator[tuple[str, bytes]]:
    blue = Image.new("RGB", SIZE, "blue")
    animated: dict[str, Any] = {"save_all": True, "duration": 100_000}
    yield "PNG, animated", file("PNG", append_images=[blue], **animated)
    yield "PNG, animated with a default image", file("PNG", append_images=[blue], default_image=True, **animated)
    yield (
        "PNG, transparent animated",
        file("PNG", transparent_picture(), append_images=[transparent_picture().rotate(180)], **animated),
    )
    # A default image that is no frame, and a first frame that is smaller than it, in the middle
    rgb = np.full((60, 80, 3), 200, np.uint8)
    rows = b"".join(b"\0" + row.tobytes() for row in rgb)
    frame = struct.pack(">IIIIIHHBB", 0, 80, 60, 100, 100, 100, 1, 0, 0)
    data = chunk(b"fdAT", struct.pack(">I", 1) + zlib.compress(rows))
    start = chunk(b"acTL", struct.pack(">II", 1, 1))
    yield (
        "PNG, animated with a small first frame",
        png_of(_rgb_samples(), before=start, after=chunk(b"fcTL", frame) + data),
    )
    yield "WEBP, animated with a small first frame", animated_webp((64, 48))
    yield "PNG, animated without frames", png_of(_rgb_samples(), before=chunk(b"acTL", struct.pack(">II", 0, 1)))
    yield "PNG, animated without its frames", png_of(_rgb_samples(), before=start)


def _png_colours() -> Iterator[tuple[str, bytes]]:
    grey, rgb = _grey_samples(), _rgb_samples()
    prophoto = chromaticities_chunk(D50, PROPHOTO)
    profile = profile_chunk(rgb_profile(PROPHOTO, D50, 1.8))
    for exponent in (1, 1.8, 2.2, 2.6):
        yield f"PNG, gamma {exponent}", png_of(rgb, before=gamma_chunk(exponent))
    forms = {
        "a short gamma": chunk(b"gAMA", b"\0"),
        "a long gamma": chunk(b"gAMA", (100_000).to_bytes(4) + b"\0"),
        "a gamma of 0": chunk(b"gAMA", bytes(4)),
        "a giant gamma": chunk(b"gAMA", b"\xff" * 4),
        "a gamma with a wrong checksum": with_wrong_checksum(gamma_chunk(1)),
        "two gammas": gamma_chunk(1) + gamma_chunk(1.8),
        "chromaticities": prophoto,
        "gamma and chromaticities": gamma_chunk(1.8) + prophoto,
        "gamma and chromaticities of P3": gamma_chunk(2.2) + chromaticities_chunk(D65, P3),
        "gamma and impossible chromaticities": gamma_chunk(1.8) + chunk(b"cHRM", bytes(32)),
        "gamma and short chromaticities": gamma_chunk(1.8) + chunk(b"cHRM", bytes(8)),
        "gamma and chromaticities with a wrong checksum": gamma_chunk(1.8) + with_wrong_checksum(prophoto),
        "gamma and colours on one line": gamma_chunk(1.8)
        + chromaticities_chunk(D65, [(0.3, 0.3), (0.4, 0.4), (0.5, 0.5)]),
        "sRGB": chunk(b"sRGB", b"\0"),
        "sRGB and gamma": chunk(b"sRGB", b"\0") + gamma_chunk(1),
        "sRGB without an intent": chunk(b"sRGB") + gamma_chunk(1),
        "sRGB with an unknown intent": chunk(b"sRGB", b"\x09") + gamma_chunk(1),
        "sRGB with a wrong checksum": with_wrong_checksum(chunk(b"sRGB", b"\0")) + gamma_chunk(1),
        "a profile and gamma": profile + gamma_chunk(1),
        "a profile and sRGB": profile + chunk(b"sRGB", b"\0"),
        "a profile with a wrong checksum": with_wrong_checksum(profile),
        "an empty profile": chunk(b"iCCP"),
        "a profile without a name": chunk(b"iCCP", b"\0\0" + zlib.compress(rgb_profile(PROPHOTO, D50, 1.8))),
        "a profile that is not compressed": chunk(b"iCCP", b"name\0\0" + rgb_profile(PROPHOTO, D50, 1.8)),
        "a profile that was cut short": chunk(b"iCCP", b"name\0\0" + zlib.compress(rgb_profile(P3))[:-20]),
        "a profile of zeros": chunk(b"iCCP", b"name\0\0" + zeros(200 * 2**20)),
        "a broken profile and gamma": chunk(b"iCCP", b"name\0\0nonsense") + gamma_chunk(1),
        "a profile of another kind and gamma": profile_chunk(b"nonsense" * 30) + gamma_chunk(1),
        "two profiles": profile_chunk(rgb_profile(P3)) + profile,
        "short code points": chunk(b"cICP", b"\x09\x10"),
        "code points with a wrong checksum": with_wrong_checksum(chunk(b"cICP", bytes((12, 13, 0, 1)))),
        "code points and a profile": chunk(b"cICP", bytes((12, 13, 0, 1))) + profile,
        "unknown code points and a profile": chunk(b"cICP", bytes((200, 200, 0, 1))) + profile,
        "code points of YCbCr": chunk(b"cICP", bytes((12, 13, 6, 1))) + profile,
        "code points of the narrow range": chunk(b"cICP", bytes((12, 13, 0, 0))),
    }
    for form, before in forms.items():
        yield f"PNG, {form}", png_of(rgb, before=before)
    for form, after in {
        "gamma": gamma_chunk(1),
        "profile": profile,
        "code points": chunk(b"cICP", b"\x0c\x0d\0\1"),
    }.items():
        yield f"PNG, {form} behind the pixels", png_of(rgb, after=after)
    colours = chunk(b"PLTE", bytes(picture().quantize(16).getpalette() or ()))
    samples = np.asarray(picture().quantize(16))
    yield "PNG, gamma behind the palette", png_of(samples, 8, 3, before=colours + gamma_chunk(1))
    yield "PNG, gamma before the palette", png_of(samples, 8, 3, before=gamma_chunk(1) + colours)
    yield "PNG, grey with gamma", png_of(grey, 8, 0, before=gamma_chunk(1))
    yield "PNG, grey with gamma and chromaticities", png_of(grey, 8, 0, before=gamma_chunk(1.8) + prophoto)
    transparent = np.asarray(transparent_picture())
    yield "PNG, transparent with gamma", png_of(transparent, 8, 6, before=gamma_chunk(1))
    yield "PNG, transparent PQ", png_of(transparent, 8, 6, before=chunk(b"cICP", bytes((9, 16, 0, 1))))
    yield "PNG, grey PQ", png_of(_deep(grey), 16, 0, before=chunk(b"cICP", bytes((9, 16, 0, 1))))
    for form, numbers in _CODE_POINTS.items():
        before = chunk(b"cICP", bytes((*numbers, 0, 1)))
        yield f"PNG, code points of {form}", png_of(rgb, before=before)
        yield f"PNG, 16 bit, code points of {form}", png_of(_deep(rgb), 16, before=before)
    light = chunk(b"cLLI", struct.pack(">II", 40_000_000, 1_000_000))
    display = chunk(b"mDCV", struct.pack(">8H2I", *[10_000] * 8, 40_000_000, 10))
    pq = chunk(b"cICP", bytes((9, 16, 0, 1)))
    yield "PNG, PQ with its brightest light", png_of(rgb, before=pq + light)
    yield "PNG, PQ with its display", png_of(rgb, before=pq + display)
    ramp = np.broadcast_to(np.linspace(0, 65535, SIZE[0])[None, :, None], (SIZE[1], SIZE[0], 3)).astype(np.uint16)
    for form in ("PQ", "HLG"):
        before = chunk(b"cICP", bytes((*_CODE_POINTS[form], 0, 1)))
        yield f"PNG, all greys of {form}", png_of(ramp, 16, before=before)


def _webps() -> Iterator[tuple[str, bytes]]:
    blue, rgba = Image.new("RGB", SIZE, "blue"), transparent_picture()
    yield "WEBP, lossless", file("WEBP", lossless=True)
    yield "WEBP, lossless transparent", file("WEBP", rgba, lossless=True)
    yield "WEBP, grey", file("WEBP", _grey())
    yield "WEBP, low quality", file("WEBP", quality=10)
    yield "WEBP, animated", file("WEBP", save_all=True, append_images=[blue], duration=100_000)
    turned = rgba.rotate(180)
    yield "WEBP, transparent animated", file("WEBP", rgba, save_all=True, append_images=[turned], duration=100_000)
    yield (
        "WEBP, animated with a background",
        file("WEBP", rgba, save_all=True, append_images=[turned], duration=100_000, background=(0, 0, 255, 255)),
    )
    # Encoders cut off what is transparent around a frame.
    small = Image.new("RGBA", SIZE)
    small.paste(picture().resize((100, 80)), (200, 100))
    yield (
        "WEBP, animated with a small first frame",
        file("WEBP", small, save_all=True, append_images=[rgba], duration=100_000),
    )
    yield "WEBP, more behind its end", file("WEBP") + bytes(1000)
    data = file("WEBP", icc_profile=rgb_profile(PROPHOTO, D50, 1.8))
    flags = bytearray(data)
    flags[20] &= ~0x20
    yield "WEBP, a profile that the header does not announce", bytes(flags)
    yield "WEBP, a text chunk", _with_riff_size(file("WEBP") + b"TEXT\4\0\0\0text")


def _with_riff_size(data: bytes) -> bytes:
    return data[:4] + struct.pack("<I", len(data) - 8) + data[8:]


def _avifs() -> Iterator[tuple[str, bytes]]:
    blue, rgba = Image.new("RGB", SIZE, "blue"), transparent_picture()
    for subsampling in ("4:4:4", "4:2:2", "4:2:0", "4:0:0"):
        yield f"AVIF, {subsampling}", file("AVIF", subsampling=subsampling)
    yield "AVIF, the narrow range", file("AVIF", range="limited")
    yield "AVIF, animated", file("AVIF", save_all=True, append_images=[blue], duration=100_000)
    yield "AVIF, transparent premultiplied", file("AVIF", rgba, alpha_premultiplied=True)
    yield "AVIF, in tiles", file("AVIF", picture().resize((1200, 900)), tile_rows=1, tile_cols=1)
    for form, numbers in _CODE_POINTS.items():
        yield f"AVIF, code points of {form}", _with_code_points(file("AVIF"), *numbers)
    yield "AVIF, without a colour box", file("AVIF").replace(b"colrnclx", b"freenclx")
    yield "AVIF, more behind its end", file("AVIF") + bytes(1000)


def _gifs() -> Iterator[tuple[str, bytes]]:
    blue, palette = Image.new("RGB", SIZE, "blue"), picture().quantize(64)
    yield "GIF, interlaced", file("GIF", interlace=1)
    yield "GIF, not interlaced", file("GIF", interlace=0)
    yield "GIF, grey", file("GIF", _grey())
    yield "GIF, transparent", file("GIF", palette, transparency=palette.getpixel((200, 10)))
    yield "GIF, animated", file("GIF", save_all=True, append_images=[blue], duration=100_000)
    yield (
        "GIF, transparent animated",
        file("GIF", palette, save_all=True, append_images=[blue], duration=100_000, transparency=0),
    )
    yield "GIF, a background", file("GIF", palette, background=3)
    yield "GIF, a comment", file("GIF", palette, comment=b"c" * 5000)
    plain = file("GIF", palette)
    yield "GIF, a frame within its canvas", _with_canvas(plain, (500, 400), (50, 60))
    yield (
        "GIF, a frame within its canvas with a background",
        _with_canvas(file("GIF", palette, background=9), (600, 400), (50, 60)),
    )
    yield "GIF, a frame larger than its canvas", _with_canvas(plain, (200, 200), (0, 0))
    yield "GIF, a frame partly outside of its canvas", _with_canvas(plain, (420, 320), (100, 100))
    yield "GIF, a canvas of 0 × 0", _with_canvas(plain, (0, 0), (0, 0))
    yield "GIF, without its end", plain[:-1]
    yield "GIF, more behind its end", plain + bytes(1000)
    yield "GIF, another version", b"GIF87a" + plain[6:]


def _with_canvas(gif: bytes, canvas: tuple[int, int], position: tuple[int, int]) -> bytes:
    """Return the GIF with another size of the canvas and position of the frame on it."""
    start = gif.index(b",\0\0\0\0" + struct.pack("<HH", *SIZE))
    return (
        gif[:6] + struct.pack("<HH", *canvas) + gif[10 : start + 1] + struct.pack("<HH", *position) + gif[start + 5 :]
    )


def _bmps() -> Iterator[tuple[str, bytes]]:
    rgb = _rgb_samples()
    for depth in (1, 4, 8):
        palette = picture().quantize(2**depth, dither=Image.Dither.NONE)
        colours = np.asarray(palette.getpalette(), np.uint8).reshape(-1, 3)[:, ::-1]
        table = np.pad(colours, ((0, 2**depth - len(colours)), (0, 1))).tobytes()
        yield f"BMP, palette {depth}", bmp(SIZE, depth, bmp_rows(np.asarray(palette), depth), table)
    bgr = rgb[..., ::-1]
    yield "BMP, RGB 24, top down", bmp(SIZE, 24, bmp_rows(bgr[::-1], 24), top_down=True)
    alpha = np.asarray(transparent_picture().getchannel("A"))
    for form, last in {"zeros": alpha * 0, "255": alpha * 0 + 255, "alpha": alpha}.items():
        pixels = bmp_rows(np.dstack([bgr, last]), 32)
        yield f"BMP, 32 bit with {form}", bmp(SIZE, 32, pixels)
        masks = (0xFF0000, 0xFF00, 0xFF)
        yield f"BMP, 32 bit with {form} and masks", bmp(SIZE, 32, pixels, masks=masks, compression=3)
        masks4 = (*masks, 0xFF000000)
        yield f"BMP, 32 bit with {form} and a mask of it", bmp(SIZE, 32, pixels, masks=masks4, compression=3)
    red, green, blue = (rgb[..., i].astype(np.uint16) >> 3 for i in range(3))
    yield "BMP, 16 bit", bmp(SIZE, 16, bmp_rows(red << 10 | green << 5 | blue, 16))
    wide = bmp_rows(red << 11 | rgb[..., 1].astype(np.uint16) >> 2 << 5 | blue, 16)
    yield "BMP, 16 bit with masks", bmp(SIZE, 16, wide, masks=(0xF800, 0x7E0, 0x1F), compression=3)
    yield "BMP, run-length encoded", rle_bmp((64, 48), b"\x20\x05\x20\xa0\0\0" * 48)
    yield "BMP, run-length encoded with a gap", rle_bmp((64, 48), b"\x20\x05\0\2\x10\0\x10\xa0\0\0" * 48 + b"\0\1")
    yield (
        "BMP, run-length encoded, absolute",
        rle_bmp((64, 48), (b"\0\x40" + bytes(range(64)) + b"\0\0") * 48 + b"\0\1"),
    )
    yield "BMP, more behind its end", file("BMP") + bytes(1000)


def _incomplete() -> Iterator[tuple[str, bytes]]:
    """Yield files whose last bytes are missing."""
    files = {
        "JPEG": file("JPEG"),
        "JPEG, progressive": file("JPEG", progressive=True),
        "JPEG, CMYK": file("JPEG", picture().convert("CMYK")),
        "PNG": file("PNG"),
        "PNG, transparent": file("PNG", transparent_picture()),
        "PNG, interlaced": png_of(_rgb_samples(), interlaced=True),
        "PNG, grey 16": png_of(_deep(_grey_samples()), 16, 0),
        "WEBP": file("WEBP"),
        "WEBP, lossless": file("WEBP", lossless=True),
        "AVIF": file("AVIF"),
        "GIF": file("GIF"),
        "BMP": file("BMP"),
    }
    for (name, data), percent in product(files.items(), (1, 5, 10)):
        yield (
            f"{name}{', ' * (',' not in name)}{' ' * (',' in name)}cut by {percent} %",
            data[: -len(data) * percent // 100],
        )
    jpeg = file("JPEG", picture().resize((1600, 1200)))
    yield "JPEG, large, cut by 5 %", jpeg[: -len(jpeg) // 20]


def others() -> Iterator[tuple[str, bytes, bytes]]:
    """Yield TIFFs and HEICs, which Chromium does not show, each with a PNG or AVIF of the same picture and colours."""
    yield from _tiffs()
    yield from _heifs()


def _tiffs() -> Iterator[tuple[str, bytes, bytes]]:
    rgb, grey = _rgb_samples(), _grey_samples()
    rgba, cmyk = np.asarray(transparent_picture()), np.asarray(picture().convert("CMYK"))
    opaque, plain, plain_grey = np.dstack([rgb, grey * 0 + 255]), file("PNG"), file("PNG", _grey())
    full = np.uint32(2**32 // 255)
    kinds: list[tuple[str, Samples, int, bytes]] = [
        ("RGB 8", rgb, 2, plain),
        ("RGB 16", _deep(rgb), 2, plain),
        ("RGBA 8", rgba, 2, file("PNG", transparent_picture())),
        ("RGBA 16", _deep(opaque), 2, plain),
        ("grey 8", grey, 1, plain_grey),
        ("grey 16", _deep(grey), 1, plain_grey),
        ("grey 32", grey.astype(np.uint32) * full, 1, plain_grey),
        ("grey, white is 0, 8", 255 - grey, 0, plain_grey),
        ("grey, white is 0, 16", _deep(255 - grey), 0, plain_grey),
        ("float", (grey / 255).astype(np.float32), 1, plain_grey),
        ("float up to 255", grey.astype(np.float32), 1, plain_grey),
        ("float up to 65535", grey.astype(np.float32) * 257, 1, plain_grey),
        ("CMYK", cmyk, 5, plain),
    ]
    for (form, samples, photometric, png_), order, planar, compressed in product(
        kinds, "<>", (False, True), (False, True)
    ):
        if planar and samples.ndim == 2:
            continue
        name = f"TIFF, {form}{', big endian' * (order == '>')}{', planar' * planar}{', deflate' * compressed}"
        yield name, tiff_of(samples, photometric, order=order, planar=planar, compressed=compressed), png_
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", None):
        yield f"TIFF, RGB by Pillow, {compression}", file("TIFF", compression=compression), plain
    for compression in ("group3", "group4", "tiff_ccitt", "packbits", None):
        image = _grey().point(lambda value: 255 * (value > 128)).convert("1")
        yield f"TIFF, bilevel, {compression}", file("TIFF", image, compression=compression), file("PNG", image)
    palette = picture().quantize(64)
    yield "TIFF, palette", file("TIFF", palette), file("PNG", palette)
    yield "TIFF, YCbCr", file("TIFF", picture().convert("YCbCr")), plain
    yield "TIFF, several", file("TIFF", save_all=True, append_images=[_grey()]), plain
    for form, profile in _rgb_profiles().items():
        yield f"TIFF, profile {form}", file("TIFF", icc_profile=profile), file("PNG", icc_profile=profile)
    yield "TIFF, profile broken", file("TIFF", icc_profile=b"nonsense" * 9), plain
    printed = picture().convert("CMYK")
    yield (
        "TIFF, CMYK with a profile",
        file("TIFF", printed, icc_profile=cmyk_profile()),
        file("PNG", _through_profile(printed, cmyk_profile())),
    )
    grey_tiff = file("TIFF", _grey(), icc_profile=grey_profile(1))
    yield "TIFF, grey with a profile", grey_tiff, file("PNG", _grey(), icc_profile=grey_profile(1))
    for number in range(1, 9):
        turned = file("PNG", exif=b"Exif\0\0" + exif({ORIENTATION: (SHORT, number)}))
        yield (
            f"TIFF, orientation {number}",
            tiff_of(rgb, 2, tags={ORIENTATION: (SHORT, struct.pack("<H", number))}),
            turned,
        )


def _through_profile(image: Image.Image, profile: bytes) -> Image.Image:
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    assert converted
    return converted


def _heifs() -> Iterator[tuple[str, bytes, bytes]]:
    plain, plain_grey, rgb = file("PNG"), file("PNG", _grey()), _rgb_samples()
    forms: dict[str, dict[str, Any]] = {
        "plain": {},
        "4:4:4": {"chroma": 444},
        "4:2:2": {"chroma": 422},
        "a grid": {"tile_size": 128},
        "several": {"save_all": True, "append_images": [_grey()]},
        "a thumbnail": {"thumbnails": [64]},
        "a broken EXIF": {"exif": b"Exif\0\0" + _BROKEN_EXIFS["cut short"]},
    }
    for form, options in forms.items():
        yield f"HEIF, {form}", file("HEIF", quality=90, **options), plain
    upright = _XMP.replace(b'"6"', b'"1"')  # the encoder turns a picture by this
    yield "HEIF, XMP's orientation", file("HEIF", quality=90, xmp=upright).replace(upright, _XMP), plain
    yield "HEIF, grey", file("HEIF", _grey(), quality=90), plain_grey
    yield "HEIF, transparent", file("HEIF", transparent_picture(), quality=90), file("PNG", transparent_picture())
    deep = _deep(rgb).tobytes()
    yield "HEIF, 10 bit", deep_heif(SIZE, samples=deep, quality=90), plain
    yield (
        "HEIF, 10 bit, PQ",
        _with_code_points(deep_heif(SIZE, samples=deep, quality=95), 9, 16),
        _with_code_points(file("AVIF"), 9, 16),
    )
    for form, profile in _rgb_profiles().items():
        yield f"HEIF, profile {form}", file("HEIF", quality=95, icc_profile=profile), file("PNG", icc_profile=profile)
    for number in range(1, 9):
        tags = exif({ORIENTATION: (SHORT, number)})
        turned = file("PNG", exif=b"Exif\0\0" + tags)
        yield f"HEIF, orientation {number}", file("HEIF", quality=90, exif=b"Exif\0\0" + tags), turned
    heif, avif = file("HEIF", quality=95, chroma=444), file("AVIF", quality=95)
    for form, numbers in _CODE_POINTS.items():
        yield f"HEIF, code points of {form}", _with_code_points(heif, *numbers), _with_code_points(avif, *numbers)


def _with_code_points(data: bytes, primaries: int, transfer: int) -> bytes:
    return with_colour_box(data, code_points(primaries, transfer))
