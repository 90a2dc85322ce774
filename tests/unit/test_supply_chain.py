"""What `make lock` wrote is complete, has hashes, and is what the image and the Makefile install."""

import re
from collections.abc import Iterable
from importlib.metadata import requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.paths import ROOT

SOURCES = sorted(
    path
    for pattern in ("*requirements*.in", "[!.]*/*requirements*.in", "[!.]*/[!.]*/*requirements*.in")
    for path in ROOT.glob(pattern)
)
LOCKS = [path.with_suffix(".txt") for path in SOURCES]


def entries(file: Path) -> list[str]:
    """The requirements of a file with their hashes, each on one line, without comments and options."""
    lines = (line.partition(" #")[0].strip() for line in file.read_text().replace("\\\n", " ").splitlines())
    return [line for line in lines if line and line[0] not in "#-"]


def requirements(file: Path) -> list[Requirement]:
    return [Requirement(entry.partition("--hash")[0]) for entry in entries(file)]


def options(file: Path, option: str) -> list[Path]:
    """The files that lines such as `-r ../requirements.in` name."""
    named = re.findall(rf"^{option} (\S+)$", file.read_text(), re.MULTILINE)
    return [(file.parent / name).resolve() for name in named]


def pins(file: Path) -> set[tuple[str, str]]:
    """The name and the version of each requirement."""
    return {(canonicalize_name(found.name), str(found.specifier)) for found in requirements(file)}


def for_this_machine(found: Iterable[Requirement]) -> dict[str, Requirement]:
    return {canonicalize_name(one.name): one for one in found if not one.marker or one.marker.evaluate()}


def test_the_function_s_dependencies_are_installed_as_locked() -> None:
    locked = for_this_machine(requirements(ROOT / "requirements.txt"))
    found: set[str] = set()
    wanted = list(for_this_machine(requirements(ROOT / "requirements.in")).values())
    while wanted:
        requirement = wanted.pop()
        name = canonicalize_name(requirement.name)
        if name in found:
            continue
        found.add(name)
        inner = (Requirement(line) for line in requires(name) or [])
        extras = ["", *requirement.extras]
        wanted += [r for r in inner if not r.marker or any(r.marker.evaluate({"extra": extra}) for extra in extras)]

    assert {name: f"=={version(name)}" for name in found} == {name: str(locked[name].specifier) for name in found}
    assert set(locked) == found


def test_the_tests_dependencies_are_installed_as_locked() -> None:
    locked = for_this_machine(requirements(ROOT / "tests" / "requirements.txt"))

    assert {name: f"=={version(name)}" for name in locked} == {name: str(one.specifier) for name, one in locked.items()}


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_direct_dependency_is_in_the_lock_at_its_version(source: Path) -> None:
    direct = pins(source)

    assert direct
    assert all(re.fullmatch(r"==[\w.]+", specifier) for _, specifier in direct)
    assert direct <= pins(source.with_suffix(".txt"))


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_entry_of_a_lock_has_hashes(lock: Path) -> None:
    pattern = r"[\w.-]+==[\w.]+( ;[^;]+?)?( +--hash=sha256:[0-9a-f]{64})+"

    assert [entry for entry in entries(lock) if not re.fullmatch(pattern, entry)] == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_lock_names_no_index_and_no_folder_of_a_machine(lock: Path) -> None:
    assert re.findall(r"^--(?!hash).*|https?:.*|file:.*| /\S+", lock.read_text(), re.MULTILINE) == []


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_lock_contains_the_locks_that_it_builds_on(source: Path) -> None:
    """So that two environments never have different versions of a package."""
    below = [path.with_suffix(".txt") for path in options(source, "-r")]

    assert options(source, "-c") == below
    assert [path for path in below if not pins(path) <= pins(source.with_suffix(".txt"))] == []


def test_make_lock_writes_every_lock() -> None:
    makefile = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    names = re.search(r"^LOCKS = (.*)$", makefile, re.MULTILINE)

    assert names
    assert {ROOT / f"{name}.in" for name in names[1].split()} == set(SOURCES)


def test_the_image_installs_wheels_with_hashes_from_the_lock() -> None:
    dockerfile = (ROOT / "functions" / "classifier" / "Dockerfile").read_text()
    allowed = re.findall(r"^!(\S*requirements\S*)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    installs = re.findall(r"pip3? install (.*?) \\$", dockerfile, re.MULTILINE)

    assert allowed == ["requirements.txt"]
    assert "COPY requirements.txt ./" in dockerfile
    assert len(installs) == 1
    assert "--require-hashes --only-binary :all: -r requirements.txt" in installs[0]


def test_the_makefile_installs_with_hashes() -> None:
    makefile = (ROOT / "Makefile").read_text()
    installed = re.findall(
        r"^\S+: (\S*requirements\S*\.txt)\b.*(?:\n\t.*)*?\$\(PIP_INSTALL\) -r \$<$", makefile, re.MULTILINE
    )

    assert re.search(r"^PIP_INSTALL = -m pip install .*--require-hashes", makefile, re.MULTILINE)
    assert makefile.count("pip install") == 1
    assert {ROOT / name for name in installed} == {*LOCKS} - {ROOT / "requirements.txt"}
