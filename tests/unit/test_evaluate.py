"""Reading folders of photos, and the metrics of a model."""

from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from classifier.limits import Limits
from classifier.photos import decode
from tests.support.drawings import encoded, garment
from evaluation.dataset import DatasetError, fingerprint, list_labels, read_photo_metadata, read_split
from evaluation.metrics import (
    compute_metrics,
    confusion_matrix,
    expected_calibration_error,
    f1_by_label,
    log_loss,
    reliability_bins,
    wilson_interval,
)


def write_photos(folder: Path, labels: tuple[str, ...]) -> None:
    """Write a drawn photo for each label."""
    for label in labels:
        (folder / label).mkdir(parents=True)
        (folder / label / "1.jpg").write_bytes(encoded(garment("t-shirt" if label == "t-shirt" else "pants")))


def test_the_interval_is_that_of_wilson() -> None:
    """The example of 81 in 263 is from Newcombe 1998, table I: 0.2553 to 0.3662."""
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)


def test_metrics_of_a_small_example() -> None:
    probabilities = np.array([[0.8, 0.2], [0.6, 0.4], [0.3, 0.7], [0.9, 0.1]])
    targets = np.array([0, 0, 1, 1])

    metrics = compute_metrics(probabilities, targets, probabilities.max(axis=1) > 0.75)

    assert (metrics.n, metrics.accuracy) == (4, 0.75)
    assert metrics.macro_f1 == pytest.approx((2 * 2 / 5 + 2 * 1 / 3) / 2)
    assert metrics.calibration_error == pytest.approx((0.2 + 0.4 + 0.3 + 0.9) / 4)
    assert (metrics.passed, metrics.passed_accuracy) == (0.5, 0.5)
    assert metrics.log_loss == pytest.approx(-np.log([0.8, 0.6, 0.7, 0.1]).mean())
    assert confusion_matrix(targets, probabilities.argmax(axis=1), 2).tolist() == [[2, 0], [1, 1]]


def test_a_label_that_does_not_occur_is_not_in_the_macro_f1() -> None:
    assert f1_by_label(np.array([[2, 0], [0, 0]])).tolist() == [1, 0]
    assert compute_metrics(np.array([[0.9, 0.1]]), np.array([0]), np.array([True])).macro_f1 == 1


def test_the_accuracy_without_review_is_1_if_all_photos_need_review() -> None:
    metrics = compute_metrics(np.array([[0.9, 0.1]]), np.array([1]), np.array([False]))

    assert (metrics.passed, metrics.passed_accuracy) == (0, 1)


def test_perfect_calibration_has_no_error() -> None:
    confidences = np.full(100, 0.75)

    assert expected_calibration_error(confidences, np.arange(100) < 75) == pytest.approx(0)
    assert log_loss(np.eye(2), np.array([0, 1])) == 0


def test_photos_are_read_in_order_with_their_labels(tmp_path: Path) -> None:
    write_photos(tmp_path, ("pants", "t-shirt"))
    (tmp_path / "pants" / ".DS_Store").write_bytes(b"")

    split = read_split(tmp_path, 16)

    assert split.labels == ("pants", "t-shirt")
    assert split.files == (tmp_path / "pants" / "1.jpg", tmp_path / "t-shirt" / "1.jpg")
    assert split.targets.tolist() == [0, 1]
    assert split.images.shape == (2, 16, 16, 3)
    pixels = decode((tmp_path / "t-shirt" / "1.jpg").read_bytes(), 16, Limits()).pixels
    assert (split.images[1] == pixels).all(), "training and serving use the same pixels"


def test_several_folders_are_read_as_one(tmp_path: Path) -> None:
    """The second folder may lack a label."""
    write_photos(tmp_path / "train", ("hat", "pants", "t-shirt"))
    write_photos(tmp_path / "extra", ("t-shirt",))

    split = read_split([tmp_path / "train", tmp_path / "extra"], 16)

    assert split.labels == ("hat", "pants", "t-shirt")
    assert split.targets.tolist() == [0, 1, 2, 2]
    assert split.files[3] == tmp_path / "extra" / "t-shirt" / "1.jpg"


def test_an_unusable_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no folder"):
        list_labels(tmp_path / "missing")
    with pytest.raises(DatasetError, match="no label folders"):
        list_labels(tmp_path)
    write_photos(tmp_path, ("hat",))
    with pytest.raises(DatasetError, match="at least two"):
        read_split(tmp_path, 16)
    write_photos(tmp_path, ("pants",))
    with pytest.raises(DatasetError, match=r"not labels: pants\. The labels are: hat, shoes"):
        read_split(tmp_path, 16, ("hat", "shoes"))
    (tmp_path / "hat" / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(DatasetError, match=r"broken\.jpg: The image is damaged"):
        read_split(tmp_path, 16)
    for photo in (tmp_path / "hat").iterdir():
        photo.unlink()
    with pytest.raises(DatasetError, match="contains no photos"):
        read_split(tmp_path, 16)


def test_metadata_is_found_by_file_name(tmp_path: Path) -> None:
    """A photo that the table lacks gets a sender of its own."""
    (tmp_path / "senders.csv").write_text("image,split,label,sender_id,kids\na,train,hat,7,True\nb,train,hat,7,False\n")

    found = read_photo_metadata(
        tmp_path, [Path("hat/a.jpg"), Path("pants/b.png"), Path("hat/c.jpg"), Path("hat/d.jpg")]
    )

    assert found.sender_ids[0] == found.sender_ids[1] == "7"
    assert len(set(found.sender_ids)) == 3
    assert found.kids.tolist() == [True, False, False, False]


def test_without_metadata_every_photo_has_a_sender_of_its_own(tmp_path: Path) -> None:
    found = read_photo_metadata(tmp_path, [Path("hat/a.jpg"), Path("pants/a.jpg")])

    assert len(set(found.sender_ids)) == 2
    assert not found.kids.any()


def test_metadata_without_senders_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "senders.csv").write_text("image,label\n")

    with pytest.raises(DatasetError, match="lacks the columns kids, sender_id"):
        read_photo_metadata(tmp_path, [])


def test_the_fingerprint_depends_on_photos_and_labels(tmp_path: Path) -> None:
    write_photos(tmp_path, ("hat", "pants"))
    files = [tmp_path / "hat" / "1.jpg", tmp_path / "pants" / "1.jpg"]
    before = fingerprint(tmp_path, files)

    assert fingerprint(tmp_path, files[::-1]) == before
    files[1].write_bytes(encoded(garment("t-shirt")))
    changed = fingerprint(tmp_path, files)
    assert changed != before
    assert fingerprint(tmp_path, [files[0], files[1].rename(tmp_path / "hat" / "2.jpg")]) not in {before, changed}


def test_photos_of_every_shape_become_squares(tmp_path: Path) -> None:
    for label, size in (("a", (10, 300)), ("b", (300, 10))):
        (tmp_path / label).mkdir()
        (tmp_path / label / "1.png").write_bytes(encoded(Image.new("RGB", size), "PNG"))

    assert read_split(tmp_path, 32).images.shape == (2, 32, 32, 3)


def test_reliability_bins_have_count_confidence_and_accuracy() -> None:
    bins = reliability_bins(np.array([0.99, 0.97, 1.0, 0.5]), np.array([True, True, False, True]))

    assert [astuple(found) for found in bins] == [
        (7, 1, 0.5, 1.0),
        (14, 3, pytest.approx(0.98667, abs=1e-5), pytest.approx(2 / 3)),
    ]
