"""What files say of their pictures: orientation and colours, as browsers read them; broken metadata are ignored."""

import struct
import zlib
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from PIL import Image

from classifier.containers import SRGB, Cicp, Colours, is_known_format, read_container, webp_size
from classifier.errors import UnsupportedImage
from classifier.pixels import FORMATS
from tests.support.drawings import encoded, garment, photo
from tests.support.photo_files import (
    LONG,
    ORIENTATION,
    PNG_START,
    SHORT,
    box,
    chromaticities_chunk,
    chunk,
    code_points,
    exif,
    gamma_chunk,
    jpeg,
    png,
    profile_chunk,
    segment,
    with_colour_box,
    with_segments,
    with_wrong_checksum,
    zeros,
)

SMALL = Image.new("RGB", (8, 8))
TURNED = exif({ORIENTATION: (SHORT, 6)})
PROFILE = b"the bytes of a profile " * 30
POINTS = ((0.3127, 0.3290), [(0.68, 0.32), (0.265, 0.69), (0.15, 0.06)])
CHROMATICITIES = (0.3127, 0.3290, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)


def exif_segment(content: bytes) -> bytes:
    return segment(0xE1, b"Exif\0\0" + content)


def profile_part(number: int, count: int, content: bytes) -> bytes:
    return segment(0xE2, b"ICC_PROFILE\0" + bytes((number, count)) + content)


def colours(*chunks: bytes) -> Colours:
    """Return the colours of a PNG with these chunks before its pixels."""
    return read_container(png((8, 8), before=b"".join(chunks))).colours


def big_endian(orientation: int) -> bytes:
    return b"MM\0*" + struct.pack(">IHHHIHH", 8, 1, ORIENTATION, SHORT, 1, orientation, 0) + bytes(4)


def test_the_first_bytes_show_a_known_format() -> None:
    assert all(is_known_format(encoded(SMALL, name)[:64]) for name in FORMATS)
    assert is_known_format(b"GIF87a")
    assert is_known_format(b"MM\0+\0\x08\0\0")
    assert not is_known_format(b'{"url": "https://example.com/photo.jpg"}')
    assert not is_known_format(b"RIFF\0\0\0\0WAVE")
    assert not is_known_format(b"")


@pytest.mark.parametrize("name", ["GIF", "BMP", "TIFF"])
def test_a_file_of_another_format_stays_as_it_is(name: str) -> None:
    container = read_container(encoded(SMALL, name))

    assert container.data == encoded(SMALL, name)
    assert container.orientation == 1
    assert container.colours == Colours()


# EXIF


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_is_read_in_both_orders_of_bytes(orientation: int) -> None:
    for content in (exif({ORIENTATION: (SHORT, orientation)}), big_endian(orientation)):
        assert read_container(with_segments(exif_segment(content))).orientation == orientation
        assert read_container(png((8, 8), before=chunk(b"eXIf", content))).orientation == orientation


def test_the_orientation_may_follow_other_tags() -> None:
    content = exif({271: (SHORT, 1), 272: (LONG, 2**32 - 1), ORIENTATION: (SHORT, 3), 305: (SHORT, 2)})

    assert read_container(with_segments(exif_segment(content))).orientation == 3


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"II",
        b"nonsense" * 4,
        TURNED[:-14],
        b"II*\0\xff\xff\xff\xff" + TURNED[8:],
        exif({ORIENTATION: (LONG, 6)}),
        exif({ORIENTATION: (SHORT, 0)}),
        exif({ORIENTATION: (SHORT, 9)}),
        exif({ORIENTATION + 1: (SHORT, 6)}),
        b"XX" + TURNED[2:],
    ],
)
def test_a_photo_with_a_broken_exif_is_upright(content: bytes) -> None:
    assert read_container(with_segments(exif_segment(content))).orientation == 1
    assert read_container(png((8, 8), before=chunk(b"eXIf", content))).orientation == 1


