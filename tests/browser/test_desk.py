"""The review desk in Chromium: answers by keyboard, undo, filters, colleagues, broken networks and accessibility."""

import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from statistics import median, quantiles
from typing import Any
from urllib.parse import quote

import pytest
import requests
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Route, expect

from tests.support.drawings import encoded, photo
from tests.support.local_system import System, running, wait_until
from tests.support.paths import ROOT, SHIPPED_MODEL
from tests.support.ports import free_port
from tests.support.scale import Scale

TIMEOUT_MILLISECONDS = 15_000  # long enough for a busy machine
expect.set_options(timeout=TIMEOUT_MILLISECONDS)
QUEUE = "/classifications?needs_review=true&confirmed=false&limit=100"
CONFIRMATIONS = re.compile("/confirmations/")
LISTS = re.compile(r"/classifications\?")
LOGIN_PAGE = "<!doctype html><title>Please log in</title>"
NOT_FROM_THE_SERVICE = "The desk got an answer that is not from the service"
LANDSCAPE_WIDTH = 480  # pixels: no other drawn photo is as wide
DECISION_MILLISECONDS = 2500  # a look and a key: 200 photos are 8 minutes and 20 seconds then

# Left, top, right and bottom of the parts of real photos, as shares of the photo: close-ups, as sellers take them.
PARTS = {
    "front": (0, 0, 1, 1),
    "neck": (0, 0, 1, 0.6),
    "detail": (0.25, 0.25, 0.75, 0.75),
    "hem": (0.1, 0.3, 0.9, 1),
}


class Desk:
    """The local system whose photos all need review, and how tests fill and read its queue."""

    def __init__(self, system: System) -> None:
        self.system = system
        self._tests = 0

    def start_test(self) -> None:
        """Delete all photos, and choose new ids: those of deleted photos stay deleted."""
        self._tests += 1
        while items := self.system.get("/classifications?limit=100").json()["items"]:
            for item in items:
                requests.delete(f"{self.system.url}/classifications/{quote(item['id'])}", timeout=30)

    def add(self, *names: str, kind: str = "t-shirt") -> list[str]:
        """Upload drawn photos, and return their ids once they are in the queue."""
        ids = [f"test-{self._tests}-{name}" for name in names]
        for number, identifier in enumerate(ids):
            self.system.upload(identifier, photo(kind, (300 + 10 * (number % 20), 400)))
        wait_until(lambda: set(ids) <= {item["id"] for item in self.queue()}, bool, 60)
        return ids

    def add_many(self, count: int, kind: str = "t-shirt") -> list[str]:
        """Upload that many photos, each in a listing of its own."""
        return self.add(*(f"{number}/front.jpg" for number in range(count)), kind=kind)

    def add_files(self, *contents: bytes) -> list[str]:
        """Upload files that are no photos, each in a listing of its own, and return their ids."""
        ids = [f"test-{self._tests}-{number}/text.jpg" for number in range(len(contents))]
        for identifier, content in zip(ids, contents, strict=True):
            self.system.upload(identifier, content)
        wait_until(self.queue, lambda items: len(items) == len(ids))
        return ids

    def add_real_photos(self) -> None:
        """Upload the photos of this repository, whole and in parts. The last part has a listing of its own."""
        files = [*sorted((ROOT / "local").glob("*.jpg")), *sorted((SHIPPED_MODEL / "known").glob("*.jpg"))]
        whole = [Image.open(file).convert("RGB") for file in files]
        for name, part in PARTS.items():
            for position, picture in enumerate(whole):
                (left, top, right, bottom), (width, height) = part, picture.size
                corners = (left * width, top * height, right * width, bottom * height)
                listing = 10_000 + 20 * self._tests + position + (10 if name == "hem" else 0)
                self.system.upload(f"listing-{listing}/{name}.jpg", encoded(picture.crop(corners)))
        wait_until(self.queue, lambda items: len(items) == len(PARTS) * len(whole), 60)

    def queue(self) -> list[dict[str, Any]]:
        """Return all photos that need review."""
        items: list[dict[str, Any]] = []
        cursor: str | None = ""
        while cursor is not None:
            page = self.system.get(QUEUE + (f"&cursor={cursor}" if cursor else "")).json()
            items += page["items"]
            cursor = page["next_cursor"]
        return items

    def read(self, identifier: str) -> dict[str, Any]:
        classification: dict[str, Any] = self.system.get(f"/classifications/{quote(identifier)}").json()
        return classification

    def wait_for_label(self, identifier: str, label: str | None) -> None:
        """Wait until the shop has said so."""
        wanted = {"label": label, "by": "shop"}
        wait_until(lambda: self.read(identifier)["confirmation"], lambda said: said and wanted.items() <= said.items())

    def wait_until_empty(self) -> None:
        wait_until(self.queue, lambda items: items == [])

    def replace(self, identifier: str, data: bytes | None = None) -> None:
        """Upload another file to the id, in landscape if it is a photo. Return once it is classified."""
        before = self.read(identifier)["image"]["etag"]
        self.system.upload(identifier, data or photo("pants", (LANDSCAPE_WIDTH, 300)))
        wait_until(lambda: self.read(identifier)["image"]["etag"], lambda etag: etag != before)

    def confirm(self, identifier: str, label: str | None) -> None:
        """Answer, as a colleague does."""
        url = f"{self.system.url}/confirmations/{quote(identifier)}"
        requests.put(url, json={"label": label}, timeout=30).raise_for_status()

    def confirm_as_seller(self, identifier: str, label: str | None, *, only_photo: bool = False) -> None:
        """Answer for the whole listing of a photo, or for the photo alone, with the listing's token."""
        listing = identifier.partition("/")[0]
        files = [{"name": "more.jpg", "content_type": "image/jpeg"}]
        content: Any = {"files": files, "batch_id": listing}
        token = requests.post(f"{self.system.url}/uploads", json=content, timeout=30).json()["token"]
        path = f"confirmations/{quote(identifier)}" if only_photo else f"batches/{listing}/confirmation"
        headers = {"Authorization": f"Bearer {token}"}
        url = f"{self.system.url}/listings/{path}"
        requests.put(url, json={"label": label}, headers=headers, timeout=30).raise_for_status()


@pytest.fixture(scope="session")
def review_system(tmp_path_factory: pytest.TempPathFactory, model_option: tuple[str, str]) -> Iterator[Desk]:
    output = tmp_path_factory.mktemp("desk") / "output"
    with running(free_port(), free_port(), output, "--fail", "all-need-review", *model_option) as started:
        yield Desk(started)


@pytest.fixture
def desk(review_system: Desk) -> Desk:
    """Return the system with an empty queue."""
    review_system.start_test()
    return review_system


