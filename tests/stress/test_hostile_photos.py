"""Every file becomes a photo or an error of the contract, in limited time and memory, and harms no other photo."""

import math
import os
import platform
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from classifier.decoders import MAX_BYTES, MAX_CPU_SECONDS, Decoders
from classifier.errors import ImageTooLarge, PhotoError, UnreadableImage, UnsupportedImage
from classifier.keys import object_key
from classifier.limits import Limits
from classifier.pixels import FORMATS, Photo
from classifier.reconcile import reconcile
from classifier.services import Services
from local.aws import BUCKET
from tests.support.bucket import Bucket
from tests.support.drawings import encoded, garment
from tests.support.harmful_decoder import PROGRAM
from tests.support.hostile_photos import TOO_COSTLY, Hostile, corpus, flips, tiled_heic, too_large
from tests.support.hostile_photos import photos as ordinary_photos
from tests.support.paths import ROOT
from tests.support.photo_fuzzer import fuzz
from tests.support.processes import children, read_mebibytes
from tests.support.scale import Scale

SIDE = 224
MEBIBYTE = 2**20
# The kernel limits reserved memory. Pages of libraries that a process reads for the first time come on top.
MAX_MEBIBYTES = MAX_BYTES / MEBIBYTE + 20
MAX_MEBIBYTES_OF_FUNCTION = 900
MAX_SECONDS = MAX_CPU_SECONDS + 0.3  # the kernel looks at the clock a few times a second
MAX_FUZZER_BYTES = 30_000  # of a file that the fuzzer begins with, so that it is fast
CODES = {error.code for error in (ImageTooLarge, UnreadableImage, UnsupportedImage)}
OUTCOMES = {TOO_COSTLY: {ImageTooLarge.code, UnreadableImage.code}}  # others: one of that name
# After each file, this photo is decoded. It needs the libraries of all formats, so the process has them loaded.
NEXT = encoded(garment("pants", (64, 48)), "WEBP")
SHOWN_BY_HALF = ("animated", "several", "progressive")  # the first half can hold a picture
NEED_THEIR_END = ("TIFF", "HEIF, transparent", "HEIF, tiles", "AVIF")

Record = Callable[[str, object], None]

pytestmark = pytest.mark.skipif(platform.system() != "Linux", reason="only Linux's kernel limits other processes")


@dataclass(frozen=True)
class Outcome:
    """What became of a file, and what it cost."""

    outcome: str
    cpu_seconds: float
    seconds: float
    mebibytes: float | None  # unknown if the process ended


class Meter:
    """Decodes files one after another in a process that is measured, and checks the photo after each."""

    def __init__(self) -> None:
        """Decode a first photo, which starts the process."""
        self._others = children()
        self._decoders = Decoders(1)
        self._expected = decode(self._decoders, NEXT)
        self._descriptors = count_descriptors()

    def measure(self, data: bytes) -> Outcome:
        """Decode the file. Fail if anything but an error of the contract leaves the decoders, or if it costs more."""
        (pid,) = children() - self._others
        Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak begins anew: proc_pid_clear_refs(5)
        # What the process has: its resident files, and all its allocations, those that it has not touched too.
        before = read_mebibytes(pid, "RssFile") + read_mebibytes(pid, "VmData")
        cpu_before, started = self._cpu_seconds(), time.monotonic()
        outcome = find_outcome(self._decoders, data)
        seconds, cpu_seconds = time.monotonic() - started, self._cpu_seconds() - cpu_before
        mebibytes = max(0, read_mebibytes(pid, "VmHWM") - before) if pid in children() else None
        assert cpu_seconds <= MAX_SECONDS
        assert mebibytes is None or mebibytes <= MAX_MEBIBYTES
        self._check_next_photo()
        return Outcome(outcome, cpu_seconds, seconds, mebibytes)

    def _check_next_photo(self) -> None:
        assert decode(self._decoders, NEXT) == self._expected
        assert len(children() - self._others) == 1
        assert count_descriptors() <= self._descriptors  # garbage of other tests may have been collected

    def _cpu_seconds(self) -> float:
        """Return the processor time of all children, those that have ended and those that have not."""
        times = os.times()
        running = sum(time.clock_gettime(~pid << 3 | 2) for pid in children() - self._others)
        return times.children_user + times.children_system + running


def count_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def decode(decoders: Decoders, data: bytes) -> Photo:
    return decoders.decode(data, SIDE, Limits())


def find_outcome(decoders: Decoders, data: bytes) -> str:
    """Return the photo's format, or the code of the error. Raise any other error."""
    try:
        photo = decode(decoders, data)
    except PhotoError as error:
        return error.code
    assert photo.pixels.shape == (SIDE, SIDE, 3)
    assert photo.width * photo.height <= Limits().pixels
    return photo.format


