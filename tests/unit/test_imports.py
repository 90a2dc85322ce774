"""How the modules depend on each other: in one direction, and the core not on the AWS SDK."""

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import classifier
from tests.support.paths import ROOT

PACKAGES = {"classifier": Path(classifier.__file__).parent} | {
    name: ROOT / name for name in ("local", "training", "benchmarks")
}
CORE = (
    "batches",
    "classification",
    "classify",
    "cursors",
    "description",
    "direct",
    "download",
    "errors",
    "events",
    "indexes",
    "items",
    "keys",
    "limits",
    "model",
    "photos",
    "results",
    "runtime",
    "settings",
    "colours",
    "containers",
    "decoder",
    "decoders",
    "pixels",
    "rgb_spaces",
    "samples",
    "sandbox",
    "telemetry",
)


def modules() -> dict[str, Path]:
    """Return the file of each module, by its name."""
    found = {}
    for package, folder in PACKAGES.items():
        for file in folder.rglob("*.py"):
            parts = [package, *file.relative_to(folder).with_suffix("").parts]
            found[".".join(part for part in parts if part != "__init__")] = file
    return found


def imported(file: Path) -> set[str]:
    """Return all names that a module imports, wherever the import stands, as `module` and `module.name`."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def test_there_is_no_circle_of_imports() -> None:
    """Imports for types and those inside functions count too. `__init__` modules hold no code that imports."""
    known = modules()
    graph = {name: imported(file) & (known.keys() - PACKAGES.keys() - {name}) for name, file in known.items()}

    TopologicalSorter(graph).prepare()  # raises CycleError


@pytest.mark.parametrize("name", CORE)
def test_the_core_does_not_mention_the_aws_sdk(name: str) -> None:
    text = modules()[f"classifier.{name}"].read_text(encoding="utf-8")

    assert re.findall(r"boto\w*|urllib3", text) == []
