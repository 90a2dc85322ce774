"""Classifications to and from DynamoDB."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import boto3
import pytest

from classifier.classification import Classification, Confirmation, Failure, Image, Person, Source, Status
from classifier.errors import Busy
from classifier.indexes import Filter, index_keys
from classifier.records import MAX_ATTEMPTS, Conflict, Records, Row
from local.aws import TABLE, Resources
from tests.support.services import map_in_order

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
    is_uncertain=True,
    image=Image(3, "def"),
    failure=Failure("unreadable_image", "The image is damaged."),
)
PENDING = Classification("a/b.jpg", Status.PENDING, Source.S3, NOW, {})
CONFIRMED = replace(CLASSIFIED, confirmation=Confirmation("shorts", Person.SELLER, NOW))
OF_LISTING = replace(FAILED, confirmation=Confirmation(None, Person.SHOP, NOW, of_listing=True))
CATEGORIES = {"pants": {"name": "Pants"}, "shorts": {"name": "Shorts"}}


@pytest.fixture
def records(aws: Resources) -> Records:
    return Records(boto3.client("dynamodb"), TABLE, 1, map_in_order)


def stored(identifier: str) -> dict[str, Any]:
    """Return the row in DynamoDB's notation."""
    item: dict[str, Any] = boto3.client("dynamodb").get_item(TableName=TABLE, Key={"id": {"S": identifier}})["Item"]
    return item


def test_a_classification_in_json_has_the_fields_of_the_contract() -> None:
    assert CLASSIFIED.to_json(CATEGORIES) == {
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
        "confirmation": None,
        "category": {"name": "Pants"},
        "batch_id": "listing-42",
        "model_version": "mobilenet_v2-224-00000000",
        "image": {"format": "JPEG", "width": 3024, "height": 4032, "bytes": 2386088, "etag": "abc"},
        "source": "s3",
        "created_at": "2026-01-31T12:00:00.123Z",
        "classified_at": "2026-01-31T12:00:01.123Z",
        "error": None,
    }
    assert FAILED.to_json(CATEGORIES)["error"] == {
        "code": "unreadable_image",
        "message": "The image is damaged.",
    }


def test_a_confirmation_in_json_says_the_label_the_person_and_the_time() -> None:
    shown = CONFIRMED.to_json(CATEGORIES)

    assert shown["confirmation"] == {"label": "shorts", "by": "seller", "at": "2026-01-31T12:00:00.123Z"}
    assert (shown["label"], shown["confirmed_label"]) == ("pants", "shorts")
    assert OF_LISTING.to_json(CATEGORIES)["confirmation"] == {
        "label": None,
        "by": "shop",
        "at": "2026-01-31T12:00:00.123Z",
    }


@pytest.mark.parametrize(
    ("classification", "category"),
    [
        (CLASSIFIED, {"name": "Pants"}),
        (CONFIRMED, {"name": "Shorts"}),
        (replace(CLASSIFIED, confirmation=Confirmation(None, Person.SHOP, NOW)), None),
        (replace(CLASSIFIED, confirmation=Confirmation("hat", Person.SHOP, NOW)), None),
        (FAILED, None),
        (replace(FAILED, confirmation=Confirmation("pants", Person.SHOP, NOW)), {"name": "Pants"}),
        (PENDING, None),
    ],
    ids=[
        "the model's label",
        "the confirmed label",
        "none of the labels",
        "a label without a category",
        "failed",
        "failed and confirmed",
        "pending",
    ],
)
def test_the_category_is_that_of_the_confirmed_label_else_of_the_model_s(
    classification: Classification, category: dict[str, Any] | None
) -> None:
    assert classification.to_json(CATEGORIES)["category"] == category


@pytest.mark.parametrize(
    ("classification", "needs_review"),
    [
        (CLASSIFIED, False),
        (replace(CLASSIFIED, is_uncertain=True), True),
        (replace(CLASSIFIED, is_uncertain=True, confirmation=CONFIRMED.confirmation), False),
        (FAILED, True),
        (OF_LISTING, False),
        (PENDING, False),
        (replace(PENDING, is_uncertain=True), False),
    ],
)
def test_a_photo_needs_review_if_it_is_unclear_and_nobody_has_said_what_it_shows(
    classification: Classification,
    needs_review: bool,  # noqa: FBT001
) -> None:
    assert classification.needs_review is needs_review
    assert classification.to_json({})["needs_review"] is needs_review


