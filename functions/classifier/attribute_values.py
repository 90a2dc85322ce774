"""DynamoDB's notation of values, which names the type of each: `{"S": "hat"}`.

https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_AttributeValue.html describes it. boto3 has the same
translation, but a cold start would wait for its import (clients.py).
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from types import NoneType
from typing import Any

# A bool is an int, too, so it comes first.
_WRITERS: tuple[tuple[type, str, Callable[[Any], Any]], ...] = (
    (str, "S", str),
    (bool, "BOOL", bool),
    (int, "N", str),
    (Decimal, "N", str),
    (list, "L", lambda values: [to_attribute_value(value) for value in values]),
    (dict, "M", lambda values: {name: to_attribute_value(value) for name, value in values.items()}),
    (bytes, "B", bytes),
    (NoneType, "NULL", lambda _: True),
)
_READERS: dict[str, Callable[[Any], Any]] = {
    "S": str,
    "BOOL": bool,
    "N": Decimal,
    "L": lambda values: [from_attribute_value(value) for value in values],
    "M": lambda values: {name: from_attribute_value(value) for name, value in values.items()},
    "B": bytes,
    "NULL": lambda _: None,
    "SS": set,
    "NS": lambda values: set(map(Decimal, values)),
    "BS": set,
}


def to_attribute_value(value: Any) -> dict[str, Any]:
    """Return a value in DynamoDB's notation. Raise `TypeError` for a type that DynamoDB does not have, as a float."""
    for kind, name, write in _WRITERS:
        if isinstance(value, kind):
            return {name: write(value)}
    if isinstance(value, set) and value:  # DynamoDB has no empty sets, and only sets of one type
        pairs = [pair for element in value for pair in to_attribute_value(element).items()]
        return {f"{pairs[0][0]}S": [content for _, content in pairs]}
    raise TypeError(f"DynamoDB has no type for {value!r}.")


def from_attribute_value(stored: Mapping[str, Any]) -> Any:
    """Return the value. Numbers are decimals, as exact as DynamoDB's."""
    ((name, content),) = stored.items()
    return _READERS[name](content)