def test_the_first_exif_of_a_jpeg_counts() -> None:
    second = exif_segment(exif({ORIENTATION: (SHORT, 3)}))

    assert read_container(with_segments(exif_segment(TURNED) + second)).orientation == 6
    assert read_container(with_segments(segment(0xE1, b"Exif\0\1" + TURNED) + second)).orientation == 6


def test_only_an_exif_segment_of_a_jpeg_turns_it() -> None:
    assert read_container(with_segments(segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + TURNED))).orientation == 1
    assert read_container(with_segments(segment(0xE3, b"Exif\0\0" + TURNED))).orientation == 1


@pytest.mark.parametrize(
    "data",
    [
        png((8, 8), after=chunk(b"eXIf", TURNED)),
        png((8, 8), before=with_wrong_checksum(chunk(b"eXIf", TURNED))),
        encoded(SMALL, "WEBP", exif=b"Exif\0\0" + TURNED),
        encoded(SMALL, "AVIF", exif=b"Exif\0\0" + TURNED),
    ],
    ids=["behind the pixels", "wrong checksum", "WebP", "AVIF, which its decoder turns"],
)
def test_other_exif_data_do_not_turn_a_photo(data: bytes) -> None:
    assert read_container(data).orientation == 1


# JPEG


def test_a_jpeg_is_freed_of_metadata() -> None:
    plain = encoded(SMALL, "JPEG")
    metadata = [exif_segment(b"II*\0"), profile_part(1, 1, PROFILE), segment(0xFE, b"comment"), segment(0xED, b"8BIM")]

    assert read_container(with_segments(b"".join(metadata))).data == plain
    padded = with_segments(b"\xff\xff" + segment(0xEF, b"x"))
    assert read_container(padded).data == plain
    assert read_container(plain[:2] + b"\xff\xff" + plain[2:]).data == plain


def test_a_jpeg_keeps_what_says_how_its_colours_are_coded() -> None:
    data = with_segments(segment(0xEE, b"Adobe\0d\0\0\0\0\0"))

    assert read_container(data).data == data


def test_the_parts_of_a_profile_are_joined_by_their_numbers() -> None:
    first, second = profile_part(1, 2, PROFILE[:100]), profile_part(2, 2, PROFILE[100:])

    assert read_container(with_segments(first + second)).colours == Colours(profile=PROFILE)
    assert read_container(with_segments(second + first)).colours == Colours(profile=PROFILE)
    assert read_container(with_segments(profile_part(1, 1, PROFILE))).colours == Colours(profile=PROFILE)


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [profile_part(1, 2, PROFILE)],
        [profile_part(2, 2, PROFILE)],
        [profile_part(0, 1, PROFILE)],
        [profile_part(number % 256, 0, b"") for number in range(1, 300)],
        [profile_part(1, 1, PROFILE), profile_part(1, 1, PROFILE)],
        [segment(0xE2, b"ICC_PROFILE\0")],
        [segment(0xE2, b"MPF\0" + PROFILE)],
    ],
)
def test_a_profile_that_is_not_whole_is_ignored(parts: list[bytes]) -> None:
    assert read_container(with_segments(b"".join(parts))).colours == Colours()


@pytest.mark.parametrize("frame", [0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7])
def test_a_jpeg_of_another_kind_is_unsupported(frame: int) -> None:
    with pytest.raises(UnsupportedImage, match=r"rare kind of JPEG.* Save it as an ordinary JPEG"):
        read_container(jpeg((8, 8), frame=frame))


def test_a_jpeg_of_12_bits_is_unsupported() -> None:
    data = jpeg((8, 8), frame=0xC1).replace(b"\xff\xc1\0\x0b\x08", b"\xff\xc1\0\x0b\x0c")

    with pytest.raises(UnsupportedImage, match="12 bits"):
        read_container(data)


@pytest.mark.parametrize("frame", [0xC0, 0xC1, 0xC2])
def test_a_jpeg_of_an_ordinary_kind_is_read(frame: int) -> None:
    assert read_container(jpeg((8, 8), frame=frame)).data == jpeg((8, 8), frame=frame)


# PNG


