"""The table's indexes: which attributes a record has for them, and which partitions a filter reads.

There are three indexes, each sorted by `created_at_id`. `by_review_state` and `by_label_state` hold whole records. A
list that is filtered by status, review, confirmation and label is the merge of at most seven of their partitions, and
reads nothing else. `by_batch_id` holds only the keys of records, so that it costs no write when a record changes. A
list that is filtered by batch reads that batch and drops what the other filters exclude.

DynamoDB writes at most 1,000 items a second into one partition of an index. A system with more photos spreads each
partition of the first two indexes over shards. The first shard has the name of the partition itself, and a list reads
all shards. So records that were written with fewer shards stay where they are, and lists find them.
"""

import hashlib
from dataclasses import dataclass, replace

from classifier.classification import Classification, Status, format_time
from classifier.keys import MAX_KEY_BYTES

SORT_KEY = "created_at_id"
# The review state of a record: its status, and whether it needs review or has a confirmation.
_REVIEW_STATES = {
    "PENDING": (Status.PENDING, False, False),
    "SUCCEEDED": (Status.SUCCEEDED, False, False),
    "REVIEW": (Status.SUCCEEDED, True, False),
    "FAILED": (Status.FAILED, True, False),
    "PENDING_CONFIRMED": (Status.PENDING, False, True),
    "CONFIRMED": (Status.SUCCEEDED, False, True),
    "FAILED_CONFIRMED": (Status.FAILED, False, True),
}
_STATE_NAMES = {state: name for name, state in _REVIEW_STATES.items()}
_ID_HASH_LENGTH = 16  # hexadecimal digits. An id may be longer than the 1,024 bytes of a sort key; its hash is not.


@dataclass(frozen=True, slots=True)
class Filter:
    """Which classifications a list contains. None stands for any."""

    label: str | None = None
    status: Status | None = None
    needs_review: bool | None = None
    confirmed: bool | None = None
    batch: str | None = None

    @property
    def drops_items(self) -> bool:
        """Whether items of the partition may not match, so that it is not known how many have to be read."""
        return self.batch is not None and replace(self, batch=None) != Filter()

    def matches(self, classification: Classification) -> bool:
        """Return whether all but the batch is as wanted, which the index selects."""
        return (
            self.label in {None, classification.effective_label}
            and self.status in {None, classification.status}
            and self.needs_review in {None, classification.needs_review}
            and self.confirmed in {None, classification.confirmation is not None}
        )


def index_keys(classification: Classification, shards: int) -> dict[str, str]:
    """Return the attributes that put a record into the indexes. It is in an index only if it has the attribute."""
    is_confirmed = classification.confirmation is not None
    review_state = _STATE_NAMES[classification.status, classification.needs_review, is_confirmed]
    label = classification.effective_label
    id_hash = hashlib.sha256(classification.id.encode()).hexdigest()[:_ID_HASH_LENGTH]
    shard = int(id_hash, 16) % shards
    keys = {
        "review_state": _in_shard(review_state, shard),
        SORT_KEY: f"{format_time(classification.created_at)}#{id_hash}",
    }
    if label:
        keys["label_state"] = _in_shard(f"{label}#{review_state}", shard)
    if classification.batch_id:
        keys["batch_id"] = classification.batch_id
    return keys


def find_partitions(wanted: Filter, shards: int) -> tuple[str, list[str]]:
    """Return the partition key of the index that serves the filter, and the values of the partitions to read."""
    if wanted.batch is not None:
        return "batch_id", [wanted.batch] if len(wanted.batch.encode()) <= MAX_KEY_BYTES else []
    states = [
        state
        for state, (status, needs_review, confirmed) in _REVIEW_STATES.items()
        if wanted.status in {None, status}
        and wanted.needs_review in {None, needs_review}
        and wanted.confirmed in {None, confirmed}
    ]
    name, values = "review_state", states
    if wanted.label is not None:
        name, values = "label_state", [f"{wanted.label}#{state}" for state in states]
    return name, [_in_shard(value, shard) for value in values for shard in range(shards)]


def _in_shard(partition: str, shard: int) -> str:
    return f"{partition}#{shard}" if shard else partition
