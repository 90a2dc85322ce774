"""Ways from a photo's bytes to its scores: ours, the tutorials', and the least that it can cost."""

import io
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmarks.timing import Seconds
from classifier.classify import Origin, classify
from classifier.records import Source
from classifier.runtime import Interpreter
from classifier.services import Services
from classifier.telemetry import Stopwatch

STAGES = ("decode", "resize", "network", "the rest")
ORIGIN = Origin("listing-42/front.jpg", Source.BYTES, datetime(2026, 1, 31, tzinfo=UTC), "etag")


class Tutorial:
    """A tutorial's handler, written anew: decode in full, resize with Pillow, and ask a large network in fp32.

    After alexeygrigorev/mlbookcamp-code (Xception at 299 px) and its like with InceptionV3 at 150 px.
    """

    def __init__(self, network: Path) -> None:
        """Load the network as their handlers do at the start."""
        self.interpreter = Interpreter(model_path=str(network))
        self.interpreter.allocate_tensors()
        (taken,), (given,) = self.interpreter.get_input_details(), self.interpreter.get_output_details()
        self.input, self.output, self.side = taken["index"], given["index"], taken["shape"][1]

    def __call__(self, data: bytes) -> list[float]:
        """Scores of the photo."""
        image = Image.open(io.BytesIO(data)).convert("RGB").resize((self.side, self.side), Image.Resampling.NEAREST)
        pixels = np.array([np.array(image, dtype=np.float32) / 127.5 - 1])
        self.interpreter.set_tensor(self.input, pixels)
        self.interpreter.invoke()
        scores: list[float] = self.interpreter.get_tensor(self.output)[0].tolist()
        return scores


class Floor:
    """The cheapest decoding to size that Pillow offers, and one invocation of our network; nothing is checked."""

    def __init__(self, network: Path) -> None:
        """Load the network."""
        self.interpreter = Interpreter(model_path=str(network), num_threads=1)
        self.interpreter.allocate_tensors()
        (taken,) = self.interpreter.get_input_details()
        self.input, self.side = taken["index"], taken["shape"][1]

    def decode(self, data: bytes) -> Image.Image:
        """At the scale that the format allows."""
        image = Image.open(io.BytesIO(data))
        image.draft("RGB", (self.side, self.side))
        image.load()
        return image

    def resize(self, image: Image.Image) -> npt.NDArray[np.uint8]:
        """To the network's square, by taking every so manieth pixel."""
        return np.asarray(image.convert("RGB").resize((self.side, self.side), Image.Resampling.NEAREST))

    def invoke(self, pixels: npt.NDArray[np.uint8]) -> None:
        """Ask the network."""
        self.interpreter.set_tensor(self.input, pixels[np.newaxis])
        self.interpreter.invoke()

    def __call__(self, data: bytes) -> None:
        """All three."""
        self.invoke(self.resize(self.decode(data)))


class Ours:
    """`classify`, from bytes to the JSON of the API; `stages` are the seconds of each part, one call after another."""

    def __init__(self, services: Services) -> None:
        """With the model loaded."""
        self.services = services
        self.services.model.check()
        self.stages: Seconds = {stage: [] for stage in STAGES}

    def __call__(self, data: bytes) -> dict[str, Any]:
        """The answer of `POST /classifications`."""
        stopwatch = Stopwatch()
        started = time.perf_counter()
        with _timed_resizing() as resizing:
            answer = classify(data, ORIGIN, self.services, stopwatch).to_json()
        whole = time.perf_counter() - started
        pixels, network = (stopwatch.milliseconds[stage] / 1000 for stage in ("decode", "infer"))
        parts = pixels - sum(resizing), sum(resizing), network, whole - pixels - network
        for stage, seconds in zip(STAGES, parts, strict=True):
            self.stages[stage].append(seconds)
        return answer


@contextmanager
def _timed_resizing() -> Iterator[list[float]]:
    """What each of Pillow's steps to a smaller image takes; one may be a part of another."""
    seconds: list[float] = []

    def timed(step: Callable[..., Image.Image]) -> Callable[..., Image.Image]:
        def run(*arguments: Any, **options: Any) -> Image.Image:
            before = len(seconds)
            started = time.perf_counter()
            image = step(*arguments, **options)
            seconds[before:] = [time.perf_counter() - started]
            return image

        return run

    reduce, resize = timed(Image.Image.reduce), timed(Image.Image.resize)
    with patch.object(Image.Image, "reduce", reduce), patch.object(Image.Image, "resize", resize):
        yield seconds
