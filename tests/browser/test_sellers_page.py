"""The seller's page in a real browser: photos in, a verdict out, corrections kept, failures told."""

import base64
import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect, sync_playwright

from conftest import DATA, ROOT, free_port, needs_photos
from drawing import encoded, photo
from running import System, running

PATIENCE = 15_000  # milliseconds; a loaded machine may take more than people should wait
expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The one that is installed, or Playwright's own."""
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=shutil.which("chromium"))


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with running(free_port(), free_port(), tmp_path_factory.mktemp("system") / "output") as started:
        yield started


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A visitor's."""
    with browser.new_context() as context:
        yield context


@pytest.fixture
def page(context: BrowserContext, system: System) -> Iterator[Page]:
    """The seller's page; in the end, nothing was refused or broken that no test broke."""
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on(
        "console", lambda message: errors.append(message.text) if "Content Security Policy" in message.text else None
    )
    # Chromium's own dialogue would open where Enter is faster than the word that a test waits for the chooser.
    page.on("filechooser", lambda _: None)
    page.goto(system.url)
    yield page
    assert errors == []


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder for photos to choose."""
    return tmp_path


def files(folder: Path, **contents: bytes) -> list[Path]:
    """Files of these contents; their names are the arguments', with an ending."""
    paths = [folder / f"{name}.jpg" for name in contents]
    for path, data in zip(paths, contents.values(), strict=True):
        path.write_bytes(data)
    return paths


def choose(page: Page, paths: list[Path]) -> None:
    page.locator("#choose").set_input_files(paths)


def drop(page: Page, paths: list[Path]) -> None:
    """As a hand does it from another window."""
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
    """Three photos of one label, and how the page speaks of it."""

    paths: list[Path]
    label: str
    spoken: str
    is_shown: bool  # in the README


@pytest.fixture(params=["drawn", pytest.param("taken", marks=needs_photos)])
def listing(request: pytest.FixtureRequest, photos: Path) -> Listing:
    """Photos that are drawn, and real ones where they are there."""
    if request.param == "drawn":
        sizes = {"front": (400, 400), "back": (300, 400), "side": (500, 400)}
        drawn = {name: photo("t-shirt", size) for name, size in sizes.items()}
        return Listing(files(photos, **drawn), "t-shirt", "a t-shirt", request.config.getoption("--screenshots"))
    front, back, side = (path.read_bytes() for path in sorted((DATA / "test" / "pants").glob("*.jpg"))[:3])
    return Listing(files(photos, front=front, back=back, side=side), "pants", "pants", is_shown=False)


def test_a_seller_drops_three_photos_and_corrects_one(
    page: Page, system: System, listing: Listing, record_property: Callable[[str, object], None]
) -> None:
    """And the API tells the same: the batch, and the list by label."""
    started = time.monotonic()

    with page.expect_response(re.compile("/uploads$")) as answered:
        drop(page, listing.paths)
    expect(page.get_by_role("status")).to_have_text(f"It looks like you are selling {listing.spoken}.")
    seconds = time.monotonic() - started
    if listing.is_shown:
        page.set_viewport_size({"width": 960, "height": 640})
        page.screenshot(path=ROOT / "docs" / "page.png", full_page=True)
    side = page.get_by_role("listitem").filter(has_text="side.jpg")
    side.get_by_role("combobox").select_option("hat")
    expect(side.get_by_text("You corrected us.")).to_be_visible()
    front = page.get_by_role("listitem").filter(has_text="front.jpg")
    front.get_by_role("button", name=f"Yes, front.jpg shows {listing.spoken}").click()
    expect(front.get_by_text("You agree.")).to_be_visible()

    batch_id = answered.value.json()["batch_id"]
    batch = system.get(f"/batches/{batch_id}").json()
    assert (batch["total"], batch["succeeded"], batch["label"]) == (3, 3, listing.label)
    hats = system.get(f"/classifications?label=hat&batch={batch_id}").json()["items"]
    assert [item["id"] for item in hats] == [f"{batch_id}/side.jpg"]
    others = system.get(f"/classifications?label={listing.label}").json()["items"]
    assert {f"{batch_id}/front.jpg", f"{batch_id}/back.jpg"} <= {item["id"] for item in others}
    record_property("tenths of a second to the verdict", round(10 * seconds))


def test_one_photo_is_enough_and_all_agreed_is_said_plainly(page: Page, photos: Path) -> None:
    choose(page, files(photos, front=photo("pants")))

    expect(page.get_by_role("status")).to_have_text("It looks like you are selling pants.")
    page.get_by_role("button", name="Yes, front.jpg shows pants").click()
    expect(page.get_by_role("status")).to_have_text("You are selling pants.")


