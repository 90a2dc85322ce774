"""Whatever is uploaded as a photo: it is one, or it ends in an error of the contract, soon and in little memory."""

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import chain
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from classifier.errors import ImageTooLarge, PhotoError, UnreadableImage, UnsupportedImage
from classifier.limits import Limits
from classifier.photos import FORMATS, decode
from classifier.services import Services
from classifier.uploads import PREFIX, synchronise
from conftest import ROOT, Bucket, Scale
from drawing import encoded, garment
from hostile_photos import Hostile, corpus, flips, too_large, truncations
from hostile_photos import photos as ordinary_photos
from local.aws import BUCKET
from photo_files import said_to_be

HERE = Path(__file__).parent
MOST_SECONDS, MOST_MEBIBYTES = 5, 512
LONGEST = 30_000  # bytes of what the fuzzer begins with, for it to be quick
CODES = {error.code for error in (ImageTooLarge, UnreadableImage, UnsupportedImage)}
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "functions"), "PYTHONWARNINGS": "ignore"}  # Pillow's are many

ENGINES = ["chance", *(["atheris"] if find_spec("atheris") else [])]

Record = Callable[[str, object], None]


@dataclass(frozen=True)
class Outcome:
    """What became of a file. Where its process was ended, the figures are unknown and count as too many."""

    outcome: str
    seconds: float = float("inf")
    mebibytes: float = float("inf")


def outcomes(files: Iterable[bytes], folder: Path, *statements: str) -> list[Outcome]:
    """Of each file, in a process of its own in which the statements are executed first."""
    folder.mkdir()
    for number, data in enumerate(files):
        (folder / f"{number:06}").write_bytes(data)
    command = [sys.executable, str(HERE / "decoder_process.py"), str(folder), *statements]
    told = subprocess.run(command, env=ENVIRONMENT, check=True, stdout=subprocess.PIPE, text=True).stdout
    return [Outcome(**json.loads(line)) for line in told.splitlines()]


@pytest.fixture(scope="module")
def light() -> list[tuple[Hostile, bytes]]:
    """What is soon drawn and soon decoded."""
    return [(hostile, hostile.draw()) for hostile in corpus() if not hostile.heavy]


def test_every_file_of_the_corpus_ends_as_it_has_to(
    scale: Scale, tmp_path: Path, record_property: Record, light: list[tuple[Hostile, bytes]]
) -> None:
    heavy = [hostile for hostile in corpus() if hostile.heavy and scale.whole]
    files = [hostile for hostile, _ in light] + heavy

    ends = outcomes(chain((data for _, data in light), (hostile.draw() for hostile in heavy)), tmp_path / "files")

    assert len(ends) == len(files)
    for hostile, end in zip(files, ends, strict=True):
        assert end.outcome == hostile.expected, hostile.name
        assert end.seconds < MOST_SECONDS, hostile.name
        assert end.mebibytes < MOST_MEBIBYTES, hostile.name
    record_property("files of the corpus", len(files))
    record_property("tenths of a second of the processor, at most", round(max(end.seconds for end in ends) * 10))
    record_property("mebibytes, at most", round(max(end.mebibytes for end in ends)))


def test_the_corpus_has_every_format_and_every_code() -> None:
    names = [hostile.name for hostile in corpus()]

    assert {hostile.expected for hostile in corpus()} == {*FORMATS, *CODES}
    assert len(set(names)) == len(names)


def test_what_is_cut_off_is_unreadable(scale: Scale, tmp_path: Path, record_property: Record) -> None:
    """But for files of several images, of which the first may be whole."""
    photos_ = list(ordinary_photos())[:: scale.of(1, short=5)]
    cut = [(photo, data) for photo in photos_ for data in truncations(photo)]

    ends = outcomes((data for _, data in cut), tmp_path / "files")

    for (photo, data), end in zip(cut, ends, strict=True):
        several = {photo.expected} if "animated" in photo.name or "several" in photo.name else set()
        assert end.outcome in {"unreadable_image", *several}, f"{photo.name}, {len(data)} bytes"
    record_property("files cut off", len(cut))


