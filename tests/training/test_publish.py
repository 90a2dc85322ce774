"""Publishing a run: what is checked, calibrated, measured and written."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from classifier.description import Description
from classifier.limits import Limits
from classifier.model import Model
from classifier.photos import decode
from tests.support.drawings import encoded, garment
from tests.support.paths import ROOT
from training.calibration import Calibration
from evaluation.dataset import DatasetError, Split, read_split
from evaluation.predictions import Evaluation
from training.model_description import ModelDescription, NetworkFile
from training.publish import PublishError, publish
from training.recipe import Recipe
from evaluation.report import write_report
from training.run import LOGITS_FILE, PHOTOS_FILE, RECORD_FILE, VARIANTS_FILE, TrainingRecord, seed_logits_file

LABELS = Description.read(ROOT / "model").labels


def write_photos(folder: Path, labels: tuple[str, ...] = LABELS) -> None:
    """Write two drawn photos for each label. Only those of pants and t-shirts show their label."""
    for label in labels:
        (folder / label).mkdir(parents=True)
        kind = label if label in {"pants", "t-shirt"} else "pants"
        for number in (1, 2):
            (folder / label / f"{number}.jpg").write_bytes(encoded(garment(kind)))


@pytest.fixture
def record(model: Model) -> TrainingRecord:
    """The record of a run with two folds and two seeds, on twenty photos."""
    recipe = Recipe.load(ROOT / "training" / "recipe.toml")
    return TrainingRecord(
        labels=LABELS,
        recipe=replace(recipe, size=model.description.input_size, folds=2, seeds=2),
        photos=20,
        data_sha256="0" * 64,
        weights="imagenet",
        packages={"keras": "3.15.1"},
    )


@pytest.fixture
def run(tmp_path: Path, model: Model, record: TrainingRecord) -> Path:
    """A run on the drawn photos in `tmp_path/data` in which every network is the committed one.

    Each fold has one photo of each label.
    """
    data = tmp_path / "data"
    write_photos(data / "train")
    run = tmp_path / "run"
    split = read_split(data / "train", record.recipe.size)
    names = [path.relative_to(data).as_posix() for path in split.files]
    logits = np.stack([model.outputs(image).logits for image in split.images])
    for name, kept in {"fold-1": slice(0, None, 2), "fold-2": slice(1, None, 2), "final": slice(None)}.items():
        (run / name).mkdir(parents=True)
        (run / name / "clothing.tflite").write_bytes((ROOT / "model" / "clothing.tflite").read_bytes())
        np.save(run / name / LOGITS_FILE, logits[kept])
        np.save(seed_logits_file(run / name, 1), logits[kept])
        np.save(seed_logits_file(run / name, 2), -logits[kept])
        (run / name / PHOTOS_FILE).write_text(json.dumps(names[kept]))
    (run / RECORD_FILE).write_text(json.dumps(asdict(record)))
    variant = {"size": 224, "precision": "int8", "bytes": 2_600_000, "runtime": "tflite_runtime"}
    measured = {"accuracy": 0.85, "accuracy_mirrored": 0.86, "milliseconds": 38.0}
    (run / VARIANTS_FILE).write_text(json.dumps([variant | measured, variant | dict.fromkeys(measured)]))
    return run


def test_the_version_changes_with_everything_that_changes_predictions(record: TrainingRecord) -> None:
    """Batch Operations classifies again what another version has classified, also if only the calibration changed."""
    description = ModelDescription(
        training=record,
        network=NetworkFile("0" * 64, 1),
        calibration=Calibration(1.0, (0.0,) * len(LABELS), 0.5, 0.5),
        conversion_error=0.0,
        fold_accuracies=(),
        seed_accuracies=(),
        metrics={},
    )
    changed = [
        replace(description, network=NetworkFile("1" * 64, 1)),
        replace(description, calibration=replace(description.calibration, biases=(0.1,) * len(LABELS))),
        replace(description, training=replace(record, labels=LABELS[::-1])),
    ]

    assert len({description.version, *(other.version for other in changed)}) == 4
    assert replace(description, training=replace(record, photos=21)).version == description.version


def test_a_published_model_serves(run: Path, tmp_path: Path) -> None:
    publish(run, tmp_path / "data", tmp_path / "out")

    model = Model.load(tmp_path / "out")
    scores = model.predict(decode(encoded(garment("t-shirt")), model.description.input_size, Limits()).pixels).scores

    assert max(scores, key=scores.__getitem__) == "t-shirt"
    assert model.description.metrics["held_out"]["n"] == 20
    assert model.description.accuracy == pytest.approx(0.2)
    card = (tmp_path / "out" / "README.md").read_text()
    assert model.description.version in card
    assert "| senders held out of training | 20 | 0.200 |" in card
    assert "| images | largest probability | energy | familiarity |" in card
    assert "| noise | 100% |" in card
    assert "| tflite_runtime | 224 | int8 | 2.6 | 0.850 | 0.860 | 38.0 |" in card
    assert "| tflite_runtime | 224 | int8 | 2.6 | does not load |  |  |" in card
    content = json.loads((tmp_path / "out" / "model.json").read_text())
    assert content["fold_accuracies"] == [0.2, 0.2]
    assert content["seed_accuracies"][0] == 0.2
    assert content["seed_accuracies"][1] != 0.2
    assert content["conversion_error"] == 0
    assert content["training"]["weights"] == "imagenet"


def test_the_model_is_evaluated_on_test_photos(run: Path, tmp_path: Path) -> None:
    write_photos(tmp_path / "data" / "test", labels=("hat", "t-shirt"))

    description = publish(run, tmp_path / "data", tmp_path / "out")

    assert description.metrics["test"].n == 4
    assert description.metrics["test"].accuracy == 0.5
    assert (tmp_path / "out" / "report" / "test" / "README.md").is_file()


def test_childrens_clothes_have_metrics_of_their_own(run: Path, tmp_path: Path) -> None:
    """Of each label, photo `1` shows them and photo `2` does not."""
    (tmp_path / "data" / "senders.csv").write_text("image,sender_id,kids\n1,7,True\n2,8,False\n")

    metrics = publish(run, tmp_path / "data", tmp_path / "out").metrics

    assert (metrics["held_out"].n, metrics["held_out_kids"].n) == (20, 10)
    assert metrics["held_out_kids"].accuracy == 0.2


def test_a_network_that_differs_from_the_keras_network_is_not_published(run: Path, tmp_path: Path) -> None:
    logits = np.load(run / "fold-2" / LOGITS_FILE)
    np.save(run / "fold-2" / LOGITS_FILE, logits[:, ::-1])

    with pytest.raises(PublishError, match="differ by"):
        publish(run, tmp_path / "data", tmp_path / "out")

    assert not (tmp_path / "out").exists()


def test_a_missing_photo_of_the_run_is_an_error(run: Path, tmp_path: Path) -> None:
    (tmp_path / "data" / "train" / "dress" / "1.jpg").unlink()

    with pytest.raises(DatasetError, match=r"there is no .*dress/1\.jpg"):
        publish(run, tmp_path / "data", tmp_path / "out")


def test_the_report_has_metrics_and_plots(run: Path, tmp_path: Path) -> None:
    publish(run, tmp_path / "data", tmp_path / "out")

    report = tmp_path / "out" / "report" / "held_out"
    figures = json.loads((report / "figures.json").read_text())
    assert (figures["n"], figures["accuracy"]) == (20, 0.2)
    assert np.trace(figures["confusion"]) == 4
    page = (report / "README.md").read_text()
    assert "| accuracy | 0.2000 |" in page
    for name in ("confusion.png", "reliability.png"):
        assert f"({name})" in page
        with Image.open(report / name) as plot:
            assert min(plot.size) > 400
    with Image.open(report / "mistakes.jpg") as sheet:
        assert sheet.size == (1200, 3 * 234), "sixteen mistakes in rows of six"


def test_a_report_without_mistakes_is_written(tmp_path: Path) -> None:
    split = Split(("a", "b"), (Path("a/1"), Path("b/1")), np.zeros((2, 8, 8, 3), np.uint8), np.array([0, 1]))

    write_report(tmp_path, "Perfect", Evaluation(split, np.eye(2), np.array([True, True])))

    assert json.loads((tmp_path / "figures.json").read_text())["accuracy"] == 1
