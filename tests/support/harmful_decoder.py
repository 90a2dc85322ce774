"""A decoding process that does what a hostile photo could make it do. The photo's bytes say what."""

import ctypes
import mmap
import os
import resource
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

from classifier import decoder, photos
from classifier.errors import UnreadableImage
from classifier.limits import Limits
from classifier.pixels import Photo

PROGRAM = "import sys; sys.path[:] = sys.argv[2:]; from tests.support.harmful_decoder import main; main(sys.argv[1])"

_libc = ctypes.CDLL(None, use_errno=True)


def loop() -> None:
    """Compute for ever."""
    while True:
        pass


def loop_in_threads() -> None:
    """Compute for ever in four threads."""
    for _ in range(4):
        threading.Thread(target=loop, daemon=True).start()
    loop()


def loop_on() -> None:
    """Compute for ever, whatever the kernel says."""
    signal.signal(signal.SIGXCPU, signal.SIG_IGN)
    loop()


def share() -> None:
    """Take memory that is not the process's alone."""
    _map_for_ever(mmap.MAP_SHARED)


def protect() -> None:
    """Take memory, and make it read-only."""
    _map_for_ever(mmap.MAP_PRIVATE)


def _map_for_ever(kind: int) -> None:
    taken = []
    try:
        while True:
            taken.append(mmap.mmap(-1, 2**24, kind))
            taken[-1].write(b"x" * 2**24)
            address = ctypes.addressof(ctypes.c_char.from_buffer(taken[-1]))
            _libc.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(2**24), mmap.PROT_READ)
    except OSError as error:
        raise MemoryError from error


def allocate() -> None:
    """Take 16 MiB after 16 MiB."""
    taken = []
    while True:
        taken.append(bytearray(2**24))


def allocate_in_c() -> None:
    """Take memory as a library does that does not survive a lack of it."""
    while True:
        address = _libc.malloc(2**24)
        ctypes.memset(address or 0, 1, 2**24)


def crash() -> None:
    """Read from the address 0."""
    ctypes.string_at(0)


def abort() -> None:
    """End as a failed assertion does."""
    os.abort()


def leave() -> None:
    """End as if all was well."""
    os._exit(0)


def wait() -> None:
    """Wait for ever, without using the processor."""
    while True:
        time.sleep(1)


def chatter() -> None:
    """Write too long a line."""
    os.write(1, b"a" * 100_000)


def lie() -> None:
    """Answer in another form."""
    os.write(1, b"[]\n")


HARMS = {
    harm.__name__: harm
    for harm in (
        loop,
        loop_in_threads,
        loop_on,
        share,
        protect,
        allocate,
        allocate_in_c,
        crash,
        abort,
        leave,
        wait,
        chatter,
        lie,
    )
}

# What must be refused. Each would return something.
ATTEMPTS: dict[str, Callable[[], object]] = {
    "read a file": lambda: Path("/etc/passwd").read_text(),
    "write a file": lambda: Path("/tmp/written-by-a-decoder").write_text("x"),  # noqa: S108 - must not be possible
    "append to an open file": lambda: os.write(2, b"x") if os.isatty(2) else os.ftruncate(2, 0),
    "list a folder": lambda: list(Path("/").iterdir()),
    "delete a file": lambda: Path("/tmp/nothing-of-this-name").unlink(),  # noqa: S108
    "open a socket": socket.socket,
    "open a pipe": os.pipe,
    "copy a descriptor": lambda: os.dup(0),
    "fork": os.fork,
    "run a program": lambda: subprocess.run(["true"], check=True),
    "replace itself": lambda: os.execv("/bin/true", ["true"]),  # noqa: S606
    "signal its parent": lambda: os.kill(os.getppid(), 0),
    "lift its memory limit": lambda: resource.setrlimit(resource.RLIMIT_DATA, (-1, -1)),
    "trace a process": lambda: _check(_libc.ptrace(16, os.getpid(), 0, 0)),
    "read another process": lambda: _check(_libc.process_vm_readv(1, 0, 0, 0, 0, 0)),
    "import a module": lambda: __import__("sqlite3"),
}


def _check(result: int) -> int:
    if result == -1:
        raise OSError(ctypes.get_errno(), "refused")
    return result


def attempt(name: str) -> str:
    """Try one of the attempts. Return the error, or say that it succeeded."""
    try:
        return f"succeeded: {ATTEMPTS[name]()!r}"
    except (OSError, ImportError, ValueError) as error:
        return type(error).__name__


def decode(data: bytes, side: int, limits: Limits) -> Photo:
    """Do what the bytes say, or decode them."""
    command = data.decode("latin-1")
    if command in ATTEMPTS:
        raise UnreadableImage(attempt(command))
    if command in HARMS:
        HARMS[command]()
    return DECODE(data, side, limits)


DECODE = photos.decode


def main(formats: str) -> None:
    """Run the decoding process, with `decode` in the place of the real one."""
    photos.decode = decode
    decoder.main(formats)
