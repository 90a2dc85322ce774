"""Makes the folder of a model from a run of `training.train`: checks the conversion, calibrates, evaluates.

Needs no backend of Keras: the converted network runs on the code and the runtime that serve it.
"""

import hashlib
import json
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from classifier.description import DESCRIPTION_FILE, INT8_NETWORK_FILE, NETWORK_FILE, Description
from classifier.model import Model
from evaluation.dataset import PhotoList, read_photo_metadata, read_photos
from evaluation.metrics import Metrics, accuracy_by_fold, accuracy_by_sender
from evaluation.models import measure_footprints
from evaluation.predictions import (
    PREDICTIONS_FILE,
    Evaluation,
    NetworkOutputs,
    Predictions,
    collect_outputs,
    evaluate_files,
    write_predictions,
)
from evaluation.report import write_report
from evaluation.ship import replace_model
from training.calibration import Calibration
from training.card import CARD_FILE, REPORT_FOLDER, SPLIT_TITLES, card
from training.choice import HeldOut, choose_fit, read_fits
from training.data import TrainingPhotos, list_test_photos
from training.fit_calibration import calibrate
from training.model_description import Int8File, ModelDescription, NetworkFile, OodResult
from training.ood_scores import compare_scores
from training.out_of_distribution import ood_images
from training.run import FINAL, FitOutputs, TrainingRecord, converted_file, int8_file, outputs_file, read_record

# A lost layer or other pixels would cause tenths.
_MAX_PROBABILITY_ERROR = 0.01
_MAX_FAMILIARITY_ERROR = 0.01
_LEAST_AGREEMENT = 0.98  # of the int8 network's labels with those of the other one; about 0.99 is usual


class PublishError(Exception):
    """The run's network must not be served; the message says why."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The evaluations of a model by split, and which of their photos show children's clothes."""

    evaluations: dict[str, Evaluation]
    kids: dict[str, "np.ndarray[tuple[int], np.dtype[np.bool_]]"]

    def metrics(self) -> dict[str, Metrics]:
        """Compute the metrics of each split and, as `SPLIT_kids`, those on its children's clothes."""
        metrics = {}
        for split, evaluation in self.evaluations.items():
            metrics[split] = evaluation.metrics()
            if self.kids[split].any():
                metrics[f"{split}_kids"] = evaluation.metrics(self.kids[split])
        return metrics

    def test_sender_accuracies(self) -> tuple[float, ...]:
        """Return the accuracy on each sender's test photos, if there are any and their senders are known."""
        test = self.evaluations.get("test")
        if test is None or test.senders is None:
            return ()
        return tuple(found.accuracy for found in accuracy_by_sender(test.correct, test.senders))


def publish(run: Path, training: TrainingPhotos, out: Path) -> ModelDescription:
    """Write the network, its description, the card, the reports and the held-out predictions into `out`.

    Raise `DatasetError`, `RunError`, `PublishError` or `OSError`, and then write nothing.
    """
    record = read_record(run)
    if record.data_sha256 != training.sha256:
        raise PublishError(f"{run} was trained on other photos.")
    fits = read_fits(run, record, training.photos.targets)
    fit = choose_fit(fits)
    held_out = fits[fit]
    calibration = calibrate(held_out.outputs, held_out.targets)
    with tempfile.TemporaryDirectory() as directory:
        staged = Path(directory)
        shutil.copyfile(converted_file(run / FINAL, fit), staged / NETWORK_FILE)
        model = load_model(staged, record, calibration)
        final = FitOutputs.load(outputs_file(run / FINAL, fit))
        conversion_error = measure_conversion_error(model, training, final, calibration)
        int8 = add_int8(int8_file(run / FINAL, fit), staged)
        measured, left_out = evaluate_splits(training, model, held_out)
        (footprint,) = measure_footprints([staged], [model])
        description = ModelDescription(
            training=record,
            data_sets=training.abouts,
            fit=fit,
            network=describe_file(staged / NETWORK_FILE),
            int8=int8,
            calibration=calibration,
            conversion_error=conversion_error,
            held_out_accuracies={name: found.accuracy for name, found in fits.items()},
            fold_accuracies=accuracy_by_fold(held_out.probabilities, held_out.targets, held_out.fold_of_photo),
            metrics=measured.metrics(),
            test_sender_accuracies=measured.test_sender_accuracies(),
            test_photos_left_out=left_out,
            out_of_distribution=evaluate_ood(training, model, held_out, calibration),
            milliseconds=footprint.milliseconds,
        )
        write_files(staged, description, measured)
        write_predictions(staged / PREDICTIONS_FILE, held_out_predictions(training, held_out, measured))
        replace_model(staged, out)
    return description


