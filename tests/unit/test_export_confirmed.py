"""Photos with confirmed labels become a data set to train on."""

import csv
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError, NoCredentialsError, NoRegionError
from PIL import Image

from classifier.classification import Classification, Confirmation, Person, Source, Status
from classifier.confirmations import confirm, confirm_listing, take_back
from classifier.indexes import Filter, index_keys
from classifier.items import to_item
from classifier.records import Page, Records
from classifier.services import Services
from evaluation.dataset import find_training_folders, list_photos, list_split, read_about, read_photo_metadata
from local.aws import TABLE
from tests.support.api import Api, handle
from tests.support.bucket import Bucket, S3Client, with_s3
from tests.support.drawings import encoded, photo
from tests.support.events import failed_event, queue_event, s3_event
from tests.support.events import message as queue_message
from tests.support.services import map_in_order, replace_parts
from training.export_confirmed import (
    STAGING_FOLDER,
    Export,
    ExportError,
    LeftOut,
    describe,
    explain,
    export,
    find_confirmed,
    find_notes,
    main,
    why_left_out,
)

_MOVES = 7  # of files and folders, by which a run replaces what the folder has
BOTH = (Person.SHOP, Person.SELLER)
CONFIRMED = {
    "listing-1/front.jpg": "t-shirt",
    "listing-1/back.jpg": "t-shirt",
    "listing-2/a.jpg": "hat",
    "alone.jpg": "pants",
}


Upload = Callable[..., bytes]


@pytest.fixture
def upload(bucket: Bucket, services: Services) -> Upload:
    """A function that uploads a photo that is like no other, and lets the function classify it."""
    sizes = iter(range(300, 1000))

    def put(photo_id: str, content: bytes | None = None) -> bytes:
        data = content or photo("pants", (next(sizes), 300))
        bucket.put(f"uploads/{photo_id}", data)
        handle(s3_event(f"uploads/{photo_id}"), services)
        return data

    return put


@pytest.fixture
def confirmed(upload: Upload, services: Services) -> dict[str, bytes]:
    """The bytes of four confirmed photos, by their ids; there is also an unconfirmed one."""
    photos = {name: upload(name) for name in CONFIRMED}
    upload("listing-1/unconfirmed.jpg")
    for name, label in CONFIRMED.items():
        confirm(name, label, Person.SHOP, services)
    return photos


