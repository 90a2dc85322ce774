"""Runs mutmut over the function, and fails if the unit tests notice fewer than 90 % of the changes.

mutmut expects the package below `src/`, so it works in a new copy of the project. `python -m mutmut show NAME`, in the
folder of the copy, shows a change.
"""

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
_SETTINGS = Path(__file__).with_name("mutmut.toml")
_LEAST_SCORE = 0.9
# What the unit tests read, beside the code.
_COPIED = (
    "functions",
    "tests",
    "local",
    "model",
    "events",
    "docs",
    "training",
    "evaluation",
    "template.yaml",
    "README.md",
)


def main() -> int:
    """Copy the project, run mutmut, and print the score and the changes that no test noticed."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--build", type=Path, default=ROOT / "build" / "mutation", help="where the copy is made")
    build: Path = parser.parse_args().build
    copy_project(build)
    _run_mutmut(build, "run")
    _run_mutmut(build, "results")
    _run_mutmut(build, "export-cicd-stats")
    score = read_score(build / "mutants" / "mutmut-cicd-stats.json")
    print(f"The unit tests notice {score:.1%} of the changes; at least {_LEAST_SCORE:.0%} are wanted.")  # noqa: T201
    return 0 if score >= _LEAST_SCORE else 1


def copy_project(build: Path) -> None:
    """Copy the function to `src/classifier`, what its unit tests need, and the settings of pytest and mutmut.

    An older copy is deleted: mutmut would go on using its old files that are not Python.
    """
    shutil.rmtree(build, ignore_errors=True)
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "functions" / "classifier", build / "src" / "classifier", ignore=ignore)
    _pass_on_mutant(build / "src" / "classifier" / "decoders.py")
    for name in _COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, build / name, ignore=ignore)
        else:
            shutil.copyfile(ROOT / name, build / name)
    settings = (ROOT / "pyproject.toml").read_text(encoding="utf-8") + _SETTINGS.read_text(encoding="utf-8")
    (build / "pyproject.toml").write_text(settings, encoding="utf-8")


def _pass_on_mutant(decoders: Path) -> None:
    """Let the decoding processes, whose environment is empty, know which change mutmut is testing."""
    code = decoders.read_text(encoding="utf-8")
    environment = "                _ENVIRONMENT,\n"
    if code.count(environment) != 1:
        raise ValueError("The environment of the decoding processes is not where it was.")
    mutant = '                {**_ENVIRONMENT, "MUTANT_UNDER_TEST": os.environ.get("MUTANT_UNDER_TEST", "")},\n'
    decoders.write_text(code.replace(environment, mutant), encoding="utf-8")


def read_score(stats: Path) -> float:
    """Return the share of changes that a test noticed, of all changes."""
    counts: dict[str, int] = json.loads(stats.read_text(encoding="utf-8"))
    noticed: int = counts["killed"] + counts["timeout"]
    unnoticed: int = counts["survived"] + counts["no_tests"] + counts["suspicious"]
    return noticed / (noticed + unnoticed)


def _run_mutmut(build: Path, command: str) -> None:
    subprocess.run([sys.executable, "-m", "mutmut", command], cwd=build, check=True)


if __name__ == "__main__":
    sys.exit(main())
