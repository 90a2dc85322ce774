"""Makes `model/` from a run of `training.train`: checks the conversion, calibrates, evaluates and writes the files.

Does not need TensorFlow: the converted networks run on the code and the runtime that serve them.
"""

import argparse
import hashlib
import json
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from classifier.description import DESCRIPTION_FILE, NETWORK_FILE, Description
from classifier.model import Model
from training.calibration import Calibration
from training.card import CARD_FILE, REPORT_FOLDER, SPLIT_TITLES, OodResult, card
from evaluation.dataset import DatasetError, Split, read_photo_metadata, read_photos, read_split
from evaluation.predictions import Evaluation, NetworkOutputs, collect_outputs, evaluate
from training.fit_calibration import calibrate, cross_calibrate
from evaluation.metrics import Metrics, accuracy_by_fold
from training.model_description import ModelDescription, NetworkFile
from training.ood_scores import compare_scores
from evaluation.out_of_distribution import ood_images
from evaluation.report import write_report
from training.run import (
    FINAL,
    LOGITS_FILE,
    VARIANTS_FILE,
    TrainingRecord,
    evaluation_photos,
    fold_name,
    read_record,
    seed_logits_file,
)
from training.variants import VariantResult

_MAX_CONVERSION_ERROR = 0.01  # in probability; a lost layer or different pixels would cause tenths


class PublishError(Exception):
    """The run's network must not be served; the message says why."""


@dataclass(frozen=True, slots=True)
class ConvertedNetwork:
    """A converted network of the run, with its outputs for its evaluation photos.

    `paths` are these photos, `targets`, of shape (n,), their labels, and `keras_logits`, of shape (n, labels), the
    logits of the network before conversion.
    """

    model: Model
    paths: tuple[Path, ...]
    targets: npt.NDArray[np.int64]
    outputs: NetworkOutputs
    keras_logits: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class HeldOutPhotos:
    """The photos of all folds, with the outputs of the networks that were not trained on them.

    `targets` and `folds`, each photo's label and fold, are of shape (n,).
    """

    paths: tuple[Path, ...]
    targets: npt.NDArray[np.int64]
    outputs: NetworkOutputs
    folds: npt.NDArray[np.int64]


def publish(run: Path, data: Path, out: Path) -> ModelDescription:
    """Write the network, its description, the card and the reports into `out`.

    Raise `DatasetError`, `PublishError` or `OSError`, and then write nothing.
    """
    record = read_record(run)
    folds = [load_network(run / fold_name(fold), data, record) for fold in range(record.recipe.folds)]
    final = load_network(run / FINAL, data, record)
    held_out = pool_folds(folds)
    calibration = calibrate(held_out.outputs, held_out.targets)
    model = load_model(run / FINAL, record, calibration)
    model.check()
    evaluations = evaluate_splits(data, model, held_out)
    description = ModelDescription(
        training=record,
        network=describe_file(run / FINAL / NETWORK_FILE),
        calibration=calibration,
        conversion_error=measure_conversion_error([*folds, final], calibration),
        fold_accuracies=accuracy_by_fold(evaluations["held_out"].probabilities, held_out.targets, held_out.folds),
        seed_accuracies=measure_seeds(run, record, held_out),
        metrics=compute_metrics_by_split(data, evaluations),
    )
    page = card(description, evaluate_ood(data, model, folds, calibration), read_variants(run))
    write_model(out, run / FINAL / NETWORK_FILE, description, page, evaluations)
    return description


def load_network(folder: Path, data: Path, record: TrainingRecord) -> ConvertedNetwork:
    """Load a network of the run, and run it on its evaluation photos."""
    paths = evaluation_photos(folder, data)
    model = load_model(folder, record, _identity_calibration(record))
    return ConvertedNetwork(
        model=model,
        paths=tuple(paths),
        targets=np.array([record.labels.index(path.parent.name) for path in paths], np.int64),
        outputs=collect_outputs(model, read_photos(paths, record.recipe.size)),
        keras_logits=np.load(folder / LOGITS_FILE).astype(np.float64),
    )


def load_model(folder: Path, record: TrainingRecord, calibration: Calibration) -> Model:
    """Load the network in a folder of the run as serving does."""
    description = Description(
        name="",
        version="",
        labels=record.labels,
        input_size=record.recipe.size,
        **asdict(calibration),
        sha256="",
        metrics={},
        categories={},
    )
    return Model(folder, description)


def _identity_calibration(record: TrainingRecord) -> Calibration:
    return Calibration(1.0, (0.0,) * len(record.labels), review_threshold=0.0, familiarity_threshold=-1.0)


def pool_folds(folds: Sequence[ConvertedNetwork]) -> HeldOutPhotos:
    """Join the evaluation photos of all folds."""
    return HeldOutPhotos(
        paths=tuple(path for fold in folds for path in fold.paths),
        targets=np.concatenate([fold.targets for fold in folds]),
        outputs=NetworkOutputs.concatenate([fold.outputs for fold in folds]),
        folds=np.repeat(np.arange(len(folds)), [len(fold.targets) for fold in folds]),
    )