class OneRecordPerPage:
    """The table with pages of a single record."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def page(self, wanted: Filter, _limit: int, position: str | None = None) -> Page:
        return self._records.page(wanted, 1, position)


def read_folder(folder: Path) -> dict[str, list[bytes]]:
    """Return the sorted photos of the data set by their folder."""
    found: dict[str, list[bytes]] = {}
    for path in folder.glob("train/*/*"):
        found.setdefault(path.parent.name, []).append(path.read_bytes())
    unknown = [path.read_bytes() for path in folder.glob("unknown/*")]
    return {name: sorted(photos) for name, photos in {**found, **({"unknown": unknown} if unknown else {})}.items()}


def by_label(photos: dict[str, bytes], labels: dict[str, str]) -> dict[str, list[bytes]]:
    """Return the sorted photos by their label."""
    return {
        label: sorted(photos[name] for name in labels if labels[name] == label)
        for label in sorted(set(labels.values()))
    }


def list_files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# What is exported


def test_photos_are_exported_by_confirmed_label(
    confirmed: dict[str, bytes], services: Services, tmp_path: Path
) -> None:
    done = export(tmp_path, services)

    assert done.exported == {"t-shirt": 2, "hat": 1, "pants": 1}
    assert read_folder(tmp_path) == by_label(confirmed, CONFIRMED)


@pytest.mark.usefixtures("confirmed")
def test_the_folder_is_a_data_set_that_training_reads(services: Services, tmp_path: Path) -> None:
    export(tmp_path, services)

    photos = list_split(find_training_folders(tmp_path))
    about = read_about(tmp_path)
    assert photos.labels == ("hat", "pants", "t-shirt")
    assert about
    assert about.name == f"photos confirmed by the shop until {datetime.now(UTC):%Y-%m-%d}"
    assert about.licence is None


@pytest.mark.usefixtures("confirmed")
def test_the_photos_of_a_listing_have_one_sender(services: Services, tmp_path: Path) -> None:
    confirm("listing-1/back.jpg", None, Person.SHOP, services)

    export(tmp_path, services)

    labelled = read_photo_metadata(tmp_path, list_split(find_training_folders(tmp_path)).files)
    unknown = read_photo_metadata(tmp_path, list_photos(tmp_path / "unknown"))
    assert labelled.sender_ids.tolist() == ["listing-2", "alone.jpg", "listing-1"]
    assert unknown.sender_ids.tolist() == ["listing-1"]


@pytest.mark.usefixtures("confirmed")
def test_photos_csv_says_whose_file_each_one_is(services: Services, tmp_path: Path) -> None:
    export(tmp_path, services)

    with (tmp_path / "photos.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert {row["id"]: row["label"] for row in rows} == CONFIRMED
    assert {(row["by"], row["of_listing"]) for row in rows} == {("shop", "False")}
    assert all((tmp_path / row["file"]).is_file() for row in rows)


def test_photos_of_none_of_the_labels_are_unknown_ones(
    confirmed: dict[str, bytes], api: Api, services: Services, tmp_path: Path
) -> None:
    assert api.request("PUT", "/confirmations/alone.jpg", {"label": None}).status == 200

    done = export(tmp_path, services)

    assert done.exported == {"t-shirt": 2, "hat": 1, None: 1}
    assert read_folder(tmp_path)["unknown"] == [confirmed["alone.jpg"]]


def test_ids_need_not_be_names_of_files(upload: Upload, services: Services, tmp_path: Path) -> None:
    ids = [
        "Größe 40/a b/ñ 👕.jpg",
        "../up.jpg",
        "x/..",
        'quote", line\nend/1',
        "x" * 1000,
        "no extension",
        "a/A",
        "a/a",
    ]
    photos = {name: upload(name) for name in ids}
    for name in ids:
        confirm(name, "hat", Person.SHOP, services)

    export(tmp_path / "out", services)

    files = list_photos(tmp_path / "out/train/hat")
    senders = read_photo_metadata(tmp_path / "out", files).sender_ids.tolist()
    assert sorted(file.read_bytes() for file in files) == sorted(photos.values())
    assert Counter(senders) == Counter(
        ["Größe 40", "..", "x", 'quote", line\nend', "x" * 1000, "no extension", "a", "a"]
    )


# Whose answers count


def test_only_the_shop_is_trusted_unless_others_are_named(upload: Upload, services: Services, tmp_path: Path) -> None:
    photos = {name: upload(name) for name in ("by-shop.jpg", "by-seller.jpg")}
    confirm("by-shop.jpg", "hat", Person.SHOP, services)
    confirm("by-seller.jpg", "pants", Person.SELLER, services)

    shop = export(tmp_path, services)

    assert (shop.exported, shop.left_out[LeftOut.SELLER]) == ({"hat": 1}, 1)
    assert read_folder(tmp_path) == {"hat": [photos["by-shop.jpg"]]}
    assert export(tmp_path, services, BOTH).exported == {"hat": 1, "pants": 1}
    assert "confirmed by the shop and sellers until" in (tmp_path / "dataset.toml").read_text()
    seller = export(tmp_path, services, [Person.SELLER])
    assert (seller.exported, seller.left_out[LeftOut.SHOP]) == ({"pants": 1}, 1)


def test_the_last_answer_about_a_photo_counts(upload: Upload, services: Services, tmp_path: Path) -> None:
    upload("one.jpg")
    confirm("one.jpg", "hat", Person.SHOP, services)
    confirm("one.jpg", "pants", Person.SELLER, services)

    assert export(tmp_path, services).exported == {}


@pytest.mark.parametrize("label", ["shorts", None])
def test_the_answer_about_a_listing_counts_for_the_photos_that_the_model_is_sure_about(
    label: str | None, upload: Upload, services: Services, tmp_path: Path
) -> None:
    """Another one may show the care label."""
    sure = upload("listing-1/front.jpg", photo("pants"))
    upload("listing-1/label.jpg", encoded(Image.new("RGB", (300, 300))))
    confirm_listing("listing-1", label, Person.SHOP, services)

    done = export(tmp_path, services)

    assert (done.exported, done.left_out[LeftOut.UNSURE]) == ({label: 1}, 1)
    assert read_folder(tmp_path) == {label or "unknown": [sure]}
    confirm("listing-1/label.jpg", label, Person.SHOP, services)
    assert export(tmp_path, services).exported == {label: 2}


# What is left out


def test_photos_that_came_with_a_request_are_left_out(api: Api, services: Services, tmp_path: Path) -> None:
    photo_id = api.request("POST", "/classifications", body=photo("t-shirt")).json["id"]
    confirm(photo_id, "hat", Person.SHOP, services)

    assert export(tmp_path, services).left_out[LeftOut.NOT_KEPT] == 1


def test_photos_without_a_result_are_left_out(
    upload: Upload, bucket: Bucket, services: Services, tmp_path: Path
) -> None:
    upload("no-photo.jpg", b"no photo")
    bucket.put("uploads/fault.jpg", photo())
    handle(queue_event(queue_message(failed_event("uploads/fault.jpg"))), services)
    bucket.put("uploads/pending.jpg", photo())
    for name in ("no-photo.jpg", "fault.jpg", "pending.jpg"):
        confirm(name, "hat", Person.SHOP, services)

    assert export(tmp_path, services).left_out[LeftOut.NOT_CLASSIFIED] == 3


@pytest.mark.usefixtures("confirmed")
def test_labels_that_the_model_does_not_have_are_left_out(api: Api, services: Services, tmp_path: Path) -> None:
    """The API refuses them, but an older model may have had them."""
    assert api.request("PUT", "/confirmations/alone.jpg", {"label": "cape"}).status == 400
    confirm("alone.jpg", "cape", Person.SHOP, services)

    done = export(tmp_path, services)

    assert done.left_out[LeftOut.OTHER_LABEL] == 1
    assert not (tmp_path / "train/cape").exists()


@pytest.mark.usefixtures("confirmed")
def test_photos_that_training_would_refuse_are_left_out(services: Services) -> None:
    """The function can have higher limits."""
    one = services.records.read("alone.jpg").classification
    assert one
    assert one.image
    wide, heavy = replace(one.image, width=30_000), replace(one.image, bytes=100_000_000)
    labels = services.description.labels

    assert why_left_out(one, BOTH, labels) is None
    assert why_left_out(replace(one, image=wide), BOTH, labels) is LeftOut.TOO_LARGE
    assert why_left_out(replace(one, image=heavy), BOTH, labels) is LeftOut.TOO_LARGE


def test_photos_that_were_replaced_or_deleted_are_left_out(
    confirmed: dict[str, bytes], services: Services, bucket: Bucket, tmp_path: Path
) -> None:
    bucket.put("uploads/alone.jpg", photo("t-shirt"))
    bucket.put("uploads/listing-1/back.jpg", confirmed["listing-1/back.jpg"][:-1] + b"\0")
    bucket.delete("uploads/listing-2/a.jpg")

    done = export(tmp_path, services)

    assert done.left_out[LeftOut.GONE] == 3
    assert read_folder(tmp_path) == {"t-shirt": [confirmed["listing-1/front.jpg"]]}


def test_a_photo_that_was_uploaded_again_is_the_same(
    confirmed: dict[str, bytes], services: Services, bucket: Bucket, tmp_path: Path
) -> None:
    export(tmp_path, services)
    bucket.put("uploads/alone.jpg", confirmed["alone.jpg"])

    assert export(tmp_path, services).exported["pants"] == 1


@pytest.mark.usefixtures("confirmed")
def test_a_bucket_without_any_of_the_photos_is_not_that_of_the_table(
    services: Services, bucket: Bucket, tmp_path: Path
) -> None:
    export(tmp_path, services)
    before = list_files(tmp_path)
    bucket.client.create_bucket(Bucket="other")
    other = replace_parts(services, bucket=replace(services.bucket, name="other"))

    with pytest.raises(ExportError, match="other has none of the 4 photos"):
        export(tmp_path, other)
    assert {name: data for name, data in list_files(tmp_path).items() if not name.startswith(".")} == before


# Many records


def test_all_pages_are_exported(confirmed: dict[str, bytes], services: Services, tmp_path: Path) -> None:
    paged = replace_parts(services, records=OneRecordPerPage(services.records))

    export(tmp_path, paged)

    assert read_folder(tmp_path) == by_label(confirmed, CONFIRMED)


def test_thousands_of_confirmed_records_are_found_once(services: Services, session: boto3.Session) -> None:
    start, labels = datetime(2026, 1, 1, tzinfo=UTC), ["hat", "pants", None]
    with session.resource("dynamodb").Table(TABLE).batch_writer() as table:
        for number in range(2300):
            said = Confirmation(labels[number % 3], Person.SHOP, start)
            created_at = start + timedelta(seconds=number // 7)  # several at a time
            one = Classification(f"listing/{number}", Status.SUCCEEDED, Source.S3, created_at, {}, confirmation=said)
            table.put_item(Item={**to_item(one), **index_keys(one, 1)})

    found = list(find_confirmed(services))

    assert len(found) == len({one.id for one in found}) == 2300
    assert Counter(one.confirmed_label for one in found) == {"hat": 767, "pants": 767, None: 766}


def test_a_record_that_changes_meanwhile_is_found_once(services: Services, confirmed: dict[str, bytes]) -> None:
    class Repeating(OneRecordPerPage):
        def page(self, wanted: Filter, _limit: int, position: str | None = None) -> Page:
            page = super().page(wanted, 1, position)
            return Page(page.classifications * 2, page.position)

    found = list(find_confirmed(replace_parts(services, records=Repeating(services.records))))

    assert sorted(one.id for one in found) == sorted(confirmed)


# The next run


def test_another_run_makes_the_folder_right(
    confirmed: dict[str, bytes], upload: Upload, services: Services, tmp_path: Path
) -> None:
    confirm("listing-2/a.jpg", None, Person.SHOP, services)
    export(tmp_path, services)
    take_back("alone.jpg", services)
    confirm("listing-1/back.jpg", "shirt", Person.SHOP, services)
    take_back("listing-2/a.jpg", services)
    new = upload("new.jpg")
    confirm("new.jpg", "hat", Person.SHOP, services)

    export(tmp_path, services)

    front, back = confirmed["listing-1/front.jpg"], confirmed["listing-1/back.jpg"]
    assert read_folder(tmp_path) == {"t-shirt": [front], "shirt": [back], "hat": [new]}
    assert {path.name for path in tmp_path.iterdir()} == {"train", "senders.csv", "photos.csv", "dataset.toml"}
    assert len((tmp_path / "senders.csv").read_text().splitlines()) == 4


@pytest.mark.usefixtures("confirmed")
def test_another_run_reads_only_new_photos(upload: Upload, services: Services, tmp_path: Path) -> None:
    client = S3Client(services.bucket.client)
    watched = with_s3(services, client)
    export(tmp_path, watched)
    confirm("listing-1/back.jpg", "shirt", Person.SHOP, services)
    upload("new.jpg")
    confirm("new.jpg", "hat", Person.SHOP, services)
    client.requests.clear()

    export(tmp_path, watched)

    assert [request["Key"] for request in client.requests] == ["uploads/new.jpg"]


def test_a_file_that_was_changed_is_read_again(confirmed: dict[str, bytes], services: Services, tmp_path: Path) -> None:
    export(tmp_path, services)
    next(tmp_path.glob("train/hat/*")).write_bytes(b"changed")

    export(tmp_path, services)

    assert read_folder(tmp_path) == by_label(confirmed, CONFIRMED)


def test_without_hard_links_files_are_copied(
    confirmed: dict[str, bytes], services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    export(tmp_path, services)
    monkeypatch.setattr(Path, "hardlink_to", refuse)

    export(tmp_path, services)

    assert read_folder(tmp_path) == by_label(confirmed, CONFIRMED)


def test_a_run_that_fails_leaves_the_folder_as_it_was_and_the_next_one_goes_on(
    confirmed: dict[str, bytes], services: Services, tmp_path: Path
) -> None:
    export(tmp_path, services)
    before = list_files(tmp_path)
    for label, name in zip(("dress", "skirt"), ("alone.jpg", "listing-2/a.jpg"), strict=True):
        confirm(name, label, Person.SHOP, services)
    client = S3Client(services.bucket.client, OSError("The network is down."), "alone")
    next(tmp_path.glob("train/pants/*")).write_bytes(b"has to be read again")
    before = list_files(tmp_path)
    failing = replace_parts(with_s3(services, client), map=map_in_order)

    with pytest.raises(OSError, match="The network is down"):
        export(tmp_path, failing)

    assert {name: data for name, data in list_files(tmp_path).items() if not name.startswith(".")} == before
    client.error = None
    export(tmp_path, failing)
    labels = {**CONFIRMED, "alone.jpg": "dress", "listing-2/a.jpg": "skirt"}
    assert read_folder(tmp_path) == by_label(confirmed, labels)
    assert not (tmp_path / STAGING_FOLDER).exists()


def test_the_first_run_goes_on_where_it_failed(confirmed: dict[str, bytes], services: Services, tmp_path: Path) -> None:
    client = S3Client(services.bucket.client, OSError("The network is down."), "listing-1/front")  # the first upload
    failing = replace_parts(with_s3(services, client), map=map_in_order)
    with pytest.raises(OSError, match="The network is down"):
        export(tmp_path, failing)
    assert [path.name for path in tmp_path.iterdir()] == [STAGING_FOLDER]
    client.error = None
    client.requests.clear()

    export(tmp_path, failing)

    assert [request["Key"] for request in client.requests] == ["uploads/listing-1/front.jpg"]
    assert read_folder(tmp_path) == by_label(confirmed, CONFIRMED)


def test_whenever_a_run_ends_no_runs_are_mixed(
    confirmed: dict[str, bytes], services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Either the folder has the photos of one run, or there is no `train`, and training refuses it."""
    labels: list[str | None] = ["pants", None]
    for moves in range(_MOVES):
        export(tmp_path, services)
        old = read_folder(tmp_path)
        confirm("alone.jpg", labels[moves % 2], Person.SHOP, services)
        confirm("listing-2/a.jpg", labels[1 - moves % 2], Person.SHOP, services)
        with monkeypatch.context() as context:
            end_after(moves, context)
            with pytest.raises(KeyboardInterrupt):
                export(tmp_path, services)

        assert not (tmp_path / "train").exists() or read_folder(tmp_path) == old
        export(tmp_path, services)
        unknown = confirmed[("alone.jpg", "listing-2/a.jpg")[1 - moves % 2]]
        assert read_folder(tmp_path)["unknown"] == [unknown]
        assert len(list_files(tmp_path)) == len(CONFIRMED) + 3