@pytest.fixture
def open_desk(browser: Browser, desk: Desk) -> Iterator[Callable[..., Page]]:
    """Return a function that opens the desk as one more person. At the end, check that no script raised an error."""
    contexts: list[BrowserContext] = []
    errors: list[str] = []

    def open_page(address: str = "/desk", *, intercepts: bool = False, **options: Any) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        contexts.append(context)
        page = context.new_page()
        if intercepts:  # Chromium begins to intercept requests a moment after the first route is set
            page.route("**/nothing", lambda route: route.abort())
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if "Security Policy" in message.text else None)
        page.goto(desk.system.url + address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert errors == []


def tiles(page: Page) -> Locator:
    """Return the photos that have no answer yet."""
    return page.locator('[role="option"]:not([aria-disabled="true"])')


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def wait_in(page: Page, is_wanted: Callable[[], bool]) -> None:
    """Wait until a condition is true, while the page's events are handled."""
    deadline = time.monotonic() + TIMEOUT_MILLISECONDS / 1000
    while not is_wanted():
        assert time.monotonic() < deadline
        page.wait_for_timeout(50)


def wait_until_sent(page: Page) -> None:
    wait_in(page, lambda: page.evaluate("session.outbox.length") == 0)


def current_id(page: Page) -> str:
    """Return the id of the photo that the next key answers."""
    text: str = page.locator("#which").inner_text()
    return text.rpartition(" · ")[0]


def wait_for_landscape(page: Page) -> None:
    """Wait until the panel shows the picture of a replaced photo."""
    width = "document.querySelector('#large img')?.naturalWidth"
    wait_in(page, lambda: page.evaluate(width) == LANDSCAPE_WIDTH)


def key_of(page: Page, name: str) -> str:
    """Return the key of a label, as its button shows it."""
    button = page.locator("#labels button").filter(has=page.get_by_text(name, exact=True))
    key: str = button.locator("kbd").inner_text()
    return key


@contextmanager
def failing(page: Page, address: re.Pattern[str], **answer: Any) -> Iterator[list[str]]:
    """Answer requests to the address so, or break the connection. Yield the methods of these requests."""
    methods: list[str] = []

    def fail(route: Route) -> None:
        methods.append(route.request.method)
        if answer:
            route.fulfill(**answer)
        else:
            route.abort("connectionreset")

    page.route(address, fail)
    yield methods
    page.unroute(address)


def hold_at_start(page: Page, address: str) -> Route:
    """Load the page again, and hold its first request to the address."""
    wait_in(page, lambda: page.evaluate("visit") == 1)  # nothing of the first visit is on the way
    held: list[Route] = []
    page.route(address, lambda route: held.append(route))  # noqa: PLW0108 - Playwright cannot take a method of a list
    page.reload()
    wait_in(page, lambda: bool(held))
    return held[0]


@contextmanager
def losing_reply(page: Page, method: str) -> Iterator[list[int]]:
    """Let the first such request reach the service, and lose its reply. Yield the statuses of lost replies."""
    lost: list[int] = []

    def lose(route: Route) -> None:
        if route.request.method == method and not lost:
            lost.append(route.fetch().status)
            route.abort("connectionreset")
        else:
            route.continue_()

    page.route(CONFIRMATIONS, lose)
    yield lost
    page.unroute(CONFIRMATIONS)


@contextmanager
def just_before(page: Page, method: str, action: Callable[[], None]) -> Iterator[list[int]]:
    """Do something when the first such request is on the way. Yield the statuses of the replies to these requests."""
    statuses: list[int] = []

    def hold(route: Route) -> None:
        if route.request.method != method:
            route.continue_()
            return
        if not statuses:
            action()
        reply = route.fetch()
        statuses.append(reply.status)
        route.fulfill(response=reply)

    page.route(CONFIRMATIONS, hold)
    yield statuses
    page.unroute(CONFIRMATIONS)


def error(code: str) -> str:
    return json.dumps({"error": {"code": code, "message": "Please wait."}, "request_id": "1"})


def save_small(png: bytes, path: Path) -> None:
    """Save a screenshot with 256 colours: a third of the bytes, and hardly a difference to the eye."""
    colours = Image.open(BytesIO(png)).convert("RGB").quantize(256, method=Image.Quantize.MAXCOVERAGE, kmeans=1)
    colours.save(path, optimize=True)


def test_twenty_photos_are_worked_off_by_keyboard(desk: Desk, open_desk: Callable[..., Page]) -> None:
    ids = desk.add_many(20)
    page = open_desk()
    expect(page.locator("#counts")).to_have_text("20 left · 0 answered")

    dress = key_of(page, "Dress")
    for number in range(20):
        expect(page.locator("#which")).to_contain_text("front.jpg")
        press(page, "Enter" if number % 4 else dress)

    expect(page.locator("#state")).to_contain_text("Nothing needs review.")
    expect(page.locator("#counts")).to_have_text("0 left · 20 answered · 75 % agree with the model")
    desk.wait_until_empty()
    said = Counter(desk.read(one)["confirmation"]["label"] for one in ids)
    assert said["dress"] == 5
    assert said.total() == 20


def test_the_least_certain_photo_comes_first(desk: Desk, open_desk: Callable[..., Page]) -> None:
    desk.add_many(4)
    desk.add("a/1.jpg", "a/2.jpg", "b/1.jpg", kind="pants")

    page = open_desk()

    expect(tiles(page)).to_have_count(7)
    order = []
    for _ in range(7):
        order.append(current_id(page))
        press(page, "ArrowRight")
    items = {item["id"]: item for item in desk.queue()}
    least: dict[str, float] = {}
    for item in items.values():
        least[item["batch_id"]] = min(item["confidence"], least.get(item["batch_id"], 1))
    shown = [least[items[one]["batch_id"]] for one in order]
    assert shown == sorted(shown)
    places = [place for place, one in enumerate(order) if "-a/" in one]
    assert places[1] == places[0] + 1, "the photos of a listing are together"


def test_an_answer_is_for_all_selected_photos(desk: Desk, open_desk: Callable[..., Page]) -> None:
    desk.add_many(6)
    page = open_desk()
    expect(tiles(page)).to_have_count(6)

    press(page, "Space", "ArrowRight", "ArrowRight", "Space")
    expect(page.get_by_role("button", name="Accept 2")).to_be_visible()
    for place in (0, 2):
        expect(tiles(page).nth(place)).to_have_attribute("aria-selected", "true")
    press(page, key_of(page, "Skirt"))
    expect(tiles(page)).to_have_count(4)
    press(page, "Control+a", "n")

    expect(page.locator("#counts")).to_contain_text("0 left · 6 answered")
    desk.wait_until_empty()
    said = Counter(item["confirmation"]["label"] for item in desk.system.get("/classifications").json()["items"])
    assert said == {"skirt": 2, None: 4}


def test_the_photos_of_a_listing_and_a_range_can_be_selected(desk: Desk, open_desk: Callable[..., Page]) -> None:
    desk.add("a/1.jpg", "a/2.jpg", "b/1.jpg")
    page = open_desk("/desk")
    expect(tiles(page)).to_have_count(3)
    selected = page.locator('[role="option"][aria-selected="true"]')

    for _ in range(3):
        if "-a/" in current_id(page):
            break
        press(page, "ArrowRight")
    press(page, "g")
    expect(selected).to_have_count(2)
    press(page, "Escape")
    expect(selected).to_have_count(0)
    press(page, "Home", "Shift+ArrowRight", "Shift+ArrowRight")
    expect(selected).to_have_count(3)


def test_undo_takes_an_answer_back(desk: Desk, open_desk: Callable[..., Page]) -> None:
    desk.add_many(3)
    page = open_desk()
    expect(tiles(page)).to_have_count(3)
    identifier = current_id(page)
    press(page, key_of(page, "Hat"))
    desk.wait_for_label(identifier, "hat")

    press(page, "u")

    assert current_id(page) == identifier
    wait_until(lambda: desk.read(identifier)["confirmation"], lambda said: said is None)
    expect(page.locator("#counts")).to_have_text("3 left · 0 answered")
    press(page, "Control+a", "Enter", "Control+z")
    expect(tiles(page)).to_have_count(3)
    wait_until(desk.queue, lambda items: len(items) == 3)
    expect(tiles(page)).to_have_count(3)


def test_undo_at_once_leaves_no_answer(desk: Desk, open_desk: Callable[..., Page]) -> None:
    """The answer waits for another one, or is on its way: in the end, nothing is said."""
    (identifier,) = desk.add_many(1)
    page = open_desk()
    expect(tiles(page)).to_have_count(1)

    press(page, "Enter", "u", "n", "u", "Enter", "u")

    wait_until_sent(page)
    assert desk.read(identifier)["confirmation"] is None
    expect(tiles(page)).to_have_count(1)


def test_none_of_these(desk: Desk, open_desk: Callable[..., Page]) -> None:
    (identifier,) = desk.add_many(1)
    page = open_desk()
    expect(tiles(page)).to_have_count(1)

    press(page, "n")

    desk.wait_for_label(identifier, None)
    desk.wait_until_empty()


def test_a_skipped_photo_is_for_later(desk: Desk, open_desk: Callable[..., Page]) -> None:
    """It also is after a reload, and needs review still."""
    desk.add_many(2)
    page = open_desk()
    expect(tiles(page)).to_have_count(2)
    identifier = current_id(page)

    press(page, "s", "Enter")
    expect(page.locator("#state")).to_contain_text("Nothing needs review.")
    wait_until(desk.queue, lambda items: [item["id"] for item in items] == [identifier])
    page.reload()
    page.get_by_role("button", name="Show 1 photo that you skipped").click()

    expect(tiles(page)).to_have_count(1)
    press(page, "Enter")
    desk.wait_until_empty()


def test_a_button_keeps_the_focus_while_the_desk_looks_for_photos(desk: Desk, open_desk: Callable[..., Page]) -> None:
    desk.add_many(1)
    page = open_desk()
    expect(tiles(page)).to_have_count(1)
    press(page, "s")
    button = page.get_by_role("button", name="Show 1 photo that you skipped")
    button.focus()

    page.evaluate("check()")

    expect(button).to_be_focused()
    press(page, "Enter")
    expect(tiles(page)).to_have_count(1)


def test_keys_answer_in_the_large_picture_and_its_button_closes_it(desk: Desk, open_desk: Callable[..., Page]) -> None:
    desk.add_many(2)
    page = open_desk()
    expect(tiles(page)).to_have_count(2)

    press(page, "l", "Enter")
    expect(tiles(page)).to_have_count(1)
    press(page, "Tab", "Enter")

    expect(page.locator("dialog[open]")).to_have_count(0)
    expect(tiles(page)).to_have_count(1)
    expect(tiles(page)).to_be_focused()


def test_a_key_that_is_held_down_answers_once(desk: Desk, open_desk: Callable[..., Page]) -> None:
    desk.add_many(5)
    page = open_desk()
    expect(tiles(page)).to_have_count(5)

    for _ in range(4):
        page.keyboard.down("Enter")  # from the second on, these are repetitions
    page.keyboard.up("Enter")

    expect(tiles(page)).to_have_count(4)


def test_filters_by_label_and_time(desk: Desk, open_desk: Callable[..., Page]) -> None:
    ids = desk.add_many(2) + desk.add("p/1.jpg", kind="pants")
    labels = Counter(desk.read(one)["label"] for one in ids)
    page = open_desk()
    expect(tiles(page)).to_have_count(3)

    page.get_by_label("The model's label").select_option("Pants")
    expect(tiles(page)).to_have_count(labels["pants"])
    page.reload()
    expect(tiles(page)).to_have_count(labels["pants"])
    page.get_by_label("The model's label").select_option("All labels")
    page.get_by_label("Time of the upload").select_option("Last hour")
    expect(tiles(page)).to_have_count(3)


def test_old_photos_are_not_of_the_last_hour(desk: Desk, open_desk: Callable[..., Page]) -> None:
    desk.add_many(1)
    page = open_desk()
    expect(tiles(page)).to_have_count(1)

    page.evaluate("Date.now = () => Date.parse('2100-01-01')")
    page.get_by_label("Time of the upload").select_option("Last 30 days")

    expect(page.locator("#state")).to_contain_text("No photo fits these filters.")
    page.get_by_role("button", name="Remove the filters").click()
    expect(tiles(page)).to_have_count(1)


def test_sellers_who_disagree_with_the_model(desk: Desk, open_desk: Callable[..., Page]) -> None:
    disputed, agreed = desk.add("a/1.jpg", "b/1.jpg", kind="pants")
    label = desk.read(disputed)["label"]
    desk.confirm_as_seller(disputed, "skirt")
    desk.confirm_as_seller(agreed, desk.read(agreed)["label"])
    page = open_desk()
    page.get_by_role("button", name="Sellers disagree").click()
    expect(tiles(page)).to_have_count(1)
    expect(tiles(page)).to_contain_text("Seller: Skirt")

    press(page, "Enter")
    desk.wait_for_label(disputed, label)
    press(page, "u")
    wait_until(lambda: desk.read(disputed)["confirmation"], lambda said: said and said["by"] == "seller")
    wait_until_sent(page)
    press(page, "a")

    desk.wait_for_label(disputed, "skirt")
    expect(page.locator("#state")).to_contain_text("No seller disagrees with the model.")


def test_a_view_that_is_chosen_before_the_labels_arrive_is_opened(desk: Desk, open_desk: Callable[..., Page]) -> None:
    (disputed,) = desk.add_many(1)
    desk.confirm_as_seller(disputed, "skirt")
    page = open_desk(intercepts=True)
    held = hold_at_start(page, "**/model")

    page.get_by_role("button", name="Sellers disagree").click()
    held.continue_()

    expect(tiles(page)).to_contain_text("Seller: Skirt")
    expect(page.get_by_role("button", name="Sellers disagree")).to_have_attribute("aria-pressed", "true")


def test_a_view_that_is_chosen_while_the_desk_looks_for_colleagues_is_opened_once(
    desk: Desk, open_desk: Callable[..., Page]
) -> None:
    (disputed,) = desk.add_many(1)
    desk.confirm_as_seller(disputed, "skirt")
    page = open_desk(intercepts=True)
    colleagues = "**/classifications?confirmed=true&limit=*"
    held = hold_at_start(page, colleagues)
    page.get_by_role("button", name="Sellers disagree").click()
    expect(tiles(page)).to_contain_text("Seller: Skirt")

    with page.expect_response(colleagues):
        held.continue_()
    page.wait_for_timeout(100)  # for the page to handle the response

    assert page.evaluate("visit") == 1
    press(page, "n")
    desk.wait_for_label(disputed, None)


def test_a_listing_whose_seller_agrees_on_one_photo_is_not_disputed(desk: Desk, open_desk: Callable[..., Page]) -> None:
    """The model does not know care labels: what it says of them does not matter if a photo of the piece agrees."""
    desk.add("a/front.jpg", kind="pants")
    (care,) = desk.add("a/care.jpg", kind="t-shirt")
    (other,) = desk.add("b/front.jpg", kind="pants")
    assert desk.read(care)["label"] == "t-shirt"
    desk.confirm_as_seller(care, "pants")
    desk.confirm_as_seller(other, "skirt")
    page = open_desk()

    page.get_by_role("button", name="Sellers disagree").click()

    expect(tiles(page)).to_have_count(1)
    expect(tiles(page)).to_contain_text("Seller: Skirt")


def test_the_search_for_sellers_who_disagree_stops_after_ten_pages(open_desk: Callable[..., Page]) -> None:
    """A list can be as long as the shop is old. A button searches further back."""
    page = open_desk(intercepts=True)
    expect(page.locator("#state")).to_contain_text("Nothing needs review.")
    empty = json.dumps({"items": [], "next_cursor": "more"})
    with failing(page, re.compile("confirmed=true&status"), status=200, body=empty) as requested:
        page.get_by_role("button", name="Sellers disagree").click()
        expect(page.get_by_role("button", name="Look at older photos")).to_be_visible()
        assert len(requested) == 10
        page.get_by_role("button", name="Look at older photos").click()
        wait_in(page, lambda: len(requested) == 20)


def test_an_undone_answer_of_a_colleague_s_photo_leaves_the_colleague_s(
    desk: Desk, open_desk: Callable[..., Page]
) -> None:
    """Both gave the same answer. The colleague's came first, and stays when the other one is taken back."""
    identifier, _ = desk.add_many(2)
    page = open_desk()
    expect(tiles(page)).to_have_count(2)
    if current_id(page) != identifier:
        press(page, "ArrowRight")
    desk.confirm(identifier, "hat")

    press(page, key_of(page, "Hat"), "u")

    wait_until_sent(page)
    assert desk.read(identifier)["confirmation"]["label"] == "hat"
    expect(page.locator("#counts")).to_have_text("1 left · 0 answered")


def test_photos_without_a_picture_have_a_view_of_their_own(desk: Desk, open_desk: Callable[..., Page]) -> None:
    desk.system.upload("desk-text/a.jpg", b"just text")
    requests.post(f"{desk.system.url}/classifications", data=photo(), timeout=30).raise_for_status()
    wait_until(desk.queue, lambda items: len(items) == 2)
    page = open_desk()
    expect(page.locator("#state")).to_contain_text("Nothing needs review.")

    page.get_by_role("button", name="No picture (2)").click()

    expect(tiles(page)).to_have_count(2)
    expect(page.get_by_role("listbox")).to_contain_text("not an image in a supported format")
    press(page, "Control+a", "n")
    desk.wait_until_empty()


def test_two_people_never_answer_the_same_photo(
    desk: Desk, open_desk: Callable[..., Page], scale: Scale, record_property: Callable[[str, object], None]
) -> None:
    """Each photo has one answer: that of the person whose request came first. The other one is told.

    With `--whole`, each person takes the time that a person takes.
    """
    pause = scale.of(DECISION_MILLISECONDS // 2, short=250)
    ids = set(desk.add_many(40))
    accepted: Counter[str] = Counter()
    people = [open_desk(), open_desk()]
    for page in people:
        expect(tiles(page).first).to_be_visible()

        def note(response: Any) -> None:
            if response.request.method == "PUT" and response.status == 200:
                accepted[response.url.rpartition("/confirmations/")[2]] += 1

        page.on("response", note)
        page.evaluate(
            """() => {
                window.discarded = 0;
                const original = discard;
                discard = (...values) => { discarded += 1; return original(...values); };
            }"""
        )

    while any(tiles(page).count() for page in people):
        for page, key in zip(people, ("Enter", "n"), strict=True):
            press(page, key)
            page.wait_for_timeout(pause)

    desk.wait_until_empty()
    for page in people:
        expect(page.locator("#state")).to_contain_text("Nothing needs review.")
        wait_until_sent(page)
    assert accepted == Counter(ids)
    met = sum(page.evaluate("discarded") for page in people)
    assert met < 20, "in the same order, the two would meet at nearly each of the 40 photos"
    record_property("photos of 40 that two people answered at once", met)
    counted = sum(page.evaluate("session.answered") for page in people)
    assert counted == len(ids)


def test_of_two_people_among_sellers_who_disagree_the_second_is_refused(
    desk: Desk, open_desk: Callable[..., Page]
) -> None:
    """Also if the colleague's answer comes between this desk's look at the photo and its answer."""
    (identifier,) = desk.add_many(1)
    desk.confirm_as_seller(identifier, "skirt")
    page = open_desk("/desk#view=sellers", intercepts=True)
    expect(tiles(page)).to_have_count(1)

    with just_before(page, "PUT", lambda: desk.confirm(identifier, "hat")) as statuses:
        press(page, "n")
        wait_until_sent(page)

    assert statuses == [412]
    expect(page.get_by_role("status")).to_contain_text("Answered by somebody else: Hat. Your answer was not needed.")
    expect(page.locator("#counts")).to_have_text("0 left · 0 answered")
    assert desk.read(identifier)["confirmation"]["label"] == "hat"


def test_a_change_that_is_no_answer_does_not_refuse_an_answer(desk: Desk, open_desk: Callable[..., Page]) -> None:
    """Another version of the model has classified the photo. The seller's answer is still the one on the screen."""
    (identifier,) = desk.add_many(1)
    desk.confirm_as_seller(identifier, "skirt")
    page = open_desk("/desk#view=sellers", intercepts=True)
    expect(tiles(page)).to_have_count(1)

    def change_version() -> None:
        desk.system.client("dynamodb").update_item(
            TableName="classifications",
            Key={"id": {"S": identifier}},
            UpdateExpression="SET model_version = :version",
            ExpressionAttributeValues={":version": {"S": "another"}},
        )

    with just_before(page, "PUT", change_version) as statuses:
        press(page, "n")
        wait_until_sent(page)

    assert statuses == [412, 200]
    expect(page.locator("#counts")).to_have_text(re.compile("0 left · 1 answered"))
    desk.wait_for_label(identifier, None)


@pytest.mark.parametrize("view", ["review", "sellers", "nopicture"])
def test_an_answer_is_not_stored_for_a_photo_that_was_replaced(
    desk: Desk, open_desk: Callable[..., Page], view: str
) -> None:
    """Lists do not show the new photo yet. It comes back to the queue nevertheless, with its own picture and scores."""
    ids = desk.add_files(b"some text", b"more text") if view == "nopicture" else desk.add_many(2)
    if view == "sellers":
        for one in ids:
            desk.confirm_as_seller(one, "skirt")
    page = open_desk(f"/desk#view={view}", intercepts=True)
    expect(tiles(page)).to_have_count(2)
    identifier = current_id(page)
    said = desk.read(identifier)["confirmation"]
    lists = desk.system.get("/classifications?confirmed=true" if view == "sellers" else QUEUE).text

    with failing(page, LISTS, status=200, body=lists):
        desk.replace(identifier, b"another text" if view == "nopicture" else None)
        press(page, "n")
        wait_until_sent(page)
        expect(page.locator(".tile").first).to_contain_text("The photo was replaced")
        expect(page.get_by_role("status")).to_have_text("The photo was replaced. Your answer was not stored.")
        expect(page.locator("#counts")).to_have_text("2 left · 0 answered")
        assert desk.read(identifier)["confirmation"] == said

        press(page, "n")
        expect(tiles(page)).to_have_count(1)
        assert current_id(page) == identifier
        if view != "nopicture":
            wait_for_landscape(page)
            label = desk.system.get("/model").json()["categories"][desk.read(identifier)["label"]]["name"]
            expect(tiles(page)).to_contain_text(label)
        press(page, "n")
        desk.wait_for_label(identifier, None)


def test_a_photo_that_is_replaced_while_the_answer_is_on_the_way_gets_no_answer(
    desk: Desk, open_desk: Callable[..., Page]
) -> None:
    """The desk has read the photo before that. It shows the new one at once if there are no others."""
    (identifier,) = desk.add_many(1)
    page = open_desk(intercepts=True)
    expect(tiles(page)).to_have_count(1)

    with just_before(page, "PUT", lambda: desk.replace(identifier)) as statuses:
        press(page, "n")
        wait_until_sent(page)

    assert statuses == [412]
    expect(page.get_by_role("status")).to_have_text("The photo was replaced. Your answer was not stored.")
    assert desk.read(identifier)["confirmation"] is None
    wait_for_landscape(page)
    expect(page.locator("#counts")).to_have_text("1 left · 0 answered")


@pytest.mark.parametrize(("before", "after"), [([], ["Enter", "Enter"]), (["s"], ["Enter"])], ids=["open", "skipped"])
def test_a_replaced_photo_comes_back_by_itself(
    desk: Desk, open_desk: Callable[..., Page], before: list[str], after: list[str]
) -> None:
    """Also one that was skipped: the new photo was not."""
    desk.add_many(2)
    page = open_desk()
    expect(tiles(page)).to_have_count(2)
    identifier = current_id(page)
    press(page, *before)

    desk.replace(identifier)

    expect(page.locator(".tile").first).to_contain_text("The photo was replaced")
    press(page, *after)
    expect(tiles(page)).to_have_count(1)
    assert current_id(page) == identifier
    wait_for_landscape(page)
    press(page, "Enter")
    desk.wait_until_empty()


def test_undo_after_the_photo_was_replaced_shows_the_new_one(desk: Desk, open_desk: Callable[..., Page]) -> None:
    """The answer went with the old photo."""
    (identifier,) = desk.add_many(1)
    page = open_desk(intercepts=True)
    expect(tiles(page)).to_have_count(1)
    lists = desk.system.get(QUEUE).text

    with failing(page, LISTS, status=200, body=lists):
        press(page, "n")
        wait_until_sent(page)
        desk.replace(identifier)
        press(page, "u")
        expect(page.get_by_role("status")).to_have_text("The photo was replaced. There is nothing to take back.")
        wait_for_landscape(page)
        expect(page.locator("#counts")).to_have_text("1 left · 0 answered")
        press(page, key_of(page, "Hat"))
        desk.wait_for_label(identifier, "hat")


@pytest.mark.parametrize("is_on_the_way", [False, True], ids=["before", "at-the-same-moment"])
def test_undo_leaves_what_somebody_else_has_answered_since(
    desk: Desk, open_desk: Callable[..., Page], *, is_on_the_way: bool
) -> None:
    """The colleague has given the same answer, so that only its time tells the two apart."""
    (identifier,) = desk.add_many(1)
    page = open_desk(intercepts=True)
    expect(tiles(page)).to_have_count(1)
    press(page, key_of(page, "Hat"))
    wait_until_sent(page)
    if not is_on_the_way:
        desk.confirm(identifier, "hat")

    with just_before(page, "DELETE", lambda: desk.confirm(identifier, "hat") if is_on_the_way else None) as statuses:
        press(page, "u")
        wait_until_sent(page)

    assert statuses == [412]
    expect(page.get_by_role("status")).to_have_text(
        "Nothing was taken back: somebody else has answered this photo since."
    )
    assert desk.read(identifier)["confirmation"]["label"] == "hat"
    expect(page.locator("#counts")).to_have_text("0 left · 0 answered")


def test_a_seller_s_own_answer_for_a_photo_is_not_restored(desk: Desk, open_desk: Callable[..., Page]) -> None:
    """The desk says so. Another answer can be given at once, before that is known."""
    (identifier,) = desk.add_many(1)
    desk.confirm_as_seller(identifier, "skirt", only_photo=True)
    page = open_desk("/desk#view=sellers", intercepts=True)
    expect(tiles(page)).to_have_count(1)
    press(page, "n")
    desk.wait_for_label(identifier, None)

    press(page, "u", key_of(page, "Hat"))
    desk.wait_for_label(identifier, "hat")
    press(page, "u")

    expect(page.get_by_role("status")).to_contain_text("The seller's own answer could not be restored.")
    assert desk.read(identifier)["confirmation"] is None


def test_an_old_state_of_the_list_does_not_bring_an_answered_photo_back(
    desk: Desk, open_desk: Callable[..., Page]
) -> None:
    desk.add_many(1)
    old = desk.system.get(QUEUE).text
    page = open_desk(intercepts=True)
    expect(tiles(page)).to_have_count(1)
    press(page, "Enter")
    wait_until_sent(page)

    with failing(page, re.compile("needs_review=true"), status=200, body=old) as requested:
        page.get_by_role("button", name="No picture").click()
        page.get_by_role("button", name="Needs review").click()
        wait_in(page, lambda: len(requested) >= 2)
        expect(page.locator("#state")).to_contain_text("Nothing needs review.")


def test_a_colleague_s_answer_removes_the_photo(desk: Desk, open_desk: Callable[..., Page]) -> None:
    ids = desk.add_many(3)
    page = open_desk()
    expect(tiles(page)).to_have_count(3)
    other = next(one for one in ids if one != current_id(page))

    desk.confirm(other, "hat")

    expect(tiles(page)).to_have_count(2)
    expect(page.locator("#counts")).to_have_text("2 left · 0 answered")


def test_the_second_answer_is_refused_with_a_notice(desk: Desk, open_desk: Callable[..., Page]) -> None:
    desk.add_many(2)
    page = open_desk()
    expect(tiles(page)).to_have_count(2)
    identifier = current_id(page)
    desk.confirm(identifier, "hat")

    press(page, "n")

    expect(page.get_by_role("status")).to_contain_text(
        "Answered by somebody else: Hat. Your answer was not needed. Two people are at work"
    )
    expect(page.locator("#counts")).to_have_text("1 left · 0 answered")
    desk.wait_for_label(identifier, "hat")
    assert identifier not in current_id(page)


def test_a_desk_that_nobody_uses_reads_the_list_less_often(open_desk: Callable[..., Page]) -> None:
    """Each request counts for the API key's limit of a day."""
    page = open_desk()
    expect(page.locator("#state")).to_contain_text("Nothing needs review.")
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))

    page.evaluate("usedAt = 0; checkedAt = Date.now()")
    page.evaluate("check()")
    assert requested == []
    press(page, "Escape")
    page.evaluate("check()")
    wait_in(page, lambda: len(requested) == 1)


