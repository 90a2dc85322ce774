"""From the colours of a file to sRGB, on white. What browsers show was measured in Chromium; see tests/browser."""

import numpy as np
import pytest
from PIL import Image

from classifier.colours import to_srgb
from classifier.containers import SRGB, Cicp, Colours
from tests.support.icc_profiles import (
    D50,
    P3,
    PROPHOTO,
    cmyk_profile,
    grey_profile,
    rgb_profile,
    rgb_table_profile,
    srgb_profile,
)

TOLERANCE = 2  # of 255
HALF_LIGHT = 188  # what half of the light of white is in sRGB
LINEAR = 8  # H.273, table 3
PQ, HLG = 16, 18
# From linear light of Display P3 to that of sRGB, as the CSS Color Module 4 has it
P3_TO_SRGB = np.array([[1.2249401, -0.2249402, 0], [-0.0420570, 1.0420571, 0], [-0.0196376, -0.0786361, 1.0982736]])
P3_NUMBERS = (0.3127, 0.3290, *(number for point in P3 for number in point))


def convert(colour: int | tuple[int, ...], colours: Colours, mode: str = "RGB") -> tuple[int, ...]:
    """Return what a square of one colour becomes."""
    square = to_srgb(Image.new(mode, (4, 4), colour), colours)
    assert (square.mode, square.size) == ("RGB", (4, 4))
    return tuple(int(value) for value in np.asarray(square)[2, 2])


def assert_close(actual: tuple[int, ...], *expected: int) -> None:
    assert np.abs(np.subtract(actual, expected)).max() <= TOLERANCE, (actual, expected)


def from_linear_p3(*samples: int) -> tuple[int, ...]:
    light = np.clip(P3_TO_SRGB @ (np.array(samples) / 255), 0, 1)
    encoded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return tuple(int(value) for value in (encoded * 255).round())


@pytest.mark.parametrize("colours", [Colours(), Colours(cicp=SRGB), Colours(profile=srgb_profile())])
def test_a_square_in_srgb_stays_as_it_is(colours: Colours) -> None:
    assert_close(convert((200, 100, 50), colours), 200, 100, 50)
    assert_close(convert(100, colours, "L"), 100, 100, 100)


def test_transparent_colours_are_on_white() -> None:
    assert convert((200, 100, 50, 255), Colours(), "RGBA") == (200, 100, 50)
    assert convert((200, 100, 50, 0), Colours(), "RGBA") == (255, 255, 255)
    assert_close(convert((200, 100, 50, 128), Colours(), "RGBA"), 228, 178, 153)
    assert_close(convert((100, 128), Colours(), "LA"), 178, 178, 178)


