"""Photos and listings that the API deletes are gone for good: no event, form or overtaken writer restores them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from classifier import confirmations, deletions, listings
from classifier.classification import Classification, Source, Status
from classifier.deletions import delete_listing
from classifier.errors import Busy
from classifier.records import Conflict, Listing
from classifier.services import Services
from local.aws import BUCKET
from local.template import resource_properties
from tests.support.api import Answer, Api, handle
from tests.support.bucket import Bucket, LaterS3, LateUploads, S3Client, with_s3
from tests.support.drawings import photo
from tests.support.events import failed_event, message, queue_event, s3_event
from tests.support.listings import record, said, store
from tests.support.services import map_in_order, replace_parts

T_SHIRT, PANTS = photo("t-shirt"), photo("pants")
ID, KEY = "listing-42/front.jpg", "uploads/listing-42/front.jpg"
OTHER = "uploads/listing-42/back.jpg"
FILES = [{"name": name, "content_type": "image/jpeg"} for name in ("front.jpg", "back.jpg")]


def upload(bucket: Bucket, services: Services, *keys: str, data: bytes = T_SHIRT) -> None:
    for key in keys:
        bucket.put(key, data)
    handle(s3_event(*keys), services)


def delete(api: Api, photo_id: str = ID) -> Answer:
    return api.request("DELETE", f"/classifications/{photo_id}")


def delete_batch(api: Api, batch_id: str = "listing-42") -> Answer:
    return api.request("DELETE", f"/batches/{batch_id}")


def statuses(api: Api, photo_id: str = ID) -> tuple[int, int]:
    """Return what the API answers about the photo, and about an answer to its label."""
    read = api.request("GET", f"/classifications/{photo_id}")
    confirmed = api.request("PUT", f"/confirmations/{photo_id}", {"label": "hat"})
    return read.status, confirmed.status


def listed(api: Api) -> list[str]:
    return [one["id"] for one in api.request("GET", "/classifications").json["items"]]


def deliver_created(services: Services) -> None:
    handle(s3_event(KEY), services)


def deliver_removed(services: Services) -> None:
    handle(s3_event(KEY, name="ObjectRemoved:Delete"), services)


def deliver_by_queue(services: Services) -> None:
    assert handle(queue_event(message(s3_event(KEY))), services) == {"batchItemFailures": []}


def deliver_failed(services: Services) -> None:
    handle(failed_event(KEY), services)


def deliver_failed_by_queue(services: Services) -> None:
    assert handle(queue_event(message(failed_event(KEY))), services) == {"batchItemFailures": []}


def run_job(services: Services) -> None:
    task = {"taskId": "1", "s3Bucket": BUCKET, "s3Key": KEY}
    job = {"invocationSchemaVersion": "2.0", "invocationId": "1", "tasks": [task]}
    assert handle(job, services)["results"][0]["resultCode"] == "PermanentFailure"


EVENTS = [deliver_created, deliver_removed, deliver_by_queue, deliver_failed, deliver_failed_by_queue, run_job]
LateEvent = Callable[[Services], None]
late_events = pytest.mark.parametrize("deliver", EVENTS, ids=lambda event: event.__name__)


# One photo


def test_a_deleted_photo_leaves_neither_record_nor_object(
    api: Api, services: Services, bucket: Bucket, caplog: pytest.LogCaptureFixture
) -> None:
    upload(bucket, services, KEY, OTHER)

    answer = delete(api)

    assert (answer.status, answer.body) == (204, "")
    assert statuses(api) == (404, 404)
    assert bucket.keys() == [OTHER]
    assert listed(api) == ["listing-42/back.jpg"]
    assert api.request("GET", "/batches/listing-42").json["total"] == 1
    assert [vars(line)["id"] for line in caplog.records if line.message == "deleted"] == [ID]


def test_the_second_deletion_of_a_photo_is_404(api: Api, services: Services, bucket: Bucket) -> None:
    upload(bucket, services, KEY)
    delete(api)

    again = delete(api)

    assert (again.status, again.json["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize("photo_id", ["nothing.jpg", "folder/", "%ff", "a" * 1016, "a" * 3000, "%00"])
def test_a_photo_that_does_not_exist_cannot_be_deleted(api: Api, services: Services, photo_id: str) -> None:
    answer = delete(api, photo_id)

    assert (answer.status, answer.json["error"]["code"]) == (404, "not_found")
    assert services.records.client.scan(TableName=services.records.table)["Items"] == [], "it left a tombstone"


def test_the_deletion_of_a_photo_may_have_an_encoded_id(api: Api, services: Services, bucket: Bucket) -> None:
    upload(bucket, services, "uploads/é/a b.jpg")

    assert delete(api, "%C3%A9%2Fa%20b.jpg").status == 204
    assert bucket.keys() == []


@late_events
def test_no_late_event_restores_a_deleted_photo(
    api: Api, services: Services, bucket: Bucket, deliver: LateEvent
) -> None:
    upload(bucket, services, KEY)
    delete(api)

    for _ in range(2):
        deliver(services)

        assert statuses(api) == (404, 404)
        assert (bucket.keys(), listed(api)) == ([], [])


@late_events
def test_an_upload_that_arrives_after_its_deletion_is_deleted_by_its_event(
    api: Api, services: Services, bucket: Bucket, deliver: LateEvent
) -> None:
    """The form of the photo may still be in use."""
    upload(bucket, services, KEY)
    delete(api)
    for data in (T_SHIRT, PANTS):
        bucket.put(KEY, data)

        deliver(services)

        assert bucket.keys() == []
        assert statuses(api) == (404, 404)


def test_an_upload_that_arrives_after_its_deletion_is_not_found_before_its_event(
    api: Api, services: Services, bucket: Bucket
) -> None:
    """Without a record, a photo in the bucket is PENDING otherwise."""
    upload(bucket, services, KEY)
    delete(api)
    bucket.put(KEY, PANTS)

    read, confirmed = statuses(api)
    taken_back = api.request("DELETE", f"/confirmations/{ID}").status

    assert (read, confirmed, taken_back) == (404, 404, 404)


def test_an_answer_about_a_deleted_photo_does_not_restore_it(api: Api, services: Services, bucket: Bucket) -> None:
    upload(bucket, services, KEY)
    delete(api)
    bucket.put(KEY, PANTS)
    api.request("PUT", f"/confirmations/{ID}", {"label": "hat"})

    handle(s3_event(KEY), services)

    assert bucket.keys() == []
    assert api.request("GET", f"/classifications/{ID}").status == 404


def test_a_photo_that_was_only_announced_can_be_deleted(api: Api, services: Services, bucket: Bucket) -> None:
    (item, _) = api.request("POST", "/uploads", {"files": FILES}).json["items"]

    answer = delete(api, item["id"])
    bucket.put(item["fields"]["key"], T_SHIRT)
    handle(s3_event(item["fields"]["key"]), services)

    assert answer.status == 204
    assert statuses(api, item["id"]) == (404, 404)
    assert bucket.keys() == []


def test_a_photo_whose_event_has_not_arrived_can_be_deleted(api: Api, services: Services, bucket: Bucket) -> None:
    bucket.put(KEY, T_SHIRT)

    answer = delete(api)
    handle(s3_event(KEY), services)

    assert answer.status == 204
    assert bucket.keys() == []
    assert statuses(api) == (404, 404)


def test_a_photo_with_a_confirmation_can_be_deleted(api: Api, services: Services, bucket: Bucket) -> None:
    upload(bucket, services, KEY)
    api.request("PUT", f"/confirmations/{ID}", {"label": "hat"})

    assert delete(api).status == 204
    assert statuses(api) == (404, 404)


@pytest.mark.parametrize("body", [T_SHIRT, PANTS])
def test_the_record_of_a_request_can_be_deleted(api: Api, bucket: Bucket, body: bytes) -> None:
    bucket.put("uploads/another.jpg", T_SHIRT)
    photo_id = api.request("POST", "/classifications", body=body).json["id"]

    answer = delete(api, photo_id)

    assert answer.status == 204
    assert statuses(api, photo_id) == (404, 404)
    assert (delete(api, photo_id).status, listed(api)) == (404, [])
    assert bucket.keys() == ["uploads/another.jpg"]


def test_the_record_of_a_request_does_not_come_back_from_a_restored_table(api: Api, services: Services) -> None:
    """A restored table has records of up to 35 days ago, and a record is copied if there is no tombstone."""
    photo_id = api.request("POST", "/classifications", body=T_SHIRT).json["id"]

    delete(api, photo_id)

    assert expiry(services, photo_id) - datetime.now(UTC) > timedelta(days=35)


def test_a_record_that_this_version_cannot_read_can_be_deleted(api: Api, services: Services, bucket: Bucket) -> None:
    upload(bucket, services, KEY)
    item, revision = services.records.get_item(ID)
    services.records.put_item({**item, "status": "ARCHIVED"}, revision)
    assert api.request("GET", f"/classifications/{ID}").status == 503

    assert delete(api).status == 204

    assert bucket.keys() == []
    assert statuses(api) == (404, 404)


def test_an_expired_record_cannot_be_deleted(api: Api, services: Services) -> None:
    """DynamoDB deletes it within days."""
    store(services, [record(1, status=Status.PENDING)], expires_at=datetime.now(UTC) - timedelta(minutes=1))

    assert delete(api, record(1).id).status == 404


def test_a_writer_that_read_the_photo_before_its_deletion_does_not_restore_it(
    api: Api, services: Services, bucket: Bucket
) -> None:
    def remove() -> None:
        assert delete(api).status == 204

    bucket.put(KEY, T_SHIRT)
    handle(s3_event(KEY), with_s3(services, S3Client(bucket.client, afterwards=remove)))

    assert bucket.keys() == []
    assert statuses(api) == (404, 404)


def test_a_deletion_that_a_writer_overtakes_begins_again(api: Api, services: Services, bucket: Bucket) -> None:
    upload(bucket, services, KEY)
    mark_removed = services.records.mark_removed
    conflicts: list[int] = []

    def overtake(*arguments: Any, **options: Any) -> None:
        if not conflicts:
            conflicts.append(1)
            handle(s3_event(KEY), services)
            raise Conflict
        mark_removed(*arguments, **options)

    records = replace_method(services, mark_removed=overtake)
    assert Api(records).request("DELETE", f"/classifications/{ID}").status == 204
    assert statuses(api) == (404, 404)


def test_a_deletion_that_failed_halfway_can_be_repeated(api: Api, services: Services, bucket: Bucket) -> None:
    """There is a tombstone already, and still an object."""
    upload(bucket, services, KEY)

    class Failing(S3Client):
        def delete_objects(self, **_: Any) -> Any:
            raise Busy("Try again.")

    failing = Api(with_s3(services, Failing(bucket.client)))
    assert delete(failing).status == 503
    assert bucket.keys() == [KEY]

    assert api.request("GET", f"/classifications/{ID}").status == 404
    assert delete(api).status == 204
    assert bucket.keys() == []


def test_objects_that_s3_did_not_delete_are_an_error(api: Api, services: Services, bucket: Bucket) -> None:
    upload(bucket, services, KEY)

    class Refusing(S3Client):
        def delete_objects(self, **_: Any) -> Any:
            return {"Errors": [{"Key": KEY, "Code": "InternalError"}]}

    answer = delete(Api(with_s3(services, Refusing(bucket.client))))

    assert (answer.status, answer.json["error"]["code"]) == (503, "busy")


def test_an_event_about_a_deleted_photo_without_an_object_deletes_nothing(
    api: Api, services: Services, bucket: Bucket
) -> None:
    """S3 sends an event of the deletion itself. If that deleted again, a bucket with versions would send another."""
    upload(bucket, services, KEY)
    delete(api)

    class Observed(S3Client):
        def delete_objects(self, **parameters: Any) -> Any:
            pytest.fail(f"deleted {parameters['Delete']}")

    observed = with_s3(services, Observed(bucket.client))
    deliver_removed(observed)
    deliver_created(observed)


@pytest.mark.parametrize("path", [f"/classifications/{ID}", "/batches/listing-42"])
def test_another_photo_can_be_uploaded_under_the_id_when_no_form_can_be_in_use(
    api: Api, services: Services, bucket: Bucket, path: str
) -> None:
    upload(bucket, services, KEY)
    api.request("DELETE", path)
    bucket.put(KEY, PANTS)

    handle(s3_event(KEY), with_s3(services, LaterS3(bucket.client, age=timedelta(hours=2))))

    assert api.request("GET", f"/classifications/{ID}").json["label"] == "pants"
    assert api.request("GET", "/batches/listing-42").json["total"] == 1
    assert bucket.keys() == [KEY]


def expiry(services: Services, photo_id: str) -> datetime:
    """Return when the row of the table expires."""
    item, _ = services.records.get_item(photo_id)
    return datetime.fromtimestamp(int(item["expires_at"]), UTC)


def test_a_tombstone_outlives_the_form_and_the_events_of_an_upload(
    api: Api, services: Services, bucket: Bucket
) -> None:
    """A form is valid for an hour. Lambda keeps an event for hours, then the failure queue keeps it for days."""
    upload(bucket, services, KEY, OTHER)
    events = resource_properties("ClassifierFunction")["EventInvokeConfig"]["MaximumEventAgeInSeconds"]
    queue = resource_properties("FailureQueue")["MessageRetentionPeriod"]
    latest = datetime.now(UTC) + timedelta(hours=1, seconds=events + queue)

    delete(api)
    delete_batch(api)

    assert [expiry(services, one) > latest for one in (ID, "listing-42/back.jpg", "listing-42/")] == [True] * 3


def replace_method(services: Services, **methods: Any) -> Services:
    """Return the services with other methods of the table, without threads."""

    class Changed:
        def __getattr__(self, name: str) -> Any:
            return methods.get(name) or getattr(services.records, name)

        def update(self, photo_id: str, step: Any) -> Any:
            while True:
                try:
                    return step(services.records.read(photo_id))
                except Conflict:
                    continue

    return replace_parts(services, records=Changed(), map=map_in_order)


# A whole listing


def test_a_deleted_listing_leaves_neither_records_nor_objects(
    api: Api, services: Services, bucket: Bucket, caplog: pytest.LogCaptureFixture
) -> None:
    upload(bucket, services, KEY, OTHER, "uploads/listing-4/a.jpg", "uploads/listing-42.jpg")
    bucket.put("uploads/listing-42/notes.txt", b"just text")
    bucket.put("uploads/listing-42/without an event.jpg", T_SHIRT)
    handle(s3_event("uploads/listing-42/notes.txt"), services)

    answer = delete_batch(api)

    assert (answer.status, answer.body) == (204, "")
    assert api.request("GET", "/batches/listing-42").status == 404
    assert [statuses(api, one) for one in (ID, "listing-42/back.jpg", "listing-42/notes.txt")] == [(404, 404)] * 3
    assert bucket.keys() == ["uploads/listing-4/a.jpg", "uploads/listing-42.jpg"]
    assert set(listed(api)) == {"listing-4/a.jpg", "listing-42.jpg"}
    assert [vars(line)["id"] for line in caplog.records if line.message == "listing deleted"] == ["listing-42"]


def test_the_second_deletion_of_a_listing_is_404(api: Api, services: Services, bucket: Bucket) -> None:
    upload(bucket, services, KEY)
    delete_batch(api)

    again = delete_batch(api)

    assert (again.status, again.json["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize("batch", ["none", "listing-42/front.jpg", "%ff", "a" * 2000, "listing-4"])
def test_a_listing_that_does_not_exist_cannot_be_deleted(
    api: Api, services: Services, bucket: Bucket, batch: str
) -> None:
    upload(bucket, services, KEY)

    assert delete_batch(api, batch).status == 404
    assert bucket.keys() == [KEY]
    assert services.records.read_listing(batch).revision is None


def test_a_folder_within_a_listing_cannot_be_deleted(api: Api, services: Services, bucket: Bucket) -> None:
    """Its photos are of the listing, which is the first folder."""
    upload(bucket, services, "uploads/a/b/c.jpg")

    assert delete_batch(api, "a%2Fb").status == 404
    assert bucket.keys() == ["uploads/a/b/c.jpg"]


def test_a_deletion_does_not_break_tokens(api: Api, services: Services, bucket: Bucket) -> None:
    """No listing has the row of the keys that sign tokens."""
    api.request("POST", "/uploads", {"files": FILES})
    before = services.records.get_item("//")
    bucket.put("uploads///a.jpg", T_SHIRT)

    for path in ("/batches/%2F", "/batches//", "/classifications//", "/classifications/%2F%2F"):
        assert api.request("DELETE", path).status == 404
    assert api.request("PUT", "/batches/%2F/confirmation", {"label": "hat"}).status == 404

    assert services.records.get_item("//") == before


def test_a_listing_of_which_nothing_has_arrived_can_be_deleted(api: Api, services: Services, bucket: Bucket) -> None:
    uploads = api.request("POST", "/uploads", {"files": FILES}).json

    assert delete_batch(api, uploads["batch_id"]).status == 204
    for item in uploads["items"]:
        bucket.put(item["fields"]["key"], T_SHIRT)
        handle(s3_event(item["fields"]["key"]), services)
        assert statuses(api, item["id"]) == (404, 404)
    assert bucket.keys() == []


def test_a_listing_of_which_only_the_form_s_record_has_expired_cannot_be_deleted(api: Api, services: Services) -> None:
    """`GET /batches/…` does not find it, either. DynamoDB deletes expired items days later."""
    store(services, [record(1, status=Status.PENDING)], expires_at=datetime.now(UTC) - timedelta(minutes=1))
    assert api.request("GET", "/batches/listing-1").status == 404

    assert delete_batch(api, "listing-1").status == 404


@late_events
def test_no_late_event_restores_a_photo_of_a_deleted_listing(
    api: Api, services: Services, bucket: Bucket, deliver: LateEvent
) -> None:
    upload(bucket, services, KEY, OTHER)
    delete_batch(api)

    deliver(services)

    assert statuses(api) == (404, 404)
    assert (bucket.keys(), listed(api)) == ([], [])


@pytest.mark.parametrize("name", ["front.jpg", "never seen.jpg"])
@pytest.mark.parametrize("event", [s3_event, failed_event])
def test_a_photo_that_arrives_after_the_deletion_of_its_listing_is_deleted_by_its_event(
    api: Api, services: Services, bucket: Bucket, name: str, event: Callable[[str], Any]
) -> None:
    """The token of the listing may still be in use, and photos come without one, too."""
    upload(bucket, services, KEY)
    delete_batch(api)
    bucket.put(f"uploads/listing-42/{name}", PANTS)

    handle(event(f"uploads/listing-42/{name}"), services)

    assert statuses(api, f"listing-42/{name}") == (404, 404)
    assert api.request("GET", "/batches/listing-42").status == 404
    assert (bucket.keys(), listed(api)) == ([], [])


def test_a_photo_is_deleted_although_another_invocation_ended_after_the_tombstone(
    api: Api, services: Services, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3 delivers the event twice. The other invocation writes the tombstone just before this one would."""
    upload(bucket, services, KEY)
    delete_batch(api)
    bucket.put("uploads/listing-42/late.jpg", PANTS)
    read_listing, reads = services.records.read_listing, []

    def read_and_overtake(batch_id: str) -> Listing:
        listing = read_listing(batch_id)
        reads.append(batch_id)
        if len(reads) == 2:
            row = services.records.read("listing-42/late.jpg")
            services.records.mark_removed(row, datetime.now(UTC) + timedelta(days=15), listing.deleted_at)
        return listing

    monkeypatch.setattr(services.records, "read_listing", read_and_overtake)
    handle(s3_event("uploads/listing-42/late.jpg"), services)

    assert len(reads) > 1
    assert (bucket.keys(), listed(api)) == ([], [])