def record_costs(found: Iterable[Outcome], kind: str, record_property: Record) -> None:
    """Record how many files there were, how they ended, and what they cost at most."""
    outcomes = list(found)
    record_property(f"{kind}: number", len(outcomes))
    for name, count in Counter("a photo" if each.outcome in FORMATS else each.outcome for each in outcomes).items():
        record_property(f"{kind}: {name}", count)
    record_property(f"{kind}: the process was ended", sum(each.mebibytes is None for each in outcomes))
    most = max(each.cpu_seconds for each in outcomes), max(each.seconds for each in outcomes)
    record_property(f"{kind}: milliseconds of processor time, at most", round(1000 * most[0]))
    record_property(f"{kind}: milliseconds, at most", round(1000 * most[1]))
    mebibytes = max(each.mebibytes or 0 for each in outcomes)
    record_property(f"{kind}: mebibytes of those whose process lived on, at most", math.ceil(mebibytes))


@pytest.fixture
def meter() -> Meter:
    return Meter()


@pytest.fixture(scope="module")
def light() -> list[tuple[Hostile, bytes]]:
    """The files that take little time to draw and to decode."""
    return [(hostile, hostile.draw()) for hostile in corpus() if not hostile.heavy]


def drawn_corpus(scale: Scale, light: list[tuple[Hostile, bytes]]) -> Iterator[tuple[Hostile, bytes]]:
    """Yield all files; in the short run, the light ones."""
    return chain(light, ((hostile, hostile.draw()) for hostile in corpus() if hostile.heavy and scale.whole))


def test_every_file_of_the_corpus_has_the_expected_outcome(
    scale: Scale, meter: Meter, record_property: Record, light: list[tuple[Hostile, bytes]]
) -> None:
    outcomes, wrong = [], []
    for hostile, data in drawn_corpus(scale, light):
        outcomes.append(meter.measure(data))
        if outcomes[-1].outcome not in OUTCOMES.get(hostile.expected, {hostile.expected}):
            wrong.append((hostile.name, hostile.expected, outcomes[-1]))

    assert wrong == []
    record_costs(outcomes, "corpus", record_property)


def test_the_whole_function_takes_less_than_900_mebibytes_for_any_file(
    scale: Scale, tmp_path: Path, record_property: Record, light: list[tuple[Hostile, bytes]]
) -> None:
    files = []
    for number, (_, data) in enumerate(drawn_corpus(scale, light)):
        files.append(tmp_path / str(number))
        files[-1].write_bytes(data)

    done = subprocess.run(
        [sys.executable, "-m", "tests.support.function_memory", *files],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{ROOT / 'functions'}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=True,
    )

    function, decoder = map(float, done.stdout.split())
    assert function + decoder < MAX_MEBIBYTES_OF_FUNCTION
    record_property("the function without the decoding process: mebibytes, at most", math.ceil(function))
    record_property("the decoding process: mebibytes, at most", math.ceil(decoder))


def test_the_corpus_has_every_format_and_every_code() -> None:
    names = [hostile.name for hostile in corpus()]

    assert {hostile.expected for hostile in corpus()} == {*FORMATS, *CODES, TOO_COSTLY}
    assert len(set(names)) == len(names)


def test_a_file_that_states_too_many_pixels_is_refused_before_they_are_decoded(meter: Meter) -> None:
    for hostile in too_large():
        found = meter.measure(hostile.draw())

        assert found.cpu_seconds < 0.1, hostile.name
        assert found.mebibytes is not None, hostile.name
        assert found.mebibytes < 20, hostile.name


