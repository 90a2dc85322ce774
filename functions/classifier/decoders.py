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
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path
from typing import Any

from classifier.errors import DAMAGED, Busy, ImageTooLarge, PhotoError, UnreadableImage
from classifier.limits import Limits
from classifier.pixels import ALL_FORMATS, COMMON_FORMATS, EXIT_OUT_OF_MEMORY, FORMATS, REQUEST, Photo
from classifier.telemetry import logger

MAX_CPU_SECONDS = 5  # for each photo; the kernel counts whole seconds of the process, so a photo gets 4 to 5
MAX_BYTES = 512 * 2**20  # for each photo, above what the process has before
# With the wait for an idle process. A decoder computes and does not wait, so it takes this long only if the machine is
# overloaded or if it deadlocks.
MAX_SECONDS = 20
PROGRAM = "import sys; sys.path[:] = sys.argv[3:]; from classifier.decoder import main; main(*sys.argv[1:3])"
# The whole environment of a process. These settings make glibc return the memory of large pictures to the kernel, and
# keep that of smaller ones: an allocation of its own for each costs 5 ms for a phone's photo. Pillow keeps up to four
# blocks of 16 MiB for the next photo.
_ENVIRONMENT = {
    "PILLOW_BLOCKS_MAX": "4",
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": "8000000",
    "MALLOC_TRIM_THRESHOLD_": "33000000",
}
_MAX_LINE_BYTES = 4096
_PIPE_BYTES = 2**18  # more than the pixels of a photo; Linux's default is a quarter
_CPUCLOCK_SCHED = 2  # linux/posix-timers.h: with a process id, the clock of that process's processor time
_PAGES = 0  # in /proc/PID/statm: proc_pid_statm(5)
_EXIT_AFTER_EXCEPTION = 1  # Python's exit status
_SMALLER = "Make it smaller, or save it as a JPEG."
_NOT_IN_TIME = "The photo could not be decoded in time. Try again later."
_ERRORS = {error.code: error for error in PhotoError.__subclasses__()}


class Decoders:
    """A pool of a decoding process for each processor, which threads share.

    A photo that is alone uses all processors if its format allows that. `program` is what the interpreter of each
    process runs.
    """

    def __init__(self, processors: int, program: str = PROGRAM) -> None:
        """Start nothing yet."""
        self._idle: queue.LifoQueue[_Decoder] = queue.LifoQueue()
        for _ in range(processors):
            self._idle.put(_Decoder(program, processors))

    def start(self) -> None:
        """Start a process if the next photo needs one, without waiting until it is ready.

        Raise `RuntimeError` if it cannot be started.
        """
        with suppress(queue.Empty):
            decoder = self._idle.get_nowait()
            try:
                decoder.start()
            finally:
                self._idle.put(decoder)

    def decode(self, data: bytes, side: int, limits: Limits) -> Photo:
        """Decode a photo to a square of `side` × `side` pixels.

        Raise a `PhotoError` if the photo is at fault, `Busy` if the machine is too slow or has too little memory, and
        `RuntimeError` if the decoding process is at fault.
        """
        limits.check_bytes(len(data))
        deadline = time.monotonic() + MAX_SECONDS
        try:
            decoder = self._idle.get(timeout=MAX_SECONDS)
        except queue.Empty:
            raise Busy(_NOT_IN_TIME) from None
        try:
            return decoder.decode(data, side, limits, deadline)
        finally:
            self._idle.put(decoder)


class _Decoder:
    """Keeps a decoding process for many photos, and replaces it after an error."""

    def __init__(self, program: str, threads: int) -> None:
        self._program, self._threads = program, threads
        self._process: _Process | None = None

    def start(self, formats: str = COMMON_FORMATS) -> "_Process":
        """Return the process. Start it if there is none. Raise `RuntimeError` if it cannot be started."""
        if self._process is None or not self._process.is_alive():
            try:
                self._process = _Process(self._program, formats, self._threads)
            except OSError as error:
                raise RuntimeError("A decoding process cannot be started.") from error
        return self._process

    def decode(self, data: bytes, side: int, limits: Limits, deadline: float) -> Photo:
        """Decode a photo until the deadline, a value of `time.monotonic`. Raise what `Decoders.decode` raises."""
        try:
            answer = self.start().ask(data, side, limits, deadline)
            if answer is None:
                self._stop()
                answer = self.start(ALL_FORMATS).ask(data, side, limits, deadline)
        except BaseException:
            self._stop()
            raise
        if isinstance(answer, Photo):
            return answer
        raise answer or RuntimeError("The library of a format is missing.")

    def _stop(self) -> None:
        if self._process:
            self._process.stop()
            self._process = None


class _Ended(Exception):
    """The process has closed its pipes."""


