"""Files of measured figures: JSON with a line for each name, so that lists of durations stay short."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write_figures(figures: Mapping[str, Any], path: Path) -> None:
    """Write the figures. Raise `OSError`."""
    lines = [f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in figures.items()]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
