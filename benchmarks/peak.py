"""Classifies one photo and prints how many mebibytes the process held at most.

python -m benchmarks.peak PHOTO
"""

import os
import sys
from pathlib import Path

from benchmarks.ways import ORIGIN
from classifier.classify import classify
from classifier.services import Services
from classifier.telemetry import Stopwatch


def main() -> None:
    """Not by `getrusage`, where what the parent held at most would count."""
    classify(Path(sys.argv[1]).read_bytes(), ORIGIN, Services.from_environment(os.environ), Stopwatch())
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    print(int(line.split()[1]) / 1024)


if __name__ == "__main__":
    main()