def test_a_new_photo_appears_by_itself(desk: Desk, open_desk: Callable[..., Page]) -> None:
    page = open_desk()
    expect(page.locator("#state")).to_contain_text("Nothing needs review.")

    desk.add_many(1)

    expect(tiles(page)).to_have_count(1)


def test_a_broken_network_loses_no_answer(desk: Desk, open_desk: Callable[..., Page]) -> None:
    ids = desk.add_many(8)
    page = open_desk()
    expect(tiles(page)).to_have_count(8)

    page.context.set_offline(True)
    for _ in range(8):
        press(page, "Enter")
    expect(page.get_by_role("alert")).to_contain_text("You are offline. Your answers are kept")
    assert len(desk.queue()) == 8
    page.context.set_offline(False)

    desk.wait_until_empty()
    expect(page.locator("#trouble")).to_be_empty()
    assert all(desk.read(one)["confirmation"]["by"] == "shop" for one in ids)


def open_one(desk: Desk, open_desk: Callable[..., Page], view: str) -> tuple[Page, str, Any]:
    """Open the view with one photo. Return the page, the photo's id, and what its seller has said of it."""
    (identifier,) = desk.add_many(1)
    if view == "Sellers disagree":
        desk.confirm_as_seller(identifier, "skirt")
    page = open_desk(intercepts=True)
    page.get_by_role("button", name=view).click()
    expect(tiles(page)).to_have_count(1)
    return page, identifier, desk.read(identifier)["confirmation"]