def test_a_deleted_listing_takes_neither_answers_nor_photos(api: Api, services: Services, bucket: Bucket) -> None:
    upload(bucket, services, KEY)
    delete_batch(api)
    bucket.put("uploads/listing-42/late.jpg", PANTS)

    answers = [
        api.request("PUT", "/batches/listing-42/confirmation", {"label": "hat"}),
        api.request("POST", "/uploads", {"files": FILES, "batch_id": "listing-42"}),
        api.request("GET", "/batches/listing-42"),
    ]

    assert [(answer.status, answer.json["error"]["code"]) for answer in answers] == [(404, "not_found")] * 3
    assert services.records.read_listing("listing-42").deleted_at


def test_a_confirmed_listing_can_be_deleted(api: Api, services: Services, bucket: Bucket) -> None:
    upload(bucket, services, KEY)
    api.request("PUT", "/batches/listing-42/confirmation", {"label": "hat"})

    assert delete_batch(api).status == 204
    assert services.records.read_listing("listing-42").confirmation is None


def test_a_photo_that_is_classified_while_its_listing_is_deleted_is_deleted_too(
    api: Api, services: Services, bucket: Bucket
) -> None:
    """The deletion comes after the photo was read, before its record is written."""

    def remove() -> None:
        assert delete_batch(api).status == 204

    bucket.put(KEY, T_SHIRT)
    handle(s3_event(KEY), with_s3(services, S3Client(bucket.client, afterwards=remove)))

    assert (bucket.keys(), listed(api)) == ([], [])
    assert statuses(api) == (404, 404)


