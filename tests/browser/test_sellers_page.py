"""The seller's page in Chromium: photos, the category, removal, links, messages, networks and accessibility."""

import base64
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

import pytest
import requests
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Dialog, FilePayload, Locator, Page, Request, Route, expect

from tests.support.drawings import care_label, encoded, garment, photo
from tests.support.local_system import System, wait_until
from tests.support.paths import ROOT

TIMEOUT_MILLISECONDS = 15_000  # long enough for a busy machine
expect.set_options(timeout=TIMEOUT_MILLISECONDS)
BUCKET = re.compile(r"/photos$")
SHOP = "http://shop.example"
SHIRTS = [ROOT / "local" / f"{name}.jpg" for name in ("t-shirt", "t-shirt-yellow", "t-shirt-green")]


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """Return a browser context with no earlier state."""
    with browser.new_context() as context:
        yield context


def watched(context: BrowserContext) -> tuple[Page, list[str]]:
    """Return a new page, and a list that gets its errors and violations of its security policy."""
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on(
        "console", lambda message: errors.append(message.text) if "Content Security Policy" in message.text else None
    )
    return page, errors


@pytest.fixture
def page(context: BrowserContext, system: System) -> Iterator[Page]:
    """Open the seller's page. At the end, check that it raised no error and did not violate its security policy."""
    page, errors = watched(context)
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


def add(page: Page, paths: list[Path]) -> None:
    page.locator("#files").set_input_files(paths)


def transfer(page: Page, event: str, paths: list[Path]) -> None:
    """Drop or paste files, as a user does from another window."""
    contents = [[path.name, base64.b64encode(path.read_bytes()).decode()] for path in paths]
    page.evaluate(
        """([event, files]) => {
            const transfer = new DataTransfer();
            for (const [name, data] of files) {
                const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
                transfer.items.add(new File([bytes], name, { type: "image/jpeg" }));
            }
            const options = { bubbles: true, cancelable: true };
            document.body.dispatchEvent(event === "drop"
                ? new DragEvent(event, { ...options, dataTransfer: transfer })
                : new ClipboardEvent(event, { ...options, clipboardData: transfer }));
        }""",
        [event, contents],
    )


def verdict(page: Page, text: str | re.Pattern[str]) -> None:
    """Expect this verdict, once all photos are there."""
    expect(page.locator("#progress")).to_have_text(re.compile(r"^\d+ photos?$"))
    expect(page.locator("#verdict")).to_have_text(text)


def chip(page: Page, name: str) -> Any:
    return page.locator("#category").get_by_role("button", name=name, exact=True)


def link_fields(page: Page) -> dict[str, str]:
    """Return the fields after `#` in the page's address."""
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).fragment).items()}


def listing_of(page: Page, system: System) -> Any:
    """Return the listing, as the API shows it."""
    return system.get(f"/batches/{link_fields(page)['listing']}").json()


def answer_with(status: int, headers: dict[str, str] | None = None) -> Callable[[Route], None]:
    """Return a route of an API that refuses requests with this status."""
    body = json.dumps({"error": {"code": "busy", "message": "Refused."}, "request_id": "1"})
    return lambda route: route.fulfill(status=status, content_type="application/json", body=body, headers=headers)


def keep(items: list[Any]) -> Callable[[Any], None]:
    """Return a function that appends to the list. Playwright sets an attribute on it, so it cannot be `append`."""

    def append(item: Any) -> None:
        items.append(item)

    return append


def refuse_upload(route: Route, status: int) -> None:
    """Refuse an upload as S3 does, which lets pages read its errors."""
    headers = {"Access-Control-Allow-Origin": "*", "Content-Type": "application/xml"}
    route.fulfill(status=status, body="<Error><Code>Refused</Code></Error>", headers=headers)


class Photos(NamedTuple):
    """Three photos of a t-shirt and a care label, and another photo of the piece."""

    first: list[Path]
    fourth: Path


@pytest.fixture(params=["drawn", "real"])
def piece(request: pytest.FixtureRequest, photos: Path) -> Photos:
    """Return drawn photos, or the real ones of this repository. The care label is drawn."""
    if request.param == "drawn":
        shirts = [photo("t-shirt", size) for size in ((400, 400), (300, 400), (500, 400), (350, 350))]
    else:
        shirts = [path.read_bytes() for path in SHIRTS]
        shirts.append(encoded(Image.open(SHIRTS[0]).reduce(2)))
    front, back, side, detail = shirts
    *first, fourth = files(photos, front=front, back=back, side=side, care=care_label(), detail=detail)
    return Photos(first, fourth)


def test_a_seller_gets_one_right_category_for_photos_and_a_care_label(
    page: Page, system: System, piece: Photos, record_property: Callable[[str, object], None]
) -> None:
    """A photo can be added, a reload keeps everything, and one answer ends it."""
    started = time.monotonic()
    transfer(page, "drop", piece.first)
    verdict(page, "We suggest: T-shirt")
    record_property("tenths of a second to the verdict", round(10 * (time.monotonic() - started)))

    add(page, [piece.fourth])
    expect(page.locator("#progress")).to_have_text("5 photos")
    order = labels_of_tiles(page)
    page.reload()
    expect(page.locator(".tile img")).to_have_count(5)
    assert labels_of_tiles(page) == order
    verdict(page, "We suggest: T-shirt")
    chip(page, "T-shirt").click()

    expect(page.locator("#verdict")).to_have_text("Done: T-shirt")
    listing = listing_of(page, system)
    assert (listing["total"], listing["label"], listing["needs_review"]) == (5, "t-shirt", False)
    assert (listing["confirmation"]["label"], listing["confirmation"]["by"]) == ("t-shirt", "seller")
    page.reload()
    expect(page.locator("#verdict")).to_have_text("Done: T-shirt")


@pytest.mark.parametrize("view", [(360, "light"), (360, "dark"), (1280, "light"), (1280, "dark")])
def test_the_page_shows_the_category_of_real_photos(
    browser: Browser, system: System, photos: Path, request: pytest.FixtureRequest, view: tuple[int, Any]
) -> None:
    """With `--screenshots`, this draws the pictures of the documentation again."""
    width, scheme = view
    is_phone = width == 360
    with browser.new_context(
        color_scheme=scheme, viewport={"width": width, "height": 780}, has_touch=is_phone, is_mobile=is_phone
    ) as context:
        page, errors = watched(context)
        page.goto(system.url)

        add(page, [*SHIRTS, *files(photos, care=care_label())])

        verdict(page, "We suggest: T-shirt")
        expect(page.locator(".tile img")).to_have_count(4)
        if request.config.getoption("--screenshots"):
            page.mouse.move(0, 0)
            # `full_page` would end the emulation of the phone.
            page.set_viewport_size({"width": width, "height": page.evaluate("document.body.scrollHeight")})
            page.screenshot(path=ROOT / "docs" / "screenshots" / f"seller-{width}-{scheme}.png")
            if (width, scheme) == (1280, "light"):
                page.screenshot(path=ROOT / "docs" / "page.png")
        assert errors == []


def labels_of_tiles(page: Page) -> Any:
    return page.locator(".tile .open").evaluate_all("tiles => tiles.map((tile) => tile.ariaLabel)")


