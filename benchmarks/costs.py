"""Computes what the service costs and which limits it meets, and writes the last sections of `docs/operations.md`.

`usage.json` and `durations.json` have what was measured, `prices.toml` has AWS's prices and quotas, and the template
has its own limits and alarms.
"""

import argparse
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.durations import mean_seconds, read_starts
from benchmarks.figures import read_figures
from benchmarks.markdown import fill, table
from benchmarks.prices import Price, Quota, read_prices
from benchmarks.usage import LISTING
from local.template import read_template

PAGE = Path(__file__).parent.parent / "docs" / "operations.md"
BEGIN, END = "<!-- `make costs` writes what follows. -->\n", "<!-- The end of what `make costs` writes. -->\n"
SIZES = (1_000, 1_000_000, 100_000_000, 10_000_000_000)  # photos a month
SHORT_RETENTION_DAYS = 30  # for comparison with the template's default
_PHOTO_BYTES = 2_400_000  # of a phone's photo of 12 megapixels
_STATUS_REQUESTS = 2  # for each photo
# How many invocations of each kind a photo causes. In the end, as many photos expire as arrive.
_INVOCATIONS = {"announcement": 1 / LISTING, "upload": 1, "status": _STATUS_REQUESTS, "expiry": 1}
_REQUESTS = ("announcement", "status")  # the others are events of S3
_PEAK = 10  # times the mean, in the busiest seconds
_BUSY_DAY = 2  # times the mean
_GIGABYTE = 2**30
_DAY = 86_400  # seconds
_MONTH_DAYS = 365 / 12
_MONTH = _MONTH_DAYS * _DAY  # seconds
# X-Ray's default rule samples the first request in each second and this share of the others.
_SAMPLED = 0.05
# API Gateway's segment and the two of Lambda (service and function) for a request; the latter two for an event.
_REQUEST_SEGMENTS, _EVENT_SEGMENTS = 3, 2
# Lambda polls an empty queue with five connections, each for 20 seconds ("Using Lambda with Amazon SQS").
_POLLS = 5 * _MONTH / 20  # a month


@dataclass(frozen=True, slots=True)
class PhotoUsage:
    """What one photo takes from its announcement to its expiry.

    `writes` has the write units by partition, as in `usage.json`. `function_seconds` are billed.
    """

    writes: Mapping[str, float]
    reads: float
    gets: float
    invocations: float
    requests: float
    function_seconds: float
    log_bytes: float
    answer_bytes: float
    table_bytes: int
    index_bytes: int

    @property
    def gigabyte_seconds(self) -> float:
        """Billed time × memory."""
        return self.function_seconds * memory_size() / 1024

    @property
    def events(self) -> float:
        """The invocations by S3."""
        return self.invocations - self.requests

    @property
    def busiest_table_or_index(self) -> float:
        """The most write units that the table or one of its indexes takes."""
        return busiest_table_or_index(self.writes)

    @property
    def busiest_partition(self) -> float:
        """The most write units that one partition of an index takes. The partitions of ids and listings are many."""
        return max(units for name, units in self.writes.items() if " " in name)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the bill: `amount` units in a month, for a price of `prices.toml`."""

    name: str
    price: Price
    amount: float

    @property
    def dollars(self) -> float:
        """What the amount costs in a month."""
        return self.price.cost(self.amount)


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit of AWS or of the template, and the photos per second at which it is reached.

    `of_day`: it limits the sum of a day, not the peak. `is_harmful` is False if a steady load above it does no harm
    with the template's defaults.
    """

    name: str
    quota: str
    use: str
    photos_per_second: float
    remedy: str
    of_day: bool = False
    is_harmful: bool = True


def read_milliseconds() -> dict[str, float]:
    """Return the mean of each kind of invocation, as it is billed, but for the rounding."""
    invocations = read_figures("usage")["invocations"]
    return {kind: mean_seconds(kind, invocations[kind]) * 1000 for kind in _INVOCATIONS}


def read_parameter(name: str, field: str = "Default") -> int:
    """Return the default of a parameter of the template, or another field."""
    value: int = read_template()["Parameters"][name][field]
    return value


def memory_size() -> int:
    """Return the function's memory in MB."""
    return read_parameter("MemorySize")


