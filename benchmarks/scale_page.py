"""Writes `docs/scale.md` and its plots from what `benchmarks.scale` simulated."""

import argparse
import math
import statistics
import sys
import textwrap
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from benchmarks import scale
from benchmarks.costs import memory_size, read_photo_usage
from benchmarks.durations import ASSUMPTIONS, MIX, read_starts
from benchmarks.figures import read_figures
from benchmarks.markdown import fill, table
from benchmarks.prices import read_prices
from benchmarks.scale import Scenario
from benchmarks.simulation import Seen
from benchmarks.usage import LISTING
from evaluation.plots import save_png

_PAGE = Path(__file__).parent.parent / "docs" / "scale.md"
_PERCENTILES = (50, 95, 99, 99.9)
_LOCAL_SEEDS = 10
_LEAST_CONCURRENCY = 10  # a few photos that come together need more than the mean

Results = Mapping[str, tuple[Scenario, Seen]]


def write_page(results: Results, page: Path) -> None:
    """Write the page, and its plots into the folder of its name beside it."""
    plots = page.with_suffix("")
    plots.mkdir(exist_ok=True)
    for name, figure in {
        "waits": _plot_waits(results),
        "day": _plot_day(results),
        "burst": _plot_burst(results["burst"][1]),
        "check": _plot_check(),
    }.items():
        save_png(figure, plots / f"{name}.png")
    page.write_text(_format_page(results), encoding="utf-8")


def wait_percentiles(scenario: Scenario, seen: Seen) -> list[float]:
    """Return the percentiles of the waits in seconds. A photo without an answer in the end waits forever."""
    answered = [wait for uploaded, wait, _ in seen.waits if uploaded >= scenario.since]
    uploads = sum(uploaded >= scenario.since for uploaded in seen.uploads)
    waits = np.concatenate([answered, np.full(uploads - len(answered), math.inf)])
    return [float(value) for value in np.percentile(waits, _PERCENTILES, method="higher")]


def dollars(seen: Seen) -> float:
    """Return the dollars of a million photos, without storage, logs and metrics, at the prices of the first tier."""
    amounts = dict(seen.bill)
    amounts["lambda_gigabyte_seconds"] = amounts.pop("lambda_seconds") * memory_size() / 1024
    prices = read_prices().prices
    return sum(prices[name].tiers[0].dollars * amount for name, amount in amounts.items()) / len(seen.uploads) * 1e6


