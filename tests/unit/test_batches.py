"""What a listing's photos say together, and the seller's word on each."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.events import s3_event
from classifier.batches import verdict
from classifier.confirmations import confirmed
from classifier.errors import Busy
from classifier.records import Classification, Conflict, Image, Row
from classifier.services import Services
from classifier.telemetry import flush_metrics
from tests.support.api import Api, handle
from tests.support.bucket import Bucket
from tests.support.drawings import photo
from tests.support.listings import record, store, unfinished


def approximately(label: str, confidence: float) -> Any:
    return label, pytest.approx(confidence)


def scored(**scores: float) -> Classification:
    ranked = dict(sorted(scores.items(), key=lambda item: -item[1]))
    return record(1, scores=ranked)


def test_one_photo_speaks_for_itself() -> None:
    assert verdict([scored(hat=0.7, dress=0.3)]) == ("hat", 0.7)


def test_several_photos_are_averaged() -> None:
    """Two that lean to one label outvote one that is sure of another."""
    photos = [scored(hat=0.6, dress=0.4), scored(hat=0.7, dress=0.3), scored(dress=0.65, hat=0.35)]

    assert verdict(photos) == approximately("hat", 0.55)


def test_one_photo_of_something_else_does_not_outweigh_the_others() -> None:
    photos = [scored(hat=0.9, dress=0.1)] * 4 + [scored(hat=1e-9, dress=1 - 1e-9)]

    assert verdict(photos) == approximately("hat", 0.72)


def test_what_the_seller_says_counts_as_sure() -> None:
    photos = [replace(scored(hat=0.9, dress=0.1), confirmed_label="dress"), scored(hat=0.6, dress=0.4)]

    assert verdict(photos) == approximately("dress", 0.7)


def test_photos_without_a_label_say_nothing() -> None:
    assert verdict([unfinished(0), unfinished(1)]) is None
    assert verdict([unfinished(0), unfinished(1), scored(hat=0.7, dress=0.3)]) == ("hat", 0.7)


def test_a_failed_photo_whose_label_its_seller_says_has_one() -> None:
    assert verdict([replace(unfinished(1), confirmed_label="hat")]) == ("hat", 1.0)


def test_a_batch_tells_its_progress_and_its_verdict(api: Api, services: Services) -> None:
    names = [{"name": f"{name}.jpg", "content_type": "image/jpeg"} for name in ("front", "back", "label", "late")]
    uploads = api.request("POST", "/uploads", {"files": names}).json
    path = f"/batches/{uploads['batch_id']}"
    before = api.request("GET", path)
    bodies = [photo("pants"), photo("pants"), b"just text"]
    for item, body in zip(uploads["items"], bodies, strict=False):
        services.s3.put_object(Bucket=services.settings.bucket, Key=item["fields"]["key"], Body=body)
        handle(s3_event(item["fields"]["key"]), services)

    after = api.request("GET", path).json

    assert before.headers["retry-after"] == "1"
    assert before.json["pending"] == before.json["total"] == 4
    assert before.json["label"] is before.json["confidence"] is None
    assert {name: after[name] for name in ("total", "pending", "succeeded", "failed", "label")} == {
        "total": 4,
        "pending": 1,
        "succeeded": 2,
        "failed": 1,
        "label": "pants",
    }
    confidences = [item["confidence"] for item in after["items"] if item["label"]]
    assert after["confidence"] == pytest.approx(sum(confidences) / 2)
    assert {item["id"] for item in after["items"]} == {item["id"] for item in uploads["items"]}


def test_a_batch_may_be_of_fifty(api: Api) -> None:
    files = [{"name": f"{number}.jpg", "content_type": "image/jpeg"} for number in range(50)]
    uploads = api.request("POST", "/uploads", {"files": files}).json

    assert api.request("GET", f"/batches/{uploads['batch_id']}").json["total"] == 50


def test_a_batch_that_is_done_wants_no_other_look(api: Api, services: Services) -> None:
    store(services, [record(1)])

    assert "retry-after" not in api.request("GET", "/batches/listing-1").headers


@pytest.mark.parametrize("batch", ["none", "listing-1/1.jpg", "%ff", "a" * 2000])
def test_a_batch_that_is_not_there_is_not_found(api: Api, services: Services, batch: str) -> None:
    store(services, [record(1)])

    answer = api.request("GET", f"/batches/{batch}")

    assert (answer.status, answer.json["error"]["code"]) == (404, "not_found")


def test_the_seller_agrees_or_corrects(api: Api, services: Services) -> None:
    store(services, [record(1)])

    for label in ("hat", "dress"):
        answer = api.request("PUT", "/confirmations/listing-1%2F1.jpg", {"label": label})

        assert answer.status == 200
        assert answer.json == {**record(1).to_json(), "confirmed_label": label}
        assert api.request("GET", "/classifications/listing-1/1.jpg").json == answer.json


def test_what_its_seller_says_before_a_photo_is_classified_is_kept(api: Api, bucket: Bucket) -> None:
    uploads = api.request("POST", "/uploads", {"files": [{"name": "a.jpg", "content_type": "image/jpeg"}]}).json
    (item,) = uploads["items"]
    said = api.request("PUT", f"/confirmations/{item['id']}", {"label": "hat"}).json
    bucket.put(item["fields"]["key"], photo("pants"))

    handle(s3_event(item["fields"]["key"]), api.services)

    record = api.request("GET", item["status_url"]).json
    assert (said["status"], said["confirmed_label"]) == ("PENDING", "hat")
    assert (record["status"], record["label"], record["confirmed_label"]) == ("SUCCEEDED", "pants", "hat")


def test_a_record_that_expires_does_so_when_confirmed_too(api: Api, services: Services) -> None:
    expires_at = datetime.now(UTC).replace(microsecond=0) + timedelta(days=2)
    store(services, [record(1)], expires_at=expires_at)

    api.request("PUT", f"/confirmations/{record(1).id}", {"label": "hat"})

    assert services.records.read(record(1).id).expires_at == expires_at


def test_another_photo_under_the_same_key_is_not_confirmed(api: Api, services: Services, bucket: Bucket) -> None:
    for kind, label in (("t-shirt", None), ("pants", None)):
        bucket.put("uploads/listing-1/a.jpg", photo(kind))
        handle(s3_event("uploads/listing-1/a.jpg"), services)
        assert api.request("GET", "/classifications/listing-1/a.jpg").json["confirmed_label"] is label
        assert api.request("PUT", "/confirmations/listing-1/a.jpg", {"label": "hat"}).status == 200


@pytest.mark.parametrize(
    ("identifier", "body", "status"),
    [
        ("listing-1/1.jpg", {"label": "sock"}, 400),
        ("listing-1/1.jpg", {"label": None}, 400),
        ("listing-1/1.jpg", {}, 400),
        ("listing-1/1.jpg", ["hat"], 400),
        ("none.jpg", {"label": "hat"}, 404),
        ("é" * 600, {"label": "hat"}, 404),
    ],
)
def test_words_that_cannot_be_kept_are_refused(
    api: Api, services: Services, identifier: str, body: Any, status: int
) -> None:
    store(services, [unfinished(0), record(1)])

    assert api.request("PUT", f"/confirmations/{identifier}", body).status == status
    assert services.records.read("listing-1/1.jpg").classification == record(1)


def test_a_word_on_a_photo_whose_event_is_still_on_its_way_is_kept(
    api: Api, services: Services, bucket: Bucket
) -> None:
    bucket.put("uploads/listing-1/a.jpg", photo("pants"))

    first = api.request("PUT", "/confirmations/listing-1/a.jpg", {"label": "shorts"})
    handle(s3_event("uploads/listing-1/a.jpg"), services)
    then = api.request("GET", "/classifications/listing-1/a.jpg").json

    assert (first.status, first.json["status"], first.json["confirmed_label"]) == (200, "PENDING", "shorts")
    assert (then["status"], then["label"], then["confirmed_label"]) == ("SUCCEEDED", "pants", "shorts")


def test_a_confirmation_overwrites_nobody(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """A newer photo is classified while the seller's word arrives: both are kept."""
    store(services, [record(1)])
    read = services.records.read
    newer = record(1, scores={"dress": 1.0}, image=Image(1, "newer"))
    meddled: list[Row] = []

    def read_and_meddle(identifier: str) -> Row:
        row = read(identifier)
        if not meddled:
            meddled.append(row)
            services.records.write(newer, row)
        return row

    monkeypatch.setattr(services.records, "read", read_and_meddle)

    assert confirmed(record(1).id, "hat", services) == replace(newer, confirmed_label="hat")


def test_a_record_that_keeps_changing_is_given_up(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    store(services, [record(1)])

    def lose(*_: object) -> None:
        raise Conflict

    monkeypatch.setattr(services.records, "write", lose)

    with pytest.raises(Busy):
        confirmed(record(1).id, "hat", services)


def test_how_often_sellers_agree_is_measured(api: Api, services: Services, capsys: pytest.CaptureFixture[str]) -> None:
    """Of labels that the model has given."""
    store(services, [record(1), record(2), unfinished(7)])
    flush_metrics()  # what other tests left
    capsys.readouterr()
    for number, label in ((1, "hat"), (2, "hat"), (7, "hat")):
        api.request("PUT", f"/confirmations/{record(number).id}", {"label": label})
    flush_metrics()

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    assert [line["SellersAgreed"] for line in lines if "SellersAgreed" in line] == [[1.0, 0.0]]
