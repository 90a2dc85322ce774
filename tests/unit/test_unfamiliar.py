"""Pictures of what the model does not know."""

from pathlib import Path

import numpy as np
import pytest

from drawing import encoded, garment
from training.unfamiliar import KINDS, draw, unfamiliar_pictures


@pytest.mark.parametrize("kind", KINDS)
def test_drawn_pictures_differ_and_are_drawn_again_the_same(kind: str) -> None:
    pictures = draw(kind, 6, 64)

    assert pictures.shape == (6, 64, 64, 3)
    assert pictures.dtype == np.uint8
    assert len({picture.tobytes() for picture in pictures}) == 6
    assert (draw(kind, 6, 64) == pictures).all()


def test_photos_of_other_clothes_come_with_the_drawn_ones(tmp_path: Path) -> None:
    (tmp_path / "unknown").mkdir()
    (tmp_path / "unknown" / "1.jpg").write_bytes(encoded(garment("pants")))

    pictures = unfamiliar_pictures(tmp_path, 32)

    assert pictures["other clothes"].shape == (1, 32, 32, 3)
    assert pictures.keys() == {"other clothes", *KINDS}
    assert unfamiliar_pictures(tmp_path / "unknown", 32).keys() == KINDS.keys()
