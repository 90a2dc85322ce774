"""The page `/docs` in Chromium: descriptions, defaults, limits and layout."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.support.local_system import System


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
        ("POST /classifications", "needs_review", "Whether a person should check the photo."),
        ("POST /classifications", "image.width", "Width of the upright photo in pixels"),
        ("GET /classifications", "items[].predictions[].score", "The calibrated probability"),
        ("GET /model", "familiarity_threshold", "nearest cluster centre"),
        ("POST /predict", "{label}", "The score of this label"),
        ("POST /uploads", "files[].content_type", "The content type of the photo."),
        ("Errors", "error.code", "The kind of error."),
    ],
)
def test_a_field_has_its_meaning(page: Page, heading: str, name: str, meaning: str) -> None:
    expect(row(section(page, heading), name)).to_contain_text(meaning)


def test_a_request_body_has_its_description_and_an_example(page: Page) -> None:
    predict = section(page, "POST /predict")

    expect(predict).to_contain_text("The accepted formats are JPEG, PNG, WebP, GIF, BMP, TIFF, HEIC and AVIF.")
    expect(predict.locator("pre").first).to_have_text('{ "url": "https://example.com/front.jpg" }')


def test_the_page_has_no_horizontal_scrolling_and_no_undefined_value(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    expect(page.locator("main")).not_to_contain_text("undefined")
