"""What people say about photos and listings: they agree with the model, correct it, or take their answer back."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from classifier.classification import Classification, Image, Person, Status
from classifier.confirmations import confirm, confirm_listing, take_back
from classifier.errors import Busy, NotFound, PreconditionFailed
from classifier.records import Conflict, Row
from classifier.services import Services
from local.aws import BUCKET
from tests.support.api import Api, handle
from tests.support.bucket import Bucket, LateUploads, S3Client, with_s3
from tests.support.drawings import photo
from tests.support.events import failed_event, s3_event
from tests.support.listings import record, said, shown, store, unfinished
from tests.support.metrics import Metrics
from tests.support.services import map_in_order, replace_parts

ID = "listing-1/1.jpg"  # of `record(1)`, a hat that the model is sure about
FILE = {"name": "a.jpg", "content_type": "image/jpeg"}


def answer(api: Api, label: str | None, photo_id: str = ID) -> Any:
    """Say what a photo shows. Return the classification."""
    answered = api.request("PUT", f"/confirmations/{photo_id}", {"label": label})
    assert answered.status == 200, answered.body
    return answered.json


def answer_for_all(api: Api, label: str | None, batch_id: str = "listing-1") -> Any:
    """Say what a listing shows. Return it."""
    answered = api.request("PUT", f"/batches/{batch_id}/confirmation", {"label": label})
    assert answered.status == 200, answered.body
    return answered.json


def read(api: Api, photo_id: str = ID) -> Any:
    return api.request("GET", f"/classifications/{photo_id}").json


def upload(bucket: Bucket, services: Services, photo_id: str, data: bytes) -> None:
    bucket.put(f"uploads/{photo_id}", data)
    handle(s3_event(f"uploads/{photo_id}"), services)


def label_said(classification: Any) -> Any:
    """Return the label that holds, "nobody" if nobody has said one."""
    return "nobody" if classification["confirmation"] is None else classification["confirmation"]["label"]


def stored(services: Services, photo_id: str = ID) -> Classification:
    classification = services.records.read(photo_id).classification
    assert classification is not None
    return classification


# One photo


def test_a_person_can_agree_with_the_label_or_correct_it_or_say_that_it_is_none(
    api: Api, services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    store(services, [record(1)])

    for label in ("hat", "dress", None):
        confirmed = answer(api, label)

        confirmation = {"label": label, "by": "shop", "at": confirmed["confirmation"]["at"]}
        category = services.description.categories[label] if label else None
        assert confirmed == {
            **shown(record(1), services),
            "confirmed_label": label,
            "confirmation": confirmation,
            "category": category,
        }
        assert read(api) == confirmed
    lines = [vars(line) for line in caplog.records if line.message == "confirmed"]
    assert [(line["id"], line["label"]) for line in lines] == [(ID, "hat"), (ID, "dress"), (ID, None)]


def test_a_confirmation_has_the_time_of_the_request(api: Api, services: Services) -> None:
    store(services, [record(1)])

    age = datetime.now(UTC) - datetime.fromisoformat(answer(api, "hat")["confirmation"]["at"])

    assert abs(age) < timedelta(minutes=1)


def test_a_person_is_kept_with_the_answer(services: Services) -> None:
    store(services, [record(1)])

    for person in Person:
        confirm(ID, "hat", person, services)
        confirmation = stored(services).confirmation
        assert confirmation
        assert (confirmation.by, confirmation.of_listing) == (person, False)


@pytest.mark.parametrize("unclear", [record(1, is_uncertain=True), unfinished(7)], ids=["unsure", "failed"])
def test_a_photo_needs_review_until_it_is_confirmed_and_again_when_that_is_taken_back(
    api: Api, services: Services, unclear: Classification
) -> None:
    store(services, [unclear])

    def to_review() -> tuple[bool, list[str]]:
        found = api.request("GET", "/classifications", query={"needs_review": "true"}).json["items"]
        return read(api, unclear.id)["needs_review"], [one["id"] for one in found]

    before = to_review()
    for label in ("hat", None):
        answer(api, label, unclear.id)
        assert to_review() == (False, [])
    api.request("DELETE", f"/confirmations/{unclear.id}")

    assert before == to_review() == (True, [unclear.id])


def test_an_answer_that_is_taken_back_leaves_the_record_as_it_was(
    api: Api, services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    store(services, [record(1)])
    before = read(api)
    answer(api, "dress")

    taken_back = api.request("DELETE", f"/confirmations/{ID}")

    assert (taken_back.status, taken_back.json) == (200, before)
    assert read(api) == before
    assert [vars(line)["id"] for line in caplog.records if line.message == "taken back"] == [ID]
    assert api.request("DELETE", f"/confirmations/{ID}").json == before, "the second one changes nothing"


def test_a_photo_is_listed_under_the_label_that_holds(api: Api, services: Services) -> None:
    store(services, [record(1)])

    def lists() -> list[str]:
        items = {
            label: api.request("GET", "/classifications", query={"label": label}).json["items"]
            for label in ("hat", "dress")
        }
        return [label for label, found in items.items() if found]

    before = lists()
    answer(api, "dress")
    corrected = lists()
    answer(api, None)
    none = lists()
    api.request("DELETE", f"/confirmations/{ID}")

    assert (before, corrected, none, lists()) == (["hat"], ["dress"], [], ["hat"])


def test_lists_tell_confirmed_photos_from_others(api: Api, services: Services) -> None:
    store(services, [record(number) for number in (1, 2, 3)])
    answer(api, None)

    def found(confirmed: str) -> list[str]:
        items = api.request("GET", "/classifications", query={"confirmed": confirmed}).json["items"]
        return [one["id"] for one in items]

    assert found("true") == [ID]
    assert found("false") == [record(3).id, record(2).id]


def test_a_photo_that_does_not_exist_cannot_be_confirmed_or_taken_back(api: Api) -> None:
    for photo_id in ("none.jpg", "folder/", "é" * 600):
        answers = [
            api.request("PUT", f"/confirmations/{photo_id}", {"label": "hat"}),
            api.request("DELETE", f"/confirmations/{photo_id}"),
        ]
        assert [(one.status, one.json["error"]["code"]) for one in answers] == [(404, "not_found")] * 2


@pytest.mark.parametrize("path", [f"/confirmations/{ID}", "/batches/listing-1/confirmation"])
@pytest.mark.parametrize(
    ("body", "part"),
    [
        ({"label": "sock"}, "Known labels: dress, hat"),
        ({"label": ""}, "Known labels: dress, hat"),
        ({"label": 1}, "`label`"),
        ({"label": True}, "`label`"),
        ({"label": ["hat"]}, "`label`"),
        ({"label": {"label": "hat"}}, "`label`"),
        ({}, "`label`"),
        ({"label": "hat", "by": "seller"}, "Unknown field 'by'"),
        ({"Label": "hat"}, "Unknown field 'Label'"),
        (["hat"], "not a JSON object"),
        ("hat", "not a JSON object"),
    ],
)
def test_an_invalid_answer_is_refused_and_changes_nothing(
    api: Api, services: Services, path: str, body: Any, part: str
) -> None:
    store(services, [record(1)])

    refused = api.request("PUT", path, body)

    assert (refused.status, refused.json["error"]["code"]) == (400, "invalid_request")
    assert part in refused.json["error"]["message"]
    assert stored(services) == record(1)
    assert services.records.read_listing("listing-1").confirmation is None


@pytest.mark.parametrize("path", [f"/confirmations/{ID}", "/batches/listing-1/confirmation"])
def test_an_answer_without_a_body_is_refused(api: Api, services: Services, path: str) -> None:
    """An empty body is not `null`: nobody has said that it is none of the labels."""
    store(services, [record(1)])

    assert api.request("PUT", path).status == 400
    assert stored(services) == record(1)


def test_a_confirmation_before_the_upload_is_kept(api: Api, bucket: Bucket) -> None:
    (item,) = api.request("POST", "/uploads", {"files": [FILE]}).json["items"]
    confirmed = answer(api, "hat", item["id"])
    bucket.put(item["fields"]["key"], photo("pants"))

    handle(s3_event(item["fields"]["key"]), api.services)

    classified = read(api, item["id"])
    assert (confirmed["status"], confirmed["confirmed_label"]) == ("PENDING", "hat")
    assert (classified["status"], classified["label"]) == ("SUCCEEDED", "pants")
    assert classified["confirmation"] == confirmed["confirmation"]


def test_a_confirmation_before_the_event_arrives_is_kept(api: Api, services: Services, bucket: Bucket) -> None:
    bucket.put("uploads/listing-1/a.jpg", photo("pants"))

    first = answer(api, "shorts", "listing-1/a.jpg")
    handle(s3_event("uploads/listing-1/a.jpg"), services)
    then = read(api, "listing-1/a.jpg")

    assert (first["status"], first["confirmed_label"]) == ("PENDING", "shorts")
    assert (then["status"], then["label"], then["confirmed_label"]) == ("SUCCEEDED", "pants", "shorts")


def test_a_confirmation_keeps_the_expiry_of_the_record(api: Api, services: Services) -> None:
    expires_at = datetime.now(UTC).replace(microsecond=0) + timedelta(days=2)
    store(services, [record(1)], expires_at=expires_at)

    answer(api, "hat")
    answer_for_all(api, "dress")
    api.request("DELETE", f"/confirmations/{ID}")

    assert services.records.read(ID).expires_at == expires_at


def test_another_photo_under_the_same_key_is_not_confirmed(api: Api, services: Services, bucket: Bucket) -> None:
    for kind in ("t-shirt", "pants"):
        upload(bucket, services, "listing-1/a.jpg", photo(kind))
        assert label_said(read(api, "listing-1/a.jpg")) == "nobody"
        answer(api, "hat", "listing-1/a.jpg")


def test_a_confirmation_does_not_overwrite_a_newer_result(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """A newer photo is classified between the reading and the writing of the confirmation: both are kept."""
    store(services, [record(1)])
    read_row = services.records.read
    newer = record(1, scores={"dress": 1.0}, image=Image(1, "newer"))
    overtaken: list[Row] = []

    def read_and_overtake(identifier: str) -> Row:
        row = read_row(identifier)
        if not overtaken:
            overtaken.append(row)
            services.records.write(newer, row)
        return row

    monkeypatch.setattr(services.records, "read", read_and_overtake)

    confirmed = confirm(ID, "hat", Person.SHOP, services)

    assert replace(confirmed, confirmation=None) == newer
    assert confirmed.confirmed_label == "hat"


def test_a_confirmation_fails_if_the_record_keeps_changing(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    store(services, [record(1)])

    def lose(*_: object) -> None:
        raise Conflict

    monkeypatch.setattr(services.records, "write", lose)

    with pytest.raises(Busy):
        confirm(ID, "hat", Person.SHOP, services)
    with pytest.raises(Busy):
        take_back(ID, services)


def test_metrics_have_the_share_of_sellers_answers_that_agree(services: Services, metrics: Metrics) -> None:
    """Photos that have no label of the model do not count."""
    store(services, [record(1), record(2), unfinished(7), record(4)])
    for number, label in ((1, "hat"), (2, "hat"), (7, "hat"), (4, None)):
        photo_id = unfinished(7).id if number == 7 else record(number).id
        confirm(photo_id, label, Person.SELLER, services)

    assert metrics.values("SellersAgreed") == [1, 0, 0]


def test_a_seller_s_answer_about_a_listing_counts_once_in_the_metrics(services: Services, metrics: Metrics) -> None:
    """The model's label is that of the photos without what people said. The shop's answers do not count."""
    store(services, [record(1), record(7), record(4), unfinished(9)])
    confirm(ID, "shoes", Person.SHOP, services)
    for label, person in (("hat", Person.SELLER), ("shoes", Person.SELLER), ("shoes", Person.SHOP)):
        confirm_listing("listing-1", label, person, services)
    confirm_listing("listing-0", "shoes", Person.SELLER, services)

    assert metrics.values("SellersAgreed") == [1, 0]


@pytest.mark.parametrize("label", ["hat", None])
def test_a_first_answer_can_be_stored_only_if_there_is_no_other(
    api: Api, services: Services, label: str | None
) -> None:
    """Two people at the review desk do not overwrite each other's answers."""
    store(services, [record(1)])
    only_first = {"If-None-Match": "*"}

    first = api.request("PUT", f"/confirmations/{ID}", {"label": label}, headers=only_first)
    second = api.request("PUT", f"/confirmations/{ID}", {"label": "dress"}, headers=only_first)

    assert (first.status, second.status, second.json["error"]["code"]) == (200, 412, "invalid_request")
    assert label_said(read(api)) == label
    answer(api, "dress")
    assert label_said(read(api)) == "dress"


