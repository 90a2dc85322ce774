"""The network sees of a photo what Chromium shows of it. `PIXELS=folder make test-browser` compares more files."""

import base64
import io
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page

from classifier.errors import PhotoError
from classifier.limits import Limits
from classifier.photos import decode
from tests.support.browser_corpus import corpus, others

SIDE = 224
MAX_DIFFERENCE = 3  # of 255, in the mean. The filters by which Chromium and Pillow reduce a picture account for 1.
FOLDER = Path(os.environ.get("PIXELS", "none"))  # of more files
CELL = 4  # pixels a side. The filters change single pixels of a fine texture, but not the mean of a few.

# Files by which the two differ, and why it is right that they do
EXCEPTIONS = {
    "WEBP, *cut by *": "Chromium shows nothing of it, but the last tenth may be missing.",
    "AVIF, cut by *": "Chromium shows nothing of it, but the last tenth may be missing.",
    "GIF, cut by *": "Chromium repeats the lines above a missing one, which is white for the network.",
    "PNG, interlaced cut by *": "The missing lines are white. The filters mix them with the others differently.",
    "PNG, bilevel dithered": "The filters mix black and white pixels differently.",
    "AVIF, unfit profile *": "Chromium refuses it, but metadata are no reason to refuse a photo.",
    "PNG, code points of YCbCr": "Chromium refuses it, but metadata are no reason to refuse a photo.",
    "PNG, PQ with its *": "The network's brightest light is always 1000 cd/m².",
    "PNG, animated with a small first frame": "Chromium leaves the rest empty. The network gets the default image.",
    "PNG, animated without its frames": "Chromium waits for them. The network gets the default image.",
    "BMP, run-length encoded with a gap": "Chromium leaves the gap empty. Pillow fills it with the first colour.",
}
# Those of Chromium's versions before 156, and from then on
EXCEPTIONS_BEFORE_156 = {
    f"{name}, damaged profile without its last byte": "This version applies it. Later ones do not."
    for name in ("JPEG", "PNG", "WEBP", "AVIF")
}
EXCEPTIONS_SINCE_156 = {
    "AVIF, damaged profile without its last byte": EXCEPTIONS["AVIF, unfit profile *"],
    "AVIF, transparent*": "Chromium stretches the alpha channel, as if it had the limited range of video.",
    "AVIF, animated": "Chromium stretches the colours, as if they had the limited range of video.",
    "BMP, 32 bit with zeros and a mask of it": "All of it is transparent. The network sees the colours.",
}

_DRAW = """
async ([data, side]) => {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const image = new Image(side, side);
  image.style.display = "block";
  image.decoding = "sync"; // with the page, so that a screenshot has it
  image.src = URL.createObjectURL(new Blob([bytes]));
  document.body.replaceChildren(image);
  try {
    await image.decode();
  } catch {
    return null;
  } finally {
    URL.revokeObjectURL(image.src);
  }
  return [image.naturalWidth, image.naturalHeight];
}
"""

Record = Callable[[str, object], None]


