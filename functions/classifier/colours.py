"""Converts squares of pixels from the colour space of their file to sRGB, as browsers do."""

import io
from functools import lru_cache

from PIL import Image, ImageCms

from classifier.containers import SRGB, Colours

# ruff: noqa: PLC0415 - few photos need formulas, and numpy for them

# The space of a profile and the mode of a square to which it can be applied
_FITTING = {("RGB", "RGB"), ("RGB", "L"), ("L", "L"), ("CMYK", "CMYK")}


def to_srgb(square: Image.Image, colours: Colours) -> Image.Image:
    """Return the square (RGB, RGBA, CMYK, L or LA) in RGB, in sRGB, on white.

    A description of colours that is broken, or does not fit the square, is ignored.
    """
    if square.mode in {"RGBA", "LA"}:
        opaque = to_srgb(square.convert(square.mode[:-1]), colours)
        return Image.composite(opaque, Image.new("RGB", square.size, "white"), square.getchannel("A"))
    return _convert(square, colours) or square.convert("RGB")


def _convert(square: Image.Image, colours: Colours) -> Image.Image | None:
    """Convert by the first description that can be used. Return None if there is none."""
    converted = None
    if colours.cicp == SRGB:
        return None
    if colours.cicp:
        from classifier.rgb_spaces import convert_cicp

        converted = convert_cicp(square.convert("RGB"), colours.cicp)
    if colours.profile and not converted:
        converted = _apply_profile(square, colours.profile)
    if colours.gamma and not converted:
        converted = _apply_gamma(square.convert("RGB"), colours.gamma, colours.chromaticities)
    return converted


def _apply_profile(square: Image.Image, profile: bytes) -> Image.Image | None:
    try:
        mode, transform = _make_transform(profile, square.mode)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None
    return transform.apply(square.convert(mode))


@lru_cache(maxsize=8)  # all photos of a phone have the same profile
def _make_transform(profile: bytes, mode: str) -> tuple[str, ImageCms.ImageCmsTransform]:
    """Return the mode that the transform takes, and the transform. Raise `ValueError` if the profile does not fit."""
    if int.from_bytes(profile[:4]) > len(profile):  # LittleCMS reads what is there, but Chromium ignores it
        raise ValueError("The profile is cut off.")
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    space = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}.get(source.profile.xcolor_space, "")
    if (space, mode) not in _FITTING:
        raise ValueError(space)
    # Browsers move neither white nor black.
    flags = ImageCms.Flags.NOWHITEONWHITEFIXUP
    return space, ImageCms.ImageCmsTransform(source, _srgb_profile(), space, "RGB", flags=flags)


@lru_cache(maxsize=1)
def _srgb_profile() -> ImageCms.ImageCmsProfile:
    """Return the profile as one of version 2, because LittleCMS moves black for version 4."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return ImageCms.ImageCmsProfile(io.BytesIO(profile[:8] + b"\2" + profile[9:]))


def _apply_gamma(square: Image.Image, gamma: float, chromaticities: tuple[float, ...] | None) -> Image.Image | None:
    from classifier.rgb_spaces import PRIMARIES, convert_gamma

    try:
        return convert_gamma(square, gamma, chromaticities or PRIMARIES[1])
    except (ArithmeticError, ValueError):  # no colour space has such numbers
        return None
