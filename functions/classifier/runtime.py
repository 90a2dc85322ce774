"""The runtime that answers for the network: one class of two packages."""

import sys

__all__ = ["Interpreter"]

# tflite-runtime ends with CPython 3.11 on Linux; ai-edge-litert succeeds it. requirements.txt has the same markers.
if sys.platform == "linux" and sys.version_info < (3, 12):
    from tflite_runtime.interpreter import Interpreter
else:
    from ai_edge_litert.interpreter import Interpreter