@pytest.mark.parametrize("view", ["Needs review", "Sellers disagree"])
def test_an_answer_whose_reply_was_lost_is_not_taken_for_a_colleague_s(
    desk: Desk, open_desk: Callable[..., Page], view: str
) -> None:
    """Undo takes it back as any other answer."""
    page, identifier, before = open_one(desk, open_desk, view)

    with losing_reply(page, "PUT") as lost:
        press(page, "n")
        wait_until_sent(page)

    assert lost == [200]
    assert desk.read(identifier)["confirmation"]["by"] == "shop"
    expect(page.locator("#counts")).to_contain_text("0 left · 1 answered")
    expect(page.locator("#notice")).to_be_empty()
    press(page, "u")
    wait_until_sent(page)
    assert desk.read(identifier)["confirmation"] == before


@pytest.mark.parametrize("view", ["Needs review", "Sellers disagree"])
def test_an_undo_whose_reply_was_lost_is_not_taken_for_a_colleague_s_answer(
    desk: Desk, open_desk: Callable[..., Page], view: str
) -> None:
    page, identifier, before = open_one(desk, open_desk, view)
    press(page, "n")
    desk.wait_for_label(identifier, None)

    with losing_reply(page, "DELETE") as lost:
        press(page, "u")
        wait_until_sent(page)

    assert lost == [200]
    assert desk.read(identifier)["confirmation"] == before
    expect(page.locator("#notice")).to_be_empty()
    expect(tiles(page)).to_have_count(1)
    press(page, "n")
    desk.wait_for_label(identifier, None)