def measure_conversion_error(networks: Sequence[ConvertedNetwork], calibration: Calibration) -> float:
    """Return the largest difference in probability between a converted network and its Keras network.

    Raise `PublishError` if it is more than rounding explains.
    """
    error = max(_conversion_error(network, calibration) for network in networks)
    if error > _MAX_CONVERSION_ERROR:
        raise PublishError(f"The probabilities of the converted and the Keras network differ by {error:.3f}.")
    return error


def _conversion_error(network: ConvertedNetwork, calibration: Calibration) -> float:
    keras_outputs = NetworkOutputs(network.keras_logits, network.outputs.familiarities)
    difference = calibration.probabilities(network.outputs) - calibration.probabilities(keras_outputs)
    return float(np.abs(difference).max())


def measure_seeds(run: Path, record: TrainingRecord, held_out: HeldOutPhotos) -> tuple[float, ...]:
    """Return the mean accuracy over the folds of each seed's networks, before their weights are averaged."""
    return tuple(_measure_seed(run, recipe.seed, held_out) for recipe in record.recipe.per_seed())


def _measure_seed(run: Path, seed: int, held_out: HeldOutPhotos) -> float:
    logits = np.concatenate(
        [np.load(seed_logits_file(run / fold_name(fold), seed)) for fold in np.unique(held_out.folds)]
    )
    outputs = NetworkOutputs(logits, held_out.outputs.familiarities)
    probabilities, _ = cross_calibrate(outputs, held_out.targets, held_out.folds)
    return float(np.mean(accuracy_by_fold(probabilities, held_out.targets, held_out.folds)))


def evaluate_splits(data: Path, model: Model, held_out: HeldOutPhotos) -> dict[str, Evaluation]:
    """Evaluate the held-out photos by cross-validation and, if there is a folder `test`, the model on its photos."""
    labels, size = model.description.labels, model.description.input_size
    split = Split(labels, held_out.paths, read_photos(held_out.paths, size), held_out.targets)
    evaluations = {"held_out": Evaluation(split, *cross_calibrate(held_out.outputs, held_out.targets, held_out.folds))}
    if (data / "test").is_dir():
        evaluations["test"] = evaluate(model, read_split(data / "test", size, labels))
    return evaluations


def compute_metrics_by_split(data: Path, evaluations: Mapping[str, Evaluation]) -> dict[str, Metrics]:
    """Compute the metrics of each split and, as `SPLIT_kids`, those on its children's clothes."""
    metrics = {}
    for split, evaluation in evaluations.items():
        metrics[split] = evaluation.metrics()
        kids = read_photo_metadata(data, evaluation.split.files).kids
        if kids.any():
            metrics[f"{split}_kids"] = evaluation.metrics(kids)
    return metrics


def evaluate_ood(
    data: Path, model: Model, folds: Sequence[ConvertedNetwork], calibration: Calibration
) -> dict[str, OodResult]:
    """Evaluate the model and the networks of the folds on each kind of out-of-distribution images."""
    results = {}
    for kind, images in ood_images(data, model.description.input_size).items():
        needs_review = float(np.mean([model.predict(image).needs_review for image in images]))
        outputs = [collect_outputs(fold.model, images) for fold in folds]
        scores = compare_scores([fold.outputs for fold in folds], outputs, calibration)
        results[kind] = OodResult(needs_review, scores)
    return results


def describe_file(path: Path) -> NetworkFile:
    """Return the hash and the size of a file."""
    content = path.read_bytes()
    return NetworkFile(hashlib.sha256(content).hexdigest(), len(content))


def read_variants(run: Path) -> list[VariantResult]:
    """Read what `training.variants` wrote."""
    rows: list[dict[str, Any]] = json.loads((run / VARIANTS_FILE).read_text(encoding="utf-8"))
    return [VariantResult(**row) for row in rows]


def write_model(
    out: Path, network: Path, description: ModelDescription, page: str, evaluations: Mapping[str, Evaluation]
) -> None:
    """Write all files into a temporary folder, and copy them to `out` when all are complete."""
    with tempfile.TemporaryDirectory() as directory:
        staged = Path(directory)
        shutil.copyfile(network, staged / NETWORK_FILE)
        (staged / DESCRIPTION_FILE).write_text(description.to_json(), encoding="utf-8")
        (staged / CARD_FILE).write_text(page, encoding="utf-8")
        for split, evaluation in evaluations.items():
            title = f"{description.version}: {SPLIT_TITLES[split]}"
            write_report(staged / REPORT_FOLDER / split, title, evaluation)
        shutil.rmtree(out / REPORT_FOLDER, ignore_errors=True)
        shutil.copytree(staged, out, dirs_exist_ok=True)


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m training.publish", description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="folder that training.train wrote")
    parser.add_argument(
        "--data", type=Path, required=True, help="folder that the run was trained on, with test/ if any"
    )
    parser.add_argument("--out", type=Path, default=Path("model"), help="folder to write to (default: model)")
    arguments = parser.parse_args()
    try:
        description = publish(arguments.run, arguments.data, arguments.out)
    except (DatasetError, PublishError, OSError) as error:
        print(f"publish: {error}", file=sys.stderr)
        return 1
    metrics = {split: asdict(metrics) for split, metrics in description.metrics.items()}
    print(json.dumps(metrics, indent=2))
    print(f"Wrote {description.version} to {arguments.out}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
