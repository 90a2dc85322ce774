"""Writes a tar archive of a small Debian with the running Python to stdout, made from this machine's files.

It replaces `python:3.*-slim-bookworm` where no image registry can be reached, so that the container can be tested
there. Run it on Debian 12:

    python3.13 .ci/stand_in_base.py | docker import -c 'ENV PATH=/usr/local/bin:/usr/bin:/bin' - IMAGE:TAG

As in the official image, Python and pip are under /usr/local. The archive includes this machine's certificates and pip
settings, so that `pip install` reaches the same package index inside the container.
"""

import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

_COMMANDS = """sh bash cat chmod chown cp dirname env find grep head id ln ls mkdir mv readlink rm sed sleep sort tail
touch tr"""
_PACKAGES = ("libc6", "libgcc-s1", "libstdc++6", "zlib1g")  # wheels may expect their libraries on every system
_SETTINGS = ("passwd", "group", "nsswitch.conf", "os-release", "ssl/certs/ca-certificates.crt", "pip.conf")
_UNUSED = (
    "EXTERNALLY-MANAGED",
    "__pycache__",
    "test",
    "tests",
    "idlelib",
    "ensurepip",
    "config-*",
    "site-packages",
    "dist-packages",
    "*.a",
)
_SYSTEM_LIBRARIES = Path("/usr/lib", f"{sysconfig.get_config_var('MULTIARCH')}")


def main() -> None:
    """Collect the files in a temporary folder and write the archive."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        root.chmod(0o755)
        for name in ("usr/bin", "usr/lib", "usr/lib64", "etc", "var", "proc", "sys", "dev", "run", "tmp"):
            (root / name).mkdir(parents=True)
        (root / "tmp").chmod(0o1777)
        for name in ("bin", "lib", "lib64"):
            (root / name).symlink_to(f"usr/{name}")
        for name in _SETTINGS:
            if Path("/etc", name).exists():
                _copy(Path("/etc", name), root / "etc" / name)
        loaded = [*_copy_python(root), *(_copy_command(name, root) for name in _COMMANDS.split())]
        _copy_libraries(loaded, root)
        subprocess.run(["tar", "-C", root, "--owner=0", "--group=0", "-c", "."], check=True)


def _copy_python(root: Path) -> list[Path]:
    """Copy Python and pip. Return the files that load shared libraries."""
    name = f"python{sysconfig.get_python_version()}"
    executable, library = Path(sys.executable).resolve(), Path(sysconfig.get_path("stdlib"))
    _copy(executable, root / "usr/local/bin" / name)
    shutil.copytree(library, root / "usr/local/lib" / name, ignore=shutil.ignore_patterns(*_UNUSED))
    for link in ("python", "python3"):
        (root / "usr/local/bin" / link).symlink_to(name)
    # Debian's own Python calls the folder dist-packages.
    packages = (
        root / "usr/local/lib" / name / ("dist-packages" if library.parent == Path("/usr/lib") else "site-packages")
    )
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--target", packages, "pip"], check=True)
    pip = root / "usr/local/bin/pip"
    pip.write_text('#!/bin/sh\nexec python -m pip "$@"\n')
    pip.chmod(0o755)
    return [executable, *library.glob("lib-dynload/*.so")]


def _copy_command(name: str, root: Path) -> Path:
    found = shutil.which(name, path="/usr/bin:/bin")
    if found is None:
        raise SystemExit(f"There is no {name} on this machine.")
    _copy(Path(found), root / "usr/bin" / name)
    return Path(found)


def _copy_libraries(binaries: list[Path], root: Path) -> None:
    """Copy the libraries that the binaries and wheels load, by the names that they use, to where the loader looks."""
    listed = subprocess.run(["dpkg-query", "-L", *_PACKAGES], check=True, stdout=subprocess.PIPE, text=True).stdout
    loaded = subprocess.run(["ldd", *binaries], check=False, stdout=subprocess.PIPE, text=True).stdout
    named = re.findall(r"^\S+/lib[^/]*\.so\.\d+$", listed, re.MULTILINE) + re.findall(r"(/\S+) \(0x", loaded)
    for path in map(Path, named):
        folder = Path("usr/lib64") if path.parent.name == "lib64" else _SYSTEM_LIBRARIES.relative_to("/")
        _copy(path, root / folder / path.name)


def _copy(file: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, place)
    place.chmod(0o755 if file.stat().st_mode & 0o100 else 0o644)


if __name__ == "__main__":
    main()