def _format_page(results: Results) -> str:
    return f"""# Scale

How long sellers wait at 1, 100 and 10,000 photos a second, what throttles first, and what it costs: a simulation.
`make scale` writes this page in about five minutes on two cores. It needs no AWS account.

The [simulation](../benchmarks/simulation.py) follows each photo: its listing is announced, its seller uploads it, S3
sends Lambda an event, the function classifies it, and a client asks for the status at once and then each second. A
photo **waits** from the end of its upload until its client has the answer. The simulation has Lambda's growth, cold
starts and retries, the quotas of API Gateway, Lambda, S3 and DynamoDB, botocore's retries, the failure queue, and
clients that repeat what was refused, as the seller's page does. How long the function runs was
[measured](../benchmarks/memory-sizes.md), what it takes from AWS was [counted](../benchmarks/usage.json), and AWS's
quotas and prices are [listed with their sources](../benchmarks/prices.toml). The rest is [assumed](#assumptions).

The accounts:

{_account_list()}

## How long sellers wait

{table(_steady_head(), _steady_rows(results))}

The rate begins at zero and reaches its height within the first minute, after which everything in the table counts. “No
answer” means: not within two minutes after the last upload. The dollars are for a million photos, without what is
stored and logged ([all costs](operations.md#costs)).

- Where nothing throttles, the wait does not depend on the rate. Most of it is not the function: S3's event is assumed
  to take half a second, and a client that asks each second learns of the label up to a second later.
- {_hour_text(*results["steady 10000 large"])}
{_cold_start_text()}
- With too little concurrency, photos are late, not lost: their events wait in Lambda's queue, for up to six hours, and
  clients get no label meanwhile. Where DynamoDB throttles for minutes, events fail, and their photos become `FAILED`.

![Share of the photos whose client has the answer, by seconds after the upload](scale/waits.png)

If S3's events take another time than assumed, at 100 photos a second in an account with the usual quotas:

{table(_event_head(), _event_rows(results))}

## What to set

For a steady rate of photos, or for the busiest seconds:

{table(_settings_head(), _settings_rows())}

The table has twice what the photos need in the mean, because they come at random, and because clients that wait ask
again. AWS raises quotas on request, within minutes or days: [account limits](operations.md#account-limits). Raise
`IndexShards` in a deployment of its own ([how](operations.md#capacity)). New tables and buckets need minutes to grow to
such rates: let the rate grow slowly, or set `WarmThroughput` of the table before.

## What throttles first

The rate of announced photos doubles every 40 seconds.

{table(_limits_head(), _limit_rows(results))}

Photos come at random here, so that a limit can refuse some before the [mean](operations.md#capacity) reaches it. One
limit brings the next: while writes are throttled, invocations take longer, and use up Lambda's concurrency.
`RequestsPerDay` is not part of this: see the next section.

## A day

{_day_text(results)}

![Photos a second, waits and execution environments during a day](scale/day.png)

## A burst

{_burst_text(*results["burst"])}

![Photos a second, waits and execution environments in a burst](scale/burst.png)

## When S3 and DynamoDB do not answer

100 photos a second, in an account with the usual quotas. From minute 2 on, no call of S3 or DynamoDB is answered.

{table(_outage_head(), _outage_rows(results))}

After the first seconds of the outage, sellers cannot announce photos, so that all outages begin with the same uploads.
Lambda tries an event that fails three times, within about four minutes. So a short outage costs only time, and a longer
one makes most of these photos `FAILED` with `internal_error`, also those that were uploaded just before it. [A job
classifies them again](operations.md#classify-a-whole-bucket-again). Events that are throttled, because all concurrent
executions wait for calls, are tried again for six hours.

## Assumptions

These durations can only be measured in an AWS account, so they are assumed. Log-normal distributions, in seconds:

{table(["median", "99th percentile", "what", "why"], _assumption_rows())}

{_mix_text()} An execution environment that is idle for six minutes ends.

Not simulated: how DynamoDB and S3 grow with their load (the quotas stand still), the unused capacity that a partition
saves up, the longer pauses of Lambda's queue when it is long, other functions in the same account, and photos that
expire.

## Comparison with measurements

{_check_intro()}

{table(_check_head(), _check_rows())}

{_check_text()}

![Measured and simulated waits on the local system](scale/check.png)
"""


def _account_list() -> str:
    texts = (f"- **{account.name}**: {account.what}." for account in scale.list_accounts().values())
    return "\n".join(textwrap.fill(text, 120, subsequent_indent="  ") for text in texts)


def _steady_head() -> list[str]:
    percentiles = [f"{percentile:g} % wait at most" for percentile in _PERCENTILES]
    head = ["photos a second", "account", "photos", *percentiles, "no answer", "execution environments"]
    return [*head, "invocations that are cold starts", "what throttles", "dollars"]


def _steady_rows(results: Results) -> list[list[str]]:
    return [_steady_row(*result) for name, result in results.items() if name.startswith("steady")]


def _steady_row(scenario: Scenario, seen: Seen) -> list[str]:
    percentiles = wait_percentiles(scenario, seen)
    uploads = sum(uploaded >= scenario.since for uploaded in seen.uploads)
    unanswered = 1 - sum(uploaded >= scenario.since for uploaded, _, _ in seen.waits) / uploads
    is_served = math.isfinite(percentiles[-1])
    return [
        f"{scenario.highest:,}",
        scenario.account.name,
        f"{uploads * scenario.account.stacks:,}",
        *(_format_seconds(seconds) for seconds in percentiles),
        f"{unanswered * 100:.0f} %" if unanswered else "0",
        f"{max(seen.environments) * scenario.account.stacks:,}",
        f"{seen.cold_starts / seen.bill['lambda_requests'] * 100:.2f} %",
        ", ".join(seen.first_throttled) or "nothing",
        f"{dollars(seen):.2f}" if is_served else "–",
    ]


def _format_seconds(seconds: float) -> str:
    if not math.isfinite(seconds):
        return "no answer"
    return f"{seconds:.1f} s" if seconds < 60 else f"{seconds / 60:.1f} min"  # noqa: PLR2004 - a minute


def _hour_text(scenario: Scenario, seen: Seen) -> str:
    photos = scenario.highest * scale.HOUR
    return f"An hour at {scenario.highest:,} photos a second costs {dollars(seen) * photos / 1e6:,.0f} dollars."