def test_a_png_is_freed_of_metadata() -> None:
    texts = chunk(b"tEXt", b"key\0text") + chunk(b"pHYs", bytes(9)) + profile_chunk(PROFILE) + chunk(b"eXIf", TURNED)

    assert read_container(png((8, 8), before=texts, after=texts)).data == png((8, 8))


def test_a_png_that_was_cut_short_keeps_what_is_there() -> None:
    data = png((8, 8), before=chunk(b"tEXt", b"key\0text"), pixels=bytes(100))

    assert read_container(data[:-60]).data == png((8, 8), pixels=bytes(100))[:-60]


@pytest.mark.parametrize(
    ("colour", "key"), [(0, b"\0\x09"), (2, bytes(6)), (3, b"\x80"), (3, bytes(256))], ids=["grey", "RGB", "one", "all"]
)
def test_the_transparent_colours_of_a_png_are_kept(colour: int, key: bytes) -> None:
    data = png((8, 8), 8, colour, before=chunk(b"tRNS", key))

    assert read_container(data).data == data


@pytest.mark.parametrize(("colour", "key"), [(0, b"\0"), (2, bytes(5)), (3, b""), (4, bytes(6)), (6, bytes(6))])
def test_transparent_colours_that_do_not_fit_a_png_are_ignored(colour: int, key: bytes) -> None:
    assert read_container(png((8, 8), 8, colour, before=chunk(b"tRNS", key))).data == png((8, 8), 8, colour)


def test_transparent_colours_behind_the_pixels_or_with_a_wrong_checksum_are_ignored() -> None:
    key = chunk(b"tRNS", bytes(6))

    assert read_container(png((8, 8), after=key)).data == png((8, 8))
    assert read_container(png((8, 8), before=with_wrong_checksum(key))).data == png((8, 8))
    assert read_container(PNG_START + key).data == PNG_START


@pytest.mark.parametrize(("depth", "key", "scaled"), [(1, 1, 1), (2, 1, 85), (4, 5, 85), (8, 5, 5), (16, 5, 5)])
def test_the_transparent_grey_is_that_of_the_decoded_samples(depth: int, key: int, scaled: int) -> None:
    """Pillow decodes samples of 2 and 4 bits to 8."""
    data, expected = (png((8, 8), depth, 0, before=chunk(b"tRNS", struct.pack(">H", value))) for value in (key, scaled))

    assert read_container(data).data == expected


def control(width: int, height: int, x: int = 0, y: int = 0, number: int = 0) -> bytes:
    """Return the chunk before a frame of an animated PNG."""
    return chunk(b"fcTL", struct.pack(">IIIIIHHBB", number, width, height, x, y, 1, 1, 0, 0))


def frame_data(pixels: bytes, number: int = 1) -> bytes:
    return chunk(b"fdAT", struct.pack(">I", number) + pixels)


ANIMATION = chunk(b"acTL", struct.pack(">II", 1, 0))
PIXELS = zlib.compress(b"the first frame")


def test_an_animated_png_becomes_its_first_frame() -> None:
    """The default image of this file is for programs that do not know animations."""
    frames = control(8, 8) + frame_data(PIXELS[:5]) + frame_data(PIXELS[5:], 2)
    second = control(8, 8, number=3) + frame_data(b"second", 4)

    data = read_container(png((8, 8), before=ANIMATION, after=frames + second)).data

    start = png((8, 8))[: len(PNG_START) + 25]
    assert data == start + chunk(b"IDAT", PIXELS[:5]) + chunk(b"IDAT", PIXELS[5:]) + chunk(b"IEND")


def test_the_default_image_of_an_animated_png_may_be_its_first_frame() -> None:
    second = control(8, 8, number=1) + frame_data(PIXELS, 2)

    assert read_container(png((8, 8), before=ANIMATION + control(8, 8), after=second)).data == png((8, 8))


@pytest.mark.parametrize(
    "after",
    [
        b"",
        control(8, 8),
        frame_data(PIXELS),
        control(4, 8) + frame_data(PIXELS),
        control(8, 8, 1) + frame_data(PIXELS),
        control(8, 8, 0, 1) + frame_data(PIXELS),
    ],
)
def test_an_animated_png_without_a_whole_frame_is_its_default_image(after: bytes) -> None:
    assert read_container(png((8, 8), before=ANIMATION, after=after)).data == png((8, 8))


