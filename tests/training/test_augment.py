"""The augmented pictures: what they depend on, and that the backend makes them as Pillow does."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tests.support.drawings import garment
from tests.training.conftest import RECIPE, draw_photos
from training import augment
from training.augment import Examples, TrainingBatches, choose_photos, draw_parameters, make_pictures


def batches(seed: int = 1, steps: range = range(3)) -> TrainingBatches:
    images, targets = draw_photos(20, 36)
    return TrainingBatches(Examples(images, np.eye(2, dtype=np.float32)[targets]), 24, steps, RECIPE, seed)


def test_a_batch_depends_only_on_seed_and_step() -> None:
    first, again, other = batches()[1], batches(steps=range(1, 2))[0], batches(seed=2)[1]

    for name in first[0]:
        assert (first[0][name] == again[0][name]).all(), name
    assert (first[1] == again[1]).all()
    assert (first[0]["rows"] != other[0]["rows"]).any()
    assert first[1].sum(axis=1) == pytest.approx(np.ones(8))


def test_all_photos_have_been_seen_before_one_is_seen_again() -> None:
    chosen = np.concatenate([choose_photos(20, 8, step, seed=1) for step in range(5)])

    assert sorted(chosen[:20]) == sorted(chosen[20:]) == list(range(20))
    assert (chosen[:20] != chosen[20:]).any()


def test_a_batch_may_be_larger_than_the_data() -> None:
    assert set(choose_photos(3, 8, 0, seed=1)) == {0, 1, 2}


@pytest.mark.parametrize("cutmix_share", [0.0, 1.0])
def test_targets_are_mixed_in_proportion_to_the_pixels(cutmix_share: float) -> None:
    """Photos are white or black here, so the brightness of a picture says how much of it is white."""
    recipe = replace(RECIPE, cutmix_share=cutmix_share, colour_jitter=0.0)
    parameters = draw_parameters(8, 24, recipe, np.random.default_rng(3))
    images = np.zeros((8, 36, 36, 3), np.uint8)
    images[::2] = 255

    pictures = np.asarray(make_pictures({"images": images, **parameters._asdict()}))

    share = parameters.mixed_share()
    white = np.array([1, 0] * 4) * (1 - share) + np.array([1, 0] * 4)[parameters.partners] * share
    assert pictures.mean(axis=(1, 2, 3)) / 255 == pytest.approx(white, abs=1e-3)
    assert ((share > 0) & (share < 1)).all()


@pytest.mark.parametrize(("side", "size"), [(300, 64), (48, 96)], ids=["smaller", "larger"])
def test_a_crop_is_what_pillow_makes_of_it(side: int, size: int) -> None:
    photo = garment("t-shirt", (side, side))
    box = (0.2 * side, 0.1 * side, 0.9 * side, 0.7 * side)
    centres = (np.arange(size) + 0.5) / size
    rows, columns = (0.1 + 0.6 * centres)[np.newaxis], (0.2 + 0.7 * centres)[np.newaxis]

    crop = np.asarray(augment.resample(np.asarray(photo)[np.newaxis], rows.astype("f4"), columns.astype("f4")))[0]
    mirrored = np.asarray(
        augment.resample(np.asarray(photo)[np.newaxis], rows.astype("f4"), columns[:, ::-1].astype("f4"))
    )[0]

    expected = np.asarray(photo.resize((size, size), Image.Resampling.BILINEAR, box=box), np.float32)
    inner = slice(2, -2)  # at the borders Pillow's box ends, and ours sees what is outside
    assert np.abs(crop - expected)[inner, inner].mean() < 0.5
    assert mirrored == pytest.approx(crop[:, ::-1], abs=0.01)


def test_colours_stay_in_range_and_change() -> None:
    images, _ = draw_photos(8, 24)
    parameters = draw_parameters(8, 24, replace(RECIPE, colour_jitter=0.9), np.random.default_rng(0))

    jittered = np.asarray(augment.jitter_colours(images.astype(np.float32), parameters.colours))

    assert jittered.min() >= 0
    assert jittered.max() <= 255
    assert np.abs(jittered - images).mean() > 5
