"""The least time that a photo can take: the fastest decoder of several, and one invocation of the network.

In a module of its own, because it imports more decoders than what else is measured.
"""

import io
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

os.environ["VIPS_CONCURRENCY"] = "1"  # libvips reads it when it is imported

import imagecodecs
import numpy as np
import numpy.typing as npt
import pyvips
import simplejpeg
from PIL import Image

from classifier.runtime import Interpreter

Pixels = npt.NDArray[np.uint8]
Decode = Callable[[bytes, int], Pixels]  # bytes and the least side in pixels


class Floor:
    """The least that there is to do: a decoder's cheapest way to at least the input size, and one invocation.

    It checks nothing, knows neither orientation nor colours, and samples the nearest pixels.
    """

    def __init__(self, network: Path, decode: Decode) -> None:
        """Load the network."""
        self.interpreter = Interpreter(model_path=str(network), num_threads=1)
        self.interpreter.allocate_tensors()
        (input_details,) = self.interpreter.get_input_details()
        self.input, self.side = input_details["index"], input_details["shape"][1]
        self.decode = decode

    def __call__(self, data: bytes) -> None:
        """Decode, resize and invoke. Raise the decoder's error if it does not know the format."""
        pixels = self.decode(data, self.side)
        image = Image.fromarray(pixels).convert("RGB").resize((self.side, self.side), Image.Resampling.NEAREST)
        self.interpreter.set_tensor(self.input, np.asarray(image)[np.newaxis])
        self.interpreter.invoke()


def decode_with_pillow(data: bytes, side: int) -> Pixels:
    """Decode at the smallest sufficient scale, if the format has scales."""
    image = Image.open(io.BytesIO(data))
    image.draft("RGB", (side, side))
    return np.asarray(image)


def decode_with_turbojpeg(data: bytes, side: int) -> Pixels:
    """Decode a JPEG by libjpeg-turbo's own interface, whose scales are eighths."""
    pixels: Pixels = simplejpeg.decode_jpeg(data, "RGB", fastdct=True, min_height=side, min_width=side)
    return pixels


def decode_with_vips(data: bytes, side: int) -> Pixels:
    """Decode by libvips, which scales while it decodes."""
    return np.asarray(pyvips.Image.thumbnail_buffer(data, side, height=side, size="force"))


def decode_with_imagecodecs(data: bytes, side: int) -> Pixels:  # noqa: ARG001 - it has no scales
    """Decode by the format's own library: libpng, libwebp, libjpeg-turbo."""
    pixels: Pixels = imagecodecs.imread(data, codec=["png", "webp", "jpeg8"])
    return pixels


DECODERS: dict[str, Decode] = {
    "Pillow": decode_with_pillow,
    "TurboJPEG": decode_with_turbojpeg,
    "libvips": decode_with_vips,
    "imagecodecs": decode_with_imagecodecs,
}


def find_floors(network: Path, data: bytes) -> dict[str, Floor]:
    """Return the floors, by their decoders' names, that can decode this photo."""
    floors = {}
    for name, decode in DECODERS.items():
        floor = Floor(network, decode)
        with suppress(Exception):  # each library has errors of its own
            floor(data)
            floors[name] = floor
    return floors
