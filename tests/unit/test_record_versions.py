"""Records of older and newer versions of the code: each can be read, and a write keeps what a newer version wrote.

The files of `golden/` are rows of the table in DynamoDB's notation. `oldest` is what the first version wrote.
`confirmed_label` is of a version that stored only the label of a confirmation. `smallest` has only the required
attributes. `current` and `failed` are what this version writes. `newer` has unknown attributes.
"""

import base64
import hashlib
import json
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from classifier.classification import Classification, Confirmation, Failure, Image, Person, Source, Status
from classifier.confirmations import confirm, take_back
from classifier.indexes import Filter
from classifier.items import from_item, to_item, unknown_attributes
from classifier.keys import object_key
from classifier.records import Row
from classifier.services import Services
from tests.support.api import Api, handle
from tests.support.bucket import Bucket
from tests.support.drawings import photo
from tests.support.events import s3_event
from tests.support.services import replace_parts

GOLDEN = Path(__file__).parent / "golden"
UNKNOWN = {"tags", "checksum", "weight"}  # the top-level attributes of newer.json that are not known

IMAGE = Image(2386088, "31e841ba91305ac562a1bf141fae83b2", "JPEG", 3024, 4032, hashlib.sha256(b"front").hexdigest())
CURRENT = Classification(
    id="listing-42/front.jpg",
    status=Status.SUCCEEDED,
    source=Source.S3,
    created_at=datetime(2026, 1, 31, 12, tzinfo=UTC),
    scores={"pants": 0.97, "shorts": 0.03},
    confirmation=Confirmation("shorts", Person.SELLER, datetime(2026, 1, 31, 12, 1, tzinfo=UTC), of_listing=True),
    model_version="mobilenet_v2-224-453dd2c3",
    image=IMAGE,
    classified_at=datetime(2026, 1, 31, 12, 0, 1, 500_000, tzinfo=UTC),
)
FAILED = Classification(
    id="notes.txt",
    status=Status.FAILED,
    source=Source.S3,
    created_at=CURRENT.created_at,
    scores={},
    is_uncertain=True,
    model_version=CURRENT.model_version,
    image=Image(12, "5eb63bbbe01eeed093cb22bb8f5acdc3"),
    classified_at=CURRENT.classified_at,
    failure=Failure("unsupported_image", "This is not an image."),
)
PENDING = Classification(CURRENT.id, Status.PENDING, Source.S3, CURRENT.created_at, scores={})
NEWER = replace(CURRENT, confirmation=Confirmation("shorts", Person.SELLER, datetime(2026, 1, 31, 12, 1, tzinfo=UTC)))


def golden(name: str) -> dict[str, Any]:
    row: dict[str, Any] = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    for value in row.values():
        if "B" in value:
            value["B"] = base64.b64decode(value["B"])  # JSON has no bytes
    return row


def put(services: Services, row: dict[str, Any]) -> None:
    services.records.client.put_item(TableName=services.records.table, Item=row)


def stored(services: Services, identifier: str) -> dict[str, Any]:
    key: Any = {"id": {"S": identifier}}
    return dict(services.records.client.get_item(TableName=services.records.table, Key=key)["Item"])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("oldest", replace(CURRENT, confirmation=None, image=replace(IMAGE, sha256=None))),
        ("confirmed_label", replace(CURRENT, confirmation=Confirmation("shorts", Person.SHOP, CURRENT.created_at))),
        ("smallest", PENDING),
        ("current", CURRENT),
        ("failed", FAILED),
        ("newer", NEWER),
    ],
)
def test_every_golden_row_is_read(name: str, expected: Classification, services: Services) -> None:
    row = golden(name)
    put(services, row)

    read = services.records.read(row["id"]["S"])

    assert read.classification == expected
    assert read.revision == row["revision"]


@pytest.mark.parametrize(("name", "classification"), [("current", CURRENT), ("failed", FAILED)])
def test_this_version_writes_the_golden_rows(name: str, classification: Classification, services: Services) -> None:
    """If this test fails, the form of the records has changed: docs/records.md says what may change."""
    row = golden(name)
    expires_at = datetime.fromtimestamp(int(row["expires_at"]["N"]), UTC) if "expires_at" in row else None

    services.records.write(classification, Row(classification.id), expires_at)

    assert {**stored(services, classification.id), "revision": row["revision"]} == row


def test_this_version_knows_all_attributes_that_it_writes() -> None:
    """Otherwise a later write would keep the old value of an attribute that no longer has one."""
    full = replace(CURRENT, is_uncertain=True, failure=FAILED.failure)
    missing = [field.name for field in fields(Classification) if not getattr(full, field.name)]

    assert missing == [], "each field needs a value here"
    assert unknown_attributes(to_item(full)) == {}
    assert from_item(to_item(full)) == full


