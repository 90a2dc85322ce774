"""The committed model on real photos, where they are there."""

import json
from collections.abc import Callable
from random import Random

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageOps

from classifier.batches import verdict
from classifier.limits import Limits
from classifier.model import Model
from classifier.photos import decode
from tests.support.paths import DATA, ROOT, needs_photos
from tests.support.drawings import encoded
from tests.support.listings import record
from training.dataset import read_split
from training.evaluate import evaluate


@needs_photos
def test_the_model_is_as_good_as_its_description_says(model: Model) -> None:
    split = read_split(DATA / "test", model.description.input_size, model.description.labels)

    measured = evaluate(model, split).figures()

    described = json.loads((ROOT / "model" / "model.json").read_text())["metrics"]["test"]
    # Another runtime or processor may tip a photo that stands on the edge.
    for name, tolerance in {"n": 0, "accuracy": 2.5 / measured["n"], "macro_f1": 0.01, "passed": 0.01}.items():
        assert measured[name] == pytest.approx(described[name], abs=tolerance), name
    assert measured["calibration_error"] == pytest.approx(described["calibration_error"], abs=0.01)


@needs_photos
@pytest.mark.parametrize("size", [2, 3, 5])
def test_several_photos_of_a_label_tell_it_better_than_one(
    model: Model, size: int, record_property: Callable[[str, object], None]
) -> None:
    """In groups drawn at random from the test photos; those of one piece by one seller would be more alike."""
    split = read_split(DATA / "test", model.description.input_size, model.description.labels)
    photos = [record(0, scores=ranked(model.predict(image).scores)) for image in split.images]
    right = sum(photo.label == split.labels[target] for photo, target in zip(photos, split.targets, strict=True))
    groups = right_groups = 0
    random = Random(0)
    for target, label in [*enumerate(split.labels)] * 20:
        members = [photo for photo, other in zip(photos, split.targets, strict=True) if other == target]
        random.shuffle(members)
        for start in range(0, len(members) - size + 1, size):
            groups += 1
            right_groups += (verdict(members[start : start + size]) or ("", 0))[0] == label

    assert right_groups / groups > right / len(photos)
    record_property(f"right verdicts of {size} photos, of 1,000", round(1000 * right_groups / groups))
    record_property(f"right answers to one photo, of 1,000 ({size})", round(1000 * right / len(photos)))


def ranked(scores: dict[str, float]) -> dict[str, float]:
    return dict(sorted(scores.items(), key=lambda item: item[1], reverse=True))


@needs_photos
def test_a_photo_gets_the_same_label_however_it_is_stored(model: Model) -> None:
    """As it is, 400 pixels wide; with twelve megapixels; and with these lying on their side."""
    exif = Image.Exif()
    exif[0x0112] = 6
    for path in sorted((DATA / "test").glob("*/*.jpg"))[::12]:
        with Image.open(path) as photo:
            scale = (12_000_000 / (photo.width * photo.height)) ** 0.5
            large = photo.resize((round(photo.width * scale), round(photo.height * scale)), Image.Resampling.BICUBIC)
        rotated = encoded(large.transpose(Image.Transpose.ROTATE_90), quality=90, exif=exif)
        stored = [path.read_bytes(), encoded(large, quality=90), rotated]

        pixels = [decode(content, model.description.input_size, Limits()).pixels for content in stored]
        scores = [model.predict(array).scores for array in pixels]

        assert len({max(found, key=found.__getitem__) for found in scores}) == 1, path


@needs_photos
def test_reading_a_photo_at_its_smallest_costs_no_accuracy(model: Model) -> None:
    """Against decoding in full and Pillow's best filter, over the photos of `validation`: one photo at most."""
    size, right, best = model.description.input_size, 0, 0
    for path in sorted((DATA / "validation").glob("*/*.jpg")):
        with Image.open(path) as photo:
            full = ImageOps.exif_transpose(photo).convert("RGB").resize((size, size), Image.Resampling.LANCZOS)
        right += top(model, decode(path.read_bytes(), size, Limits()).pixels) == path.parent.name
        best += top(model, np.asarray(full)) == path.parent.name

    assert best - right <= 1


def top(model: Model, pixels: npt.NDArray[np.uint8]) -> str:
    scores = model.predict(pixels).scores
    return max(scores, key=scores.__getitem__)
