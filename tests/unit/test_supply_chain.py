"""What the function is made of."""

import re
from importlib.metadata import requires, version

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.paths import ROOT


def requirements(file: str) -> dict[str, Requirement]:
    """What a file of pip's asks for on this machine, by name."""
    lines = (line.partition(" #")[0] for line in (ROOT / file).read_text().splitlines())
    asked = (Requirement(line) for line in lines if line.strip() and not re.match("#|-", line))
    return {canonicalize_name(found.name): found for found in asked if not found.marker or found.marker.evaluate()}


def test_everything_that_the_function_brings_along_is_pinned_and_installed_as_pinned() -> None:
    pinned = requirements("constraints.txt")
    found: set[str] = set()
    wanted = list(requirements("requirements.txt").values())
    while wanted:
        requirement = wanted.pop()
        name = canonicalize_name(requirement.name)
        if name in found:
            continue
        found.add(name)
        inner = (Requirement(line) for line in requires(name) or [])
        extras = ["", *requirement.extras]
        wanted += [r for r in inner if not r.marker or any(r.marker.evaluate({"extra": extra}) for extra in extras)]

    assert {name: f"=={version(name)}" for name in found} == {name: str(pinned[name].specifier) for name in found}
    assert set(pinned) == found