def _cold_start_text() -> str:
    seconds = ASSUMPTIONS["environment"].median + statistics.median(read_starts())
    text = f"""- A cold start adds {seconds:.1f} seconds in the median. It is rare at a steady rate, because Lambda
        reuses its environments."""
    return textwrap.fill(" ".join(text.split()), 120, subsequent_indent="  ")


def _event_head() -> list[str]:
    return ["median of S3's events", *(f"{percentile:g} % wait at most" for percentile in _PERCENTILES)]


def _event_rows(results: Results) -> list[list[str]]:
    median = ASSUMPTIONS["event"].median
    return [
        [f"{scenario.event_factor * median:g} s", *map(_format_seconds, wait_percentiles(scenario, seen))]
        for name, (scenario, seen) in results.items()
        if name.startswith("events")
    ]


def _settings_head() -> list[str]:
    return [
        "photos a second",
        *("`RequestsPerSecond`", "`RequestsPerDay`", "`IndexShards`", "stacks"),
        *("Lambda's concurrency", "requests to API Gateway a second", "write units of each index", "read units"),
    ]


def _settings_rows() -> list[list[str]]:
    """Return the settings for several rates. Quotas are those of the account; the others are those of each stack."""
    photo, partition, shards = read_photo_usage(), scale.read_quota("dynamodb_partition_writes"), scale.most_shards()
    rows = []
    for rate in (1, 10, 100, 1000, 10_000):
        twice = 2 * rate
        needed = twice * photo.busiest_partition / partition
        stacks = math.ceil(needed / shards)
        requests = twice * photo.requests
        rows.append(
            [
                f"{rate:,}",
                f"{math.ceil(requests / stacks):,}",
                f"{math.ceil(requests / stacks * scale.DAY):,}",
                f"{min(shards, math.ceil(needed / stacks))}",
                f"{stacks}",
                f"{max(_LEAST_CONCURRENCY, math.ceil(twice * photo.function_seconds)):,}",
                f"{math.ceil(requests):,}",
                f"{math.ceil(twice * photo.busiest_table_or_index / stacks):,}",
                f"{math.ceil(twice * photo.reads / stacks):,}",
            ]
        )
    return rows


def _limits_head() -> list[str]:
    return ["account", "the first limit", "at photos a second", "the next limit", "at photos a second"]


def _limit_rows(results: Results) -> list[list[str]]:
    rows = []
    for name, (scenario, seen) in results.items():
        if not name.startswith("doubling"):
            continue
        first = sorted(seen.first_throttled.items(), key=lambda item: item[1])[:2]
        cells = [(limit, _format_rate(scenario.rate(time))) for limit, time in first]
        cells += [(f"none up to {scenario.highest:,} photos a second", "")] * (2 - len(cells))
        rows.append([scenario.account.name, *(cell for pair in cells for cell in pair)])
    return rows


def _format_rate(rate: float) -> str:
    return f"{float(f'{rate:.2g}'):,.0f}"


def _day_text(results: Results) -> str:
    _, usual = results["day usual"]
    scenario, new = results["day new"]
    _, time = min(new.first_throttled.items(), key=lambda item: item[1])
    before = sum(uploaded < time for uploaded in new.uploads)
    waited = sum(wait > scale.HOUR for _, wait, _ in new.waits)
    usual_percentiles = wait_percentiles(results["day usual"][0], usual)
    return fill(f"""One photo a second in the mean ({len(usual.uploads):,} photos), most of them in the evening, and
        from 8 to 8:05 ten times as many. With the usual quotas, nothing is throttled, and the 99th percentile of the
        waits is {_format_seconds(usual_percentiles[2])}. In a new account with the template's defaults, the API
        refuses requests from {_clock(time)} on, because `RequestsPerDay` is {scenario.account.quotas.api_day:,}: that
        is {before:,} photos. Until midnight, no seller can announce a photo, and {waited:,} photos that were
        announced before get their answer the next day. Raise `RequestsPerDay` before you have so many photos a day.""")


def _clock(time: float) -> str:
    return f"{int(time // 3600):02}:{int(time % 3600 // 60):02}"


def _burst_text(scenario: Scenario, seen: Seen) -> str:
    percentiles = wait_percentiles(scenario, seen)
    limits = ", ".join(seen.first_throttled) or "Nothing"
    longest = max(wait for _, wait, _ in seen.waits)
    before = seen.environments[int(scale.BURST[0]) - 1]
    return fill(f"""100 photos a second become 1,000 for two minutes, in an account with the usual quotas. {limits} is
        throttled. The execution environments grow from {before:,} to {max(seen.environments):,}. The 99th percentile
        of the waits is {_format_seconds(percentiles[2])}, the longest wait {_format_seconds(longest)}.""")