@pytest.mark.parametrize(("method", "content"), [("PUT", {"label": "dress"}), ("DELETE", None)])
def test_an_answer_can_be_changed_only_as_somebody_saw_it(
    api: Api, services: Services, method: str, content: Any
) -> None:
    """Of two people at the review desk who saw the same answer of a seller, the second one is refused."""
    store(services, [record(1)])
    confirm(ID, "shoes", Person.SELLER, services)
    seen = {"If-Match": api.request("GET", f"/classifications/{ID}").headers["etag"]}

    first = api.request("PUT", f"/confirmations/{ID}", {"label": "hat"}, headers=seen)
    second = api.request(method, f"/confirmations/{ID}", content, headers=seen)
    kept = label_said(read(api))
    third = api.request(method, f"/confirmations/{ID}", content, headers={"If-Match": first.headers["etag"]})

    assert (first.status, second.status, second.json["error"]["code"]) == (200, 412, "invalid_request")
    assert (kept, third.status) == ("hat", 200)
    assert third.headers["etag"] == api.request("GET", f"/classifications/{ID}").headers["etag"]


CHANGES: list[tuple[str, str, Any]] = [
    ("PUT", f"/confirmations/{ID}", {"label": "shoes"}),
    ("DELETE", f"/confirmations/{ID}", None),
    ("DELETE", f"/classifications/{ID}", None),
    ("PUT", "/batches/listing-1/confirmation", {"label": "shoes"}),
    ("DELETE", "/batches/listing-1/confirmation", None),
    ("DELETE", "/batches/listing-1", None),
]


