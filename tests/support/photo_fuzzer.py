"""Makes files that chance makes of photos, with a fixed seed."""

import zlib
from collections.abc import Iterator, Sequence
from random import Random

from tests.support.photo_files import PNG_START


def fuzz(files: Sequence[bytes], count: int) -> Iterator[bytes]:
    """Yield so many changed files."""
    random = Random(1)
    for _ in range(count):
        yield change_by_chance(random.choice(files), files, random)


def change_by_chance(data: bytes, files: Sequence[bytes], random: Random) -> bytes:
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
