"""The benchmark's ratios of each release, and what is said to have changed."""

import json
from pathlib import Path

import pytest

from benchmarks.history import HISTORY, describe_changes, newest_release, read_history, record
from tests.support.paths import ROOT

OLD = {"JPEG ÷ floor": [1.1, 1.2, 1.3], "upload": [1.5, 1.6, 1.7], "status": [1.1, 1.2, 1.3], "gone": [1.0, 1.0, 1.0]}
NEW = {"JPEG ÷ floor": [1.2, 1.3, 1.4], "upload": [1.1, 1.2, 1.3], "status": [1.4, 1.5, 1.6], "added": [1.0, 1.0, 1.0]}


def test_a_ratio_has_changed_if_its_quartiles_do_not_overlap(tmp_path: Path) -> None:
    file = tmp_path / "history.json"
    record(OLD, "2 cores", "1.0.0", file)
    record(NEW, "2 cores", "Unreleased", file)

    assert describe_changes(read_history(file)).splitlines()[2:] == [
        "| ratio | 1.0.0 | Unreleased | change |",
        "| --- | --- | --- | --- |",
        "| JPEG ÷ floor | 1.20 | 1.30 | as before |",
        "| upload | 1.60 | 1.20 | 25 % faster |",
        "| status | 1.20 | 1.50 | 25 % slower |",
        "| gone | 1.00 |  | no longer measured |",
        "| added |  | 1.00 | new |",
    ]


def test_it_says_what_else_differs(tmp_path: Path) -> None:
    file = tmp_path / "history.json"
    record(OLD, "2 cores", "1.0.0", file)
    record(NEW, "4 cores", "Unreleased", file)
    records = read_history(file)
    records[0]["packages"]["pillow"] = "1.0"

    assert describe_changes(records).splitlines()[-2] == "machine: 2 cores → 4 cores"
    assert describe_changes(records).splitlines()[-1].startswith("pillow: 1.0 → ")


def test_a_release_has_one_record(tmp_path: Path) -> None:
    file = tmp_path / "history.json"
    record(OLD, "2 cores", "Unreleased", file)
    record(NEW, "2 cores", "Unreleased", file)

    (one,) = json.loads(file.read_text())
    assert (one["release"], one["ratios"]) == ("Unreleased", NEW)
    assert describe_changes([one]) == "There is nothing to compare with yet: history.json has 1 release(s)."


def test_damaged_records_end_the_command_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "history.json").write_text("[")

    with pytest.raises(SystemExit, match=r"history\.json is damaged"):
        read_history(tmp_path / "history.json")


def test_what_was_not_released_is_not_compared_with(tmp_path: Path) -> None:
    file = tmp_path / "history.json"
    for release in ("1.0.0", "Unreleased", "1.1.0"):
        record(OLD, "2 cores", release, file)

    assert [one["release"] for one in read_history(file)] == ["1.0.0", "1.1.0"]


def test_the_release_is_the_first_heading_of_the_changelog() -> None:
    assert newest_release("# Changelog\n\n## Unreleased\n\n## 1.0.0 - 2026-01-31\n") == "Unreleased"
    assert newest_release("# Changelog\n\n## 1.0.0 - 2026-01-31\n") == "1.0.0"


def test_the_newest_release_has_been_measured() -> None:
    assert read_history(HISTORY)[-1]["release"] == newest_release((ROOT / "CHANGELOG.md").read_text())


def test_the_readme_has_the_ratios_of_the_benchmark() -> None:
    rows = [line.split(" | ") for line in (ROOT / "benchmarks" / "README.md").read_text().splitlines()]
    ratios = {
        row[0].removeprefix("| "): [float(cell) for cell in row[2:4]]
        for row in rows
        if len(row) == 7 and "MP" in row[0]
    }
    baseline = [ratio for size in (4, 12, 48) for ratio in ratios[f"JPEG, {size} MP"]]
    progressive = ratios["JPEG, progressive, 12 MP"]

    readme = (ROOT / "README.md").read_text()

    assert f"{min(baseline):.1f} to {max(baseline):.1f} times as much Lambda time for JPEGs of 4 to 48 mega" in readme
    assert f"{min(progressive):.1f} to {max(progressive):.1f} times for progressive ones" in readme
