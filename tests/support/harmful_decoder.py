"""A decoding process that does what a hostile photo could make it do. The photo's bytes say what."""

import ctypes
import errno
import mmap
import os
import platform
import resource
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

from classifier import decoder, photos, sandbox
from classifier.errors import UnreadableImage
from classifier.limits import Limits
from classifier.pixels import Photo

PROGRAM = "import sys; sys.path[:] = sys.argv[3:]; from tests.support.harmful_decoder import main; main(*sys.argv[1:3])"

_MAX_CALL = 600  # more than the largest number of a system call
_PROBES = {335, 336}  # of x86-64, for debuggers: the kernel does not filter them, and they do nothing else
COUNT_THREADS = "count threads"
THIRTY_TWO_BITS = "make a system call of 32 bits"

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


def fail() -> None:
    """Do what a fault of the program does."""
    raise KeyError("a fault")


def lack_a_library() -> None:
    """Need a library that is not there."""
    raise ImportError("a library")


def lie_about_its_size() -> None:
    """Answer with a photo that is larger than allowed."""
    os.write(1, b'{"format": "JPEG", "width": 1000000, "height": 1}\n')


def keep() -> None:
    """Keep 100 MiB."""
    _kept.append(bytearray(100 * 2**20))


_kept: list[bytearray] = []

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
        lie_about_its_size,
        fail,
        lack_a_library,
        keep,
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
    "lift its memory limit": lambda: resource.setrlimit(resource.RLIMIT_AS, (-1, -1)),
    "trace a process": lambda: _check(_libc.ptrace(16, os.getpid(), 0, 0)),
    "read another process": lambda: _check(_libc.process_vm_readv(1, 0, 0, 0, 0, 0)),
    "import a module": lambda: __import__("sqlite3"),
    "make any other system call": lambda: _call_all_others(),  # noqa: PLW0108 - it is defined below
    THIRTY_TWO_BITS: lambda: _getpid_of_32_bits(),  # noqa: PLW0108 - it is defined below
}


def _call_all_others() -> list[int]:
    """Make each system call that is not in the table. Raise `PermissionError` if all are refused."""
    _, allowed = sandbox.CALLS[platform.machine()]
    others = [number for number in range(_MAX_CALL) if number not in {*allowed.values(), *_PROBES}]
    if made := [number for number in others if _libc.syscall(number, 0, 0, 0, 0, 0, 0) != -1 or not _is_refused()]:
        return made
    raise PermissionError


def _getpid_of_32_bits() -> int:
    """Return this process's id. Raise `PermissionError` if that is refused. Crash if the kernel has no such call."""
    code = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(b"\xb8\x14\0\0\0\xcd\x80\xc3")  # mov eax, 20; int 0x80; ret
    result: int = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()
    if result == -errno.EPERM:
        raise PermissionError
    return result


def _is_refused() -> bool:
    return ctypes.get_errno() == errno.EPERM


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


def count_threads() -> None:
    """Tell by how many threads a HEIF and an AVIF are decoded. A process for few formats lacks their libraries."""
    import pillow_heif  # noqa: PLC0415
    from PIL import AvifImagePlugin  # noqa: PLC0415

    raise UnreadableImage(f"{pillow_heif.options.DECODE_THREADS} and {AvifImagePlugin.DEFAULT_MAX_THREADS}")


def decode(data: bytes, side: int, limits: Limits) -> Photo:
    """Do what the bytes say, or decode them."""
    command = data.decode("latin-1")
    if command in ATTEMPTS:
        raise UnreadableImage(attempt(command))
    if command == COUNT_THREADS:
        count_threads()
    if command in HARMS:
        HARMS[command]()
    return DECODE(data, side, limits)


DECODE = photos.decode


def main(formats: str, threads: str) -> None:
    """Run the decoding process, with `decode` in the place of the real one."""
    photos.decode = decode
    decoder.main(formats, threads)
