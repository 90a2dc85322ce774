"""RGB pixels to calibrated scores: the interpreter and the folder `model/`. No AWS."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

# tflite-runtime ends with CPython 3.11 on Linux; ai-edge-litert succeeds it. requirements.txt has the same markers.
if sys.platform == "linux" and sys.version_info < (3, 12):
    from tflite_runtime.interpreter import Interpreter
else:
    from ai_edge_litert.interpreter import Interpreter

NETWORK_FILE = "clothing.tflite"
DESCRIPTION_FILE = "model.json"


@dataclass(frozen=True, slots=True)
class Description:
    """What `model.json` says of the network beside it.

    `labels` are in the order of the network's outputs. `input_size` is the side, in pixels, of the square it takes.
    `temperature` divides the logits before the softmax (Guo et al. 2017, "On Calibration of Modern Neural Networks").
    A confidence below `review_threshold` wants a person's look. `metrics` are the figures of its evaluation, by split.
    """

    name: str
    version: str
    labels: tuple[str, ...]
    input_size: int
    temperature: float
    review_threshold: float
    sha256: str
    metrics: dict[str, dict[str, float]]

    @property
    def accuracy(self) -> float:
        """On the photos of senders that training never saw, or if nobody measured that, on the validation photos."""
        return (self.metrics.get("test") or self.metrics["validation"])["accuracy"]

    @classmethod
    def read(cls, directory: Path) -> Self:
        """Read `directory/model.json`; raises `OSError`, `ValueError` or `KeyError` where it is not as it should be."""
        content: dict[str, Any] = json.loads((directory / DESCRIPTION_FILE).read_text(encoding="utf-8"))
        return cls(
            name=content["name"],
            version=content["version"],
            labels=tuple(content["labels"]),
            input_size=content["input"]["width"],
            temperature=content["temperature"],
            review_threshold=content["review_threshold"],
            sha256=content["sha256"],
            metrics=content["metrics"],
        )


class Model:
    """The network with its description, ready to answer. Not safe for use by several threads at once."""

    def __init__(self, directory: Path) -> None:
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
