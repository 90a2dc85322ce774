"""Photos that are added to a listing: which listings take them, and under which names."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from classifier.classification import Source, Status
from classifier.indexes import Filter
from classifier.keys import MAX_KEY_BYTES
from classifier.records import Page
from classifier.services import Services
from tests.support.api import Answer, Api, handle
from tests.support.bucket import Bucket
from tests.support.drawings import photo
from tests.support.events import s3_event
from tests.support.listings import record, store, unfinished
from tests.support.services import replace_parts

BATCH = "listing-1"
FILE = {"name": "late.jpg", "content_type": "image/jpeg"}


def announce(api: Api, *names: str, batch_id: Any = BATCH) -> Answer:
    files = [{"name": name, "content_type": "image/jpeg"} for name in names]
    return api.request("POST", "/uploads", {"files": files, "batch_id": batch_id})


def names(answer: Answer) -> list[str]:
    """Return the names that the photos got within the listing."""
    assert answer.status == 201, answer.body
    return [item["id"].removeprefix(f"{answer.json['batch_id']}/") for item in answer.json["items"]]


def upload(bucket: Bucket, services: Services, *keys: str) -> None:
    for key in keys:
        bucket.put(key, photo("pants"))
    handle(s3_event(*keys), services)


def test_photos_are_added_to_a_listing(api: Api, services: Services, bucket: Bucket) -> None:
    first = api.request("POST", "/uploads", {"files": [{"name": "front.jpg", "content_type": "image/jpeg"}]}).json

    second = announce(api, "back.jpg", "label.jpg", batch_id=first["batch_id"])
    upload(bucket, services, *(item["fields"]["key"] for item in [*first["items"], *second.json["items"]]))

    assert second.json["batch_id"] == first["batch_id"]
    assert names(second) == ["back.jpg", "label.jpg"]
    listing = api.request("GET", f"/batches/{first['batch_id']}").json
    assert (listing["total"], listing["succeeded"], listing["label"]) == (3, 3, "pants")


def test_a_listing_of_photos_that_came_without_forms_takes_more(api: Api, services: Services, bucket: Bucket) -> None:
    """The index may not have them yet, and their events may not have arrived."""
    bucket.put("uploads/listing-9/a.jpg", photo("pants"))

    assert names(announce(api, "a.jpg", "b.jpg", batch_id="listing-9")) == ["a-2.jpg", "b.jpg"]


def test_names_that_the_listing_has_get_a_number(api: Api, services: Services, bucket: Bucket) -> None:
    upload(bucket, services, f"uploads/{BATCH}/a.jpg")
    store(services, [unfinished(number) for number in (10,)])

    assert names(announce(api, "a.jpg", "a.jpg", "10.jpg", "b.jpg")) == ["a-2.jpg", "a-3.jpg", "10-2.jpg", "b.jpg"]
    assert names(announce(api, "a.jpg", "a-2.jpg", "b.jpg")) == ["a-4.jpg", "a-2-2.jpg", "b-2.jpg"]
    assert services.records.read(f"{BATCH}/10.jpg").classification == unfinished(10)


@pytest.mark.parametrize("by", ["the API", "the listing's bucket"])
def test_the_name_of_a_photo_that_is_gone_can_be_used_again(
    api: Api, services: Services, bucket: Bucket, by: str
) -> None:
    """The tombstone of the first photo does not stop the second one."""
    upload(bucket, services, f"uploads/{BATCH}/a.jpg", f"uploads/{BATCH}/b.jpg")
    if by == "the API":
        api.request("DELETE", f"/classifications/{BATCH}/a.jpg")
    else:
        bucket.delete(f"uploads/{BATCH}/a.jpg")
        handle(s3_event(f"uploads/{BATCH}/a.jpg", name="ObjectRemoved:Delete"), services)

    answer = announce(api, "a.jpg")
    assert answer.status == 201, answer.body
    (item,) = answer.json["items"]
    upload(bucket, services, item["fields"]["key"])

    assert api.request("GET", item["status_url"]).json["status"] == "SUCCEEDED"


@pytest.mark.parametrize("batch_id", ["none", "listing-1/1.jpg", "listing", "", "/", "a" * 1100, "\ud800", "é" * 600])
def test_a_listing_that_does_not_exist_takes_no_photos(api: Api, services: Services, batch_id: str) -> None:
    store(services, [record(1)])

    answer = announce(api, "a.jpg", batch_id=batch_id)

    assert (answer.status, answer.json["error"]["code"]) == (404, "not_found")


def test_a_folder_within_a_listing_takes_no_photos(api: Api, services: Services, bucket: Bucket) -> None:
    """Its photos would be of the listing, which is the first folder."""
    upload(bucket, services, "uploads/a/b/c.jpg")

    assert announce(api, "d.jpg", batch_id="a/b").status == 404
    assert announce(api, "d.jpg", batch_id="a").status == 201


def test_a_photo_without_a_listing_is_no_listing(api: Api, services: Services, bucket: Bucket) -> None:
    upload(bucket, services, "uploads/a.jpg", "uploads//b.jpg")

    assert [announce(api, "c.jpg", batch_id=batch_id).status for batch_id in ("a.jpg", "a", "")] == [404] * 3


def test_a_listing_of_which_only_the_form_s_record_has_expired_takes_no_photos(api: Api, services: Services) -> None:
    """`GET /batches/…` does not find it, either."""
    expired = record(1, status=Status.PENDING, scores={})
    store(services, [expired], expires_at=datetime.now(UTC) - timedelta(minutes=1))
    assert api.request("GET", f"/batches/{BATCH}").status == 404

    assert announce(api, "a.jpg").status == 404


@pytest.mark.parametrize("batch_id", [None, 1, True, False, [], ["listing-1"], {}, {"batch_id": "listing-1"}])
def test_the_id_of_a_listing_is_a_string(api: Api, services: Services, batch_id: Any) -> None:
    store(services, [record(1)])

    answer = announce(api, "a.jpg", batch_id=batch_id)

    assert (answer.status, answer.json["error"]["code"]) == (400, "invalid_request")
    assert "`batch_id`" in answer.json["error"]["message"]


class FullListing:
    """The table with a listing of so many announced photos."""

    def __init__(self, services: Services, photos: int) -> None:
        self._records, self._photos = services.records, photos

    def page(self, wanted: Filter, limit: int) -> Page:
        photos = [record(0, id=f"{wanted.batch}/{number}.jpg") for number in range(self._photos)]
        return Page(photos[:limit], None)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._records, name)


@pytest.mark.parametrize(
    ("photos", "added", "status"), [(950, 50, 201), (951, 50, 400), (999, 1, 201), (1000, 1, 400), (1001, 1, 400)]
)
def test_a_listing_has_a_thousand_photos_at_most(services: Services, photos: int, added: int, status: int) -> None:
    full = Api(replace_parts(services, records=FullListing(services, photos)))

    answer = announce(full, *(f"new-{number}.jpg" for number in range(added)))

    assert answer.status == status
    if status == 400:
        assert "1000 photos" in answer.json["error"]["message"]
        assert services.records.page(Filter(batch=BATCH), 10).classifications == []


def test_photos_in_the_bucket_and_announced_ones_count_once(services: Services, bucket: Bucket) -> None:
    for number in range(5):
        bucket.put(f"uploads/{BATCH}/{number}.jpg", b"x")
    full = Api(replace_parts(services, records=FullListing(services, 999)))

    assert announce(full, "new.jpg").status == 201


def test_a_name_that_makes_the_key_too_long_for_s3_is_refused(api: Api, services: Services, bucket: Bucket) -> None:
    """The folder may have almost all of the bytes that a key may have. The form would admit nothing."""
    batch_id = "a" * (MAX_KEY_BYTES - len("uploads//b.jpg"))
    upload(bucket, services, f"uploads/{batch_id}/b.jpg")

    assert announce(api, "c.jpg", batch_id=batch_id).status == 201
    refused = announce(api, "too long.jpg", batch_id=batch_id)

    assert (refused.status, refused.json["error"]["code"]) == (400, "invalid_request")


def test_forms_for_a_listing_admit_only_its_keys(api: Api, services: Services) -> None:
    store(services, [record(1)])

    (item,) = announce(api, "a.jpg").json["items"]

    assert item["id"] == f"{BATCH}/a.jpg"
    assert item["fields"]["key"] == f"uploads/{BATCH}/a.jpg"
    announced = services.records.read(item["id"])
    assert announced.classification
    assert (announced.classification.status, announced.classification.source) == (Status.PENDING, Source.S3)
    assert announced.expires_at == datetime.fromisoformat(item["expires_at"])


def test_no_key_of_a_form_has_a_dollar_sign(api: Api, services: Services) -> None:
    """S3 would replace "${filename}", and refuses policies with other dollar signs that are not escaped."""
    store(services, [record(1)])

    assert names(announce(api, "$$x$$.jpg", "${filename}.jpg", "__x__.jpg")) == [
        "__x__.jpg",
        "_{filename}.jpg",
        "__x__-2.jpg",
    ]


def test_photos_of_one_request_keep_their_order(api: Api) -> None:
    files = [{"name": name, "content_type": "image/jpeg"} for name in ("c.jpg", "a.jpg", "b.jpg")]
    batch_id = api.request("POST", "/uploads", {"files": files}).json["batch_id"]

    items = api.request("GET", f"/batches/{batch_id}").json["items"]

    assert [item["id"] for item in items] == [f"{batch_id}/{name}.jpg" for name in ("b", "a", "c")]


# Repeated requests


def repeat(api: Api, key: str, *names: str, batch_id: str | None = BATCH) -> Answer:
    files = [{"name": name, "content_type": "image/jpeg"} for name in names]
    content = {"files": files, **({"batch_id": batch_id} if batch_id else {})}
    return api.request("POST", "/uploads", content, headers={"Idempotency-Key": key})


@pytest.mark.parametrize("batch_id", [BATCH, None])
def test_a_request_that_is_repeated_with_its_key_gets_the_same_ids(
    api: Api, services: Services, batch_id: str | None
) -> None:
    """Its answer was lost. Another request has another key."""
    store(services, [record(1, id=f"{BATCH}/a.jpg")])

    answers = [repeat(api, "key-1", "a.jpg", "b.jpg", "b.jpg", batch_id=batch_id) for _ in range(2)]
    other = repeat(api, "key-2", "b.jpg", batch_id=answers[0].json["batch_id"])

    first = "a-2.jpg" if batch_id else "a.jpg"
    assert names(answers[0]) == names(answers[1]) == [first, "b.jpg", "b-2.jpg"]
    assert answers[0].json["batch_id"] == answers[1].json["batch_id"]
    assert names(other) == ["b-3.jpg"]
    total = api.request("GET", f"/batches/{answers[0].json['batch_id']}").json["total"]
    assert total == (5 if batch_id else 4)


def test_a_repeated_request_does_not_forget_that_a_photo_has_arrived(
    api: Api, services: Services, bucket: Bucket
) -> None:
    (item,) = repeat(api, "key-1", "a.jpg", batch_id=None).json["items"]
    upload(bucket, services, item["fields"]["key"])

    (again,) = repeat(api, "key-1", "a.jpg", batch_id=None).json["items"]

    assert again["id"] == item["id"]
    assert api.request("GET", item["status_url"]).json["status"] == "SUCCEEDED"


def test_a_repeated_request_does_not_bring_a_deleted_photo_back(api: Api) -> None:
    first = repeat(api, "key-1", "a.jpg", "b.jpg", batch_id=None).json
    api.request("DELETE", f"/classifications/{first['items'][0]['id']}")

    again = repeat(api, "key-1", "a.jpg", "b.jpg", batch_id=None)

    assert names(again) == ["a-2.jpg", "b.jpg"]
    assert api.request("GET", first["items"][0]["status_url"]).status == 404


@pytest.mark.parametrize("key", ["", "é", "a b", "a" * 256])
def test_a_key_that_cannot_be_one_is_refused(api: Api, key: str) -> None:
    assert repeat(api, key, "a.jpg", batch_id=None).status == 400


# Listings without photos


def test_a_listing_exists_before_its_first_photo_has_arrived(api: Api, services: Services) -> None:
    """The shop deletes its placeholder, and can send the seller to the listing again, or delete it."""
    made = api.request("POST", "/uploads", {"files": [{"name": "a.jpg", "content_type": "image/jpeg"}]}).json
    batch_id, token = made["batch_id"], {"Authorization": f"Bearer {made['token']}"}
    api.request("DELETE", f"/classifications/{made['items'][0]['id']}")

    renewed = announce(api, "a.jpg", batch_id=batch_id)
    deleted = [api.request("DELETE", f"/classifications/{renewed.json['items'][0]['id']}")]
    deleted += [api.request("DELETE", f"/batches/{batch_id}") for _ in range(2)]
    late = api.request("POST", "/listings/uploads", {"files": [FILE]}, headers=token)

    assert names(renewed) == ["a-2.jpg"]
    assert [answer.status for answer in deleted] == [204, 204, 404]
    assert late.status == 404


def test_a_listing_of_photos_without_forms_exists_once_photos_were_announced(
    api: Api, services: Services, bucket: Bucket
) -> None:
    upload(bucket, services, f"uploads/{BATCH}/a.jpg")
    announced = announce(api, "b.jpg").json["items"][0]["id"]
    for photo_id in (f"{BATCH}/a.jpg", announced):
        assert api.request("DELETE", f"/classifications/{photo_id}").status == 204

    assert announce(api, "c.jpg").status == 201


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ({"files": [], "batch": "a"}, "Unknown field 'batch'"),
        ({"files": [{"name": "a.jpg", "content_type": "image/jpeg", "size": 1}]}, "Unknown field 'size'"),
        ({"files": [{"name": "a.jpg", "contentType": "image/jpeg"}]}, "Unknown field 'contentType'"),
    ],
)
def test_an_unknown_field_of_an_announcement_is_refused_by_name(api: Api, content: Any, part: str) -> None:
    answer = api.request("POST", "/uploads", content)

    assert (answer.status, answer.json["error"]["code"]) == (400, "invalid_request")
    assert part in answer.json["error"]["message"]
