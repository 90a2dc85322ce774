"""Time cold starts inside the image: `python image_starts.py START`, where START is the path of `start.py`.

The standard input has the arguments of `start.py` in each round, by name, in JSON. This needs only Python.
"""

import json
import subprocess
import sys
import time


def main() -> None:
    """Run all rounds, the names in turns, and print the seconds by name."""
    rounds: dict[str, list[list[str]]] = json.load(sys.stdin)
    durations: dict[str, list[float]] = {name: [] for name in rounds}
    for number in range(min(map(len, rounds.values()))):
        for name, arguments in rounds.items():
            began = time.perf_counter()
            command = [sys.executable, sys.argv[1], *arguments[number]]
            output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
            durations[name].append(time.perf_counter() - began)
            if not output.endswith("answered\n"):
                raise RuntimeError(f"The cold start {name!r} did not answer: {output}")
    print(json.dumps(durations))


if __name__ == "__main__":
    main()
