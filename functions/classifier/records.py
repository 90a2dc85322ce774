"""The table of classifications.

Each record is written by one conditional `put_item`: it names the revision of the row that the writer read before, and
fails with `Conflict` if another writer was faster. `reconcile` explains why this keeps the record of the newest photo.
"""

import heapq
import math
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from classifier.attribute_values import from_attribute_value, to_attribute_value
from classifier.classification import Classification, Confirmation, format_time
from classifier.errors import Busy
from classifier.indexes import SORT_KEY, Filter, find_partitions, index_keys
from classifier.items import (
    UnreadableItem,
    confirmation_attributes,
    from_item,
    parse_confirmation,
    read_expiry,
    to_item,
    unknown_attributes,
)
from classifier.keys import is_possible_batch, listing_key
from classifier.telemetry import logger

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import UniversalAttributeValueTypeDef

MAX_ATTEMPTS = 10  # each conflict means that another writer brought the record up to date
MAX_ITEMS_READ = 1000  # for one page of a list
_MAX_ITEMS_PER_QUERY = 100  # the most that BatchGetItem returns
_SPARE_ITEMS = 4  # that a query reads of a shard, which has rarely many more of the newest records than the others
# How often items are read that DynamoDB did not return, and the pause after the first time, which doubles: 1.5 seconds.
_MAX_READS, _FIRST_PAUSE_SECONDS = 6, 0.05

_LISTING_ATTRIBUTES = {"id", "revision", "expires_at", "confirmation", "deleted_at"}

Item = dict[str, Any]
Result = TypeVar("Result")


class Conflict(Exception):
    """Another writer changed the row after it was read."""


@dataclass(frozen=True, slots=True)
class Row:
    """What the table held for an id when it was read.

    `revision` identifies this state of the row, in DynamoDB's notation. It is None if there was no row.
    `classification` is None if there was no row, if the photo was removed, and if the record has expired or is
    unreadable. `expires_at` is when it expires; None if it does not. `unknown` holds the attributes that a newer
    version of the code wrote. `deleted_at` is when somebody deleted the photo.
    """

    id: str
    revision: "UniversalAttributeValueTypeDef | None" = None
    classification: Classification | None = None
    expires_at: datetime | None = None
    unknown: Mapping[str, Any] = field(default_factory=dict)
    is_readable: bool = True
    deleted_at: datetime | None = None

    def without_photo(self) -> "Row":
        """Return the row without what it says of its photo: another photo takes its place."""
        return replace(self, classification=None, unknown={})


