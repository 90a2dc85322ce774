"""Photos whose labels sellers have said become a folder to train on."""

from pathlib import Path

import pytest

from api_events import s3_event
from classifier.services import Services
from conftest import Api, Bucket, handle
from drawing import photo
from training import confirmed
from training.dataset import read_provenance, read_split

SAID = {
    "listing-1/front.jpg": "t-shirt",
    "listing-1/back.jpg": "t-shirt",
    "listing-2/a.jpg": "hat",
    "alone.jpg": "pants",
}


@pytest.fixture
def sold(api: Api, bucket: Bucket) -> Services:
    """Four photos whose labels were said, and others."""
    for number, name in enumerate([*SAID, "listing-1/unsaid.jpg"]):
        bucket.put(f"uploads/{name}", photo("pants", (300 + number, 300)))
        handle(s3_event(f"uploads/{name}"), api.services)
    for name, label in SAID.items():
        assert api.request("PUT", f"/confirmations/{name}", {"label": label}).status == 200
    by_url = api.request("POST", "/classifications", body=photo("t-shirt")).json["id"]
    api.request("PUT", f"/confirmations/{by_url}", {"label": "hat"})
    return api.services


def test_they_are_sorted_by_what_their_sellers_said(sold: Services, tmp_path: Path) -> None:
    assert confirmed.export(tmp_path, sold) == 4

    split = read_split(tmp_path / "train", 32)
    assert split.labels == ("hat", "pants", "t-shirt")
    assert [split.labels[target] for target in split.targets] == ["hat", "pants", "t-shirt", "t-shirt"]
    senders = dict(
        zip([file.parent.name for file in split.files], read_provenance(tmp_path, split.files).senders, strict=True)
    )
    assert senders == {"hat": "listing-2", "pants": "alone.jpg", "t-shirt": "listing-1"}


def test_the_photos_are_those_that_were_uploaded(sold: Services, tmp_path: Path) -> None:
    confirmed.export(tmp_path, sold)

    files = [file.read_bytes() for file in (tmp_path / "train").glob("*/*.jpeg")]
    assert sorted(files) == sorted(photo("pants", (300 + number, 300)) for number in range(4))


def test_a_photo_that_is_another_by_now_is_left_out(sold: Services, bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("uploads/alone.jpg", photo("t-shirt"))
    bucket.delete("uploads/listing-2/a.jpg")

    assert confirmed.export(tmp_path, sold) == 2
    assert {file.parent.name for file in (tmp_path / "train").glob("*/*")} == {"t-shirt"}


def test_more_than_a_page_are_all_there(
    sold: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(confirmed, "_PAGE", 1)
    monkeypatch.setattr("sys.argv", ["confirmed", str(tmp_path / "deep" / "folder")])

    confirmed.main()

    assert "4 photos are in" in capsys.readouterr().out
    assert len((tmp_path / "deep" / "folder" / "senders.csv").read_text().splitlines()) == 5


def test_without_any_there_is_an_empty_table(services: Services, tmp_path: Path) -> None:
    assert confirmed.export(tmp_path, services) == 0
    assert (tmp_path / "senders.csv").read_text().splitlines() == ["image,sender_id,kids"]
