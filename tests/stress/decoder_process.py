"""Decodes files, each in a process of its own, and prints what becomes of it: a line of JSON for each.

    python decoder_process.py FOLDER [STATEMENT …]

A decoder that crashes, hangs or fills the memory so takes nobody with it. The statements are executed first; they
remove a guard.
"""

import io
import json
import os
import resource
import signal
import sys
import time
from pathlib import Path

import pillow_heif
from PIL import Image

from classifier import photos, structure
from classifier.errors import PhotoError
from classifier.limits import Limits

SIZE = 224
SECONDS = 6  # of the processor, until a decoder counts as hanging
BYTES = 4 * 2**30  # for the sake of the machine
WITHIN_REACH = (Image, Limits, os, photos, pillow_heif, structure)


def outcome(data: bytes) -> str:
    """The photo's format, or the error's code; any other exception is named as it is."""
    try:
        photo = photos.decode(data, SIZE, Limits())
    except PhotoError as error:
        return error.code
    except BaseException as error:
        return f"raised {error!r}"
    assert photo.pixels.shape == (SIZE, SIZE, 3)
    return photo.format


def peak() -> float:
    """Mebibytes of this process at most, so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def decode(path: Path, output: int) -> None:
    """In the file's own process."""
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    signal.alarm(20 * SECONDS)  # for what waits, and uses no processor
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
    before, started = peak(), time.process_time()
    result = outcome(path.read_bytes())
    measured = {"outcome": result, "seconds": time.process_time() - started, "mebibytes": peak() - before}
    os.write(output, json.dumps(measured).encode())


def main() -> None:
    """One file after the other, in the order of their names."""
    photos.register_rare_formats()  # or it would undo what a statement does
    for statement in sys.argv[2:]:
        exec(statement, {thing.__name__.rpartition(".")[2]: thing for thing in WITHIN_REACH})  # noqa: S102 - the test's own
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG")
    outcome(buffer.getvalue())  # what is imported at the first photo is no part of the others' cost
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