def test_whatever_bits_are_flipped_is_a_photo_or_an_error(
    scale: Scale, tmp_path: Path, record_property: Record
) -> None:
    photos_ = list(ordinary_photos())
    flipped = [(photo, data) for photo in photos_ for data in flips(photo, scale.of(100, short=1))]

    ends = outcomes((data for _, data in flipped), tmp_path / "files")

    for (photo, _), end in zip(flipped, ends, strict=True):
        assert end.outcome in {*FORMATS, *CODES}, photo.name
        assert end.seconds < MOST_SECONDS, photo.name
        assert end.mebibytes < MOST_MEBIBYTES, photo.name
    record_property("files with bits flipped", len(flipped))
    record_property("of these, still photos", sum(end.outcome in FORMATS for end in ends))


def test_a_phones_heic_of_48_tiles_looks_like_what_it_shows(scale: Scale) -> None:
    """As iPhones write them: 12 megapixels in tiles of 512 pixels a side, the outer ones cut off."""
    tile = scale.of(512, short=128)
    size = tile * 63 // 8, tile * 189 // 32
    shown = garment("t-shirt", size)
    data = encoded(shown, "HEIF", quality=60, tile_size=tile, enc_params={"preset": "ultrafast"})

    photo = decode(data, 224, Limits())

    assert data.count(b"hvc1") == 48
    assert (photo.format, photo.width, photo.height) == ("HEIF", *size)
    expected = np.asarray(shown.resize((224, 224), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(photo.pixels - expected).mean() < 3


def test_the_bytes_decide_whatever_the_name_says(bucket: Bucket, services: Services) -> None:
    keys = [f"{PREFIX}photo.{ending}" for ending in ("exe", *FORMATS[:-1])]
    for key, name in zip(keys, FORMATS, strict=True):
        bucket.put(key, encoded(Image.new("RGB", (64, 64)), name))

    records = [synchronise(BUCKET, key, services) for key in keys]

    assert [record.image.format for record in records if record and record.image] == list(FORMATS)


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The formats of which pixels are decoded."""
    formats: list[str] = []
    for name in FORMATS:
        opened = Image.open(io.BytesIO(encoded(Image.new("RGB", (64, 64)), name)))
        decoder = pillow_heif.HeifImage if name == "HEIF" else type(opened)
        monkeypatch.setattr(decoder, "load", lambda _, name=name: formats.append(name))
    return formats


def test_no_pixels_are_decoded_of_an_image_that_is_too_large(loaded: list[str]) -> None:
    for hostile in too_large():
        with pytest.raises(PhotoError):
            decode(hostile.draw(), 224, Limits())

    assert loaded == []


def test_without_the_limits_they_are(loaded: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Limits, "check_size", lambda *_: None)
    for name in FORMATS:
        image = encoded(Image.new("RGB", (64, 64)), name)
        with suppress(PhotoError):
            decode(image, 224, Limits(side=10))

    assert set(loaded) == set(FORMATS)


# What removes a guard, and the file that it then lets do harm: too long, or in too much memory.
QUICK_GUARDS = [
    ("Image._decompression_bomb_check = lambda *_, **__: None", "GIF, a frame to be disposed of"),
]
GUARDS = [
    *QUICK_GUARDS,
    ("structure._MOST_STRIP_BYTES = 10**12", "TIFF, one tile"),
    ("Limits.check_size = lambda *_: None", "PNG of 14000 × 14000"),
    ("photos._BAND_PIXELS = 10**9", "large PNG, 16 bit rgba"),
    ("structure._MOST_READS = 10**9", "GIF, crumbs of a comment"),
    ("structure._MOST_SEGMENTS = 10**9", "JPEG, crumbs between scans"),
    ("structure._MOST_SCANS = 10**9", "JPEG, 200 scans"),
    ("structure._MOST_EXIFS = structure._MOST_SEGMENTS = 10**9", "JPEG, crumbs of EXIF"),
    ("os.environ['LIBTIFF_JPEG_MAX_ALLOWED_SCAN_NUMBER'] = '100'", "TIFF, JPEG of 97 scans"),
    ("structure._MOST_VALUES = 10**9", "TIFF, crumbs of strips"),
    ("structure._MOST_STRIP_BYTES = 10**12", "TIFF, one strip"),
    ("structure._check_strips = lambda *_: None", "TIFF, tiles that stand out"),
    ("structure.check_boxes = lambda *_: None", "HEIF, a grid of large tiles"),
    ("structure.check_boxes = lambda *_: None", "HEIF, the middle of a large image"),
    ("pillow_heif.options.DECODE_THREADS = 4", "HEIF, four large tiles"),
    ("structure._MOST_PIXELS_WEBP = 10**9", "WEBP, 49 megapixels"),
    ("structure._MOST_PIXELS_AVIF = structure._MOST_AVIF_BYTES = 10**10", "AVIF, 49 megapixels"),
    ("structure._MOST_PIXELS_RARE_HEIF = 10**9", "HEIF, rare, 49 megapixels"),
    ("structure._MOST_PIXELS_RLE = 10**9", "BMP, run-length encoded, 50 megapixels"),
]


SLOW_SECONDS = 2  # of an attack: on a slower machine, or in a larger file, they are minutes


def test_without_a_guard_its_attack_succeeds(scale: Scale, tmp_path: Path, record_property: Record) -> None:
    """That the same file does no harm with all of them is what the test of the corpus says."""
    files = {hostile.name: hostile for hostile in corpus()}
    guards = GUARDS if scale.whole else QUICK_GUARDS
    for number, (without, name) in enumerate(guards):
        (end,) = outcomes([files[name].draw()], tmp_path / str(number), without)

        assert end.seconds > SLOW_SECONDS or end.mebibytes > MOST_MEBIBYTES, (without, end)
    record_property("guards removed", len(guards))


def test_an_avif_gets_so_much_memory_and_no_more(tmp_path: Path) -> None:
    """One of 4 megapixels that says it has 64 × 64. If it had 196, they would take 640 MB; off Linux they do."""
    data = said_to_be((64, 64), encoded(Image.new("RGB", (2048, 2048)), "AVIF"))

    (end,) = outcomes([data], tmp_path / "files", "structure._MOST_AVIF_BYTES = 2**20")

    assert decode(data, 224, Limits()).format == "AVIF"
    assert end.outcome == ("unreadable_image" if sys.platform == "linux" else "AVIF")


def fuzzed(engine: str, runs: int, files: list[bytes], folder: Path, *harm: str) -> subprocess.CompletedProcess[str]:
    """So many inputs, made of the files."""
    begin = folder / "photos"
    begin.mkdir(parents=True)
    for number, data in enumerate(files):
        (begin / f"{number:04}").write_bytes(data)
    command = [sys.executable, str(HERE / "fuzz_photos.py"), engine, str(runs), str(begin), *harm]
    return subprocess.run(command, env=ENVIRONMENT, check=False, stderr=subprocess.PIPE, text=True)


def test_no_input_of_a_fuzzer_does_harm(
    scale: Scale, tmp_path: Path, record_property: Record, light: list[tuple[Hostile, bytes]]
) -> None:
    files = [data for _, data in light if len(data) <= LONGEST]

    ended = fuzzed(ENGINES[-1] if scale.whole else "chance", scale.of(100_000, short=2_000), files, tmp_path)

    assert ended.returncode == 0, ended.stderr[-5000:]
    executed = re.findall(r"stat::number_of_executed_units: (\d+)", ended.stderr)
    record_property("inputs of the fuzzer", int(executed[0]))


HARMS = [
    "photos._open = lambda data, _: photos.Image.open(io.BytesIO(data))",  # its exceptions are caught no more
    "photos._squeeze = lambda *_: os.abort()",
    "photos._squeeze = lambda *_: setattr(photos, 'hoard', b'1' * 2**30) or photos.Image.new('RGB', (9, 9))",
    "photos._squeeze = lambda *_: time.sleep(60)",
]


def test_a_fuzzer_finds_harm(scale: Scale, tmp_path: Path) -> None:
    """A foreign exception, a crash, a gibibyte, a minute: each ends it badly."""
    files = [photo.draw() for photo in list(ordinary_photos())[:10]]
    harms = [(engine, harm) for engine in ENGINES for harm in HARMS]
    for number, (engine, harm) in enumerate(harms[: scale.of(len(harms), short=2)]):
        assert fuzzed(engine, 1_000, files, tmp_path / str(number), harm).returncode != 0, (engine, harm)