def test_lists_contain_rows_of_newer_versions(services: Services) -> None:
    put(services, golden("newer"))

    assert services.records.page(Filter(label="shorts", batch=None), 10).classifications == [NEWER]


def test_a_confirmation_keeps_what_a_newer_version_wrote(services: Services) -> None:
    newer = golden("newer")
    put(services, newer)

    confirm(CURRENT.id, "pants", Person.SHOP, services)

    row = stored(services, CURRENT.id)
    assert {name: row[name] for name in UNKNOWN} == {name: newer[name] for name in UNKNOWN}
    assert row["confirmation"]["M"]["label"] == {"S": "pants"}
    assert row["label_state"] == {"S": "pants#CONFIRMED"}


def test_a_write_drops_the_label_that_an_older_version_confirmed(services: Services) -> None:
    """Otherwise that label would hold again after the confirmation is taken back."""
    put(services, golden("confirmed_label"))

    take_back(CURRENT.id, services)

    assert stored(services, CURRENT.id).keys().isdisjoint({"confirmation", "confirmed_label"})
    assert services.records.read(CURRENT.id).classification == replace(CURRENT, confirmation=None)


NULL = {"NULL": True}
OPTIONAL = [
    "source",
    "classified_at",
    "predictions",
    "needs_review",
    "confirmation",
    "confirmed_label",
    "model_version",
    "image",
    "error",
    "expires_at",
]


@pytest.mark.parametrize("name", OPTIONAL)
def test_null_means_the_same_as_a_missing_attribute(name: str, services: Services) -> None:
    put(services, {**golden("smallest"), name: NULL})

    assert services.records.read(PENDING.id).classification == PENDING


WRONG_TYPES: list[dict[str, Any]] = [{"N": "1"}, {"SS": ["a"]}, {"B": b"a"}, {"L": [{"N": "1"}]}, {"M": {}}]
CREATED_AT = {"S": "2026-01-31T12:00:00.000Z"}
WRONG_PARTS: list[dict[str, Any]] = [  # of a confirmation
    {"label": {"N": "1"}},
    {"by": {"S": "robot"}},
    {"by": {"L": []}},
    {"at": {"S": "yesterday"}},
    {"at": {"N": "1"}},
    {"of_listing": {"S": "yes"}},
]
UNREADABLE: list[dict[str, Any]] = [
    {"status": {"S": "ARCHIVED"}},
    {"status": {"N": "1"}},
    {"source": {"S": "email"}},
    {"created_at": {"S": "yesterday"}},
    {"created_at": {"N": "1"}},
    {"predictions": {"S": "pants"}},
    {"predictions": {"L": [{"S": "pants"}]}},
    {"image": {"S": "a.jpg"}},
    {"error": {"M": {"code": {"S": "busy"}}}},
    {"error": {"S": "busy"}},
    *(
        {name: value}
        for name in ("needs_review", "confirmation", "model_version", "classified_at")
        for value in WRONG_TYPES
    ),
    *({"confirmation": NULL, "confirmed_label": value} for value in WRONG_TYPES),
    {"confirmation": {"S": "shorts"}},
    *({"confirmation": {"M": {"by": {"S": "shop"}, "at": CREATED_AT} | part}} for part in WRONG_PARTS),
    *({"confirmation": {"M": part}} for part in [{"by": {"S": "shop"}}, {"at": CREATED_AT}]),
    {"created_at": {"S": "2026-01-31T12:00:00"}},  # without a time zone
    *({"predictions": {"L": [{"M": {"label": {"S": "pants"}, "score": {"N": score}}}]}} for score in ("1E+125", "-7")),
    {"predictions": {"L": [{"M": {"label": {"N": "1"}, "score": {"N": "1"}}}]}},
    *(
        {"image": {"M": {"bytes": value, "etag": {"S": "e"}}}}
        for value in [{"N": "1E+120"}, {"N": "-1"}, {"S": "many"}]
    ),
    *({"image": {"M": {"bytes": {"N": "1"}, "etag": value}}} for value in [{"N": "1"}, NULL]),
    {"image": {"M": {"bytes": {"N": "1"}, "etag": {"S": "e"}, "format": {"N": "1"}}}},
]


@pytest.mark.parametrize("attributes", UNREADABLE, ids=str)
def test_lists_go_on_after_an_unreadable_record(attributes: dict[str, Any], services: Services) -> None:
    put(services, {**golden("current"), **attributes})
    put(services, golden("failed"))

    assert services.records.page(Filter(), 10).classifications == [FAILED]


@pytest.mark.parametrize("attributes", UNREADABLE, ids=str)
def test_an_event_replaces_an_unreadable_record(attributes: dict[str, Any], services: Services, bucket: Bucket) -> None:
    put(services, {**golden("current"), **attributes})
    bucket.put(object_key(CURRENT.id), photo())

    handle(s3_event(object_key(CURRENT.id)), services)

    replaced = services.records.read(CURRENT.id).classification
    assert replaced is not None
    assert (replaced.status, replaced.label) == (Status.SUCCEEDED, "t-shirt")


