"""Classify one photo and print the peak memory of this process and its decoding process in MiB.

python -m benchmarks.peak_memory PHOTO
"""

import os
import sys
from pathlib import Path

from benchmarks.contenders import ORIGIN
from classifier.classify import classify
from classifier.services import Services
from classifier.telemetry import Stopwatch


def main() -> None:
    """Read the peaks of this process and its decoding process from /proc: `getrusage` includes the parent's peak."""
    services = Services.from_environment(os.environ)
    classify(Path(sys.argv[1]).read_bytes(), ORIGIN, services, Stopwatch())
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    print(sum(read_peak(pid) for pid in ("self", *children)))


def read_peak(pid: str) -> float:
    """Return the peak memory of a process in MiB."""
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024  # VmHWM is in KiB


if __name__ == "__main__":
    main()
