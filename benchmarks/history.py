"""Keeps the ratios of each release, and shows what changed: `make bench-history`.

`history.json` holds a record for each version of the changelog: the machine, the versions of the packages, and for each
ratio its quartiles over the rounds. A ratio compares with a reference of the same rounds, so it says more of the code
than of the machine.
"""

import argparse
import json
import platform
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.markdown import table

HISTORY = Path(__file__).with_name("history.json")
_RUNTIME = "tflite-runtime" if sys.version_info < (3, 12) else "ai-edge-litert"
_PACKAGES = ("pillow", "pillow-heif", "numpy", _RUNTIME, "botocore", "aws-lambda-powertools")

_UNRELEASED = "Unreleased"
_EXPLANATION = (
    "Times of this project divided by those of a reference: smaller is faster. A change is only named if the quartiles "
    "of the two releases do not overlap, so a small one can be hidden in the noise."
)

Quartiles = list[float]
Record = dict[str, Any]


def record(ratios: dict[str, Quartiles], machine: str, release: str, history: Path) -> None:
    """Write the record of this release. It takes the place of an earlier one of it, and of what was not released."""
    records = [one for one in read_history(history) if one["release"] not in {release, _UNRELEASED}]
    records.append(
        {
            "release": release,
            "date": datetime.now(UTC).date().isoformat(),
            "machine": machine,
            "python": platform.python_version(),
            "packages": {name: version(name) for name in _PACKAGES},
            "ratios": ratios,
        }
    )
    history.write_text(json.dumps(records, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_history(history: Path) -> list[Record]:
    """Return the records, oldest first, none before the first benchmark. End the command if the file is damaged."""
    if not history.exists():
        return []
    try:
        records: list[Record] = json.loads(history.read_text(encoding="utf-8"))
    except ValueError as error:
        sys.exit(f"{history} is damaged: {error}")
    return records


def newest_release(changelog: str) -> str:
    """Return the first heading of the changelog: a version, or "Unreleased"."""
    return next(line.removeprefix("## ").split(" - ")[0] for line in changelog.splitlines() if line.startswith("## "))


def describe_changes(records: Sequence[Record]) -> str:
    """Return a table of the last two releases. A ratio has changed if its quartiles do not overlap."""
    if len(records) < 2:  # noqa: PLR2004 - a comparison needs two
        return f"There is nothing to compare with yet: history.json has {len(records)} release(s)."
    old, new = records[-2:]
    rows = [
        [
            name,
            *(f"{ratios[name][1]:.2f}" if name in ratios else "" for ratios in (old["ratios"], new["ratios"])),
            change,
        ]
        for name in {**old["ratios"], **new["ratios"]}
        for change in [_change(old["ratios"].get(name), new["ratios"].get(name))]
    ]
    others = "\n".join(_differences(old, new))
    return f"{_EXPLANATION}\n\n{table(['ratio', old['release'], new['release'], 'change'], rows)}\n{others}"


def _change(old: Quartiles | None, new: Quartiles | None) -> str:
    if old is None or new is None:
        return "new" if old is None else "no longer measured"
    percent = f"{abs(new[1] / old[1] - 1) * 100:.0f} %"
    if new[2] < old[0]:
        return f"{percent} faster"
    return f"{percent} slower" if new[0] > old[2] else "as before"


def _differences(old: Record, new: Record) -> list[str]:
    """Return what else differs: a ratio may have changed for that reason."""
    states: list[Mapping[str, str]] = [
        {"machine": one["machine"], "Python": one["python"], **one["packages"]} for one in (old, new)
    ]
    return [
        f"{name}: {states[0].get(name, 'none')} → {states[1].get(name, 'none')}"
        for name in {**states[0], **states[1]}
        if states[0].get(name) != states[1].get(name)
    ]


def main() -> None:
    """Print what changed since the release before."""
    argparse.ArgumentParser(prog="python -m benchmarks.history", description=__doc__).parse_args()
    print(describe_changes(read_history(HISTORY)))


if __name__ == "__main__":
    main()
