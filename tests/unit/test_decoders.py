"""Decoding processes: what a photo does to its decoder harms nothing but its own result."""

import os
import platform
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from classifier import decoders as decoders_module
from classifier import photos
from classifier.decoders import MAX_CPU_SECONDS, Decoders
from classifier.errors import Busy, ImageTooLarge, UnreadableImage, UnsupportedImage
from classifier.limits import Limits
from classifier.pixels import Photo
from tests.support.drawings import encoded, garment, photo
from tests.support.harmful_decoder import ATTEMPTS, COUNT_THREADS, PROGRAM, THIRTY_TWO_BITS
from tests.support.processes import children

T_SHIRT = photo("t-shirt")
SIDE = 32
on_linux = pytest.mark.skipif(platform.system() != "Linux", reason="only Linux's kernel limits other processes")


@pytest.fixture(scope="module")
def harmful() -> Decoders:
    """One decoding process that does what the bytes of a photo say."""
    return Decoders(1, PROGRAM)


@pytest.fixture(scope="module")
def new() -> Decoders:
    """One decoding process."""
    return Decoders(1)


def decode(decoders: Decoders, data: bytes | str) -> Photo:
    return decoders.decode(data.encode() if isinstance(data, str) else data, SIDE, Limits())


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF"])
def test_a_photo_is_decoded_as_in_this_process(new: Decoders, name: str) -> None:
    data = encoded(garment("pants", (300, 200)), name)

    assert decode(new, data) == photos.decode(data, SIDE, Limits())
    assert decode(new, data).pixels.shape == (SIDE, SIDE, 3)


@pytest.mark.parametrize("processors", [1, 2])
def test_a_photo_in_tiles_may_use_all_processors(processors: int) -> None:
    own = Decoders(processors, PROGRAM)
    tiles = encoded(garment("pants", (900, 600)), "HEIF", tile_size=128)

    with pytest.raises(UnreadableImage, match=f"^{processors} and {processors}$"):
        decode(own, COUNT_THREADS)
    assert decode(own, tiles) == photos.decode(tiles, SIDE, Limits())


@on_linux
@pytest.mark.parametrize(
    ("harm", "error"),
    [
        ("loop", ImageTooLarge),
        ("loop_in_threads", ImageTooLarge),
        ("allocate", ImageTooLarge),
        ("allocate_in_c", UnreadableImage),
        ("crash", UnreadableImage),
        ("abort", UnreadableImage),
        ("leave", UnreadableImage),
        ("chatter", UnreadableImage),
        ("lie", UnreadableImage),
        ("lie_about_its_size", ImageTooLarge),
    ],
)
def test_a_photo_that_harms_its_decoder_fails_alone(
    harmful: Decoders, harm: str, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoders_module, "MAX_CPU_SECONDS", 2)  # the test below has the whole limit

    with pytest.raises(error):
        decode(harmful, harm)

    assert decode(harmful, T_SHIRT).format == "JPEG"


@on_linux
def test_a_photo_gets_five_seconds_of_processor_time_at_most(harmful: Decoders) -> None:
    decode(harmful, T_SHIRT)
    before = os.times()

    with pytest.raises(ImageTooLarge, match="5 seconds"):
        decode(harmful, "loop")

    assert os.times().children_user - before.children_user <= MAX_CPU_SECONDS + 0.5


@on_linux
def test_memory_is_counted_above_what_the_process_has(harmful: Decoders) -> None:
    decode(harmful, T_SHIRT)
    before = children()

    for _ in range(7):  # more than the limit together
        with pytest.raises(UnsupportedImage):
            decode(harmful, "keep")

    assert children() == before


@pytest.mark.parametrize("fault", ["fail", "lack_a_library"])
def test_a_fault_of_the_decoding_process_is_not_called_the_photos(harmful: Decoders, fault: str) -> None:
    with pytest.raises(
        RuntimeError, match=r"Decoding failed: (?s:.)*KeyError: 'a fault'|library of a format is missing"
    ):
        decode(harmful, fault)

    assert decode(harmful, T_SHIRT).format == "JPEG"


def test_a_process_that_can_decode_nothing_does_not_start() -> None:
    """The lock may refuse what a new library needs. The photos are not at fault then."""
    broken = decoders_module.PROGRAM.replace("from", "from PIL import Image; Image.Image.load = None; from")

    with pytest.raises(RuntimeError, match="did not start"):
        decode(Decoders(1, broken), T_SHIRT)


