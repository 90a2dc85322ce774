"""Classifications, and the table that keeps them. Reading one needs neither the model nor a photo.

Every write is a compare-and-swap: it names the row that the writer read before it looked at the world, and fails with
`Conflict` if somebody wrote since. `uploads` says why that alone keeps the newest photo's record.
"""

import hashlib
import heapq
import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self, TypeVar

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

from classifier.errors import Busy

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


LONGEST_KEY = 1024  # bytes of UTF-8, of an object in S3
_ATTEMPTS = 10  # each lost race means that somebody else moved the record forward

Result = TypeVar("Result")


class Conflict(Exception):
    """Somebody else wrote the row since it was read."""


class Status(StrEnum):
    """Where a classification stands."""

    PENDING = "PENDING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


class Source(StrEnum):
    """How a photo came in."""

    S3 = "s3"
    URL = "url"
    BYTES = "bytes"


@dataclass(frozen=True, slots=True)
class Image:
    """The classified file. Format and size in pixels are None where it could not be read."""

    bytes: int
    etag: str
    format: str | None = None
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a photo has no label: one of the codes of `errors`, and a sentence for its seller."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Classification:
    """What is known of a photo. `scores` holds every label's probability, the highest first; empty unless SUCCEEDED."""

    id: str
    status: Status
    source: Source
    created_at: datetime
    scores: Mapping[str, float]
    needs_review: bool = False
    confirmed_label: str | None = None
    model_version: str | None = None
    image: Image | None = None
    classified_at: datetime | None = None
    failure: Failure | None = None

    @property
    def label(self) -> str | None:
        """The likeliest label."""
        return next(iter(self.scores), None)

    @property
    def listed_label(self) -> str | None:
        """The label under which the photo is listed: what its seller says counts, not what the model says."""
        return self.confirmed_label or self.label

    @property
    def batch_id(self) -> str | None:
        """The listing that an upload belongs to: the first folder of its key."""
        folder, slash, _ = self.id.partition("/")
        return folder if slash and folder and self.source is Source.S3 else None

    def to_json(self) -> dict[str, Any]:
        """The classification as the HTTP API shows it."""
        image = self.image
        return {
            "id": self.id,
            "status": self.status.value,
            "label": self.label,
            "confidence": self.scores[self.label] if self.label else None,
            "needs_review": self.needs_review,
            "predictions": [{"label": label, "score": score} for label, score in self.scores.items()],
            "confirmed_label": self.confirmed_label,
            "batch_id": self.batch_id,
            "model_version": self.model_version,
            "image": image
            and {
                "format": image.format,
                "width": image.width,
                "height": image.height,
                "bytes": image.bytes,
                "etag": image.etag,
            },
            "source": self.source.value,
            "created_at": format_time(self.created_at),
            "classified_at": self.classified_at and format_time(self.classified_at),
            "error": self.failure and {"code": self.failure.code, "message": self.failure.message},
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        return cls(
            id=content["id"],
            status=Status(content["status"]),
            source=Source(content["source"]),
            created_at=datetime.fromisoformat(content["created_at"]),
            scores={prediction["label"]: float(prediction["score"]) for prediction in content["predictions"]},
            needs_review=content["needs_review"],
            confirmed_label=content["confirmed_label"],
            model_version=content["model_version"],
            image=content["image"] and Image(**content["image"]),
            classified_at=content["classified_at"] and datetime.fromisoformat(content["classified_at"]),
            failure=content["error"] and Failure(**content["error"]),
        )


def format_time(moment: datetime) -> str:
    """ISO 8601 in UTC with milliseconds: `2026-01-31T12:00:00.000Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class Row:
    """What the table held for an id when it was read.

    `revision` names that state of the row; None where there was no row. `classification` is None for a row that says
    that the photo was removed, and for one that has expired. `expires_at` is None for one that does not.
    """

    id: str
    revision: str | None
    classification: Classification | None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Filter:
    """Which classifications a list is of; None stands for any."""

    label: str | None = None
    status: Status | None = None
    needs_review: bool | None = None
    batch: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Some of a list's classifications, newest first; `position` is where the rest begins, None if there is none."""

    classifications: list[Classification]
    position: str | None


class Records:
    """The table of classifications, keyed by `id`."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def read(self, identifier: str) -> Row:
        """The row as of now: a strongly consistent read. Raises botocore's errors, and `Busy` for a damaged answer."""
        answer = self._client.get_item(
            TableName=self._table,
            Key={"id": {"S": identifier}},
            ConsistentRead=True,
            ReturnConsumedCapacity="TOTAL",
        )
        # Where each answer that it got was cut short, the SDK gives the last one as if there were no item.
        if "ConsumedCapacity" not in answer:
            raise Busy("The record could not be read; try again in a moment.")
        item = {name: _DESERIALISE(value) for name, value in answer.get("Item", {}).items()}
        alive = "status" in item and _is_alive(item)
        return Row(
            identifier,
            item.get("revision"),
            Classification.from_json(_without_decimals(item)) if alive else None,
            datetime.fromtimestamp(int(item["expires_at"]), UTC) if "expires_at" in item else None,
        )

    def page(self, wanted: Filter, limit: int, position: str | None = None) -> Page:
        """Up to `limit` of those that are wanted, from the position on, newest first; as of about a second ago.

        Reads at most `limit` + 1 items of each of four partitions, or `_MOST_READ` of a batch, however many there are;
        so a page of a batch may hold fewer than `limit` and yet not be the last.
        """
        index, keys = _partitions(wanted)
        items = heapq.merge(
            *(self._newest_first(index, key, position, limit + 1) for key in keys),
            key=lambda item: str(item["moment"]),
            reverse=True,
        )
        found: list[Classification] = []
        for read, item in enumerate(items):
            if len(found) == limit or read == _MOST_READ:
                return Page(found, position)
            position = item["moment"]
            if _is_alive(item):
                classification = Classification.from_json(_without_decimals(item))
                if _fits(classification, wanted):
                    found.append(classification)
        return Page(found, None)

    def _newest_first(self, index: str, key: str, position: str | None, page: int) -> Iterator[dict[str, Any]]:
        """The items of a partition that are older than the position, page by page as they are asked for."""
        values = {":key": {"S": key}, **({":position": {"S": position}} if position else {})}
        start: dict[str, Any] = {}
        while True:
            answer = self._client.query(
                TableName=self._table,
                IndexName=index,
                KeyConditionExpression="#key = :key" + (" AND moment < :position" if position else ""),
                ExpressionAttributeNames={"#key": index.removeprefix("by_")},
                ExpressionAttributeValues=values,
                ScanIndexForward=False,
                Limit=min(page, _MOST_READ),
                **start,
            )
            for item in answer["Items"]:
                yield {name: _DESERIALISE(value) for name, value in item.items()}
            if "LastEvaluatedKey" not in answer:
                return
            start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    def update(self, identifier: str, step: Callable[[Row], Result]) -> Result:
        """Take the step from the row as it is, again whenever somebody else wrote in between; gives what it gives.

        The step writes, and lets its `Conflict` through. Raises `Busy` where the row kept changing.
        """
        for _ in range(_ATTEMPTS):
            try:
                return step(self.read(identifier))
            except Conflict:
                continue
        raise Busy(f"The record of {identifier!r} keeps changing; try again.")

    def write(self, classification: Classification, replacing: Row, expires_at: datetime | None = None) -> None:
        """Store the classification in place of the row read before; raises `Conflict` if that has changed."""
        self._put(_item(classification, expires_at), replacing)

    def mark_removed(self, replacing: Row, expires_at: datetime) -> None:
        """Leave a tombstone until `expires_at`, so that a writer who still saw the photo meets a `Conflict`."""
        self._put({"id": replacing.id, "expires_at": int(expires_at.timestamp())}, replacing)

    def create(self, classifications: list[Classification], expires_at: datetime) -> None:
        """Store up to 100 new classifications, all or none; raises `Conflict` if one of their ids is taken."""
        try:
            self._client.transact_write_items(
                TransactItems=[
                    {
                        "Put": {
                            "TableName": self._table,
                            "Item": _serialised(_item(classification, expires_at)),
                            "ConditionExpression": "attribute_not_exists(id)",
                        }
                    }
                    for classification in classifications
                ]
            )
        except self._client.exceptions.TransactionCanceledException as error:
            if any(reason.get("Code") == "ConditionalCheckFailed" for reason in error.response["CancellationReasons"]):
                raise Conflict from error
            raise

    def _put(self, item: dict[str, Any], replacing: Row) -> None:
        if replacing.revision is None:
            condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(id)"}
        else:
            condition = {
                "ConditionExpression": "revision = :seen",
                "ExpressionAttributeValues": {":seen": {"S": replacing.revision}},
            }
        try:
            self._client.put_item(TableName=self._table, Item=_serialised(item), **condition)
        except self._client.exceptions.ConditionalCheckFailedException as error:
            raise Conflict from error


_DESERIALISE = TypeDeserializer().deserialize
_SERIALISE = TypeSerializer().serialize


def _item(classification: Classification, expires_at: datetime | None) -> dict[str, Any]:
    item = json.loads(json.dumps(classification.to_json()), parse_float=Decimal)  # boto3 refuses floats
    item |= _index_keys(classification)
    return item if expires_at is None else {**item, "expires_at": int(expires_at.timestamp())}


# Three indexes, each newest first by `moment`: `by_state`, `by_labelled` and `by_batch`. A list that is asked for by
# status, review or label, or several of these, is then the merge of at most four partitions, and reads nothing else.

_REVIEW = "REVIEW"  # the state of what is SUCCEEDED and needs review; other states are called as their status
_STATES = {  # to the status and `needs_review` of what is in each
    Status.PENDING.value: (Status.PENDING, False),
    Status.SUCCEEDED.value: (Status.SUCCEEDED, False),
    _REVIEW: (Status.SUCCEEDED, True),
    Status.FAILED.value: (Status.FAILED, True),
}
_MOST_READ = 1000  # items for one page


def _index_keys(classification: Classification) -> dict[str, str]:
    is_review = classification.status is Status.SUCCEEDED and classification.needs_review
    state = _REVIEW if is_review else classification.status.value
    # An id is longer than a key of an index may be.
    place = hashlib.sha256(classification.id.encode()).hexdigest()[:16]
    keys = {"state": state, "moment": f"{format_time(classification.created_at)}#{place}"}
    if classification.listed_label:
        keys["labelled"] = f"{classification.listed_label}#{state}"
    if classification.batch_id:
        keys["batch"] = classification.batch_id
    return keys


def _partitions(wanted: Filter) -> tuple[str, list[str]]:
    """The index that serves the list, and the keys of those of its partitions that hold what is wanted."""
    if wanted.batch is not None:
        return "by_batch", [wanted.batch] if len(wanted.batch.encode()) <= LONGEST_KEY else []
    states = [
        state
        for state, (status, needs_review) in _STATES.items()
        if wanted.status in {None, status} and wanted.needs_review in {None, needs_review}
    ]
    return ("by_state", states) if wanted.label is None else ("by_labelled", [f"{wanted.label}#{s}" for s in states])


def _fits(classification: Classification, wanted: Filter) -> bool:
    """Whether it is what is wanted: by a batch's partition that is not said."""
    return (
        wanted.label in {None, classification.listed_label}
        and wanted.status in {None, classification.status}
        and wanted.needs_review in {None, classification.needs_review}
    )


def _is_alive(item: Mapping[str, Any]) -> bool:
    """DynamoDB deletes expired items within days, not at once."""
    return bool(item.get("expires_at", float("inf")) > datetime.now(UTC).timestamp())


def _serialised(item: dict[str, Any]) -> dict[str, Any]:
    """In DynamoDB's own notation, under a revision that nobody has seen."""
    return {name: _SERIALISE(value) for name, value in {**item, "revision": uuid.uuid4().hex}.items()}


def _without_decimals(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {name: _without_decimals(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_without_decimals(inner) for inner in value]
    return value