def test_a_photo_may_lack_its_last_tenth_but_not_its_half(scale: Scale, meter: Meter, record_property: Record) -> None:
    photos = list(ordinary_photos((400, 300)))[:: scale.of(1, short=3)]
    for photo in photos:
        data = photo.draw()
        needs_its_end = any(form in photo.name for form in NEED_THEIR_END)
        for missing in (len(data) // 100, len(data) // 20, len(data) // 10):
            found = meter.measure(data[: len(data) - missing])
            allowed = {photo.expected, UnreadableImage.code} if needs_its_end else {photo.expected}
            assert found.outcome in allowed, (photo.name, missing)
        half = meter.measure(data[: len(data) // 2])
        assert half.outcome in CODES or any(form in photo.name for form in SHOWN_BY_HALF), photo.name
    record_property("truncated files", 4 * len(photos))


def test_a_file_with_flipped_bits_is_a_photo_or_an_error(scale: Scale, meter: Meter, record_property: Record) -> None:
    files = (data for photo in ordinary_photos() for data in flips(photo, scale.of(100, short=1)))

    outcomes = [meter.measure(data) for data in files]

    assert {found.outcome for found in outcomes} <= {*FORMATS, *CODES}
    record_costs(outcomes, "flipped bits", record_property)


def test_no_input_of_the_fuzzer_does_harm(
    scale: Scale, meter: Meter, record_property: Record, light: list[tuple[Hostile, bytes]]
) -> None:
    files = [data for _, data in light if 0 < len(data) <= MAX_FUZZER_BYTES]

    outcomes = [meter.measure(data) for data in fuzz(files, scale.of(100_000, short=1_000))]

    assert {found.outcome for found in outcomes} <= {*FORMATS, *CODES}
    record_costs(outcomes, "fuzzer", record_property)


def test_a_heic_of_48_tiles_is_decoded_as_it_was_drawn(scale: Scale) -> None:
    """iPhones write such files: 12 megapixels in tiles of 512 pixels a side, the outer ones cut off."""
    tile = scale.of(512, short=128)
    size = tile * 63 // 8, tile * 189 // 32
    shown = garment("t-shirt", size)
    data = encoded(shown, "HEIF", quality=60, tile_size=tile, enc_params={"preset": "ultrafast"})

    photo = decode(Decoders(1), data)

    assert data.count(b"hvc1") == 48
    assert (photo.format, photo.width, photo.height) == ("HEIF", *size)
    expected = np.asarray(shown.resize((SIDE, SIDE), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(photo.pixels - expected).mean() < 3


def test_the_format_depends_on_the_bytes_and_not_on_the_name(bucket: Bucket, services: Services) -> None:
    keys = [object_key(f"photo.{ending}") for ending in ("exe", *FORMATS[:-1])]
    for key, name in zip(keys, FORMATS, strict=True):
        bucket.put(key, encoded(Image.new("RGB", (64, 64)), name))

    records = [reconcile(BUCKET, key, services) for key in keys]

    assert [record.image.format for record in records if record and record.image] == list(FORMATS)


def heavy_photos(scale: Scale) -> Iterator[bytes]:
    """Yield twelve photos that take about as much time and memory as any; in the short run, small ones."""
    divisor = scale.of(1, short=8)

    def scaled(width: int, height: int) -> tuple[int, int]:
        return width // divisor, height // divisor

    transparent = garment("t-shirt", scaled(5400, 5400))
    transparent.putalpha(Image.linear_gradient("L").resize(transparent.size))
    yield from [encoded(transparent, "AVIF", speed=10)] * 3
    yield from [encoded(garment("t-shirt", scaled(5540, 4150)), "WEBP", method=0)] * 3
    yield from [tiled_heic(16 // divisor, 12, (8064 // divisor, 6048))] * 2
    yield from [encoded(garment("pants", scaled(8660, 5770)), "JPEG")] * 2
    yield from [encoded(garment("pants", scaled(8000, 6000)), "PNG", compress_level=1)] * 2


def decode_at_once(decoders: Decoders, files: Iterable[bytes]) -> list[str]:
    """Return the outcomes of the files, which as many threads decode as a function with two processors has."""
    with ThreadPoolExecutor(6) as pool:
        return list(pool.map(lambda data: find_outcome(decoders, data), files))


def test_twelve_heavy_photos_at_once_are_all_decoded(scale: Scale, record_property: Record) -> None:
    photos, rounds, seconds = list(heavy_photos(scale)), scale.of(10, short=1), []
    decoders = Decoders(2)
    for _ in range(rounds):
        started = time.monotonic()

        assert decode_at_once(decoders, photos) == [
            *["AVIF"] * 3,
            *["WEBP"] * 3,
            *["HEIF"] * 2,
            "JPEG",
            "JPEG",
            "PNG",
            "PNG",
        ]

        seconds.append(time.monotonic() - started)
    record_property("twelve heavy photos: rounds", rounds)
    record_property("twelve heavy photos: milliseconds, at most", round(1000 * max(seconds)))


def test_a_hostile_photo_among_heavy_ones_fails_alone(scale: Scale, record_property: Record) -> None:
    """One that loops, takes memory or crashes its decoder."""
    photos, rounds = list(heavy_photos(scale)), scale.of(10, short=1)
    decoders = Decoders(2, PROGRAM)
    for number in range(rounds):
        harm = [b"allocate", b"loop", b"crash"][number % 3]

        found = decode_at_once(decoders, [*photos[:number], harm, *photos[number:]])

        assert found.pop(number) in CODES
        assert set(found) <= set(FORMATS)
    record_property("a hostile photo among twelve heavy ones: rounds", rounds)
