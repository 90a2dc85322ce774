"""Every package of the image has a wheel for each Python version and architecture, so nothing is compiled."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.support.paths import ROOT

GLIBC = range(17, 37)  # minor versions; Debian 12 has 2.36, and runs wheels for older versions


@pytest.mark.parametrize("python", ["3.11", "3.13"])
@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_no_requirement_needs_a_compiler(tmp_path: Path, python: str, machine: str) -> None:
    """pip evaluates markers for the Python that runs it, so this test evaluates them for the target."""
    target = {"python_full_version": f"{python}.0", "sys_platform": "linux", "platform_machine": machine}
    lines = re.findall(r"^[a-z].*==[^\\\n]*", (ROOT / "requirements.txt").read_text(), re.MULTILINE)  # without hashes
    requirements = [Requirement(line) for line in lines]
    wanted = []
    for requirement in requirements:
        if requirement.marker is None or requirement.marker.evaluate(target):
            requirement.marker = None
            wanted.append(str(requirement))
    platforms = [f"--platform=manylinux_2_{minor}_{machine}" for minor in GLIBC] + [
        f"--platform=manylinux2014_{machine}"
    ]

    done = subprocess.run(
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

    assert requirements
    assert done.returncode == 0, done.stderr
