"""RGB pixels to calibrated scores: the interpreter. No AWS."""

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from classifier.description import NETWORK_FILE, Description

# tflite-runtime ends with CPython 3.11 on Linux; ai-edge-litert succeeds it. requirements.txt has the same markers.
if sys.platform == "linux" and sys.version_info < (3, 12):
    from tflite_runtime.interpreter import Interpreter
else:
    from ai_edge_litert.interpreter import Interpreter


class Model:
    """The network with its description, ready to answer. Not safe for use by several threads at once."""

    def __init__(self, directory: Path) -> None:
        """Read description and network from the folder; raises what these readings raise."""
        self.description = Description.read(directory)
        # One thread: Lambda sells about one vCPU at the memory this function is given.
        self._interpreter = Interpreter(model_path=str(directory / NETWORK_FILE), num_threads=1)
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._output = self._interpreter.get_output_details()[0]["index"]

    def logits(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
        """The network's raw outputs, of shape (labels,), for RGB pixels of shape (input_size, input_size, 3)."""
        self._interpreter.set_tensor(self._input, pixels[np.newaxis])
        self._interpreter.invoke()
        outputs: npt.NDArray[np.float64] = self._interpreter.get_tensor(self._output)[0].astype(np.float64)
        return outputs

    def scores(self, pixels: npt.NDArray[np.uint8]) -> dict[str, float]:
        """Each label's calibrated probability, in label order; they sum to 1."""
        probabilities = softmax(self.logits(pixels) / self.description.temperature)
        return dict(zip(self.description.labels, probabilities.tolist(), strict=True))

    def check(self) -> None:
        """Answer once, for a black square; raises `RuntimeError` if the answer is none."""
        size = self.description.input_size
        if not np.isfinite(self.logits(np.zeros((size, size, 3), np.uint8))).all():
            raise RuntimeError("The network's answer is not finite.")


def softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Probabilities along the last axis."""
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities: npt.NDArray[np.float64] = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return probabilities
