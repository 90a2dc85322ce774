"""The example of a shop's server, with a local system."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from tests.support.local_system import System, running, wait_until
from tests.support.paths import ROOT
from tests.support.ports import free_port


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with running(free_port(), free_port(), tmp_path_factory.mktemp("system") / "output") as started:
        yield started


@pytest.fixture
def shop(system: System) -> Iterator[str]:
    """Start the shop's server. Return its URL."""
    port = free_port()
    script = Path("docs", "listing_server.py")
    with subprocess.Popen([sys.executable, script, system.url, str(port)], cwd=ROOT) as process:
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: answers(url), bool)
        yield url
        process.terminate()


def answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=30).ok
    except requests.ConnectionError:
        return False


def test_the_shop_s_server_sends_its_seller_to_the_page_of_an_empty_listing(system: System, shop: str) -> None:
    answer = requests.post(f"{shop}/sell", allow_redirects=False, timeout=30)

    assert answer.status_code == 303
    page, _, fragment = answer.headers["Location"].partition("#")
    fields = {name: values[0] for name, values in parse_qs(fragment).items()}
    assert page == f"{system.url}/"
    assert fields["return"] == f"{shop}/"
    batch = f"{system.url}/listings/batches/{fields['listing']}"
    listing = requests.get(batch, headers={"Authorization": f"Bearer {fields['token']}"}, timeout=30)
    assert (listing.status_code, listing.json()["total"]) == (200, 0)
    assert urlsplit(page).query == ""
