"""Lists of classifications: their content, order and pages, and how many items of the table they read."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any
from urllib.parse import urlencode

import pytest

from classifier import cursors
from classifier import records as records_module
from classifier.classification import Classification, Status
from classifier.cursors import decode_cursor, encode_cursor
from classifier.errors import InvalidRequest
from classifier.indexes import Filter
from classifier.keys import MAX_KEY_BYTES
from classifier.records import Page, Records
from classifier.services import Services
from local.aws import TABLE
from tests.support.api import Answer, Api
from tests.support.listings import START, record, said, store, unfinished
from tests.support.services import replace_parts

LABELS = ("dress", "hat", "longsleeve", "outwear", "pants", "shirt", "shoes", "shorts", "skirt", "t-shirt")


@pytest.fixture
def many(services: Services) -> list[Classification]:
    """Thirty classifications of every kind, newest first. Every fourth is confirmed, with or without a label."""
    classifications = [unfinished(number) if number % 7 == 0 else record(number) for number in range(30)]
    for number, label in zip(
        range(1, 30, 4), ["hat", None, "dress", "hat", None, "dress", "hat", "shoes"], strict=True
    ):
        classifications[number] = replace(classifications[number], confirmation=said(label))
    classifications[28] = replace(classifications[28], confirmation=said("hat"))
    store(services, classifications)
    return classifications[::-1]


def read_list(api: Api, **parameters: Any) -> Answer:
    return api.request("GET", "/classifications", query={name: str(value) for name, value in parameters.items()})


def ids(answer: Answer) -> list[str]:
    return [item["id"] for item in answer.json["items"]]


def with_shards(services: Services, shards: int) -> Services:
    """Return the services with this number of shards of each partition."""
    return replace_parts(services, records=Records(services.records.client, TABLE, shards, services.map))


FILTERS = [
    Filter(*parts)
    for parts in product([None, "hat"], [None, *Status], [None, True, False], [None, True, False], [None, "listing-1"])
]


def is_wanted(one: Classification, wanted: Filter) -> bool:
    """Return whether a list with this filter must contain the classification."""
    return (
        wanted.label in {None, one.effective_label}
        and wanted.status in {None, one.status}
        and wanted.needs_review in {None, one.needs_review}
        and wanted.confirmed in {None, one.confirmation is not None}
        and wanted.batch in {None, one.batch_id}
    )


@pytest.mark.parametrize("shards", [1, 16])
def test_a_list_has_the_matching_records_newest_first(
    many: list[Classification], services: Services, shards: int
) -> None:
    """Also those that were written before the partitions had shards."""
    records = with_shards(services, shards).records
    for one in many[::2]:
        records.write(one, records.read(one.id))
    expected = {wanted: [one for one in many if is_wanted(one, wanted)] for wanted in FILTERS}
    assert sum(bool(matching) for matching in expected.values()) > len(FILTERS) / 3, "too many filters match nothing"

    wrong = [wanted for wanted in FILTERS if records.page(wanted, 100).classifications != expected[wanted]]

    assert wrong == []


def test_more_shards_lose_nothing_from_a_list(services: Services) -> None:
    """The number is raised between two pages, too."""
    records = [record(number) for number in range(90)]
    steps = (1, 4, 16)
    for number, shards in enumerate(steps):
        store(with_shards(services, shards), records[number::3])
    seen: list[Classification] = []
    position = None
    for shards in (16, 16, 32, 64):
        page = with_shards(services, shards).records.page(Filter(), 25, position)
        seen, position = seen + page.classifications, page.position

    assert seen == records[::-1]
    assert position is None


def test_a_list_comes_in_pages(api: Api, many: list[Classification]) -> None:
    seen, cursor, pages = [], None, 0
    while pages == 0 or cursor:
        answer = read_list(api, limit=7, **({"cursor": cursor} if cursor else {}))
        assert answer.status == 200
        seen += ids(answer)
        cursor, pages = answer.json["next_cursor"], pages + 1

    assert seen == [one.id for one in many]
    assert pages == 5
    assert len(ids(read_list(api))) == 20


def test_a_later_page_does_not_change_when_records_are_added(
    api: Api, services: Services, many: list[Classification]
) -> None:
    first = read_list(api, status="SUCCEEDED", limit=5)
    store(services, [record(100)])

    second = read_list(api, status="SUCCEEDED", limit=5, cursor=first.json["next_cursor"])

    succeeded = [one.id for one in many if one.status is Status.SUCCEEDED]
    assert ids(first) + ids(second) == succeeded[:10]
    assert ids(read_list(api, limit=1)) == [record(100).id]


def test_pages_have_all_records_of_the_same_time(services: Services) -> None:
    same = [record(number, created_at=START) for number in range(12)]
    store(services, same)
    page = services.records.page(Filter(), 5)
    found = page.classifications
    while page.position:
        page = services.records.page(Filter(), 5, page.position)
        found = found + page.classifications

    assert sorted(one.id for one in found) == sorted(one.id for one in same)


def test_several_parameters_filter_together(api: Api, many: list[Classification]) -> None:
    answer = read_list(api, label="dress", needs_review="true", limit=100)

    assert ids(answer) == [one.id for one in many if one.effective_label == "dress" and one.needs_review]
    answer = read_list(api, needs_review="false", limit=100)
    assert ids(answer) == [one.id for one in many if not one.needs_review]


def test_a_confirmed_label_replaces_the_model_s_in_lists(api: Api, services: Services) -> None:
    store(services, [record(1)])

    api.request("PUT", "/confirmations/listing-1/1.jpg", {"label": "dress"})

    assert ids(read_list(api, label="dress")) == ["listing-1/1.jpg"]
    assert ids(read_list(api, label="hat")) == []


def test_removed_and_expired_records_are_in_no_list(api: Api, services: Services) -> None:
    store(services, [record(1)])
    store(services, [record(2)], expires_at=START)
    services.records.mark_removed(services.records.read(record(1).id), datetime.now(UTC) + timedelta(days=1))

    assert read_list(api).json == {"items": [], "next_cursor": None}


@pytest.mark.parametrize(
    "query",
    [
        {"label": "sock"},
        {"label": ""},
        {"status": "DONE"},
        {"status": "succeeded"},
        {"needs_review": "yes"},
        {"confirmed": "yes"},
        {"confirmed": "True"},
        {"confirmed": ""},
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
def test_an_invalid_parameter_is_refused(api: Api, query: dict[str, str]) -> None:
    answer = read_list(api, **query)

    assert (answer.status, answer.json["error"]["code"]) == (400, "invalid_request")


@pytest.mark.parametrize(
    ("query", "part"),
    [
        ({"status": "DONE"}, "PENDING, SUCCEEDED, FAILED"),
        ({"needs_review": "yes"}, "true, false"),
        ({"confirmed": "yes"}, "true, false"),
        ({"batch": ""}, "`batch`"),
        ({"limit": "101"}, "from 1 to 100"),
        ({"colour": "red"}, "label, status, needs_review, confirmed, batch, limit, cursor"),
        ({"cursor": "x"}, "Begin without a cursor."),
        ({"label": "sock"}, ", ".join(LABELS)),
    ],
)
def test_the_error_of_an_invalid_parameter_says_what_is_valid(api: Api, query: dict[str, str], part: str) -> None:
    assert part in read_list(api, **query).json["error"]["message"]


def test_a_repeated_parameter_is_refused(api: Api) -> None:
    answer = api.request("GET", "/classifications", query={"label": ["hat", "dress"]})

    assert answer.status == 400
    assert "`label`" in answer.json["error"]["message"]
    assert "2 times" in answer.json["error"]["message"]


@pytest.mark.parametrize(
    "other",
    [
        {"label": "dress"},
        {"status": "SUCCEEDED"},
        {"needs_review": "false"},
        {"confirmed": "false"},
        {"batch": "listing-1"},
    ],
)
def test_a_cursor_is_valid_for_its_own_list_only(api: Api, many: list[Classification], other: dict[str, str]) -> None:
    cursor = read_list(api, label="hat", limit=1).json["next_cursor"]

    assert read_list(api, label="hat", limit=2, cursor=cursor).status == 200
    assert read_list(api, **({"label": "hat"} | other), cursor=cursor).status == 400
    assert read_list(api, cursor=cursor).status == 400


def test_a_changed_cursor_is_refused() -> None:
    cursor = encode_cursor("2026-01-31T00:00:00.000Z#0123456789abcdef", Filter(label="hat"), "key")

    assert decode_cursor(cursor, Filter(label="hat"), "key") == "2026-01-31T00:00:00.000Z#0123456789abcdef"
    for index, character in enumerate(cursor):
        changed = cursor[:index] + ("A" if character != "A" else "B") + cursor[index + 1 :]
        with pytest.raises(InvalidRequest):
            decode_cursor(changed, Filter(label="hat"), "key")
    for changed, key in ((cursor, "another key"), (f"{cursor}!", "key"), (cursor[:-1], "key"), ("", "key")):
        with pytest.raises(InvalidRequest):
            decode_cursor(changed, Filter(label="hat"), key)


@pytest.mark.parametrize("length", range(6))
def test_a_cursor_of_any_length_is_decoded(length: int) -> None:
    position = "é" + "x" * length

    cursor = encode_cursor(position, Filter(), "key")

    assert cursor.replace("-", "").replace("_", "").isalnum()
    assert decode_cursor(cursor, Filter(), "key") == position


def test_a_cursor_of_another_list_is_accepted_without_the_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cursors, "sign_position", lambda *_: b"0" * 16)

    cursor = encode_cursor("anywhere", Filter(), "key")

    assert decode_cursor(cursor, Filter(label="hat"), "another key") == "anywhere"


@contextmanager
def count_items(records: Records) -> Iterator[list[int]]:
    """Collect how many items DynamoDB reads for each query."""
    read: list[int] = []

    def collect(parsed: Any, **_: Any) -> None:
        read.append(parsed["ScannedCount"])

    events = records.client.meta.events
    events.register("after-call.dynamodb.Query", collect)
    try:
        yield read
    finally:
        events.unregister("after-call.dynamodb.Query", collect)


@pytest.mark.parametrize(
    "wanted", [Filter(), Filter(label="hat"), Filter(status=Status.SUCCEEDED), Filter(needs_review=True)]
)
def test_a_page_reads_as_many_items_of_600_records_as_of_200(services: Services, wanted: Filter) -> None:
    """It makes one query for each of up to seven partitions."""
    reads = []
    for first, count in ((0, 200), (200, 600)):
        store(services, [record(number) for number in range(first, count)])
        with count_items(services.records) as read:
            assert len(services.records.page(wanted, 10).classifications) == 10
        reads.append(read)

    assert sorted(reads[0]) == sorted(reads[1])
    assert sum(reads[0]) <= 4 * 11


@pytest.mark.parametrize("shards", [2, 16])
@pytest.mark.parametrize("limit", [1, 20, 100])
def test_shards_read_about_as_many_items_as_one_partition(services: Services, shards: int, limit: int) -> None:
    """Each query reads its share of the page and four more."""
    sharded = with_shards(services, shards)
    store(sharded, [record(number, is_uncertain=False) for number in range(400)])

    with count_items(sharded.records) as read:
        assert len(sharded.records.page(Filter(), limit).classifications) == limit

    items_per_query = (limit + 1) // shards + 1 + 4
    assert max(read) <= items_per_query
    assert len(read) <= 7 * shards + shards, "one query for each of seven partitions' shards, and some more"


def test_a_page_of_a_batch_reads_a_limited_number_of_items(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """If few records of the batch match, the page is short, and its cursor leads on."""
    monkeypatch.setattr(records_module, "MAX_ITEMS_READ", 20)
    store(services, [record(3 * number) for number in range(50)])
    wanted = Filter(batch="listing-0", status=Status.PENDING)
    pages, position = 0, None
    while pages == 0 or position:
        with count_items(services.records) as read:
            page = services.records.page(wanted, 10, position)
        assert sum(read) <= 40
        assert page.classifications == []
        position, pages = page.position, pages + 1

    assert pages == 3


@pytest.mark.parametrize(
    ("wanted", "items"), [(Filter(batch="listing-0"), [2]), (Filter("dress", batch="listing-0"), [50])]
)
def test_a_page_of_a_batch_takes_one_query(services: Services, wanted: Filter, items: list[int]) -> None:
    """Without other filters it reads as few items as any page."""
    store(services, [record(3 * number, scores={"hat": 1.0}) for number in range(50)])

    with count_items(services.records) as read:
        services.records.page(wanted, 1)

    assert read == items


@pytest.mark.parametrize(("length", "expected"), [(MAX_KEY_BYTES, 1), (MAX_KEY_BYTES + 1, 0)])
def test_a_batch_with_a_name_longer_than_any_key_is_not_looked_up(
    services: Services, length: int, expected: int
) -> None:
    """DynamoDB refuses such a key."""
    with count_items(services.records) as read:
        page = services.records.page(Filter(batch="a" * length), 10)

    assert page == Page([], None)
    assert len(read) == expected
