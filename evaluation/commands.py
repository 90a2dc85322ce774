"""What the commands of the owner have in common: how they end, and which folders they may write into."""

import sys
from collections.abc import Callable
from pathlib import Path

SHIPPED_MODEL = Path(__file__).resolve().parent.parent / "model"
_INTERRUPTED = 130  # as shells report it


class OutputError(Exception):
    """A command must not write into the folder; the message says why."""


def run_command(name: str, command: Callable[[], int], *errors: type[Exception]) -> int:
    """Run a command and return its exit code. Print its errors and Ctrl-C as a sentence."""
    expected: tuple[type[Exception], ...] = (OutputError, OSError, *errors)
    try:
        return command()
    except KeyboardInterrupt:
        print(f"{name}: Interrupted. Start it again to continue.", file=sys.stderr)
        return _INTERRUPTED
    except expected as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1


def check_output(folder: Path, written: str) -> None:
    """Raise `OutputError` unless a command may write into the folder: it is new, empty, or has what it wrote before.

    `written` is a file that the command writes each time. The shipped model is never overwritten: `ship` asks first.
    """
    if folder.resolve().is_relative_to(SHIPPED_MODEL):
        raise OutputError(f"{folder} has the shipped model, which only make ship changes. Name another folder.")
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file. Name a folder.")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / written).is_file():
        raise OutputError(f"{folder} has files that this command did not write. Name a new or an empty folder.")
