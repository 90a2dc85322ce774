"""The description of a published model, which `model.json` holds."""

import hashlib
import json
import tomllib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from training.calibration import Calibration
from evaluation.metrics import Metrics
from training.run import TrainingRecord

_NAME = "mobilenet_v2"
_CATEGORIES = Path(__file__).with_name("categories.toml")


@dataclass(frozen=True, slots=True)
class InputSpec:
    """The array that the network takes: a photo of this shape and type."""

    width: int
    height: int
    channels: str
    dtype: str


@dataclass(frozen=True, slots=True)
class NetworkFile:
    """The SHA-256 and the size in bytes of `clothing.tflite`."""

    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """All that is known about a published model.

    `conversion_error` is the largest difference in probability between a converted network and its Keras network.
    `fold_accuracies` has the accuracy on each fold, and `seed_accuracies` the mean accuracy over the folds of each
    seed's networks, before their weights are averaged. `metrics` has the splits `held_out` and, if there are such
    photos, `held_out_kids`, `test` and `test_kids`.
    """

    training: TrainingRecord
    network: NetworkFile
    calibration: Calibration
    conversion_error: float
    fold_accuracies: tuple[float, ...]
    seed_accuracies: tuple[float, ...]
    metrics: dict[str, Metrics]

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, in the order of the network's outputs."""
        return self.training.labels

    @property
    def input(self) -> InputSpec:
        """The network's input."""
        size = self.training.recipe.size
        return InputSpec(width=size, height=size, channels="RGB", dtype="uint8")

    @property
    def version(self) -> str:
        """The version, which changes with the network, the labels or the calibration.

        Records with another version can be classified again.
        """
        content = json.dumps([self.network.sha256, self.labels, asdict(self.calibration)])
        return f"{_NAME}-{self.input.width}-{hashlib.sha256(content.encode()).hexdigest()[:8]}"

    def to_json(self) -> str:
        """Return the content of `model.json`, which `classifier.description` reads."""
        content = {
            "name": _NAME,
            "version": self.version,
            "labels": self.labels,
            "categories": read_categories(self.labels),
            "input": asdict(self.input),
            **asdict(self.calibration),
            "sha256": self.network.sha256,
            "bytes": self.network.size,
            "conversion_error": self.conversion_error,
            "fold_accuracies": self.fold_accuracies,
            "seed_accuracies": self.seed_accuracies,
            "metrics": {split: asdict(metrics) for split, metrics in self.metrics.items()},
            "training": _without_labels(self.training),
        }
        return json.dumps(content, indent=2) + "\n"


def read_categories(labels: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return what people call the labels and their ids in taxonomies, for the labels that `categories.toml` has."""
    categories = tomllib.loads(_CATEGORIES.read_text(encoding="utf-8"))
    return {label: categories[label] for label in labels if label in categories}


def _without_labels(record: TrainingRecord) -> dict[str, Any]:
    return {name: value for name, value in asdict(record).items() if name != "labels"}
