"""The verdict of a listing's photos, and the confirmations of its seller."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from classifier.batches import verdict
from classifier.classification import Classification, Image
from classifier.confirmations import confirm
from classifier.errors import Busy
from classifier.records import Conflict, Row
from classifier.services import Services
from tests.support.api import Api, handle
from tests.support.bucket import Bucket
from tests.support.drawings import photo
from tests.support.events import s3_event
from tests.support.listings import record, store, unfinished
from tests.support.metrics import Metrics


def approximately(label: str, confidence: float) -> Any:
    return label, pytest.approx(confidence)


def scored(**scores: float) -> Classification:
    ranked = dict(sorted(scores.items(), key=lambda item: -item[1]))
    return record(1, scores=ranked)


def test_the_verdict_on_one_photo_is_its_label() -> None:
    assert verdict([scored(hat=0.7, dress=0.3)]) == ("hat", 0.7)


def test_the_verdict_is_the_mean_of_the_scores() -> None:
    """Two photos with low scores for one label outvote one photo with a high score for another."""
    photos = [scored(hat=0.6, dress=0.4), scored(hat=0.7, dress=0.3), scored(dress=0.65, hat=0.35)]

    assert verdict(photos) == approximately("hat", 0.55)


def test_one_photo_of_something_else_does_not_outvote_the_others() -> None:
    photos = [scored(hat=0.9, dress=0.1)] * 4 + [scored(hat=1e-9, dress=1 - 1e-9)]

    assert verdict(photos) == approximately("hat", 0.72)


def test_a_confirmed_photo_votes_for_its_label_with_probability_1() -> None:
    photos = [replace(scored(hat=0.9, dress=0.1), confirmed_label="dress"), scored(hat=0.6, dress=0.4)]

    assert verdict(photos) == approximately("dress", 0.7)


def test_a_photo_without_a_label_has_no_vote() -> None:
    assert verdict([unfinished(0), unfinished(1)]) is None
    assert verdict([replace(unfinished(1), scores={"hat": 1.0})]) is None
    assert verdict([unfinished(0), unfinished(1), scored(hat=0.7, dress=0.3)]) == ("hat", 0.7)


def test_a_failed_photo_that_is_confirmed_has_a_vote() -> None:
    assert verdict([replace(unfinished(1), confirmed_label="hat")]) == ("hat", 1.0)


def test_a_batch_shows_its_progress_and_its_verdict(api: Api, services: Services, bucket: Bucket) -> None:
    names = [{"name": f"{name}.jpg", "content_type": "image/jpeg"} for name in ("front", "back", "label", "late")]
    uploads = api.request("POST", "/uploads", {"files": names}).json
    path = f"/batches/{uploads['batch_id']}"
    before = api.request("GET", path)
    bodies = [photo("pants"), photo("pants"), b"just text"]
    for item, body in zip(uploads["items"], bodies, strict=False):
        bucket.put(item["fields"]["key"], body)
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


def test_a_batch_may_have_fifty_photos(api: Api) -> None:
    files = [{"name": f"{number}.jpg", "content_type": "image/jpeg"} for number in range(50)]
    uploads = api.request("POST", "/uploads", {"files": files}).json

    assert api.request("GET", f"/batches/{uploads['batch_id']}").json["total"] == 50


def test_a_batch_without_pending_photos_has_no_retry_after(api: Api, services: Services) -> None:
    store(services, [record(1)])

    assert "retry-after" not in api.request("GET", "/batches/listing-1").headers


@pytest.mark.parametrize("batch", ["none", "listing-1/1.jpg", "%ff", "a" * 2000])
def test_a_missing_batch_is_not_found(api: Api, services: Services, batch: str) -> None:
    store(services, [record(1)])

    answer = api.request("GET", f"/batches/{batch}")

    assert (answer.status, answer.json["error"]["code"]) == (404, "not_found")


def test_a_seller_can_agree_with_the_label_or_correct_it(
    api: Api, services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    store(services, [record(1)])

    for label in ("hat", "dress"):
        answer = api.request("PUT", "/confirmations/listing-1%2F1.jpg", {"label": label})

        assert answer.status == 200
        assert answer.json == {**record(1).to_json(), "confirmed_label": label}
        assert api.request("GET", "/classifications/listing-1/1.jpg").json == answer.json
    lines = [vars(record) for record in caplog.records if record.message == "confirmed"]
    assert [(line["id"], line["label"]) for line in lines] == [(record(1).id, "hat"), (record(1).id, "dress")]


def test_a_confirmation_before_the_upload_is_kept(api: Api, bucket: Bucket) -> None:
    uploads = api.request("POST", "/uploads", {"files": [{"name": "a.jpg", "content_type": "image/jpeg"}]}).json
    (item,) = uploads["items"]
    confirmed = api.request("PUT", f"/confirmations/{item['id']}", {"label": "hat"}).json
    bucket.put(item["fields"]["key"], photo("pants"))

    handle(s3_event(item["fields"]["key"]), api.services)

    record = api.request("GET", item["status_url"]).json
    assert (confirmed["status"], confirmed["confirmed_label"]) == ("PENDING", "hat")
    assert (record["status"], record["label"], record["confirmed_label"]) == ("SUCCEEDED", "pants", "hat")


def test_a_confirmation_keeps_the_expiry_of_the_record(api: Api, services: Services) -> None:
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
def test_an_invalid_confirmation_is_refused(
    api: Api, services: Services, identifier: str, body: Any, status: int
) -> None:
    store(services, [unfinished(0), record(1)])

    assert api.request("PUT", f"/confirmations/{identifier}", body).status == status
    assert services.records.read("listing-1/1.jpg").classification == record(1)


def test_a_confirmation_before_the_event_arrives_is_kept(api: Api, services: Services, bucket: Bucket) -> None:
    bucket.put("uploads/listing-1/a.jpg", photo("pants"))

    first = api.request("PUT", "/confirmations/listing-1/a.jpg", {"label": "shorts"})
    handle(s3_event("uploads/listing-1/a.jpg"), services)
    then = api.request("GET", "/classifications/listing-1/a.jpg").json

    assert (first.status, first.json["status"], first.json["confirmed_label"]) == (200, "PENDING", "shorts")
    assert (then["status"], then["label"], then["confirmed_label"]) == ("SUCCEEDED", "pants", "shorts")


def test_a_confirmation_does_not_overwrite_a_newer_result(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """A newer photo is classified between the reading and the writing of the confirmation: both are kept."""
    store(services, [record(1)])
    read = services.records.read
    newer = record(1, scores={"dress": 1.0}, image=Image(1, "newer"))
    overtaken: list[Row] = []

    def read_and_overtake(identifier: str) -> Row:
        row = read(identifier)
        if not overtaken:
            overtaken.append(row)
            services.records.write(newer, row)
        return row

    monkeypatch.setattr(services.records, "read", read_and_overtake)

    assert confirm(record(1).id, "hat", services) == replace(newer, confirmed_label="hat")


def test_a_confirmation_fails_if_the_record_keeps_changing(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    store(services, [record(1)])

    def lose(*_: object) -> None:
        raise Conflict

    monkeypatch.setattr(services.records, "write", lose)

    with pytest.raises(Busy):
        confirm(record(1).id, "hat", services)


def test_metrics_have_the_share_of_confirmations_that_agree(api: Api, services: Services, metrics: Metrics) -> None:
    """Photos that have no label of the model do not count."""
    store(services, [record(1), record(2), unfinished(7)])
    for number, label in ((1, "hat"), (2, "hat"), (7, "hat")):
        api.request("PUT", f"/confirmations/{record(number).id}", {"label": label})

    assert metrics.values("SellersAgreed") == [1, 0]
