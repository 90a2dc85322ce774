"""The script of docs/operations.md that copies records from a restored table."""

import runpy
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from classifier.classification import Classification, Person
from classifier.confirmations import confirm
from classifier.reconcile import reconcile
from classifier.services import Services
from local.aws import BUCKET, TABLE
from tests.support.api import Api
from tests.support.bucket import Bucket
from tests.support.drawings import photo
from tests.support.paths import ROOT

RESTORED = f"{TABLE}-restored"
IDS = [f"listing-42/{name}.jpg" for name in ("front", "back", "side")]

Restore = Callable[..., str]


@pytest.fixture
def restore(services: Services, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Restore:
    """A function that runs the script with the table as it was when the test called `keep_state`."""

    def run(*options: str) -> str:
        monkeypatch.setattr(sys, "argv", ["restore_records.py", RESTORED, TABLE, BUCKET, *options])
        capsys.readouterr()
        runpy.run_path(str(ROOT / "docs" / "restore_records.py"), run_name="__main__")
        return capsys.readouterr().out.strip().splitlines()[-1]

    return run


def keep_state(services: Services) -> None:
    """Copy the table, as the recovery of a point in time does."""
    client = services.records.client
    client.create_table(
        TableName=RESTORED,
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    for item in client.scan(TableName=TABLE)["Items"]:
        client.put_item(TableName=RESTORED, Item=item)


def delete(services: Services, photo_id: str) -> None:
    services.records.client.delete_item(TableName=TABLE, Key={"id": {"S": photo_id}})


def read(services: Services, photo_id: str) -> Classification | None:
    return services.records.read(photo_id).classification


@pytest.fixture
def confirmed(services: Services, bucket: Bucket) -> list[Classification]:
    """Three photos of a listing, which their seller has confirmed."""
    for photo_id in IDS:
        bucket.put(f"uploads/{photo_id}", photo("pants"))
        reconcile(BUCKET, f"uploads/{photo_id}", services)
    for photo_id in IDS:
        confirm(photo_id, "pants", Person.SELLER, services)
    return [one for one in (read(services, photo_id) for photo_id in IDS) if one]


def test_records_that_are_missing_are_copied(
    services: Services, confirmed: list[Classification], restore: Restore
) -> None:
    keep_state(services)
    delete(services, IDS[0])

    assert restore() == "1 copied, 2 present already"
    assert read(services, IDS[0]) == confirmed[0]


def test_newer_records_stay_unless_they_are_to_be_replaced(
    services: Services, confirmed: list[Classification], restore: Restore
) -> None:
    keep_state(services)
    confirm(IDS[0], "dress", Person.SELLER, services)
    newer = read(services, IDS[0])

    restore()
    assert read(services, IDS[0]) == newer
    assert newer != confirmed[0]
    assert restore("--overwrite") == "3 copied"
    assert read(services, IDS[0]) == confirmed[0]


def test_no_record_comes_back_whose_photo_was_deleted_or_replaced(
    services: Services, bucket: Bucket, confirmed: list[Classification], restore: Restore
) -> None:
    keep_state(services)
    for photo_id in IDS:
        delete(services, photo_id)
    bucket.delete(f"uploads/{IDS[0]}")
    bucket.put(f"uploads/{IDS[1]}", photo("t-shirt"))

    assert restore("--overwrite") == "1 copied, 2 without their photo"
    assert [read(services, photo_id) for photo_id in IDS] == [None, None, confirmed[2]]


def test_another_photo_with_the_same_etag_does_not_get_the_record(
    services: Services, confirmed: list[Classification], restore: Restore
) -> None:
    """Its bytes have another hash."""
    keep_state(services)
    client = services.records.client
    (item,) = (one for one in client.scan(TableName=RESTORED)["Items"] if one["id"]["S"] == IDS[0])
    image = {"M": {**item["image"]["M"], "sha256": {"S": "0" * 64}}}
    client.put_item(TableName=RESTORED, Item={**item, "image": image})
    delete(services, IDS[0])

    assert restore() == "2 present already, 1 without their photo"


@pytest.mark.parametrize("options", [(), ("--overwrite",)])
def test_an_erased_record_does_not_come_back(
    services: Services, api: Api, restore: Restore, options: tuple[str, ...]
) -> None:
    """What docs/operations.md puts in its place has no status."""
    answer: Any = api.request("POST", "/classifications", body=photo(), headers={"Content-Type": "image/jpeg"}).json
    keep_state(services)
    erased: Any = {"id": {"S": answer["id"]}, "revision": {"S": "erased"}, "expires_at": {"N": str(10**10)}}
    services.records.client.put_item(TableName=TABLE, Item=erased)

    assert restore(*options) == "1 removed or erased"
    assert api.request("GET", f"/classifications/{answer['id']}").status == 404


def test_expired_records_forms_and_tombstones_do_not_come_back(services: Services, api: Api, restore: Restore) -> None:
    """Nor do the keys that signed tokens, of which a form makes the first, and the listing's row without an answer."""
    api.request("POST", "/uploads", {"files": [{"name": "a.jpg", "content_type": "image/jpeg"}]})
    row = services.records.read("gone.jpg")
    services.records.mark_removed(row, datetime.now(UTC) + timedelta(days=1))
    keep_state(services)

    assert restore() == "4 expired or without a result"


def test_records_of_requests_come_back(services: Services, api: Api, restore: Restore) -> None:
    answer: Any = api.request("POST", "/classifications", body=photo(), headers={"Content-Type": "image/jpeg"}).json
    keep_state(services)
    delete(services, answer["id"])

    assert restore() == "1 copied"
    assert api.request("GET", f"/classifications/{answer['id']}").json == answer


def test_an_empty_table_is_named(services: Services, restore: Restore) -> None:
    keep_state(services)

    assert restore() == "The restored table is empty."
