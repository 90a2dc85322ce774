"""Publishing a run: what is checked, calibrated, measured and written. The networks' outputs are made up."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from classifier.description import Description
from classifier.model import Model
from evaluation.dataset import read_photos
from evaluation.predictions import NetworkOutputs, collect_outputs, read_predictions
from tests.support.paths import TESTS_MODEL
from tests.training.conftest import RECIPE, write_data
from training.card import card
from training.choice import choose_fit, read_fits
from training.data import TrainingPhotos
from training.model_description import ModelDescription
from training.out_of_distribution import KINDS
from training.publish import PublishError, publish
from training.run import (
    FINAL,
    Fit,
    FitOutputs,
    RunError,
    TrainingRecord,
    converted_file,
    int8_file,
    outputs_file,
    write_record,
)
from training.train import plan_networks

LABELS = Model.load(TESTS_MODEL).description.labels


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Drawn photos in folders of all labels; only those of pants and t-shirts show their label."""
    write_data(tmp_path / "data", 4, LABELS)
    return tmp_path / "data"


@pytest.fixture
def run(data: Path, tmp_path: Path, model: Model) -> Path:
    """A run on these photos in which every network is that of the tests, and the probe's answers are random."""
    training = TrainingPhotos.read([data])
    recipe = replace(RECIPE, trunk="efficientnet_lite0", size=model.description.input_size)
    run = tmp_path / "run"
    write_record(run, TrainingRecord(LABELS, recipe, len(training.names), training.sha256, "a package", "jax", {}))
    outputs = collect_outputs(model, read_photos(training.photos.files, recipe.size))
    noise = NetworkOutputs(np.random.default_rng(0).normal(0, 1, (100, len(LABELS))), np.zeros(100))
    for plan in plan_networks(training.groups, recipe.folds):
        (run / plan.name).mkdir()
        unknown = dict.fromkeys(KINDS, noise)
        found = FitOutputs(plan.evaluation, outputs.take(plan.evaluation), unknown)
        found.save(outputs_file(run / plan.name, Fit.TUNED))
        replace(found, photos=noise.take(plan.evaluation)).save(outputs_file(run / plan.name, Fit.PROBE))
    for path in (converted_file(run / FINAL, Fit.TUNED), int8_file(run / FINAL, Fit.TUNED)):
        path.write_bytes((TESTS_MODEL / "clothing.tflite").read_bytes())
    int8_file(run / FINAL, Fit.TUNED).with_suffix(".json").write_text("0.9925")
    return run


def publish_to(out: Path, run: Path, data: Path) -> ModelDescription:
    return publish(run, TrainingPhotos.read([data]), out)


def read_card(folder: Path) -> str:
    """Return the model card as one line."""
    return " ".join((folder / "README.md").read_text().split())


def test_a_published_model_serves(run: Path, data: Path, tmp_path: Path) -> None:
    description = publish_to(tmp_path / "out", run, data)

    published = Model.load(tmp_path / "out")
    assert published.description.version == description.version
    assert published.description.labels == LABELS
    assert description.fit is Fit.TUNED
    assert description.held_out_accuracies[Fit.TUNED] > description.held_out_accuracies[Fit.PROBE]
    assert published.description.accuracy == description.metrics["held_out"].accuracy
    assert description.metrics["held_out"].senders == 2 * len(LABELS)
    assert description.conversion_error < 1e-6


def test_the_int8_network_is_published_if_it_gives_the_same_labels(run: Path, data: Path, tmp_path: Path) -> None:
    description = publish_to(tmp_path / "out", run, data)

    assert description.int8 is not None
    assert description.int8.agreement == 0.9925
    assert (tmp_path / "out" / "clothing-int8.tflite").exists()
    assert Description.read(tmp_path / "out").int8_sha256 == description.int8.sha256
    assert "It gives 99.2% of 400 training photos the same label." in read_card(tmp_path / "out")


def test_an_int8_network_that_gives_other_labels_is_left_out(run: Path, data: Path, tmp_path: Path) -> None:
    int8_file(run / FINAL, Fit.TUNED).with_suffix(".json").write_text("0.975")

    description = publish_to(tmp_path / "out", run, data)

    assert description.int8 is None
    assert not (tmp_path / "out" / "clothing-int8.tflite").exists()
    assert Description.read(tmp_path / "out").int8_sha256 is None
    assert "int8" not in read_card(tmp_path / "out")


def test_the_description_can_be_read_again(run: Path, data: Path, tmp_path: Path) -> None:
    """So that the card can be written again, which is what the tests of the shipped model do."""
    description = publish_to(tmp_path / "out", run, data)

    read = ModelDescription.from_json((tmp_path / "out" / "model.json").read_text())

    assert read == description
    assert card(read) == (tmp_path / "out" / "README.md").read_text()


def test_held_out_answers_are_kept_for_comparison(run: Path, data: Path, tmp_path: Path) -> None:
    publish_to(tmp_path / "out", run, data)

    predictions = read_predictions(tmp_path / "out" / "predictions.csv")

    assert len(set(predictions.hashes)) == len({*data.glob("train/*/*")}) or len(predictions.hashes) == 40
    assert predictions.labels == LABELS
    assert set(predictions.folds) == {0, 1}
    assert "dress-0" in predictions.images[predictions.senders.index("dress-0")]