def test_a_removal_replaces_an_unreadable_record(services: Services) -> None:
    put(services, {**golden("current"), "status": {"S": "ARCHIVED"}})

    handle(s3_event(object_key(CURRENT.id), name="ObjectRemoved:Delete"), services)

    assert stored(services, CURRENT.id).keys() == {"id", "revision", "expires_at"}


@pytest.mark.parametrize("expires_at", [{"S": "soon"}, {"N": "1E+60"}, {"L": []}], ids=str)
def test_a_time_of_expiry_that_is_no_time_counts_as_none(expires_at: dict[str, Any], services: Services) -> None:
    put(services, {**golden("current"), "expires_at": expires_at})

    row = services.records.read(CURRENT.id)

    assert row.classification == CURRENT
    assert row.expires_at is None


@pytest.mark.parametrize("attributes", UNREADABLE, ids=str)
def test_a_request_does_not_change_an_unreadable_record(attributes: dict[str, Any], api: Api, bucket: Bucket) -> None:
    """A newer version wrote it, and can read it. Without a record, the photo would be PENDING."""
    row = {**golden("newer"), **attributes}
    put(api.services, row)
    bucket.put(object_key(CURRENT.id), photo())

    answers = [
        api.request("GET", f"/classifications/{CURRENT.id}"),
        api.request("PUT", f"/confirmations/{CURRENT.id}", {"label": "pants"}),
    ]

    assert [(answer.status, answer.json["error"]["code"]) for answer in answers] == [(503, "busy")] * 2
    assert stored(api.services, CURRENT.id) == row


@pytest.mark.parametrize("revision", [NULL, {"N": "1"}, {"SS": ["a"]}, {"L": [NULL]}, {"S": ""}], ids=str)
def test_a_record_whose_revision_is_no_text_can_be_replaced(revision: dict[str, Any], services: Services) -> None:
    put(services, {**golden("current"), "revision": revision})

    confirm(CURRENT.id, "pants", Person.SHOP, services)

    assert stored(services, CURRENT.id)["confirmation"]["M"]["label"] == {"S": "pants"}
    assert stored(services, CURRENT.id)["revision"] != revision


def test_a_record_without_a_revision_can_be_replaced(services: Services) -> None:
    row = golden("current")
    del row["revision"]
    put(services, row)

    confirm(CURRENT.id, "pants", Person.SHOP, services)

    assert stored(services, CURRENT.id)["confirmation"]["M"]["label"] == {"S": "pants"}


def upload(bucket: Bucket, services: Services, content: bytes) -> None:
    """Put a photo into the bucket, and the golden row as the record of `content` into the table."""
    bucket.put(object_key(CURRENT.id), photo())
    row = golden("newer")
    row["image"]["M"]["sha256"] = {"S": hashlib.sha256(content).hexdigest()}
    put(services, row)


def test_classifying_the_same_photo_again_keeps_what_a_newer_version_wrote(services: Services, bucket: Bucket) -> None:
    """The row is of another model version, so the photo is classified again."""
    upload(bucket, services, photo())

    handle(s3_event(object_key(CURRENT.id)), with_model_version(services, "another"))

    row = stored(services, CURRENT.id)
    assert row.keys() >= UNKNOWN
    assert row["model_version"] == {"S": "another"}
    assert row["confirmation"] == golden("newer")["confirmation"]


def test_a_duplicate_event_keeps_what_a_newer_version_wrote(services: Services, bucket: Bucket) -> None:
    upload(bucket, services, photo())

    handle(s3_event(object_key(CURRENT.id)), with_model_version(services, str(CURRENT.model_version)))

    row = stored(services, CURRENT.id)
    assert row.keys() >= UNKNOWN
    assert row["classified_at"] == golden("newer")["classified_at"], "the photo was classified again"


def test_another_photo_under_the_key_gets_nothing_of_the_first(services: Services, bucket: Bucket) -> None:
    upload(bucket, services, b"another photo")

    handle(s3_event(object_key(CURRENT.id)), services)

    row = stored(services, CURRENT.id)
    assert row.keys().isdisjoint({*UNKNOWN, "confirmation", "confirmed_label"})


def test_a_tombstone_keeps_nothing(services: Services) -> None:
    put(services, golden("newer"))

    handle(s3_event(object_key(CURRENT.id)), services)

    assert stored(services, CURRENT.id).keys() == {"id", "revision", "expires_at"}


def with_model_version(services: Services, version: str) -> Services:
    description = replace(services.description, version=version)
    model = type(services.model)(services.settings.model_directory, description)
    return replace_parts(services, description=description, model=model)