def test_another_device_shows_the_photos_in_the_order_in_which_they_were_added(
    page: Page, browser: Browser, photos: Path
) -> None:
    names = ["front", "back", "side", "collar", "again"]
    add(page, files(photos, **{name: photo("pants", (300 + number, 400)) for number, name in enumerate(names)}))
    verdict(page, "We suggest: Pants")

    with browser.new_context() as other:
        phone, errors = watched(other)
        phone.goto(page.url)
        expect(phone.locator(".tile")).to_have_count(5)
        assert labels_of_tiles(phone) == labels_of_tiles(page)
        assert [label.split(", ")[1] for label in labels_of_tiles(phone)] == [f"{name}.jpg" for name in names]
        assert errors == []


def test_another_device_shows_a_removal_soon(page: Page, system: System, photos: Path) -> None:
    add(page, files(photos, front=photo("pants"), side=photo("pants", (300, 400))))
    verdict(page, "We suggest: Pants")
    page.wait_for_timeout(18_000)

    address = f"{system.url}/classifications/{link_fields(page)['listing']}/side.jpg"
    requests.delete(address, timeout=30).raise_for_status()

    expect(page.locator(".tile")).to_have_count(1, timeout=8_000)


def test_another_device_shows_the_same_listing(page: Page, browser: Browser, photos: Path) -> None:
    add(page, files(photos, front=photo("pants"), side=photo("pants", (300, 400))))
    verdict(page, "We suggest: Pants")

    with browser.new_context() as other:
        phone, errors = watched(other)
        phone.goto(page.url)
        expect(phone.locator(".tile img")).to_have_count(2)
        verdict(phone, "We suggest: Pants")
        chip(phone, "Pants").click()
        expect(phone.locator("#verdict")).to_have_text("Done: Pants")
        assert errors == []

    page.reload()
    expect(page.locator("#verdict")).to_have_text("Done: Pants")


def test_a_photo_can_be_removed_and_the_removal_undone(page: Page, system: System, photos: Path) -> None:
    add(page, files(photos, front=photo("t-shirt"), hat=photo("pants")))
    verdict(page, re.compile("."))
    page.get_by_role("button", name="Remove hat.jpg").click()
    expect(page.locator(".tile")).to_have_count(1)

    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".tile")).to_have_count(2)
    assert listing_of(page, system)["total"] == 2

    page.get_by_role("button", name="Remove hat.jpg").click()
    page.keyboard.press("Control+z")
    expect(page.locator(".tile")).to_have_count(2)

    page.get_by_role("button", name="Remove hat.jpg").click()
    wait_until(lambda: listing_of(page, system)["total"], lambda total: total == 1)
    verdict(page, "We suggest: T-shirt")
    page.reload()
    expect(page.locator(".tile")).to_have_count(1)


def test_a_removal_is_not_lost_when_the_page_is_left(page: Page, system: System, photos: Path) -> None:
    add(page, files(photos, front=photo("t-shirt"), back=photo("t-shirt", (300, 400))))
    verdict(page, "We suggest: T-shirt")

    page.get_by_role("button", name="Remove back.jpg").click()
    page.reload()

    expect(page.locator(".tile")).to_have_count(1)
    wait_until(lambda: listing_of(page, system)["total"], lambda total: total == 1)


def test_a_removed_photo_does_not_come_back_with_the_page(page: Page, system: System, shop: str, photos: Path) -> None:
    """After "Back", the browser would take an old answer from its cache."""
    add(page, files(photos, front=photo("t-shirt"), back=photo("t-shirt", (300, 400))))
    verdict(page, "We suggest: T-shirt")
    page.reload()
    verdict(page, "We suggest: T-shirt")

    page.get_by_role("button", name="Remove back.jpg").click()
    batch = link_fields(page)["listing"]
    page.goto(shop)
    wait_until(lambda: system.get(f"/batches/{batch}").json()["total"], lambda total: total == 1)
    with page.expect_request("**/batches/*") as asked:
        page.go_back()

    assert asked.value.all_headers()["cache-control"] == "no-cache"
    expect(page.locator("#progress")).to_have_text("1 photo", timeout=2_000)
    expect(page.locator(".tile")).to_have_count(1)


def test_the_right_photo_is_removed_if_its_id_looks_like_another_path(page: Page, system: System, photos: Path) -> None:
    """Browsers resolve `.` and `..` in the path of an address."""
    add(page, files(photos, front=photo("t-shirt")))
    verdict(page, "We suggest: T-shirt")
    batch = link_fields(page)["listing"]
    others = [f"{batch}/./front.jpg", f"{batch}/a/../front.jpg"]
    for other in others:
        system.upload(other, photo("t-shirt", (300, 400)))
    expect(page.locator(".tile[data-state=ready] img")).to_have_count(3)

    for other in others:
        page.get_by_role("button", name=f"Remove {other.removeprefix(f'{batch}/')}", exact=True).click()

    wait_until(
        lambda: [item["id"] for item in listing_of(page, system)["items"]], lambda ids: ids == [f"{batch}/front.jpg"]
    )


def test_a_photo_can_have_the_name_of_a_removed_one(page: Page, system: System, photos: Path) -> None:
    """Some phones call each photo `image.jpg`."""
    add(page, files(photos, image=photo("t-shirt"), back=photo("t-shirt", (300, 400))))
    verdict(page, "We suggest: T-shirt")
    page.get_by_role("button", name="Remove image.jpg").click()
    wait_until(lambda: listing_of(page, system)["total"], lambda total: total == 1)

    add(page, files(photos, image=photo("t-shirt", (500, 400))))

    expect(page.locator(".tile[data-state=ready]")).to_have_count(2)
    verdict(page, "We suggest: T-shirt")


def test_a_photo_can_be_removed_while_it_is_being_sent(page: Page, system: System, photos: Path) -> None:
    held: list[Route] = []
    page.route(BUCKET, keep(held))
    with page.expect_request(BUCKET):
        add(page, files(photos, front=photo("t-shirt")))

    page.get_by_role("button", name="Remove front.jpg").click()

    expect(page.locator(".tile")).to_have_count(0)
    page.get_by_role("button", name="Undo").wait_for(state="hidden")
    headers = {"Authorization": f"Bearer {link_fields(page)['token']}"}
    listing = f"{system.url}/listings/batches/{link_fields(page)['listing']}"
    wait_until(lambda: requests.get(listing, headers=headers, timeout=30).json()["total"], lambda total: total == 0)


def test_an_answer_can_be_changed_and_the_change_undone(page: Page, system: System, photos: Path) -> None:
    add(page, files(photos, front=photo("pants")))
    verdict(page, "We suggest: Pants")
    chip(page, "Pants").click()
    page.get_by_role("button", name="Change").click()
    expect(page.locator("#advice")).to_have_text("Until you do, your answer stays: Pants.")
    chip(page, "Keep Pants").click()
    expect(page.locator("#verdict")).to_have_text("Done: Pants")

    page.get_by_role("button", name="Change").click()
    chip(page, "Shorts").click()
    expect(page.locator("#verdict")).to_have_text("Done: Shorts")
    assert listing_of(page, system)["confirmation"]["label"] == "shorts"

    page.get_by_role("button", name="Undo: back to Pants").click()
    expect(page.locator("#verdict")).to_have_text("Done: Pants")
    assert listing_of(page, system)["confirmation"]["label"] == "pants"


