"""What Linux says of running processes: proc_pid_task(5), proc_pid_status(5)."""

import re
from pathlib import Path


def children() -> set[int]:
    """Return the ids of this process's children."""
    return {int(pid) for file in Path("/proc/self/task").glob("*/children") for pid in file.read_text().split()}


def read_mebibytes(pid: int, name: str) -> float:
    """Return a line of `/proc/PID/status`."""
    found = re.search(rf"^{name}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) / 1024