def test_colours_are_converted_before_they_are_put_on_white() -> None:
    assert_close(convert((128, 128, 128, 128), Colours(gamma=1), "RGBA"), *[(HALF_LIGHT + 255) // 2] * 3)
    assert_close(convert((128, 128), Colours(profile=grey_profile(1)), "LA"), *[(HALF_LIGHT + 255) // 2] * 3)


@pytest.mark.parametrize(
    "colours",
    [
        Colours(gamma=1, chromaticities=P3_NUMBERS),
        Colours(profile=rgb_profile(P3, gamma=1)),
        Colours(cicp=Cicp(12, LINEAR)),
    ],
    ids=["gamma", "profile", "code points"],
)
@pytest.mark.parametrize("colour", [(128, 128, 128), (128, 64, 64), (20, 200, 90), (0, 255, 0), (255, 255, 255)])
def test_each_description_of_a_space_means_the_same(colours: Colours, colour: tuple[int, ...]) -> None:
    assert_close(convert(colour, colours), *from_linear_p3(*colour))


def test_a_gamma_without_chromaticities_has_those_of_srgb() -> None:
    assert_close(convert((128, 0, 255), Colours(gamma=1)), HALF_LIGHT, 0, 255)


def test_another_white_is_adapted() -> None:
    """This is the formula of profiles: white stays white."""
    numbers = (*D50, *(number for point in PROPHOTO for number in point))

    assert_close(convert((255, 255, 255), Colours(gamma=1.8, chromaticities=numbers)), 255, 255, 255)
    by_profile = convert((120, 100, 90), Colours(profile=rgb_profile(PROPHOTO, D50, 1.8)))
    assert_close(convert((120, 100, 90), Colours(gamma=1.8, chromaticities=numbers)), *by_profile)


# Transfer characteristics


@pytest.mark.parametrize(
    ("transfer", "sample", "shown"),
    [
        (1, 109, 101),  # as Chromium shows it
        (6, 109, 101),
        (14, 109, 101),
        (15, 36, 24),
        (4, 36, 31),
        (5, 73, 48),
        (LINEAR, 128, HALF_LIGHT),
        (13, 10, 10),
        (13, 109, 109),
    ],
)
def test_transfer_characteristics(transfer: int, sample: int, shown: int) -> None:
    assert_close(convert((sample,) * 3, Colours(cicp=Cicp(1, transfer))), shown, shown, shown)


@pytest.mark.parametrize("primaries", [1, 4, 5, 6, 7, 9, 11, 12])
def test_white_is_white_by_all_primaries(primaries: int) -> None:
    assert_close(convert((255, 255, 255), Colours(cicp=Cicp(primaries, 13))), 255, 255, 255)


@pytest.mark.parametrize("primaries", [1, 9, 12])
@pytest.mark.parametrize(
    ("transfer", "sample", "shown"),
    [
        (PQ, 0, 0),
        (PQ, 148, HALF_LIGHT),  # 203 cd/m², the white of SDR
        (PQ, 192, 255),  # 1000 cd/m²
        (PQ, 255, 255),
        (HLG, 0, 0),
        (HLG, 191, HALF_LIGHT),  # 203 cd/m²
        (HLG, 255, 255),
    ],
)
def test_hdr_is_mapped_to_the_range_of_srgb(primaries: int, transfer: int, sample: int, shown: int) -> None:
    assert_close(convert((sample,) * 3, Colours(cicp=Cicp(primaries, transfer))), shown, shown, shown)


@pytest.mark.parametrize(
    ("transfer", "shown"),
    [
        (PQ, {40: 9, 80: 48, 110: 94, 130: 137, 155: 204, 165: 221, 175: 235, 185: 248}),
        (HLG, {32: 14, 64: 43, 100: 75, 128: 99, 150: 122, 200: 202, 215: 219, 230: 234, 245: 247}),
    ],
)
def test_grey_of_hdr_is_mapped_as_the_standards_say(transfer: int, shown: dict[int, int]) -> None:
    """Worked out from BT.2100 and SMPTE ST 2094-50 by bisection."""
    converted = {sample: convert((sample,) * 3, Colours(cicp=Cicp(9, transfer))) for sample in shown}

    assert all(max(colour) - min(colour) <= 1 for colour in converted.values())
    assert {sample: abs(converted[sample][0] - shown[sample]) <= 1 for sample in shown} == dict.fromkeys(shown, True)


def test_grey_is_the_same_in_all_spaces_with_the_transfer_and_the_white_of_srgb() -> None:
    ramp = Image.frombytes("RGB", (256, 1), bytes(value for value in range(256) for _ in "RGB"))

    converted = np.asarray(to_srgb(ramp, Colours(cicp=Cicp(12, 13)))).astype(int)

    assert np.abs(converted - np.asarray(ramp)).max() <= 1


def test_the_tone_map_keeps_order_and_hue() -> None:
    ramp = [convert((value,) * 3, Colours(cicp=Cicp(9, PQ)))[0] for value in range(0, 193, 16)]
    assert ramp == sorted(set(ramp))

    red, green, blue = convert((170, 140, 140), Colours(cicp=Cicp(9, PQ)))
    assert red > green
    assert abs(green - blue) <= 25


# Profiles


@pytest.mark.parametrize(("mode", "colour"), [("RGB", (200, 100, 50)), ("L", 100), ("CMYK", (10, 100, 50, 20))])
@pytest.mark.parametrize(
    "profile",
    [b"", b"nonsense" * 30, rgb_profile(P3)[:200], rgb_profile(P3)[:-1], rgb_profile(P3).replace(b"TRC", b"XXX")],
    ids=["empty", "nonsense", "cut short", "cut by a byte", "without curves"],
)
def test_a_broken_profile_is_ignored(profile: bytes, mode: str, colour: int | tuple[int, ...]) -> None:
    assert convert(colour, Colours(profile=profile), mode) == convert(colour, Colours(), mode)


@pytest.mark.parametrize(
    ("mode", "colour", "profile"),
    [
        ("RGB", (200, 100, 50), grey_profile(1)),
        ("RGB", (200, 100, 50), cmyk_profile()),
        ("L", 100, cmyk_profile()),
        ("CMYK", (10, 100, 50, 20), rgb_profile(P3, gamma=1)),
        ("CMYK", (10, 100, 50, 20), grey_profile(1)),
    ],
)
def test_a_profile_that_does_not_fit_is_ignored(mode: str, colour: int | tuple[int, ...], profile: bytes) -> None:
    assert convert(colour, Colours(profile=profile), mode) == convert(colour, Colours(), mode)


def test_a_profile_of_rgb_fits_grey() -> None:
    assert_close(convert(128, Colours(profile=rgb_profile(P3, gamma=1)), "L"), HALF_LIGHT, HALF_LIGHT, HALF_LIGHT)


def test_a_profile_of_grey() -> None:
    assert_close(convert(128, Colours(profile=grey_profile(1)), "L"), HALF_LIGHT, HALF_LIGHT, HALF_LIGHT)


@pytest.mark.parametrize(
    ("inks", "shown"),
    [((0, 0, 0, 0), (255, 255, 255)), ((255, 0, 0, 0), (22, 128, 178)), ((0, 0, 0, 255), (38, 38, 52))],
    ids=["white", "cyan", "black"],
)
def test_a_profile_of_cmyk(inks: tuple[int, ...], shown: tuple[int, ...]) -> None:
    """Black ink stays as dark as it is."""
    assert_close(convert(inks, Colours(profile=cmyk_profile()), "CMYK"), *shown)


@pytest.mark.parametrize(
    ("colour", "shown"),
    [((0, 0, 0), (0, 1, 51)), ((255, 255, 255), (255, 230, 229)), ((0, 255, 0), (1, 230, 49))],
)
def test_a_profile_moves_neither_white_nor_black(colour: tuple[int, ...], shown: tuple[int, ...]) -> None:
    assert_close(convert(colour, Colours(profile=rgb_table_profile())), *shown)


# Which description counts


@pytest.mark.parametrize(
    ("colours", "counting"),
    [
        (Colours(Cicp(1, LINEAR), grey_profile(2), 3), Colours(Cicp(1, LINEAR))),
        (Colours(SRGB, rgb_profile(P3), 1), Colours()),
        (Colours(Cicp(200, LINEAR), rgb_profile(P3), 1), Colours(profile=rgb_profile(P3))),
        (Colours(Cicp(1, 200), rgb_profile(P3), 1), Colours(profile=rgb_profile(P3))),
        (Colours(Cicp(2, 2), None, 1), Colours(gamma=1)),
        (Colours(None, b"nonsense", 1), Colours(gamma=1)),
        (Colours(None, grey_profile(2), 1), Colours(gamma=1)),
        (Colours(None, rgb_profile(P3), 1), Colours(profile=rgb_profile(P3))),
        (Colours(Cicp(2, 2), b"nonsense"), Colours()),
    ],
)
def test_the_first_description_that_can_be_used_counts(colours: Colours, counting: Colours) -> None:
    assert convert((200, 100, 50), colours) == convert((200, 100, 50), counting)


@pytest.mark.parametrize(
    "chromaticities",
    [(0.0,) * 8, (0.3127, 0.3290, 0.3, 0.3, 0.4, 0.4, 0.5, 0.5), (0.3, 0.3, 0.0, 0.0, 0.3, 0.6, 0.1, 0.1)],
    ids=["zeros", "on one line", "a zero"],
)
def test_impossible_chromaticities_are_ignored_with_their_gamma(chromaticities: tuple[float, ...]) -> None:
    assert convert((200, 100, 50), Colours(gamma=1, chromaticities=chromaticities)) == (200, 100, 50)