def shop_says(page: Page, system: System, label: str) -> None:
    address = f"{system.url}/batches/{link_fields(page)['listing']}/confirmation"
    requests.put(address, json={"label": label}, timeout=30).raise_for_status()


@pytest.mark.parametrize("is_seen", [True, False], ids=["seen", "not seen"])
def test_an_answer_of_the_shop_is_not_undone(page: Page, system: System, photos: Path, is_seen: bool) -> None:  # noqa: FBT001
    add(page, files(photos, front=photo("pants")))
    verdict(page, "We suggest: Pants")
    chip(page, "Pants").click()
    expect(page.locator("#verdict")).to_have_text("Done: Pants")
    undo = page.get_by_role("button", name="Undo")
    expect(undo).to_be_visible()

    shop_says(page, system, "dress")
    if not is_seen:
        undo.click()

    expect(page.locator("#verdict")).to_have_text("The shop chose: Dress")
    expect(undo).to_be_hidden()
    assert listing_of(page, system)["confirmation"]["label"] == "dress"


def test_an_answer_does_not_replace_one_that_the_seller_has_not_seen(page: Page, system: System, photos: Path) -> None:
    add(page, files(photos, front=photo("pants")))
    verdict(page, "We suggest: Pants")

    shop_says(page, system, "dress")
    chip(page, "Pants").click()

    expect(page.locator("#verdict")).to_have_text("The shop chose: Dress")
    expect(page.get_by_role("alert")).to_have_text(
        "Your answer was not saved. Somebody else has answered in the meantime."
    )
    page.get_by_role("button", name="Change").click()
    chip(page, "Pants").click()
    expect(page.locator("#verdict")).to_have_text("Done: Pants")
    assert listing_of(page, system)["confirmation"]["label"] == "pants"


def test_an_answer_is_saved_while_photos_arrive(page: Page, system: System, photos: Path) -> None:
    """Each of them changes the listing that the page has read."""
    add(page, files(photos, front=photo("pants")))
    verdict(page, "We suggest: Pants")
    chip(page, "Pants").click()
    expect(page.locator("#verdict")).to_have_text("Done: Pants")
    page.get_by_role("button", name="Change").click()

    system.upload(f"{link_fields(page)['listing']}/other.jpg", photo("pants", (300, 400)))
    chip(page, "Shorts").click()

    expect(page.locator("#verdict")).to_have_text("Done: Shorts")
    expect(page.get_by_role("button", name="Undo: back to Pants")).to_be_visible()


def test_the_first_answer_can_be_undone(page: Page, system: System, photos: Path) -> None:
    add(page, files(photos, front=photo("pants")))
    verdict(page, "We suggest: Pants")
    chip(page, "Pants").click()
    expect(page.locator("#verdict")).to_have_text("Done: Pants")

    page.get_by_role("button", name="Undo: back to no category yet").click()

    verdict(page, "We suggest: Pants")
    assert listing_of(page, system)["confirmation"] is None
    chip(page, "Pants").click()
    expect(page.locator("#verdict")).to_have_text("Done: Pants")


def test_a_seller_can_say_that_none_of_the_categories_fits(page: Page, system: System, photos: Path) -> None:
    add(page, files(photos, front=photo("pants")))
    verdict(page, "We suggest: Pants")

    chip(page, "Something else").click()
    chip(page, "None of these").click()

    expect(page.locator("#verdict")).to_have_text("Done: none of the categories")
    assert listing_of(page, system)["confirmation"]["label"] is None


def test_a_listing_without_photos_is_not_done(context: BrowserContext, listing: "Listing", photos: Path) -> None:
    page, errors = watched(context)
    page.goto(listing.link(**{"return": f"{SHOP}/next"}))
    add(page, files(photos, front=photo("pants")))
    verdict(page, "We suggest: Pants")
    chip(page, "Pants").click()
    way_on = page.get_by_role("link", name="Continue to shop.example")
    expect(way_on).to_be_visible()

    page.get_by_role("button", name="Remove front.jpg").click()

    expect(page.locator("#verdict")).to_have_text("Saved: Pants")
    expect(page.locator("#advice")).to_have_text("At least one photo is missing. Please add one.")
    expect(way_on).to_be_hidden()
    page.get_by_role("button", name="Undo").last.click()
    expect(page.locator("#verdict")).to_have_text("Done: Pants")
    expect(way_on).to_be_visible()
    assert errors == []


def test_people_read_the_names_of_categories(page: Page, system: System, photos: Path) -> None:
    add(page, files(photos, front=photo("pants")))
    verdict(page, "We suggest: Pants")
    chip(page, "Something else").click()

    names = {category["name"] for category in system.get("/model").json()["categories"].values()}
    shown = page.locator("#category button:visible").all_inner_texts()
    assert sorted(shown) == sorted([*names, "Something else", "None of these"])


def test_a_listing_that_needs_review_has_no_suggestion_that_says_otherwise(page: Page, photos: Path) -> None:
    add(page, files(photos, care=care_label()))

    verdict(page, "Which category fits best?")
    expect(page.locator(".chip.suggested")).to_have_count(0)
    expect(page.locator("#advice")).to_have_text("We cannot tell for certain. A photo of the whole piece helps.")
    expect(page.locator("#chips .chip")).to_have_count(4)


def test_files_that_are_no_photos_have_a_reason(page: Page, photos: Path) -> None:
    """The others are classified. What is too large is not sent."""
    sent: list[int] = []
    page.on("request", lambda request: sent.append(1) if BUCKET.search(request.url) else None)
    paths = files(photos, front=photo("t-shirt"), text=b"just some text", cut=photo("t-shirt")[:3000], none=b"")
    (photos / "letter.pdf").write_bytes(b"%PDF-1.7")
    (photos / "large.png").write_bytes(bytes(25 * 2**20 + 1))

    add(page, [*paths, photos / "letter.pdf", photos / "large.png"])

    problems = page.get_by_role("list", name="Problems")
    expect(problems).to_contain_text("text.jpg cannot be used: its content is not a photo that we can read.")
    expect(problems).to_contain_text("cut.jpg is damaged or incomplete")
    refused = page.get_by_role("group", name="Files that were not added")
    expect(refused).to_contain_text("none.jpg is empty. Choose another file.")
    expect(refused).to_contain_text("letter.pdf is not a photo.")
    expect(refused).to_contain_text("large.png is larger than 25 MB. Make it smaller, and add it again.")
    verdict(page, "We suggest: T-shirt")
    assert len(sent) == 3
    problems.get_by_role("button", name="Remove text.jpg").click()
    expect(problems.get_by_role("listitem")).to_have_count(1)
    refused.get_by_role("button", name="OK").click()
    expect(refused).to_be_hidden()


def test_files_with_the_same_problem_share_a_sentence(page: Page) -> None:
    names = ["a.pdf", "b.mp4", "c.txt", "d.doc", "e.pdf"]
    sent = [FilePayload(name=name, mimeType="text/plain", buffer=b"text") for name in names]
    page.locator("#files").set_input_files([*sent, FilePayload(name="none.jpg", mimeType="image/jpeg", buffer=b"")])

    refused = page.get_by_role("group", name="Files that were not added")
    expect(refused.locator("p").first).to_have_text(
        "a.pdf, b.mp4, c.txt and 2 others are not photos. JPEG, PNG and HEIC work, for example."
    )
    expect(refused.locator("p").last).to_have_text("none.jpg is empty. Choose another file.")
    expect(page.get_by_role("button", name="OK")).to_have_count(1)


