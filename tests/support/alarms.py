"""Evaluates the alarms of template.yaml on measured metrics, as CloudWatch would.

The model of time: the values were measured in one minute, and every minute is like it. So a period of five minutes has
the sum of the minute five times, and an alarm that needs two of three periods needs one: all periods are the same.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from operator import gt, lt
from statistics import mean
from typing import Any

import numpy as np

from local.template import read_template

STACK = "classifier"  # the service's name in the metrics of the local system
_MEASURED_SECONDS = 60
_COMPARISONS = {"GreaterThanThreshold": gt, "LessThanThreshold": lt}
_NO_DATA = math.nan
_FUNCTIONS = {  # of CloudWatch's metric math
    "__builtins__": {},
    "IF": lambda condition, then, otherwise: then if condition else otherwise,
    "FILL": lambda value, filling: filling if math.isnan(value) else value,
}


@dataclass(frozen=True)
class Value:
    """One measured value of a metric. Of `dimensions`, those can be left out of which the system has only one."""

    namespace: str
    metric: str
    value: float
    dimensions: Mapping[str, str] = field(default_factory=dict)


def resources(kind: str) -> dict[str, Any]:
    """Return the properties of the template's resources of this type, by logical id."""
    found = read_template()["Resources"].items()
    return {logical_id: resource["Properties"] for logical_id, resource in found if resource["Type"] == kind}


ALARMS = resources("AWS::CloudWatch::Alarm")


def alarms_raised(values: Iterable[Value]) -> set[str]:
    """Return the logical ids of the alarms that change to ALARM."""
    values = list(values)
    return {logical_id for logical_id, alarm in ALARMS.items() if _is_raised(alarm, values)}


def filter_log(line: dict[str, Any]) -> list[Value]:
    """Return the values that the template's metric filters make of a line of the API's access log."""
    return [
        Value(_resolve(transformation["MetricNamespace"]), transformation["MetricName"], 1)
        for properties in resources("AWS::Logs::MetricFilter").values()
        for transformation in properties["MetricTransformations"]
        if _matches(properties["FilterPattern"], line)
    ]


def _matches(pattern: str, line: dict[str, Any]) -> bool:
    """Return whether the line of JSON matches a pattern of the form `{ $.field = "text" && $.field != "text" }`."""
    conditions = [re.fullmatch(r'\$\.(\w+) (=|!=) "(.*)"', part) for part in pattern.strip("{ }").split(" && ")]
    assert all(conditions), f"this form of a filter is not known here: {pattern}"
    return all((str(line[one[1]]) == one[3]) == (one[2] == "=") for one in conditions if one)


def _is_raised(alarm: dict[str, Any], values: list[Value]) -> bool:
    assert alarm["TreatMissingData"] == "notBreaching"  # so no comparison with NaN is true
    datapoint = _compute(alarm["Metrics"], values) if "Metrics" in alarm else _statistic(alarm, values)
    return bool(_COMPARISONS[alarm["ComparisonOperator"]](datapoint, float(_resolve(alarm["Threshold"]))))


def _compute(metrics: list[dict[str, Any]], values: list[Value]) -> float:
    """Return the result of the metric math, of which the first metric has the expression."""
    inputs = {metric["Id"]: _statistic(_flatten(metric["MetricStat"]), values) for metric in metrics[1:]}
    return float(eval(metrics[0]["Expression"], _FUNCTIONS, inputs))  # noqa: S307 - the template's own expressions


def _flatten(metric_stat: dict[str, Any]) -> dict[str, Any]:
    return {**metric_stat["Metric"], "Period": metric_stat["Period"], "Statistic": metric_stat["Stat"]}


def _statistic(metric: dict[str, Any], values: list[Value]) -> float:
    """Return the metric's statistic over its period, or NaN if it has no data."""
    dimensions = {dimension["Name"]: _resolve(dimension["Value"]) for dimension in metric.get("Dimensions", [])}
    found = [
        value.value
        for value in values
        if (value.namespace, value.metric) == (_resolve(metric["Namespace"]), metric["MetricName"])
        and value.dimensions.items() <= dimensions.items()
    ]
    minutes = metric["Period"] / _MEASURED_SECONDS
    return _summarize(metric.get("Statistic") or metric["ExtendedStatistic"], found, minutes) if found else _NO_DATA


def _summarize(statistic: str, values: list[float], minutes: float) -> float:
    if statistic.startswith("p"):
        return float(np.percentile(values, float(statistic[1:])))
    return {
        "Sum": sum(values) * minutes,
        "SampleCount": len(values) * minutes,
        "Average": mean(values),
        "Maximum": max(values),
    }[statistic]


def _resolve(value: Any) -> str:
    """Return a value of the template: parameters have their defaults, attributes their names."""
    match value:
        case {"Ref": "AWS::StackName"}:
            return STACK
        case {"Ref": name}:
            return str(read_template()["Parameters"].get(name, {}).get("Default", name))
        case {"Fn::GetAtt": name} | {"Fn::Sub": name}:
            return str(name).replace("${AWS::StackName}", STACK)
    return str(value)
