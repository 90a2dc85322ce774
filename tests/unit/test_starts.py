"""What a new process imports and makes for its first event: each import makes the cold start longer."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import classifier
from tests.support.drawings import photo
from tests.support.events import api_event
from tests.support.paths import ROOT
from tests.support.photo_server import PhotoServer

PACKAGES = Path(classifier.__file__).parent.parent
PIXEL_PACKAGES = {"numpy", "PIL", "pillow_heif", "tflite_runtime", "ai_edge_litert"}
RUNTIMES = {"tflite_runtime", "ai_edge_litert"}
SDK = {"boto3", "botocore", "s3transfer", "urllib3"}
PROGRAM = """
import contextlib, gc, json, sys
from classifier import app
from classifier.errors import InvalidRequest
from local.function import Context
event = json.loads(sys.stdin.read())
if event:
    with contextlib.suppress(InvalidRequest):
        app.lambda_handler(event, Context())
print(json.dumps({"modules": list(sys.modules), "collects": gc.isenabled(), "frozen": gc.get_freeze_count()}))
"""


def start(event: dict[str, Any], **environment: str) -> dict[str, Any]:
    """Return the state of a new process after its first event, or after the start if the event is empty."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps(event),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{PACKAGES}{os.pathsep}{ROOT}", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    state: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return state


def imported_modules(event: dict[str, Any], **environment: str) -> set[str]:
    """Return the modules that are imported then."""
    return set(start(event, **environment)["modules"])


def test_reading_the_model_s_description_imports_nothing_for_photos() -> None:
    assert imported_modules(api_event("GET", "/model")).isdisjoint(PIXEL_PACKAGES)


def test_a_direct_invocation_does_not_import_the_aws_sdk(photo_server: PhotoServer) -> None:
    """Powertools imports the bare package `botocore`, which holds next to nothing, to see whether it is there."""
    modules = imported_modules({"url": photo_server.serve("/a.jpg", photo())})

    assert modules & RUNTIMES
    assert {name for name in modules if name.partition(".")[0] in SDK} == {"botocore"}
    assert modules.isdisjoint({"PIL", "pillow_heif"}), "the photo is decoded in another process"


def test_provisioned_concurrency_makes_everything_before_the_first_event() -> None:
    modules = imported_modules({}, AWS_LAMBDA_INITIALIZATION_TYPE="provisioned-concurrency")

    assert modules >= {"botocore.client", "numpy"}
    assert modules & RUNTIMES


@pytest.mark.parametrize("kind", ["on-demand", ""])
def test_a_start_on_demand_makes_nothing_before_the_first_event(kind: str) -> None:
    modules = imported_modules({}, AWS_LAMBDA_INITIALIZATION_TYPE=kind)

    assert modules.isdisjoint({*PIXEL_PACKAGES, "botocore.client"})


def test_a_status_imports_neither_boto3_nor_anything_for_photos() -> None:
    modules = imported_modules(api_event("GET", "/classifications/hat.jpg"))

    assert "botocore.client" in modules
    assert modules.isdisjoint({*PIXEL_PACKAGES, "boto3"})


PROVISIONED = {"AWS_LAMBDA_INITIALIZATION_TYPE": "provisioned-concurrency"}


@pytest.mark.parametrize(
    ("event", "environment", "ended"),
    [({}, {}, False), ({}, PROVISIONED, True), (api_event("GET", "/model"), {}, True), ({"no": "event"}, {}, True)],
    ids=["before the first event", "provisioned", "after an answer", "after an error"],
)
def test_python_looks_for_garbage_once_the_start_has_ended(
    event: dict[str, Any], environment: dict[str, str], *, ended: bool
) -> None:
    state = start(event, **environment)

    assert state["collects"] is ended
    assert (state["frozen"] > 0) is ended