def test_without_any_readable_photo_the_seller_chooses(page: Page, system: System, photos: Path) -> None:
    add(page, files(photos, text=b"just some text"))

    expect(page.locator("#verdict")).to_have_text("Which category fits?")
    chip(page, "Jacket or coat").click()

    expect(page.locator("#verdict")).to_have_text("Saved: Jacket or coat")
    expect(page.locator("#advice")).to_have_text("At least one photo is missing. Please add one.")
    assert listing_of(page, system)["confirmation"]["label"] == "outwear"


def test_photos_can_be_pasted(page: Page, photos: Path) -> None:
    transfer(page, "paste", files(photos, front=photo("t-shirt")))

    verdict(page, "We suggest: T-shirt")


def test_a_heic_has_the_picture_that_the_api_makes(page: Page, photos: Path) -> None:
    path = photos / "front.heic"
    path.write_bytes(encoded(garment("t-shirt"), "HEIF"))

    add(page, [path])

    verdict(page, "We suggest: T-shirt")
    expect(page.locator(".tile img")).to_have_js_property("naturalWidth", 400)


def test_the_same_file_is_added_once(page: Page, photos: Path) -> None:
    paths = files(photos, front=photo("t-shirt"))

    add(page, paths)
    add(page, paths)

    verdict(page, "We suggest: T-shirt")
    expect(page.locator(".tile")).to_have_count(1)


def test_the_large_view_walks_through_the_photos_and_chooses_the_cover(page: Page, photos: Path) -> None:
    add(page, files(photos, front=photo("t-shirt"), back=photo("t-shirt", (300, 400))))
    verdict(page, "We suggest: T-shirt")
    assert link_fields(page)["cover"] == "front.jpg"

    page.get_by_role("button", name="Photo 1, front.jpg, cover").click()
    page.keyboard.press("ArrowRight")
    large = page.get_by_role("dialog")
    expect(large).to_contain_text("Photo 2 of 2")
    expect(large.get_by_role("button", name="Next photo")).to_be_disabled()
    expect(large.get_by_role("img", name="Photo 2, back.jpg")).to_have_js_property("naturalWidth", 300)
    large.get_by_role("button", name="Make it the cover").click()
    page.keyboard.press("Escape")

    expect(page.get_by_role("button", name="Photo 2, back.jpg, cover")).to_be_visible()
    page.reload()
    expect(page.get_by_role("button", name=re.compile(r"Photo \d, back.jpg, cover"))).to_be_visible()


# Fingers.


@pytest.fixture
def phone(browser: Browser, system: System) -> Iterator[Page]:
    """Open the seller's page on a phone."""
    view: Any = {"width": 360, "height": 780}
    with browser.new_context(viewport=view, has_touch=True, is_mobile=True) as context:
        page, errors = watched(context)
        page.goto(system.url)
        yield page
        assert errors == []


def tap_twice(page: Page, control: Locator) -> None:
    """Tap the place where the control is, once it takes taps, and again at once."""
    control.scroll_into_view_if_needed()
    control.click(trial=True)
    box = control.bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.touchscreen.tap(x, y)
    page.wait_for_timeout(150)
    page.touchscreen.tap(x, y)


def test_a_second_tap_hits_no_control_that_has_come_under_the_finger(phone: Page, system: System, photos: Path) -> None:
    names = ["front", "back", "side", "hem"]
    add(phone, files(photos, **{name: photo("pants", (300 + 10 * number, 400)) for number, name in enumerate(names)}))
    verdict(phone, "We suggest: Pants")
    large = phone.get_by_role("dialog")

    tap_twice(phone, phone.get_by_role("button", name="Photo 2, back.jpg"))
    expect(large).to_contain_text("Photo 2 of 4")
    tap_twice(phone, large.get_by_role("button", name="Make it the cover"))
    expect(large.get_by_role("button", name="This is the cover")).to_be_disabled()
    tap_twice(phone, large.get_by_role("button", name="Close"))
    expect(large).to_be_hidden()
    tap_twice(phone, phone.get_by_role("button", name="Remove front.jpg"))
    expect(phone.locator(".tile")).to_have_count(3)
    phone.get_by_role("button", name="Undo").click()
    expect(phone.locator(".tile")).to_have_count(4)
    tap_twice(phone, chip(phone, "Pants"))
    expect(phone.locator("#verdict")).to_have_text("Done: Pants")
    tap_twice(phone, phone.get_by_role("button", name="Change"))
    expect(phone.locator("#verdict")).to_have_text("Choose another category")

    phone.wait_for_timeout(1000)
    expect(phone.locator(".tile")).to_have_count(4)
    assert link_fields(phone)["cover"] == "back.jpg"
    assert listing_of(phone, system)["confirmation"]["label"] == "pants"


def test_the_buttons_of_the_large_view_keep_their_places(phone: Page, photos: Path) -> None:
    add(phone, files(photos, wide=photo("pants", (600, 200)), high=photo("pants", (200, 600))))
    verdict(phone, "We suggest: Pants")
    buttons = phone.get_by_role("dialog").get_by_role("button")

    def places() -> list[Any]:
        return [button.bounding_box() for button in buttons.all()]

    phone.get_by_role("button", name="Photo 1, wide.jpg, cover").click()
    expect(phone.get_by_role("img", name="Photo 1, wide.jpg")).to_have_js_property("complete", value=True)
    before = places()
    phone.get_by_role("button", name="Next photo").click()
    expect(phone.get_by_role("img", name="Photo 2, high.jpg")).to_have_js_property("complete", value=True)
    assert places() == before
    phone.get_by_role("button", name="Make it the cover").click()
    assert places() == before


def test_a_phone_has_its_camera_for_each_photo(phone: Page, photos: Path) -> None:
    phone.get_by_role("button", name="Take a photo").wait_for()
    for name in ("front", "back"):
        camera = phone.get_by_role("button", name=re.compile("Take a photo|Camera"))
        with phone.expect_file_chooser() as chooser:
            camera.click()
        assert chooser.value.element.get_attribute("capture") == "environment"
        chooser.value.set_files(files(photos, **{name: photo("pants", (300 + len(name), 400))}))
        expect(phone.get_by_role("button", name=f"Remove {name}.jpg")).to_be_visible()

    verdict(phone, "We suggest: Pants")
    expect(phone.get_by_role("button", name="Add photos")).to_be_visible()


def test_the_buttons_on_a_phone_are_large_enough_for_fingers(phone: Page, photos: Path) -> None:
    """44 pixels. The buttons on the pictures have a larger area than they show."""
    add(phone, files(photos, front=photo("pants"), back=photo("pants", (300, 400)), text=b"text", none=b""))
    verdict(phone, "We suggest: Pants")
    phone.get_by_role("button", name="Remove back.jpg").click()

    sizes = {
        button.inner_text(): button.bounding_box()
        for button in phone.locator("button:visible:not(.remove, .cover)").all()
    }

    small = {name for name, box in sizes.items() if not box or min(box["height"], box["width"]) < 44}
    assert {"Camera", "Copy the link", "OK", "Remove", "Undo"} <= sizes.keys()
    assert small == set()


