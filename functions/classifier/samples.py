"""Images with 16 or 32 bits a sample: their reduction to 8 bits."""

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0  # TIFF 6.0, section 8
# 32-bit samples do not state which value is white. These are the usual ones.
_WHITES = (1, 2**8 - 1, 2**16 - 1, 2**32 - 1, np.inf)

Samples = npt.NDArray[np.float64]


def is_inverted(image: Image.Image) -> bool:
    """Return whether 0 is white. Pillow heeds this only for 8 bits."""
    return isinstance(image, TiffImageFile) and image.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO


def reduce_16_bits(band: Image.Image, *, inverted: bool, transparent: int | None) -> Image.Image:
    """Keep the upper byte of the samples. The value `transparent`, if there is one, becomes transparent."""
    samples = np.asarray(band)
    grey = Image.fromarray((samples >> 8).astype(np.uint8) ^ (255 if inverted else 0))
    if transparent is None:
        return grey
    alpha = Image.fromarray(((samples != transparent) * 255).astype(np.uint8))
    return Image.merge("LA", (grey, alpha))


def read_32_bits(band: Image.Image, *, swapped: bool) -> Samples:
    """Return the samples of a band of mode I, which are unsigned, or of mode F. What is not a number is 0."""
    samples = np.asarray(band)
    if band.mode == "I":
        return samples.view(np.uint32).astype(np.float64)
    return np.nan_to_num(samples.byteswap() if swapped else samples).astype(np.float64)


def is_swapped(image: Image.Image) -> bool:
    """Return whether Pillow returns floats in the wrong order of bytes: libtiff has turned them already."""
    return isinstance(image, TiffImageFile) and image.tag_v2.prefix == b"MM"


def find_white(brightest: float) -> float:
    """Return the usual white that is not below the brightest sample."""
    return next(white for white in _WHITES if brightest <= white)


def scale_32_bits(samples: Samples, white: float) -> Image.Image:
    """Map 0 and less to black, and `white` to white."""
    return Image.fromarray((np.clip(samples / white, 0, 1) * 255 + 0.5).astype(np.uint8))
