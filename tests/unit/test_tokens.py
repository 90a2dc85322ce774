"""Sellers' tokens: what they open, and that nobody can make or change one."""

import base64
import json
import random
import string
import time
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from classifier.errors import Forbidden
from classifier.services import Services
from classifier.signing_keys import SigningKey, SigningKeys
from classifier.tokens import issue_token, read_token
from tests.support.api import Answer, Api, handle
from tests.support.bucket import Bucket
from tests.support.drawings import photo
from tests.support.events import s3_event

FILES = {"files": [{"name": "front.jpg", "content_type": "image/jpeg"}]}


@pytest.fixture
def keys(services: Services) -> SigningKeys:
    return SigningKeys(services.records)


@pytest.fixture
def listing(api: Api, bucket: Bucket, services: Services) -> Any:
    """The answer of `POST /uploads` for a listing whose photo has arrived."""
    answer = api.request("POST", "/uploads", FILES).json
    key = answer["items"][0]["fields"]["key"]
    bucket.put(key, photo("pants"))
    handle(s3_event(key), services)
    return answer


def ask(api: Api, token: str, method: str, path: str, content: Any = None) -> Answer:
    return api.request(method, f"/listings{path}", content, headers={"Authorization": f"Bearer {token}"})


def test_a_token_names_its_listing(keys: SigningKeys) -> None:
    assert read_token(issue_token("a listing/é", keys), keys) == "a listing/é"


