"""A run of training to `model/`: what is checked, calibrated, measured and written."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from classifier.description import Description
from classifier.model import Model
from classifier.photos import Limits, decode
from conftest import ROOT
from drawing import encoded, garment
from training.dataset import Split, read_split
from training.publish import PublishError, agreement, fit_temperature, fit_threshold, publish
from training.report import write_report
from training.run import RECIPE_FILE, VALIDATION_LOGITS_FILE

LABELS = Description.read(ROOT / "model").labels


def write_photos(folder: Path, labels: tuple[str, ...] = LABELS) -> None:
    """One drawn photo for each label; only those of pants and t-shirts look like theirs."""
    for label in labels:
        (folder / label).mkdir(parents=True)
        kind = label if label in {"pants", "t-shirt"} else "pants"
        (folder / label / "1.jpg").write_bytes(encoded(garment(kind)))


@pytest.fixture
def run(tmp_path: Path, model: Model) -> Path:
    """What training would leave, had it trained the committed network on the drawn photos in `tmp_path/data`."""
    write_photos(tmp_path / "data" / "validation")
    run = tmp_path / "run"
    run.mkdir()
    (run / "clothing.tflite").write_bytes((ROOT / "model" / "clothing.tflite").read_bytes())
    record = {"labels": LABELS, "recipe": {"size": model.description.input_size}}
    (run / RECIPE_FILE).write_text(json.dumps(record))
    split = read_split(tmp_path / "data" / "validation", model.description.input_size)
    np.save(run / VALIDATION_LOGITS_FILE, np.stack([model.logits(image) for image in split.images]))
    return run


def test_a_published_model_serves(run: Path, tmp_path: Path) -> None:
    publish(run, tmp_path / "data", tmp_path / "out")

    model = Model(tmp_path / "out")
    scores = model.scores(decode(encoded(garment("t-shirt")), model.description.input_size, Limits()).pixels)

    assert max(scores, key=scores.__getitem__) == "t-shirt"
    assert model.description.version.endswith(model.description.sha256[:8])
    assert model.description.metrics["validation"]["n"] == 10
    assert model.description.accuracy == pytest.approx(0.2)
    card = (tmp_path / "out" / "README.md").read_text()
    assert model.description.version in card
    assert "| validation | 10 | 0.200 |" in card


def test_the_test_photos_are_measured_where_they_are(run: Path, tmp_path: Path) -> None:
    write_photos(tmp_path / "data" / "test")

    description = publish(run, tmp_path / "data", tmp_path / "out")

    assert description["metrics"]["test"]["n"] == 10


def test_a_network_that_does_not_agree_with_the_trained_one_is_not_published(run: Path, tmp_path: Path) -> None:
    logits = np.load(run / VALIDATION_LOGITS_FILE)
    np.save(run / VALIDATION_LOGITS_FILE, logits[:, ::-1])

    with pytest.raises(PublishError, match="differs"):
        publish(run, tmp_path / "data", tmp_path / "out")

    assert not (tmp_path / "out").exists(), "what was there before is better than half a model"


def test_answers_for_other_photos_are_told() -> None:
    with pytest.raises(PublishError, match="2 validation photos"):
        agreement(np.zeros((3, 4)), np.zeros((2, 4)))


def test_the_temperature_makes_labels_likeliest() -> None:
    """Logits that are three times too bold want dividing by three."""
    rng = np.random.default_rng(0)
    honest = rng.normal(0, 2, (20_000, 5))
    probabilities = np.exp(honest) / np.exp(honest).sum(axis=1, keepdims=True)
    targets = np.array([rng.choice(5, p=row) for row in probabilities])

    assert fit_temperature(honest * 3, targets) == pytest.approx(3, rel=0.05)


def test_the_threshold_lets_as_many_through_as_are_right_97_times_in_100() -> None:
    confidences = np.linspace(0.99, 0.5, 200)
    probabilities = np.stack([confidences, 1 - confidences], axis=1)
    targets = np.zeros(200, np.int64)
    targets[100:] = 1  # the lower half is wrong

    threshold = fit_threshold(probabilities, targets)

    passed = confidences >= threshold - 1e-4
    assert (targets[passed] == 0).mean() >= 0.97
    assert passed.sum() == pytest.approx(103, abs=1)


def test_a_model_that_is_never_right_lets_nothing_through() -> None:
    assert fit_threshold(np.array([[0.9, 0.1]]), np.array([1])) == 1.0


def test_the_report_shows_what_was_measured(run: Path, tmp_path: Path) -> None:
    publish(run, tmp_path / "data", tmp_path / "out")

    report = tmp_path / "out" / "report"
    figures = json.loads((report / "figures.json").read_text())
    assert (figures["n"], figures["accuracy"]) == (10, 0.2)
    assert np.trace(figures["confusion"]) == 2
    page = (report / "README.md").read_text()
    assert "| accuracy | 0.2000 |" in page
    for name in ("confusion.png", "reliability.png"):
        assert f"({name})" in page
        with Image.open(report / name) as plot:
            assert min(plot.size) > 400
    with Image.open(report / "mistakes.jpg") as sheet:
        assert sheet.size == (1200, 2 * 234), "eight mistakes in rows of six"


def test_a_model_without_mistakes_has_an_empty_sheet(tmp_path: Path) -> None:
    split = Split(("a", "b"), ("a/1", "b/1"), np.zeros((2, 8, 8, 3), np.uint8), np.array([0, 1]))

    write_report(tmp_path, "Perfect", split, np.eye(2))

    assert json.loads((tmp_path / "figures.json").read_text())["accuracy"] == 1