@pytest.mark.parametrize("root_size", ["100%", "200%"])
def test_the_page_fits_a_phone_that_enlarges_everything(
    browser: Browser, listing: "Listing", photos: Path, root_size: str
) -> None:
    """A viewport of 180 pixels is a phone with 200 % zoom. 360 pixels with large text are another way to enlarge."""
    width = 180 if root_size == "100%" else 360

    def check(page: Page) -> None:
        wide = page.locator("body *").evaluate_all(
            f"all => all.filter((one) => one.getBoundingClientRect().right > {width}).map((one) => one.outerHTML)"
        )
        assert wide == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width

    with browser.new_context(viewport={"width": width, "height": 390}, has_touch=True) as context:
        page, errors = watched(context)
        page.goto(listing.link(**{"return": "https://sell.second-hand-clothes.example:8443/next"}))
        page.evaluate(f"document.documentElement.style.fontSize = '{root_size}'")
        page.get_by_role("button", name="Add photos").wait_for()
        check(page)
        name = "a_long_name_that_goes_on_and_on"
        add(page, files(photos, front=photo("pants"), back=photo("pants", (300, 400)), **{name: b"text"}, none=b""))
        verdict(page, "We suggest: Pants")
        chip(page, "Something else").click()
        check(page)
        page.locator(".tile .open").first.click()
        check(page)
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Remove back.jpg").click()
        check(page)
        chip(page, "Pants").click()
        expect(page.get_by_role("link", name="Continue to")).to_be_visible()
        check(page)
        context.set_offline(True)
        page.get_by_role("button", name="Undo").first.click()
        expect(page.get_by_role("alert")).to_be_visible()
        check(page)
        assert errors == []


# Networks.


def test_a_photo_whose_announcement_got_no_answer_is_there_once(page: Page, system: System, photos: Path) -> None:
    """The first one makes the listing, the second one adds to it."""
    lost: list[str] = []

    def lose_first(route: Route) -> None:
        if len(lost) % 2:
            route.continue_()
        else:
            route.fetch()
            route.abort("connectionreset")
        lost.append(route.request.headers["idempotency-key"])

    page.route("**/uploads", lose_first)
    front, back = files(photos, front=photo("t-shirt"), back=photo("t-shirt", (300, 400)))
    add(page, [front])
    verdict(page, "We suggest: T-shirt")
    add(page, [back])
    expect(page.locator(".tile[data-state=ready]")).to_have_count(2)

    assert (lost[0], lost[2]) == (lost[1], lost[3])
    assert lost[0] != lost[2]
    listing = listing_of(page, system)
    assert (listing["total"], listing["pending"]) == (2, 0)


HTML = "<!doctype html><title>Log in</title>"


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, HTML), (200, "{}"), (403, HTML), (404, "{}"), (200, "")],
    ids=lambda value: str(value)[:9],
)
def test_an_answer_that_is_not_of_the_service_is_not_believed(
    context: BrowserContext, system: System, photos: Path, status: int, body: str
) -> None:
    """A login page of a hotel's network answers the first request of each kind, and of the bucket."""
    page, errors = watched(context)
    asked: dict[str, int] = {}

    def answer_first(route: Route) -> None:
        path = urlsplit(route.request.url).path
        kind = f"{route.request.method} {re.sub('[0-9a-f]{32}', 'ID', path).removeprefix('/listings')}"
        asked[kind] = asked.get(kind, 0) + 1
        is_believed = route.request.method == "DELETE" and body == ""
        if asked[kind] > 1 or is_believed:
            route.continue_()
        else:
            route.fulfill(
                status=status, body=body, content_type="text/html", headers={"Access-Control-Allow-Origin": "*"}
            )

    for url in (BUCKET, re.compile("/(model|uploads|batches|classifications|confirmation)")):
        page.route(url, answer_first)
    page.goto(system.url)
    add(page, files(photos, front=photo("pants"), back=photo("pants", (300, 400))))
    expect(page.get_by_role("alert")).to_have_text(
        "Another page answers instead of the shop. Does your network want you to log in? We keep trying."
    )
    verdict(page, "We suggest: Pants")
    page.get_by_role("button", name="Remove back.jpg").click()
    chip(page, "Pants").click()

    expect(page.locator("#verdict")).to_have_text("Done: Pants")
    listing = listing_of(page, system)
    assert (listing["total"], listing["confirmation"]["label"]) == (1, "pants")
    expected = {"GET /model", "POST /uploads", "POST /photos", "GET /batches/ID", "PUT /batches/ID/confirmation"}
    assert expected <= asked.keys()
    assert errors == []


def test_an_answer_whose_confirmation_got_lost_is_saved(page: Page, system: System, photos: Path) -> None:
    lost: list[Route] = []

    def lose_first(route: Route) -> None:
        if lost:
            route.continue_()
            return
        lost.append(route)
        route.fetch()
        route.abort("connectionreset")

    add(page, files(photos, front=photo("pants")))
    verdict(page, "We suggest: Pants")
    page.route("**/confirmation", lose_first)
    chip(page, "Pants").click()

    expect(page.locator("#verdict")).to_have_text("Done: Pants")
    expect(page.get_by_role("alert")).to_be_hidden()
    page.get_by_role("button", name="Undo: back to no category yet").click()
    verdict(page, "We suggest: Pants")
    assert listing_of(page, system)["confirmation"] is None


@pytest.mark.parametrize("unsaved", ["answer", "removal", "photo"])
def test_the_browser_asks_before_something_unsaved_is_lost(
    page: Page, context: BrowserContext, photos: Path, unsaved: str
) -> None:
    dialogs: list[str] = []

    def dismiss(dialog: Dialog) -> None:
        dialogs.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", dismiss)
    add(page, files(photos, front=photo("pants"), back=photo("pants", (300, 400))))
    verdict(page, "We suggest: Pants")
    chip(page, "Something else").click()
    context.set_offline(True)
    if unsaved == "answer":
        chip(page, "Pants").click()
        expect(page.locator("#advice")).to_have_text("Not saved yet. Please keep this page open.")
    elif unsaved == "removal":
        page.get_by_role("button", name="Remove front.jpg").click()
        page.get_by_role("button", name="Remove back.jpg").click()
    else:
        add(page, files(photos, hem=photo("pants", (350, 400))))

    with page.expect_event("dialog"):
        page.evaluate("location.reload()")
    assert dialogs == ["beforeunload"]


def test_two_photos_at_a_time_are_sent_and_the_first_ones_first(page: Page, photos: Path) -> None:
    held: list[Route] = []
    page.route(BUCKET, keep(held))
    names = ["first", "second", "third", "fourth"]
    add(page, files(photos, **{name: photo("t-shirt", (300 + len(name), 400)) for name in names}))

    for done in range(len(names)):
        page.wait_for_timeout(500)
        sent = [re.search(rb"(\w+)\.jpg", route.request.post_data_buffer or b"") for route in held]
        assert [found and found[1].decode() for found in sent] == names[: done + 2]
        expect(page.locator("#progress")).to_have_text(re.compile("still to send"))
        held[done].continue_()

    verdict(page, "We suggest: T-shirt")