def test_a_photo_that_arrives_just_before_its_listing_is_deleted_is_deleted_too(
    api: Api, services: Services, bucket: Bucket
) -> None:
    """It is not there at the first look at the bucket, and its event does not find that the listing is deleted."""
    upload(bucket, services, KEY)
    late = LateUploads(services.bucket, lambda: upload(bucket, services, OTHER))

    delete_listing("listing-42", replace_parts(services, bucket=late))

    assert (bucket.keys(), listed(api)) == ([], [])
    assert statuses(api, "listing-42/back.jpg") == (404, 404)


def test_a_photo_that_is_announced_while_its_listing_is_deleted_is_not_there_afterwards(
    api: Api, services: Services, bucket: Bucket
) -> None:
    """The deletion comes after the request has found that the listing exists."""
    upload(bucket, services, KEY)
    write = services.records.write
    deleted: list[bool] = []

    def delete_first(classification: Classification, *options: Any) -> None:
        if not deleted:
            delete_listing("listing-42", services)
            deleted.append(True)
        write(classification, *options)

    racing = Api(replace_method(services, write=delete_first))
    racing.request("POST", "/uploads", {"files": FILES, "batch_id": "listing-42"})

    assert deleted == [True]
    assert listed(api) == []
    assert api.request("GET", "/batches/listing-42").status == 404


