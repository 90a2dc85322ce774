"""Counts the write request units that DynamoDB charges for a table and its indexes, from the items themselves.

The rules are those of the DynamoDB developer guide. "Item sizes and formats": names and strings have the length of
their UTF-8, a number has about one byte for two significant digits and one more, a list or map has 3 bytes and one for
each of its elements. "Write operations": a put costs a unit for each KiB of the larger one of the old and the new item.
"Provisioned throughput considerations for global secondary indexes": an item that enters or leaves an index costs one
write there, another key two (the old entry is deleted), other projected attributes one, no projected attribute none.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

_UNIT = 1024  # bytes
_MAX_NUMBER_BYTES = 21

Item = Mapping[str, Mapping[str, Any]]  # in DynamoDB's notation


def item_size(item: Item) -> int:
    """Return the size of an item in bytes."""
    return sum(len(name.encode()) + _value_size(value) for name, value in item.items())


def _value_size(value: Mapping[str, Any]) -> int:
    ((kind, content),) = value.items()
    if kind == "S":
        return len(str(content).encode())
    if kind == "B":
        return len(content)
    if kind == "N":
        digits = str(content).upper().partition("E")[0].strip("-").replace(".", "").strip("0")
        return min(_MAX_NUMBER_BYTES, math.ceil(len(digits) / 2) + 1 + int(content.startswith("-")))
    if kind in {"BOOL", "NULL"}:
        return 1
    if kind == "L":
        return 3 + sum(1 + _value_size(element) for element in content)
    if kind == "M":
        return 3 + sum(1 + len(name.encode()) + _value_size(element) for name, element in content.items())
    raise ValueError(kind)


def count_units(old: Item, new: Item, table: Mapping[str, Any]) -> Counter[tuple[str, str]]:
    """Return the units of a put for each partition that it writes: (name of the index, its key).

    `old` is the item that is replaced, or empty. `table` has the properties of the table in the template. The partition
    of the table itself is `("", id)`.
    """
    units: Counter[tuple[str, str]] = Counter()
    units["", new["id"]["S"]] = _units(max(item_size(old), item_size(new)))
    for index in table["GlobalSecondaryIndexes"]:
        before, after = (project(item, index, table) for item in (old, new))
        keys = [key["AttributeName"] for key in index["KeySchema"]]
        if before == after:
            continue
        if before and after and all(before[key] == after[key] for key in keys):
            units[index["IndexName"], after[keys[0]]["S"]] += _units(max(item_size(before), item_size(after)))
            continue
        for projected in filter(None, (before, after)):
            units[index["IndexName"], projected[keys[0]]["S"]] += _units(item_size(projected))
    return units


def _units(size: int) -> int:
    return math.ceil(size / _UNIT)


def project(item: Item, index: Mapping[str, Any], table: Mapping[str, Any]) -> Item:
    """Return the part of the item that is in the index. It is empty if the item lacks one of the keys."""
    keys = {key["AttributeName"] for key in index["KeySchema"]}
    if not keys <= item.keys():
        return {}
    if index["Projection"]["ProjectionType"] == "ALL":
        return item
    table_keys = {key["AttributeName"] for key in table["KeySchema"]}
    return {name: value for name, value in item.items() if name in keys | table_keys}


@contextmanager
def counted_writes(client: Any, table: Mapping[str, Any]) -> Iterator[list[Counter[tuple[str, str]]]]:
    """Collect the units of each put that this client makes, as `count_units` returns them."""
    writes: list[Counter[tuple[str, str]]] = []

    def count(params: dict[str, Any], **_: Any) -> None:
        stored = client.get_item(TableName=params["TableName"], Key={"id": params["Item"]["id"]}, ConsistentRead=True)
        writes.append(count_units(stored.get("Item", {}), params["Item"], table))

    client.meta.events.register("provide-client-params.dynamodb.PutItem", count)
    try:
        yield writes
    finally:
        client.meta.events.unregister("provide-client-params.dynamodb.PutItem", count)
