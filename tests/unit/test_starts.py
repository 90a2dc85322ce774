"""What a fresh interpreter imports and makes for its first event: each import is a part of a cold start."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.support.events import api_event
from tests.support.paths import ROOT
from tests.support.drawings import photo
from tests.support.photo_server import PhotoServer

HEAVY = ("numpy", "PIL", "pillow_heif", "tflite_runtime", "ai_edge_litert")
PROGRAM = """
import json, os, sys
sys.path[:0] = ["functions", "."]
from classifier import app
from local.function import Context
event = json.loads(sys.stdin.read())
if event:
    app.lambda_handler(event, Context())
print(json.dumps([sorted({name.partition(".")[0] for name in sys.modules}), sorted(vars(app._services()))]))
"""


def started(event: dict[str, Any], **environment: str) -> tuple[set[str], set[str]]:
    """Which packages are imported after the first event, and which services are made."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps(event),
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    packages, services = json.loads(done.stdout.splitlines()[-1])
    return set(packages), set(services)


def test_what_needs_no_photo_loads_nothing_for_photos() -> None:
    packages, services = started(api_event("GET", "/model"))

    assert packages.isdisjoint(HEAVY)
    assert "model" not in services


def test_what_stores_nothing_makes_no_client(photo_server: PhotoServer) -> None:
    packages, services = started({"url": photo_server.serve("/a.jpg", photo())})

    assert "model" in services
    assert services.isdisjoint({"s3", "records", "events"})
    assert "pillow_heif" not in packages, "the photo is a JPEG"


def test_an_environment_that_is_kept_ready_has_everything_before_its_first_event() -> None:
    packages, services = started({}, AWS_LAMBDA_INITIALIZATION_TYPE="provisioned-concurrency")

    assert {"s3", "records", "model"} <= services
    assert {"numpy", "PIL"} <= packages


@pytest.mark.parametrize("kind", ["on-demand", ""])
def test_others_make_nothing_before_they_know_what_for(kind: str) -> None:
    packages, services = started({}, AWS_LAMBDA_INITIALIZATION_TYPE=kind)

    assert packages.isdisjoint(HEAVY)
    assert services.isdisjoint({"s3", "records", "model"})
