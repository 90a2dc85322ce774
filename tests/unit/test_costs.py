"""The costs and limits in docs/operations.md follow from the measured figures, the prices and the template."""

import json
import re
import tomllib
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from benchmarks import costs, usage
from benchmarks.figures import read_figures
from benchmarks.prices import Price, Tier, read_prices
from benchmarks.usage import read_units
from local.aws import Resources
from local.template import read_template
from tests.support.paths import ROOT

BENCHMARKS = ROOT / "benchmarks"
CONSISTENT = {"ConsistentRead": True}
TOLERANCE = 0.05  # of bytes: durations and scores do not always have as many digits


def test_operations_has_what_make_costs_writes() -> None:
    text = costs.PAGE.read_text()

    assert text.count(costs.BEGIN) == text.count(costs.END) == 1
    assert text[text.index(costs.BEGIN) : text.index(costs.END)] + costs.END == costs.format_sections()


def test_the_sections_can_be_written_again(tmp_path: Any) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{costs.BEGIN}old\n{costs.END}after\n")

    costs.write_sections(page)

    assert page.read_text() == f"before\n{costs.format_sections()}after\n"


def test_the_saved_usage_is_that_of_the_code(aws: Resources) -> None:
    """`make costs` measures it again."""
    saved, measured = read_figures("usage"), json.loads(json.dumps(usage.measure()))

    assert bytes_of(measured) == pytest.approx(bytes_of(saved), rel=TOLERANCE)
    assert counts_of(measured) == counts_of(saved)


def bytes_of(figures: dict[str, Any]) -> dict[str, int]:
    """Return all sizes in bytes."""
    kinds = {
        f"{kind} {name}": way[name]
        for kind, way in figures["invocations"].items()
        for name in ("log_bytes", "answer_bytes")
    }
    return {**kinds, **figures["record_bytes"], "access log": figures["access_log_bytes"]}


def counts_of(figures: dict[str, Any]) -> dict[str, Any]:
    """Return all units and requests of each kind of invocation, and the number of metrics."""
    kinds = {
        kind: {name: way[name] for name in ("writes", "reads", "s3")} for kind, way in figures["invocations"].items()
    }
    return {**kinds, "metrics": figures["custom_metrics"]}


def test_an_announced_photo_costs_seven_write_units_its_listing_one_and_its_expiry_four() -> None:
    """These are what tests/unit/test_write_units.py counts."""
    kinds = read_figures("usage")["invocations"]

    units = {kind: sum(way["writes"].values()) for kind, way in kinds.items()}

    assert units["announcement"] / usage.LISTING + units["upload"] == 7 + 1 / usage.LISTING
    assert units["expiry"] == 4
    assert sum(costs.read_photo_usage().writes.values()) == 11 + 1 / usage.LISTING


def test_every_price_and_quota_has_a_value_a_unit_a_date_and_a_source() -> None:
    content = tomllib.loads((BENCHMARKS / "prices.toml").read_text())
    entries = [*content["prices"].values(), *content["quotas"].values()]

    assert all(entry["unit"] and type(entry["date"]) is date for entry in entries)
    assert all(re.fullmatch(r"https://(docs\.)?aws\.amazon\.com/\S+", entry["source"]) for entry in entries)
    assert all(quota["value"] > 0 for quota in content["quotas"].values())
    assert all(bool(quota.get("code")) == bool(quota.get("service")) for quota in content["quotas"].values())


def test_the_tiers_of_each_price_ascend_and_end_with_one_without_bound() -> None:
    for price in read_prices().prices.values():
        bounds = [tier.up_to for tier in price.tiers]
        assert bounds == sorted(set(bounds))
        assert bounds[-1] == float("inf")
        assert all(tier.dollars > 0 for tier in price.tiers)


def test_every_price_and_quota_is_used() -> None:
    prices, quotas = read_prices().prices, read_prices().quotas
    billed = [line.price for line in costs.bill(1)]
    dates_and_values = " ".join(limit.quota for limit in costs.find_limits())

    assert [name for name, price in prices.items() if price not in billed] == ["events"]
    unused = [name for name, quota in quotas.items() if f"{quota.value:,} " not in dates_and_values]
    assert unused == ["api_gateway_burst"]  # the simulation has it


@pytest.mark.parametrize(
    ("amount", "dollars"), [(0, 0), (9, 27), (10, 30), (11, 32), (30, 70), (31, 71), (130, 170)], ids=str
)
def test_each_tier_costs_its_own_price(amount: float, dollars: float) -> None:
    price = Price([Tier(3, up_to=10), Tier(2, up_to=30), Tier(1)], "piece", date(2026, 1, 1), "")

    assert price.cost(amount) == dollars


