"""What the image installs has a wheel for each of its Pythons and architectures, so that nothing is compiled."""

import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.support.paths import ROOT

GLIBC = range(17, 37)  # 2.36 is Debian 12's; wheels for older ones run there too


@pytest.mark.parametrize("python", ["3.11", "3.13"])
@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_no_requirement_needs_a_compiler(tmp_path: Path, python: str, machine: str) -> None:
    """Pip judges markers by the Python that runs it, so they are judged here."""
    target = {"python_full_version": f"{python}.0", "sys_platform": "linux", "platform_machine": machine}
    lines = [line.partition("#")[0].strip() for line in (ROOT / "constraints.txt").read_text().splitlines()]
    requirements = [Requirement(line) for line in lines if line]
    wanted = []
    for requirement in requirements:
        if requirement.marker is None or requirement.marker.evaluate(target):
            requirement.marker = None
            wanted.append(str(requirement))
    platforms = [f"--platform=manylinux_2_{minor}_{machine}" for minor in GLIBC] + [
        f"--platform=manylinux2014_{machine}"
    ]

    told = subprocess.run(
        [
            *(
                sys.executable,
                "-m",
                "pip",
                "install",
                "--quiet",
                "--dry-run",
                "--target",
                tmp_path,
                "--ignore-installed",
            ),
            *("--only-binary=:all:", "--implementation=cp", f"--python-version={python}", *platforms, *wanted),
        ],
        capture_output=True,
        text=True,
        check=False,
    )

    assert told.returncode == 0, told.stderr
