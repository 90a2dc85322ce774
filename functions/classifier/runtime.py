"""The runtime that runs the network: the same class, from the package for this Python."""

import sys

__all__ = ["RUNS_INT8_FAST", "Interpreter"]

# tflite-runtime has no wheels after CPython 3.11 on Linux; ai-edge-litert is its successor. requirements.in has the
# same condition.
if sys.platform == "linux" and sys.version_info < (3, 12):
    from tflite_runtime.interpreter import Interpreter

    RUNS_INT8_FAST = False  # an int8 network takes several times as long as one with float16 weights
else:
    from ai_edge_litert.interpreter import Interpreter

    RUNS_INT8_FAST = True  # it takes less than half the time
