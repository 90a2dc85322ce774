"""The figures as a page with a plot."""

import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt

from benchmarks.batch import ALONE, PROCESSOR, WHOLE
from benchmarks.timing import Seconds, milliseconds, ratio
from benchmarks.ways import STAGES

_TUTORIALS = {"xception": "Xception, 299 px", "inception": "InceptionV3, 150 px"}
_SHOWN_IMPORTS = 8


@dataclass(frozen=True)
class Figures:
    """What was measured: seconds by photo and way, of starts, batches and paths; mebibytes by photo."""

    photos: dict[str, Seconds]
    starts: Seconds
    imports: dict[str, float]
    batches: dict[str, Seconds]
    paths: dict[str, Seconds]
    peaks: dict[str, float]


def write(figures: Figures, page: Path, plot: Path) -> None:
    """Both files."""
    page.write_text(_page(figures, plot.name), encoding="utf-8")
    _draw(figures.photos, plot)


def _page(figures: Figures, plot: str) -> str:
    bare = figures.starts["imports, one decoding, one invocation"]
    one, two = figures.batches["one core"], figures.batches["two cores"]
    photos = [
        [
            name,
            f"{milliseconds(seconds['ours']):.1f}",
            f"{ratio(seconds['ours'], seconds['floor']):.2f}",
            *(f"{ratio(seconds[tutorial], seconds['ours']):.1f}" for tutorial in _TUTORIALS),
            f"{figures.peaks[name]:.0f}",
        ]
        for name, seconds in figures.photos.items()
    ]
    stages = [
        [
            name,
            *(f"{milliseconds(seconds[stage]):.1f}" for stage in STAGES),
        ]
        for name, seconds in figures.photos.items()
    ]
    starts = [[name, f"{milliseconds(s):.0f}", f"{ratio(s, bare):.2f}"] for name, s in figures.starts.items()]
    imports = sorted(figures.imports.items(), key=lambda item: -item[1])[:_SHOWN_IMPORTS]
    batches = [
        [
            what,
            *(f"{1 / (milliseconds(cores[what]) / 1000):.1f}" for cores in (one, two)),
            f"{ratio(one[what], two[what]):.2f}",
        ]
        for what in (WHOLE, ALONE)
    ]
    paths = [
        [f"{name}, {path}", f"{milliseconds(seconds):.0f}"]
        for name, measured in figures.paths.items()
        for path, seconds in measured.items()
    ]
    return f"""# What a photo costs

`make bench` measures all of this and writes this page; this one is of Python {platform.python_version()} on
{_processor()}. Times are medians, ratios the medians of paired runs: what is compared has its turns in
the same rounds, since no machine is equally fast all the time. The photos are drawn, with as much detail as phones'
have; `make bench PHOTOS=folder` measures on others too. `python -m pyperf` shows and compares what lies in
`build/benchmarks/timings.json`.

![How many times longer the tutorials' ways take, and the least that a photo can cost]({plot})

## From bytes to classification
*The floor* is the cheapest decoding to size that Pillow offers, and one invocation of the same network, with nothing
checked. The tutorials decode in full, have Pillow resize, and ask a larger network in single precision (random weights
take as long as trained ones; HEIC they do not read by themselves). *MiB* is all that a process holds at its peak which
classifies that one photo.

{table(["photo", "ms", "floors", *(f"{name}, in ours" for name in _TUTORIALS.values()), "MiB"], photos)}

Where the milliseconds go. *Decode* holds our checks of the file, *network* the calibration, *the rest* is the record
and its JSON.

{table(["photo", *STAGES], stages)}

## Cold starts
A fresh interpreter to its first answer, with a photo of 400 pixels, S3 and DynamoDB being moto's server on the same
machine.

{table(["first answer", "ms", "× the bare libraries"], starts)}

What is imported for an upload, in milliseconds by package (`-X importtime`):
{", ".join(f"{name} {time:.0f}" for name, time in imports)}.

## Batches
Photos of 12 megapixels a second, in batches of twenty in one invocation. S3 and DynamoDB are moto's server, on the
same cores.

{table(["", "one core", "two cores", "ratio"], batches)}

Of one core, the whole way takes {milliseconds(one[PROCESSOR]):.0f} ms for each photo, and waits for AWS beside.
On two cores it is {ratio(two[ALONE], two[WHOLE]) * 100:.0f} % as fast as decoding and inference alone.
What memory sizes buy stands in [memory-sizes.md](memory-sizes.md).

## Through the local system
As clients of `make run` see it, in milliseconds.

{table(["", "ms"], paths)}
"""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """In Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _processor() -> str:
    """Its name, where the kernel tells."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} cores of an {names[0]}" if names else platform.processor()


def _draw(photos: dict[str, Seconds], file: Path) -> None:
    figure, axes = plt.subplots(figsize=(8, 0.5 + 0.6 * len(photos)), layout="constrained")
    height = 0.8 / (len(_TUTORIALS) + 1)
    for number, (way, label) in enumerate({**_TUTORIALS, "floor": "the least that it can cost"}.items()):
        values = [ratio(seconds[way], seconds["ours"]) for seconds in photos.values()]
        places = [place + number * height for place in range(len(photos))]
        bars = axes.barh(places, values, height, label=label)
        axes.bar_label(bars, fmt=" %.1f", fontsize=8)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_yticks([place + height for place in range(len(photos))], photos)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlabel("time, where ours is 1")
    axes.legend(fontsize=8)
    figure.savefig(file, dpi=120)
    plt.close(figure)
