"""Contenders that turn a photo's bytes into scores: this project and the tutorials' functions."""

import io
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.timing import Durations
from classifier.classification import Source
from classifier.classify import Origin, classify
from classifier.runtime import Interpreter
from classifier.services import Services
from classifier.telemetry import Stopwatch

DECODE_ONLY = "decoding in the same process"
STAGES = ("decode", "inference", "other")
ORIGIN = Origin("listing-42/front.jpg", Source.BYTES, datetime(2026, 1, 31, tzinfo=UTC), "etag")


class Tutorial:
    """A tutorial's handler, reimplemented: decode in full, resize with Pillow, run a large network in single precision.

    The sources are alexeygrigorev/mlbookcamp-code (Xception at 299 px) and similar ones with InceptionV3 at 150 px.
    """

    def __init__(self, network: Path) -> None:
        """Load the network, as the tutorials' handlers do at import."""
        self.interpreter = Interpreter(model_path=str(network))
        self.interpreter.allocate_tensors()
        (input_details,), (output_details,) = (
            self.interpreter.get_input_details(),
            self.interpreter.get_output_details(),
        )
        self.input, self.output = input_details["index"], output_details["index"]
        self.side = input_details["shape"][1]

    def __call__(self, data: bytes) -> list[float]:
        """Return the scores of the photo."""
        image = Image.open(io.BytesIO(data)).convert("RGB").resize((self.side, self.side), Image.Resampling.NEAREST)
        pixels = np.array([np.array(image, dtype=np.float32) / 127.5 - 1])
        self.interpreter.set_tensor(self.input, pixels)
        self.interpreter.invoke()
        scores: list[float] = self.interpreter.get_tensor(self.output)[0].tolist()
        return scores


class ThisProject:
    """`classify`, from bytes to the JSON of the API. `stages` collects the seconds of each stage in each call."""

    def __init__(self, services: Services) -> None:
        """Load the model."""
        self.services = services
        self.services.model.check()
        self.stages: Durations = {stage: [] for stage in STAGES}

    def __call__(self, data: bytes) -> dict[str, Any]:
        """Return the body of the answer to `POST /classifications`."""
        stopwatch = Stopwatch()
        started = time.perf_counter()
        classification = classify(data, ORIGIN, self.services, stopwatch)
        answer = classification.to_json(self.services.description.categories)
        total = time.perf_counter() - started
        decode, inference = (stopwatch.milliseconds[stage] / 1000 for stage in ("decode", "infer"))
        durations = decode, inference, total - decode - inference
        for stage, seconds in zip(STAGES, durations, strict=True):
            self.stages[stage].append(seconds)
        return answer
