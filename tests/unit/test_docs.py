"""README and docs refer only to files, headings, tests and make targets that exist, and show the events as they are."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from classifier.eventbridge import EventType
from classifier.services import Services
from tests.support.api import Api, handle
from tests.support.bucket import Bucket
from tests.support.drawings import photo
from tests.support.events import s3_event
from tests.support.paths import ROOT, SHIPPED_MODEL
from tests.support.services import replace_parts
from tests.support.shown_answers import shown_versions, shows_shipped_model

PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
TESTS = ROOT / "tests"


def test_the_threat_model_names_tests_that_exist() -> None:
    page = (ROOT / "docs" / "threat-model.md").read_text()
    named = set(re.findall(r"`((?:stress|unit|integration|training|browser)/\w+\.py)(?:::(\w+))?`", page))

    assert len(named) > 10
    assert [file for file, _ in named if not (TESTS / file).is_file()] == []
    assert [test for file, test in named if test and f"def {test}(" not in (TESTS / file).read_text()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", page.read_text())

    assert [link for link in links if not exists(page, *link)] == []


def exists(page: Path, file: str, anchor: str) -> bool:
    """Return whether the page's link leads to a file and, if it has an anchor, to a heading of that file.

    Links to the card of the model are right if the pages are about this model. Another one may have no card.
    """
    target = (page.parent / file).resolve() if file else page
    if target.is_relative_to(SHIPPED_MODEL) and not shows_shipped_model():
        return True
    return target.exists() and (not anchor or anchor in anchors(target))


def anchors(page: Path) -> set[str]:
    """Return the anchors of the page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def test_every_make_target_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {name for page in PAGES for name in re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text(), re.MULTILINE)}

    assert {"run", "test"} <= named <= targets


class EventBridge:
    """Keeps the last detail of each type."""

    def __init__(self) -> None:
        self.details: dict[str, Any] = {}

    def put_events(self, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803 - the SDK's name
        self.details |= {entry["DetailType"]: json.loads(entry["Detail"]) for entry in Entries}
        return {"FailedEntryCount": 0}


def documented_events() -> dict[str, Any]:
    """Return the example of each type on the page of the API."""
    events = (ROOT / "docs" / "api.md").read_text().partition("\n## Events\n")[2].partition("\n## ")[0]
    found = re.findall(r"^### (.+?)\n(.*?)^```(?:json\n(.*?)^```)?", events, re.MULTILINE | re.DOTALL)
    return {title: json.loads(example) for title, _, example in found if example}


def shape(content: Any) -> Any:
    """Return the names of the fields with the types of their values, those of the first item for a list."""
    if isinstance(content, dict):
        return {name: shape(value) for name, value in content.items()}
    if isinstance(content, list):
        return [shape(item) for item in content[:1]]
    return type(content).__name__


def test_the_documented_events_have_the_fields_of_the_published_ones(services: Services, bucket: Bucket) -> None:
    bus = EventBridge()
    publishing = replace_parts(services, settings=replace(services.settings, event_bus="default"), eventbridge=bus)
    api, key = Api(publishing), "uploads/listing-45/front.jpg"
    bucket.put(key, photo())
    handle(s3_event(key), publishing)
    api.request("PUT", "/batches/listing-45/confirmation", {"label": "t-shirt"})
    api.request("DELETE", "/batches/listing-45")

    documented = documented_events()

    assert documented.keys() == {kind.value for kind in EventType}
    assert shape(documented) == shape(bus.details)


def test_the_pages_show_the_answers_of_one_model() -> None:
    assert len(shown_versions()) == 1


def test_the_documented_events_are_of_one_photo() -> None:
    documented = documented_events()

    assert {one["batch_id"] for one in documented.values()} == {"listing-45"}
    assert {one["id"] for one in documented.values() if "id" in one} == {"listing-45/front.jpg"}
