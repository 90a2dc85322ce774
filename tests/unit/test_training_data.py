"""The photos of a training run: what identifies them, and which data sets they come from."""

from pathlib import Path

import pytest

from evaluation.dataset import DatasetError
from tests.support.drawings import encoded, garment
from training.data import TrainingPhotos, list_test_photos


def write_data(folder: Path, senders: str = "") -> Path:
    """Write a photo of each of two labels, and a table with the sender of the first one."""
    for label in ("hat", "pants"):
        (folder / "train" / label).mkdir(parents=True, exist_ok=True)
        (folder / "train" / label / f"{label}.jpg").write_bytes(encoded(garment("pants"), quality=len(label)))
    if senders:
        (folder / "senders.csv").write_text(f"image,sender_id,kids\nhat,{senders},\n")
    return folder


def test_the_hash_changes_with_photos_labels_and_senders(tmp_path: Path) -> None:
    """And with nothing else, such as the place of the folder."""
    plain = TrainingPhotos.read([write_data(tmp_path / "plain")])
    moved = TrainingPhotos.read([write_data(tmp_path / "moved")])
    sent = [TrainingPhotos.read([write_data(tmp_path / name, name)]) for name in ("a", "b")]
    other = write_data(tmp_path / "other")
    (other / "train" / "pants" / "pants.jpg").write_bytes(encoded(garment("t-shirt")))
    renamed = write_data(tmp_path / "renamed")
    (renamed / "train" / "pants").rename(renamed / "train" / "shoes")

    assert moved.sha256 == plain.sha256
    changed = {found.sha256 for found in (plain, *sent, TrainingPhotos.read([other]), TrainingPhotos.read([renamed]))}
    assert len(changed) == 5


def test_a_photo_without_a_sender_has_one_of_its_own(tmp_path: Path) -> None:
    training = TrainingPhotos.read([write_data(tmp_path / "sent", "7")])

    assert training.has_senders
    assert training.senders.tolist() == ["7", "train/pants/pants.jpg"]
    assert TrainingPhotos.read([write_data(tmp_path / "plain")]).known_senders is None


def test_test_photos_are_those_that_are_not_trained_on(tmp_path: Path) -> None:
    data = write_data(tmp_path)
    (data / "test" / "hat").mkdir(parents=True)
    (data / "test" / "hat" / "new.jpg").write_bytes(encoded(garment("t-shirt")))
    (data / "test" / "hat" / "old.jpg").write_bytes((data / "train" / "pants" / "pants.jpg").read_bytes())

    photos, left_out = list_test_photos(TrainingPhotos.read([data]))

    assert [path.name for path in photos.files] == ["new.jpg"]
    assert left_out == 1


def test_a_first_data_set_without_labels_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "unknown").mkdir()

    with pytest.raises(DatasetError, match="has no folder train"):
        TrainingPhotos.read([tmp_path])