def test_the_upload_goes_on_after_a_lost_connection(page: Page, context: BrowserContext, photos: Path) -> None:
    context.set_offline(True)
    add(page, files(photos, front=photo("t-shirt")))
    expect(page.get_by_role("alert")).to_have_text("You are offline. We go on as soon as you are online again.")

    context.set_offline(False)

    verdict(page, "We suggest: T-shirt")
    expect(page.get_by_role("alert")).to_be_hidden()


def test_a_broken_upload_is_sent_again(page: Page, photos: Path) -> None:
    broken: list[str] = []

    def break_twice(route: Route) -> None:
        if len(broken) == 2:
            route.continue_()
            return
        broken.append(route.request.url)
        route.abort("connectionreset")

    page.route(BUCKET, break_twice)
    add(page, files(photos, front=photo("t-shirt")))
    expect(page.get_by_role("alert")).to_have_text("We cannot reach the shop. We keep trying.")

    verdict(page, "We suggest: T-shirt")
    assert len(broken) == 2


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (429, "The shop is busy. We go on in a moment."),
        (503, "The shop is busy. We go on in a moment."),
        (502, "The shop's service has a problem. We keep trying."),
    ],
)
def test_a_request_is_repeated_after_the_time_that_the_service_asks_for(
    page: Page, photos: Path, status: int, text: str
) -> None:
    times: list[float] = []

    def refuse_once(route: Route) -> None:
        times.append(time.monotonic())
        if len(times) == 1:
            answer_with(status, {"Retry-After": "3"})(route)
        else:
            route.continue_()

    page.route("**/uploads", refuse_once)
    add(page, files(photos, front=photo("t-shirt")))

    expect(page.get_by_role("alert")).to_have_text(text)
    expect(page.get_by_role("button", name="Try now")).to_be_hidden()
    verdict(page, "We suggest: T-shirt")
    assert times[1] - times[0] >= 3


def test_a_limit_that_lasts_is_named(page: Page, photos: Path) -> None:
    page.route("**/uploads", answer_with(429, {"Retry-After": "3600"}))

    add(page, files(photos, front=photo("t-shirt")))

    expect(page.get_by_role("alert")).to_have_text(
        re.compile(r"The shop has reached its limit for now. We try again at \d+:\d\d")
    )


def test_a_form_that_has_ended_is_replaced(page: Page, system: System, photos: Path) -> None:
    refused: list[int] = []

    def refuse_once(route: Route) -> None:
        if refused:
            route.continue_()
            return
        refused.append(1)
        refuse_upload(route, 403)

    page.route(BUCKET, refuse_once)
    add(page, files(photos, front=photo("t-shirt")))

    verdict(page, "We suggest: T-shirt")
    wait_until(lambda: listing_of(page, system)["total"], lambda total: total == 1)
    expect(page.locator(".tile")).to_have_count(1)


def test_an_upload_that_the_bucket_refuses_can_be_tried_again(page: Page, photos: Path) -> None:
    page.route(BUCKET, lambda route: refuse_upload(route, 400))
    add(page, files(photos, front=photo("t-shirt")))
    problems = page.get_by_role("list", name="Problems")
    expect(problems).to_contain_text("front.jpg could not be sent")

    page.unroute(BUCKET)
    problems.get_by_role("button", name="Try again to send front.jpg").click()

    verdict(page, "We suggest: T-shirt")
    expect(problems.get_by_role("listitem")).to_have_count(0)


def test_an_answer_waits_for_photos_that_are_being_sent(
    context: BrowserContext, listing: "Listing", photos: Path
) -> None:
    page, _ = watched(context)
    page.goto(listing.link(**{"return": f"{SHOP}/next"}))
    way_on = page.get_by_role("link", name="Continue to shop.example")
    front, back = files(photos, front=photo("t-shirt"), back=photo("t-shirt", (300, 400)))
    add(page, [front])
    verdict(page, "We suggest: T-shirt")
    held: list[Route] = []
    page.route(BUCKET, keep(held))
    add(page, [back])
    expect(page.locator("#progress")).to_have_text("1 photo still to send")

    chip(page, "T-shirt").click()

    expect(page.locator("#verdict")).to_have_text("Saved: T-shirt")
    expect(page.locator("#advice")).to_have_text("Please keep this page open: 1 photo still to send.")
    expect(way_on).to_be_hidden()
    held[0].continue_()
    expect(page.locator("#verdict")).to_have_text("Done: T-shirt")
    expect(way_on).to_be_visible()


def test_the_page_asks_rarely_and_not_at_all_while_it_is_hidden(page: Page, photos: Path) -> None:
    add(page, files(photos, front=photo("t-shirt")))
    verdict(page, "We suggest: T-shirt")
    asked: list[Request] = []
    page.on("request", lambda request: asked.append(request) if "/batches/" in request.url else None)

    page.wait_for_timeout(10_000)
    assert len(asked) <= 3
    asked.clear()

    page.evaluate("Object.defineProperty(document, 'hidden', { configurable: true, value: true })")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_timeout(500)
    assert asked == []
    page.evaluate("Object.defineProperty(document, 'hidden', { configurable: true, value: false })")
    with page.expect_response(re.compile("/listings/batches/")) as response:
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    assert response.value.status == 304


# Access.


def test_the_token_is_only_in_the_header_and_after_the_number_sign(page: Page, photos: Path) -> None:
    sent: list[Request] = []
    page.on("request", keep(sent))
    add(page, files(photos, front=photo("t-shirt")))
    verdict(page, "We suggest: T-shirt")
    chip(page, "T-shirt").click()
    expect(page.locator("#verdict")).to_have_text("Done: T-shirt")
    page.reload()
    expect(page.locator(".tile img")).to_have_count(1)

    token = link_fields(page)["token"]
    assert [request.url for request in sent if token in request.url.partition("#")[0]] == []
    assert [request.url for request in sent if token in request.headers.get("referer", "")] == []
    opened = [request for request in sent if request.headers.get("authorization") == f"Bearer {token}"]
    assert {urlsplit(request.url).path.split("/")[1] for request in opened} == {"listings"}
    assert page.evaluate("JSON.stringify([localStorage, sessionStorage, document.cookie])") == '[{},{},""]'


def test_without_a_token_a_service_that_needs_a_key_sends_the_seller_to_the_shop(
    context: BrowserContext, system: System
) -> None:
    page, errors = watched(context)
    page.route("**/model", answer_with(403))

    page.goto(system.url)

    expect(page.get_by_role("heading", name="Open this page from the shop")).to_be_focused()
    assert page.get_by_role("button").count() == 0
    assert errors == []


def test_a_token_that_ends_says_so(page: Page, photos: Path) -> None:
    front, back = files(photos, front=photo("t-shirt"), back=photo("t-shirt", (300, 400)))
    add(page, [front])
    verdict(page, "We suggest: T-shirt")
    page.route("**/listings/**", answer_with(403))

    add(page, [back])

    expect(page.get_by_role("heading", name="This link does not work")).to_be_focused()
    expect(page.locator("#closed-text")).to_contain_text("1 photo could not be sent.")
    assert page.get_by_role("button").count() == 0


