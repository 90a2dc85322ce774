"""Lists of classifications: what is in them, in which order, page by page, and what is read for them."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any
from urllib.parse import urlencode

import pytest

from classifier import records as records_module
from classifier.cursors import opened, sealed
from classifier.errors import InvalidRequest
from classifier.records import Classification, Filter, Records, Status
from classifier.services import Services
from tests.support.api import Answer, Api
from tests.support.listings import START, record, store, unfinished


@pytest.fixture
def many(services: Services) -> list[Classification]:
    """Thirty, of every kind; newest first."""
    classifications = [unfinished(number) if number % 7 == 0 else record(number) for number in range(30)]
    store(services, classifications)
    return classifications[::-1]


def listed(api: Api, **parameters: Any) -> Answer:
    return api.request("GET", "/classifications", query={name: str(value) for name, value in parameters.items()})


def ids(answer: Answer) -> list[str]:
    return [item["id"] for item in answer.json["items"]]


@pytest.mark.parametrize(
    "wanted",
    [Filter(*parts) for parts in product([None, "hat"], [None, *Status], [None, True, False], [None, "listing-1"])],
    ids=repr,
)
def test_a_list_holds_what_is_asked_for_newest_first(
    many: list[Classification], services: Services, wanted: Filter
) -> None:
    fitting = [
        one
        for one in many
        if wanted.label in {None, one.label}
        and wanted.status in {None, one.status}
        and wanted.needs_review in {None, one.needs_review}
        and wanted.batch in {None, one.batch_id}
    ]

    assert services.records.page(wanted, 100).classifications == fitting


def test_a_list_is_answered_in_pages(api: Api, many: list[Classification]) -> None:
    seen, cursor, pages = [], None, 0
    while pages == 0 or cursor:
        answer = listed(api, limit=7, **({"cursor": cursor} if cursor else {}))
        assert answer.status == 200
        seen += ids(answer)
        cursor, pages = answer.json["next_cursor"], pages + 1

    assert seen == [one.id for one in many]
    assert pages == 5
    assert len(ids(listed(api))) == 20


def test_pages_are_stable_while_records_are_added(api: Api, services: Services, many: list[Classification]) -> None:
    first = listed(api, status="SUCCEEDED", limit=5)
    store(services, [record(100)])

    second = listed(api, status="SUCCEEDED", limit=5, cursor=first.json["next_cursor"])

    succeeded = [one.id for one in many if one.status is Status.SUCCEEDED]
    assert ids(first) + ids(second) == succeeded[:10]
    assert ids(listed(api, limit=1)) == [record(100).id]


def test_records_of_the_same_moment_are_all_there(services: Services) -> None:
    same = [record(number, created_at=START) for number in range(12)]
    store(services, same)
    page = services.records.page(Filter(), 5)
    found = page.classifications
    while page.position:
        page = services.records.page(Filter(), 5, page.position)
        found = found + page.classifications

    assert sorted(one.id for one in found) == sorted(one.id for one in same)


def test_a_list_of_parameters_reads_as_the_api_spells_them(api: Api, many: list[Classification]) -> None:
    answer = listed(api, label="dress", needs_review="true", limit=100)

    assert ids(answer) == [one.id for one in many if one.label == "dress" and one.needs_review]


def test_what_its_seller_calls_otherwise_is_listed_so(api: Api, services: Services) -> None:
    store(services, [record(1)])

    api.request("PUT", "/confirmations/listing-1/1.jpg", {"label": "dress"})

    assert ids(listed(api, label="dress")) == ["listing-1/1.jpg"]
    assert ids(listed(api, label="hat")) == []


def test_what_is_removed_or_expired_is_in_no_list(api: Api, services: Services) -> None:
    store(services, [record(1)])
    store(services, [record(2)], expires_at=START)
    services.records.mark_removed(services.records.read(record(1).id), datetime.now(UTC) + timedelta(days=1))

    assert listed(api).json == {"items": [], "next_cursor": None}


@pytest.mark.parametrize(
    "query",
    [
        {"label": "sock"},
        {"label": ""},
        {"status": "DONE"},
        {"status": "succeeded"},
        {"needs_review": "yes"},
        {"batch": ""},
        {"limit": "0"},
        {"limit": "101"},
        {"limit": "-1"},
        {"limit": "ten"},
        {"limit": "\u0661"},
        {"lable": "hat"},
        {"cursor": ""},
        {"cursor": "made up"},
        {"cursor": "é"},
        {"cursor": "AAAAAAAAAAAAAAAAAAAAAAAA"},
    ],
    ids=urlencode,
)
def test_parameters_that_mean_nothing_are_refused(api: Api, query: dict[str, str]) -> None:
    answer = listed(api, **query)

    assert (answer.status, answer.json["error"]["code"]) == (400, "invalid_request")


def test_a_parameter_may_be_there_once(api: Api) -> None:
    answer = api.request("GET", "/classifications", query={"label": ["hat", "dress"]})

    assert answer.status == 400


@pytest.mark.parametrize(
    "other", [{"label": "dress"}, {"status": "SUCCEEDED"}, {"needs_review": "false"}, {"batch": "listing-1"}]
)
def test_a_cursor_is_of_its_own_list_alone(api: Api, many: list[Classification], other: dict[str, str]) -> None:
    cursor = listed(api, label="hat", limit=1).json["next_cursor"]

    assert listed(api, label="hat", limit=2, cursor=cursor).status == 200
    assert listed(api, **({"label": "hat"} | other), cursor=cursor).status == 400
    assert listed(api, cursor=cursor).status == 400


def test_no_letter_of_a_cursor_can_be_changed() -> None:
    cursor = sealed("2026-01-31T00:00:00.000Z#0123456789abcdef", Filter(label="hat"), "key")

    assert opened(cursor, Filter(label="hat"), "key") == "2026-01-31T00:00:00.000Z#0123456789abcdef"
    for changed in [
        *(cursor[:at] + ("A" if cursor[at] != "A" else "B") + cursor[at + 1 :] for at in range(len(cursor)))
    ]:
        with pytest.raises(InvalidRequest):
            opened(changed, Filter(label="hat"), "key")
    with pytest.raises(InvalidRequest):
        opened(cursor, Filter(label="hat"), "another key")


def test_without_the_seal_a_cursor_could_be_made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("classifier.cursors._seal", lambda *_: b"0" * 16)

    assert opened(sealed("anywhere", Filter(), "key"), Filter(label="hat"), "another key") == "anywhere"


@contextmanager
def counted(records: Records) -> Iterator[list[int]]:
    """How many items DynamoDB reads, query by query."""
    read: list[int] = []

    def note(parsed: Any, **_: Any) -> None:
        read.append(parsed["ScannedCount"])

    client = records._client  # noqa: SLF001 - who asks
    client.meta.events.register("after-call.dynamodb.Query", note)
    try:
        yield read
    finally:
        client.meta.events.unregister("after-call.dynamodb.Query", note)


@pytest.mark.parametrize(
    "wanted", [Filter(), Filter(label="hat"), Filter(status=Status.SUCCEEDED), Filter(needs_review=True)]
)
def test_a_page_reads_no_more_of_many_records_than_of_few(services: Services, wanted: Filter) -> None:
    """Whatever lies behind it; one query for each of up to four partitions."""
    reads = []
    for first, count in ((0, 200), (200, 600)):
        store(services, [record(number) for number in range(first, count)])
        with counted(services.records) as read:
            assert len(services.records.page(wanted, 10).classifications) == 10
        reads.append(read)

    assert reads[0] == reads[1]
    assert sum(reads[0]) <= 4 * 11


def test_a_page_of_a_batch_reads_so_many_and_no_more(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where next to nothing in it is wanted; the cursor then leads on."""
    monkeypatch.setattr(records_module, "_MOST_READ", 20)
    store(services, [record(3 * number) for number in range(50)])
    wanted = Filter(batch="listing-0", status=Status.PENDING)
    positions, pages = [], 0
    position = None
    while pages == 0 or position:
        with counted(services.records) as read:
            page = services.records.page(wanted, 10, position)
        assert sum(read) <= 40
        assert page.classifications == []
        position, pages = page.position, pages + 1
        positions.append(position)

    assert pages == 3
