"""Builds ICC profiles (ICC.1:2001-04, version 2), as files carry them."""

import struct
from collections.abc import Sequence
from itertools import product

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

Array = npt.NDArray[np.float64]
Point = tuple[float, float]

D65, D50 = (0.3127, 0.3290), (0.3457, 0.3585)  # x and y of whites
_D50_XYZ = np.array([0.9642, 1, 0.8249])
# x and y of red, green and blue
SRGB = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
P3 = ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06))
PROPHOTO = ((0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001))
_GRID = np.linspace(0, 1, 9)  # of each channel of a table
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def srgb_profile() -> bytes:
    """Return LittleCMS's profile of sRGB."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def rgb_profile(primaries: Sequence[Point], white: Point = D65, gamma: float = 2.2) -> bytes:
    """Return the profile of a space with these primaries, whose samples to the power of `gamma` are linear light."""
    columns = np.stack([_xyz(point) for point in primaries], axis=1)
    scaled = _to_d50(white) @ (columns * np.linalg.solve(columns, _xyz(white)))
    curve = _curve(gamma)
    colorants = {b"rgb"[i : i + 1] + b"XYZ": _xyz_tag(scaled[:, i]) for i in range(3)}
    return _profile(b"RGB ", {**colorants, b"rTRC": curve, b"gTRC": curve, b"bTRC": curve})


def grey_profile(gamma: float) -> bytes:
    """Return the profile of grey with this gamma."""
    return _profile(b"GRAY", {b"kTRC": _curve(gamma)})


def cmyk_profile() -> bytes:
    """Return the profile of a printer with dull inks, which a table describes."""
    inks = np.array([[0.1, 0.5, 0.7], [0.7, 0.1, 0.4], [0.9, 0.8, 0.1], [0.15, 0.15, 0.2]])
    amounts = np.array(list(product(_GRID, repeat=4)))[..., np.newaxis]
    return _profile(b"CMYK", {b"A2B0": _table(4, np.prod(1 - amounts * (1 - inks), axis=1))}, b"prtr", b"Lab ")


def rgb_table_profile() -> bytes:
    """Return the profile of a scanner that mixes up its colours, which a table describes."""
    mixed = np.array(list(product(_GRID, repeat=3))) @ [[0.8, 0, 0], [0, 0.9, 0], [0.2, 0, 0.7]] + [0, 0, 0.2]
    return _profile(b"RGB ", {b"A2B0": _table(3, mixed)}, b"scnr", b"Lab ")


def _xyz(point: Point) -> Array:
    x, y = point
    return np.array([x / y, 1, (1 - x - y) / y])


def _to_d50(white: Point) -> Array:
    scale = np.diag((_BRADFORD @ _D50_XYZ) / (_BRADFORD @ _xyz(white)))
    adaptation: Array = np.linalg.inv(_BRADFORD) @ scale @ _BRADFORD
    return adaptation


def _fixed(values: Array) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def _xyz_tag(values: Array) -> bytes:
    return b"XYZ " + bytes(4) + _fixed(values)


def _curve(gamma: float) -> bytes:
    return b"curv" + struct.pack(">IIH", 0, 1, round(gamma * 256))


def _table(channels: int, colours: Array) -> bytes:
    """Return a table of the type `lut8Type`, whose colours are given in sRGB."""
    image = Image.fromarray((colours * 255).round().astype(np.uint8)[np.newaxis])
    to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    lab = np.asarray(ImageCms.applyTransform(image, to_lab)) ^ np.array([0, 128, 128], np.uint8)
    start = struct.pack(">4sIBBBB", b"mft1", 0, channels, 3, len(_GRID), 0) + _fixed(np.eye(3).flatten())
    unchanged = bytes(range(256))
    return start + unchanged * channels + lab.tobytes() + unchanged * 3


def _profile(space: bytes, tags: dict[bytes, bytes], kind: bytes = b"mntr", connection: bytes = b"XYZ ") -> bytes:
    name = b"desc" + struct.pack(">II", 0, 5) + b"test\0" + bytes(78)
    table, content = b"", b""
    start = 128 + 4 + 12 * (len(tags) + 2)
    for tag, data in {b"desc": name, b"wtpt": _xyz_tag(_D50_XYZ), **tags}.items():
        table += tag + struct.pack(">II", start + len(content), len(data))
        content += data + bytes(-len(data) % 4)
    header = struct.pack(">IIIII", start + len(content), 0, 0x02400000, 0, 0)[:12] + kind + space + connection
    header += bytes(12) + b"acsp" + bytes(28) + _fixed(_D50_XYZ)
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags) + 2) + table + content