@pytest.mark.parametrize(
    ("fields", "title"),
    [
        ("listing=a&token=b", "This link does not work"),
        ("listing=a", "This link is not complete"),
        ("token=b", "This link is not complete"),
    ],
)
def test_a_wrong_link_says_so(context: BrowserContext, system: System, fields: str, title: str) -> None:
    page, _ = watched(context)

    page.goto(f"{system.url}/#{fields}&return=https://shop.example/sell")

    expect(page.get_by_role("heading", name=title)).to_be_visible()
    link = page.get_by_role("link", name="Continue to shop.example")
    expect(link).to_have_attribute("href", "https://shop.example/sell")


def test_a_listing_that_the_shop_has_deleted_says_so(page: Page, system: System, photos: Path) -> None:
    add(page, files(photos, front=photo("t-shirt")))
    verdict(page, "We suggest: T-shirt")
    requests.delete(f"{system.url}/batches/{link_fields(page)['listing']}", timeout=30).raise_for_status()

    page.reload()

    expect(page.get_by_role("heading", name="This listing was removed")).to_be_visible()


def test_a_return_address_that_is_no_web_address_is_ignored(context: BrowserContext, system: System) -> None:
    page, _ = watched(context)

    page.goto(f"{system.url}/#listing=a&token=b&return=javascript:alert(1)")

    expect(page.get_by_role("heading", name="This link does not work")).to_be_visible()
    assert page.get_by_role("link").count() == 0


# The shop.


@dataclass(frozen=True)
class Listing:
    """A listing that the shop's server has made."""

    api: str
    id: str
    token: str

    def link(self, **fields: str) -> str:
        """Return the address of the seller's page, with further fields."""
        return f"{self.api}/#{urlencode({'listing': self.id, 'token': self.token, **fields})}"


@pytest.fixture
def listing(system: System) -> Listing:
    """A listing without photos."""
    file = {"name": "placeholder.jpg", "content_type": "image/jpeg"}
    made = requests.post(f"{system.url}/uploads", json={"files": [file]}, timeout=30).json()
    requests.delete(f"{system.url}/classifications/{made['items'][0]['id']}", timeout=30).raise_for_status()
    return Listing(system.url, made["batch_id"], made["token"])


