"""Classify files one after another. Print the peak memory, in MiB, of the function and of its largest decoding process.

python -m tests.support.function_memory FILE...
"""

import os
import resource
import sys
from contextlib import suppress
from pathlib import Path

from classifier.classification import Source
from classifier.classify import Origin, classify
from classifier.errors import PhotoError
from classifier.services import Services
from classifier.telemetry import Stopwatch
from tests.support.environment import ENVIRONMENT
from tests.support.processes import children, read_mebibytes


def main() -> None:
    """Decoding processes that have ended are in `getrusage`; this process is smaller than the largest of them."""
    services = Services.from_environment(ENVIRONMENT)
    for file in sys.argv[1:]:
        data = Path(file).read_bytes()
        with suppress(PhotoError):
            classify(data, Origin.new(data, Source.BYTES), services, Stopwatch())
    ended = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    decoder = max([ended, *(read_mebibytes(pid, "VmHWM") for pid in children())])
    sys.stdout.write(f"{read_mebibytes(os.getpid(), 'VmHWM')} {decoder}\n")


if __name__ == "__main__":
    main()
