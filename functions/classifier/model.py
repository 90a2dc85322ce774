"""RGB pixels to calibrated scores: the interpreter. No AWS."""

import threading
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from classifier.description import NETWORK_FILE, Description
from classifier.runtime import Interpreter


class Outputs(NamedTuple):
    """What the network says of a photo.

    `logits`, of shape (labels,). `familiarity`, in [-1, 1]: how much the photo looks like one that the network was
    trained on, as the cosine between its features and the nearest of theirs.
    """

    logits: npt.NDArray[np.float64]
    familiarity: float


class Prediction(NamedTuple):
    """Each label's calibrated probability, in label order, and whether a person should look."""

    scores: dict[str, float]
    needs_review: bool


class Model:
    """The network with its description, ready to answer; each thread that asks has an interpreter of its own."""

    def __init__(self, directory: Path, description: Description, processors: int = 1) -> None:
        """Read the network from the folder; raises what the runtime raises where it is not one.

        The main thread's interpreter uses so many processors: other threads only ask beside others.
        """
        self.description = description
        self._path = str(directory / NETWORK_FILE)
        self._local = threading.local()
        self._local.network = self._read_network(processors)

    @classmethod
    def read(cls, directory: Path) -> Self:
        """Read network and description from the folder; raises what these readings raise."""
        return cls(directory, Description.read(directory))

    def _read_network(self, processors: int) -> Any:
        interpreter = Interpreter(model_path=self._path, num_threads=processors)
        interpreter.allocate_tensors()
        return interpreter.get_signature_runner()

    def outputs(self, pixels: npt.NDArray[np.uint8]) -> Outputs:
        """The network's raw outputs for RGB pixels of shape (input_size, input_size, 3)."""
        if not hasattr(self._local, "network"):
            self._local.network = self._read_network(1)
        outputs = self._local.network(pixels=pixels[np.newaxis])
        return Outputs(outputs["logits"][0].astype(np.float64), float(outputs["familiarity"][0]))

    def predict(self, pixels: npt.NDArray[np.uint8]) -> Prediction:
        """The answer for RGB pixels of shape (input_size, input_size, 3); its scores sum to 1."""
        logits, familiarity = self.outputs(pixels)
        probabilities = softmax(logits / self.description.temperature + self.description.biases)
        return Prediction(
            dict(zip(self.description.labels, probabilities.tolist(), strict=True)),
            bool(
                probabilities.max() < self.description.review_threshold
                or familiarity < self.description.familiarity_threshold
            ),
        )

    def check(self) -> None:
        """Answer once, for a black square; raises `RuntimeError` if the answer is none."""
        size = self.description.input_size
        logits, familiarity = self.outputs(np.zeros((size, size, 3), np.uint8))
        if not np.isfinite([*logits, familiarity]).all():
            raise RuntimeError("The network's answer is not finite.")


def softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Probabilities along the last axis."""
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities: npt.NDArray[np.float64] = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return probabilities