def test_a_token_ends_after_a_day(keys: SigningKeys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("classifier.tokens.TOKEN_LIFETIME", timedelta(seconds=-1))

    with pytest.raises(Forbidden, match="has ended"):
        read_token(issue_token("a", keys), keys)


def test_a_new_key_breaks_no_token(services: Services, keys: SigningKeys) -> None:
    """Keys change every 30 days, and stay for as long as tokens that they have signed."""
    token = issue_token("a", keys)
    first = keys.current()
    make_older(services, timedelta(days=30))

    other = SigningKeys(services.records)
    newer = issue_token("a", other)

    assert other.current().name != first.name
    assert read_token(token, other) == read_token(newer, other) == "a"
    assert read_token(newer, keys) == "a", "an environment that does not know the new key yet"


def test_a_key_is_gone_when_its_last_token_has_ended(services: Services, keys: SigningKeys) -> None:
    token = issue_token("a", keys)
    make_older(services, timedelta(days=31))
    other = SigningKeys(services.records)
    other.current()

    with pytest.raises(Forbidden):
        read_token(token, other)


def test_all_environments_make_one_key(services: Services) -> None:
    assert len({SigningKeys(services.records).current().secret for _ in range(3)}) == 1


def test_all_tokens_end_within_a_minute_when_the_row_of_the_keys_is_deleted(
    services: Services, keys: SigningKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New tokens work at once, in environments that know the old key, too."""
    token = issue_token("a", keys)
    read_token(token, keys)
    services.records.client.delete_item(TableName=services.records.table, Key={"id": {"S": "//"}})

    newer = issue_token("a", keys)
    read_token(newer, keys)
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 61)

    with pytest.raises(Forbidden):
        read_token(token, keys)
    assert read_token(newer, keys) == read_token(newer, SigningKeys(services.records)) == "a"


def make_older(services: Services, age: timedelta) -> None:
    """Change the time of the newest key in the table."""
    item, revision = services.records.get_item("//")
    newest, *others = item["keys"]
    created_at = datetime.fromisoformat(newest["created_at"]) - age
    aged = {**newest, "created_at": created_at.isoformat()}
    services.records.put_item({"id": "//", "keys": [aged, *others]}, revision)


def forge(token: str, other: str, guess: random.Random) -> str:
    """Return another token that somebody might try who knows how they are made."""
    name, payload, signature = token.split(".")
    content = json.loads(base64.urlsafe_b64decode(payload + "=="))
    changed = encode({**content, "listing": other})
    letters = string.ascii_letters + string.digits + "-_"
    position = guess.randrange(len(signature))
    candidates = [
        f"{name}.{changed}.{signature}",
        f"{name}.{changed}.{''.join(guess.choices(letters, k=len(signature)))}",
        f"{name}.{changed}.",
        f"{name}.{changed}",
        f".{changed}.{signature}",
        f"{''.join(guess.choices(string.hexdigits, k=8))}.{changed}.{signature}",
        f"{name}.{payload}.{signature[:position]}{guess.choice(letters)}{signature[position + 1 :]}",
        f"{name}.{encode({**content, 'ends_at': content['ends_at'] + 1})}.{signature}",
        f"{name}.{payload}{changed}.{signature}",
        f"{name}.{payload}.{signature}.{changed}.{signature}",
        f"{token}.{changed}",
        "".join(guess.choices(string.printable, k=guess.randrange(200))),
    ]
    return guess.choice(candidates)


def encode(content: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


def test_no_forged_token_opens_another_listing(keys: SigningKeys) -> None:
    token, guess = issue_token("mine", keys), random.Random(0)
    opened = set()
    for _ in range(10_000):
        forged = forge(token, "theirs", guess)
        try:
            opened.add(read_token(forged, keys))
        except Forbidden:
            continue
        assert forged == token

    assert opened <= {"mine"}


def test_a_key_of_one_s_own_is_not_known(services: Services, keys: SigningKeys) -> None:
    """It has the name of the right one."""

    class OwnKeys(SigningKeys):
        def current(self) -> SigningKey:
            return replace(keys.current(), secret=bytes(32))

    with pytest.raises(Forbidden):
        read_token(issue_token("theirs", OwnKeys(services.records)), keys)


@pytest.mark.parametrize(
    ("request_", "content", "status"),
    [
        ("GET /batches/BATCH", None, 200),
        ("PUT /batches/BATCH/confirmation", {"label": "pants"}, 200),
        ("PUT /confirmations/BATCH/front.jpg", {"label": None}, 200),
        ("DELETE /confirmations/BATCH/front.jpg", None, 200),
        ("GET /classifications/BATCH/front.jpg", None, 200),
        ("GET /thumbnails/BATCH/front.jpg", None, 200),
        ("GET /model", None, 200),
        ("POST /uploads", FILES, 201),
        ("DELETE /classifications/BATCH/front.jpg", None, 204),
        ("DELETE /batches/BATCH", None, 204),
    ],
)
def test_a_token_opens_its_listing_and_no_other(
    api: Api, listing: Any, request_: str, content: Any, status: int
) -> None:
    method, path = request_.split()
    other = api.request("POST", "/uploads", FILES).json["batch_id"]
    theirs, mine = path.replace("BATCH", other), path.replace("BATCH", listing["batch_id"])

    if theirs != mine:
        assert ask(api, listing["token"], method, theirs, content).status == 404
    assert api.request(method, f"/listings{mine}", content).status == 403
    assert ask(api, listing["token"], method, mine, content).status == status


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/classifications"), ("POST", "/predict"), ("POST", "/classifications"), ("GET", "/health"), ("GET", "/")],
)
def test_a_token_opens_nothing_else(api: Api, listing: Any, method: str, path: str) -> None:
    assert ask(api, listing["token"], method, path).status == 404


def test_a_seller_adds_photos_to_the_own_listing_alone(api: Api, listing: Any) -> None:
    token, batch_id = listing["token"], listing["batch_id"]

    added = ask(api, token, "POST", "/uploads", FILES).json
    assert (added["batch_id"], added["items"][0]["id"]) == (batch_id, f"{batch_id}/front-2.jpg")
    assert added["token"] == token, "it does not get longer"
    assert ask(api, token, "POST", "/uploads", {**FILES, "batch_id": batch_id}).status == 201
    assert ask(api, token, "POST", "/uploads", {**FILES, "batch_id": "other"}).status == 404


def test_a_listing_without_photos_is_empty_for_its_seller(api: Api, listing: Any) -> None:
    path = f"/batches/{listing['batch_id']}"
    ask(api, listing["token"], "DELETE", f"/classifications/{listing['batch_id']}/front.jpg")

    answer = ask(api, listing["token"], "GET", path)

    assert (answer.status, answer.json["total"], answer.json["items"]) == (200, 0, [])
    assert api.request("GET", path).status == 404


def test_what_is_said_with_a_token_is_the_seller_s(api: Api, listing: Any) -> None:
    path = f"/confirmations/{listing['batch_id']}/front.jpg"

    assert ask(api, listing["token"], "PUT", path, {"label": "pants"}).json["confirmation"]["by"] == "seller"
    assert api.request("PUT", path, {"label": "pants"}).json["confirmation"]["by"] == "shop"


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic abc", "Bearer a.b.c", "Bearer é"])
def test_a_request_without_a_valid_token_is_refused(api: Api, listing: Any, header: str) -> None:
    answer = api.request("GET", f"/listings/batches/{listing['batch_id']}", headers={"Authorization": header})

    assert (answer.status, answer.json["error"]["code"]) == (403, "invalid_request")