def test_the_model_is_measured_on_test_photos_that_it_was_not_trained_on(run: Path, data: Path, tmp_path: Path) -> None:
    """One of the test photos is a copy of a training photo."""
    write_data(tmp_path / "other", 3, ("pants", "t-shirt"))
    (tmp_path / "other" / "train").rename(data / "test")
    copied = next((data / "train" / "dress").glob("*.jpg"))
    (data / "test" / "dress").mkdir()
    (data / "test" / "dress" / "copy.jpg").write_bytes(copied.read_bytes())

    description = publish_to(tmp_path / "out", run, data)

    assert description.test_photos_left_out > 0
    assert description.metrics["test"].n + description.test_photos_left_out == 7
    assert (tmp_path / "out" / "report" / "test" / "README.md").is_file()
    assert "test photos that are training photos too were left out" in read_card(tmp_path / "out")


def test_the_card_says_what_is_known_of_the_data(run: Path, data: Path, tmp_path: Path) -> None:
    (data / "dataset.toml").write_text('name = "Our shop"\nlicence = "ours"\nlink = "https://example.com/x"\n')

    publish_to(tmp_path / "out", run, data)

    page = read_card(tmp_path / "out")
    assert "from [Our shop](https://example.com/x) (ours)." in page
    assert "clothing-dataset" not in page
    assert "20 senders" in page


def test_what_an_owner_writes_is_shown_as_it_is(run: Path, data: Path, tmp_path: Path) -> None:
    (data / "dataset.toml").write_text('name = "My\\n# shop](javascript:x)"\nlicence = "<script>"\n')

    publish_to(tmp_path / "out", run, data)

    assert r"from My \# shop\](javascript:x) (\<script\>)." in read_card(tmp_path / "out")


def test_without_a_table_the_card_speaks_of_no_senders_figures(
    data: Path, run: Path, tmp_path: Path, model: Model
) -> None:
    """The run is made again, because its record has the hash of photos and senders."""
    (data / "senders.csv").unlink()
    training = TrainingPhotos.read([data])
    record = json.loads((run / "record.json").read_text()) | {"data_sha256": training.sha256}
    (run / "record.json").write_text(json.dumps(record))

    description = publish(run, training, tmp_path / "out")

    assert description.metrics["held_out"].senders is None
    page = read_card(tmp_path / "out")
    assert "No table names the senders of the photos" in page
    assert "had never seen" not in page


def test_childrens_clothes_have_metrics_of_their_own(run: Path, data: Path, tmp_path: Path) -> None:
    table = (data / "senders.csv").read_text().replace("dress-0,dress-0,False", "dress-0,dress-0,True")
    (data / "senders.csv").write_text(table)

    metrics = publish_to(tmp_path / "out", run, data).metrics

    assert (metrics["held_out"].n, metrics["held_out_kids"].n) == (40, 1)


@pytest.mark.parametrize("changed", ["logits", "familiarities"])
def test_a_network_that_differs_from_the_keras_network_is_not_published(
    run: Path, data: Path, tmp_path: Path, changed: str
) -> None:
    path = outputs_file(run / FINAL, Fit.TUNED)
    found = FitOutputs.load(path)
    replace(found, photos=replace(found.photos, **{changed: getattr(found.photos, changed)[::-1]})).save(path)

    with pytest.raises(PublishError, match="differ by"):
        publish_to(tmp_path / "out", run, data)

    assert not (tmp_path / "out").exists()


def test_a_run_on_other_photos_is_not_published(run: Path, data: Path, tmp_path: Path) -> None:
    next((data / "train" / "dress").glob("*.jpg")).unlink()

    with pytest.raises(PublishError, match="was trained on other photos"):
        publish_to(tmp_path / "out", run, data)


def test_an_unfinished_run_is_not_published(run: Path, data: Path, tmp_path: Path) -> None:
    outputs_file(run / "fold-2", Fit.TUNED).unlink()

    with pytest.raises(RunError, match="has not ended"):
        publish_to(tmp_path / "out", run, data)


def test_the_better_fit_on_held_out_photos_is_chosen(run: Path, data: Path) -> None:
    training = TrainingPhotos.read([data])
    for name in ("fold-1", "fold-2"):
        files = [outputs_file(run / name, fit) for fit in Fit]
        outputs = [FitOutputs.load(file) for file in files]
        for file, other in zip(files, outputs[::-1], strict=True):
            other.save(file)
    record = TrainingRecord.from_dict(json.loads((run / "record.json").read_text()))

    assert choose_fit(read_fits(run, record, training.photos.targets)) is Fit.PROBE


def test_the_version_changes_with_everything_that_changes_predictions(run: Path, data: Path, tmp_path: Path) -> None:
    """Batch Operations classifies again what another version has classified, also if only the calibration changed."""
    description = publish_to(tmp_path / "out", run, data)
    changed = [
        replace(description, network=replace(description.network, sha256="1" * 64)),
        replace(description, calibration=replace(description.calibration, biases=(0.1,) * len(LABELS))),
        replace(description, training=replace(description.training, labels=LABELS[::-1])),
    ]

    assert len({description.version, *(other.version for other in changed)}) == 4
    assert replace(description, training=replace(description.training, photos=21)).version == description.version
