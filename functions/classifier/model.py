"""From RGB pixels to calibrated scores."""

import threading
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from classifier.description import INT8_NETWORK_FILE, NETWORK_FILE, Description
from classifier.runtime import RUNS_INT8_FAST, Interpreter


class Outputs(NamedTuple):
    """The network's outputs for one photo.

    `logits`: of shape (labels,). `familiarity`: the cosine, in [-1, 1], between the photo's features and the nearest
    prototype of the features of training photos.
    """

    logits: npt.NDArray[np.float64]
    familiarity: float


class Prediction(NamedTuple):
    """The calibrated probability of each label, in label order, and whether a person should review the photo."""

    scores: dict[str, float]
    needs_review: bool


class Model:
    """The network with its description. Each thread has an interpreter of its own."""

    def __init__(self, directory: Path, description: Description, vcpus: int = 1) -> None:
        """Load the network from the folder. Raise `ValueError` or `RuntimeError` if the runtime cannot read it.

        The interpreter of the main thread uses all processors. Other threads run beside each other, on one each.
        """
        self.description = description
        self._path = str(find_network(directory))
        self._vcpus = vcpus
        self._local = threading.local()
        self._local.network = self._load_network()

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Load network and description from the folder. Raise what `Description.read` and the constructor raise."""
        return cls(directory, Description.read(directory))

    def _load_network(self) -> "_Network":
        return _Network(self._path, self._vcpus if threading.current_thread() is threading.main_thread() else 1)

    def outputs(self, pixels: npt.NDArray[np.uint8]) -> Outputs:
        """Run the network on RGB pixels of shape (input_size, input_size, 3)."""
        if not hasattr(self._local, "network"):
            self._local.network = self._load_network()
        outputs: Outputs = self._local.network.run(pixels)
        return outputs

    def predict(self, pixels: npt.NDArray[np.uint8]) -> Prediction:
        """Classify RGB pixels of shape (input_size, input_size, 3). The scores sum to 1."""
        logits, familiarity = self.outputs(pixels)
        description = self.description
        probabilities = softmax(calibrate(logits, description.temperature, description.biases))
        review = needs_review(
            probabilities.max(), familiarity, description.review_threshold, description.familiarity_threshold
        )
        return Prediction(dict(zip(description.labels, probabilities.tolist(), strict=True)), bool(review))

    def check(self) -> None:
        """Run the network once, on a black square. Raise `RuntimeError` if an output is not finite."""
        size = self.description.input_size
        logits, familiarity = self.outputs(np.zeros((size, size, 3), np.uint8))
        if not np.isfinite([*logits, familiarity]).all():
            raise RuntimeError("The network's output is not finite.")


def find_network(directory: Path) -> Path:
    """Return the file of the network, in the version that this runtime runs fastest."""
    int8 = directory / INT8_NETWORK_FILE
    return int8 if RUNS_INT8_FAST and int8.exists() else directory / NETWORK_FILE


class _Network:
    """The network in an interpreter, without its signature's runner, which would plan the memory for each photo."""

    def __init__(self, path: str, threads: int) -> None:
        self._interpreter = Interpreter(model_path=path, num_threads=threads)
        self._interpreter.allocate_tensors()
        runner = self._interpreter.get_signature_runner()
        inputs, outputs = runner.get_input_details(), runner.get_output_details()
        self._pixels = inputs["pixels"]["index"]
        self._logits, self._familiarity = (outputs[name]["index"] for name in ("logits", "familiarity"))

    def run(self, pixels: npt.NDArray[np.uint8]) -> Outputs:
        self._interpreter.set_tensor(self._pixels, pixels[np.newaxis])
        self._interpreter.invoke()
        logits, familiarity = map(self._interpreter.get_tensor, (self._logits, self._familiarity))
        return Outputs(logits[0].astype(np.float64), float(familiarity[0]))


def calibrate(
    logits: npt.NDArray[np.float64], temperature: float, biases: tuple[float, ...]
) -> npt.NDArray[np.float64]:
    """Return the logits after bias-corrected temperature scaling (Alexandari et al. 2020), of the same shape."""
    calibrated: npt.NDArray[np.float64] = logits / temperature + biases
    return calibrated


def needs_review(
    confidence: npt.ArrayLike, familiarity: npt.ArrayLike, review_threshold: float, familiarity_threshold: float
) -> npt.NDArray[np.bool_]:
    """Return where a person should review the photo: the model is not sure, or knows nothing like it."""
    return (np.asarray(confidence) < review_threshold) | (np.asarray(familiarity) < familiarity_threshold)


def softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the softmax along the last axis."""
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities: npt.NDArray[np.float64] = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return probabilities