@pytest.mark.parametrize(("method", "path", "content"), CHANGES)
def test_whatever_has_changed_since_somebody_saw_it_is_left_alone(
    api: Api, services: Services, method: str, path: str, content: Any
) -> None:
    store(services, [record(1), record(4)])
    kind = "batches/listing-1" if "batches" in path else f"classifications/{ID}"
    seen = {"If-Match": api.request("GET", f"/{kind}").headers["etag"]}
    answer(api, "dress")
    before = api.request("GET", "/batches/listing-1").json

    late = api.request(method, path, content, headers=seen)
    kept = api.request("GET", "/batches/listing-1").json
    now = {"If-Match": api.request("GET", f"/{kind}").headers["etag"]}
    again = api.request(method, path, content, headers=now)

    assert (late.status, late.json["error"]["code"]) == (412, "invalid_request")
    assert kept == before
    assert again.status in {200, 204}


def test_a_listing_can_be_answered_only_if_nobody_has(api: Api, services: Services) -> None:
    store(services, [record(1)])
    only_first = {"If-None-Match": "*"}
    path = "/batches/listing-1/confirmation"

    statuses = [api.request("PUT", path, {"label": label}, headers=only_first).status for label in ("hat", "dress")]

    assert statuses == [200, 412]
    assert label_said(read(api)) == "hat"


