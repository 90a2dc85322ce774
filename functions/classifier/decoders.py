"""Decodes photos in processes of their own, which the kernel limits. So a hostile photo harms only its own result.

Each process decodes one photo at a time. It lives on, because starting it takes longer than most photos. After a photo
that exceeded a limit or crashed its decoder, the next photo gets a new process.
"""

import fcntl
import json
import os
import queue
import resource
import select
import signal
import sys
import time
import weakref
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from classifier.errors import Busy, ImageTooLarge, PhotoError, UnreadableImage
from classifier.limits import Limits
from classifier.pixels import ALL_FORMATS, COMMON_FORMATS, OUT_OF_MEMORY, REQUEST, Photo
from classifier.telemetry import logger

MAX_CPU_SECONDS = 5  # for each photo; the kernel counts whole seconds of the process, so a photo gets 4 to 5
MAX_BYTES = 512 * 2**20  # for each photo, above what the process has before
# A decoder computes and does not wait, so it takes this long only if the machine is overloaded or if it deadlocks.
MAX_SECONDS = 20
PROGRAM = "import sys; sys.path[:] = sys.argv[2:]; from classifier.decoder import main; main(sys.argv[1])"
# The whole environment of a process. These settings make glibc return the memory of large pictures to the kernel, and
# keep that of smaller ones: an allocation of its own for each costs 5 ms for a phone's photo.
_ENVIRONMENT = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": "8000000",
    "MALLOC_TRIM_THRESHOLD_": "33000000",
}
_MAX_LINE_BYTES = 4096
_PIPE_BYTES = 2**18  # more than the pixels of a photo; Linux's default is a quarter
_CPUCLOCK_SCHED = 2  # linux/posix-timers.h: with a process id, the clock of that process's processor time
_PAGES = 0  # in /proc/PID/statm: proc_pid_statm(5)
_DAMAGED = "The image is damaged or incomplete."
_ERRORS = {error.code: error for error in PhotoError.__subclasses__()}


class Decoders:
    """Up to `count` decoding processes, which threads share. `program` is what the interpreter of each process runs."""

    def __init__(self, count: int, program: str = PROGRAM) -> None:
        """Start nothing yet."""
        self._program = program
        self._idle: queue.LifoQueue[_Process | None] = queue.LifoQueue()
        for _ in range(count):
            self._idle.put(None)

    def start(self) -> None:
        """Start a process if the next photo needs one, without waiting until it is ready."""
        with suppress(queue.Empty):
            process = self._idle.get_nowait()
            self._idle.put(process or _Process(self._program, COMMON_FORMATS))

    def decode(self, data: bytes, side: int, limits: Limits) -> Photo:
        """Decode a photo to a square of `side` × `side` pixels.

        Raise a `PhotoError` if the photo is at fault, `Busy` if the machine is too slow or has too little memory, and
        `RuntimeError` if no process can be started.
        """
        limits.check_bytes(len(data))
        answer, pixels = self._ask(data, side, limits)
        match answer:
            case {"code": str(code), "message": str(message)} if code in _ERRORS:
                raise _ERRORS[code](message)
            case {"format": str(name), "width": int(width), "height": int(height)}:
                return Photo(name, width, height, side, pixels)
        raise UnreadableImage(_DAMAGED)  # a photo has made the process answer something else

    def _ask(self, data: bytes, side: int, limits: Limits) -> tuple[dict[str, Any], bytes]:
        """Let an idle process decode the photo. If that fails, the next photo gets a new process."""
        process = self._idle.get()
        try:
            if process is None or not process.is_alive():
                process = _Process(self._program, COMMON_FORMATS)
            answer, pixels = process.ask(data, side, limits)
            if "needs_all_formats" in answer:
                process.stop()
                process = _Process(self._program, ALL_FORMATS)
                answer, pixels = process.ask(data, side, limits)
        except BaseException:
            if process:
                process.stop()
            process = None
            raise
        else:
            return answer, pixels
        finally:
            self._idle.put(process)


class _Ended(Exception):
    """The process has closed its pipes."""


class _Child:
    """A child process, and this end of the two pipes to it."""

    def __init__(self, arguments: list[str]) -> None:
        """Start the interpreter. It ends when the pipe `requests` is closed. Raise `OSError` if it cannot start."""
        request, self.requests = os.pipe()
        self.answers, answer = os.pipe()
        try:
            self.pid = os.posix_spawn(
                sys.executable,
                [sys.executable, *arguments],
                _ENVIRONMENT,
                file_actions=[(os.POSIX_SPAWN_DUP2, request, 0), (os.POSIX_SPAWN_DUP2, answer, 1)],
                setpgroup=0,  # Ctrl-C is for the parent alone
            )
        except OSError:
            self._close_pipes()
            raise
        finally:
            os.close(request)
            os.close(answer)
        self._status: int | None = None  # once it has ended
        for pipe in (self.requests, self.answers):
            os.set_blocking(pipe, False)
            _enlarge(pipe)

    def is_alive(self) -> bool:
        """Return whether the process still runs."""
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = os.waitstatus_to_exitcode(status)
        return self._status is None

    def wait(self) -> int:
        """Return the exit status of the process, which has ended or is about to."""
        if self._status is None:
            self._status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self._status

    def end(self) -> None:
        """Kill the process, and close the pipes. Call this once."""
        if self.is_alive():
            os.kill(self.pid, signal.SIGKILL)
            self.wait()
        self._close_pipes()

    def _close_pipes(self) -> None:
        os.close(self.requests)
        os.close(self.answers)