def _outage_head() -> list[str]:
    head = ["minutes", "photos uploaded meanwhile", "photos that became `FAILED`", "photos without an answer"]
    return [*head, "longest wait after the end", "what throttles, during the outage or after it"]


def _outage_rows(results: Results) -> list[list[str]]:
    rows = []
    for name, (scenario, seen) in results.items():
        if not name.startswith("outage") or scenario.outage is None:
            continue
        begin, end = scenario.outage.begin, scenario.outage.end
        during = [uploaded + wait for uploaded, wait, _ in seen.waits if begin <= uploaded < end]
        rows.append(
            [
                f"{(end - begin) / 60:g}",
                f"{len(during):,}",
                f"{seen.failed:,}",
                f"{len(seen.uploads) - len(seen.waits):,}",
                _format_seconds(max(during) - end),
                ", ".join(seen.first_throttled),
            ]
        )
    return rows


def _assumption_rows() -> list[list[str]]:
    return [[f"{one.median:g}", f"{one.percentile_99:g}", one.what, one.reason] for one in ASSUMPTIONS.values()]


def _mix_text() -> str:
    durations = read_figures("durations")
    kinds = {"upload": "JPEG", "heic_upload": "HEIC", "small_upload": "JPEG of 400 pixels", "png_upload": "PNG"}
    parts = [
        f"{share * 100:g} % {kinds[kind]} ({statistics.median(durations[kind]) * 1000:.0f} ms)"
        for kind, share in MIX.items()
    ]
    return fill(f"""The photos: {", ".join(parts)}. All but the small ones have 12 megapixels. A listing has {LISTING}
        photos.""")


# The check against the local system.


def _measured_rates() -> dict[float, list[float]]:
    """Return the measured waits by rate."""
    return {float(name[5:]): value["read"] for name, value in read_figures("load").items() if name.startswith("rate_")}


def _simulated(rate: float) -> list[float]:
    return [wait for seed in range(_LOCAL_SEEDS) for wait in scale.simulate_local(rate, seed)]


def _check_intro() -> str:
    load = read_figures("load")
    return fill(f"""The same simulation predicts the local system of `make run`, with two environments for which
        events and requests wait, and without quotas. `make bench-load` measures the local system with photos of the
        kind “{load["photo"]}” on {load["machine"]}, which the clients and the stand-in for AWS use, too. The
        simulation gets three measurements of other situations: how long photos and requests take that come alone, and
        that the full system handles {load["full_uploads"]} photos or {load["full_statuses"]} requests a second.""")


def _check_head() -> list[str]:
    return ["photos a second", *(f"{p:g} % wait at most, measured / simulated" for p in (10, 50, 90, 99))]


def _check_rows() -> list[list[str]]:
    rows = []
    for rate, measured in _measured_rates().items():
        pairs = np.transpose([np.percentile(waits, (10, 50, 90, 99)) for waits in (measured, _simulated(rate))])
        rows.append([f"{rate:g}", *(f"{one:.2f} / {other:.2f} s" for one, other in pairs)])
    return rows


def _check_text() -> str:
    agreeing = [rate for rate, measured in _measured_rates().items() if _agrees(measured, _simulated(rate))]
    return fill(f"""Up to {max(agreeing):g} photos a second, the medians differ by less than a tenth. Near what the
        system can handle, a small difference becomes a long queue, and the simulation is too optimistic. Some
        measured answers come before the first second, and none in the simulation, because its durations are those of
        the full system. The comparison covers how photos arrive, wait, and are asked for. The behaviour of AWS itself
        (Lambda's growth, its quotas and retries, the delay of S3's events) is taken from AWS's documentation, and was
        not measured.""")


def _agrees(measured: Sequence[float], simulated: Sequence[float]) -> bool:
    return math.isclose(statistics.median(measured), statistics.median(simulated), rel_tol=0.1)


# The plots.


