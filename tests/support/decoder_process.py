"""Decodes files, each in a process of its own, and prints the outcome of each as a line of JSON.

    python -m tests.support.decoder_process FOLDER [GUARD]

A decoder that crashes, hangs or fills the memory ends alone. GUARD names one of `GUARDS`, which is removed first.
"""

import io
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pillow_heif
from PIL import Image

from classifier import photos, structure
from classifier.errors import PhotoError
from classifier.limits import Limits

SIZE = 224
MAX_SECONDS = 6  # of processor time; a decoder that takes longer hangs
MAX_BYTES = 4 * 2**30  # protects the machine
UNLIMITED = 10**12

limits = {"pixels": Limits().pixels}


def check_nothing(*_: object) -> None:
    """Stand in for a check."""


def replace_attributes(owner: Any, **values: Any) -> None:
    for name, value in values.items():
        setattr(owner, name, value)


# How to remove each guard.
GUARDS: dict[str, Callable[[], object]] = {
    "pixels of a frame": partial(limits.update, pixels=UNLIMITED),  # Pillow checks frames, against twice the limit
    "pixels": partial(replace_attributes, Limits, check_size=check_nothing),
    "bands": partial(replace_attributes, photos, BAND_PIXELS=UNLIMITED),
    "reads": partial(replace_attributes, structure, MAX_READS=UNLIMITED),
    "segments": partial(replace_attributes, structure, MAX_SEGMENTS=UNLIMITED),
    "scans": partial(replace_attributes, structure, MAX_SCANS=UNLIMITED),
    "EXIF segments": partial(replace_attributes, structure, MAX_EXIFS=UNLIMITED, MAX_SEGMENTS=UNLIMITED),
    "scans in a TIFF": partial(os.environ.update, LIBTIFF_JPEG_MAX_ALLOWED_SCAN_NUMBER="100"),
    "values": partial(replace_attributes, structure, MAX_VALUES=UNLIMITED),
    "strip bytes": partial(replace_attributes, structure, MAX_STRIP_BYTES=UNLIMITED),
    "strips": partial(replace_attributes, structure, check_strips=check_nothing),
    "boxes": partial(replace_attributes, structure, check_boxes=check_nothing),
    "one thread": partial(replace_attributes, pillow_heif.options, DECODE_THREADS=4),
    "WebP pixels": partial(replace_attributes, structure, MAX_PIXELS_WEBP=UNLIMITED),
    "AVIF pixels": partial(replace_attributes, structure, MAX_PIXELS_AVIF=UNLIMITED, MAX_AVIF_BYTES=UNLIMITED),
    "rare HEIF pixels": partial(replace_attributes, structure, MAX_PIXELS_RARE_HEIF=UNLIMITED),
    "run-length encoded BMP pixels": partial(replace_attributes, structure, MAX_PIXELS_RLE=UNLIMITED),
    "most AVIF bytes": partial(replace_attributes, structure, MAX_AVIF_BYTES=2**20),  # too few, not too many
}


def outcome(data: bytes) -> str:
    """Return the photo's format, or the error's code, or the text of any other exception."""
    try:
        photo = photos.decode(data, SIZE, Limits(**limits))
    except PhotoError as error:
        return error.code
    except BaseException as error:
        return f"raised {error!r}"
    assert photo.pixels.shape == (SIZE, SIZE, 3)
    return photo.format


def peak_mebibytes() -> float:
    """Return the most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def decode(path: Path, output: int) -> None:
    """Decode the file in this process, and write the outcome to the file descriptor."""
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_SECONDS, MAX_SECONDS))
    signal.alarm(20 * MAX_SECONDS)  # for a decoder that waits, and uses no processor
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (MAX_BYTES, MAX_BYTES))
    before, started = peak_mebibytes(), time.process_time()
    result = outcome(path.read_bytes())
    measured = {"outcome": result, "seconds": time.process_time() - started, "mebibytes": peak_mebibytes() - before}
    os.write(output, json.dumps(measured).encode())


def main() -> None:
    """Decode the files in the order of their names."""
    photos.register_rare_formats()  # or it would undo what a guard's removal does
    for guard in sys.argv[2:]:
        GUARDS[guard]()
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG")
    outcome(buffer.getvalue())  # the first photo imports modules, which are no part of the cost of the others
    for path in sorted(Path(sys.argv[1]).iterdir()):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            decode(path, writer)
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            told = pipe.read()
        _, status = os.waitpid(child, 0)
        ended = json.dumps({"outcome": f"ended by {os.waitstatus_to_exitcode(status)}"})
        print(told.decode() or ended, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
