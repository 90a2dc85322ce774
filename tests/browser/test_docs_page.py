"""The page `/docs` in Chromium: descriptions, defaults, limits and layout. Its commands work as they are shown."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect

from tests.support.local_system import System, status
from tests.support.paths import ROOT

LISTING = "listing-42"  # of the examples


@pytest.fixture(params=[360, 1280])
def page(request: pytest.FixtureRequest, browser: Browser, system: System) -> Iterator[Page]:
    """Open `/docs` in a narrow and a wide window. At the end, check that its script raised no error."""
    with browser.new_context(viewport={"width": request.param, "height": 780}) as context:
        page = context.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{system.url}/docs")
        expect(page.get_by_role("heading", name="Errors", exact=True)).to_be_visible()
        yield page
        assert errors == []


def section(page: Page, heading: str) -> Locator:
    return page.locator("section").filter(has=page.get_by_role("heading", name=heading, exact=True))


def row(section: Locator, name: str) -> Locator:
    header = section.page.get_by_role("rowheader", name=name, exact=True)
    return section.get_by_role("row").filter(has=header)


def test_a_parameter_has_its_type_limits_default_and_meaning(page: Page) -> None:
    limit = row(section(page, "GET /classifications"), "limit")

    expect(limit).to_contain_text("integer, 1 to 100, default 20 (query)")
    expect(limit).to_contain_text("The largest number of items on a page.")


@pytest.mark.parametrize(
    ("heading", "name", "meaning"),
    [
        ("POST /classifications", "needs_review", "Whether a person should look at the photo"),
        ("POST /classifications", "image.width", "Width of the upright photo in pixels"),
        ("GET /classifications", "items[].predictions[].score", "The calibrated probability"),
        ("GET /model", "familiarity_threshold", "nearest cluster centre"),
        ("POST /predict", "{label}", "The score of this label"),
        ("POST /uploads", "files[].content_type", "The content type of the photo."),
        ("PUT /confirmations/{id}", "If-Match", "what the request would change has changed since"),
        ("Errors", "error.code", "The kind of error."),
    ],
)
def test_a_field_has_its_meaning(page: Page, heading: str, name: str, meaning: str) -> None:
    expect(row(section(page, heading), name)).to_contain_text(meaning)


def test_a_request_body_has_its_description_and_an_example(page: Page) -> None:
    predict = section(page, "POST /predict")

    expect(predict).to_contain_text("The accepted formats are JPEG, PNG, WebP, GIF, BMP, TIFF, HEIC and AVIF.")
    expect(predict.locator("pre:not(.command)").first).to_have_text('{ "url": "https://example.com/front.jpg" }')


def test_the_fields_of_a_response_are_shown_once(page: Page) -> None:
    confirm = section(page, "PUT /confirmations/{id}")

    expect(confirm).to_contain_text("The fields are those of POST /classifications.")
    expect(page.get_by_role("rowheader", name="image.width", exact=True)).to_have_count(1)


def test_a_request_of_sellers_leads_to_the_one_that_it_repeats(page: Page) -> None:
    sellers = section(page, "Requests of sellers")

    sellers.get_by_role("link", name="PUT /listings/confirmations/{id}").click()

    assert page.url.endswith("#confirm")
    expect(sellers.get_by_role("table")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_accessible_and_has_no_horizontal_scrolling(page: Page, scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")

    assert Axe().run(page).response["violations"] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    expect(page.locator("main")).not_to_contain_text("undefined")


@pytest.fixture
def commands(browser: Browser, system: System) -> list[str]:
    """The commands of the page."""
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(f"{system.url}/docs")
        expect(page.get_by_role("heading", name="Errors", exact=True)).to_be_visible()
        texts: list[str] = page.locator("pre.command").all_inner_texts()
    return texts


def test_every_request_has_a_command(commands: list[str], system: System) -> None:
    paths = system.get("/openapi.json").json()["paths"]

    described = {(method.upper(), path) for path, operations in paths.items() for method in operations}
    sellers_deletions = {("DELETE", f"/listings/{path}") for path in ("classifications/{id}", "batches/{batch_id}")}
    assert {request_of(command, system.url) for command in commands} == described - sellers_deletions


def request_of(command: str, url: str) -> tuple[str, str]:
    """Return the method and the path of the command, as the description names them."""
    method = re.search("--request ([A-Z]+)", command)
    path = re.split(r"[^\w./-]", command.split(url)[1])[0]
    path = path.replace(f"/{LISTING}/front.jpg", "/{id}").replace(f"/{LISTING}", "/{batch_id}")
    return method[1] if method else "POST" if "--data" in command else "GET", path


def test_the_commands_work_as_shown(commands: list[str], system: System, tmp_path: Path) -> None:
    """One after another: those that delete the listing come last."""
    shutil.copy(ROOT / "local" / "t-shirt.jpg", tmp_path / "front.jpg")

    run(commands, "some-listing", system, tmp_path)

    assert (tmp_path / "small.jpg").read_bytes().startswith(b"\xff\xd8")
    listed = system.get("/classifications?status=SUCCEEDED").json()["items"]
    assert [one for one in listed if re.fullmatch(r"[0-9a-f]{32}/front\.jpg", one["id"])]  # the photo with the form


def run(commands: list[str], listing: str, system: System, folder: Path) -> None:
    """Run the commands for this listing. Fail if a command fails, or if the API answers it with an error."""
    for name in ("front.jpg", "back.jpg"):
        system.upload(f"{listing}/{name}", (folder / "front.jpg").read_bytes())
        system.classification(f"{listing}/{name}", status("SUCCEEDED"))
    script = (
        "\n".join(commands).replace("curl ", "curl --fail-with-body --silent --show-error ").replace(LISTING, listing)
    )
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", script],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert system.get(f"/batches/{listing}").status_code == 404
