"""Folders of photos to arrays, and answers to figures."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from classifier.photos import Limits, decode
from drawing import encoded, garment
from training.dataset import DatasetError, label_folders, read_split
from training.evaluate import (
    confusion_matrix,
    expected_calibration_error,
    f1_by_label,
    log_loss,
    measure,
    reliability,
    wilson_interval,
)


def write_photos(folder: Path, labels: tuple[str, ...]) -> None:
    """One drawn photo for each label."""
    for label in labels:
        (folder / label).mkdir(parents=True)
        (folder / label / "1.jpg").write_bytes(encoded(garment("t-shirt" if label == "t-shirt" else "pants")))


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


def test_reliability_tells_confidence_and_accuracy_by_bin() -> None:
    bins = reliability(np.array([0.99, 0.97, 1.0, 0.5]), np.array([True, True, False, True]))

    assert bins == {14: (3, pytest.approx(0.98667, abs=1e-5), pytest.approx(2 / 3)), 7: (1, 0.5, 1.0)}
