"""Every file is decoded, or ends in an error of the contract, in little time and little memory."""

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
from classifier.keys import object_key
from classifier.limits import Limits
from classifier.photos import FORMATS, decode
from classifier.reconcile import reconcile
from classifier.services import Services
from local.aws import BUCKET
from tests.support.bucket import Bucket
from tests.support.drawings import encoded, garment
from tests.support.hostile_photos import Hostile, corpus, flips, too_large, truncations
from tests.support.hostile_photos import photos as ordinary_photos
from tests.support.paths import ROOT
from tests.support.photo_files import with_stated_size
from tests.support.scale import Scale

MAX_SECONDS, MAX_MEBIBYTES = 5, 512
MAX_FUZZER_BYTES = 30_000  # of a file that the fuzzer begins with, so that it is fast
CODES = {error.code for error in (ImageTooLarge, UnreadableImage, UnsupportedImage)}
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "functions"), "PYTHONWARNINGS": "ignore"}  # Pillow's are many

ENGINES = ["chance", *(["atheris"] if find_spec("atheris") else [])]

Record = Callable[[str, object], None]


@dataclass(frozen=True)
class Outcome:
    """The outcome of a file. The figures are infinite if its process was killed."""

    outcome: str
    seconds: float = float("inf")
    mebibytes: float = float("inf")


