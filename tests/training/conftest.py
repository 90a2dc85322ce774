"""A small trunk and small recipes, so that the tests of training take seconds."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from tests.support.drawings import encoded, garment
from tests.support.paths import ROOT
from training import trunks
from training.recipe import Phase, Recipe
from training.trunks import Stage, Trunk

RECIPE = replace(
    Recipe.load(ROOT / "training" / "recipe.toml"),
    trunk="small",
    size=48,
    folds=2,
    seeds=1,
    phases=(Phase(24, 4), Phase(32, 2)),
    teachers=(),
    teacher_phases=(),
    batch_size=8,
)
SMALL = Trunk((Stage(1, 3, 1, 1, 8), Stage(2, 3, 2, 2, 12), Stage(1, 5, 2, 2, 16)), 127.0, 128.0, None)


@pytest.fixture
def small_trunk(monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a trunk of four blocks, with random weights."""
    monkeypatch.setitem(trunks.TRUNKS, "small", SMALL)
    return "small"


def draw_photos(count: int, size: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Return photos of pants and t-shirts in several shades, of shape (count, size, size, 3), and their labels."""
    images = [shaded(("pants", "t-shirt")[number % 2], number / count).resize((size, size)) for number in range(count)]
    return np.stack([np.asarray(image) for image in images]), np.arange(count) % 2


def shaded(kind: str, share: float) -> Image.Image:
    """Return a picture of a garment that is up to half white."""
    image = garment(kind)
    return Image.blend(image, Image.new("RGB", image.size, "white"), share / 2)


def write_data(folder: Path, per_label: int, labels: tuple[str, ...] = ("floor", "pants", "t-shirt")) -> None:
    """Write `train/LABEL/` with drawn photos, two for each sender, and `senders.csv`."""
    lines = ["image,sender_id,kids"]
    for label in labels:
        (folder / "train" / label).mkdir(parents=True)
        for number in range(per_label):
            kind = label if label in {"pants", "t-shirt"} else None
            image = shaded(kind, number / per_label) if kind else Image.new("RGB", (300, 300), (200 - number, 170, 140))
            (folder / "train" / label / f"{label}-{number}.jpg").write_bytes(encoded(image))
            lines.append(f"{label}-{number},{label}-{number // 2},False")
    (folder / "senders.csv").write_text("\n".join(lines) + "\n")
