"""Which photo a record is about: the bytes decide, because neither an ETag nor a time identifies a photo."""

from dataclasses import dataclass, replace
from datetime import timedelta
from io import BytesIO
from typing import Any

import pytest

from classifier.classification import Classification, Person
from classifier.confirmations import confirm
from classifier.keys import object_key
from classifier.reconcile import reconcile
from classifier.services import Services
from classifier.upload_forms import File, create_listing
from local.aws import BUCKET
from tests.support.bucket import Bucket, LaterS3, S3Client, with_s3
from tests.support.drawings import photo
from tests.support.listings import shown
from tests.support.services import replace_parts

ID = "listing-42/front.jpg"
KEY = object_key(ID)
T_SHIRT, PANTS, TOO_LARGE = photo("t-shirt"), photo("pants"), bytes(26 * 1024 * 1024)


@dataclass
class CollidingS3(LaterS3):
    """Gives every object the same ETag, as MD5 gives to files that were made to collide."""

    age: timedelta = timedelta(0)

    def get_object(self, **parameters: Any) -> Any:
        return super().get_object(**parameters) | {"ETag": '"collision"'}


@pytest.fixture
def colliding(services: Services, bucket: Bucket) -> Services:
    """Services whose bucket gives every object the same ETag."""
    return with_s3(services, CollidingS3(bucket.client))


def later(services: Services, bucket: Bucket) -> Services:
    """Return the services a minute later."""
    return with_s3(services, CollidingS3(bucket.client, age=timedelta(minutes=1)))


def classify(services: Services, bucket: Bucket, data: bytes, *, final_attempt: bool = False) -> Classification:
    """Upload a photo and return its classification."""
    bucket.put(KEY, data)
    classification = reconcile(BUCKET, KEY, services, final_attempt=final_attempt)
    assert classification is not None
    return classification


def test_photos_with_one_etag_have_labels_of_their_own(colliding: Services, bucket: Bucket) -> None:
    """They may even be uploaded within one second, which is the resolution of S3's times."""
    assert classify(colliding, bucket, T_SHIRT).label == "t-shirt"
    assert classify(colliding, bucket, PANTS).label == "pants"


def test_a_confirmation_does_not_hold_for_another_photo_with_the_same_etag(colliding: Services, bucket: Bucket) -> None:
    classify(colliding, bucket, T_SHIRT)
    confirm(ID, "hat", Person.SELLER, colliding)

    assert classify(colliding, bucket, PANTS).confirmation is None


def test_a_photo_that_is_uploaded_again_keeps_its_record(colliding: Services, bucket: Bucket) -> None:
    classify(colliding, bucket, T_SHIRT)
    before = confirm(ID, "hat", Person.SELLER, colliding)

    after = classify(later(colliding, bucket), bucket, T_SHIRT)

    assert shown(after, colliding) == shown(before, colliding)


def test_a_failed_event_keeps_the_record_of_a_photo_that_was_uploaded_again(
    colliding: Services, bucket: Bucket
) -> None:
    before = classify(colliding, bucket, T_SHIRT)

    after = classify(later(colliding, bucket), bucket, T_SHIRT, final_attempt=True)

    assert shown(after, colliding) == shown(before, colliding)


def test_a_failed_event_marks_another_photo_with_the_same_etag(colliding: Services, bucket: Bucket) -> None:
    classify(colliding, bucket, T_SHIRT)

    failed = classify(colliding, bucket, PANTS, final_attempt=True)

    assert failed.failure
    assert failed.failure.code == "internal_error"


def test_a_file_that_is_too_large_keeps_its_record_until_it_is_replaced(colliding: Services, bucket: Bucket) -> None:
    """It is not read, so its ETag and time identify it."""
    classify(colliding, bucket, TOO_LARGE)
    before = confirm(ID, "hat", Person.SELLER, colliding)

    same = reconcile(BUCKET, KEY, colliding)
    assert same
    assert shown(same, colliding) == shown(before, colliding)
    replaced = reconcile(BUCKET, KEY, later(colliding, bucket))
    assert replaced
    assert replaced.confirmation is None


def test_a_failed_event_says_of_a_file_that_is_too_large_why_it_failed(services: Services, bucket: Bucket) -> None:
    failed = classify(services, bucket, TOO_LARGE, final_attempt=True)

    assert failed.failure
    assert failed.failure.code == "image_too_large"


def test_the_time_of_an_announced_photo_does_not_change(services: Services, bucket: Bucket) -> None:
    """Otherwise the record would move in lists while a client reads them, and each move costs two writes."""
    listing = create_listing([File("front.jpg", "image/jpeg")], None, services)
    photo_id = listing["items"][0]["id"]
    announced = services.records.read(photo_id).classification
    bucket.put(object_key(photo_id), PANTS)

    classified = reconcile(BUCKET, object_key(photo_id), with_s3(services, LaterS3(bucket.client)))

    assert announced
    assert classified
    assert classified.label == "pants"
    assert classified.created_at == announced.created_at


def test_another_model_does_not_change_the_time_of_a_photo(services: Services, bucket: Bucket) -> None:
    before = classify(services, bucket, PANTS)
    newer = replace_parts(services, description=replace(services.description, version="newer"))
    uploaded_again = with_s3(newer, LaterS3(bucket.client))

    after = reconcile(BUCKET, KEY, uploaded_again)

    assert after
    assert after.classified_at != before.classified_at
    assert after.created_at == before.created_at


def test_another_photo_has_a_time_of_its_own(services: Services, bucket: Bucket) -> None:
    before = classify(services, bucket, T_SHIRT)

    after = classify(with_s3(services, LaterS3(bucket.client)), bucket, PANTS)

    assert after.created_at > before.created_at


def test_a_body_is_closed(services: Services, bucket: Bucket) -> None:
    """Otherwise its connection would not be used again."""
    bodies = []

    class ObservedS3(S3Client):
        def get_object(self, **parameters: Any) -> Any:
            body = BytesIO(T_SHIRT)
            bodies.append(body)
            return super().get_object(**parameters) | {"Body": body}

    classify(with_s3(services, ObservedS3(bucket.client)), bucket, T_SHIRT)

    assert [body.closed for body in bodies] == [True]