def test_a_listing_that_is_answered_between_check_and_write_is_left_alone(services: Services) -> None:
    store(services, [record(1)])
    seen = services.records.read_listing("listing-1")
    confirm_listing("listing-1", "hat", Person.SHOP, services)

    with pytest.raises(PreconditionFailed):
        confirm_listing("listing-1", "dress", Person.SELLER, services, seen)


def test_a_condition_that_makes_no_sense_is_refused(api: Api, services: Services) -> None:
    store(services, [record(1)])

    refused = api.request("PUT", f"/confirmations/{ID}", {"label": "hat"}, headers={"If-None-Match": '"abc"'})

    assert refused.status == 400
    assert label_said(read(api)) == "nobody"


# A whole listing


def test_all_photos_of_a_listing_get_its_confirmation(
    api: Api, services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    photos = [record(1), record(4), unfinished(7), unfinished(10), record(2)]
    store(services, photos)

    listing = answer_for_all(api, "shoes")

    assert (listing["label"], listing["confidence"], listing["needs_review"]) == ("shoes", 1, False)
    assert listing["confirmation"] == {"label": "shoes", "by": "shop", "at": listing["confirmation"]["at"]}
    assert listing["category"] == services.description.categories["shoes"]
    assert [item["confirmation"] for item in listing["items"]] == [listing["confirmation"]] * 4
    assert [item["category"] for item in listing["items"]] == [listing["category"]] * 4
    assert api.request("GET", "/batches/listing-1").json == listing
    assert stored(services, record(2).id) == record(2), "it is of another listing"
    lines = [vars(line) for line in caplog.records if line.message == "listing confirmed"]
    assert [(line["id"], line["label"]) for line in lines] == [("listing-1", "shoes")]


def test_a_listing_may_show_none_of_the_labels(api: Api, services: Services) -> None:
    store(services, [record(1), record(4)])

    listing = answer_for_all(api, None)

    assert listing["label"] is listing["confidence"] is listing["category"] is None
    assert [label_said(item) for item in listing["items"]] == [None, None]
    assert not listing["needs_review"]


@pytest.mark.parametrize("person", Person)
def test_the_person_who_confirms_a_listing_is_kept_with_it_and_its_photos(services: Services, person: Person) -> None:
    store(services, [record(1)])

    confirm_listing("listing-1", "shoes", person, services)

    of_photo, of_listing = stored(services).confirmation, services.records.read_listing("listing-1").confirmation
    assert of_photo
    assert of_listing
    assert of_photo.by is of_listing.by is person
    assert of_photo.of_listing


@pytest.mark.parametrize("own", ["hat", None])
def test_a_photo_with_an_answer_of_its_own_keeps_it(api: Api, services: Services, own: str | None) -> None:
    """Also if that answer is older than the listing's, or newer."""
    store(services, [record(1), record(4)])
    answer(api, own)

    answer_for_all(api, "shoes")
    kept = [label_said(read(api)), label_said(read(api, record(4).id))]
    answer(api, own, record(4).id)

    assert kept == [own, "shoes"]
    assert label_said(read(api, record(4).id)) == own


def test_a_second_answer_about_a_listing_replaces_the_first(api: Api, services: Services) -> None:
    store(services, [record(1), record(4)])
    answer(api, "hat", record(4).id)
    for label in ("shoes", "skirt", None, "dress"):
        listing = answer_for_all(api, label)

        assert listing["label"] == listing["confirmation"]["label"] == label
        assert [label_said(item) for item in listing["items"]] == ["hat", label]


def test_the_listing_s_answer_holds_again_after_a_photo_s_own_is_taken_back(api: Api, services: Services) -> None:
    store(services, [record(1)])
    of_listing = answer_for_all(api, "shoes")["confirmation"]
    answer(api, "hat")

    taken_back = api.request("DELETE", f"/confirmations/{ID}").json

    assert taken_back["confirmation"] == of_listing
    assert read(api) == taken_back


def take_back_for_all(api: Api, batch_id: str = "listing-1") -> Any:
    """Take back what was said about a listing. Return it."""
    answered = api.request("DELETE", f"/batches/{batch_id}/confirmation")
    assert answered.status == 200, answered.body
    return answered.json


def test_a_listing_s_answer_can_be_taken_back(api: Api, services: Services, bucket: Bucket) -> None:
    """Answers about single photos hold, and photos that arrive later have none."""
    store(services, [record(1), record(4)])
    before = api.request("GET", "/batches/listing-1").json
    answer_for_all(api, "shoes")
    answer(api, "dress", record(4).id)

    kept = take_back_for_all(api)
    upload(bucket, services, "listing-1/later.jpg", photo("pants"))

    assert kept["confirmation"] is None
    assert [label_said(item) for item in kept["items"]] == ["dress", "nobody"]
    assert label_said(read(api, "listing-1/later.jpg")) == "nobody"
    api.request("DELETE", f"/confirmations/{record(4).id}")
    api.request("DELETE", "/classifications/listing-1/later.jpg")
    assert take_back_for_all(api) == before


def test_a_photo_that_arrives_while_the_listing_s_answer_is_taken_back_has_none(
    api: Api, services: Services, bucket: Bucket
) -> None:
    """It had the answer when its record was read."""
    upload(bucket, services, "listing-1/a.jpg", photo("pants"))
    answer_for_all(api, "shoes")
    overtaken = with_s3(services, S3Client(bucket.client, afterwards=lambda: take_back_for_all(api)))

    handle(s3_event("uploads/listing-1/a.jpg"), overtaken)

    assert label_said(read(api, "listing-1/a.jpg")) == "nobody"


def test_photos_outlive_the_row_of_their_listing_with_its_answer(api: Api, services: Services, bucket: Bucket) -> None:
    """A photo of a listing may be added after its confirmation, and expires later."""
    upload(bucket, services, "listing-1/a.jpg", photo("pants"))
    answer_for_all(api, "shoes")
    _, revision = services.records.get_item("listing-1/")
    services.records.put_item({"id": "listing-1/"}, revision, datetime.now(UTC) - timedelta(minutes=1))

    handle(s3_event("uploads/listing-1/a.jpg"), services)

    assert label_said(read(api, "listing-1/a.jpg")) == "shoes"


@pytest.mark.parametrize("batch", ["none", "%ff", "a" * 2000, "listing-1/1.jpg"])
def test_nothing_can_be_taken_back_of_a_listing_that_does_not_exist(api: Api, services: Services, batch: str) -> None:
    store(services, [record(1)])

    assert api.request("DELETE", f"/batches/{batch}/confirmation").status == 404
    assert api.request("GET", f"/classifications/{ID}").status == 200


def test_a_listing_s_answer_cannot_be_taken_back_at_one_photo(api: Api, services: Services) -> None:
    store(services, [record(1)])
    answer_for_all(api, "shoes")

    assert label_said(api.request("DELETE", f"/confirmations/{ID}").json) == "shoes"


@pytest.mark.parametrize("label", ["shoes", None])
@pytest.mark.parametrize("content", [photo("pants"), b"just text"], ids=["photo", "no photo"])
def test_a_photo_that_arrives_later_gets_the_listing_s_answer(
    api: Api, services: Services, bucket: Bucket, label: str | None, content: bytes
) -> None:
    """It may be announced or not."""
    uploads = api.request("POST", "/uploads", {"files": [FILE]}).json
    batch, announced = uploads["batch_id"], uploads["items"][0]["id"]
    confirmation = answer_for_all(api, label, batch)["confirmation"]

    for photo_id in (announced, f"{batch}/not announced.jpg"):
        upload(bucket, services, photo_id, content)
        assert read(api, photo_id)["confirmation"] == confirmation
    listing = api.request("GET", f"/batches/{batch}").json
    assert (listing["total"], listing["pending"]) == (2, 0)
    assert label_said(listing) == label


def test_an_answer_about_a_listing_reaches_photos_whose_event_has_not_arrived(
    api: Api, services: Services, bucket: Bucket
) -> None:
    bucket.put("uploads/listing-1/a.jpg", photo("pants"))
    store(services, [record(1)])

    answer_for_all(api, "shoes")
    handle(s3_event("uploads/listing-1/a.jpg"), services)

    assert label_said(read(api, "listing-1/a.jpg")) == "shoes"


def test_a_photo_that_is_given_up_gets_the_listing_s_answer(api: Api, services: Services, bucket: Bucket) -> None:
    store(services, [record(1)])
    answer_for_all(api, "shoes")
    bucket.put("uploads/listing-1/a.jpg", photo("pants"))

    handle(failed_event("uploads/listing-1/a.jpg"), services)

    given_up = read(api, "listing-1/a.jpg")
    assert (given_up["status"], given_up["error"]["code"]) == ("FAILED", "internal_error")
    assert label_said(given_up) == "shoes"
    assert not given_up["needs_review"]


def test_another_photo_under_a_key_of_the_listing_gets_its_answer(api: Api, services: Services, bucket: Bucket) -> None:
    upload(bucket, services, "listing-1/a.jpg", photo("pants"))
    answer_for_all(api, "shoes")

    upload(bucket, services, "listing-1/a.jpg", photo("t-shirt"))

    replaced = read(api, "listing-1/a.jpg")
    assert (replaced["label"], label_said(replaced)) == ("t-shirt", "shoes")


def test_a_newer_model_keeps_the_answers(api: Api, services: Services, bucket: Bucket) -> None:
    for name in ("own", "of the listing"):
        upload(bucket, services, f"listing-1/{name}.jpg", photo("pants"))
    answer(api, "hat", "listing-1/own.jpg")
    answer_for_all(api, "shoes")
    for name in ("own", "of the listing"):
        row = services.records.read(f"listing-1/{name}.jpg")
        services.records.write(replace(stored(services, row.id), model_version="older"), row)

    handle(s3_event("uploads/listing-1/own.jpg", "uploads/listing-1/of the listing.jpg"), services)

    again = [read(api, f"listing-1/{name}.jpg") for name in ("own", "of the listing")]
    assert {one["model_version"] for one in again} == {services.description.version}
    assert [label_said(one) for one in again] == ["hat", "shoes"]


def test_a_photo_that_arrives_while_its_listing_is_confirmed_gets_the_answer(
    api: Api, services: Services, bucket: Bucket
) -> None:
    """The confirmation comes after the photo was read, before its record is written."""
    store(services, [record(1)])
    bucket.put("uploads/listing-1/a.jpg", photo("pants"))
    overtaken = with_s3(services, S3Client(bucket.client, afterwards=lambda: answer_for_all(api, "shoes")))

    handle(s3_event("uploads/listing-1/a.jpg"), overtaken)

    assert label_said(read(api, "listing-1/a.jpg")) == "shoes"


def test_a_photo_that_arrives_just_before_its_listing_is_confirmed_gets_the_answer(
    services: Services, bucket: Bucket
) -> None:
    """It is not there at the first look at the bucket, and its event finds no answer about the listing."""
    store(services, [record(1)])
    late = LateUploads(services.bucket, lambda: upload(bucket, services, "listing-1/late.jpg", photo("pants")))

    confirm_listing("listing-1", "shoes", Person.SHOP, replace_parts(services, bucket=late))

    assert stored(services, "listing-1/late.jpg").confirmed_label == "shoes"


def test_an_answer_that_failed_halfway_goes_on_with_the_next_try(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = Api(replace_parts(services, map=map_in_order))
    store(services, [record(number) for number in (1, 4, 7, 10)])
    write = services.records.write
    written: list[str] = []

    def write_two(classification: Classification, *options: Any) -> None:
        if len(written) == 2:
            raise Busy("Try again.")
        write(classification, *options)
        written.append(classification.id)

    monkeypatch.setattr(services.records, "write", write_two)
    failed = api.request("PUT", "/batches/listing-1/confirmation", {"label": "shoes"})
    monkeypatch.undo()

    assert failed.status == 503
    assert label_said(api.request("GET", "/batches/listing-1").json) == "shoes"
    assert [label_said(item) for item in answer_for_all(api, "shoes")["items"]] == ["shoes"] * 4


def test_an_overtaken_answer_does_not_replace_the_newer_one(services: Services) -> None:
    """Two people answer at once. The second answer comes before the first one is stored in the photos."""
    store(services, [record(1), record(4)])
    overtaken: list[bool] = []

    def map_after_the_second(function: Any, items: Any) -> list[Any]:
        if not overtaken:
            overtaken.append(True)
            confirm_listing("listing-1", "dress", Person.SHOP, services)
        return map_in_order(function, items)

    confirm_listing("listing-1", "hat", Person.SELLER, replace_parts(services, map=map_after_the_second))

    of_listing = services.records.read_listing("listing-1").confirmation
    assert of_listing
    assert (of_listing.label, overtaken) == ("dress", [True])
    for number in (1, 4):
        assert stored(services, record(number).id).confirmation == replace(of_listing, of_listing=True)


def test_a_second_answer_replaces_the_first_of_a_host_whose_clock_is_ahead(api: Api, services: Services) -> None:
    """The clocks of Lambda's hosts differ by milliseconds."""
    ahead = said("hat", at=datetime.now(UTC) + timedelta(seconds=10))
    store(services, [record(1, confirmation=replace(ahead, of_listing=True))])
    services.records.update_listing("listing-1", lambda seen: replace(seen, confirmation=ahead))

    listing = answer_for_all(api, "shoes")

    assert [label_said(listing), label_said(listing["items"][0])] == ["shoes", "shoes"]


@pytest.mark.parametrize("batch", ["none", "%ff", "a" * 2000, "listing-1/1.jpg"])
def test_a_listing_that_does_not_exist_cannot_be_confirmed(api: Api, services: Services, batch: str) -> None:
    store(services, [record(1)])

    refused = api.request("PUT", f"/batches/{batch}/confirmation", {"label": "hat"})

    assert (refused.status, refused.json["error"]["code"]) == (404, "not_found")
    assert services.records.read_listing(batch).revision is None


def test_a_listing_of_which_only_the_form_s_record_has_expired_does_not_exist(api: Api, services: Services) -> None:
    """DynamoDB deletes expired items days later."""
    store(services, [unfinished(0)], expires_at=datetime.now(UTC) - timedelta(minutes=1))

    assert api.request("PUT", "/batches/listing-0/confirmation", {"label": "hat"}).status == 404
    with pytest.raises(NotFound):
        confirm_listing("listing-0", "hat", Person.SHOP, services)


def test_a_folder_within_a_listing_is_no_listing(api: Api, services: Services, bucket: Bucket) -> None:
    upload(bucket, services, "a/b/c.jpg", photo("pants"))

    assert api.request("PUT", "/batches/a%2Fb/confirmation", {"label": "hat"}).status == 404
    assert label_said(read(api, "a/b/c.jpg")) == "nobody"
    assert label_said(answer_for_all(api, "hat", "a")["items"][0]) == "hat"


def test_the_answer_about_a_listing_is_kept_longer_than_its_photos(services: Services) -> None:
    store(services, [record(1)])

    confirm_listing("listing-1", "hat", Person.SHOP, services)

    item, _ = services.records.get_item("listing-1/")
    left = datetime.fromtimestamp(int(item["expires_at"]), UTC) - datetime.now(UTC)
    assert left > timedelta(days=services.settings.retention_days)


def test_an_unreadable_answer_about_a_listing_does_not_stop_its_photos(
    api: Api, services: Services, bucket: Bucket
) -> None:
    """A newer version of the code may store what this one does not know."""
    services.records.put_item({"id": "listing-1/", "confirmation": {"by": "robot", "at": "2026-01-31"}}, None)
    bucket.put("uploads/listing-1/a.jpg", photo("pants"))

    handle(s3_event("uploads/listing-1/a.jpg"), services)

    assert stored(services, "listing-1/a.jpg").status is Status.SUCCEEDED


def test_photos_in_another_bucket_follow_their_listing(services: Services, bucket: Bucket) -> None:
    """An event names its bucket."""
    bucket.client.create_bucket(Bucket="older")
    bucket.client.put_object(Bucket="older", Key="uploads/listing-1/a.jpg", Body=photo("pants"))
    store(services, [record(1)])
    confirm_listing("listing-1", "shoes", Person.SHOP, services)
    event = s3_event("uploads/listing-1/a.jpg")
    assert event["Records"][0]["s3"]["bucket"]["name"] == BUCKET
    event["Records"][0]["s3"]["bucket"]["name"] = "older"

    handle(event, services)

    assert stored(services, "listing-1/a.jpg").confirmed_label == "shoes"