def test_an_answer_that_arrived_before_a_reload_is_not_taken_for_a_colleague_s(
    desk: Desk, open_desk: Callable[..., Page]
) -> None:
    (identifier,) = desk.add_many(1)
    desk.confirm_as_seller(identifier, "skirt")
    page = open_desk("/desk#view=sellers", intercepts=True)
    expect(tiles(page)).to_have_count(1)
    page.on("dialog", lambda dialog: dialog.accept())  # the browser warns before it leaves the page

    with losing_reply(page, "PUT"):
        press(page, "n")
        wait_in(page, lambda: desk.read(identifier)["confirmation"]["by"] == "shop")
        page.reload()

    wait_until_sent(page)
    expect(page.locator("#counts")).to_contain_text("0 left · 1 answered")
    expect(page.locator("#notice")).to_be_empty()


def test_answers_survive_a_reload_while_the_service_fails(desk: Desk, open_desk: Callable[..., Page]) -> None:
    desk.add_many(3)
    page = open_desk(intercepts=True)
    expect(tiles(page)).to_have_count(3)
    page.on("dialog", lambda dialog: dialog.accept())  # the browser warns before it leaves the page

    with failing(page, CONFIRMATIONS, status=500, body=error("internal_error")):
        press(page, "Enter", "Enter")
        expect(page.get_by_role("alert")).to_contain_text("The service is busy or has a fault.")
        page.reload()

    wait_until_sent(page)
    assert len(desk.queue()) == 1
    expect(tiles(page)).to_have_count(1)