@pytest.mark.parametrize(
    ("identifier", "source", "batch_id"),
    [
        ("front.jpg", Source.S3, None),
        ("a/b/c.jpg", Source.S3, "a"),
        ("/front.jpg", Source.S3, None),
        ("a/b.jpg", Source.URL, None),
        ("a/", Source.S3, "a"),
    ],
)
def test_the_batch_is_the_first_folder_of_an_upload(identifier: str, source: Source, batch_id: str | None) -> None:
    assert Classification(identifier, Status.PENDING, source, NOW, {}).batch_id == batch_id


@pytest.mark.parametrize("classification", [CLASSIFIED, FAILED, PENDING, CONFIRMED, OF_LISTING])
def test_a_written_classification_is_read_as_it_was(records: Records, classification: Classification) -> None:
    records.write(classification, records.read(classification.id))

    assert records.read(classification.id).classification == classification


def test_a_missing_row_has_neither_revision_nor_classification(records: Records) -> None:
    row = records.read("nothing")

    assert row == Row("nothing")


def test_the_second_of_two_writers_who_read_the_same_row_conflicts(records: Records) -> None:
    for _ in range(2):  # the row is missing first, then it is there
        mine, theirs = records.read(CLASSIFIED.id), records.read(CLASSIFIED.id)
        records.write(CLASSIFIED, mine)
        with pytest.raises(Conflict):
            records.write(CLASSIFIED, theirs)


def test_a_write_of_an_unchanged_classification_makes_other_writers_conflict(records: Records) -> None:
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
    assert row.revision not in (None, before.revision)
    with pytest.raises(Conflict):
        records.write(CLASSIFIED, before)


@pytest.mark.parametrize(("age", "alive"), [(timedelta(hours=-1), True), (timedelta(seconds=1), False)])
def test_an_expired_row_has_no_classification(records: Records, age: timedelta, alive: bool) -> None:  # noqa: FBT001
    """DynamoDB deletes expired items days later."""
    records.write(CLASSIFIED, Row(CLASSIFIED.id), datetime.now(UTC) - age)

    row = records.read(CLASSIFIED.id)

    assert (row.classification is not None) is alive
    assert row.revision is not None


def test_the_expiry_is_in_the_attribute_that_the_table_reads(records: Records) -> None:
    records.write(CLASSIFIED, Row(CLASSIFIED.id), NOW)

    assert stored(CLASSIFIED.id)["expires_at"] == {"N": str(int(NOW.timestamp()))}


def test_a_record_does_not_expire_unless_that_is_said(records: Records) -> None:
    records.write(CLASSIFIED, records.read(CLASSIFIED.id))

    assert "expires_at" not in stored(CLASSIFIED.id)


def test_a_request_that_the_sdk_sends_twice_succeeds(records: Records) -> None:
    """The answer to the first request was lost, so the row has the new revision already."""
    client = records.client

    class RepeatingClient:
        exceptions = client.exceptions

        def put_item(self, **request: Any) -> Any:
            client.put_item(**request)
            return client.put_item(**request)

    repeating = Records(cast("Any", RepeatingClient()), TABLE, 1, map_in_order)
    for written in (CLASSIFIED, replace(FAILED, id=CLASSIFIED.id)):
        repeating.write(written, records.read(CLASSIFIED.id))

        assert records.read(CLASSIFIED.id).classification == written


def test_the_table_holds_the_attributes_of_its_indexes(records: Records) -> None:
    """A record without a label or a batch is not in the index of labels or batches."""
    for classification in (CLASSIFIED, FAILED):
        records.write(classification, Row(classification.id))

    names = ("review_state", "label_state", "batch_id", "created_at_id")
    classified, failed = ([stored(one.id).get(name, {}).get("S") for name in names] for one in (CLASSIFIED, FAILED))
    assert classified == ["SUCCEEDED", "pants#SUCCEEDED", "listing-42", "2026-01-31T12:00:00.123Z#a923d1527488065f"]
    assert failed[:3] == ["FAILED", None, None]


