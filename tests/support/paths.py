"""Folders that the tests read."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
SHIPPED_MODEL = ROOT / "model"  # the owner's: with any labels and weights
TESTS_MODEL = ROOT / "tests" / "model"  # knows what the tests draw
DATA = Path(os.environ.get("DATA", ROOT.parent / "shared" / "data" / "clothing"))  # photos that are not committed

needs_photos = pytest.mark.skipif(
    not (DATA / "test").is_dir(), reason="needs the clothing photos; DATA names their folder"
)
