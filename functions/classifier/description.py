"""The description of the network in `model/`. Reading it needs neither numpy nor the runtime."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

NETWORK_FILE = "clothing.tflite"
INT8_NETWORK_FILE = "clothing-int8.tflite"  # the same network, for runtimes that run it faster
DESCRIPTION_FILE = "model.json"


@dataclass(frozen=True, slots=True)
class Description:
    """What `model.json` says about the network beside it.

    `labels` are in the order of the network's outputs. `input_size` is the side of its input, in pixels.
    The scores are softmax(logits / `temperature` + `biases`) (Alexandari et al. 2020, "Maximum Likelihood with
    Bias-Corrected Calibration").
    A photo needs review if its confidence is below `review_threshold` or its familiarity below
    `familiarity_threshold`. `metrics` holds the figures of the evaluation by split. `categories` holds, for some
    labels, what people call it (`name`) and its ids in the taxonomies of Google and Shopify (`google`, `shopify`).
    `sha256` is that of the network's file, and `int8_sha256` that of its int8 version, if it has one.
    """

    name: str
    version: str
    labels: tuple[str, ...]
    input_size: int
    temperature: float
    biases: tuple[float, ...]
    review_threshold: float
    familiarity_threshold: float
    sha256: str
    int8_sha256: str | None
    metrics: dict[str, dict[str, float]]
    categories: dict[str, dict[str, Any]]

    @property
    def accuracy(self) -> float:
        """The accuracy on photos that were held out of training; of other senders, where the senders are known."""
        return self.metrics["held_out"]["accuracy"]

    @classmethod
    def read(cls, directory: Path) -> Self:
        """Read `directory/model.json`. Raise `OSError`, `ValueError` or `KeyError` if it is missing or malformed."""
        content: dict[str, Any] = json.loads((directory / DESCRIPTION_FILE).read_text(encoding="utf-8"))
        return cls(
            name=content["name"],
            version=content["version"],
            labels=tuple(content["labels"]),
            input_size=content["input"]["width"],
            temperature=content["temperature"],
            biases=tuple(content["biases"]),
            review_threshold=content["review_threshold"],
            familiarity_threshold=content["familiarity_threshold"],
            sha256=content["sha256"],
            int8_sha256=content.get("int8", {}).get("sha256"),
            metrics=content["metrics"],
            categories=content.get("categories", {}),
        )