def test_a_run_moves_nothing_more(
    confirmed: dict[str, bytes], services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test above ends a run at each of its moves."""
    confirm("alone.jpg", None, Person.SHOP, services)
    export(tmp_path, services)
    end_after(_MOVES, monkeypatch)

    export(tmp_path, services)


def end_after(moves: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the process be interrupted when it moves a file or folder for the next time after so many."""
    left = iter(range(moves))

    def interrupt(move: Any) -> Any:
        def moved(path: Path, target: Path) -> Path:
            if next(left, None) is None:
                raise KeyboardInterrupt
            moved_path: Path = move(path, target)
            return moved_path

        return moved

    for name in ("rename", "replace"):
        monkeypatch.setattr(Path, name, interrupt(getattr(Path, name)))


# Folders of others


def test_a_file_is_refused(services: Services, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ExportError, match="file is a file"):
        export(tmp_path / "file", services)


@pytest.mark.parametrize(
    "name",
    ["notes.txt", "senders.csv", "dataset.toml", "train/hat/1.jpg", "test/hat/1.jpg", "train/.hidden", "photos.csv"],
)
@pytest.mark.usefixtures("confirmed")
def test_a_folder_with_files_of_others_is_refused_and_stays(services: Services, tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("image,sender_id,kids\n")

    with pytest.raises(ExportError, match=f"has {name}, which this command did not write"):
        export(tmp_path, services)
    assert list_files(tmp_path) == {name: b"image,sender_id,kids\n"}


@pytest.mark.parametrize("name", ["train/pants/mine.jpg", "unknown/mine.jpg", "validation/hat/1.jpg", "README.md"])
@pytest.mark.usefixtures("confirmed")
def test_files_that_others_added_are_not_deleted(services: Services, tmp_path: Path, name: str) -> None:
    export(tmp_path, services)
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).touch()
    before = list_files(tmp_path)

    with pytest.raises(ExportError, match=f"has {name}, which"):
        export(tmp_path, services)
    assert list_files(tmp_path) == before


@pytest.mark.usefixtures("confirmed")
def test_a_photo_that_somebody_moved_to_another_label_is_not_deleted(services: Services, tmp_path: Path) -> None:
    export(tmp_path, services)
    file = next(tmp_path.glob("train/hat/*"))
    file.rename(tmp_path / "train/pants" / file.name)

    with pytest.raises(ExportError, match="has train/pants/"):
        export(tmp_path, services)


@pytest.mark.usefixtures("confirmed")
def test_a_link_to_photos_elsewhere_is_refused(services: Services, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out/train").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(ExportError, match="has train, which"):
        export(tmp_path / "out", services)


def test_hidden_files_beside_and_those_of_file_managers_do_no_harm(
    confirmed: dict[str, bytes], services: Services, tmp_path: Path
) -> None:
    export(tmp_path, services)
    (tmp_path / ".gitignore").write_text("*")
    for name in (".DS_Store", "train/.DS_Store", "train/hat/Thumbs.db"):
        (tmp_path / name).touch()

    export(tmp_path, services)

    assert (tmp_path / ".gitignore").read_text() == "*"
    assert read_folder(tmp_path) == by_label(confirmed, CONFIRMED)


# The command


@pytest.mark.usefixtures("confirmed")
def test_the_command_makes_the_folder_and_says_what_it_has(
    tmp_path: Path, services: Services, capsys: pytest.CaptureFixture[str]
) -> None:
    confirm("alone.jpg", "pants", Person.SELLER, services)
    folder = tmp_path / "deep" / "folder"

    assert main([str(folder)]) == 0

    said = capsys.readouterr()
    assert f"Exported 3 photos into {folder}:\n" in said.out
    assert "\n  t-shirt                  2\n" in said.out
    assert "\n  1 confirmed by sellers, whose answers do not count" in said.out
    assert "fewer than 20 photos of dress (0), hat (1), " in said.err
    assert len((folder / "senders.csv").read_text().splitlines()) == 4
    assert main([str(folder), "--by", "shop", "seller"]) == 0
    assert "Exported 4 photos" in capsys.readouterr().out


def test_the_command_finds_the_records_of_all_shards(upload: Upload, services: Services, tmp_path: Path) -> None:
    """Whoever exports need not know how many shards the stack has."""
    records = Records(services.records.client, TABLE, 16, services.map)
    sharded = replace_parts(services, records=records)
    for number in range(12):
        upload(f"{number}.jpg")
        confirm(f"{number}.jpg", "hat", Person.SHOP, sharded)
    assert len(list(find_confirmed(services))) < 12

    assert main([str(tmp_path)]) == 0

    assert len(list_photos(tmp_path / "train/hat")) == 12


def test_without_confirmed_labels_there_is_nothing_to_train_on(
    upload: Upload, services: Services, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    upload("one.jpg")
    confirm("one.jpg", None, Person.SHOP, services)

    assert main([str(tmp_path)]) == 1

    said = capsys.readouterr()
    assert "none of the labels       1" in said.out
    assert said.err == "confirmed: No photo has a confirmed label that counts. There is nothing to train on.\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dataset.toml", "photos.csv", "senders.csv", "unknown"]


def test_an_export_without_labels_keeps_the_one_before(
    upload: Upload, services: Services, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    upload("one.jpg")
    confirm("one.jpg", "hat", Person.SHOP, services)
    assert main([str(tmp_path)]) == 0
    confirm("one.jpg", None, Person.SHOP, services)

    assert main([str(tmp_path)]) == 1

    assert f"{tmp_path} keeps the photos of the run before." in capsys.readouterr().err
    assert len(list_photos(tmp_path / "train" / "hat")) == 1


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("TABLE_NAME", "missing", "There is no table missing in this region. Set TABLE_NAME to the stack's output."),
        ("BUCKET_NAME", "missing", "There is no bucket missing. Set BUCKET_NAME to the stack's output."),
        (
            "BUCKET_NAME",
            "",
            "BUCKET_NAME is not set. BUCKET_NAME and TABLE_NAME are the stack's outputs BucketName and TableName.",
        ),
        ("MODEL_DIR", "missing", "[Errno 2] No such file or directory: 'missing/model.json'"),
    ],
)
@pytest.mark.usefixtures("confirmed")
def test_errors_are_sentences(  # noqa: PLR0917 - the fixtures
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    value: str,
    message: str,
) -> None:
    monkeypatch.setenv(name, value)

    assert main([str(tmp_path / "out")]) == 1

    assert capsys.readouterr().err == f"confirmed: {message}\n"
    assert not (tmp_path / "out").exists()


def test_what_the_sdk_lacks_is_named() -> None:
    unreachable = EndpointConnectionError(endpoint_url="http://127.0.0.1:5000/")

    assert "Set AWS_PROFILE" in explain(NoCredentialsError(), {})
    assert "Set AWS_DEFAULT_REGION" in explain(NoRegionError(), {})
    assert "Start the local system" in explain(unreachable, {"AWS_ENDPOINT_URL": "http://127.0.0.1:5000"})
    assert "local" not in explain(unreachable, {})


def test_a_refusal_names_the_permissions(services: Services) -> None:
    errors = services.bucket.client.exceptions
    refusal = errors.ClientError({"Error": {"Code": "403", "Message": "Forbidden"}}, "HeadObject")

    assert "s3:ListBucket" in explain(refusal, {})


@pytest.mark.usefixtures("confirmed")
def test_an_interrupted_command_says_what_the_folder_has(
    tmp_path: Path, services: Services, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    end_after(0, monkeypatch)
    assert main([str(tmp_path)]) == 130
    first = capsys.readouterr().err
    monkeypatch.undo()
    assert main([str(tmp_path)]) == 0
    capsys.readouterr()
    end_after(0, monkeypatch)
    assert main([str(tmp_path)]) == 130

    assert first.startswith(f"confirmed: Interrupted. {tmp_path} is not complete, and training refuses it. Run ")
    assert "still has the photos of the run before. Run the command again to go on." in capsys.readouterr().err


def test_the_report_has_each_label_and_reason() -> None:
    done = Export({"hat": 1234, None: 3}, {LeftOut.GONE: 2, LeftOut.SELLER: 1, LeftOut.UNSURE: 0})

    assert describe(done, Path("out"), ["hat", "pants"]).splitlines() == [
        "Exported 1,237 photos into out:",
        "  hat                  1,234",
        "  pants                    0",
        "  none of the labels       3",
        "Left out:",
        '  1 confirmed by sellers, whose answers do not count without BY="shop seller".',
        "  2 that were replaced or deleted since.",
    ]


def test_few_photos_are_mentioned() -> None:
    assert find_notes(Export({"hat": 20, "pants": 20}, {}), ["hat", "pants"]) == []
    few, one_label = find_notes(Export({"hat": 20}, {}), ["hat", "pants"])
    assert "fewer than 20 photos of pants (0)" in few
    assert "make retrain" in one_label