def test_the_browser_warns_before_unsent_answers_are_lost(desk: Desk, open_desk: Callable[..., Page]) -> None:
    desk.add_many(1)
    page = open_desk(intercepts=True)
    expect(tiles(page)).to_have_count(1)
    kinds: list[str] = []

    def dismiss(dialog: Any) -> None:
        kinds.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", dismiss)
    with failing(page, CONFIRMATIONS):
        press(page, "Enter")
        page.close(run_before_unload=True)
        wait_in(page, lambda: kinds != [])

    assert kinds == ["beforeunload"]
    wait_until_sent(page)
    assert desk.queue() == []


@pytest.mark.parametrize(
    ("address", "status", "body"),
    [
        ("/confirmations/", 200, LOGIN_PAGE),
        ("/confirmations/", 200, "{}"),
        ("/confirmations/", 404, LOGIN_PAGE),
        ("/classifications/", 200, "null"),
        (r"/classifications\?", 200, LOGIN_PAGE),
        (r"/classifications\?", 200, '{"items": [{}], "next_cursor": null}'),
        ("/thumbnails/", 200, LOGIN_PAGE),
        ("/model", 200, LOGIN_PAGE),
    ],
    ids=["answer", "answer-json", "answer-404", "record-json", "list", "list-json", "picture", "model"],
)
def test_an_answer_that_is_not_from_the_service_is_a_failed_attempt(
    desk: Desk, open_desk: Callable[..., Page], address: str, status: int, body: str
) -> None:
    """A proxy or a login page can answer in place of the service. The desk says so, and sends the request again."""
    desk.add_many(1)
    page = open_desk("/docs", intercepts=True)

    with failing(page, re.compile(address), status=status, body=body):
        page.goto(f"{desk.system.url}/desk")
        if address in {"/confirmations/", "/classifications/"}:
            expect(tiles(page)).to_have_count(1)
            press(page, "Enter")
            expect(page.get_by_role("alert")).to_contain_text("Your answers are kept")
            expect(page.locator("#counts")).to_contain_text("1 not sent yet")
        expect(page.get_by_role("alert")).to_contain_text(NOT_FROM_THE_SERVICE)

    expect(page.locator("#trouble")).to_be_empty()
    if tiles(page).count():
        expect(page.locator("#large img")).to_be_visible()
        press(page, "Enter")
    wait_until_sent(page)
    assert desk.queue() == []
    expect(page.locator("#notice")).to_be_empty()
    expect(page.locator("#counts")).to_contain_text("0 left · 1 answered")


