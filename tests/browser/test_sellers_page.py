"""The seller's page in Chromium: uploads, verdicts, corrections, error messages and accessibility."""

import base64
import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from tests.support.drawings import encoded, photo
from tests.support.local_system import System
from tests.support.paths import DATA, ROOT, needs_photos

TIMEOUT_MILLISECONDS = 15_000  # long enough for a busy machine
expect.set_options(timeout=TIMEOUT_MILLISECONDS)


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """Return a browser context with no earlier state."""
    with browser.new_context() as context:
        yield context


@pytest.fixture
def page(context: BrowserContext, system: System) -> Iterator[Page]:
    """Open the seller's page. At the end, check that it raised no error and did not violate its security policy."""
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on(
        "console", lambda message: errors.append(message.text) if "Content Security Policy" in message.text else None
    )
    # Without a listener, Chromium opens its own dialog if Enter is pressed before the test waits for the file chooser.
    page.on("filechooser", lambda _: None)
    page.goto(system.url)
    yield page
    assert errors == []


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder for the photos of a test."""
    return tmp_path


def files(folder: Path, **contents: bytes) -> list[Path]:
    """Write each content to a file in the folder. The arguments' names, with `.jpg`, become the file names."""
    paths = [folder / f"{name}.jpg" for name in contents]
    for path, data in zip(paths, contents.values(), strict=True):
        path.write_bytes(data)
    return paths


def choose(page: Page, paths: list[Path]) -> None:
    page.locator("#choose").set_input_files(paths)


def drop(page: Page, paths: list[Path]) -> None:
    """Drop files on the page, as a user does from another window."""
    contents = [[path.name, base64.b64encode(path.read_bytes()).decode()] for path in paths]
    transfer = page.evaluate_handle(
        """(files) => {
            const transfer = new DataTransfer();
            for (const [name, data] of files) {
                const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
                transfer.items.add(new File([bytes], name, { type: "image/jpeg" }));
            }
            return transfer;
        }""",
        contents,
    )
    page.dispatch_event("#drop", "drop", {"dataTransfer": transfer})


class Listing(NamedTuple):
    """Three photos of one label, and the label's text in the page's sentences."""

    paths: list[Path]
    label: str
    text: str


@pytest.fixture(params=["drawn", pytest.param("real", marks=needs_photos)])
def listing(request: pytest.FixtureRequest, photos: Path) -> Listing:
    """Return drawn photos, or real ones from the data set."""
    if request.param == "drawn":
        sizes = {"front": (400, 400), "back": (300, 400), "side": (500, 400)}
        drawn = {name: photo("t-shirt", size) for name, size in sizes.items()}
        return Listing(files(photos, **drawn), "t-shirt", "a t-shirt")
    front, back, side = (path.read_bytes() for path in sorted((DATA / "test" / "pants").glob("*.jpg"))[:3])
    return Listing(files(photos, front=front, back=back, side=side), "pants", "pants")


def test_a_seller_drops_three_photos_and_corrects_one(
    page: Page, system: System, listing: Listing, record_property: Callable[[str, object], None]
) -> None:
    """The API returns the same results in the batch and in the lists by label."""
    started = time.monotonic()

    with page.expect_response(re.compile("/uploads$")) as uploads:
        drop(page, listing.paths)
    expect(page.get_by_role("status")).to_have_text(f"It looks like you are selling {listing.text}.")
    seconds = time.monotonic() - started
    side = page.get_by_role("listitem").filter(has_text="side.jpg")
    side.get_by_role("combobox").select_option("hat")
    expect(side.get_by_text("You corrected the label.")).to_be_visible()
    front = page.get_by_role("listitem").filter(has_text="front.jpg")
    front.get_by_role("button", name=f"Yes, front.jpg shows {listing.text}").click()
    expect(front.get_by_text("You confirmed the label.")).to_be_visible()

    batch_id = uploads.value.json()["batch_id"]
    batch = system.get(f"/batches/{batch_id}").json()
    assert (batch["total"], batch["succeeded"], batch["label"]) == (3, 3, listing.label)
    hats = system.get(f"/classifications?label=hat&batch={batch_id}").json()["items"]
    assert [item["id"] for item in hats] == [f"{batch_id}/side.jpg"]
    others = system.get(f"/classifications?label={listing.label}").json()["items"]
    assert {f"{batch_id}/front.jpg", f"{batch_id}/back.jpg"} <= {item["id"] for item in others}
    record_property("tenths of a second to the verdict", round(10 * seconds))


def test_the_page_shows_the_verdict_on_real_photos(page: Page, request: pytest.FixtureRequest) -> None:
    """With `--screenshots`, this draws the README's picture again."""
    drop(page, [ROOT / "local" / f"{name}.jpg" for name in ("t-shirt", "t-shirt-yellow", "t-shirt-green")])

    expect(page.get_by_role("status")).to_have_text("It looks like you are selling a t-shirt.")
    green = page.get_by_role("listitem").filter(has_text="t-shirt-green.jpg")
    expect(green).to_contain_text("Please check: we are not sure.")
    if request.config.getoption("--screenshots"):
        page.set_viewport_size({"width": 960, "height": 640})
        page.screenshot(path=ROOT / "docs" / "page.png", full_page=True)


def test_the_verdict_is_certain_after_the_seller_confirms_the_only_photo(page: Page, photos: Path) -> None:
    choose(page, files(photos, front=photo("pants")))

    expect(page.get_by_role("status")).to_have_text("It looks like you are selling pants.")
    page.get_by_role("button", name="Yes, front.jpg shows pants").click()
    expect(page.get_by_role("status")).to_have_text("You are selling pants.")


