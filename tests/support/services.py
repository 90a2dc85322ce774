"""Services of which a test has replaced some parts."""

from collections.abc import Callable, Sequence
from copy import copy
from typing import Any

from classifier.services import Services


def replace_parts(services: Services, **parts: Any) -> Services:
    """Return a shallow copy of the services with these attributes; the services themselves do not change."""
    changed = copy(services)
    for name, part in parts.items():
        setattr(changed, name, part)
    return changed


def map_in_order(function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
    """Stand in for `Services.map` where calls must not run at the same time: a seed or a clock decides their order."""
    return [function(item) for item in items]