@dataclass(frozen=True, slots=True)
class Listing:
    """What the table holds of a whole listing: what a person said of it, and when it was deleted.

    `revision` and `unknown` are as in `Row`. `exists`: it was made by `POST /uploads`, or somebody said what it shows,
    and it was not deleted. Another listing is known by its photos alone.
    """

    batch_id: str
    revision: "UniversalAttributeValueTypeDef | None" = None
    confirmation: Confirmation | None = None
    deleted_at: datetime | None = None
    unknown: Mapping[str, Any] = field(default_factory=dict)
    exists: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list, newest first. `position` is where the next page begins; None if there is none."""

    classifications: list[Classification]
    position: str | None


class Records:
    """The table of classifications, keyed by `id`.

    `shards` is the number of shards of each partition of the indexes. `run_all` calls a function with each of some
    values and returns the results in order, as `Services.map` does.
    """

    def __init__(
        self,
        client: "DynamoDBClient",
        table: str,
        shards: int,
        run_all: Callable[[Callable[[str], Any], Sequence[str]], list[Any]],
    ) -> None:
        self.client = client
        self.table = table
        self.shards = shards
        self._run_all = run_all

    def read(self, photo_id: str) -> Row:
        """Read the row, strongly consistent. Raise the AWS SDK's errors, and `Busy` if the answer was damaged."""
        item, revision = self.get_item(photo_id)
        row = Row(photo_id, revision, deleted_at=_read_deletion(item))
        try:
            classification = _read_classification(item)
        except UnreadableItem as error:
            logger.warning("A record is unreadable", id=photo_id, reason=str(error))
            return replace(row, is_readable=False)
        if classification is None:
            return row
        return replace(
            row, classification=classification, expires_at=read_expiry(item), unknown=unknown_attributes(item)
        )

    def write(self, classification: Classification, replacing: Row, expires_at: datetime | None = None) -> None:
        """Store the classification in place of the row that was read. Raise `Conflict` if the row has changed.

        Attributes of the row that this version of the code does not know are stored again.
        """
        item = {**to_item(classification), **index_keys(classification, self.shards)}
        self.put_item({**replacing.unknown, **item}, replacing.revision, expires_at)

    def mark_removed(self, replacing: Row, expires_at: datetime, deleted_at: datetime | None = None) -> None:
        """Store a tombstone until `expires_at`, so that writers that still saw the photo get a `Conflict`.

        `deleted_at` is when somebody deleted the photo, if it was not only removed from the bucket.
        """
        deletion = {"deleted_at": format_time(deleted_at)} if deleted_at else {}
        self.put_item({"id": replacing.id, **deletion}, replacing.revision, expires_at)

    def update(self, photo_id: str, step: Callable[[Row], Result]) -> Result:
        """Read the row and call `step` with it, again after each `Conflict`. Return what `step` returns.

        Raise `Busy` after ten conflicts.
        """
        return self._repeat(lambda: step(self.read(photo_id)), photo_id)

    def read_listing(self, batch_id: str) -> Listing:
        """Read what is known of a whole listing, strongly consistent. Raise what `read` raises."""
        if not is_possible_batch(batch_id):
            return Listing(batch_id)
        item, revision = self.get_item(listing_key(batch_id))
        unknown = {name: value for name, value in item.items() if name not in _LISTING_ATTRIBUTES}
        listing = Listing(batch_id, revision, deleted_at=_read_deletion(item), unknown=unknown)
        if not item or _has_expired(item) or listing.deleted_at:
            return listing
        try:
            confirmation = parse_confirmation(item["confirmation"]) if "confirmation" in item else None
        except (KeyError, TypeError, ValueError) as error:  # only a newer version of the code understands it
            logger.warning("The confirmation of a listing is unreadable", id=item["id"], reason=repr(error))
            return listing
        return replace(listing, confirmation=confirmation, exists=True)

    def create_listing(self, batch_id: str, expires_at: datetime) -> None:
        """Store that a new listing exists. Raise `Conflict` if its row is there, and the AWS SDK's errors."""
        self.put_item({"id": listing_key(batch_id)}, None, expires_at)

    def update_listing(
        self, batch_id: str, step: Callable[[Listing], Listing], expires_at: datetime | None = None
    ) -> Listing:
        """Read the listing and store what `step` makes of it, again after each `Conflict`. Raise what `step` raises."""

        def write() -> Listing:
            seen = self.read_listing(batch_id)
            changed = step(seen)
            item: Item = {**changed.unknown, "id": listing_key(batch_id)}
            if changed.deleted_at:
                item["deleted_at"] = format_time(changed.deleted_at)
            if changed.confirmation:
                item["confirmation"] = confirmation_attributes(changed.confirmation)
            self.put_item(item, seen.revision, expires_at)
            return changed

        return self._repeat(write, batch_id)

    def _repeat(self, action: Callable[[], Result], name: str) -> Result:
        for _ in range(MAX_ATTEMPTS):
            try:
                return action()
            except Conflict:
                continue
        raise Busy(f"The record of {name!r} keeps changing; try again.")

    def get_item(self, key: str) -> "tuple[Item, UniversalAttributeValueTypeDef | None]":
        """Return the item, which is empty if there is none, and its revision. Strongly consistent."""
        answer = self.client.get_item(
            TableName=self.table, Key={"id": {"S": key}}, ConsistentRead=True, ReturnConsumedCapacity="TOTAL"
        )
        # If every answer to the SDK's tries was cut short, the SDK returns the last one as if there were no item.
        if "ConsumedCapacity" not in answer:
            raise Busy("The record could not be read; try again in a moment.")
        stored = answer.get("Item", {})
        return _from_dynamodb(stored), stored.get("revision")

    def page(self, wanted: Filter, limit: int, position: str | None = None) -> Page:
        """Read up to `limit` matching records, newest first, from the position on. Eventually consistent.

        Reads at most `limit` + 1 items of each of four partitions (somewhat more if they have shards), or
        `MAX_ITEMS_READ` of a batch, however many there are. So a page of a batch can hold fewer than `limit` records
        without being the last one.
        """
        found: list[Classification] = []
        items_per_query = MAX_ITEMS_READ if wanted.drops_items else limit + 1
        for items_read, item in enumerate(self._merge_partitions(wanted, items_per_query, position)):
            if len(found) == limit or items_read == MAX_ITEMS_READ:
                return Page(found, position)
            position = item[SORT_KEY]
            classification = _read_listed(item)
            if classification and wanted.matches(classification):
                found.append(classification)
        return Page(found, None)

    def _merge_partitions(self, wanted: Filter, items_per_query: int, position: str | None) -> Iterator[Item]:
        """Yield the items of all partitions that the filter reads, newest first."""
        name, values = find_partitions(wanted, self.shards)
        if self.shards > 1 and wanted.batch is None:
            items_per_query = math.ceil(items_per_query / self.shards) + _SPARE_ITEMS
        limit = min(items_per_query, _MAX_ITEMS_PER_QUERY)
        first_answers = self._run_all(lambda value: self._query(name, value, position, limit), values)
        partitions = (
            self._read_on(name, value, position, limit, answer)
            for value, answer in zip(values, first_answers, strict=True)
        )
        return heapq.merge(*partitions, key=lambda item: str(item[SORT_KEY]), reverse=True)

    def _read_on(self, name: str, value: str, position: str | None, limit: int, answer: Any) -> Iterator[Item]:
        """Yield the items of an index partition, newest first: those of its first answer, then the older ones."""
        while True:
            items = [_from_dynamodb(item) for item in answer["Items"]]
            yield from self._complete(items) if name == "batch_id" else items
            if "LastEvaluatedKey" not in answer:
                return
            answer = self._query(name, value, position, limit, ExclusiveStartKey=answer["LastEvaluatedKey"])

    def _query(self, name: str, value: str, position: str | None, limit: int, **start: Any) -> Any:
        """Query up to `limit` items of an index partition that are older than the position, newest first."""
        return self.client.query(
            TableName=self.table,
            IndexName=f"by_{name}",
            KeyConditionExpression=f"{name} = :value" + (f" AND {SORT_KEY} < :position" if position else ""),
            ExpressionAttributeValues={":value": {"S": value}, **({":position": {"S": position}} if position else {})},
            ScanIndexForward=False,
            Limit=limit,
            **start,
        )

    def _complete(self, keys: list[Item]) -> list[Item]:
        """Return the records of these keys of an index, in the same order, without those that are gone.

        They keep the index's sort key: a list goes on from there, whatever has changed since.
        """
        records = self._read_items(list(dict.fromkeys(key["id"] for key in keys)))
        return [{**records[key["id"]], SORT_KEY: key[SORT_KEY]} for key in keys if key["id"] in records]

    def _read_items(self, ids: list[str]) -> dict[str, Item]:
        """Read up to 100 items, strongly consistent. Raise the AWS SDK's errors, and `Busy` if some do not come."""
        items: dict[str, Item] = {}
        if not ids:  # DynamoDB refuses an empty list
            return items
        wanted: Any = {self.table: {"Keys": [{"id": {"S": one}} for one in ids], "ConsistentRead": True}}
        for attempt in range(_MAX_READS):
            if attempt:
                time.sleep(_FIRST_PAUSE_SECONDS * 2 ** (attempt - 1))
            answer = self.client.batch_get_item(RequestItems=wanted)
            items |= {item["id"]["S"]: _from_dynamodb(item) for item in answer["Responses"].get(self.table, [])}
            wanted = answer["UnprocessedKeys"]  # under throttling, DynamoDB returns a part of the items
            if not wanted:
                return items
        raise Busy("The photos of the listing could not be read; try again in a moment.")

    def put_item(
        self,
        item: Item,
        seen: "UniversalAttributeValueTypeDef | None",
        expires_at: datetime | None = None,
    ) -> None:
        """Store the item in place of the one whose revision was seen. Raise `Conflict` if it has changed."""
        new_revision = uuid.uuid4().hex
        item = {**item, "revision": new_revision}
        if expires_at is not None:
            item["expires_at"] = int(expires_at.timestamp())
        # The new revision is allowed, too: the SDK sends the request again if the answer to the first one was lost.
        unchanged = "attribute_not_exists(revision)"
        values: dict[str, UniversalAttributeValueTypeDef] = {":new": {"S": new_revision}}
        if seen is not None:
            unchanged, values = "revision = :seen", {**values, ":seen": seen}
        try:
            self.client.put_item(
                TableName=self.table,
                Item={name: to_attribute_value(value) for name, value in item.items()},
                ConditionExpression=f"{unchanged} OR revision = :new",
                ExpressionAttributeValues=values,
            )
        except self.client.exceptions.ConditionalCheckFailedException as error:
            raise Conflict from error


def _from_dynamodb(stored: Mapping[str, Any]) -> Item:
    return {name: from_attribute_value(value) for name, value in stored.items()}


def _read_deletion(item: Mapping[str, Any]) -> datetime | None:
    """Return when somebody deleted what the row is about. None if nobody did, or the row has expired."""
    if _has_expired(item):
        return None
    try:
        return datetime.fromisoformat(item["deleted_at"])
    except (KeyError, TypeError, ValueError):
        return None


def _has_expired(item: Mapping[str, Any]) -> bool:
    """Return whether the row no longer counts. DynamoDB deletes it within days."""
    expires_at = read_expiry(item)
    return expires_at is not None and expires_at <= datetime.now(UTC)


def _read_classification(item: Mapping[str, Any]) -> Classification | None:
    """Return the record's classification, or None if it has expired or is a tombstone. Raise `UnreadableItem`."""
    if "status" not in item or _has_expired(item):
        return None
    return from_item(item)


def _read_listed(item: Mapping[str, Any]) -> Classification | None:
    """Return the classification of a record in an index. A list goes on after an unreadable record."""
    try:
        return _read_classification(item)
    except UnreadableItem as error:
        logger.warning("A record is unreadable", id=item.get("id"), reason=str(error))
        return None