def test_each_unreadable_file_gets_an_error_message(page: Page, photos: Path) -> None:
    """The other photos are classified."""
    paths = files(photos, front=photo("t-shirt"), broken=photo("t-shirt")[:3000], text=b"just some text")
    (photos / "letter.pdf").write_bytes(b"%PDF-1.7")

    choose(page, [*paths, photos / "letter.pdf"])

    cards = page.get_by_role("listitem")
    expect(cards.filter(has_text="broken.jpg")).to_contain_text("The image is damaged, incomplete or of a rare kind")
    expect(cards.filter(has_text="text.jpg")).to_contain_text("not an image in a supported format")
    expect(cards.filter(has_text="letter.pdf")).to_contain_text(
        "We cannot show files of this kind. Please save the photo as a JPEG or PNG"
    )
    expect(page.get_by_role("status")).to_have_text("It looks like you are selling a t-shirt.")


def test_without_any_readable_photo_the_page_says_that_it_has_no_verdict(page: Page, photos: Path) -> None:
    choose(page, files(photos, text=b"just some text"))

    expect(page.get_by_role("status")).to_have_text("We could not identify the item from these photos.")


def test_a_photo_that_needs_review_has_a_hint(page: Page, photos: Path) -> None:
    choose(page, files(photos, wall=encoded(Image.new("RGB", (400, 400), "grey"))))

    expect(page.get_by_text("Please check: we are not sure.")).to_be_visible()


def test_the_upload_continues_after_a_lost_connection(page: Page, context: BrowserContext, photos: Path) -> None:
    context.set_offline(True)
    choose(page, files(photos, front=photo("t-shirt")))
    expect(page.get_by_role("alert")).to_have_text("You are offline. We will continue when you are online again.")

    context.set_offline(False)

    expect(page.get_by_role("status")).to_have_text("It looks like you are selling a t-shirt.")
    expect(page.locator("#notice")).to_be_empty()


def test_a_request_to_a_busy_service_is_retried(page: Page, photos: Path) -> None:
    rejected: list[str] = []

    def reject_once(route: Route) -> None:
        if rejected:
            route.continue_()
            return
        rejected.append(route.request.url)
        body = json.dumps({"error": {"code": "busy", "message": "Busy."}, "request_id": "1"})
        route.fulfill(status=503, content_type="application/json", body=body)

    page.route("**/uploads", reject_once)
    choose(page, files(photos, front=photo("t-shirt")))

    expect(page.get_by_role("status")).to_have_text("It looks like you are selling a t-shirt.")
    assert rejected


def test_the_page_asks_for_the_key_that_the_api_requires(page: Page, photos: Path) -> None:
    """The stub answers 403 without a key, as API Gateway does."""

    def check(route: Route) -> None:
        if route.request.headers.get("x-api-key") == "secret":
            route.continue_()
        else:
            route.fulfill(status=403, content_type="application/json", body='{"message": "Forbidden"}')

    page.route(re.compile("/(uploads|model|batches/.*)$"), check)
    paths = files(photos, front=photo("t-shirt"))
    choose(page, paths)
    page.get_by_label("This shop requires an access key.").fill("secret")
    page.get_by_role("button", name="Use this key").click()

    choose(page, paths)

    expect(page.get_by_role("status")).to_have_text("It looks like you are selling a t-shirt.")


def test_the_page_works_with_the_keyboard_alone(page: Page, photos: Path) -> None:
    page.keyboard.press("Tab")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(files(photos, front=photo("pants")))
    agree = page.get_by_role("button", name="Yes, front.jpg shows pants")
    expect(agree).to_be_visible()
    for _ in range(10):
        page.keyboard.press("Tab")
        if agree.evaluate("button => button === document.activeElement"):
            break
    page.keyboard.press("Enter")

    expect(page.get_by_role("status")).to_have_text("You are selling pants.")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_the_pages_are_accessible_and_fit_the_width(
    browser: Browser, system: System, photos: Path, scheme: str, width: int
) -> None:
    """axe finds no violation on the empty and the filled page in both colour schemes. Nothing overflows."""
    with browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 780}) as context:  # type: ignore[arg-type, unused-ignore]
        page = context.new_page()
        for path in ("/", "/docs"):
            page.goto(system.url + path)
            page.wait_for_load_state("networkidle")
            if path == "/":
                assert Axe().run(page).response["violations"] == []
                choose(page, files(photos, front=photo("t-shirt"), a_long_name_that_goes_on_and_on_and_on=b"text"))
                expect(page.get_by_role("status")).to_have_text("It looks like you are selling a t-shirt.")
                expect(page.get_by_text("not an image in a supported format")).to_be_visible()
            assert Axe().run(page).response["violations"] == []
            assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_docs_show_every_request(page: Page, system: System) -> None:
    page.goto(f"{system.url}/docs")

    paths = system.get("/openapi.json").json()["paths"]
    headings = [f"{method.upper()} {path}" for path, methods in paths.items() for method in methods]
    for heading in headings:
        expect(page.get_by_role("heading", name=heading, exact=True)).to_be_visible()


def test_scripts_of_others_do_not_run(context: BrowserContext, system: System) -> None:
    """The policy has no hash of an injected script."""
    page = context.new_page()
    page.goto(system.url)

    ran = page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "window.ran = true";
            document.body.append(script);
            return window.ran === true;
        }"""
    )

    assert not ran
