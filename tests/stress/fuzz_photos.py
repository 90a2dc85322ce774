"""Decodes what chance makes of photos, until one does harm: raises a foreign exception, crashes, hangs, takes too much.

    python fuzz_photos.py atheris|chance RUNS FOLDER [STATEMENT …]

The folder holds the photos to begin with. atheris changes them in ways that reach more of the Python code of Pillow and
of `photos`; it has wheels for Linux on x86-64 alone, and elsewhere seeded chance has to do. The statements are executed
first, and do harm.
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

# A program's peak of memory is at first that of whoever started it; a fork begins anew.
if child := os.fork():
    sys.exit(abs(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])))

ENGINE = sys.argv[1]
if ENGINE == "atheris":
    import atheris

    with atheris.instrument_imports(include=["PIL", "pillow_heif", "classifier"]):
        from classifier import photos
        from classifier.errors import PhotoError
        from classifier.limits import Limits
else:
    from classifier import photos
    from classifier.errors import PhotoError
    from classifier.limits import Limits

SECONDS, MEBIBYTES = 5, 600  # of which 512 are for photos
MAXRSS_OF_A_MEBIBYTE = 2 ** (20 if sys.platform == "darwin" else 10)
LONGEST = 30_000  # bytes: as the longest of the photos to begin with
SIZE = 16  # a small square, since squeezing is not what is tried
LIMITS = Limits()
PNG_START = b"\x89PNG\r\n\x1a\n"


def decode(data: bytes) -> None:
    """End well for a photo and for an error of the contract, and for nothing else."""
    try:
        photo = photos.decode(data, SIZE, LIMITS)
    except PhotoError:
        return
    assert photo.pixels.shape == (SIZE, SIZE, 3)
    assert photo.width * photo.height <= LIMITS.pixels


def mended(data: bytes) -> bytes:
    """A PNG with the checksums that its chunks have to have, so that its parser goes on."""
    if not data.startswith(PNG_START):
        return data
    whole, position = bytearray(data), len(PNG_START)
    while position + 12 <= len(whole):
        end = position + 8 + int.from_bytes(whole[position : position + 4])
        whole[end : end + 4] = zlib.crc32(whole[position + 4 : end]).to_bytes(4)
        position = end + 4
    return bytes(whole)


def fuzz_with_atheris(runs: int, folder: Path) -> None:
    """Ends the process."""

    def change(data: bytes, longest: int, seed: int) -> bytes:
        changed = atheris.Mutate(data, longest)
        return mended(changed)[:longest] if seed % 2 else changed

    options = [
        f"-runs={runs}",
        "-seed=1",
        f"-timeout={SECONDS}",
        f"-rss_limit_mb={MEBIBYTES}",
        f"-max_len={LONGEST}",
        "-keep_seed=1",  # what is new in C does not show in Python
        f"-artifact_prefix={folder.parent}/",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *options, str(folder)], decode, custom_mutator=change)
    atheris.Fuzz()


def fuzz_by_chance(runs: int, folder: Path) -> None:
    """The same, without looking at what is reached."""
    random = Random(1)
    files = [file.read_bytes() for file in sorted(folder.iterdir())]
    for number in range(runs):
        data = files[number] if number < len(files) else changed_by_chance(random.choice(files), files, random)
        signal.alarm(SECONDS)  # ends the process
        decode(data)
        if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > MEBIBYTES * MAXRSS_OF_A_MEBIBYTE:
            raise MemoryError
    signal.alarm(0)
    print(f"stat::number_of_executed_units: {runs}", file=sys.stderr)  # noqa: T201


def changed_by_chance(data: bytes, files: list[bytes], random: Random) -> bytes:
    """A few bytes replaced, a piece repeated, left out, or taken from another file."""
    changed = bytearray(data)
    for _ in range(random.randint(1, 4)):
        start = random.randrange(len(changed) + 1)
        end = min(len(changed), start + random.choice([1, 2, 4, 8, 100]))
        other = random.choice(files)
        changed[start:end] = random.choice(
            [random.randbytes(end - start), changed[start:end] * 2, b"", other[start:end], b"\xff" * (end - start)]
        )
    return mended(bytes(changed)) if random.random() < 0.5 else bytes(changed)


if __name__ == "__main__":
    for statement in sys.argv[4:]:
        exec(statement, {"io": io, "os": os, "photos": photos, "time": time})  # noqa: S102 - the test's own
    fuzz = fuzz_with_atheris if ENGINE == "atheris" else fuzz_by_chance
    fuzz(int(sys.argv[2]), Path(sys.argv[3]))
