"""Chromium and a local system, for all tests of the pages: Playwright allows one browser at a time in a process."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.support.local_system import System, running
from tests.support.paths import SHIPPED_MODEL, TESTS_MODEL
from tests.support.ports import free_port


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Start the installed Chromium, or Playwright's own if none is installed."""
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=shutil.which("chromium"))


@pytest.fixture(scope="session")
def model_option(request: pytest.FixtureRequest) -> tuple[str, str]:
    """The option of the local system that names its model. The pictures of the documentation show the shipped one."""
    return "--model", str(SHIPPED_MODEL if request.config.getoption("--screenshots") else TESTS_MODEL)


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory, model_option: tuple[str, str]) -> Iterator[System]:
    with running(free_port(), free_port(), tmp_path_factory.mktemp("system") / "output", *model_option) as started:
        yield started
