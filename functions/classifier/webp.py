"""Decodes a WebP to size by libwebp's own interface, which Pillow does not use: it always decodes all pixels, as RGBA.

https://developers.google.com/speed/webp/docs/api describes the interface. The library is the one that Pillow brings.
"""

import ctypes

from PIL import Image, _webp

_ABI_VERSION = 0x0209  # decode.h; the upper byte has to be that of the library
_RGB, _OK = 0, 0  # WEBP_CSP_MODE, VP8StatusCode
# A symbol is also looked for in the libraries that this one is linked to.
_libwebp = ctypes.CDLL(_webp.__file__)


class _Features(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int) for name in ("width", "height", "has_alpha", "has_animation", "format")),
        ("pad", ctypes.c_uint32 * 5),
    ]


class _Buffer(ctypes.Structure):
    """`WebPDecBuffer`. The union of buffers is as large as that for planes, which is not used."""

    _fields_ = [
        *((name, ctypes.c_int) for name in ("colorspace", "width", "height", "is_external_memory")),
        ("rgba", ctypes.c_void_p),
        ("stride", ctypes.c_int),
        ("size", ctypes.c_size_t),
        ("rest_of_union", ctypes.c_size_t * 7),
        ("pad", ctypes.c_uint32 * 4),
        ("private_memory", ctypes.c_void_p),
    ]


class _Options(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int) for name in ("bypass_filtering", "no_fancy_upsampling", "use_cropping")),
        *((name, ctypes.c_int) for name in ("crop_left", "crop_top", "crop_width", "crop_height")),
        *((name, ctypes.c_int) for name in ("use_scaling", "scaled_width", "scaled_height", "use_threads")),
        *((name, ctypes.c_int) for name in ("dithering_strength", "flip", "alpha_dithering_strength")),
        ("pad", ctypes.c_uint32 * 5),
    ]


class _Config(ctypes.Structure):
    _fields_ = [("input", _Features), ("output", _Buffer), ("options", _Options)]


def decode_still(data: bytes, max_side: int) -> Image.Image | None:
    """Return the picture in RGB, reduced to a square of `max_side` pixels if both sides are longer.

    If only one is longer, libwebp's result differs visibly from other decoders'.

    Return None for an animation, for a picture with transparent parts, and for one that libwebp cannot decode.
    """
    config = _Config()
    length = ctypes.c_size_t(len(data))
    if not _libwebp.WebPInitDecoderConfigInternal(ctypes.byref(config), _ABI_VERSION):
        return None
    features = config.input
    if _libwebp.WebPGetFeaturesInternal(data, length, ctypes.byref(features), _ABI_VERSION) != _OK:
        return None
    if features.has_alpha or features.has_animation:
        return None
    width, height = features.width, features.height
    if min(width, height) > max_side:
        width = height = max_side
        config.options.use_scaling, config.options.scaled_width, config.options.scaled_height = 1, width, height
    pixels = bytearray(3 * width * height)
    config.output.colorspace, config.output.is_external_memory = _RGB, 1
    config.output.rgba = ctypes.addressof(ctypes.c_char.from_buffer(pixels))
    config.output.stride, config.output.size = 3 * width, len(pixels)
    if _libwebp.WebPDecode(data, length, ctypes.byref(config)) != _OK:
        return None
    return Image.frombuffer("RGB", (width, height), pixels, "raw", "RGB", 0, 1)
