"""Write the measurements as a page with a plot."""

import platform
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt

from benchmarks.batch import CLASSIFY_ONLY, INVOCATION
from benchmarks.contenders import DECODE_ONLY, STAGES
from benchmarks.markdown import table
from benchmarks.timing import Durations, median_difference, median_milliseconds, median_ratio, ratio_quartiles

FLOOR = "floor"
ONE_CORE, TWO_CORES = "one core", "two cores"
# Names of cold starts, which the page refers to.
WITH_SDK = "imports with the AWS SDK, one decode, one invocation"
WITHOUT_SDK = "imports without the AWS SDK, one decode, one invocation"
DIRECT = "this project, direct invocation with a URL"
_WITHOUT_SDK_GROUP = (WITHOUT_SDK, DIRECT)  # cold starts that do not import the AWS SDK

_START_COLUMNS = [
    "first response",
    *(
        f"{cores}, {figure}"
        for cores in (TWO_CORES, ONE_CORE)
        for figure in ("ms", "÷ with the AWS SDK", "÷ without the AWS SDK")
    ),
]
_OTHERS = {"xception": "Xception, 299 px", "inception": "InceptionV3, 150 px", FLOOR: "floor"}
_SHOWN_IMPORTS = 8
_TICKS = (1, 2, 5, 10, 20)


@dataclass(frozen=True)
class Figures:
    """All measurements.

    `photos` has the seconds of each contender and stage for each photo, and `decoders` the decoder of its floor.
    `starts` has the seconds of each cold start and `batches` the seconds per photo, by number of cores, `local_system`
    the seconds of each request by photo. `imports` is in milliseconds by package, `peak_memory` in MiB by photo.
    """

    photos: dict[str, Durations]
    decoders: dict[str, str]
    starts: dict[str, Durations]
    imports: dict[str, float]
    batches: dict[str, Durations]
    local_system: dict[str, Durations]
    peak_memory: dict[str, float]


def write_report(figures: Figures, page: Path, plot: Path) -> None:
    """Write the page and the plot."""
    page.write_text(_page(figures, plot.name), encoding="utf-8")
    _write_plot(figures.photos, plot)


def find_ratios(figures: Figures) -> dict[str, list[float]]:
    """Return the quartiles of each ratio to its reference, for `history`. Smaller is faster."""
    ratios = {
        f"{name} ÷ floor": ratio_quartiles(seconds["this project"], seconds[FLOOR])
        for name, seconds in figures.photos.items()
    }
    for cores, starts in figures.starts.items():
        for name in starts:
            if name.startswith("this project"):
                ratios[f"{cores}: {name} ÷ {WITH_SDK}"] = ratio_quartiles(starts[name], starts[WITH_SDK])
    for cores, batches in figures.batches.items():
        ratios[f"{cores}: batch ÷ {CLASSIFY_ONLY}"] = ratio_quartiles(batches[INVOCATION], batches[CLASSIFY_ONLY])
    return ratios


