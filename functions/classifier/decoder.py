"""The decoding process: reads photos from standard input, and writes squares of pixels to standard output.

`decoders` starts it, limits it, and talks to it. It has no credentials, and it locks itself before the first photo.
"""

import json
import os
import sys
from typing import BinaryIO

from classifier import photos, sandbox
from classifier.errors import PhotoError
from classifier.limits import Limits
from classifier.pixels import ALL_FORMATS, OUT_OF_MEMORY, REQUEST


def main(formats: str) -> None:
    """Answer requests until standard input ends. A photo of a format that is not loaded needs another process."""
    photos.load(rare=formats == ALL_FORMATS)
    is_filtered = sandbox.lock()
    sys.meta_path.clear()  # an import that is still missing fails at once
    with open(0, "rb") as requests, open(1, "wb") as answers:
        _send(answers, {"is_filtered": is_filtered})
        while header := requests.read(REQUEST.size):
            _answer(header, requests, answers)


def _answer(header: bytes, requests: BinaryIO, answers: BinaryIO) -> None:
    side, max_pixels, max_side, length = REQUEST.unpack(header)
    try:
        photo = photos.decode(requests.read(length), side, Limits(length, max_pixels, max_side))
    except PhotoError as error:
        _send(answers, {"code": error.code, "message": str(error)})
    except ImportError:
        _send(answers, {"needs_all_formats": True})
    except MemoryError:
        os._exit(OUT_OF_MEMORY)  # nothing that needs memory could be done
    else:
        _send(answers, {"format": photo.format, "width": photo.width, "height": photo.height}, photo.rgb)


def _send(answers: BinaryIO, message: dict[str, object], pixels: bytes = b"") -> None:
    answers.write(json.dumps(message).encode() + b"\n" + pixels)
    answers.flush()