@pytest.mark.parametrize("fails_at", range(4))
def test_a_deletion_of_a_listing_that_failed_halfway_goes_on_with_the_next_try(
    api: Api, services: Services, bucket: Bucket, fails_at: int
) -> None:
    keys = [f"uploads/listing-42/{number}.jpg" for number in range(4)]
    upload(bucket, services, *keys)
    mark_removed = services.records.mark_removed
    marked: list[Any] = []

    def mark(*arguments: Any, **options: Any) -> None:
        if len(marked) == fails_at:
            raise Busy("Try again.")
        mark_removed(*arguments, **options)
        marked.append(arguments)

    failing = Api(replace_method(services, mark_removed=mark))
    assert failing.request("DELETE", "/batches/listing-42").status == 503
    assert api.request("GET", "/batches/listing-42").status == 404, "it is marked first"

    assert delete_batch(api).status == 204
    assert (bucket.keys(), listed(api)) == ([], [])


def test_a_listing_of_more_objects_than_s3_lists_and_deletes_at_once_is_deleted(
    services: Services, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody may have uploaded them without forms."""
    for module in (confirmations, deletions, listings):
        monkeypatch.setattr(module, "MAX_PHOTOS", 3)
    names = [f"listing-42/{number}.jpg" for number in range(8)]
    for name in names:
        bucket.put(f"uploads/{name}", T_SHIRT)
    store(services, [record(number, id=f"listing-42/gone-{number}.jpg") for number in range(3)])
    sizes: list[int] = []

    class Counting(S3Client):
        def delete_objects(self, **parameters: Any) -> Any:
            sizes.append(len(parameters["Delete"]["Objects"]))
            return self.client.delete_objects(**parameters)

    api = Api(with_s3(services, Counting(bucket.client)))
    assert delete_batch(api).status == 204

    assert sum(sizes) == 8 + 3
    assert max(sizes) == 3
    assert (bucket.keys(), listed(api)) == ([], [])
    assert all(services.records.read(name).deleted_at for name in names)


def test_a_folder_that_the_console_made_does_not_shorten_the_deletion_of_its_listing(
    api: Api, services: Services, bucket: Bucket
) -> None:
    """S3's console shows folders as empty objects, whose keys end with a slash."""
    upload(bucket, services, KEY)
    bucket.put("uploads/listing-42/", b"")
    upload(bucket, services, "uploads/listing-43/front.jpg")

    delete_batch(api, "listing-42")
    delete_batch(api, "listing-43")

    assert bucket.keys() == []
    lifetimes = [expiry(services, f"{batch}/") for batch in ("listing-42", "listing-43")]
    assert abs(lifetimes[0] - lifetimes[1]) < timedelta(minutes=1)
    assert services.records.read_listing("listing-42").deleted_at


def test_a_record_of_a_request_is_in_no_listing(api: Api, services: Services) -> None:
    """Its id may look as if it were."""
    store(services, [record(1, source=Source.URL), record(4, confirmation=said("hat"))])

    delete_batch(api, "listing-1")

    assert services.records.read(record(1).id).classification == record(1, source=Source.URL)
    assert services.records.read(record(4).id).classification is None