def _page(figures: Figures, plot: str) -> str:
    one, two = figures.batches[ONE_CORE], figures.batches[TWO_CORES]
    speeds = [100 * median_ratio(cores[CLASSIFY_ONLY], cores[INVOCATION]) for cores in (one, two)]
    others = [f"{name} ÷ this project" for name in _OTHERS.values()]
    imports = sorted(figures.imports.items(), key=lambda item: -item[1])[:_SHOWN_IMPORTS]
    return f"""# Benchmarks

`make bench` measures these figures and writes this page. They are from Python {platform.python_version()} on
{processor_name()}.
Times are medians. Ratios are medians of paired measurements: all programs are measured alternately, because the
speed of a machine varies. The photos are drawn with as much detail as phones' photos, but for the PNG of 48
megapixels, which would be too large; `make bench PHOTOS=folder` also measures your own photos. `python -m pyperf` shows
and compares the file `build/benchmarks/timings.json`.

![Times of the tutorials' functions and of the floor, relative to this project]({plot})

In the plot, a bar to the right of 1 is slower than this project.

## From bytes to classification
The *floor* is the fastest decoder's cheapest way to the input size and one invocation of the same network, without
checks. The decoders are Pillow, libjpeg-turbo's own interface (simplejpeg), libvips (pyvips), and the formats' own
libraries (imagecodecs).
The tutorials' functions are that of [Machine Learning Bookcamp](https://github.com/alexeygrigorev/mlbookcamp-code)
(Xception) and that of [E2E Deep Learning](https://github.com/diardanoraihan/E2E_Deep_Learning) (InceptionV3). They
decode the whole photo, resize it with Pillow and run a larger network with float32 weights. Their weights are random
here, which does not change their speed. They read HEIC only with this project's plugin. *Peak memory* is that of a
function that classifies only this photo, with its decoding process.

{table(["photo", "ms", *others, "the floor's decoder", "peak memory, MiB"], _photo_rows(figures))}

Milliseconds by stage: *decode* happens in another process, *inference* includes the calibration, and *other* creates
the classification and its JSON. The last column is what the other process costs: the median difference to decoding in
the same process.

{table(["photo", *STAGES, "the other process"], _stage_rows(figures.photos))}

## Cold starts
The time from the start of a new interpreter to its first response, with a photo of 400 pixels. S3 and DynamoDB are
moto's server on the same machine. A direct invocation does not import the AWS SDK, so it is compared with both
references. On two cores, the decoding process starts beside everything else; on one core, as Lambda has at 1,769 MB,
its start adds to the time. [The same in the image](memory-sizes.md#cold-starts).

{table(_START_COLUMNS, _start_rows(figures.starts))}

Milliseconds to import each package for an upload (`python -X importtime`):
{", ".join(f"{name} {time:.0f}" for name, time in imports)}.

## Batches
12-megapixel photos per second, in batches of eighty in one invocation. S3 and DynamoDB are a stand-in on the second
core, which uses one millisecond of this core for each photo. It answers after 20 and 5 ms.

{table(["", "one core", "two cores", "ratio"], _batch_rows(one, two))}

The invocation reaches {speeds[0]:.0f} % of the speed of decoding and inference only on one core, and {speeds[1]:.0f} %
on two (medians of paired ratios).
[memory-sizes.md](memory-sizes.md) compares memory sizes (`make bench-container`), and
[docs/scale.md](../docs/scale.md) says how long sellers wait with up to 10,000 photos a second (`make scale`).

## The local system
Milliseconds for a client of `make run`.

{table(["", "ms"], _local_rows(figures.local_system))}

## Releases
`make bench` keeps the ratios of this release in [history.json](history.json), with the machine and the versions of the
packages: the time of this project divided by that of the reference. `make bench-history` shows what changed since the
release before.

## What was tried
What is in place, and what it is for:
- Python collects no garbage before the first answer. A cold start of an upload takes 0.89 of the time without
  this, that of a status 0.87.
- Clients are made by botocore instead of boto3, without searching the folders of all 400 services: 0.95 and 0.82.
- A large progressive JPEG is decoded at an eighth of its size, without the scans that do not show there: 0.24 of the
  decoding.
- A WebP is decoded to size by libwebp's own interface: 0.45 of Pillow's time, and a seventh of its memory.
- Two threads decode the tiles of a HEIF on two processors: 0.65. libheif assembles them in one thread.
- On Python 3.13, the network runs in int8: less than half the time, and a third of the time to load ([measured, with
  its accuracy on held-out senders](int8.md)).

What did not help, or not enough for its price:
- The model in a thread of its own while S3 answers: on two cores, uploads took 1.06 times as long. Both threads compute
  under Python's lock most of the time.
- Shorter descriptions of S3 and DynamoDB for botocore (4 ms of 300), no validation of parameters (0.06 ms of a call), a
  postponed import of asyncio (no measurable difference).
- No collection of garbage in the decoding process: 0.95 of its start.
- Several photos in one invocation of the network: 0.98 of the time for each photo with two, 1.03 to 1.26 with four or
  eight, in tflite-runtime and in ai-edge-litert, float16 and int8.
- XNNPACK's cache of weights: only the newer interface of ai-edge-litert has it. It loads the int8 network in 3.1 ms
  with the cache, which is what the usual interface takes without it, and its import takes 16 ms.
- libjpeg-turbo's own interface for a progressive JPEG: 0.97 of Pillow's time; libvips took 1.3, imagecodecs 1.2.
- libvips and imagecodecs for WebP: 1.1 and 1.0 times libwebp's own interface. They would add 18 and 80 MB to the image,
  and their other decoders to what a stranger's file can reach. For PNG, libvips takes 0.6 of Pillow's time.
- A larger pipe to the decoding process, two or four threads for each processor instead of three, shorter turns of
  Python's threads: no difference in a batch, or slower.
"""


