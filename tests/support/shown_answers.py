"""What README, docs/api.md and openapi.json show of the model's answers.

These are the answers of the model of this project, and the pages name its version. If another model has been shipped,
it gives other answers of the same form, and so does the model of the tests.
"""

import re
from functools import cache
from pathlib import Path
from typing import Any

from classifier.description import Description
from classifier.model import Model
from tests.support.paths import ROOT, SHIPPED_MODEL, TESTS_MODEL

PAGES = [ROOT / "README.md", ROOT / "docs" / "api.md", ROOT / "functions" / "classifier" / "openapi.json"]


def shown_versions() -> set[str]:
    """Return the versions of models that the pages name in answers."""
    versions = r'"(?:model_)?version": "([^"]+-[0-9a-f]{8})"'
    return {version for page in PAGES for version in re.findall(versions, page.read_text())}


def shows_shipped_model() -> bool:
    """Return whether the pages show the answers of the model in `model/`."""
    return shown_versions() == {Description.read(SHIPPED_MODEL).version}


def comparable_model() -> Path:
    """Return the folder of the shipped model if the pages show its answers, otherwise that of the tests."""
    return SHIPPED_MODEL if shows_shipped_model() else TESTS_MODEL


@cache
def load_comparable_model() -> Model:
    """Load that model."""
    return Model.load(comparable_model())


def assert_shown(answer: Any, shown: Any) -> None:
    """Compare an answer of the comparable model with the one that a page shows, or only their forms."""
    if shows_shipped_model():
        assert answer == shown
    else:
        assert shape(answer) == shape(shown)


def comparable_text(shown: str) -> str:
    """Return a text that a page shows, with "…" for verdicts such as "T-shirt (99%)" if they are of another model."""
    return shown if shows_shipped_model() else re.sub(r"(We are not sure\. Perhaps: )?\S+ \(\d+%\)", "…", shown)


def shape(content: Any) -> Any:
    """Return the names and types of fields, and those of each item of a list."""
    if isinstance(content, dict):
        return {name: shape(value) for name, value in content.items()}
    if isinstance(content, list):
        return [shape(item) for item in content]
    return "number" if isinstance(content, int | float) and not isinstance(content, bool) else type(content).__name__