def load_model(folder: Path, record: TrainingRecord, calibration: Calibration) -> Model:
    """Load the network in a folder as serving does. Raise `PublishError` if it does not work."""
    description = Description(
        name="",
        version="",
        labels=record.labels,
        input_size=record.recipe.size,
        **asdict(calibration),
        sha256="",
        int8_sha256=None,
        metrics={},
        categories={},
    )
    model = Model(folder, description)
    try:
        model.check()
    except RuntimeError as error:
        raise PublishError(str(error)) from error
    return model


def measure_conversion_error(
    model: Model, training: TrainingPhotos, keras_outputs: FitOutputs, calibration: Calibration
) -> float:
    """Return the largest difference in probability between the converted network and the Keras network.

    Raise `PublishError` if it, or that in familiarity, is more than rounding explains.
    """
    paths = [training.photos.files[index] for index in keras_outputs.indexes]
    outputs = collect_outputs(model, read_photos(paths, model.description.input_size))
    errors = {
        "probabilities": _largest(calibration.probabilities(outputs) - calibration.probabilities(keras_outputs.photos)),
        "familiarities": _largest(outputs.familiarities - keras_outputs.photos.familiarities),
    }
    for name, most in (("probabilities", _MAX_PROBABILITY_ERROR), ("familiarities", _MAX_FAMILIARITY_ERROR)):
        if not errors[name] <= most:  # also if it is not a number
            raise PublishError(f"The {name} of the converted and the Keras network differ by {errors[name]:.3f}.")
    return errors["probabilities"]


def add_int8(converted: Path, folder: Path) -> Int8File | None:
    """Copy the int8 version of the network into a folder, if it gives the same labels. Return its description."""
    agreement: float = json.loads(converted.with_suffix(".json").read_text(encoding="utf-8"))
    if agreement < _LEAST_AGREEMENT:
        return None
    shutil.copyfile(converted, folder / INT8_NETWORK_FILE)
    return Int8File(**asdict(describe_file(converted)), agreement=agreement)


def _largest(differences: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]") -> float:
    return float(np.abs(differences).max())


def evaluate_splits(training: TrainingPhotos, model: Model, held_out: HeldOut) -> tuple[Measured, int]:
    """Evaluate the held-out photos and, if there are any, the test photos.

    Return also how many test photos were left out because they are training photos too.
    """
    indexes, photos = held_out.indexes, training.photos
    files = tuple(photos.files[index] for index in indexes)
    senders = training.known_senders[indexes] if training.known_senders is not None else None
    of_held_out = PhotoList(photos.labels, files, held_out.targets)
    evaluations = {"held_out": Evaluation(of_held_out, held_out.probabilities, held_out.passed, senders)}
    kids = {"held_out": training.kids[indexes]}
    test, left_out = list_test_photos(training)
    if test.files:
        metadata = read_photo_metadata(training.data[0], test.files)
        evaluations["test"] = evaluate_files(model, test, metadata.known_senders)
        kids["test"] = metadata.kids
    return Measured(evaluations, kids), left_out


def evaluate_ood(
    training: TrainingPhotos, model: Model, held_out: HeldOut, calibration: Calibration
) -> dict[str, OodResult]:
    """Evaluate the model and the networks of the folds on each kind of out-of-distribution images."""
    results = {}
    known = [fold.photos for fold in held_out.folds]
    for kind, images in ood_images(training.data, model.description.input_size).items():
        needs_review = float(np.mean([model.predict(image).needs_review for image in images]))
        unknown: list[NetworkOutputs] = [fold.unknown[kind] for fold in held_out.folds]
        results[kind] = OodResult(needs_review, compare_scores(known, unknown, calibration))
    return results


def describe_file(path: Path) -> NetworkFile:
    """Return the hash and the size of a file."""
    content = path.read_bytes()
    return NetworkFile(hashlib.sha256(content).hexdigest(), len(content))


def held_out_predictions(training: TrainingPhotos, held_out: HeldOut, measured: Measured) -> Predictions:
    """Return the answers to the held-out photos, as `make compare` reads them."""
    hashes, names = ([values[index] for index in held_out.indexes] for values in (training.hashes, training.names))
    return Predictions.of(measured.evaluations["held_out"], hashes, names, held_out.fold_of_photo)


def write_files(folder: Path, description: ModelDescription, measured: Measured) -> None:
    """Write the description, the card and the reports into a folder."""
    (folder / DESCRIPTION_FILE).write_text(description.to_json(), encoding="utf-8")
    (folder / CARD_FILE).write_text(card(description), encoding="utf-8")
    for split, evaluation in measured.evaluations.items():
        title = f"{description.version}: {SPLIT_TITLES[split]}"
        write_report(folder / REPORT_FOLDER / split, title, evaluation)
