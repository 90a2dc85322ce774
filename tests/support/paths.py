"""Folders that the tests read."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
DATA = Path(os.environ.get("DATA", ROOT.parent / "shared" / "data" / "clothing"))  # photos that are not committed

needs_photos = pytest.mark.skipif(
    not (DATA / "test").is_dir(), reason="needs the clothing photos; DATA names their folder"
)