def test_what_cannot_be_read_is_told_in_plain_words(page: Page, photos: Path) -> None:
    """And the others are classified all the same."""
    paths = files(photos, front=photo("t-shirt"), broken=photo("t-shirt")[:3000], text=b"just some text")
    (photos / "letter.pdf").write_bytes(b"%PDF-1.7")

    choose(page, [*paths, photos / "letter.pdf"])

    cards = page.get_by_role("listitem")
    expect(cards.filter(has_text="broken.jpg")).to_contain_text("The image is damaged or incomplete.")
    expect(cards.filter(has_text="text.jpg")).to_contain_text("not an image in a format that is accepted")
    expect(cards.filter(has_text="letter.pdf")).to_contain_text("This is not a photo that we can read.")
    expect(page.get_by_role("status")).to_have_text("It looks like you are selling a t-shirt.")


def test_where_nothing_can_be_told_the_page_says_so(page: Page, photos: Path) -> None:
    choose(page, files(photos, text=b"just some text"))

    expect(page.get_by_role("status")).to_have_text("We could not tell what it is from these photos.")


def test_what_the_model_is_not_sure_of_needs_a_look(page: Page, photos: Path) -> None:
    choose(page, files(photos, wall=encoded(Image.new("RGB", (400, 400), "grey"))))

    expect(page.get_by_text("Needs a look: we are not sure.")).to_be_visible()


def test_a_lost_connection_is_waited_for(page: Page, context: BrowserContext, photos: Path) -> None:
    context.set_offline(True)
    choose(page, files(photos, front=photo("t-shirt")))
    expect(page.get_by_role("alert")).to_have_text("You are offline. We go on as soon as you are back.")

    context.set_offline(False)

    expect(page.get_by_role("status")).to_have_text("It looks like you are selling a t-shirt.")
    expect(page.locator("#notice")).to_be_empty()


def test_a_busy_service_is_asked_again(page: Page, photos: Path) -> None:
    refused: list[str] = []

    def refuse_once(route: Route) -> None:
        if refused:
            route.continue_()
            return
        refused.append(route.request.url)
        body = json.dumps({"error": {"code": "busy", "message": "Busy."}, "request_id": "1"})
        route.fulfill(status=503, content_type="application/json", body=body)

    page.route("**/uploads", refuse_once)
    choose(page, files(photos, front=photo("t-shirt")))

    expect(page.get_by_role("status")).to_have_text("It looks like you are selling a t-shirt.")
    assert refused


def test_where_the_api_wants_a_key_the_page_asks_for_it(page: Page, photos: Path) -> None:
    """As API Gateway does."""

    def check(route: Route) -> None:
        if route.request.headers.get("x-api-key") == "secret":
            route.continue_()
        else:
            route.fulfill(status=403, content_type="application/json", body='{"message": "Forbidden"}')

    page.route(re.compile("/(uploads|model|batches/.*)$"), check)
    paths = files(photos, front=photo("t-shirt"))
    choose(page, paths)
    page.get_by_label("This shop asks for an access key.").fill("secret")
    page.get_by_role("button", name="Use this key").click()

    choose(page, paths)

    expect(page.get_by_role("status")).to_have_text("It looks like you are selling a t-shirt.")


def test_all_of_it_works_by_keyboard(page: Page, photos: Path) -> None:
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
def test_it_is_accessible_and_fits(browser: Browser, system: System, photos: Path, scheme: str, width: int) -> None:
    """By axe's rules, empty and full, in both colour schemes; nothing sticks out to the side."""
    with browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 780}) as context:  # type: ignore[arg-type, unused-ignore]
        page = context.new_page()
        for path in ("/", "/docs"):
            page.goto(system.url + path)
            page.wait_for_load_state("networkidle")
            if path == "/":
                assert Axe().run(page).response["violations"] == []
                choose(page, files(photos, front=photo("t-shirt"), a_long_name_that_goes_on_and_on_and_on=b"text"))
                expect(page.get_by_role("status")).to_have_text("It looks like you are selling a t-shirt.")
                expect(page.get_by_text("not an image in a format")).to_be_visible()
            assert Axe().run(page).response["violations"] == []
            assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_docs_show_every_request(page: Page, system: System) -> None:
    page.goto(f"{system.url}/docs")

    paths = system.get("/openapi.json").json()["paths"]
    headings = [f"{method.upper()} {path}" for path, methods in paths.items() for method in methods]
    for heading in headings:
        expect(page.get_by_role("heading", name=heading, exact=True)).to_be_visible()


def test_scripts_of_others_do_not_run(context: BrowserContext, system: System) -> None:
    """What somebody might bring into the page has no hash in the policy."""
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
