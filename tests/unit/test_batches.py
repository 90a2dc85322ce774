"""What the photos of a listing say together, and the answers about it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from classifier.batches import Verdict, judge
from classifier.classification import Classification, Confirmation, Person, Status
from classifier.records import Listing
from classifier.services import Services
from tests.support.api import Answer, Api, handle
from tests.support.bucket import Bucket
from tests.support.drawings import photo
from tests.support.events import s3_event
from tests.support.listings import START, record, said, store, unfinished

THRESHOLD = 0.8


def scored(**scores: float) -> Classification:
    """Return a photo that the model is sure about, with these scores."""
    ranked = dict(sorted(scores.items(), key=lambda item: -item[1]))
    return record(1, scores=ranked)


def unsure(**scores: float) -> Classification:
    """Return a photo that needs review."""
    return replace(scored(**scores), is_uncertain=True)


def confirmed(one: Classification, label: str | None) -> Classification:
    """Return the photo after somebody has said what it shows."""
    return replace(one, confirmation=said(label))


PENDING, FAILED = unfinished(0), unfinished(1)
SURE_HAT, UNSURE_HAT, UNSURE_DRESS = scored(hat=0.9, dress=0.1), unsure(hat=0.6, dress=0.4), unsure(dress=0.7, hat=0.3)


def verdict(*photos: Classification, confirmation: Confirmation | None = None) -> Verdict:
    return judge(photos, confirmation, THRESHOLD)


def vote(*photos: Classification) -> Any:
    """Return the label on which the photos agree, and how sure they are together."""
    together = verdict(*photos)
    return together.label, together.confidence


def approximately(label: str, confidence: float) -> Any:
    return label, pytest.approx(confidence)


# Who votes


def test_one_photo_says_its_label() -> None:
    assert verdict(SURE_HAT) == Verdict("hat", 0.9, needs_review=False, scores={"hat": 0.9, "dress": 0.1})


def test_photos_say_the_mean_of_their_scores() -> None:
    """Two photos with low scores for one label outvote one photo with a high score for another."""
    photos = [scored(hat=0.6, dress=0.4), scored(hat=0.7, dress=0.3), scored(dress=0.65, hat=0.35)]

    assert vote(*photos) == approximately("hat", 0.55)


def test_one_photo_of_something_else_does_not_outvote_the_others() -> None:
    assert vote(*[SURE_HAT] * 4, scored(hat=1e-9, dress=1 - 1e-9)) == approximately("hat", 0.72)


def test_the_mean_scores_are_in_their_order() -> None:
    scores = verdict(scored(hat=0.5, dress=0.3, shoes=0.2), scored(dress=0.9, hat=0.1)).scores

    assert list(scores.items()) == [("dress", 0.6), ("hat", 0.3), ("shoes", 0.1)]


def test_a_photo_that_needs_review_has_no_vote_beside_one_that_does_not() -> None:
    assert verdict(UNSURE_DRESS, SURE_HAT, UNSURE_DRESS) == verdict(SURE_HAT)


def test_photos_that_need_review_vote_if_all_do() -> None:
    assert vote(UNSURE_DRESS, UNSURE_HAT) == approximately("dress", 0.55)


def test_a_confirmed_photo_is_sure_of_its_label() -> None:
    assert vote(confirmed(SURE_HAT, "dress"), scored(hat=0.6, dress=0.4)) == approximately("dress", 0.7)
    assert vote(confirmed(UNSURE_HAT, "dress"), UNSURE_HAT) == ("dress", 1.0)


def test_a_photo_that_shows_none_of_the_labels_has_no_vote() -> None:
    assert verdict(confirmed(scored(dress=1.0), None), SURE_HAT) == verdict(SURE_HAT)
    assert verdict(confirmed(scored(dress=1.0), None), UNSURE_HAT) == verdict(UNSURE_HAT)
    assert vote(confirmed(SURE_HAT, None)) == (None, None)


def test_a_photo_without_a_label_has_no_vote() -> None:
    assert vote(PENDING, FAILED) == (None, None)
    assert vote(replace(FAILED, scores={"hat": 1.0})) == (None, None)
    assert vote(PENDING, FAILED, SURE_HAT) == ("hat", 0.9)


def test_a_photo_that_is_not_there_has_no_vote_even_if_it_is_confirmed() -> None:
    assert vote(confirmed(PENDING, "dress")) == (None, None)
    assert vote(confirmed(PENDING, "dress"), UNSURE_HAT) == ("hat", 0.6)


def test_a_failed_photo_that_is_confirmed_has_a_vote() -> None:
    assert vote(confirmed(FAILED, "hat")) == ("hat", 1.0)
    assert vote(confirmed(FAILED, "hat"), UNSURE_DRESS) == ("hat", 1.0)


# What a person said of the whole listing


@pytest.mark.parametrize("photos", [[SURE_HAT], [confirmed(SURE_HAT, "hat")], [UNSURE_HAT], [FAILED], [PENDING], []])
def test_a_confirmation_of_the_listing_counts_before_all_photos(photos: list[Classification]) -> None:
    together = verdict(*photos, confirmation=said("dress"))

    assert (together.label, together.confidence, together.needs_review) == ("dress", 1.0, False)
    assert together.scores == verdict(*photos).scores


@pytest.mark.parametrize("photos", [[SURE_HAT], [UNSURE_HAT], [FAILED], [PENDING]])
def test_a_listing_that_shows_none_of_the_labels_has_no_label_and_needs_no_review(
    photos: list[Classification],
) -> None:
    together = verdict(*photos, confirmation=said(None))

    assert (together.label, together.confidence, together.needs_review) == (None, None, False)


# Whether a person should look


@pytest.mark.parametrize(
    ("photos", "needs_review"),
    [
        pytest.param([SURE_HAT], False, id="one sure photo"),
        pytest.param([SURE_HAT, UNSURE_DRESS, FAILED, PENDING], False, id="a sure photo beside others"),
        pytest.param([scored(hat=THRESHOLD, dress=1 - THRESHOLD)], False, id="the vote is at the threshold"),
        pytest.param([scored(hat=0.79, dress=0.21)], True, id="the vote is under the threshold"),
        pytest.param([SURE_HAT, scored(dress=0.9, hat=0.1)], True, id="sure photos that contradict each other"),
        pytest.param([unsure(hat=0.99, dress=0.01)], True, id="only photos that need review vote"),
        pytest.param([confirmed(UNSURE_HAT, "hat"), UNSURE_DRESS], False, id="one of two is confirmed"),
        pytest.param([confirmed(UNSURE_HAT, None), UNSURE_DRESS], True, id="the other one still needs review"),
        pytest.param([FAILED], True, id="only a failed photo"),
        pytest.param([FAILED, PENDING], True, id="a failed photo, and one on its way"),
        pytest.param([confirmed(FAILED, "hat")], False, id="the failed photo is confirmed"),
        pytest.param([confirmed(FAILED, None)], False, id="the failed photo shows none of the labels"),
        pytest.param([confirmed(SURE_HAT, None), FAILED], True, id="no vote, and a failed photo"),
        pytest.param([PENDING], False, id="nothing is there"),
        pytest.param([], False, id="no photo"),
    ],
)
def test_a_listing_needs_review_if_its_photos_do_not_answer_for_sure(
    photos: list[Classification],
    needs_review: bool,  # noqa: FBT001
) -> None:
    assert verdict(*photos).needs_review is needs_review
    assert not verdict(*photos, confirmation=said("hat")).needs_review


def test_the_threshold_is_the_caller_s() -> None:
    assert [judge([SURE_HAT], None, threshold).needs_review for threshold in (0.9, 0.91)] == [False, True]


# Answers

FIELDS = (
    *("batch_id", "total", "pending", "succeeded", "failed", "label", "confidence", "needs_review"),
    *("predictions", "confirmation", "category", "items"),
)


def read(api: Api, batch_id: str = "listing-1", **options: Any) -> Answer:
    return api.request("GET", f"/batches/{batch_id}", **options)


def announce(api: Api, *names: str) -> Any:
    files = [{"name": name, "content_type": "image/jpeg"} for name in names]
    return api.request("POST", "/uploads", {"files": files}).json


def test_a_batch_shows_its_progress_and_what_its_photos_say(api: Api, services: Services, bucket: Bucket) -> None:
    uploads = announce(api, "front.jpg", "back.jpg", "label.jpg", "late.jpg")
    before = read(api, uploads["batch_id"])
    bodies = [photo("pants"), photo("pants"), b"just text"]
    for item, body in zip(uploads["items"], bodies, strict=False):
        bucket.put(item["fields"]["key"], body)
        handle(s3_event(item["fields"]["key"]), services)

    after = read(api, uploads["batch_id"]).json

    assert before.headers["retry-after"] == "1"
    assert before.json["pending"] == before.json["total"] == 4
    assert before.json["label"] is before.json["confidence"] is before.json["category"] is None
    assert (before.json["predictions"], before.json["needs_review"]) == ([], False)
    assert {name: after[name] for name in ("total", "pending", "succeeded", "failed", "label", "needs_review")} == {
        "total": 4,
        "pending": 1,
        "succeeded": 2,
        "failed": 1,
        "label": "pants",
        "needs_review": False,
    }
    confidences = [item["confidence"] for item in after["items"] if item["label"]]
    assert after["confidence"] == pytest.approx(sum(confidences) / 2)
    assert {item["id"] for item in after["items"]} == {item["id"] for item in uploads["items"]}


def test_a_batch_has_the_fields_of_the_contract(api: Api, services: Services) -> None:
    store(services, [record(1), record(4)])

    content = read(api).json

    assert tuple(content) == FIELDS
    assert content["predictions"] == [{"label": "hat", "score": 0.65}, {"label": "dress", "score": 0.35}]
    assert (content["label"], content["confidence"], content["needs_review"]) == ("hat", 0.65, True)
    assert content["category"] == services.description.categories["hat"]
    assert content["confirmation"] is None
    assert [item["id"] for item in content["items"]] == ["listing-1/4.jpg", "listing-1/1.jpg"]


def test_the_predictions_of_a_batch_are_those_of_its_photos_after_a_correction(api: Api, services: Services) -> None:
    """A person reads there what the photos say, whatever somebody said of the listing."""
    store(services, [record(1)])
    services.records.update_listing("listing-1", lambda seen: replace(seen, confirmation=said("dress")))

    content = read(api).json

    assert (content["label"], content["confidence"], content["predictions"][0]["label"]) == ("dress", 1.0, "hat")
    assert content["confirmation"] == {"label": "dress", "by": "shop", "at": "2026-01-31T00:00:00.000Z"}


def test_a_batch_that_shows_none_of_the_labels_has_no_category(api: Api, services: Services) -> None:
    store(services, [record(1)])
    services.records.update_listing("listing-1", lambda seen: replace(seen, confirmation=said(None)))

    content = read(api).json

    assert content["label"] is content["confidence"] is content["category"] is None
    assert content["confirmation"] == {"label": None, "by": "shop", "at": "2026-01-31T00:00:00.000Z"}
    assert not content["needs_review"]


def test_the_threshold_of_a_batch_is_that_of_the_model(api: Api, services: Services) -> None:
    threshold = services.description.review_threshold
    for label, score, batch in (("hat", threshold, "at"), ("hat", threshold - 0.0001, "under")):
        store(services, [record(1, id=f"{batch}/1.jpg", scores={label: score})])

    assert [read(api, batch).json["needs_review"] for batch in ("at", "under")] == [False, True]


def test_a_batch_may_have_fifty_photos(api: Api) -> None:
    uploads = announce(api, *(f"{number}.jpg" for number in range(50)))

    assert read(api, uploads["batch_id"]).json["total"] == 50


def test_a_batch_without_pending_photos_has_no_retry_after(api: Api, services: Services) -> None:
    store(services, [record(1)])

    assert "retry-after" not in read(api).headers


def test_an_unchanged_batch_is_304(api: Api, services: Services) -> None:
    store(services, [record(1)])
    etag = read(api).headers["etag"]

    for header in (etag, f'"other", W/{etag}', "*"):
        answer = read(api, headers={"If-None-Match": header})
        assert (answer.status, answer.body or "", answer.headers["etag"]) == (304, "", etag)
    assert read(api, headers={"If-None-Match": '"other"'}).status == 200
    assert read(api).headers["cache-control"] == "no-cache"


def test_an_unchanged_batch_with_pending_photos_says_when_to_ask_again(api: Api, services: Services) -> None:
    store(services, [unfinished(0)])
    etag = read(api, "listing-0").headers["etag"]

    answer = read(api, "listing-0", headers={"If-None-Match": etag})

    assert (answer.status, answer.headers["retry-after"]) == (304, "1")


def _confirm_photo(api: Api) -> None:
    api.request("PUT", "/confirmations/listing-1/1.jpg", {"label": "hat"})


def _confirm_batch(api: Api) -> None:
    api.request("PUT", "/batches/listing-1/confirmation", {"label": "hat"})


def _add_photo(api: Api) -> None:
    store(api.services, [record(4)])


def _delete_photo(api: Api) -> None:
    api.request("DELETE", "/classifications/listing-1/1.jpg")


@pytest.mark.parametrize("change", [_confirm_photo, _confirm_batch, _add_photo, _delete_photo])
def test_a_changed_batch_has_a_new_etag(api: Api, services: Services, change: Callable[[Api], None]) -> None:
    store(services, [record(1), record(7)])
    before = read(api).headers["etag"]
    change(api)

    assert read(api, headers={"If-None-Match": before}).status == 200


@pytest.mark.parametrize("batch", ["none", "listing-1/1.jpg", "%ff", "a" * 2000])
def test_a_missing_batch_is_not_found(api: Api, services: Services, batch: str) -> None:
    store(services, [record(1)])

    answer = read(api, batch)

    assert (answer.status, answer.json["error"]["code"]) == (404, "not_found")


# What the table holds of a listing


def test_a_listing_that_nobody_has_confirmed_or_deleted_is_not_in_the_table(services: Services) -> None:
    assert services.records.read_listing("a") == Listing("a")


@pytest.mark.parametrize("confirmation", [said("hat"), said(None, by=Person.SELLER)])
def test_a_stored_confirmation_of_a_listing_is_read_as_it_was(services: Services, confirmation: Confirmation) -> None:
    services.records.update_listing("a", lambda seen: replace(seen, confirmation=confirmation))

    read_again = services.records.read_listing("a")

    assert (read_again.confirmation, read_again.deleted_at) == (confirmation, None)
    assert services.records.read_listing("b") == Listing("b")


def test_an_update_of_a_listing_that_was_overtaken_begins_again(services: Services) -> None:
    seen: list[Confirmation | None] = []

    def step(listing: Listing) -> Listing:
        seen.append(listing.confirmation)
        if len(seen) == 1:
            services.records.update_listing("a", lambda other: replace(other, confirmation=said("hat")))
        return replace(listing, confirmation=said("dress"))

    services.records.update_listing("a", step)

    assert seen == [None, said("hat")]
    assert services.records.read_listing("a").confirmation == said("dress")


def test_the_row_of_a_listing_is_neither_a_photo_nor_in_a_list(api: Api, services: Services) -> None:
    store(services, [record(1)])
    services.records.update_listing("listing-1", lambda seen: replace(seen, confirmation=said("hat")))

    assert api.request("GET", "/classifications/listing-1%2F").status == 404
    assert api.request("PUT", "/confirmations/listing-1%2F", {"label": "hat"}).status == 404
    assert api.request("DELETE", "/classifications/listing-1%2F").status == 404
    assert [one["id"] for one in api.request("GET", "/classifications").json["items"]] == ["listing-1/1.jpg"]
    assert read(api).json["confirmation"]["label"] == "hat"


def test_the_time_of_a_listing_s_deletion_is_kept(services: Services) -> None:
    later = START.replace(year=9999)
    services.records.update_listing("a", lambda seen: replace(seen, deleted_at=START), later)

    again = services.records.update_listing("a", lambda seen: seen, later)

    assert again.deleted_at == services.records.read_listing("a").deleted_at == START


def test_what_the_table_holds_of_a_listing_counts_until_it_expires(services: Services) -> None:
    """DynamoDB deletes expired items days later."""
    services.records.update_listing(
        "a", lambda seen: replace(seen, deleted_at=START, confirmation=said("hat")), datetime.now(UTC)
    )

    expired = services.records.read_listing("a")

    assert (expired.deleted_at, expired.confirmation) == (None, None)


def test_an_update_of_a_listing_keeps_what_a_newer_version_wrote(services: Services) -> None:
    newer = {"id": "a/", "tags": {"summer"}, "confirmation": {"by": "robot", "at": "2026-01-31T00:00:00.000Z"}}
    services.records.put_item(newer, None)

    services.records.update_listing("a", lambda seen: replace(seen, confirmation=said("hat")))

    item, _ = services.records.get_item("a/")
    assert (item["tags"], item["confirmation"]["label"]) == ({"summer"}, "hat")


def test_only_photos_of_the_batch_itself_count(api: Api, services: Services) -> None:
    """An id may have further folders; a batch is the first one."""
    store(services, [record(1, id="a/b/1.jpg"), record(2, id="ab/2.jpg"), record(3, id="a")])

    assert [item["id"] for item in read(api, "a").json["items"]] == ["a/b/1.jpg"]
    assert read(api, "a%2Fb").status == 404
    assert {item["status"] for item in read(api, "a").json["items"]} == {Status.SUCCEEDED}
