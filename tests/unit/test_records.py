"""Classifications to and from DynamoDB."""

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import boto3
import pytest

from classifier.errors import Busy
from classifier.records import Classification, Conflict, Failure, Image, Records, Source, Status
from local.aws import TABLE, Resources

NOW = datetime(2026, 1, 31, 12, 0, 0, 123000, UTC)
CLASSIFIED = Classification(
    id="listing-42/front.jpg",
    status=Status.SUCCEEDED,
    source=Source.S3,
    created_at=NOW,
    scores={"pants": 0.9700000000000001, "shorts": 0.02999999, "hat": 1e-30},
    model_version="mobilenet_v2-224-00000000",
    image=Image(2386088, "abc", "JPEG", 3024, 4032),
    classified_at=NOW + timedelta(seconds=1),
)
FAILED = Classification(
    id="broken.jpg",
    status=Status.FAILED,
    source=Source.S3,
    created_at=NOW,
    scores={},
    needs_review=True,
    image=Image(3, "def"),
    failure=Failure("unreadable_image", "The image is damaged or incomplete."),
)
PENDING = Classification("a/b.jpg", Status.PENDING, Source.S3, NOW, {})


@pytest.fixture
def records(aws: Resources) -> Records:
    return Records(boto3.client("dynamodb"), TABLE)


def stored(identifier: str) -> dict[str, Any]:
    item: dict[str, Any] = boto3.client("dynamodb").get_item(TableName=TABLE, Key={"id": {"S": identifier}})["Item"]
    return item


def test_json_has_the_fields_of_the_contract() -> None:
    assert CLASSIFIED.to_json() == {
        "id": "listing-42/front.jpg",
        "status": "SUCCEEDED",
        "label": "pants",
        "confidence": 0.9700000000000001,
        "needs_review": False,
        "predictions": [
            {"label": "pants", "score": 0.9700000000000001},
            {"label": "shorts", "score": 0.02999999},
            {"label": "hat", "score": 1e-30},
        ],
        "confirmed_label": None,
        "batch_id": "listing-42",
        "model_version": "mobilenet_v2-224-00000000",
        "image": {"format": "JPEG", "width": 3024, "height": 4032, "bytes": 2386088, "etag": "abc"},
        "source": "s3",
        "created_at": "2026-01-31T12:00:00.123Z",
        "classified_at": "2026-01-31T12:00:01.123Z",
        "error": None,
    }
    assert FAILED.to_json()["error"] == {"code": "unreadable_image", "message": "The image is damaged or incomplete."}


@pytest.mark.parametrize(
    ("identifier", "source", "batch_id"),
    [
        ("front.jpg", Source.S3, None),
        ("a/b/c.jpg", Source.S3, "a"),
        ("/front.jpg", Source.S3, None),
        ("a/b.jpg", Source.URL, None),
    ],
)
def test_the_batch_is_the_first_folder_of_an_upload(identifier: str, source: Source, batch_id: str | None) -> None:
    assert Classification(identifier, Status.PENDING, source, NOW, {}).batch_id == batch_id


@pytest.mark.parametrize("classification", [CLASSIFIED, FAILED, PENDING])
def test_what_was_written_is_read(records: Records, classification: Classification) -> None:
    records.write(classification, records.read(classification.id))

    assert records.read(classification.id).classification == classification


def test_an_id_without_a_row_has_neither_revision_nor_classification(records: Records) -> None:
    row = records.read("nothing")

    assert (row.id, row.revision, row.classification) == ("nothing", None, None)


def test_of_two_writers_who_read_the_same_row_the_second_conflicts(records: Records) -> None:
    for _ in range(2):  # an absent row first, then a present one
        mine, theirs = records.read(CLASSIFIED.id), records.read(CLASSIFIED.id)
        records.write(CLASSIFIED, mine)
        with pytest.raises(Conflict):
            records.write(CLASSIFIED, theirs)


def test_a_row_written_back_unchanged_conflicts_all_the_same(records: Records) -> None:
    records.write(CLASSIFIED, records.read(CLASSIFIED.id))
    old = records.read(CLASSIFIED.id)
    records.write(CLASSIFIED, old)

    with pytest.raises(Conflict):
        records.write(FAILED, old)


def test_a_removed_row_has_a_revision_and_no_classification(records: Records) -> None:
    records.write(CLASSIFIED, records.read(CLASSIFIED.id))
    before = records.read(CLASSIFIED.id)
    records.mark_removed(before, NOW + timedelta(days=999999))

    row = records.read(CLASSIFIED.id)

    assert row.classification is None
    assert row.revision not in {None, before.revision}
    with pytest.raises(Conflict):
        records.write(CLASSIFIED, before)


@pytest.mark.parametrize(("age", "alive"), [(timedelta(hours=-1), True), (timedelta(seconds=1), False)])
def test_an_expired_row_is_not_shown(records: Records, age: timedelta, alive: bool) -> None:  # noqa: FBT001
    """DynamoDB deletes expired items days later."""
    records.create([CLASSIFIED], datetime.now(UTC) - age)

    row = records.read(CLASSIFIED.id)

    assert (row.classification is not None) is alive
    assert row.revision is not None


def test_the_expiry_stands_where_the_table_looks_for_it(records: Records) -> None:
    records.create([CLASSIFIED], NOW)

    assert stored(CLASSIFIED.id)["expires_at"] == {"N": str(int(NOW.timestamp()))}


def test_records_of_photos_in_the_bucket_live_as_long_as_these(records: Records) -> None:
    records.write(CLASSIFIED, records.read(CLASSIFIED.id))

    assert "expires_at" not in stored(CLASSIFIED.id)


def test_a_taken_id_keeps_all_of_them_from_being_created(records: Records) -> None:
    records.create([CLASSIFIED], NOW)

    with pytest.raises(Conflict):
        records.create([PENDING, CLASSIFIED], NOW)

    assert records.read(PENDING.id).revision is None


def test_labels_can_be_read_in_the_table(records: Records) -> None:
    """Operators look into the table, and other programs read it."""
    records.write(CLASSIFIED, records.read(CLASSIFIED.id))

    item = stored(CLASSIFIED.id)

    assert item["label"] == {"S": "pants"}
    assert item["confidence"] == {"N": "0.9700000000000001"}


def test_an_answer_that_was_cut_short_is_not_taken_for_no_record() -> None:
    """The SDK asks again, and gives the last answer as if there were nothing in it."""

    class Client:
        def get_item(self, **_: object) -> Any:
            return {"ResponseMetadata": {"HTTPStatusCode": 200, "MaxAttemptsReached": True}}

    with pytest.raises(Busy):
        Records(cast("Any", Client()), TABLE).read("a.jpg")