@pytest.mark.parametrize("body", [LOGIN_PAGE, '{"items": null}'], ids=["html", "json"])
def test_the_desk_finds_new_photos_after_an_answer_that_is_not_from_the_service(
    desk: Desk, open_desk: Callable[..., Page], body: str
) -> None:
    page = open_desk(intercepts=True)
    expect(page.locator("#state")).to_contain_text("Nothing needs review.")

    with failing(page, LISTS, status=200, body=body):
        expect(page.get_by_role("alert")).to_contain_text(NOT_FROM_THE_SERVICE)
    desk.add_many(1)

    expect(tiles(page)).to_have_count(1)


@pytest.mark.parametrize("name", ["loadPages", "checkPage", "keepOwn"])
def test_the_desk_goes_on_after_an_exception(desk: Desk, open_desk: Callable[..., Page], name: str) -> None:
    """Photos are loaded, new ones are found, and answers are sent, if a script fails once in the middle of that."""
    page = open_desk()
    expect(page.locator("#state")).to_contain_text("Nothing needs review.")
    page.evaluate("addEventListener('unhandledrejection', (event) => event.preventDefault())")
    page.evaluate(
        f"""() => {{
            window.isRaised = false;
            const original = {name};
            {name} = (...values) => {{
                if (isRaised) return original(...values);
                isRaised = true;
                throw new Error("on purpose");
            }};
        }}"""
    )

    page.get_by_role("button", name="Needs review").click()
    desk.add_many(1)
    expect(tiles(page)).to_have_count(1)
    press(page, "Enter")
    wait_until_sent(page)

    assert page.evaluate("isRaised")
    assert desk.queue() == []
    expect(page.locator("#counts")).to_contain_text("0 left · 1 answered")


@pytest.mark.parametrize("address", ["view=constructor", "view=toString", "label=constructor", "hours=constructor"])
def test_an_unknown_view_or_filter_in_the_address_is_ignored(
    desk: Desk, open_desk: Callable[..., Page], address: str
) -> None:
    desk.add_many(1)

    page = open_desk(f"/desk#{address}")

    expect(tiles(page)).to_have_count(1)
    assert page.url.endswith("#view=review&label=&hours=")


def test_the_view_can_be_changed_before_the_desk_has_read_the_model(desk: Desk, open_desk: Callable[..., Page]) -> None:
    desk.add_files(b"just text")
    page = open_desk("/docs", intercepts=True)

    with failing(page, re.compile("/model$"), status=503, headers={"Retry-After": "1"}, body=error("busy")) as methods:
        page.goto(f"{desk.system.url}/desk")
        wait_in(page, lambda: methods != [])
        page.get_by_role("button", name="Sellers disagree").click()
        page.evaluate("location.hash = 'view=nopicture'")

    expect(tiles(page)).to_have_count(1)
    expect(page.get_by_role("button", name="No picture")).to_have_attribute("aria-pressed", "true")


def test_the_desk_pauses_as_long_as_the_service_asks(desk: Desk, open_desk: Callable[..., Page]) -> None:
    desk.add_many(2)
    page = open_desk(intercepts=True)
    expect(tiles(page)).to_have_count(2)

    with failing(page, CONFIRMATIONS, status=429, headers={"Retry-After": "3"}, body=error("busy")) as methods:
        press(page, "Enter")
        expect(page.get_by_role("alert")).to_contain_text("The service asks for a pause of 3 s.")
        press(page, "Enter")
        page.wait_for_timeout(1500)
        assert methods == ["PUT"]

    wait_until_sent(page)
    assert desk.queue() == []
    expect(page.locator("#trouble")).to_be_empty()


