"""What a new process imports and makes for its first event: each import makes the cold start longer."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.support.drawings import photo
from tests.support.events import api_event
from tests.support.paths import ROOT
from tests.support.photo_server import PhotoServer

PIXEL_PACKAGES = {"numpy", "PIL", "pillow_heif", "tflite_runtime", "ai_edge_litert"}
RUNTIMES = {"tflite_runtime", "ai_edge_litert"}
PROGRAM = """
import json, os, sys
sys.path[:0] = ["functions", "."]
from classifier import app
from local.function import Context
event = json.loads(sys.stdin.read())
if event:
    app.lambda_handler(event, Context())
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def import_packages(event: dict[str, Any], **environment: str) -> set[str]:
    """Return the packages that are imported after the first event, or after the start if the event is empty."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps(event),
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_reading_the_model_s_description_imports_nothing_for_photos() -> None:
    assert import_packages(api_event("GET", "/model")).isdisjoint(PIXEL_PACKAGES)


def test_a_direct_invocation_makes_no_client_of_aws(photo_server: PhotoServer) -> None:
    packages = import_packages({"url": photo_server.serve("/a.jpg", photo())})

    assert packages & RUNTIMES
    assert "boto3" not in packages
    assert "pillow_heif" not in packages, "the photo is a JPEG"


def test_provisioned_concurrency_makes_everything_before_the_first_event() -> None:
    packages = import_packages({}, AWS_LAMBDA_INITIALIZATION_TYPE="provisioned-concurrency")

    assert packages >= {"boto3", "numpy", "PIL"}
    assert packages & RUNTIMES


@pytest.mark.parametrize("kind", ["on-demand", ""])
def test_a_start_on_demand_makes_nothing_before_the_first_event(kind: str) -> None:
    packages = import_packages({}, AWS_LAMBDA_INITIALIZATION_TYPE=kind)

    assert packages.isdisjoint({*PIXEL_PACKAGES, "boto3"})