class _Child:
    """A child process, and this end of the two pipes to it."""

    def __init__(self, arguments: list[str]) -> None:
        """Start the interpreter. It ends when the pipe `requests` is closed. Raise `OSError` if it cannot start."""
        with ExitStack() as on_error:
            request, self.requests = _make_pipe(on_error)
            self.answers, answer = _make_pipe(on_error)
            self.pid = os.posix_spawn(
                sys.executable,
                [sys.executable, *arguments],
                _ENVIRONMENT,
                file_actions=[(os.POSIX_SPAWN_DUP2, request, 0), (os.POSIX_SPAWN_DUP2, answer, 1)],
                setpgroup=0,  # Ctrl-C is for the parent alone
            )
            on_error.pop_all()
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
        os.close(self.requests)
        os.close(self.answers)


class _Process:
    """A decoding process. After an error it must be stopped."""

    def __init__(self, program: str, formats: str, threads: int) -> None:
        """Start the process. Raise `OSError` if it cannot be started."""
        self._child = _Child(["-I", "-S", "-B", "-c", program, formats, str(threads), *sys.path])
        # Also when this object is no longer used, and when the interpreter ends
        self.stop = weakref.finalize(self, self._child.end)
        self._received = bytearray()
        self._is_ready = False

    def is_alive(self) -> bool:
        """Return whether the process still runs."""
        return self._child.is_alive()

    def ask(self, data: bytes, side: int, limits: Limits, deadline: float) -> Photo | PhotoError | None:
        """Return the photo, or its error, or None if the process has not loaded the library of this format.

        Raise the errors of `Decoders.decode` if the process has ended or has done something else than it should.
        """
        if not self._is_ready:
            self._wait_until_ready(deadline)
        _set_limits(self._child.pid)
        before = _cpu_seconds(self._child.pid)
        try:
            # A small photo is sent together with the request: each sending switches processes.
            first = _PIPE_BYTES - REQUEST.size
            self._send(REQUEST.pack(side, limits.pixels, limits.side, len(data)) + data[:first], deadline)
            self._send(memoryview(data)[first:], deadline)
            return self._receive_answer(side, limits, deadline)
        except _Ended:
            raise _error_after(self._child.wait()) from None
        except Busy:
            if _cpu_seconds(self._child.pid) - before < MAX_CPU_SECONDS:
                raise
            raise _error_after(-signal.SIGXCPU) from None  # it has ignored the signal

    def _receive_answer(self, side: int, limits: Limits, deadline: float) -> Photo | PhotoError | None:
        match self._receive_line(deadline):
            case {"format": str(name), "width": int(width), "height": int(height)} if name in FORMATS:
                limits.check_size(width, height)
                return Photo(name, width, height, side, self._receive(3 * side * side, deadline))
            case {"code": str(code), "message": str(message)} if code in _ERRORS:
                return _ERRORS[code](message)
            case {"needs_all_formats": True}:
                return None
            case {"fault": str(fault)}:
                raise RuntimeError(f"Decoding failed: {fault}")
        raise UnreadableImage(DAMAGED)  # a photo has made the process answer something else

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
                raise UnreadableImage(DAMAGED)
            self._receive_more(deadline)
        line, _, self._received = self._received.partition(b"\n")
        try:
            answer = json.loads(line)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise UnreadableImage(DAMAGED)
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


def _make_pipe(on_error: ExitStack) -> tuple[int, int]:
    ends = os.pipe()
    for end in ends:
        on_error.callback(os.close, end)
    return ends


def _enlarge(pipe: int) -> None:
    """Let the pipe hold the pixels of a photo, and a part of its file: each filling costs two switches of processes."""
    if sys.platform == "linux":
        with suppress(OSError):  # the user may have too many pipes
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


def _wait_for(pipe: int, event: int, deadline: float) -> None:
    poll = select.poll()
    poll.register(pipe, event)
    if not poll.poll(max(0, deadline - time.monotonic()) * 1000):
        raise Busy(_NOT_IN_TIME)


def _error_after(status: int) -> Exception:
    """Return the error of a photo during which the process ended with this status, minus the signal if it was one."""
    if status == -signal.SIGXCPU:
        return ImageTooLarge(f"Decoding the image takes more than {MAX_CPU_SECONDS} seconds. {_SMALLER}")
    if status == EXIT_OUT_OF_MEMORY:
        return ImageTooLarge(f"Decoding the image takes more than {MAX_BYTES >> 20} MiB of memory. {_SMALLER}")
    if status == -signal.SIGKILL:  # the whole function has used up its memory
        return Busy("The service has too little memory at the moment. Try again later.")
    if status == _EXIT_AFTER_EXCEPTION:
        return RuntimeError("The decoding process failed.")
    logger.warning("A photo crashed its decoding process", status=status)
    return UnreadableImage(DAMAGED)


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
