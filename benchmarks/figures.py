"""Files of measured figures in this folder: JSON, some with a line for each name, so that lists stay short."""

import json
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent
_COMMANDS = {
    "durations": "make bench-container",
    "load": "make bench-load",
    "memory-sizes": "make bench-container",
    "usage": "make costs",
}


@cache
def read_figures(name: str) -> dict[str, Any]:
    """Read the figures of this name. End the command if there are none, and say which command measures them."""
    path = _FOLDER / f"{name}.json"
    if not path.exists():
        sys.exit(f"There is no {path}. `{_COMMANDS[name]}` writes it.")
    figures: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return figures


def write_figures(name: str, figures: Mapping[str, Any]) -> None:
    """Write the figures of this name, each into a line of its own. Raise `OSError`."""
    lines = [f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in figures.items()]
    (_FOLDER / f"{name}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