def test_frames_without_an_animation_are_ignored() -> None:
    assert read_container(png((8, 8), after=control(8, 8) + frame_data(PIXELS))).data == png((8, 8))


def test_each_description_of_a_pngs_colours_is_read() -> None:
    assert colours() == Colours()
    assert colours(chunk(b"cICP", bytes((9, 16, 0, 1)))) == Colours(cicp=Cicp(9, 16))
    assert colours(profile_chunk(PROFILE)) == Colours(profile=PROFILE)
    assert colours(gamma_chunk(1.6)) == Colours(gamma=1.6)
    assert colours(gamma_chunk(1.6), chromaticities_chunk(*POINTS)) == Colours(gamma=1.6, chromaticities=CHROMATICITIES)
    assert colours(gamma_chunk(2.2), chromaticities_chunk(*POINTS)).chromaticities == CHROMATICITIES
    assert colours(chromaticities_chunk(*POINTS)) == Colours()


def test_descriptions_of_a_pngs_colours_stand_beside_each_other() -> None:
    """The first that can be used is chosen later."""
    chunks = [chunk(b"cICP", bytes((9, 16, 0, 1))), profile_chunk(PROFILE), gamma_chunk(1)]

    assert colours(*chunks) == Colours(Cicp(9, 16), PROFILE, 1)
    assert colours(*chunks, chunk(b"sRGB", b"\0")) == Colours(Cicp(9, 16), PROFILE)


def test_the_first_of_two_equal_chunks_counts() -> None:
    assert colours(gamma_chunk(1), gamma_chunk(1.6)) == Colours(gamma=1)


@pytest.mark.parametrize("exponent", [2.1, 2.2, 2.3])
def test_a_gamma_near_that_of_srgb_is_that_of_srgb(exponent: float) -> None:
    assert colours(gamma_chunk(exponent)) == Colours()


@pytest.mark.parametrize("exponent", [1, 2.09, 2.32, 2.6])
def test_another_gamma_counts(exponent: float) -> None:
    assert colours(gamma_chunk(exponent)).gamma == pytest.approx(exponent, rel=1e-4)


@pytest.mark.parametrize(
    "ignored",
    [
        chunk(b"cICP", b"\x09\x10"),
        chunk(b"cICP", bytes((9, 16, 6, 1))),
        chunk(b"cICP", bytes((9, 16, 0, 0))),
        with_wrong_checksum(chunk(b"cICP", bytes((9, 16, 0, 1)))),
        chunk(b"iCCP"),
        chunk(b"iCCP", b"name\0\0" + PROFILE),
        chunk(b"iCCP", b"name\0\0" + zlib.compress(PROFILE)[:-5]),
        chunk(b"iCCP", b"\0\0" + zlib.compress(PROFILE)),
        chunk(b"iCCP", b"name\0\0" + zeros(5 * 2**20)),
        with_wrong_checksum(profile_chunk(PROFILE)),
        chunk(b"sRGB"),
        chunk(b"sRGB", b"\4"),
        with_wrong_checksum(chunk(b"sRGB", b"\0")),
    ],
)
def test_a_broken_description_of_a_pngs_colours_is_ignored(ignored: bytes) -> None:
    assert colours(ignored, gamma_chunk(1)) == Colours(gamma=1)


@pytest.mark.parametrize(
    "ignored",
    [
        chunk(b"gAMA", b"\0\0\0"),
        chunk(b"gAMA", bytes(4)),
        chunk(b"gAMA", bytes(3) + b"\1\0"),
        with_wrong_checksum(gamma_chunk(1)),
    ],
)
def test_a_broken_gamma_is_ignored(ignored: bytes) -> None:
    assert colours(ignored, chromaticities_chunk(*POINTS)) == Colours()


def test_broken_chromaticities_are_ignored() -> None:
    assert colours(gamma_chunk(1), chunk(b"cHRM", bytes(28))) == Colours(gamma=1)