def _photo_rows(figures: Figures) -> list[list[str]]:
    return [
        [
            name,
            f"{median_milliseconds(seconds['this project']):.1f}",
            *(_format_ratio(median_ratio(seconds[other], seconds["this project"])) for other in _OTHERS),
            figures.decoders[name],
            f"{figures.peak_memory[name]:.0f}",
        ]
        for name, seconds in figures.photos.items()
    ]


def _format_ratio(ratio: float) -> str:
    """Return the ratio with two decimal places if it is below 2, else with one."""
    return f"{ratio:.2f}" if ratio < 2 else f"{ratio:.1f}"  # noqa: PLR2004 - small ratios need more digits


def _stage_rows(photos: dict[str, Durations]) -> list[list[str]]:
    return [
        [
            name,
            *(f"{median_milliseconds(seconds[stage]):.1f}" for stage in STAGES),
            f"{median_difference(seconds['decode'], seconds[DECODE_ONLY]):.1f}",
        ]
        for name, seconds in photos.items()
    ]


def _start_rows(starts: dict[str, Durations]) -> list[list[str]]:
    return [
        [name, *_start_cells(name, starts[TWO_CORES]), *_start_cells(name, starts[ONE_CORE])]
        for name in starts[TWO_CORES]
    ]


def _start_cells(name: str, starts: Durations) -> list[str]:
    ratios = [f"{median_ratio(starts[name], starts[other]):.2f}" for other in (WITH_SDK, WITHOUT_SDK)]
    return [
        f"{median_milliseconds(starts[name]):.0f}",
        ratios[0],
        ratios[1] if name in _WITHOUT_SDK_GROUP else "",
    ]


def _batch_rows(one: Durations, two: Durations) -> list[list[str]]:
    return [
        [
            name,
            *(f"{1000 / median_milliseconds(cores[name]):.1f}" for cores in (one, two)),
            f"{median_ratio(one[name], two[name]):.2f}",
        ]
        for name in (INVOCATION, CLASSIFY_ONLY)
    ]


def _local_rows(local_system: dict[str, Durations]) -> list[list[str]]:
    return [
        [f"{photo}, {request}", f"{median_milliseconds(seconds):.0f}"]
        for photo, durations in local_system.items()
        for request, seconds in durations.items()
    ]


def processor_name() -> str:
    """Return the number of cores and the processor's name, if the kernel provides it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} cores of an {names[0]}" if names else platform.processor()


def _write_plot(photos: dict[str, Durations], file: Path) -> None:
    figure, axes = plt.subplots(figsize=(8, 0.5 + 0.6 * len(photos)), layout="constrained")
    height = 0.8 / len(_OTHERS)
    for number, (other, label) in enumerate(_OTHERS.items()):
        ratios = [median_ratio(seconds[other], seconds["this project"]) for seconds in photos.values()]
        positions = [position + number * height for position in range(len(photos))]
        # Bars begin at 1, so that those of faster contenders point to the left.
        bars = axes.barh(positions, [ratio - 1 for ratio in ratios], height, left=1, label=label)
        axes.bar_label(bars, [_format_ratio(ratio) for ratio in ratios], padding=3, fontsize=8)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_yticks([position + height for position in range(len(photos))], photos)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xticks(_TICKS, map(str, _TICKS))
    axes.minorticks_off()
    axes.margins(x=0.1)  # space for the labels of the longest bars
    axes.set_xlabel("time ÷ this project's time")
    axes.legend(fontsize=8)
    figure.savefig(file, dpi=120)
    plt.close(figure)
