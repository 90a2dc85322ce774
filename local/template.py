"""Reads `template.yaml`, so that the local system has the values that a deployment has."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

TEMPLATE = Path(__file__).parent.parent / "template.yaml"


@dataclass(frozen=True, slots=True)
class FunctionSettings:
    """How Lambda runs the function.

    `tries`: how often an asynchronous event is tried. `batch_size`: how many messages of a queue come in one event.
    """

    timeout_seconds: float
    memory_mb: int
    tries: int
    batch_size: int


class _Loader(yaml.SafeLoader):
    """Reads CloudFormation's YAML."""


def _read_intrinsic(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    """Return the long form of a short intrinsic function: `{"Fn::Sub": x}` for `!Sub x`."""
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)  # type: ignore[arg-type]
    return {suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _read_intrinsic)


@cache
def read_template() -> dict[str, Any]:
    """Read the template, with its short intrinsic functions in their long form."""
    template: dict[str, Any] = yaml.load(TEMPLATE.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - a safe loader's child
    return template


def resource_properties(logical_id: str) -> dict[str, Any]:
    """Return the properties of a resource."""
    properties: dict[str, Any] = read_template()["Resources"][logical_id]["Properties"]
    return properties


@cache
def paths_without_key() -> frozenset[str]:
    """Return the paths of the API that need no API key."""
    events = resource_properties("ClassifierFunction")["Events"].values()
    without_key = [
        event["Properties"] for event in events if event["Properties"].get("Auth") == {"ApiKeyRequired": False}
    ]
    return frozenset(properties["Path"] for properties in without_key)


def function_settings() -> FunctionSettings:
    """Return the settings of the function, with the default of each parameter."""
    function = resource_properties("ClassifierFunction")
    return FunctionSettings(
        timeout_seconds=function["Timeout"],
        memory_mb=read_template()["Parameters"][function["MemorySize"]["Ref"]]["Default"],
        tries=function["EventInvokeConfig"]["MaximumRetryAttempts"] + 1,
        batch_size=resource_properties("ClassifierFunctionFailures")["BatchSize"],
    )