def decode_files(files: Iterable[bytes], folder: Path, *guards: str) -> list[Outcome]:
    """Decode each file in a process of its own, without these guards. Return the outcomes."""
    folder.mkdir()
    for number, data in enumerate(files):
        (folder / f"{number:06}").write_bytes(data)
    command = [sys.executable, "-m", "tests.support.decoder_process", str(folder), *guards]
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, check=True, stdout=subprocess.PIPE, text=True)
    return [Outcome(**json.loads(line)) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def light() -> list[tuple[Hostile, bytes]]:
    """The files that take little time to draw and to decode."""
    return [(hostile, hostile.draw()) for hostile in corpus() if not hostile.heavy]


def test_every_file_of_the_corpus_has_the_expected_outcome(
    scale: Scale, tmp_path: Path, record_property: Record, light: list[tuple[Hostile, bytes]]
) -> None:
    heavy = [hostile for hostile in corpus() if hostile.heavy and scale.whole]
    files = [hostile for hostile, _ in light] + heavy

    contents = chain((data for _, data in light), (hostile.draw() for hostile in heavy))
    outcomes = decode_files(contents, tmp_path / "files")

    for hostile, found in zip(files, outcomes, strict=True):
        assert found.outcome == hostile.expected, hostile.name
        assert found.seconds < MAX_SECONDS, hostile.name
        assert found.mebibytes < MAX_MEBIBYTES, hostile.name
    record_property("files of the corpus", len(files))
    record_property(
        "tenths of a second of processor time, at most", round(max(found.seconds for found in outcomes) * 10)
    )
    record_property("mebibytes, at most", round(max(found.mebibytes for found in outcomes)))


def test_the_corpus_has_every_format_and_every_code() -> None:
    names = [hostile.name for hostile in corpus()]

    assert {hostile.expected for hostile in corpus()} == {*FORMATS, *CODES}
    assert len(set(names)) == len(names)


def test_a_truncated_file_is_unreadable(scale: Scale, tmp_path: Path, record_property: Record) -> None:
    """A file of several images may be readable, since its first image may be complete."""
    photos_ = list(ordinary_photos())[:: scale.of(1, short=5)]
    cut = [(photo, data) for photo in photos_ for data in truncations(photo)]

    outcomes = decode_files((data for _, data in cut), tmp_path / "files")

    for (photo, data), found in zip(cut, outcomes, strict=True):
        several = {photo.expected} if "animated" in photo.name or "several" in photo.name else set()
        assert found.outcome in {"unreadable_image", *several}, f"{photo.name}, {len(data)} bytes"
    record_property("files cut off", len(cut))


def test_a_file_with_flipped_bits_is_a_photo_or_an_error(scale: Scale, tmp_path: Path, record_property: Record) -> None:
    photos_ = list(ordinary_photos())
    flipped = [(photo, data) for photo in photos_ for data in flips(photo, scale.of(100, short=1))]

    outcomes = decode_files((data for _, data in flipped), tmp_path / "files")

    for (photo, _), found in zip(flipped, outcomes, strict=True):
        assert found.outcome in {*FORMATS, *CODES}, photo.name
        assert found.seconds < MAX_SECONDS, photo.name
        assert found.mebibytes < MAX_MEBIBYTES, photo.name
    record_property("files with bits flipped", len(flipped))
    record_property("of these, still photos", sum(found.outcome in FORMATS for found in outcomes))


def test_a_heic_of_48_tiles_is_decoded_as_it_was_drawn(scale: Scale) -> None:
    """iPhones write such files: 12 megapixels in tiles of 512 pixels a side, the outer ones cut off."""
    tile = scale.of(512, short=128)
    size = tile * 63 // 8, tile * 189 // 32
    shown = garment("t-shirt", size)
    data = encoded(shown, "HEIF", quality=60, tile_size=tile, enc_params={"preset": "ultrafast"})

    photo = decode(data, 224, Limits())

    assert data.count(b"hvc1") == 48
    assert (photo.format, photo.width, photo.height) == ("HEIF", *size)
    expected = np.asarray(shown.resize((224, 224), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(photo.pixels - expected).mean() < 3


def test_the_format_depends_on_the_bytes_and_not_on_the_name(bucket: Bucket, services: Services) -> None:
    keys = [object_key(f"photo.{ending}") for ending in ("exe", *FORMATS[:-1])]
    for key, name in zip(keys, FORMATS, strict=True):
        bucket.put(key, encoded(Image.new("RGB", (64, 64)), name))

    records = [reconcile(BUCKET, key, services) for key in keys]

    assert [record.image.format for record in records if record and record.image] == list(FORMATS)


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The formats of the images whose pixels are decoded."""
    formats: list[str] = []
    for name in FORMATS:
        opened = Image.open(io.BytesIO(encoded(Image.new("RGB", (64, 64)), name)))
        decoder = pillow_heif.HeifImage if name == "HEIF" else type(opened)
        monkeypatch.setattr(decoder, "load", lambda _, name=name: formats.append(name))
    return formats


def test_the_pixels_of_an_image_that_is_too_large_are_not_decoded(loaded: list[str]) -> None:
    for hostile in too_large():
        with pytest.raises(PhotoError):
            decode(hostile.draw(), 224, Limits())

    assert loaded == []


def test_the_pixels_of_every_format_are_decoded_without_the_limits(
    loaded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Limits, "check_size", lambda *_: None)
    for name in FORMATS:
        image = encoded(Image.new("RGB", (64, 64)), name)
        with suppress(PhotoError):
            decode(image, 224, Limits(side=10))

    assert set(loaded) == set(FORMATS)


# Guards (of `decoder_process.GUARDS`), each with a file that takes too long or too much memory without it.
QUICK_GUARDS = [("pixels of a frame", "GIF, a large frame that is disposed of")]
GUARDS = [
    *QUICK_GUARDS,
    ("strip bytes", "TIFF, one tile"),
    ("pixels", "PNG of 14000 × 14000"),
    ("bands", "large PNG, 16 bit rgba"),
    ("reads", "GIF, a comment in tiny blocks"),
    ("segments", "JPEG, empty comments between scans"),
    ("scans", "JPEG, 200 scans"),
    ("EXIF segments", "JPEG, EXIF segments"),
    ("scans in a TIFF", "TIFF, JPEG of 97 scans"),
    ("values", "TIFF, tiny strips"),
    ("strip bytes", "TIFF, one strip"),
    ("strips", "TIFF, tiles that stick out of the image"),
    ("boxes", "HEIF, a grid of large tiles"),
    ("boxes", "HEIF, the middle of a large image"),
    ("one thread", "HEIF, four large tiles"),
    ("WebP pixels", "WEBP, 49 megapixels"),
    ("AVIF pixels", "AVIF, 49 megapixels"),
    ("rare HEIF pixels", "HEIF, rare, 49 megapixels"),
    ("run-length encoded BMP pixels", "BMP, run-length encoded, 50 megapixels"),
]
SLOW_SECONDS = 2  # of an attack; on a slower machine or in a larger file, these are minutes


def test_an_attack_succeeds_without_its_guard(scale: Scale, tmp_path: Path, record_property: Record) -> None:
    """The test of the corpus shows that the same file does no harm with all guards."""
    files = {hostile.name: hostile for hostile in corpus()}
    guards = GUARDS if scale.whole else QUICK_GUARDS
    for number, (guard, name) in enumerate(guards):
        (found,) = decode_files([files[name].draw()], tmp_path / str(number), guard)

        assert found.seconds > SLOW_SECONDS or found.mebibytes > MAX_MEBIBYTES, (guard, found)
    record_property("guards removed", len(guards))


def test_the_memory_of_an_avif_is_limited(tmp_path: Path) -> None:
    """This one has 4 megapixels, and states 64 × 64. With 196 megapixels it would take 640 MB, as it does off Linux."""
    data = with_stated_size((64, 64), encoded(Image.new("RGB", (2048, 2048)), "AVIF"))

    (found,) = decode_files([data], tmp_path / "files", "most AVIF bytes")

    assert decode(data, 224, Limits()).format == "AVIF"
    assert found.outcome == ("unreadable_image" if sys.platform == "linux" else "AVIF")


def fuzz(engine: str, runs: int, files: list[bytes], folder: Path, *harm: str) -> subprocess.CompletedProcess[str]:
    """Run the fuzzer, which makes so many inputs from the files."""
    photos = folder / "photos"
    photos.mkdir(parents=True)
    for number, data in enumerate(files):
        (photos / f"{number:04}").write_bytes(data)
    command = [sys.executable, "-m", "tests.support.photo_fuzzer", engine, str(runs), str(photos), *harm]
    return subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, check=False, stderr=subprocess.PIPE, text=True)


def test_no_input_of_the_fuzzer_does_harm(
    scale: Scale, tmp_path: Path, record_property: Record, light: list[tuple[Hostile, bytes]]
) -> None:
    files = [data for _, data in light if len(data) <= MAX_FUZZER_BYTES]

    done = fuzz(ENGINES[-1] if scale.whole else "chance", scale.of(100_000, short=2_000), files, tmp_path)

    assert done.returncode == 0, done.stderr[-5000:]
    executed = re.findall(r"stat::number_of_executed_units: (\d+)", done.stderr)
    record_property("inputs of the fuzzer", int(executed[0]))


def test_the_fuzzer_fails_if_an_input_does_harm(scale: Scale, tmp_path: Path) -> None:
    files = [photo.draw() for photo in list(ordinary_photos())[:10]]
    cases = [(engine, harm) for engine in ENGINES for harm in ("exceptions", "crash", "memory", "hang")]
    for number, (engine, harm) in enumerate(cases[: scale.of(len(cases), short=2)]):
        assert fuzz(engine, 1_000, files, tmp_path / str(number), harm).returncode != 0, (engine, harm)