def test_every_metric_of_every_alarm_is_counted() -> None:
    alarms = [one for one in read_template()["Resources"].values() if one["Type"] == "AWS::CloudWatch::Alarm"]

    assert costs.count_alarm_metrics() == json.dumps(alarms).count('"MetricName"')


def test_the_one_dashboard_is_counted() -> None:
    types = [resource["Type"] for resource in read_template()["Resources"].values()]

    (dashboard,) = (line for line in costs.bill(1) if line.price is read_prices().prices["dashboards"])
    assert dashboard.amount == types.count("AWS::CloudWatch::Dashboard")


def test_xray_records_the_first_request_of_a_second_and_a_twentieth_of_the_others() -> None:
    seconds = 365 / 12 * 86_400

    assert costs.count_traces(1) == pytest.approx(1)
    assert costs.count_traces(1e12) == pytest.approx(seconds + 0.05 * (1e12 - seconds))


def test_a_shorter_retention_costs_less_storage_and_nothing_else() -> None:
    year, month = costs.bill(1000, 360), costs.bill(1000, 30)

    cheaper = {one.name.partition(",")[0] for one, other in zip(year, month, strict=True) if other.amount < one.amount}
    assert cheaper == {"S3", "DynamoDB"}
    assert sum(one.amount == other.amount for one, other in zip(year, month, strict=True)) == len(year) - 3


def test_limits_are_reached_in_order() -> None:
    """With a quarter of a photo per second in the mean, the daily quota of an API key suffices on the busiest day."""
    rates = [limit.photos_per_second for limit in costs.find_limits()]

    assert rates == sorted(rates)
    assert costs.find_exceeded(0.25) == []
    assert [limit.name for limit in costs.find_exceeded(0.5)] == ["`RequestsPerDay`"]
    assert [limit.name for limit in costs.find_exceeded(2.5)] == ["`RequestsPerDay`", "`RequestsPerSecond`"]


def test_the_template_promises_no_more_photos_than_its_shards_take() -> None:
    text = read_template()["Parameters"]["IndexShards"]["Description"]
    promised = re.search(r"One shard takes up to ([\d,]+) announced photos per second, 16 shards ([\d,]+)", text)
    rates = {limit.name: limit.photos_per_second for limit in costs.find_limits()}

    assert promised
    one, sixteen = (int(number.replace(",", "")) for number in promised.groups())
    assert one <= rates["`IndexShards=1`"]
    assert sixteen <= rates["`IndexShards=16`"] == costs.last_limit().photos_per_second


def test_the_page_of_memory_sizes_has_the_saved_times() -> None:
    page = (BENCHMARKS / "memory-sizes.md").read_text()
    price = read_prices().prices["lambda_gigabyte_seconds"].tiers[0].dollars

    for size, times in read_figures("memory-sizes").items():
        dollars = times["upload"] / 1000 * int(size) / 1024 * price * 1e6
        assert f"| {int(size):,} | {' | '.join(f'{time:,.0f}' for time in times.values())} | {dollars:.2f} |" in page


@pytest.mark.parametrize(
    ("size", "keys", "units"),
    [(0, CONSISTENT, 1), (4096, CONSISTENT, 1), (4097, CONSISTENT, 2), (4097, {}, 1), (1, {}, 0.5)],
)
def test_a_read_costs_a_unit_for_each_4_kib_or_half_if_it_is_eventually_consistent(
    size: int, keys: dict[str, bool], units: float
) -> None:
    item = {"i": {"S": "x" * (size - 1)}} if size else {}

    assert read_units("GetItem", keys, {"Item": item}) == units
    assert read_units("Query", keys, {"Items": [item]}) == units
    assert read_units("BatchGetItem", {"RequestItems": {"t": keys}}, {"Responses": {"t": [item] * 3}}) == units * 3


def test_a_query_adds_its_items_up_before_it_rounds() -> None:
    items = [{"i": {"S": "x" * 99}}] * 50

    assert read_units("Query", {}, {"Items": items}) == 1
    assert read_units("BatchGetItem", {"RequestItems": {"t": {}}}, {"Responses": {"t": items}}) == 25


def test_a_photo_takes_the_most_writes_in_the_partition_that_it_enters_and_leaves() -> None:
    photo = costs.read_photo_usage()

    assert photo.writes["by_review_state PENDING"] == photo.busiest_partition == 2
    fewer = replace(photo, writes={"table": 9, "by_batch_id": 5, "by_review_state A": 2, "by_review_state B": 3})
    assert (fewer.busiest_partition, fewer.busiest_table_or_index) == (3, 9)