def test_the_desk_says_when_it_goes_on_after_a_long_pause(desk: Desk, open_desk: Callable[..., Page]) -> None:
    """API Gateway answers like this once a key has reached its daily limit. A network that returns changes nothing."""
    desk.add_many(2)
    page = open_desk(intercepts=True)
    expect(tiles(page)).to_have_count(2)

    with failing(page, CONFIRMATIONS, status=429, headers={"Retry-After": "3600"}, body=error("busy")) as methods:
        press(page, "Enter")
        message = "The service has reached its limit of requests. The desk tries again at "
        expect(page.get_by_role("alert")).to_contain_text(message)
        expect(page.get_by_role("alert")).to_contain_text("Your answers are kept")
        page.context.set_offline(True)
        page.context.set_offline(False)
        page.wait_for_timeout(1500)
        assert methods == ["PUT"]
    expect(page.locator("#counts")).to_contain_text("1 not sent yet")


def test_the_key_is_asked_for_and_kept_for_the_tab(desk: Desk, open_desk: Callable[..., Page]) -> None:
    """The stub answers 403 without the key, as API Gateway does."""
    desk.add_many(1)
    page = open_desk("/docs")

    def check(route: Route) -> None:
        if route.request.headers.get("x-api-key") == "secret":
            route.continue_()
        else:
            route.fulfill(status=403, content_type="application/json", body=error("invalid_request"))

    page.context.route(re.compile("/(classifications|confirmations|thumbnails|model)"), check)
    page.goto(f"{desk.system.url}/desk")
    page.get_by_label("API key").fill("wrong")
    press(page, "Enter")
    expect(page.get_by_role("dialog")).to_contain_text("did not accept this key")
    page.get_by_label("API key").fill("secret")
    press(page, "Enter")
    expect(tiles(page)).to_have_count(1)
    page.reload()
    expect(tiles(page)).to_have_count(1)

    second = page.context.new_page()
    second.goto(f"{desk.system.url}/desk")

    expect(second.get_by_label("API key")).to_be_visible()
    assert page.evaluate("localStorage.length") == 0
    press(page, "Enter")
    wait_until_sent(page)
    assert desk.queue() == []


def test_people_read_names_and_not_the_model_s_labels(desk: Desk, open_desk: Callable[..., Page]) -> None:
    desk.add_many(2)
    page = open_desk()
    expect(tiles(page)).to_have_count(2)

    text = page.locator("body").inner_text()
    assert "Jacket or coat" in text
    assert "Long-sleeved top" in text
    assert not re.search("outwear|longsleeve", text)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(360, 780), (1280, 780), (640, 400)], ids=["phone", "full", "zoom-200"])
def test_the_desk_is_accessible_and_fits_the_width(
    desk: Desk, open_desk: Callable[..., Page], scheme: str, width: int, height: int
) -> None:
    """Axe finds no violation in an empty and a filled desk, with answered and selected photos, and in its dialogs.

    All answers are in sight, also if the page is enlarged to 200 %.
    """
    page = open_desk(color_scheme=scheme, viewport={"width": width, "height": height})
    expect(page.locator("#state")).to_contain_text("Nothing needs review.")
    assert Axe().run(page).response["violations"] == []

    desk.add("a_long_name_that_goes_on_and_on_and_on_without_any_space/1.jpg", "b/1.jpg", "b/2.jpg", "c/1.jpg")
    expect(tiles(page)).to_have_count(4)
    press(page, "Enter", "Space")
    expect(tiles(page)).to_have_count(3)
    page.evaluate("notify('A notice.'); setTrouble('list', 'A fault.')")
    assert Axe().run(page).response["violations"] == []
    for button in page.locator("#panel button:visible").all():
        expect(button).to_be_in_viewport(ratio=1)
    for key in ("?", "l"):
        press(page, key)
        assert Axe().run(page).response["violations"] == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        press(page, "Escape")
    expect(page.locator("dialog[open]")).to_have_count(0)


def test_the_desk_works_by_touch(desk: Desk, open_desk: Callable[..., Page]) -> None:
    desk.add_many(3)
    page = open_desk(viewport={"width": 360, "height": 780}, has_touch=True, is_mobile=True)
    expect(tiles(page)).to_have_count(3)

    page.locator(".mark").nth(0).tap()
    page.locator(".mark").nth(1).tap()
    page.get_by_role("button", name="Accept 2").tap()
    expect(tiles(page)).to_have_count(1)
    page.get_by_role("button", name="None of these").tap()

    desk.wait_until_empty()


def test_200_photos_in_ten_minutes(
    desk: Desk, open_desk: Callable[..., Page], scale: Scale, record_property: Callable[[str, object], None]
) -> None:
    """One person decides on each photo once its picture is there. `--whole` gives the person time for a look.

    The page itself takes a small part of the three seconds that a photo may take.
    """
    desk.add_many(200)
    page = open_desk()
    expect(page.locator("#large img")).to_be_visible()
    page.evaluate(
        """() => {
            window.delays = [];
            addEventListener("keydown", (event) => {
                requestAnimationFrame(() => setTimeout(() => delays.push(performance.now() - event.timeStamp)));
            });
        }"""
    )
    pause = scale.of(DECISION_MILLISECONDS, short=0)
    waits, started = [], time.monotonic()
    for number in range(200):
        waiting = time.monotonic()
        page.wait_for_selector("#large img")
        waits.append(time.monotonic() - waiting)
        page.wait_for_timeout(pause)
        press(page, "n" if number % 5 == 0 else "Enter")
    desk.wait_until_empty()
    seconds = time.monotonic() - started

    delays = page.evaluate("delays")
    record_property("seconds for 200 photos", round(seconds))
    record_property("milliseconds from a key to the next photo, median", round(median(delays)))
    record_property("milliseconds from a key to the next photo, 99th percentile", round(quantiles(delays, n=100)[-1]))
    record_property("milliseconds of waiting for pictures, for each photo", round(1000 * sum(waits) / 200))
    assert len(delays) == 200
    assert median(delays) < 100
    assert seconds < 600


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_the_desk_shows_real_photos(
    desk: Desk, open_desk: Callable[..., Page], request: pytest.FixtureRequest, scheme: str, width: int
) -> None:
    """With `--screenshots`, this draws the pictures of docs/desk.md again."""
    desk.add_real_photos()
    phone = {"viewport": {"width": 360, "height": 780}, "has_touch": True, "is_mobile": True}
    page = open_desk(color_scheme=scheme, **(phone if width == 360 else {}))
    expect(tiles(page)).not_to_have_count(0)

    press(page, "Enter", "Space", "ArrowRight", "Space")
    wait_in(page, lambda: page.evaluate("shown.every((entry) => entry.picture?.url || entry.picture?.isFailed)"))
    assert page.evaluate("shown.every((entry) => entry.picture.url)")
    wait_until_sent(page)
    if request.config.getoption("--screenshots"):
        page.evaluate("notify(''); scrollTo(0, 0)")
        save_small(page.screenshot(), ROOT / "docs" / "screenshots" / f"desk-{width}-{scheme}.png")