def read_photo_usage() -> PhotoUsage:
    """Add up the measured figures of the invocations that a photo causes."""
    figures, milliseconds = read_figures("usage"), read_milliseconds()
    kinds = [(figures["invocations"][kind], count) for kind, count in _INVOCATIONS.items()]
    requests = sum(_INVOCATIONS[kind] for kind in _REQUESTS)
    return PhotoUsage(
        writes=_add_up((name, units * count) for kind, count in kinds for name, units in kind["writes"].items()),
        reads=sum(kind["reads"] * count for kind, count in kinds),
        gets=sum(sum(kind["s3"].values()) * count for kind, count in kinds),
        invocations=sum(_INVOCATIONS.values()),
        requests=requests,
        # Lambda bills whole milliseconds.
        function_seconds=sum(math.ceil(milliseconds[kind]) * count for kind, count in _INVOCATIONS.items()) / 1000,
        log_bytes=sum(kind["log_bytes"] * count for kind, count in kinds) + requests * figures["access_log_bytes"],
        answer_bytes=sum(kind["answer_bytes"] * count for kind, count in kinds),
        table_bytes=figures["record_bytes"]["table"],
        index_bytes=figures["record_bytes"]["indexes"],
    )


def busiest_table_or_index(writes: Mapping[str, float]) -> float:
    """Return the most write units that the table or one of its indexes takes. The units are by partition."""
    return max(_add_up((name.partition(" ")[0], units) for name, units in writes.items()).values(), default=0)