@pytest.mark.parametrize(
    ("classification", "review_state", "label_state"),
    [
        (PENDING, "PENDING", None),
        (CLASSIFIED, "SUCCEEDED", "pants#SUCCEEDED"),
        (replace(CLASSIFIED, is_uncertain=True), "REVIEW", "pants#REVIEW"),
        (FAILED, "FAILED", None),
        (replace(PENDING, confirmation=CONFIRMED.confirmation), "PENDING_CONFIRMED", "shorts#PENDING_CONFIRMED"),
        (CONFIRMED, "CONFIRMED", "shorts#CONFIRMED"),
        (replace(CONFIRMED, is_uncertain=True), "CONFIRMED", "shorts#CONFIRMED"),
        (replace(CLASSIFIED, confirmation=OF_LISTING.confirmation), "CONFIRMED", None),
        (OF_LISTING, "FAILED_CONFIRMED", None),
    ],
)
def test_a_record_is_in_the_partition_of_its_state_and_of_the_label_that_holds(
    classification: Classification, review_state: str, label_state: str | None
) -> None:
    keys = index_keys(classification, shards=1)

    assert (keys["review_state"], keys.get("label_state")) == (review_state, label_state)


def test_a_damaged_answer_is_not_taken_for_a_missing_row() -> None:
    """The SDK tries again, and returns the last answer as if it had no item."""

    class Client:
        def get_item(self, **_: object) -> Any:
            return {"ResponseMetadata": {"HTTPStatusCode": 200, "MaxAttemptsReached": True}}

    with pytest.raises(Busy):
        Records(cast("Any", Client()), TABLE, 1, map_in_order).read("a.jpg")


def test_an_update_is_tried_again_after_each_conflict(records: Records) -> None:
    rows: list[Row] = []

    def step(row: Row) -> int:
        rows.append(row)
        if len(rows) < MAX_ATTEMPTS:
            raise Conflict
        return len(rows)

    assert records.update("a.jpg", step) == MAX_ATTEMPTS
    assert rows == [Row("a.jpg")] * MAX_ATTEMPTS


def test_an_update_is_given_up_after_ten_conflicts(records: Records) -> None:
    attempts = []

    def step(row: Row) -> None:
        attempts.append(row)
        raise Conflict

    with pytest.raises(Busy, match=r"a\.jpg"):
        records.update("a.jpg", step)

    assert len(attempts) == 10


@pytest.fixture
def listing(records: Records) -> list[Classification]:
    """The photos of one listing, newest first, in the table."""
    photos = [replace(CLASSIFIED, id=f"a/{number}.jpg", created_at=NOW + timedelta(number)) for number in range(5)]
    for one in photos:
        records.write(one, Row(one.id))
    return photos[::-1]


class StaleClient:
    """A client of DynamoDB that calls `before_batch` before it reads items by their ids, and returns few at once."""

    def __init__(self, client: Any, before_batch: Callable[[], None] = lambda: None, most: int = 100) -> None:
        self.client, self.before_batch, self.most = client, before_batch, most

    def query(self, **request: Any) -> Any:
        return self.client.query(**request)

    def batch_get_item(self, **request: Any) -> Any:
        self.before_batch()
        (wanted,) = request["RequestItems"].values()
        keys = wanted["Keys"]
        now, later = keys[: self.most], keys[self.most :]
        answer = self.client.batch_get_item(RequestItems={TABLE: {**wanted, "Keys": now}}) if now else {}
        rest = {TABLE: {**wanted, "Keys": later}} if later else {}
        return {"Responses": {}, **answer, "UnprocessedKeys": rest}


def read_listing(records: Records, client: StaleClient) -> list[Classification]:
    stale = Records(cast("Any", client), TABLE, 1, map_in_order)
    return stale.page(Filter(batch="a"), 100).classifications


def test_the_photos_of_a_listing_are_those_of_the_table_whatever_its_index_held(
    records: Records, listing: list[Classification]
) -> None:
    """The index is eventually consistent: a photo may be removed or changed after it was found there."""
    newest, second, *others = listing
    changed = replace(second, confirmation=CONFIRMED.confirmation, created_at=NOW + timedelta(100))

    def change() -> None:
        records.client.delete_item(TableName=TABLE, Key={"id": {"S": newest.id}})
        records.write(changed, records.read(second.id))

    assert read_listing(records, StaleClient(records.client, change)) == [changed, *others]


def test_photos_that_dynamodb_did_not_return_at_once_are_read_again(
    records: Records, listing: list[Classification]
) -> None:
    assert read_listing(records, StaleClient(records.client, most=2)) == listing


def test_a_listing_whose_photos_do_not_come_is_busy(records: Records, listing: list[Classification]) -> None:
    with pytest.raises(Busy):
        read_listing(records, StaleClient(records.client, most=0))