@dataclass(frozen=True)
class Shown:
    """What is shown of a file: its upright size, and its pixels on a white square."""

    size: tuple[int, int]
    pixels: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Comparison:
    """What Chromium shows of a file and what the network sees of it. Either is None if it refuses the file.

    The means of cells are compared.
    """

    name: str
    chromium: Shown | None
    network: Shown | None
    cell: int = 1

    @property
    def difference(self) -> float:
        """The mean difference of the samples, infinite if the sizes differ or one of the two refuses the file."""
        if not self.chromium and not self.network:
            return 0
        if not self.chromium or not self.network or self.chromium.size != self.network.size:
            return np.inf
        cells = (self.chromium.pixels - self.network.pixels).reshape(SIDE // self.cell, self.cell, -1, self.cell, 3)
        return float(np.abs(cells.mean(axis=(1, 3))).mean())


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    """A white page of the square's size, in a browser whose colours do not depend on the display."""
    exact = browser.browser_type.launch(executable_path=shutil.which("chromium"), args=["--force-color-profile=srgb"])
    page = exact.new_page(viewport={"width": SIDE, "height": SIDE})
    page.set_content("<body style='margin: 0; background: white'>")
    yield page
    exact.close()


@pytest.fixture(scope="module")
def files() -> list[tuple[str, bytes]]:
    return list(corpus())


def draw(page: Page, data: bytes) -> Shown | None:
    """Return what Chromium shows of a file."""
    size = page.evaluate(_DRAW, [base64.b64encode(data).decode(), SIDE])
    if size is None:
        return None
    screenshot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    return Shown((size[0], size[1]), np.asarray(screenshot).astype(int))


def see(data: bytes) -> Shown | None:
    """Return what the network sees of a file."""
    try:
        photo = decode(data, SIDE, Limits())
    except PhotoError:
        return None
    return Shown((photo.width, photo.height), photo.pixels.astype(int))


def record(record_property: Record, kind: str, comparisons: Iterable[Comparison]) -> None:
    """Record figures of the files that both read."""
    differences = [comparison.difference for comparison in comparisons if np.isfinite(comparison.difference)]
    record_property(f"{kind}: files that both read", len(differences))
    record_property(f"{kind}: hundredths of a level of difference in the mean", round(100 * np.mean(differences)))
    record_property(f"{kind}: hundredths of a level of difference at most", round(100 * max(differences)))


def describe(comparisons: Iterable[Comparison]) -> str:
    """Return a line for each file, those with the largest difference first."""
    return "\n".join(
        f"{found.difference:6.2f} {found.name} ("
        + ", ".join(
            f"{who}: {shown.size if shown else 'refused'}"
            for who, shown in (("Chromium", found.chromium), ("network", found.network))
        )
        + ")"
        for found in sorted(comparisons, key=lambda found: -found.difference)
    )


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP"])
def test_the_network_sees_what_chromium_shows(
    page: Page, files: list[tuple[str, bytes]], name: str, record_property: Record
) -> None:
    comparisons = [Comparison(form, draw(page, data), see(data)) for form, data in files if form.startswith(f"{name},")]

    different = [found for found in comparisons if found.difference >= MAX_DIFFERENCE]
    browser = page.context.browser
    is_recent = browser is not None and int(browser.version.split(".")[0]) >= 156
    exceptions = EXCEPTIONS | (EXCEPTIONS_SINCE_156 if is_recent else EXCEPTIONS_BEFORE_156)
    patterns = [pattern for pattern in exceptions if pattern.startswith(f"{name},")]
    unexpected = [found for found in different if not any(fnmatchcase(found.name, pattern) for pattern in patterns)]
    assert not unexpected, describe(unexpected)
    needless = [pattern for pattern in patterns if not any(fnmatchcase(found.name, pattern) for found in different)]
    assert not needless
    record(record_property, name, [found for found in comparisons if found not in different])


@pytest.mark.parametrize("name", ["TIFF", "HEIF"])
def test_the_network_sees_of_other_formats_what_chromium_shows_of_one_that_it_knows(
    page: Page, name: str, record_property: Record
) -> None:
    """Chromium shows neither of these formats."""
    comparisons = [
        Comparison(form, draw(page, shown), see(data)) for form, data, shown in others() if form.startswith(f"{name},")
    ]

    different = [found for found in comparisons if found.difference >= MAX_DIFFERENCE]
    assert not different, describe(different)
    record(record_property, name, comparisons)


if "PIXELS" in os.environ:

    def test_the_network_sees_what_chromium_shows_of_the_files_in_a_folder(page: Page, record_property: Record) -> None:
        """What Chromium does not show is counted only. It shows nothing of a TIFF or HEIC."""
        paths = sorted(path for path in FOLDER.rglob("*") if path.is_file())
        assert paths, f"{FOLDER} holds no files"
        comparisons = [
            Comparison(str(path.relative_to(FOLDER)), draw(page, data), see(data), CELL)
            for path in paths
            if (data := path.read_bytes())
        ]

        shown = [found for found in comparisons if found.chromium]
        different = [found for found in shown if found.difference >= MAX_DIFFERENCE]
        assert not different, describe(different)
        record_property("PIXELS: files", len(comparisons))
        only_network = [found for found in comparisons if found.network and not found.chromium]
        record_property("PIXELS: files that only the network sees", len(only_network))
        if shown:
            record(record_property, "PIXELS", shown)
