"""The decoding process: reads photos from standard input, and writes squares of pixels to standard output.

`decoders` starts it, limits it, and talks to it. It has no credentials, and it locks itself before the first photo.
"""

import io
import json
import os
import sys
import traceback
from typing import BinaryIO

from PIL import Image

from classifier import photos, sandbox
from classifier.errors import PhotoError
from classifier.limits import Limits
from classifier.pixels import ALL_FORMATS, EXIT_OUT_OF_MEMORY, REQUEST

_SAMPLE_SIDE = 16
_MAX_FAULT = 600  # characters, of up to six bytes in JSON; the function reads lines of up to 4,096 bytes


def main(formats: str, threads: str) -> None:
    """Answer requests until standard input ends. A photo of a format that is not loaded needs another process."""
    photos.load(all_formats=formats == ALL_FORMATS, threads=int(threads))
    samples = [_sample("JPEG"), _sample("WEBP")] if formats == ALL_FORMATS else [_sample("JPEG")]
    is_filtered = sandbox.lock()
    sys.meta_path.clear()  # an import that is still missing fails at once
    for sample in samples:  # if the lock refuses too much, the process does not start, and no photo is called damaged
        photos.decode(sample, _SAMPLE_SIDE, Limits())
    with open(0, "rb") as requests, open(1, "wb") as answers:
        _send(answers, {"is_filtered": is_filtered})
        while header := requests.read(REQUEST.size):
            _answer(header, requests, answers)


def _sample(name: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (_SAMPLE_SIDE, _SAMPLE_SIDE)).save(file, name)
    return file.getvalue()


def _answer(header: bytes, requests: BinaryIO, answers: BinaryIO) -> None:
    side, max_pixels, max_side, length = REQUEST.unpack(header)
    try:
        photo = photos.decode(requests.read(length), side, Limits(length, max_pixels, max_side))
    except PhotoError as error:
        _send(answers, {"code": error.code, "message": str(error)})
    except ImportError:
        _send(answers, {"needs_all_formats": True})
    except MemoryError:
        os._exit(EXIT_OUT_OF_MEMORY)  # nothing that needs memory could be done
    except Exception as error:
        _send(answers, {"fault": "".join(traceback.format_exception(error))[-_MAX_FAULT:]})
    else:
        _send(answers, {"format": photo.format, "width": photo.width, "height": photo.height}, photo.rgb)


def _send(answers: BinaryIO, message: dict[str, object], pixels: bytes = b"") -> None:
    answers.write(json.dumps(message).encode() + b"\n" + pixels)
    answers.flush()
