"""The runtime that runs the network: the same class, from the package for this Python."""

import sys

__all__ = ["Interpreter"]

# tflite-runtime has no wheels after CPython 3.11 on Linux; ai-edge-litert is its successor. requirements.in has the
# same condition.
if sys.platform == "linux" and sys.version_info < (3, 12):
    from tflite_runtime.interpreter import Interpreter
else:
    from ai_edge_litert.interpreter import Interpreter
