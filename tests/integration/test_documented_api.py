"""What docs/api.md shows works as it stands there, against a running local system."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import ROOT, error_kinds, free_port
from drawing import photo
from photo_server import PhotoServer
from running import System, running, status

PAGE = (ROOT / "docs" / "api.md").read_text()
# Commands, each with the answer that is shown behind it, if one is.
SHOWN = re.findall(r"```sh\n(.*?)\n```\n(?:\n```json\n(.*?)\n```\n)?", PAGE, re.DOTALL)
FREE_FORM = {"fields", "input"}  # whose content is not shown


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with running(free_port(), free_port(), tmp_path_factory.mktemp("system") / "output") as started:
        started.classification("listing-42/front.jpg", status("SUCCEEDED"))
        yield started


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
@pytest.mark.parametrize(("command", "shown"), SHOWN, ids=[command for command, _ in SHOWN])
def test_a_command_of_the_docs_answers_as_shown(
    command: str, shown: str, system: System, photo_server: PhotoServer, tmp_path: Path
) -> None:
    (tmp_path / "photo.jpg").write_bytes(photo())
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    here = {
        "http://127.0.0.1:8000": system.url,
        "https://example.com/front.jpg": photo_server.serve("/front.jpg", photo()),
    }
    for told, real in here.items():
        command = command.replace(told, real)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    done = subprocess.run(
        command, shell=True, cwd=tmp_path, env=os.environ | {"PATH": path}, capture_output=True, text=True, check=True
    )

    if shown:
        assert shape(json.loads(done.stdout)) == shape(json.loads(shown))
    else:
        assert done.stdout


def shape(content: Any, name: str = "") -> Any:
    """Which fields there are, and of which kind what is in them is; of lists, the first one's."""
    if isinstance(content, dict):
        return {key: shape(value, key) for key, value in content.items()} if name not in FREE_FORM else "free"
    if isinstance(content, list):
        return "list"
    return "number" if isinstance(content, int | float) and not isinstance(content, bool) else type(content).__name__


def test_every_request_of_the_description_is_shown(system: System) -> None:
    paths = system.get("/openapi.json").json()["paths"]

    for path in paths:
        assert re.sub(r"/{\w+}", "", path) in PAGE, path


def test_every_error_is_explained() -> None:
    assert set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)) == {kind.code for kind in error_kinds()}
