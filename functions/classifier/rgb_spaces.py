"""RGB colour spaces that a file describes by code points or numbers, and their conversion to sRGB.

Chromium shows what these formulas give, to a level or two of 255.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image

from classifier.containers import Cicp

Array = npt.NDArray[np.float64]

_D65 = (0.3127, 0.3290)
# x and y of white, red, green and blue, by the code points of ITU-T H.273, table 2
PRIMARIES = {
    1: (*_D65, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06),  # BT.709, and sRGB
    4: (0.310, 0.316, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),
    5: (*_D65, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06),
    6: (*_D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    7: (*_D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    9: (*_D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),  # BT.2020
    11: (0.314, 0.351, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    12: (*_D65, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),  # Display P3
}
_BT2020 = 9
_PQ, _HLG = 16, 18  # code points of transfer characteristics, H.273, table 3
# In cd/m²: the white of SDR beside HDR (BT.2408), and the brightest light of HDR that is kept apart.
_SDR_WHITE, _HDR_PEAK = 203, 1000
# Bradford's cone responses, for the adaptation of one white to another (ICC.1:2022, annex E)
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_LUMINANCE_OF_2020 = np.array([0.2627, 0.6780, 0.0593])  # the luminance of each channel, BT.2020


def convert_cicp(square: Image.Image, cicp: Cicp) -> Image.Image | None:
    """Convert an RGB square to sRGB. Return None if the code points are not known."""
    if cicp.primaries not in PRIMARIES or cicp.transfer not in _TO_LINEAR:
        return None
    linear, primaries = _TO_LINEAR[cicp.transfer](_samples(square)), PRIMARIES[cicp.primaries]
    if cicp.transfer in {_PQ, _HLG}:
        linear, primaries = _tone_map(linear @ _matrix(primaries, PRIMARIES[_BT2020])), PRIMARIES[_BT2020]
    return _encode(linear, primaries)


def convert_gamma(square: Image.Image, gamma: float, chromaticities: tuple[float, ...]) -> Image.Image:
    """Convert an RGB square to sRGB, whose samples to the power of `gamma` are linear light."""
    return _encode(_samples(square) ** gamma, chromaticities)


def _samples(square: Image.Image) -> Array:
    samples: Array = np.asarray(square) / 255.0
    return samples


def _encode(linear: Array, chromaticities: tuple[float, ...]) -> Image.Image:
    """Return linear light, in which 1 is white, in sRGB (IEC 61966-2-1)."""
    light = np.clip(linear @ _matrix(chromaticities, PRIMARIES[1]), 0, 1)
    encoded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)  # noqa: PLR2004
    return Image.fromarray((encoded * 255 + 0.5).astype(np.uint8))


def _matrix(source: tuple[float, ...], target: tuple[float, ...]) -> Array:
    """Return the matrix by which rows of linear RGB are multiplied."""
    matrix: Array = (np.linalg.inv(_to_xyz(target)) @ _to_xyz(source)).T
    return matrix


def _to_xyz(chromaticities: tuple[float, ...]) -> Array:
    """Return the matrix from linear RGB to XYZ, adapted to D65. Raise `LinAlgError` if there is none."""
    white, *primaries = map(_xyz, chromaticities[::2], chromaticities[1::2])
    columns = np.stack(primaries, axis=1)
    adaptation = np.linalg.inv(_BRADFORD) @ np.diag(_BRADFORD @ _xyz(*_D65) / (_BRADFORD @ white)) @ _BRADFORD
    matrix: Array = adaptation @ (columns * np.linalg.solve(columns, white))
    return matrix


def _xyz(x: float, y: float) -> Array:
    """Return the colour with these chromaticities and the luminance 1."""
    return np.array([x / y, 1, (1 - x - y) / y])


def _from_srgb(samples: Array) -> Array:
    return np.where(samples <= 0.04045, samples / 12.92, ((samples + 0.055) / 1.055) ** 2.4)  # noqa: PLR2004


def _from_pq(samples: Array) -> Array:
    """Invert SMPTE ST 2084."""
    root = samples ** (1 / 78.84375)
    light: Array = (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (1 / 0.1593017578125)
    return light * 10_000 / _SDR_WHITE


def _from_hlg(samples: Array) -> Array:
    """Invert the transfer function of BT.2100, and apply its system gamma for a display of 1000 cd/m²."""
    bright = (np.exp((samples - 0.55991073) / 0.17883277) + 0.28466892) / 12
    scene = np.where(samples <= 0.5, samples**2 / 3, bright)  # noqa: PLR2004
    luminance = np.maximum(scene @ _LUMINANCE_OF_2020, 1e-9)
    display: Array = scene * luminance[..., np.newaxis] ** 0.2
    return display * _HDR_PEAK / _SDR_WHITE


def _tone_map(linear: Array) -> Array:
    """Compress light of up to 1000 cd/m² to the range up to 1, by the brightest channel of BT.2020.

    This is the reference white tone mapping operator of SMPTE ST 2094-50, which Chromium applies. Light up to the
    white of SDR is halved. Above it, a quadratic Bézier curve leads from (1, 0.5) by (1.65, 0.825) to (peak, 1).
    """
    peak = _HDR_PEAK / _SDR_WHITE
    brightest = np.maximum(linear.max(axis=-1, keepdims=True), 1e-9)
    square, slope = 1 - 2 * 1.65 + peak, 2 * (1.65 - 1)
    t = (np.sqrt(slope**2 + 4 * square * (np.clip(brightest, 1, peak) - 1)) - slope) / (2 * square)
    mapped = np.where(brightest <= 1, brightest / 2, 0.5 + 0.65 * t - 0.15 * t**2)
    scaled: Array = linear * mapped / brightest
    return scaled


_TO_LINEAR: dict[int, Callable[[Array], Array]] = {
    # What a display makes of BT.709 and its relatives: BT.1886
    **dict.fromkeys((1, 6, 14, 15), lambda samples: samples**2.4),
    4: lambda samples: samples**2.2,
    5: lambda samples: samples**2.8,
    8: lambda samples: samples,
    13: _from_srgb,
    _PQ: _from_pq,
    _HLG: _from_hlg,
}
