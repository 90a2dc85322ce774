"""What README, docs/api.md and openapi.json show of the model's answers.

These are the answers of the model of this project, and the pages name its version. If another model has been shipped,
it gives other answers of the same form, and so does the model of the tests.
"""

import re
import shutil
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from classifier.description import DESCRIPTION_FILE, NETWORK_FILE, Description
from classifier.model import Model, find_network
from tests.support.paths import ROOT, SHIPPED_MODEL, TESTS_MODEL

_COPY = TemporaryDirectory()
PAGES = [ROOT / "README.md", ROOT / "docs" / "api.md", ROOT / "functions" / "classifier" / "openapi.json"]


def shown_versions() -> set[str]:
    """Return the versions of models that the pages name in answers."""
    versions = r'"(?:model_)?version": "([^"]+-[0-9a-f]{8})"'
    return {version for page in PAGES for version in re.findall(versions, page.read_text())}


def shows_shipped_model() -> bool:
    """Return whether the pages show the answers of the model in `model/`."""
    return shown_versions() == {Description.read(SHIPPED_MODEL).version}


@cache
def comparable_model() -> Path:
    """Return the folder of the shipped model if the pages show its answers, otherwise that of the tests.

    The pages show the answers of the network with float16 weights. Where the runtime would take the int8 network, the
    folder is a copy without that.
    """
    if not shows_shipped_model():
        return TESTS_MODEL
    if find_network(SHIPPED_MODEL).name == NETWORK_FILE:
        return SHIPPED_MODEL
    for name in (NETWORK_FILE, DESCRIPTION_FILE):
        shutil.copyfile(SHIPPED_MODEL / name, Path(_COPY.name) / name)
    return Path(_COPY.name)


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