def test_a_process_that_cannot_be_started_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    own = Decoders(1)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", "/nothing")
        for use in (own.start, lambda: decode(own, T_SHIRT)):
            with pytest.raises(RuntimeError, match="cannot be started"):
                use()

    assert decode(own, T_SHIRT).format == "JPEG"


@on_linux
def test_the_log_says_that_a_photo_crashed_its_decoder(harmful: Decoders, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(UnreadableImage):
        decode(harmful, "crash")

    (line,) = caplog.records
    assert line.message == "A photo crashed its decoding process"
    assert vars(line)["status"] == -signal.SIGSEGV


@on_linux
def test_time_is_counted_for_each_photo(harmful: Decoders, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise many photos together would exceed the limit of one."""
    monkeypatch.setattr(decoders_module, "MAX_CPU_SECONDS", 2)
    decode(harmful, T_SHIRT)
    before = children()
    data = encoded(garment("t-shirt", (3000, 3000)), "PNG")

    for _ in range(20):  # 200 ms each
        decode(harmful, data)

    assert children() == before


def test_nobody_waits_longer_for_an_idle_process(harmful: Decoders, monkeypatch: pytest.MonkeyPatch) -> None:
    decode(harmful, T_SHIRT)
    monkeypatch.setattr(decoders_module, "MAX_SECONDS", 1)

    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(decode, harmful, "wait") for _ in range(3)]

    assert [type(each.exception()) for each in waiting] == [Busy] * 3


def test_a_decoder_that_hangs_is_not_waited_for(harmful: Decoders, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine may be at fault, so a later try may succeed."""
    monkeypatch.setattr(decoders_module, "MAX_SECONDS", 0.5)

    with pytest.raises(Busy):
        decode(harmful, "wait")

    monkeypatch.undo()
    assert decode(harmful, T_SHIRT).format == "JPEG"


@on_linux
def test_a_decoder_that_ignores_the_limit_of_its_time_fails_by_that_limit(
    harmful: Decoders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoders_module, "MAX_CPU_SECONDS", 1)
    monkeypatch.setattr(decoders_module, "MAX_SECONDS", 7)  # on a busy machine, it gets little of the processor

    with pytest.raises(ImageTooLarge):
        decode(harmful, "loop_on")


@on_linux
@pytest.mark.parametrize("harm", ["share", "protect"])
def test_all_kinds_of_memory_are_counted(harmful: Decoders, harm: str) -> None:
    """Some are not data of the process: memory that is shared, or made read-only after it was filled."""
    with pytest.raises(ImageTooLarge):
        decode(harmful, harm)


@on_linux
def test_a_decoder_has_no_files_of_its_parent(tmp_path: Path) -> None:
    """Even if they are made for children."""
    with (tmp_path / "secret").open("w") as file:
        os.set_inheritable(file.fileno(), True)  # noqa: FBT003 - the standard library's
        own, pid = start_own()

        descriptors = {int(file.name): str(file.readlink()) for file in Path(f"/proc/{pid}/fd").iterdir()}
        assert descriptors.keys() == {0, 1, 2}
        assert descriptors[2] == os.devnull
        assert own


@on_linux
def test_a_decoder_that_the_kernel_kills_for_lack_of_memory_is_not_the_photos_fault() -> None:
    own, pid = start_own(PROGRAM)
    killer = threading.Timer(0.5, os.kill, (pid, signal.SIGKILL))
    killer.start()

    with pytest.raises(Busy):
        decode(own, "wait")

    killer.join()
    assert decode(own, T_SHIRT).format == "JPEG"


@on_linux
def test_a_decoder_that_ends_between_two_photos_is_replaced() -> None:
    own, pid = start_own(PROGRAM)
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)

    assert decode(own, T_SHIRT).format == "JPEG"
    assert pid not in children()


def test_a_program_that_does_not_start_is_no_photos_fault(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError, match="did not start"):
        decode(Decoders(1, "raise SystemExit(7)"), T_SHIRT)

    assert capfd.readouterr().err == ""


def test_a_file_over_the_limit_starts_no_process() -> None:
    before = children()

    with pytest.raises(ImageTooLarge):
        Decoders(1).decode(bytes(11), SIDE, Limits(file_bytes=10))

    assert children() == before


def test_a_process_is_started_before_the_first_photo_and_only_once() -> None:
    before, own = children(), Decoders(2)

    own.start()
    own.start()
    started = children() - before
    decode(own, T_SHIRT)

    assert len(started) == 1
    assert children() - before == started


@on_linux
def test_the_processes_end_with_the_interpreter() -> None:
    program = f"""
import sys
sys.path[:] = {sys.path}
from pathlib import Path
from classifier.decoders import Decoders
kept = Decoders(1)
kept.start()
print(*(file.read_text() for file in Path("/proc/self/task").glob("*/children")))
"""

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stderr == ""
    assert not Path(f"/proc/{int(done.stdout)}").exists()


def test_processes_end_when_nobody_needs_them() -> None:
    before = children()
    own, pid = start_own()

    del own

    assert children() - {pid} == before - {pid}
    assert not Path(f"/proc/{pid}").exists()


@on_linux
@pytest.mark.parametrize("attempt", [name for name in ATTEMPTS if name != THIRTY_TWO_BITS])
def test_a_decoder_can_only_compute(harmful: Decoders, attempt: str) -> None:
    with pytest.raises(UnreadableImage, match=r"^(PermissionError|ModuleNotFoundError|ValueError)$"):
        decode(harmful, attempt)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="other processors have one table of system calls")
