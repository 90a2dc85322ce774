"""The shipped model on real photos of its labels, if they are on this machine."""

from collections.abc import Callable
from random import Random

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageOps

from classifier.batches import judge
from classifier.limits import Limits
from classifier.model import Model
from classifier.photos import decode
from classifier.runtime import RUNS_INT8_FAST
from evaluation.dataset import read_split
from evaluation.predictions import evaluate
from tests.support.drawings import encoded
from tests.support.listings import record
from tests.support.paths import DATA
from tests.support.shipped_model import LABELS, load

pytestmark = pytest.mark.skipif(
    not {folder.name for folder in (DATA / "test").glob("*/")} <= set(LABELS) or not (DATA / "test").is_dir(),
    reason="needs photos of the shipped model's labels; DATA names their folder",
)


@pytest.fixture(scope="module")
def model() -> Model:
    """The shipped model."""
    return load()


def test_the_model_is_as_accurate_as_its_description_says(model: Model) -> None:
    """Unless it was measured on other photos. Then it is better than chance."""
    split = read_split(DATA / "test", model.description.input_size, model.description.labels)

    measured = evaluate(model, split).metrics()

    described = model.description.metrics.get("test", {})
    if described.get("n") == measured.n:
        # Another runtime or processor may change the label of a photo whose two best scores are nearly equal.
        tolerances = {"accuracy": 2.5 / measured.n, "macro_f1": 0.01, "passed": 0.01, "log_loss": 0.01}
        for name, tolerance in tolerances.items():
            assert getattr(measured, name) == pytest.approx(described[name], abs=tolerance), name
        # The description is of the network with float16 weights. In int8, some of so few photos change their bin.
        if not RUNS_INT8_FAST:
            assert measured.calibration_error == pytest.approx(described["calibration_error"], abs=0.01)
    else:
        assert measured.accuracy > 1 / len(LABELS)


@pytest.mark.parametrize("size", [2, 3, 5])
def test_the_verdict_of_several_photos_is_more_accurate_than_one_photo(
    model: Model, size: int, record_property: Callable[[str, object], None]
) -> None:
    """The groups are drawn at random from the test photos. Photos of one piece by one seller are more alike."""
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
            right_groups += (
                judge(members[start : start + size], None, model.description.review_threshold).label == label
            )

    assert right_groups * len(photos) >= right * groups
    record_property(f"right verdicts of {size} photos, of 1,000", round(1000 * right_groups / max(groups, 1)))
    record_property(f"right answers to one photo, of 1,000 ({size})", round(1000 * right / len(photos)))


def ranked(scores: dict[str, float]) -> dict[str, float]:
    return dict(sorted(scores.items(), key=lambda item: item[1], reverse=True))


def test_a_photo_gets_the_same_label_at_any_size_and_orientation(model: Model) -> None:
    """It is 400 pixels wide, has twelve megapixels, or has these and is rotated by EXIF.

    Of twenty photos, one may be so uncertain that its label changes.
    """
    photos, changed = sorted((DATA / "test").glob("*/*.jpg"))[::12], []
    exif = Image.Exif()
    exif[0x0112] = 6
    for path in photos:
        with Image.open(path) as photo:
            scale = (12_000_000 / (photo.width * photo.height)) ** 0.5
            large = photo.resize((round(photo.width * scale), round(photo.height * scale)), Image.Resampling.BICUBIC)
        rotated = encoded(large.transpose(Image.Transpose.ROTATE_90), quality=90, exif=exif)
        stored = [path.read_bytes(), encoded(large, quality=90), rotated]

        pixels = [decode(content, model.description.input_size, Limits()).pixels for content in stored]
        scores = [model.predict(array).scores for array in pixels]

        if len({max(found, key=found.__getitem__) for found in scores}) > 1:
            changed.append(path)

    assert len(changed) <= len(photos) / 20, changed


def test_fast_decoding_costs_no_accuracy(model: Model) -> None:
    """Compared to full decoding and Pillow's best filter, it costs one photo in a hundred of `validation` at most."""
    photos = sorted((DATA / "validation").glob("*/*.jpg"))
    size, right, best = model.description.input_size, 0, 0
    for path in photos:
        with Image.open(path) as photo:
            full = ImageOps.exif_transpose(photo).convert("RGB").resize((size, size), Image.Resampling.LANCZOS)
        right += top(model, decode(path.read_bytes(), size, Limits()).pixels) == path.parent.name
        best += top(model, np.asarray(full)) == path.parent.name

    assert best - right <= len(photos) / 100


def top(model: Model, pixels: npt.NDArray[np.uint8]) -> str:
    scores = model.predict(pixels).scores
    return max(scores, key=scores.__getitem__)