class _Process:
    """A decoding process. After an error it must be stopped."""

    def __init__(self, program: str, formats: str) -> None:
        """Start the process. Raise `OSError` if it cannot be started."""
        self._child = _Child(["-I", "-S", "-B", "-c", program, formats, *sys.path])
        # Also when this object is no longer used, and when the interpreter ends
        self.stop = weakref.finalize(self, self._child.end)
        self._received = bytearray()
        self._is_ready = False

    def is_alive(self) -> bool:
        """Return whether the process still runs."""
        return self._child.is_alive()

    def ask(self, data: bytes, side: int, limits: Limits) -> tuple[dict[str, Any], bytes]:
        """Return the process's answer, and the pixels if it has decoded the photo. Raise the error if it ended."""
        deadline = time.monotonic() + MAX_SECONDS
        if not self._is_ready:
            self._wait_until_ready(deadline)
        _set_limits(self._child.pid)
        before = _cpu_seconds(self._child.pid)
        try:
            # A small photo is sent together with the request: each sending switches processes.
            first = _PIPE_BYTES - REQUEST.size
            self._send(REQUEST.pack(side, limits.pixels, limits.side, len(data)) + data[:first], deadline)
            self._send(memoryview(data)[first:], deadline)
            answer = self._receive_line(deadline)
            return answer, self._receive(3 * side * side, deadline) if "format" in answer else b""
        except _Ended:
            raise _error_after(self._child.wait()) from None
        except Busy:
            if _cpu_seconds(self._child.pid) - before < MAX_CPU_SECONDS:
                raise
            raise _error_after(-signal.SIGXCPU) from None  # it has ignored the signal

    def _wait_until_ready(self, deadline: float) -> None:
        """Wait until the process has loaded its libraries and locked itself."""
        try:
            answer = self._receive_line(deadline)
        except _Ended:
            raise RuntimeError(
                f"The decoding process did not start: its exit status is {self._child.wait()}."
            ) from None
        if not answer["is_filtered"]:
            warn_unfiltered()
        self._is_ready = True

    def _send(self, data: bytes | memoryview, deadline: float) -> None:
        rest = memoryview(data)
        while rest:
            _wait_for(self._child.requests, select.POLLOUT, deadline)
            try:
                rest = rest[os.write(self._child.requests, rest) :]
            except BrokenPipeError:
                raise _Ended from None

    def _receive_line(self, deadline: float) -> dict[str, Any]:
        while b"\n" not in self._received:
            if len(self._received) > _MAX_LINE_BYTES:
                raise UnreadableImage(_DAMAGED)
            self._receive_more(deadline)
        line, _, self._received = self._received.partition(b"\n")
        try:
            answer = json.loads(line)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise UnreadableImage(_DAMAGED)
        return answer

    def _receive(self, length: int, deadline: float) -> bytes:
        while len(self._received) < length:
            self._receive_more(deadline)
        received = bytes(self._received[:length])
        del self._received[:length]
        return received

    def _receive_more(self, deadline: float) -> None:
        _wait_for(self._child.answers, select.POLLIN, deadline)
        received = os.read(self._child.answers, _PIPE_BYTES)
        if not received:
            raise _Ended
        self._received += received


def _enlarge(pipe: int) -> None:
    """Let the pipe hold the pixels of a photo, and a part of its file: each filling costs two switches of processes."""
    if sys.platform == "linux":
        with suppress(OSError):  # the user may have too many pipes
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


def _wait_for(pipe: int, event: int, deadline: float) -> None:
    poll = select.poll()
    poll.register(pipe, event)
    if not poll.poll(max(0, deadline - time.monotonic()) * 1000):
        raise Busy("The photo could not be decoded in time. Try again later.")


def _error_after(status: int) -> Exception:
    """Return the error of a photo during which the process ended with this status."""
    if status == -signal.SIGXCPU:
        return ImageTooLarge(f"Decoding the image takes more than {MAX_CPU_SECONDS} seconds.")
    if status == OUT_OF_MEMORY:
        return ImageTooLarge(f"Decoding the image takes more than {MAX_BYTES >> 20} MiB of memory.")
    if status == -signal.SIGKILL:  # the whole function has used up its memory
        return Busy("The service has too little memory at the moment. Try again later.")
    return UnreadableImage(_DAMAGED)


def _set_limits(pid: int) -> None:
    """Set how much processor time and memory the process may use for the next photo. Only Linux can."""
    if sys.platform == "linux":
        seconds = int(_cpu_seconds(pid)) + MAX_CPU_SECONDS
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[_PAGES])
        _set_limit(pid, resource.RLIMIT_CPU, seconds)
        # All memory: RLIMIT_DATA does not count what is shared or made read-only later.
        _set_limit(pid, resource.RLIMIT_AS, pages * resource.getpagesize() + MAX_BYTES)


def _cpu_seconds(pid: int) -> float:
    """Return how much processor time the process has used, or 0 where only Linux can tell."""
    return time.clock_gettime(~pid << 3 | _CPUCLOCK_SCHED) if sys.platform == "linux" else 0


def _set_limit(pid: int, kind: int, most: int) -> None:
    _, hard = resource.prlimit(pid, kind)
    resource.prlimit(pid, kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


@cache
def warn_unfiltered() -> None:
    """Say once what is missing."""
    logger.warning("The kernel does not filter the system calls of decoding processes. Their resource limits are set.")