@on_linux
def test_a_decoder_makes_no_system_call_by_another_table(harmful: Decoders) -> None:
    """A process of 64 bits can make the calls of 32 bits, which have other numbers. Not all kernels have these."""
    with pytest.raises(UnreadableImage, match=r"^PermissionError$|damaged"):
        decode(harmful, THIRTY_TWO_BITS)


@on_linux
def test_the_kernel_limits_what_a_decoder_writes_and_opens() -> None:
    own, pid = start_own()

    limits = Path(f"/proc/{pid}/limits").read_text()

    for name in ("Max core file size", "Max file size", "Max open files"):
        assert re.search(rf"^{name} +0 +0 ", limits, re.MULTILINE)
    assert own


@on_linux
@pytest.mark.parametrize("attempt", ["read a file", "open a socket", "open a pipe", "copy a descriptor"])
def test_a_decoder_opens_nothing_where_the_kernel_has_no_filter(attempt: str, caplog: pytest.LogCaptureFixture) -> None:
    """The log says so once."""
    decoders_module.warn_unfiltered.cache_clear()
    own = Decoders(1, f"import platform; platform.machine = lambda: 'other'; {PROGRAM}")

    for _ in range(2):
        with pytest.raises(UnreadableImage, match=r"^OSError$"):
            decode(own, attempt)

    assert [line.message for line in caplog.records] == [
        "The kernel does not filter the system calls of decoding processes. Their resource limits are set."
    ]


@on_linux
def test_a_decoder_has_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither in its environment nor anywhere in its memory."""
    secret = "a secret that only the function's process has"
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    own, pid = start_own()

    names = {line.partition(b"=")[0] for line in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")} - {b""}

    assert all(name.startswith((b"MALLOC_", b"PILLOW_")) for name in names)
    assert not any(secret.encode() in part for part in read_memory(pid))
    assert any(secret.encode() in part for part in read_memory(os.getpid())), "the search finds it where it is"
    assert own


@on_linux
def test_threads_share_the_processes_and_each_gets_its_own_photo() -> None:
    before, own = children(), Decoders(2)
    photos_ = [photo(kind, (300 + number, 200)) for number in range(12) for kind in ("t-shirt", "pants")]

    with ThreadPoolExecutor(8) as pool:
        decoded = list(pool.map(lambda data: decode(own, data), photos_))

    assert decoded == [photos.decode(data, SIDE, Limits()) for data in photos_]
    assert len(children() - before) == 2


def start_own(program: str = decoders_module.PROGRAM) -> tuple[Decoders, int]:
    """Return a decoding process that is ready, and its id."""
    before, own = children(), Decoders(1, program)
    decode(own, T_SHIRT)
    (pid,) = children() - before
    return own, pid


def read_memory(pid: int) -> Iterator[bytes]:
    """Yield the contents of a process's memory."""
    with Path(f"/proc/{pid}/mem").open("rb", 0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            place, permissions, *_ = line.split()
            start, end = (int(number, 16) for number in place.split("-"))
            if permissions.startswith("rw"):
                memory.seek(start)
                with suppress(OSError):
                    yield memory.read(end - start)
