"""DynamoDB's notation of values, compared with boto3's."""

from decimal import Decimal
from typing import Any

import pytest
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from hypothesis import given
from hypothesis import strategies as st

from classifier.attribute_values import from_attribute_value, to_attribute_value

numbers = st.integers(-(10**37), 10**37) | st.decimals("-1e9", "1e9", places=6)
sets = st.sets(st.text(), min_size=1) | st.sets(numbers, min_size=1) | st.sets(st.binary(), min_size=1)
values = st.recursive(
    st.none() | st.booleans() | st.text() | numbers | st.binary() | sets,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(values)
def test_the_notation_is_that_of_boto3(value: Any) -> None:
    stored = to_attribute_value(value)

    assert stored == TypeSerializer().serialize(value)
    assert from_attribute_value(stored) == TypeDeserializer().deserialize(stored) == value


@pytest.mark.parametrize("value", [1.5, set(), {1.5}, object(), [Decimal(1), 1.5], {"score": 0.5}])
def test_a_type_that_dynamodb_does_not_have_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="DynamoDB has no type"):
        to_attribute_value(value)
