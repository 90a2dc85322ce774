"""What the function and its decoding processes agree on: formats, requests, decoded photos, and an exit status."""

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

# Of a request: the side of the square, the limits on pixels and side, the length of the file that follows.
REQUEST = struct.Struct("!IQIQ")
COMMON_FORMATS, ALL_FORMATS = "common", "all"  # which formats' libraries a process has loaded
EXIT_OUT_OF_MEMORY = 3  # the exit status of a process that has reached its limit
# No other format is opened. Pillow also reads formats that run programs (EPS), and many that nobody uses for photos.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF")


@dataclass(frozen=True, slots=True)
class Photo:
    """A decoded photo: its format as Pillow names it, its width and height when it is upright, and its pixels.

    `rgb` is the whole photo, upright, scaled to a square of `side` × `side` pixels: rows of RGB, a byte each.
    """

    format: str
    width: int
    height: int
    side: int
    rgb: bytes

    @property
    def pixels(self) -> "npt.NDArray[np.uint8]":
        """The square as an array of shape (side, side, 3)."""
        import numpy as np  # noqa: PLC0415 - the decoding process does not need it

        return np.frombuffer(self.rgb, np.uint8).reshape(self.side, self.side, 3)