class _ShopPage(BaseHTTPRequestHandler):
    """A page of the shop that embeds the address after `?` and keeps the messages that it gets."""

    def do_GET(self) -> None:
        source = unquote(urlsplit(self.path).query)
        html = f"""<!doctype html><title>Shop</title><iframe src="{source}" width="600" height="700"></iframe>
            <script>messages = []; onmessage = ({{ data, origin }}) => messages.push({{ ...data, origin }});</script>"""
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(html.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's form
        pass


@pytest.fixture
def shop() -> Iterator[str]:
    """The origin of a shop. It is another one than the API's: it has another port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _ShopPage)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def open_shop(context: BrowserContext, shop: str, url: str) -> Page:
    page = context.new_page()
    page.goto(f"{shop}/sell?{quote(url, safe='')}")
    return page


@pytest.mark.parametrize("return_path", ["", "/next"], ids=["referrer", "return"])
def test_the_page_tells_the_shop_s_page_when_the_seller_has_answered(
    context: BrowserContext, shop: str, listing: Listing, photos: Path, return_path: str
) -> None:
    """Another answer and another cover are told, too."""
    link = listing.link(**{"return": shop + return_path}) if return_path else listing.link()
    outer = open_shop(context, shop, link)
    page = outer.frame_locator("iframe")
    paths = files(photos, front=photo("t-shirt"), back=photo("t-shirt", (300, 400)))
    page.locator("#files").set_input_files(paths)
    expect(page.locator("#progress")).to_have_text("2 photos")
    assert outer.evaluate("messages") == []

    page.get_by_role("button", name="T-shirt", exact=True).click()
    expect(page.locator("#verdict")).to_have_text("Done: T-shirt")
    page.get_by_role("button", name="Make back.jpg the cover").click()
    page.get_by_role("button", name="Change").click()
    page.get_by_role("button", name="None of these").click()
    expect(page.locator("#verdict")).to_have_text("Done: none of the categories")
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#verdict")).to_have_text("Done: T-shirt")

    batch_id, front = listing.id, f"{listing.id}/front.jpg"
    shirt: Any = {"name": "T-shirt", "google": 212, "shopify": "aa-1-13-8"}
    message = {"type": "listing-confirmed", "batch_id": batch_id, "label": "t-shirt", "category": shirt, "cover": front}
    other = {**message, "cover": f"{batch_id}/back.jpg"}
    none: dict[str, Any] = {**other, "label": None, "category": None}
    expected = [message, other, none, other]
    assert outer.evaluate("messages") == [{**one, "origin": listing.api} for one in expected]
    assert page.get_by_role("link", name="Continue to").count() == (1 if return_path else 0)


def test_the_page_tells_the_shop_s_page_when_the_seller_has_taken_the_answer_back(
    context: BrowserContext, shop: str, listing: Listing, photos: Path
) -> None:
    outer = open_shop(context, shop, listing.link())
    page = outer.frame_locator("iframe")
    page.locator("#files").set_input_files(files(photos, front=photo("t-shirt")))
    expect(page.locator("#verdict")).to_have_text("We suggest: T-shirt")

    page.get_by_role("button", name="T-shirt", exact=True).click()
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#verdict")).to_have_text("We suggest: T-shirt")

    confirmed, reopened = outer.evaluate("messages")
    assert confirmed["type"] == "listing-confirmed"
    assert reopened == {"type": "listing-reopened", "batch_id": listing.id, "origin": listing.api}


def test_the_page_tells_the_shop_s_page_when_no_photo_is_left(
    context: BrowserContext, shop: str, listing: Listing, photos: Path
) -> None:
    outer = open_shop(context, shop, listing.link())
    page = outer.frame_locator("iframe")
    page.locator("#files").set_input_files(files(photos, front=photo("t-shirt")))
    expect(page.locator("#verdict")).to_have_text("We suggest: T-shirt")
    page.get_by_role("button", name="T-shirt", exact=True).click()
    expect(page.locator("#verdict")).to_have_text("Done: T-shirt")

    page.get_by_role("button", name="Remove front.jpg").click()
    page.get_by_role("button", name="Undo").last.click()
    expect(page.locator("#verdict")).to_have_text("Done: T-shirt")

    types = [message["type"] for message in outer.evaluate("messages")]
    assert types == ["listing-confirmed", "listing-reopened", "listing-confirmed"]


def test_the_link_can_be_copied(context: BrowserContext, listing: Listing) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page, errors = watched(context)
    page.goto(listing.link())
    expect(page.get_by_label("Another device")).to_contain_text("whoever has it can change this listing")

    page.get_by_role("button", name="Copy the link").click()

    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == page.url
    expect(page.get_by_role("textbox")).to_be_hidden()
    assert errors == []


def test_a_frame_that_may_not_copy_shows_the_link(context: BrowserContext, shop: str, listing: Listing) -> None:
    page = open_shop(context, shop, listing.link()).frame_locator("iframe")

    page.get_by_role("button", name="Copy the link").click()

    field = page.get_by_role("textbox", name="Copy it from here")
    expect(field).to_have_value(listing.link())
    expect(field).to_be_focused()
    assert field.evaluate("field => field.value.slice(field.selectionStart, field.selectionEnd)") == listing.link()


def test_the_page_tells_nothing_to_an_origin_that_is_not_that_of_the_return_address(
    context: BrowserContext, shop: str, listing: Listing, photos: Path
) -> None:
    outer = open_shop(context, shop, listing.link(**{"return": "https://other.example/"}))
    page = outer.frame_locator("iframe")
    page.locator("#files").set_input_files(files(photos, front=photo("t-shirt")))
    expect(page.locator("#progress")).to_have_text("1 photo")

    page.get_by_role("button", name="T-shirt", exact=True).click()

    expect(page.locator("#verdict")).to_have_text("Done: T-shirt")
    outer.wait_for_timeout(300)
    assert outer.evaluate("messages") == []


def test_the_done_listing_leads_to_the_return_address(context: BrowserContext, listing: Listing, photos: Path) -> None:
    context.route(f"{SHOP}/**", lambda route: route.fulfill(content_type="text/html", body="<title>Shop</title>"))
    page, errors = watched(context)
    page.goto(listing.link(**{"return": f"{SHOP}/next?id=7"}))
    add(page, files(photos, front=photo("pants")))
    verdict(page, "We suggest: Pants")
    chip(page, "Pants").click()

    with page.expect_request(f"{SHOP}/**") as request:
        page.get_by_role("link", name="Continue to shop.example").click()

    expect(page).to_have_title("Shop")
    assert request.value.url == f"{SHOP}/next?id=7"
    assert "referer" not in request.value.headers
    assert errors == []


# People.


def press_until(page: Page, key: str, name: str) -> None:
    """Press a key until the control with this name has the focus."""
    focused = "document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent"
    for _ in range(40):
        page.keyboard.press(key)
        if page.evaluate(focused) == name:
            return
    raise AssertionError(f"{key} does not reach {name!r}")


def test_the_page_works_with_the_keyboard_alone(page: Page, system: System, photos: Path) -> None:
    # Without a listener, Chromium opens its own dialog if Enter is pressed before the test waits for the file chooser.
    page.on("filechooser", lambda _: None)
    press_until(page, "Tab", "Add photos")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(files(photos, front=photo("pants"), hem=photo("pants", (300, 400)), wrong=photo()))
    expect(page.locator("#progress")).to_have_text("3 photos")

    press_until(page, "Shift+Tab", "Remove wrong.jpg")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Photo 2, hem.jpg")).to_be_focused()
    press_until(page, "Shift+Tab", "Photo 1, front.jpg, cover")
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowRight")
    press_until(page, "Tab", "Make it the cover")
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Photo 1, front.jpg")).to_be_focused()
    press_until(page, "Tab", "Pants")
    page.keyboard.press("Enter")

    expect(page.locator("#verdict")).to_have_text("Done: Pants")
    expect(page.locator("#verdict")).to_be_focused()
    press_until(page, "Tab", "Change")
    page.keyboard.press("Enter")
    press_until(page, "Tab", "Shorts")
    page.keyboard.press("Space")
    expect(page.locator("#verdict")).to_have_text("Done: Shorts")
    wait_until(lambda: listing_of(page, system)["total"], lambda total: total == 2)


def listen(page: Page) -> list[str]:
    """Return a list that gets what screen readers are told."""
    said: list[str] = []
    page.expose_function("hear", keep(said))
    page.evaluate(
        "new MutationObserver(() => hear(document.getElementById('live').textContent))"
        ".observe(document.getElementById('live'), { childList: true })"
    )
    return said


def test_a_screen_reader_is_told_what_happens(page: Page, photos: Path) -> None:
    said = listen(page)
    add(page, files(photos, front=photo("t-shirt"), text=b"text"))
    verdict(page, "We suggest: T-shirt")
    expect(page.locator("#advice")).to_have_text("Press it to agree, or choose another.")
    page.wait_for_timeout(500)
    assert said[-1].endswith("Press it to agree, or choose another.")
    chip(page, "T-shirt").click()
    expect(page.locator("#verdict")).to_have_text("Done: T-shirt")
    page.wait_for_timeout(500)

    heard = " ".join(said)
    for text in ("2 photos added.", "its content is not a photo", "We suggest: T-shirt.", "Done: T-shirt."):
        assert text in heard
    expect(page.locator("#live")).to_have_text("")


def test_a_screen_reader_hears_a_question_as_one(page: Page, photos: Path) -> None:
    said = listen(page)
    add(page, files(photos, care=care_label()))

    verdict(page, "Which category fits best?")
    page.wait_for_timeout(500)
    assert "Which category fits best? We cannot tell for certain." in " ".join(said)


def test_a_screen_reader_finds_no_old_text_when_the_link_has_ended(page: Page, photos: Path) -> None:
    front, back = files(photos, front=photo("t-shirt"), back=photo("t-shirt", (300, 400)))
    add(page, [front])
    verdict(page, "We suggest: T-shirt")
    page.route("**/listings/**", answer_with(403))
    add(page, [back])

    expect(page.get_by_role("heading", name="This link does not work")).to_be_focused()
    page.wait_for_timeout(400)
    assert page.locator("#live").inner_text() == ""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_the_pages_are_accessible_and_fit_the_width(
    browser: Browser, system: System, photos: Path, scheme: Any, width: int
) -> None:
    """axe finds no violation in any state of the page in both colour schemes. Nothing overflows."""

    def check(page: Page) -> None:
        page.wait_for_timeout(400)  # transitions
        assert Axe().run(page).response["violations"] == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width

    with browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 780}) as context:
        page = context.new_page()
        page.goto(system.url)
        page.get_by_role("button", name="Add photos").wait_for()
        check(page)
        held: list[Route] = []
        is_free: list[bool] = []
        page.route(BUCKET, lambda route: route.continue_() if is_free else held.append(route))
        name = "a_long_name_that_goes_on_and_on_and_on_and_on_and_on"
        add(page, files(photos, front=photo("t-shirt"), back=photo("t-shirt", (300, 400)), **{name: b"text"}))
        expect(page.locator("#progress")).to_have_text("3 photos still to send")
        page.wait_for_timeout(500)
        check(page)
        is_free.append(True)
        for route in held:
            route.continue_()
        expect(page.get_by_role("list", name="Problems")).to_contain_text("its content is not a photo")
        verdict(page, "We suggest: T-shirt")
        chip(page, "Something else").click()
        check(page)
        page.locator(".tile .open").first.click()
        check(page)
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Remove back.jpg").click()
        check(page)
        chip(page, "Skirt").click()
        expect(page.locator("#verdict")).to_have_text("Done: Skirt")
        check(page)
        page.get_by_role("button", name="Change").click()
        check(page)
        context.set_offline(True)
        add(page, [ROOT / "local" / "t-shirt.jpg"])
        expect(page.get_by_role("alert")).to_be_visible()
        check(page)
        context.set_offline(False)
        page.goto(f"{system.url}/docs")
        page.wait_for_load_state("networkidle")
        check(page)
        page.goto(f"{system.url}/#listing=a&token=b")
        expect(page.get_by_role("heading", name="This link does not work")).to_be_visible()
        check(page)


def test_without_script_the_page_says_what_to_do(browser: Browser, system: System) -> None:
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(system.url)

        expect(page.get_by_role("heading")).to_have_text("Please switch on JavaScript")
        assert page.get_by_role("button").count() == 0


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
