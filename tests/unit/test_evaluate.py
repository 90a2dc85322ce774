"""Folders of photos to arrays, and answers to figures."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from classifier.limits import Limits
from classifier.photos import decode
from drawing import encoded, garment
from training.dataset import DatasetError, fingerprint, label_folders, read_provenance, read_split
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

    measured = measure(probabilities, targets, probabilities.max(axis=1) > 0.75)

    assert (measured["n"], measured["accuracy"]) == (4, 0.75)
    assert measured["macro_f1"] == pytest.approx((2 * 2 / 5 + 2 * 1 / 3) / 2)
    assert measured["calibration_error"] == pytest.approx((0.2 + 0.4 + 0.3 + 0.9) / 4)
    assert (measured["passed"], measured["passed_accuracy"]) == (0.5, 0.5)
    assert measured["log_loss"] == pytest.approx(-np.log([0.8, 0.6, 0.7, 0.1]).mean())
    assert confusion_matrix(probabilities.argmax(axis=1), targets, 2).tolist() == [[2, 0], [1, 1]]


def test_a_label_that_never_occurs_counts_for_nothing() -> None:
    assert f1_by_label(np.array([[2, 0], [0, 0]])).tolist() == [1, 0]
    assert measure(np.array([[0.9, 0.1]]), np.array([0]), np.array([True]))["macro_f1"] == 1


def test_where_nothing_passes_nothing_passes_wrongly() -> None:
    measured = measure(np.array([[0.9, 0.1]]), np.array([1]), np.array([False]))

    assert (measured["passed"], measured["passed_accuracy"]) == (0, 1)


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
    assert (split.images[1] == pixels).all(), "training sees what serving sees"


def test_several_folders_are_read_as_one(tmp_path: Path) -> None:
    """The second may lack a label, as a small one will."""
    write_photos(tmp_path / "train", ("hat", "pants", "t-shirt"))
    write_photos(tmp_path / "extra", ("t-shirt",))

    split = read_split([tmp_path / "train", tmp_path / "extra"], 16)

    assert split.labels == ("hat", "pants", "t-shirt")
    assert split.targets.tolist() == [0, 1, 2, 2]
    assert split.files[3] == tmp_path / "extra" / "t-shirt" / "1.jpg"


def test_what_is_wrong_with_a_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no folder"):
        label_folders(tmp_path / "missing")
    with pytest.raises(DatasetError, match="no label folders"):
        label_folders(tmp_path)
    write_photos(tmp_path, ("hat",))
    with pytest.raises(DatasetError, match="two at least"):
        read_split(tmp_path, 16)
    write_photos(tmp_path, ("pants",))
    with pytest.raises(DatasetError, match=r"no labels: pants\. Known: hat, shoes"):
        read_split(tmp_path, 16, ("hat", "shoes"))
    (tmp_path / "hat" / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(DatasetError, match=r"broken\.jpg: The image is damaged"):
        read_split(tmp_path, 16)
    for photo in (tmp_path / "hat").iterdir():
        photo.unlink()
    with pytest.raises(DatasetError, match="holds no photos"):
        read_split(tmp_path, 16)


def test_photos_are_known_by_their_senders(tmp_path: Path) -> None:
    """A photo that the table lacks is nobody else's."""
    (tmp_path / "senders.csv").write_text("image,split,label,sender_id,kids\na,train,hat,7,True\nb,train,hat,7,False\n")

    found = read_provenance(tmp_path, [Path("hat/a.jpg"), Path("pants/b.png"), Path("hat/c.jpg"), Path("hat/d.jpg")])

    assert found.senders[0] == found.senders[1] == "7"
    assert len(set(found.senders)) == 3
    assert found.kids.tolist() == [True, False, False, False]


def test_without_a_table_every_photo_has_its_own_sender(tmp_path: Path) -> None:
    found = read_provenance(tmp_path, [Path("hat/a.jpg"), Path("pants/a.jpg")])

    assert len(set(found.senders)) == 2
    assert not found.kids.any()


def test_a_table_without_senders_is_told(tmp_path: Path) -> None:
    (tmp_path / "senders.csv").write_text("image,label\n")

    with pytest.raises(DatasetError, match="lacks the columns kids, sender_id"):
        read_provenance(tmp_path, [])


def test_the_fingerprint_tells_photos_and_labels_apart(tmp_path: Path) -> None:
    write_photos(tmp_path, ("hat", "pants"))
    files = [tmp_path / "hat" / "1.jpg", tmp_path / "pants" / "1.jpg"]
    before = fingerprint(tmp_path, files)

    assert fingerprint(tmp_path, files[::-1]) == before
    files[1].write_bytes(encoded(garment("t-shirt")))
    changed = fingerprint(tmp_path, files)
    assert changed != before
    assert fingerprint(tmp_path, [files[0], files[1].rename(tmp_path / "hat" / "2.jpg")]) not in {before, changed}


def test_a_photo_of_every_size_is_a_square(tmp_path: Path) -> None:
    for label, size in (("a", (10, 300)), ("b", (300, 10))):
        (tmp_path / label).mkdir()
        (tmp_path / label / "1.png").write_bytes(encoded(Image.new("RGB", size), "PNG"))

    assert read_split(tmp_path, 32).images.shape == (2, 32, 32, 3)


def test_reliability_tells_confidence_and_accuracy_by_bin() -> None:
    bins = reliability(np.array([0.99, 0.97, 1.0, 0.5]), np.array([True, True, False, True]))

    assert bins == {14: (3, pytest.approx(0.98667, abs=1e-5), pytest.approx(2 / 3)), 7: (1, 0.5, 1.0)}
