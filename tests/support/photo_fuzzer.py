"""Decodes files that chance makes of photos, until one does harm: a foreign exception, a crash, a hang, much memory.

    python -m tests.support.photo_fuzzer atheris|chance RUNS FOLDER [HARM]

FOLDER holds the photos to begin with. atheris changes them in ways that reach more of the Python code of Pillow and of
`photos`. It has wheels for Linux on x86-64 alone; elsewhere a seeded random generator changes them. HARM names one of
`HARMS`, which every file then does.
"""

import io
import os
import resource
import signal
import sys
import time
import zlib
from pathlib import Path
from random import Random
from typing import Any

# A process begins with the peak memory of the one that started it. A fork begins anew.
if child := os.fork():
    sys.exit(abs(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])))

ENGINE = sys.argv[1]
if ENGINE == "atheris":
    import atheris

    with atheris.instrument_imports(include=["PIL", "pillow_heif", "classifier"]):
        from classifier import photos
        from classifier.errors import PhotoError
        from classifier.limits import Limits
    from PIL import Image
else:
    from PIL import Image

    from classifier import photos
    from classifier.errors import PhotoError
    from classifier.limits import Limits

MAX_SECONDS, MAX_MEBIBYTES = 5, 600  # of which 512 are for photos
MAXRSS_PER_MEBIBYTE = 2 ** (20 if sys.platform == "darwin" else 10)
MAX_BYTES = 30_000  # as many as the longest photo to begin with has
SIZE = 16  # a small square, since the resizing is not what is tested
LIMITS = Limits()
PNG_START = b"\x89PNG\r\n\x1a\n"


def let_exceptions_through(data: bytes, size: int, limits: Limits) -> photos.Photo:
    Image.open(io.BytesIO(data))
    return DECODE(data, size, limits)


def crash(*_: object) -> None:
    os.abort()


def hoard(*_: object) -> None:
    hoarded.append(b"1" * 2**30)
    raise PhotoError


def hang(*_: object) -> None:
    time.sleep(60)


DECODE = photos.decode
hoarded: list[bytes] = []
HARMS: dict[str, Any] = {"exceptions": let_exceptions_through, "crash": crash, "memory": hoard, "hang": hang}


def decode(data: bytes) -> None:
    """Decode the data; raise anything but an error of the contract."""
    try:
        photo = photos.decode(data, SIZE, LIMITS)
    except PhotoError:
        return
    assert photo.pixels.shape == (SIZE, SIZE, 3)
    assert photo.width * photo.height <= LIMITS.pixels


def with_checksums(data: bytes) -> bytes:
    """Return a PNG with the right checksums of its chunks, so that its parser goes on; other data as it is."""
    if not data.startswith(PNG_START):
        return data
    whole, position = bytearray(data), len(PNG_START)
    while position + 12 <= len(whole):
        end = position + 8 + int.from_bytes(whole[position : position + 4])
        whole[end : end + 4] = zlib.crc32(whole[position + 4 : end]).to_bytes(4)
        position = end + 4
    return bytes(whole)


def fuzz_with_atheris(runs: int, folder: Path) -> None:
    """Decode files that atheris makes, and exit."""

    def change(data: bytes, max_bytes: int, seed: int) -> bytes:
        changed = atheris.Mutate(data, max_bytes)
        return with_checksums(changed)[:max_bytes] if seed % 2 else changed

    options = [
        f"-runs={runs}",
        "-seed=1",
        f"-timeout={MAX_SECONDS}",
        f"-rss_limit_mb={MAX_MEBIBYTES}",
        f"-max_len={MAX_BYTES}",
        "-keep_seed=1",  # new paths in C do not show in Python
        f"-artifact_prefix={folder.parent}/",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *options, str(folder)], decode, custom_mutator=change)
    atheris.Fuzz()


def fuzz_by_chance(runs: int, folder: Path) -> None:
    """Decode files that a seeded generator makes, without regard to the code that they reach."""
    random = Random(1)
    files = [file.read_bytes() for file in sorted(folder.iterdir())]
    for number in range(runs):
        data = files[number] if number < len(files) else change_by_chance(random.choice(files), files, random)
        signal.alarm(MAX_SECONDS)  # ends the process
        decode(data)
        if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > MAX_MEBIBYTES * MAXRSS_PER_MEBIBYTE:
            raise MemoryError
    signal.alarm(0)
    print(f"stat::number_of_executed_units: {runs}", file=sys.stderr)  # noqa: T201 - as atheris says it


def change_by_chance(data: bytes, files: list[bytes], random: Random) -> bytes:
    """Replace a few bytes, repeat a piece, leave one out, or take one from another file."""
    changed = bytearray(data)
    for _ in range(random.randint(1, 4)):
        start = random.randrange(len(changed) + 1)
        end = min(len(changed), start + random.choice([1, 2, 4, 8, 100]))
        other = random.choice(files)
        changed[start:end] = random.choice(
            [random.randbytes(end - start), changed[start:end] * 2, b"", other[start:end], b"\xff" * (end - start)]
        )
    return with_checksums(bytes(changed)) if random.random() < 0.5 else bytes(changed)


if __name__ == "__main__":
    for harm in sys.argv[4:]:
        photos.decode = HARMS[harm]
    fuzz = fuzz_with_atheris if ENGINE == "atheris" else fuzz_by_chance
    fuzz(int(sys.argv[2]), Path(sys.argv[3]))