@pytest.mark.parametrize("intent", range(4))
def test_a_png_in_srgb_has_no_other_gamma(intent: int) -> None:
    assert colours(chunk(b"sRGB", bytes([intent])), gamma_chunk(1)) == Colours()


def test_colours_behind_the_pixels_are_ignored() -> None:
    after = gamma_chunk(1) + profile_chunk(PROFILE) + chunk(b"cICP", bytes((9, 16, 0, 1)))

    assert read_container(png((8, 8), after=after)).colours == Colours()


# WebP


def test_the_profile_of_a_webp_is_read_if_its_header_announces_it() -> None:
    data = encoded(SMALL, "WEBP", icc_profile=PROFILE)
    hidden = data[:20] + bytes([data[20] & ~0x20]) + data[21:]

    assert read_container(data).colours == Colours(profile=PROFILE)
    assert read_container(hidden).colours == Colours()
    assert read_container(encoded(SMALL, "WEBP")).colours == Colours()
    assert read_container(data[:24]).colours == Colours()


def test_a_webp_without_its_last_tenth_is_filled_up_and_its_last_chunk_becomes_larger() -> None:
    data = encoded(garment("pants", (400, 300)), "WEBP")
    cut = data[: -len(data) // 10]

    completed = read_container(cut).data

    more = len(completed) - len(data)
    assert 0 < more < len(data) / 5
    assert more % 2 == 0
    sizes = struct.unpack_from("<I8xI", data, 4)
    assert struct.unpack_from("<I8xI", completed, 4) == tuple(size + more for size in sizes)
    assert completed[20:] == cut[20:].ljust(len(completed) - 20, b"\0")
    assert read_container(data).data == data
    half = data[: len(data) // 2]
    assert read_container(half).data == half


def test_a_frame_of_an_animated_webp_stays_as_large_as_its_chunks() -> None:
    picture = garment("pants", (400, 300))
    data = encoded(picture, "WEBP", save_all=True, append_images=[picture.rotate(10)])
    cut = data[: -len(data) // 20]

    assert read_container(cut).data == cut.ljust(len(data), b"\0")


@pytest.mark.parametrize("name", ["AVIF", "HEIF"])
def test_a_file_without_its_last_tenth_is_filled_up(name: str) -> None:
    """Its decoder then takes it for whole."""
    data = read_container(encoded(garment("pants", (400, 300)), name)).data

    assert read_container(data).data == data
    cut = data[: -len(data) // 10]
    assert read_container(cut).data == cut.ljust(len(data), b"\0")
    half = data[: len(data) // 2]
    assert read_container(half).data == half


# HEIF and AVIF


@pytest.mark.parametrize("name", ["AVIF", "HEIF"])
def test_the_colours_of_a_box_are_read(name: str) -> None:
    plain = encoded(SMALL, name)

    assert read_container(plain).colours == Colours(cicp=SRGB)
    assert read_container(with_colour_box(plain, code_points(9, 16))).colours == Colours(cicp=Cicp(9, 16))
    assert read_container(encoded(SMALL, name, icc_profile=PROFILE)).colours == Colours(profile=PROFILE)
    assert read_container(plain.replace(b"colrnclx", b"colrnope")).colours == Colours()
    assert read_container(plain.replace(b"colrnclx", b"freenclx")).colours == Colours()


@pytest.mark.parametrize("transfer", [1, 6, 14, 15])
def test_the_transfer_characteristics_of_video_are_those_of_srgb(transfer: int) -> None:
    data = with_colour_box(encoded(SMALL, "AVIF"), code_points(12, transfer))

    assert read_container(data).colours == Colours(cicp=Cicp(12, 13))


@pytest.mark.parametrize("name", ["AVIF", "HEIF"])
def test_decoders_get_no_other_code_points_than_those_of_srgb(name: str) -> None:
    """The third, of the matrix, is needed to decode the pixels."""
    plain = encoded(SMALL, name)

    assert read_container(with_colour_box(plain, code_points(200, 200))).data == plain


@pytest.mark.parametrize(("name", "items"), [("AVIF", 1), ("HEIF", 2)])
def test_decoders_get_no_metadata(name: str, items: int) -> None:
    """Pillow writes an AVIF's EXIF data of an orientation alone as another property."""
    data = encoded(SMALL, name, exif=b"Exif\0\0" + TURNED, xmp=b"<x/>")

    shown = read_container(data).data
    assert b"mime" in data
    assert b"mime" not in shown
    assert shown.count(b"skip") == items
    assert len(shown) == len(data)


def boxes(*contents: bytes) -> Colours:
    """Return the colours of a file whose properties are these boxes."""
    start = box(b"ftyp", b"avif", bytes(4))
    return read_container(start + box(b"meta", box(b"iprp", box(b"ipco", *contents)), version=0)).colours


def test_a_profile_counts_more_than_code_points() -> None:
    nclx, prof = box(b"colr", code_points(12, 13)), box(b"colr", b"prof" + PROFILE)

    assert boxes(nclx, prof) == Colours(profile=PROFILE)
    assert boxes(box(b"colr", b"rICC" + PROFILE)) == Colours(profile=PROFILE)


def test_the_first_code_points_count() -> None:
    assert boxes(box(b"colr", code_points(12, 13)), box(b"colr", code_points(9, 16))) == Colours(cicp=Cicp(12, 13))


def test_broken_boxes_are_ignored() -> None:
    nclx = box(b"colr", code_points(12, 13))

    assert boxes(box(b"colr", b"nclx\0\1"), nclx) == Colours(cicp=Cicp(12, 13))
    assert boxes(struct.pack(">I4s", 4, b"colr"), nclx) == Colours()
    assert boxes(struct.pack(">I4s", 1000, b"colr") + nclx[8:]) == Colours()
    assert boxes(b"\0\0\0") == Colours()


def test_a_box_may_have_a_long_length_or_end_with_the_file() -> None:
    content = code_points(12, 13)
    long = struct.pack(">I4sQ", 1, b"colr", 16 + len(content)) + content
    last = struct.pack(">I4s", 0, b"colr") + content

    assert boxes(long) == Colours(cicp=Cicp(12, 13))
    assert boxes(last) == Colours(cicp=Cicp(12, 13))


def test_no_bytes_crash_the_reader() -> None:
    """Damaged metadata end in no exception but `UnsupportedImage`."""
    random = np.random.default_rng(0)
    options = {"exif": b"Exif\0\0" + TURNED, "icc_profile": PROFILE}
    files = [encoded(SMALL, name, **options) for name in ("JPEG", "PNG", "WEBP", "AVIF", "HEIF")]
    files.append(png((8, 8), before=ANIMATION + chunk(b"tRNS", bytes(6)), after=control(8, 8) + frame_data(PIXELS)))
    for data in files:
        for _ in range(300):
            damaged = bytearray(data[: random.integers(12, len(data))])
            for index in random.integers(0, len(damaged), 3):
                damaged[index] = random.choice([0, 1, 255, damaged[index] ^ 64])
            with suppress(UnsupportedImage):
                read_container(bytes(damaged))


@pytest.mark.parametrize("options", [{}, {"lossless": True}, {"exif": b"Exif\0\0II*\0"}], ids=str)
def test_the_size_of_a_webp_is_read_before_it_is_decoded(options: dict[str, Any]) -> None:
    assert webp_size(encoded(Image.new("RGB", (300, 20)), "WEBP", **options)) == (300, 20)


@pytest.mark.parametrize("data", [b"", b"RIFF", b"RIFF    WEBP", b"RIFF    WEBPVP8 ", photo()], ids=len)
def test_other_files_state_no_size_of_a_webp(data: bytes) -> None:
    assert webp_size(data) is None


@pytest.mark.parametrize(
    ("brands", "is_image"), [(b"heic    ", True), (b"isom    avif", True), (b"isom    mp42", False)]
)
def test_a_film_is_no_image(brands: bytes, is_image: bool) -> None:  # noqa: FBT001
    assert is_known_format(box(b"ftyp", brands)) is is_image
