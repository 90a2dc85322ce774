"""Classify one photo and print the peak memory of this process in MiB.

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
    """Read the peak from /proc, because `getrusage` includes the parent's peak."""
    classify(Path(sys.argv[1]).read_bytes(), ORIGIN, Services.from_environment(os.environ), Stopwatch())
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    print(int(line.split()[1]) / 1024)  # VmHWM is in KiB


if __name__ == "__main__":
    main()
