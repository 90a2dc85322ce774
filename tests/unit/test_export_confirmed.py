"""Photos with confirmed labels become a folder to train on."""

from pathlib import Path

import pytest
from PIL import Image

from classifier.indexes import Filter
from classifier.records import Page, Records
from classifier.services import Services
from tests.support.api import Api, handle
from tests.support.bucket import Bucket
from tests.support.drawings import encoded, photo
from tests.support.events import s3_event
from tests.support.services import replace_parts
from training import export_confirmed
from evaluation.dataset import read_photo_metadata, read_split
from training.export_confirmed import export

CONFIRMED = {
    "listing-1/front.jpg": "t-shirt",
    "listing-1/back.jpg": "t-shirt",
    "listing-2/a.jpg": "hat",
    "alone.jpg": "pants",
}


@pytest.fixture
def confirmed(api: Api, bucket: Bucket) -> Services:
    """Services with four confirmed uploads, an unconfirmed one, and a confirmed photo that is not an upload."""
    for number, name in enumerate([*CONFIRMED, "listing-1/unconfirmed.jpg"]):
        bucket.put(f"uploads/{name}", photo("pants", (300 + number, 300)))
        handle(s3_event(f"uploads/{name}"), api.services)
    for name, label in CONFIRMED.items():
        assert api.request("PUT", f"/confirmations/{name}", {"label": label}).status == 200
    not_uploaded = api.request("POST", "/classifications", body=photo("t-shirt")).json["id"]
    api.request("PUT", f"/confirmations/{not_uploaded}", {"label": "hat"})
    return api.services


class OneRecordPerPage:
    """The table with pages of a single record."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def page(self, wanted: Filter, _limit: int, position: str | None = None) -> Page:
        return self._records.page(wanted, 1, position)


def test_photos_are_exported_by_confirmed_label(confirmed: Services, tmp_path: Path) -> None:
    assert export(tmp_path, confirmed) == 4

    split = read_split(tmp_path / "train", 32)
    assert split.labels == ("hat", "pants", "t-shirt")
    assert [split.labels[target] for target in split.targets] == ["hat", "pants", "t-shirt", "t-shirt"]


def test_the_photos_of_a_listing_have_one_sender(confirmed: Services, tmp_path: Path) -> None:
    export(tmp_path, confirmed)

    files = read_split(tmp_path / "train", 32).files
    sender_ids = read_photo_metadata(tmp_path, files).sender_ids
    assert sender_ids.tolist() == ["listing-2", "alone.jpg", "listing-1", "listing-1"]


def test_the_files_are_those_that_were_uploaded(confirmed: Services, tmp_path: Path) -> None:
    export(tmp_path, confirmed)

    files = [file.read_bytes() for file in (tmp_path / "train").glob("*/*.jpeg")]
    assert sorted(files) == sorted(photo("pants", (300 + number, 300)) for number in range(4))


def test_photos_that_were_replaced_or_deleted_are_left_out(confirmed: Services, bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("uploads/alone.jpg", photo("t-shirt"))
    bucket.delete("uploads/listing-2/a.jpg")

    assert export(tmp_path, confirmed) == 2
    assert {file.parent.name for file in (tmp_path / "train").glob("*/*")} == {"t-shirt"}


def test_the_answer_about_a_listing_counts_for_the_photos_that_the_model_is_sure_about(
    api: Api, bucket: Bucket, tmp_path: Path
) -> None:
    """Another one may show the care label."""
    for name, content in {"front": photo("pants"), "label": encoded(Image.new("RGB", (300, 300)))}.items():
        bucket.put(f"uploads/listing-1/{name}.jpg", content)
        handle(s3_event(f"uploads/listing-1/{name}.jpg"), api.services)
    api.request("PUT", "/batches/listing-1/confirmation", {"label": "shorts"})

    assert export(tmp_path, api.services) == 1
    assert [file.read_bytes() for file in tmp_path.glob("train/shorts/*")] == [photo("pants")]
    api.request("PUT", "/confirmations/listing-1/label.jpg", {"label": "shorts"})
    assert export(tmp_path, api.services) == 2


def test_photos_that_show_none_of_the_labels_are_left_out(confirmed: Services, api: Api, tmp_path: Path) -> None:
    api.request("PUT", "/confirmations/alone.jpg", {"label": None})

    assert export(tmp_path, confirmed) == 3


def test_all_pages_are_exported(confirmed: Services, tmp_path: Path) -> None:
    paged = replace_parts(confirmed, records=OneRecordPerPage(confirmed.records))

    assert export(tmp_path, paged) == 4


@pytest.mark.usefixtures("confirmed")
def test_the_command_makes_the_folder_and_prints_the_number_of_photos(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "deep" / "folder"
    monkeypatch.setattr("sys.argv", ["export_confirmed", str(folder)])

    export_confirmed.main()

    assert capsys.readouterr().out == f"Exported 4 photos into {folder}.\n"
    assert len((folder / "senders.csv").read_text().splitlines()) == 5


def test_without_confirmed_photos_the_table_is_empty(services: Services, tmp_path: Path) -> None:
    assert export(tmp_path, services) == 0
    assert (tmp_path / "senders.csv").read_text().splitlines() == ["image,sender_id,kids"]
