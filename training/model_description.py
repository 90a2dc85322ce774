"""The description of a published model, which `model.json` holds."""

import hashlib
import json
import tomllib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evaluation.dataset import About
from evaluation.metrics import Metrics, OodMetrics
from training.calibration import Calibration
from training.run import Fit, TrainingRecord

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
class Int8File:
    """The same of `clothing-int8.tflite`, and the share of photos to which both networks give the same label."""

    sha256: str
    size: int
    agreement: float


@dataclass(frozen=True, slots=True)
class OodResult:
    """For one kind of out-of-distribution images: the share that needs review, and the metrics of each score."""

    needs_review: float
    scores: dict[str, OodMetrics]

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "OodResult":
        """Make it from what JSON made of one."""
        return cls(values["needs_review"], {name: OodMetrics(*score) for name, score in values["scores"].items()})


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """All that is known about a published model.

    `fit` says which of the two networks it is. `held_out_accuracies` has the accuracy of both on held-out photos.
    `int8` is None if the int8 version differs too much.
    `conversion_error` is the largest difference in probability between the converted network and the Keras network.
    `fold_accuracies` has the accuracy on each fold. `metrics` has the splits `held_out` and, if there are such photos,
    `held_out_kids`, `test` and `test_kids`. `test_sender_accuracies` has the accuracy on the test photos of each
    sender, if they are known. `test_photos_left_out` counts test photos that are training photos too.
    `out_of_distribution` is by kind of image. `milliseconds` is the time for a photo on one thread. `data_sets`
    describes the data sets that say what they are.
    """

    training: TrainingRecord
    data_sets: tuple[About, ...]
    fit: Fit
    network: NetworkFile
    int8: Int8File | None
    calibration: Calibration
    conversion_error: float
    held_out_accuracies: dict[Fit, float]
    fold_accuracies: tuple[float, ...]
    metrics: dict[str, Metrics]
    test_sender_accuracies: tuple[float, ...]
    test_photos_left_out: int
    out_of_distribution: dict[str, OodResult]
    milliseconds: float

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
        return f"{self.training.recipe.trunk}-{self.input.width}-{hashlib.sha256(content.encode()).hexdigest()[:8]}"

    def to_json(self) -> str:
        """Return the content of `model.json`, which `classifier.description` reads."""
        content = {
            "name": self.training.recipe.trunk,
            "version": self.version,
            "labels": self.labels,
            "categories": read_categories(self.labels),
            "input": asdict(self.input),
            **asdict(self.calibration),
            "sha256": self.network.sha256,
            "bytes": self.network.size,
            **({"int8": asdict(self.int8)} if self.int8 else {}),
            "fit": self.fit,
            "held_out_accuracies": self.held_out_accuracies,
            "conversion_error": self.conversion_error,
            "fold_accuracies": self.fold_accuracies,
            "metrics": {split: asdict(metrics) for split, metrics in self.metrics.items()},
            "test_sender_accuracies": self.test_sender_accuracies,
            "test_photos_left_out": self.test_photos_left_out,
            "out_of_distribution": {kind: asdict(result) for kind, result in self.out_of_distribution.items()},
            "milliseconds": self.milliseconds,
            "data_sets": [asdict(about) for about in self.data_sets],
            "training": _without_labels(self.training),
        }
        return json.dumps(content, indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "ModelDescription":
        """Make the description from what `to_json` returned."""
        content = json.loads(text)
        training = TrainingRecord.from_dict(content["training"] | {"labels": content["labels"]})
        calibration = {name: content[name] for name in Calibration.__dataclass_fields__}
        return cls(
            training=training,
            data_sets=tuple(About(**about) for about in content["data_sets"]),
            fit=Fit(content["fit"]),
            network=NetworkFile(content["sha256"], content["bytes"]),
            int8=Int8File(**content["int8"]) if "int8" in content else None,
            calibration=Calibration(**calibration | {"biases": tuple(calibration["biases"])}),
            conversion_error=content["conversion_error"],
            held_out_accuracies={Fit(fit): accuracy for fit, accuracy in content["held_out_accuracies"].items()},
            fold_accuracies=tuple(content["fold_accuracies"]),
            metrics={split: Metrics(**metrics) for split, metrics in content["metrics"].items()},
            test_sender_accuracies=tuple(content["test_sender_accuracies"]),
            test_photos_left_out=content["test_photos_left_out"],
            out_of_distribution={
                kind: OodResult.from_dict(result) for kind, result in content["out_of_distribution"].items()
            },
            milliseconds=content["milliseconds"],
        )


def read_categories(labels: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return what people call the labels and their ids in taxonomies, for the labels that `categories.toml` has."""
    categories = tomllib.loads(_CATEGORIES.read_text(encoding="utf-8"))
    return {label: categories[label] for label in labels if label in categories}


def _without_labels(record: TrainingRecord) -> dict[str, Any]:
    return {name: value for name, value in asdict(record).items() if name != "labels"}
