"""What the docs point to is there."""

import re
from pathlib import Path

from tests.support.paths import ROOT

TESTS = ROOT / "tests"


def test_every_test_that_the_threat_model_names_exists() -> None:
    named = set(
        re.findall(r"`((?:stress|unit|integration|training|browser)/\w+\.py)(?:::(\w+))?`", read("threat-model.md"))
    )

    assert len(named) > 10
    assert [name for name, _ in named if not (TESTS / name).is_file()] == []
    assert [test for name, test in named if test and f"def {test}(" not in (TESTS / name).read_text()] == []


def test_every_link_between_the_docs_leads_somewhere() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    broken = [
        f"{page.name}: {link}"
        for page in pages
        for link, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", page.read_text())
        if not is_there(page, link, anchor)
    ]

    assert broken == []


def is_there(page: Path, link: str, anchor: str) -> bool:
    """Whether a link leads to a file and, where it names one, to a heading of it, as GitHub spells its anchors."""
    target = (page.parent / link) if link else page
    if not target.exists():
        return False
    headings = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE) if anchor else []
    return not anchor or anchor in {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def read(name: str) -> str:
    return (ROOT / "docs" / name).read_text()