def _plot_waits(results: Results) -> Figure:
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes: Axes = figure.subplots()
    steady = [result for name, result in results.items() if name.startswith("steady")]
    for place, (scenario, seen) in enumerate(steady):
        waits = sorted(wait for uploaded, wait, _ in seen.waits if uploaded >= scenario.since)
        uploads = sum(uploaded >= scenario.since for uploaded in seen.uploads)
        label = f"{scenario.highest:,} a second, {scenario.account.name}"
        width = 1.5 + len(steady) - place  # several lines are on top of each other
        axes.plot(waits, np.arange(1, len(waits) + 1) / uploads, linewidth=width, label=label)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.set_xlabel("seconds after the upload")
    axes.set_ylabel("share of photos with an answer")
    axes.set_ylim(0, 1.02)
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def _plot_day(results: Results) -> Figure:
    figure = Figure(figsize=(8, 7), layout="constrained")
    panels = figure.subplots(3, 1, sharex=True)
    for name in ("new", "usual"):
        _plot_times(panels, results[f"day {name}"][1], scale.DAY, 300, scale.HOUR, name)
    panels[0].legend()
    panels[1].set_yscale("log")
    panels[1].yaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    panels[-1].set_xlabel("hours after midnight")
    panels[-1].set_xlim(0, 24)
    return figure


def _plot_burst(seen: Seen) -> Figure:
    figure = Figure(figsize=(8, 7), layout="constrained")
    panels = figure.subplots(3, 1, sharex=True)
    _plot_times(panels, seen, 600, 5, 60, "usual")
    panels[-1].set_xlabel("minutes")
    return figure


def _plot_times(  # noqa: PLR0913, PLR0917 - each is of another kind
    panels: Sequence[Axes], seen: Seen, end: float, step: float, unit: float, label: str
) -> None:
    """Plot uploads, waits and environments until the time `end`, in steps of so many seconds."""
    uploads = np.array(seen.uploads)
    edges = np.arange(0, end + step, step)
    middles = (edges[:-1] + step / 2) / unit
    panels[0].plot(middles, np.histogram(uploads, edges)[0] / step, label=label)
    panels[0].set_ylabel("photos a second")
    bins = np.digitize([uploaded for uploaded, _, _ in seen.waits], edges) - 1
    waits = np.array([wait for _, wait, _ in seen.waits])
    percentiles = [
        np.percentile(waits[bins == place], (50, 99)) if (bins == place).any() else (math.nan,) * 2
        for place in range(len(middles))
    ]
    for place, (percentile, style) in enumerate((("median", "-"), ("99 %", ":"))):
        colour = panels[0].lines[-1].get_color()
        panels[1].plot(
            middles, [values[place] for values in percentiles], style, color=colour, label=f"{label}, {percentile}"
        )
    panels[1].set_ylabel("seconds of waiting")
    panels[1].legend()
    environments = seen.environments[: int(end)]
    panels[2].plot(np.arange(len(environments)) / unit, environments, label=label)
    panels[2].set_ylabel("execution environments")
    panels[2].yaxis.set_major_locator(MaxNLocator(integer=True))
    for panel in panels:
        panel.grid(alpha=0.3)


def _plot_check() -> Figure:
    rates = _measured_rates()
    figure = Figure(figsize=(8, 1.4 * len(rates) + 0.6), layout="constrained")
    panels = figure.subplots(len(rates), 1, sharex=True)
    for panel, (rate, measured) in zip(panels, rates.items(), strict=True):
        for waits, what in ((measured, "measured"), (_simulated(rate), "simulated")):
            panel.plot(sorted(waits), np.linspace(0, 1, len(waits)), label=what)
        panel.set_title(f"{rate:g} photos a second", loc="left", fontsize="medium")
        panel.set_xscale("log")
        panel.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        panel.grid(alpha=0.3)
    panels[0].legend()
    panels[-1].set_xlabel("seconds after the upload")
    figure.supylabel("share of photos with an answer")
    return figure


def main() -> None:
    """Simulate all scenarios, which takes about five minutes on two cores, and write the page."""
    argparse.ArgumentParser(prog="python -m benchmarks.scale_page", description=__doc__).parse_args()
    read_figures("load")  # before the work, because the page needs it in the end
    scenarios = scale.list_scenarios()
    results: dict[str, tuple[Scenario, Seen]] = {}
    with ProcessPoolExecutor() as pool:
        for name, seen in zip(scenarios, pool.map(scale.simulate, scenarios), strict=True):
            print(f"Simulated {len(results) + 1} of {len(scenarios)}: {name}", file=sys.stderr)
            results[name] = scenarios[name], seen
    write_page(results, _PAGE)
    print(f"Wrote {_PAGE}")


if __name__ == "__main__":
    main()
