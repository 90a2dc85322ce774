"""Out-of-distribution images."""

from pathlib import Path

import numpy as np
import pytest

from tests.support.drawings import encoded, garment
from training.out_of_distribution import KINDS, generate, ood_images


@pytest.mark.parametrize("kind", KINDS)
def test_generated_images_differ_and_are_reproducible(kind: str) -> None:
    images = generate(kind, 6, 64)

    assert images.shape == (6, 64, 64, 3)
    assert images.dtype == np.uint8
    assert len({image.tobytes() for image in images}) == 6
    assert (generate(kind, 6, 64) == images).all()


def test_photos_of_other_clothes_are_read_if_there_are_some(tmp_path: Path) -> None:
    (tmp_path / "unknown").mkdir()
    (tmp_path / "unknown" / "1.jpg").write_bytes(encoded(garment("pants")))

    images = ood_images([tmp_path], 32)

    assert images["other photos"].shape == (1, 32, 32, 3)
    assert images.keys() == {"other photos", *KINDS}
    assert ood_images([tmp_path / "unknown"], 32).keys() == KINDS.keys()
