"""A run of training to `model/`: what is checked, calibrated, measured and written."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from classifier.description import Description
from classifier.model import Model
from classifier.photos import Limits, decode
from conftest import ROOT
from drawing import encoded, garment
from training.dataset import DatasetError, label_folders, read_split
from training.evaluate import (
    confusion_matrix,
    expected_calibration_error,
    f1_by_label,
    log_loss,
    measure,
    wilson_interval,
)
from training.publish import PublishError, agreement, fit_temperature, fit_threshold, publish
from training.run import RECIPE_FILE, VALIDATION_LOGITS_FILE

LABELS = Description.read(ROOT / "model").labels


def write_photos(folder: Path, labels: tuple[str, ...] = LABELS) -> None:
    """One drawn photo for each label; only those of pants and t-shirts look like theirs."""
    for label in labels:
        (folder / label).mkdir(parents=True)
        kind = label if label in {"pants", "t-shirt"} else "pants"
        (folder / label / "1.jpg").write_bytes(encoded(garment(kind)))


@pytest.fixture
def run(tmp_path: Path, model: Model) -> Path:
    """What training would leave, had it trained the committed network on the drawn photos in `tmp_path/data`."""
    write_photos(tmp_path / "data" / "validation")
    run = tmp_path / "run"
    run.mkdir()
    (run / "clothing.tflite").write_bytes((ROOT / "model" / "clothing.tflite").read_bytes())
    record = {"labels": LABELS, "recipe": {"size": model.description.input_size}}
    (run / RECIPE_FILE).write_text(json.dumps(record))
    split = read_split(tmp_path / "data" / "validation", model.description.input_size)
    np.save(run / VALIDATION_LOGITS_FILE, np.stack([model.logits(image) for image in split.images]))
    return run


def test_a_published_model_serves(run: Path, tmp_path: Path) -> None:
    publish(run, tmp_path / "data", tmp_path / "out")

    model = Model(tmp_path / "out")
    scores = model.scores(decode(encoded(garment("t-shirt")), model.description.input_size, Limits()).pixels)

    assert max(scores, key=scores.__getitem__) == "t-shirt"
    assert model.description.version.endswith(model.description.sha256[:8])
    assert model.description.metrics["validation"]["n"] == 10
    assert model.description.accuracy == pytest.approx(0.2)
    card = (tmp_path / "out" / "README.md").read_text()
    assert model.description.version in card
    assert "| validation | 10 | 0.200 |" in card


def test_the_test_photos_are_measured_where_they_are(run: Path, tmp_path: Path) -> None:
    write_photos(tmp_path / "data" / "test")

    description = publish(run, tmp_path / "data", tmp_path / "out")

    assert description["metrics"]["test"]["n"] == 10


def test_a_network_that_does_not_agree_with_the_trained_one_is_not_published(run: Path, tmp_path: Path) -> None:
    logits = np.load(run / VALIDATION_LOGITS_FILE)
    np.save(run / VALIDATION_LOGITS_FILE, logits[:, ::-1])

    with pytest.raises(PublishError, match="differs"):
        publish(run, tmp_path / "data", tmp_path / "out")

    assert not (tmp_path / "out").exists(), "what was there before is better than half a model"


def test_answers_for_other_photos_are_told() -> None:
    with pytest.raises(PublishError, match="2 validation photos"):
        agreement(np.zeros((3, 4)), np.zeros((2, 4)))


def test_the_temperature_makes_labels_likeliest() -> None:
    """Logits that are three times too bold want dividing by three."""
    rng = np.random.default_rng(0)
    honest = rng.normal(0, 2, (20_000, 5))
    probabilities = np.exp(honest) / np.exp(honest).sum(axis=1, keepdims=True)
    targets = np.array([rng.choice(5, p=row) for row in probabilities])

    assert fit_temperature(honest * 3, targets) == pytest.approx(3, rel=0.05)


def test_the_threshold_lets_as_many_through_as_are_right_97_times_in_100() -> None:
    confidences = np.linspace(0.99, 0.5, 200)
    probabilities = np.stack([confidences, 1 - confidences], axis=1)
    targets = np.zeros(200, np.int64)
    targets[100:] = 1  # the lower half is wrong

    threshold = fit_threshold(probabilities, targets)

    passed = confidences >= threshold - 1e-4
    assert (targets[passed] == 0).mean() >= 0.97
    assert passed.sum() == pytest.approx(103, abs=1)


def test_a_model_that_is_never_right_lets_nothing_through() -> None:
    assert fit_threshold(np.array([[0.9, 0.1]]), np.array([1])) == 1.0


def test_accuracy_has_the_interval_of_wilson() -> None:
    """Checked against the example of 81 in 263, Newcombe 1998, table I: 0.2553 to 0.3662."""
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)


def test_metrics_of_a_small_example() -> None:
    probabilities = np.array([[0.8, 0.2], [0.6, 0.4], [0.3, 0.7], [0.9, 0.1]])
    targets = np.array([0, 0, 1, 1])

    measured = measure(probabilities, targets)

    assert (measured["n"], measured["accuracy"]) == (4, 0.75)
    assert measured["macro_f1"] == pytest.approx((2 * 2 / 5 + 2 * 1 / 3) / 2)
    assert measured["calibration_error"] == pytest.approx((0.2 + 0.4 + 0.3 + 0.9) / 4)
    assert measured["log_loss"] == pytest.approx(-np.log([0.8, 0.6, 0.7, 0.1]).mean())
    assert confusion_matrix(probabilities.argmax(axis=1), targets, 2).tolist() == [[2, 0], [1, 1]]


def test_a_label_that_never_occurs_has_no_f1() -> None:
    assert f1_by_label(np.array([[2, 0], [0, 0]])).tolist() == [1, 0]


def test_perfect_calibration_has_no_error() -> None:
    confidences = np.full(100, 0.75)

    assert expected_calibration_error(confidences, np.arange(100) < 75) == pytest.approx(0)
    assert log_loss(np.eye(2), np.array([0, 1])) == 0


def test_photos_are_read_in_order_with_their_labels(tmp_path: Path) -> None:
    write_photos(tmp_path, ("pants", "t-shirt"))
    (tmp_path / "pants" / ".DS_Store").write_bytes(b"")

    split = read_split(tmp_path, 16)

    assert split.labels == ("pants", "t-shirt")
    assert split.names == ("pants/1.jpg", "t-shirt/1.jpg")
    assert split.targets.tolist() == [0, 1]
    assert split.images.shape == (2, 16, 16, 3)
    pixels = decode((tmp_path / "t-shirt" / "1.jpg").read_bytes(), 16, Limits()).pixels
    assert (split.images[1] == pixels).all(), "training sees what serving sees"


def test_what_is_wrong_with_a_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no folder"):
        label_folders(tmp_path / "missing")
    with pytest.raises(DatasetError, match="two at least"):
        label_folders(tmp_path)
    write_photos(tmp_path, ("hat", "pants"))
    with pytest.raises(DatasetError, match="expected hat, shoes"):
        read_split(tmp_path, 16, ("hat", "shoes"))
    (tmp_path / "hat" / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(DatasetError, match=r"broken\.jpg: The image is damaged"):
        read_split(tmp_path, 16)
    for photo in (tmp_path / "hat").iterdir():
        photo.unlink()
    with pytest.raises(DatasetError, match="holds no photos"):
        read_split(tmp_path, 16)


def test_a_photo_of_every_size_is_a_square(tmp_path: Path) -> None:
    for label, size in (("a", (10, 300)), ("b", (300, 10))):
        (tmp_path / label).mkdir()
        (tmp_path / label / "1.png").write_bytes(encoded(Image.new("RGB", size), "PNG"))

    assert read_split(tmp_path, 32).images.shape == (2, 32, 32, 3)
