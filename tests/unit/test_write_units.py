"""How many write request units of DynamoDB each way in costs, from the items and the indexes themselves."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from benchmarks.write_units import count_units, counted_writes, item_size
from classifier.classification import Classification, Source, Status
from classifier.indexes import index_keys
from local.template import resource_properties
from tests.support.api import Api, handle
from tests.support.bucket import Bucket, LaterS3, with_s3
from tests.support.drawings import photo
from tests.support.events import s3_event
from tests.support.listings import START

TABLE = resource_properties("ClassificationsTable")
NAME = "IMG_20261126_183000123_HDR.jpg"


def upload(bucket: Bucket, api: Api, key: str, body: bytes) -> None:
    """Upload a photo a minute after now, and handle its event."""
    bucket.put(key, body)
    handle(s3_event(key), with_s3(api.services, LaterS3(bucket.client)))


def announce(api: Api) -> str:
    """Request a form for one photo. Return the key of its object."""
    answer = api.request("POST", "/uploads", {"files": [{"name": NAME, "content_type": "image/jpeg"}]}).json
    return str(answer["items"][0]["fields"]["key"])


@pytest.fixture
def units(api: Api) -> Any:
    """A function that calls another one and returns the write units that this took, without a new signing key."""
    api.services.signing_keys.current()

    def count(action: Any) -> int:
        with counted_writes(api.services.records.client, TABLE) as writes:
            action()
        return sum(write.total() for write in writes)

    return count


@pytest.mark.parametrize(
    ("body", "expected"), [(photo("pants"), 8), (b"just text", 7)], ids=["classified", "not a photo"]
)
def test_an_announced_upload_costs_seven_units_and_its_listing_one(
    api: Api, bucket: Bucket, units: Any, body: bytes, expected: int
) -> None:
    """A record without a label is not in the index of labels."""
    assert units(lambda: upload(bucket, api, announce(api), body)) == expected


@pytest.mark.parametrize(("key", "expected"), [(f"uploads/listing-42/{NAME}", 4), (f"uploads/{NAME}", 3)])
def test_another_upload_costs_four_units_or_three_without_a_listing(
    api: Api, bucket: Bucket, units: Any, key: str, expected: int
) -> None:
    assert units(lambda: upload(bucket, api, key, photo("pants"))) == expected


def test_a_photo_in_a_request_costs_three_units(api: Api, units: Any) -> None:
    def classify() -> None:
        answer = api.request("POST", "/classifications", body=photo(), headers={"Content-Type": "image/jpeg"})
        assert answer.status == 201

    assert units(classify) == 3


@pytest.mark.parametrize(("label", "expected"), [("pants", 5), ("dress", 5), (None, 4)])
def test_a_confirmation_costs_five_units(
    api: Api, bucket: Bucket, units: Any, label: str | None, expected: int
) -> None:
    """It moves the record in the indexes of states and of labels. None of the labels takes it out of the latter."""
    upload(bucket, api, "uploads/listing-42/front.jpg", photo("pants"))

    path = "/confirmations/listing-42/front.jpg"
    assert units(lambda: api.request("PUT", path, {"label": label})) == expected


def test_another_answer_about_a_confirmed_photo_costs_three_units_or_four(api: Api, bucket: Bucket, units: Any) -> None:
    """Its state is the same. Another label moves it in the index of labels."""
    upload(bucket, api, "uploads/listing-42/front.jpg", photo("pants"))
    path = "/confirmations/listing-42/front.jpg"
    api.request("PUT", path, {"label": "pants"})

    assert units(lambda: api.request("PUT", path, {"label": "pants"})) == 3
    assert units(lambda: api.request("PUT", path, {"label": "dress"})) == 4


def test_a_confirmation_of_a_listing_costs_one_unit_and_those_of_its_photos(
    api: Api, bucket: Bucket, units: Any
) -> None:
    for name in ("front", "back"):
        upload(bucket, api, f"uploads/listing-42/{name}.jpg", photo("pants"))

    assert units(lambda: api.request("PUT", "/batches/listing-42/confirmation", {"label": "pants"})) == 1 + 2 * 5


def test_the_deletion_of_a_photo_costs_four_units(api: Api, bucket: Bucket, units: Any) -> None:
    """It leaves all three indexes."""
    upload(bucket, api, "uploads/listing-42/front.jpg", photo("pants"))

    assert units(lambda: api.request("DELETE", "/classifications/listing-42/front.jpg")) == 4


def test_a_duplicate_event_costs_three_units(api: Api, bucket: Bucket, units: Any) -> None:
    """The record keeps its place in the indexes, and its revision changes."""
    key = "uploads/listing-42/front.jpg"
    upload(bucket, api, key, photo("pants"))

    assert units(lambda: upload(bucket, api, key, photo("pants"))) == 3


def test_sixteen_shards_suffice_for_5000_announced_photos_a_second() -> None:
    """DynamoDB writes 1,000 units a second into one partition of an index. Here all photos have one label."""
    units: Counter[tuple[str, str]] = Counter()
    for number in range(5000):
        announced = Classification(f"{number}/a.jpg", Status.PENDING, Source.S3, START, scores={})
        classified = replace(announced, status=Status.SUCCEEDED, scores={"t-shirt": 1.0})
        item: Any = {}
        for one in (announced, classified):
            keys = {name: {"S": value} for name, value in index_keys(one, 16).items()}
            before, item = item, {"id": {"S": one.id}, **keys}
            units += count_units(before, item, TABLE)

    (_, most), *_ = units.most_common(1)
    assert most <= 1000
    assert most * 16 >= 2 * 5000, "each photo enters and leaves the partition of the state PENDING"


def test_items_have_the_sizes_of_the_developer_guide() -> None:
    assert item_size({"id": {"S": "é"}}) == 4
    assert item_size({"n": {"N": "0.97"}}) == 1 + 2
    assert item_size({"n": {"N": "1234567"}}) == 1 + 5
    assert item_size({"n": {"N": "-12"}}) == 1 + 3
    assert item_size({"b": {"BOOL": True}}) == 2
    assert item_size({"l": {"L": [{"S": "ab"}, {"M": {"k": {"S": "v"}}}]}}) == 1 + 3 + (1 + 2) + (1 + 3 + (1 + 1 + 1))


def test_a_put_costs_units_for_its_larger_item_in_the_table_and_in_each_index() -> None:
    table = {
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "GlobalSecondaryIndexes": [
            {
                "IndexName": name,
                "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}, {"AttributeName": "s", "KeyType": "RANGE"}],
                "Projection": {"ProjectionType": projection},
            }
            for name, projection in (("all", "ALL"), ("keys", "KEYS_ONLY"))
        ],
    }

    def item(key: str | None, text: str = "") -> dict[str, Any]:
        return {"id": {"S": "1"}, "s": {"S": "2"}, "text": {"S": text}, **({"k": {"S": key}} if key else {})}

    new = {("", "1"): 1, ("all", "a"): 1, ("keys", "a"): 1}
    assert count_units({}, item("a"), table) == new
    assert count_units({}, item(None), table) == {("", "1"): 1}
    assert count_units(item("a"), item("a", "new"), table) == {("", "1"): 1, ("all", "a"): 1}
    assert count_units(item("a"), item("b"), table) == new | {("all", "b"): 1, ("keys", "b"): 1}
    assert count_units(item("a", "x" * 1024), item(None), table) == {("", "1"): 2, ("all", "a"): 2, ("keys", "a"): 1}
