"""The benchmark's ratios of each release, and what is said to have changed."""

import json
from pathlib import Path

from benchmarks.history import HISTORY, describe_changes, newest_release, read_history, record
from tests.support.paths import ROOT

OLD = {"JPEG ÷ floor": [1.1, 1.2, 1.3], "upload": [1.5, 1.6, 1.7], "status": [1.1, 1.2, 1.3], "gone": [1.0, 1.0, 1.0]}
NEW = {"JPEG ÷ floor": [1.2, 1.3, 1.4], "upload": [1.1, 1.2, 1.3], "status": [1.4, 1.5, 1.6], "added": [1.0, 1.0, 1.0]}


def test_a_ratio_has_changed_if_its_quartiles_do_not_overlap(tmp_path: Path) -> None:
    file = tmp_path / "history.json"
    record(OLD, "2 cores", "1.0.0", file)
    record(NEW, "2 cores", "Unreleased", file)

    assert describe_changes(read_history(file)).splitlines() == [
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


def test_the_release_is_the_first_heading_of_the_changelog() -> None:
    assert newest_release("# Changelog\n\n## Unreleased\n\n## 1.0.0 - 2026-01-31\n") == "Unreleased"
    assert newest_release("# Changelog\n\n## 1.0.0 - 2026-01-31\n") == "1.0.0"


def test_the_newest_release_has_been_measured() -> None:
    assert read_history(HISTORY)[-1]["release"] == newest_release((ROOT / "CHANGELOG.md").read_text())