def _add_up(amounts: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Return the sum of the amounts of each name."""
    sums: dict[str, float] = {}
    for name, amount in amounts:
        sums[name] = sums.get(name, 0) + amount
    return sums


def count_alarm_metrics() -> int:
    """Return how many metrics the template's alarms watch. CloudWatch bills each of them."""
    resources = read_template()["Resources"].values()
    alarms = [one["Properties"] for one in resources if one["Type"] == "AWS::CloudWatch::Alarm"]
    return sum(sum("MetricStat" in metric for metric in alarm.get("Metrics", [])) or 1 for alarm in alarms)


def count_traces(requests: float) -> float:
    """Return how many of a month's requests X-Ray records, if they come at random times (a Poisson process)."""
    first_in_their_second = _MONTH * -math.expm1(-requests / _MONTH)
    return first_in_their_second + _SAMPLED * (requests - first_in_their_second)


def bill(photos: float, retention_days: float | None = None) -> list[Line]:
    """Return the lines of a month with this many photos, once the first ones expire.

    `retention_days` is the template's default if it is None.
    """
    days = read_parameter("RetentionDays") if retention_days is None else retention_days
    return [*_request_lines(photos), *_storage_lines(photos, days), *_monitoring_lines(photos)]


def total(photos: float, retention_days: float | None = None) -> float:
    """Return the dollars of a month."""
    return sum(line.dollars for line in bill(photos, retention_days))


def _request_lines(photos: float) -> list[Line]:
    photo = read_photo_usage()
    gigabyte_seconds, writes = photo.gigabyte_seconds, sum(photo.writes.values())
    return [
        _line(f"Lambda, {gigabyte_seconds:.3f} GB-seconds", "lambda_gigabyte_seconds", photos * gigabyte_seconds),
        _line(f"Lambda, {photo.invocations:g} invocations", "lambda_requests", photos * photo.invocations),
        _line(f"API Gateway, {photo.requests:g} requests", "api_gateway_requests", photos * photo.requests),
        _line(f"DynamoDB, {writes:g} write units", "dynamodb_write_units", photos * writes),
        _line(f"DynamoDB, {photo.reads:g} read units", "dynamodb_read_units", photos * photo.reads),
        _line("S3, 1 POST", "s3_put", photos),
        _line(f"S3, {photo.gets:g} GETs", "s3_get", photos * photo.gets),
        _line(f"answers, {photo.answer_bytes:,.0f} bytes", "internet_out", photos * photo.answer_bytes / _GIGABYTE),
        _line("SQS, polls of the failure queue", "sqs_requests", _POLLS),
    ]


def _storage_lines(photos: float, retention_days: float) -> list[Line]:
    photo = read_photo_usage()
    record_bytes = photo.table_bytes + photo.index_bytes
    gigabytes = photos * retention_days / _MONTH_DAYS / _GIGABYTE  # for each byte that is kept of a photo
    return [
        _line(f"S3, {_PHOTO_BYTES / 1e6:g} MB", "s3_storage", gigabytes * _PHOTO_BYTES),
        _line(f"DynamoDB, {record_bytes:,} bytes with indexes", "dynamodb_storage", gigabytes * record_bytes),
        _line("DynamoDB, point-in-time recovery", "dynamodb_point_in_time_recovery", gigabytes * photo.table_bytes),
    ]


def _monitoring_lines(photos: float) -> list[Line]:
    photo, days = read_photo_usage(), read_parameter("LogRetentionDays")
    metrics, alarms = read_figures("usage")["custom_metrics"], count_alarm_metrics()
    logs = photos * photo.log_bytes / _GIGABYTE
    # API Gateway samples requests, Lambda samples events.
    traces = count_traces(photos * photo.requests) + count_traces(photos * photo.events)
    return [
        _line(f"logs, {photo.log_bytes:,.0f} bytes", "logs_ingestion", logs),
        _line(f"logs, kept for {days} days", "logs_storage", logs * days / _MONTH_DAYS),
        _line("X-Ray, sampled requests and events", "traces", traces),
        _line(f"{metrics} custom metrics", "metrics", metrics),
        _line(f"alarms on {alarms} metrics", "alarm_metrics", alarms),
        _line("a dashboard", "dashboards", 1),
    ]


def _line(name: str, price: str, amount: float) -> Line:
    return Line(name, read_prices().prices[price], amount)


def find_limits() -> list[Limit]:
    """Return all limits with the template's defaults in a new account, in the order in which they are reached."""
    limits = [*_template_limits(), *_lambda_limits(), *_dynamodb_limits(), *_other_limits()]
    return sorted(limits, key=lambda limit: limit.photos_per_second)


def _template_limits() -> list[Limit]:
    requests = read_photo_usage().requests
    per_day, per_second = read_parameter("RequestsPerDay"), read_parameter("RequestsPerSecond")
    use, more_keys = f"{requests:g} requests", "`RequestsPerDay`, or an API key for each client"
    return [
        Limit(
            *("`RequestsPerDay`", f"{per_day:,} requests a day of an API key", use),
            *(per_day / _DAY / requests, more_keys),
            of_day=True,
        ),
        Limit(
            *("`RequestsPerSecond`", f"{per_second:,} requests per second of all API keys together", use),
            *(per_second / requests, "`RequestsPerSecond`"),
        ),
    ]


def _lambda_limits() -> list[Limit]:
    photo, quotas = read_photo_usage(), read_prices().quotas
    new, usual = quotas["lambda_concurrency_of_a_new_account"], quotas["lambda_concurrency"]
    seconds, requests = f"{photo.function_seconds:.3f} seconds", f"{photo.requests:g} requests"
    growth = _limit("Lambda's growth", quotas["lambda_scaling"], photo.function_seconds, seconds)
    return [
        _limit("requests to Lambda in a new account", _request_quota(new), photo.requests, requests),
        _limit("Lambda's concurrency in a new account", new, photo.function_seconds, seconds),
        _limit("requests to Lambda", _request_quota(usual), photo.requests, requests),
        _limit("Lambda's concurrency", usual, photo.function_seconds, seconds),
        replace(growth, remedy="nothing; `ProvisionedConcurrency` before a known peak", is_harmful=False),
    ]


def _request_quota(concurrency: Quota) -> Quota:
    """Return the quota of synchronous requests that belongs to a quota of concurrent executions."""
    each = read_prices().quotas["lambda_requests_per_concurrency"].value
    unit = f"requests per second, {each} for each concurrent execution; S3's events do not count"
    return replace(concurrency, value=concurrency.value * each, unit=unit)


def _dynamodb_limits() -> list[Limit]:
    photo, quotas = read_photo_usage(), read_prices().quotas
    writes, reads = photo.busiest_table_or_index, photo.reads
    write_units, read_units = f"{writes:g} write units", f"{reads:g} read units"
    growing = [
        _limit("writes to a new index", quotas["dynamodb_new_table_writes"], writes, write_units),
        _limit("reads of a new table", quotas["dynamodb_new_table_reads"], reads, read_units),
    ]
    shards = f"`IndexShards`, up to {read_parameter('IndexShards', 'MaxValue')}"
    return [
        replace(_partition_limit(read_parameter("IndexShards")), remedy=shards),
        last_limit(),
        *(replace(limit, remedy="nothing; it grows by itself, and by `WarmThroughput`") for limit in growing),
        _limit("writes to an index", quotas["dynamodb_table_writes"], writes, write_units),
        _limit("reads of the table", quotas["dynamodb_table_reads"], reads, read_units),
    ]


def last_limit() -> Limit:
    """Return the one limit on photos that neither AWS nor a parameter of the template raises."""
    limit = _partition_limit(read_parameter("IndexShards", "MaxValue"))
    return replace(limit, remedy="nothing; deploy more stacks", is_harmful=False)


def _partition_limit(shards: int) -> Limit:
    """Return the limit of the busiest index partition, if its shards have equal loads."""
    units, quota = read_photo_usage().busiest_partition, read_prices().quotas["dynamodb_partition_writes"]
    limit = _limit(f"`IndexShards={shards}`", quota, units, f"{units:g} write units in one partition")
    return replace(limit, photos_per_second=limit.photos_per_second * shards)


def _other_limits() -> list[Limit]:
    photo, quotas = read_photo_usage(), read_prices().quotas
    segments = _SAMPLED * (photo.requests * _REQUEST_SEGMENTS + photo.events * _EVENT_SEGMENTS)
    requests = f"{photo.requests:g} requests"
    prefixes = [
        _limit("uploads to an S3 prefix", quotas["s3_puts"], 1, "1 POST"),
        _limit("reads of an S3 prefix", quotas["s3_gets"], photo.gets, f"{photo.gets:g} GETs"),
    ]
    traces = _limit("X-Ray's segments", quotas["xray_segments"], segments, f"{segments:.2f} segments")
    events = _limit("events with `PublishEvents`", quotas["eventbridge_events"], 1, "1 event")
    split = "nothing; S3 splits the prefix as it grows, because the ids of listings are random"
    return [
        _limit("requests to API Gateway", quotas["api_gateway_requests"], photo.requests, requests),
        *(replace(limit, remedy=split) for limit in prefixes),
        replace(traces, remedy="nothing; only traces are lost", is_harmful=False),
        replace(events, remedy="EventBridge's quota of `PutEvents`", is_harmful=False),
    ]


def _limit(name: str, quota: Quota, amount: float, use: str) -> Limit:
    """Return the limit that a quota sets if a photo takes this amount of it."""
    text = f"{quota.value:,} {quota.unit} ({quota.date})"
    return Limit(name, text, use, quota.value / amount, f"`{quota.service}` `{quota.code}`")


def find_exceeded(mean: float) -> list[Limit]:
    """Return the limits that are reached at this mean of photos per second, its busiest day and its peak, in order."""
    return [
        limit
        for limit in find_limits()
        if limit.is_harmful and mean * (_BUSY_DAY if limit.of_day else _PEAK) > limit.photos_per_second
    ]


def format_sections() -> str:
    """Return the sections "Costs" and "Capacity", between the two comments."""
    costs = [
        "## Costs",
        fill(
            """List prices of us-east-1 in US dollars, each with the day of its source. AWS changes prices, and the
            notes in [prices.toml](../benchmarks/prices.toml) say which values are not confirmed: check the pages that
            it names before you rely on them. `make costs` computes this section from that file and from measured
            figures: [usage.json](../benchmarks/usage.json) and [durations.json](../benchmarks/durations.json)."""
        ),
        fill(_assumptions()),
        _cost_table(),
        fill(_cost_notes()),
        _kinds_table(),
    ]
    capacity = [
        "## Capacity",
        fill(
            """These limits are reached in this order, with the template's defaults, in a new account, and with the
            photos of the section above. `RequestsPerDay` limits a whole day, the others each second. S3 deletes expired
            photos once a day; their events wait in Lambda's queue while a limit is reached. [A simulation](scale.md)
            shows how long sellers wait when photos come at random and limits are reached."""
        ),
        _limit_table(),
        fill(_quota_notes()),
        fill(
            f"""The same by photos a month. The busiest second has {_PEAK} times the mean, and the busiest day
            {_BUSY_DAY} times the mean:"""
        ),
        _size_table(),
        fill(_shards()),
    ]
    return "\n\n".join([BEGIN.rstrip(), *costs, *capacity, END])


def _assumptions() -> str:
    return f"""Assumptions: a seller announces {LISTING} photos in one request, uploads each, and asks
        {_STATUS_REQUESTS} times for the status of each. A photo has {_PHOTO_BYTES / 1e6:g} MB. It is kept for
        {read_parameter("RetentionDays")} days: the storage is that of a full year, and as many photos expire as arrive.
        The function has {memory_size():,} MB and is billed for {_list_times()}, in the mean. These times were measured
        with the [kinds of photos](scale.md#assumptions) that sellers upload, and contain what S3 and DynamoDB are
        assumed to take. A GB has 2^30 bytes. Logs count without compression. Where a unit price has several figures,
        the later ones are for the units above a monthly amount. Free tiers, taxes, and what costs a few cents a month
        (the image in ECR, emails of alarms) are left out."""


def _list_times() -> str:
    names = {"upload": "an upload", "status": "a status", "announcement": "an announcement", "expiry": "an expiry"}
    times = [f"{math.ceil(read_milliseconds()[kind])} ms for {name}" for kind, name in names.items()]
    return f"{', '.join(times[:-1])} and {times[-1]}"


def _cost_notes() -> str:
    prices, (few, many) = read_prices().prices, SIZES[:2]
    seconds = few * read_photo_usage().invocations * statistics.mean(read_starts())
    cold_starts = prices["lambda_gigabyte_seconds"].cost(seconds * memory_size() / 1024)
    storage = next(line.dollars for line in bill(many) if line.price is prices["s3_storage"])
    events = prices["events"].cost(many)
    return f"""Most of the cost is the storage of photos, which `RetentionDays` limits:
        {storage / total(many) * 100:.0f} % at {many:,} photos a month. The first month costs no more than with
        `RetentionDays={SHORT_RETENTION_DAYS}`. Cold starts cost little: if each invocation for
        {few:,} photos were one, Lambda would cost {_format_dollars(cold_starts)} dollars. `PublishEvents` adds
        {_format_dollars(events)} dollars at {many:,} photos. Each kind of invocation takes this:"""


def _cost_table() -> str:
    head = ["for each photo or month", "unit price", "as of", *(f"{photos:,} a month" for photos in SIZES)]
    rows = [_cost_row(lines) for lines in zip(*map(bill, SIZES), strict=True)]
    short = f"total with `RetentionDays={SHORT_RETENTION_DAYS}`"
    rows.append(["total", "", "", *(_format_dollars(total(photos)) for photos in SIZES)])
    rows.append([short, "", "", *(_format_dollars(total(photos, SHORT_RETENTION_DAYS)) for photos in SIZES)])
    return table(head, rows)


def _cost_row(lines: Sequence[Line]) -> list[str]:
    """Return the row of one line of the bill, with its costs for each size."""
    price = lines[0].price
    return [lines[0].name, _format_price(price), str(price.date), *(_format_dollars(line.dollars) for line in lines)]


def _kinds_table() -> str:
    """Return a table of what the kinds of invocation take."""
    names = {
        "announcement": f"`POST /uploads`, {LISTING} photos",
        "upload": "upload of an announced photo",
        "upload_without_announcement": "upload of another photo, in a folder",
        "failed_upload": "upload of another file, which is not a photo",
        "photo_in_request": "`POST /classifications`",
        "status": "`GET /classifications/{id}`",
        "listing": f"`GET /batches/{{batch_id}}`, {LISTING} photos",
        "confirmation": "`PUT /confirmations/{id}`",
        "expiry": "expiry of a photo",
    }
    invocations = read_figures("usage")["invocations"]
    head = ["invocation", "write units", "read units", "S3 requests", "bytes of logs", "bytes of the answer"]
    return table(head, [[name, *_format_kind(invocations[kind])] for kind, name in names.items()])


def _format_kind(kind: Mapping[str, Any]) -> list[str]:
    figures = [sum(kind["writes"].values()), kind["reads"], sum(kind["s3"].values())]
    return [f"{figure:,}" for figure in [*figures, kind["log_bytes"], kind["answer_bytes"]]]


def _limit_table() -> str:
    rows = [[one.name, one.quota, one.use, _format_rate(one.photos_per_second), one.remedy] for one in find_limits()]
    return table(["limit", "quota (as of)", "a photo takes", "photos per second", "what to raise"], rows)


def _size_table() -> str:
    head = ["photos a month", "mean per second", "peak per second", "requests per second at the peak"]
    head += ["concurrent executions", "reached with the defaults, in this order", "remains when all these are raised"]
    return table(head, [_size_row(photos) for photos in SIZES])


def _size_row(photos: int) -> list[str]:
    photo, last, mean = read_photo_usage(), last_limit(), photos / _MONTH
    peak = mean * _PEAK
    stacks = math.ceil(peak / last.photos_per_second)
    return [
        f"{photos:,}",
        *(_format_rate(rate) for rate in (mean, peak, peak * photo.requests)),
        f"{math.ceil(peak * photo.function_seconds):,}",
        ", ".join(limit.name for limit in find_exceeded(mean)) or _describe_first_limit(mean),
        f"{last.name}: {stacks} stacks" if stacks > 1 else "none",
    ]


def _describe_first_limit(mean: float) -> str:
    """Return which limit is the first one, and how much of it is used."""
    first = find_limits()[0]
    return f"none; the busiest day uses {mean * _BUSY_DAY / first.photos_per_second * 100:.2g} % of {first.name}"


def _quota_notes() -> str:
    quota = read_prices().quotas["lambda_concurrency"]
    return f"""`aws service-quotas request-service-quota-increase --service-code {quota.service}
        --quota-code {quota.code} --desired-value {quota.value}`,
        with its service code and quota code from the table, asks AWS for more.
        AWS may take days, and may grant less. Nobody but AWS can change the burst of requests to API Gateway. Lambda
        sends log lines in batches, and AWS does not say in how many, so CloudWatch's quota of `PutLogEvents` is not in
        the table."""


def _shards() -> str:
    last = last_limit()
    return f"""Each announced photo enters and leaves the index partition of the state PENDING. `IndexShards` multiplies
        the partitions. The shards are not equally full, so plan with less than the limit. Raise `IndexShards` in a
        deployment of its own, with `DeploymentPreference=AllAtOnce`. Never lower it, and do not go back to a version
        with fewer shards: such a version does not list the records in the new ones ([records](records.md)). Above what
        {last.name} allows, about {_format_rate(last.photos_per_second)} announced photos per second, deploy more
        stacks, for example one for each region or shop. Stacks in one region of an account share the quotas of Lambda
        and API Gateway."""


def _format_price(price: Price) -> str:
    """Return the prices of all tiers, of a million units if one unit costs less than 0.01 cents."""
    is_small = price.tiers[0].dollars < 0.0001  # noqa: PLR2004 - explained above
    values = [_format_number(tier.dollars * (1e6 if is_small else 1)) for tier in price.tiers]
    return f"{', '.join(values)} per {'million' if is_small else price.unit.partition(',')[0]}"


def _format_number(value: float) -> str:
    """Return four significant digits, or two decimal places if they suffice."""
    return f"{value:.2f}" if math.isclose(value, round(value, 2)) else f"{value:.4g}"


def _format_dollars(value: float) -> str:
    return f"{value:,.2f}" if value < 100 else f"{value:,.0f}"  # noqa: PLR2004 - cents of small sums only


def _format_rate(per_second: float) -> str:
    """Return two significant digits below 10, else a whole number."""
    return f"{per_second:.2g}" if per_second < 10 else f"{per_second:,.0f}"  # noqa: PLR2004 - small rates need digits


def write_sections(page: Path) -> None:
    """Replace the sections between the two comments."""
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(before + format_sections() + after, encoding="utf-8")


def main() -> None:
    """Write the sections."""
    argparse.ArgumentParser(prog="python -m benchmarks.costs", description=__doc__).parse_args()
    write_sections(PAGE)
    print(f"Wrote {PAGE}")


if __name__ == "__main__":
    main()
