"""The pipeline from photos to a served model, on drawn photos and a network with random weights."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf
from PIL import Image

from classifier.model import Model
from classifier.services import Services
from local.aws import Resources
from tests.support.api import Api
from tests.support.drawings import encoded, garment, photo
from tests.support.paths import ROOT
from training import augment, convert, network, train
from evaluation.dataset import DatasetError, Examples, Split
from training.recipe import Phase, Recipe, RecipeError
from training.run import TrainingRecord
from training.train import RunError, fine_tune, open_run, plan_networks

SIZE = 64
RECIPE = replace(
    Recipe.load(ROOT / "training" / "recipe.toml"),
    phases=(Phase(24, 2), Phase(32, 1)),
    folds=2,
    batch_size=8,
    head_epochs=1,
)


def write_photos(folder: Path, per_label: int) -> None:
    """Write photos of two garments and of an empty floor, each in several shades."""
    drawn = {"pants": garment("pants"), "t-shirt": garment("t-shirt"), "floor": Image.new("RGB", (400, 400), "tan")}
    for label, image in drawn.items():
        (folder / label).mkdir(parents=True)
        for number in range(per_label):
            shaded = Image.blend(image, Image.new("RGB", image.size, "white"), number / 40)
            (folder / label / f"{number}.jpg").write_bytes(encoded(shaded))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights, because tests download nothing. The batch norms are fitted to the photos that are drawn here.

    Otherwise the network's features would be the same for all photos, except for rounding.
    """
    path = tmp_path_factory.mktemp("weights") / "random.weights.h5"
    keras.utils.set_random_seed(0)
    trunk = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(None, None, 3))
    for layer in trunk.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0
    trunk(crops(32) / 127.5 - 1, training=True)
    trunk.save_weights(path)
    return path


def crops(n: int) -> npt.NDArray[np.float32]:
    """Return crops of drawn garments, of shape (n, SIZE, SIZE, 3)."""
    rng = np.random.default_rng(0)
    drawn = [np.asarray(garment(kind)) for kind in ("pants", "t-shirt")]
    return np.stack([augment.augment(drawn[number % 2], SIZE, RECIPE, rng) for number in range(n)])


def run(*command: str) -> "subprocess.CompletedProcess[str]":
    """Run a Python module in a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "functions")}
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def eager_execution() -> Iterator[None]:
    """Run TensorFlow eagerly: to build a graph takes longer than the few steps of a test."""
    tf.config.run_functions_eagerly(run_eagerly=True)
    yield
    tf.config.run_functions_eagerly(run_eagerly=False)


@pytest.mark.filterwarnings("ignore:Even though the `tf.config.experimental_run_functions_eagerly`")
@pytest.mark.usefixtures("eager_execution")
def test_the_pipeline_makes_a_model_that_can_be_served(
    tmp_path: Path,
    weights: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    aws: Resources,
) -> None:
    """The label folders decide the labels everywhere, from training to the API; here there are three.

    The commands that use TensorFlow run in this process, which has imported it already. The others run in processes of
    their own, because the two runtimes cannot be loaded into one process.
    """
    write_photos(tmp_path / "data" / "train", 6)
    write_photos(tmp_path / "data" / "validation", 2)
    (tmp_path / "short.toml").write_text(short_recipe())
    common = ("--data", str(tmp_path / "data"), "--run", str(tmp_path / "run"))
    out = str(tmp_path / "out")
    recipe = ("--weights", str(weights), "--recipe", str(tmp_path / "short.toml"))

    monkeypatch.setattr(sys, "argv", ["train", *common, *recipe])
    assert train.main() == 0
    output = capsys.readouterr().out
    assert "24 photos of 3 labels.\n6 trainings to do, 3 networks to convert." in output
    assert "final, seed 2: epoch 1 of 1 at 32 pixels: loss" in output
    assert train.main() == 0
    assert "0 trainings to do, 0 networks to convert." in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["convert", *common, "--sizes", str(SIZE)])
    assert convert.main() == 0
    measured = run("training.variants", *common, "--sizes", str(SIZE))
    assert measured.returncode == 0, measured.stderr
    published = run("training.publish", *common, "--out", out)
    assert published.returncode == 0, published.stderr

    model = Model.load(tmp_path / "out")
    assert model.description.labels == ("floor", "pants", "t-shirt")
    assert model.description.input_size == SIZE
    assert_serves(Api(Services.from_environment(os.environ | {"MODEL_DIR": out})), ["floor", "pants", "t-shirt"])
    evaluated = run("evaluation.evaluate", "--data", str(tmp_path / "data" / "validation"), "--model", out)
    assert '"n": 6' in evaluated.stdout
    variants = json.loads((tmp_path / "run" / "variants.json").read_text())
    assert {(row["runtime"], row["precision"]) for row in variants} >= {("ai_edge_litert", "int8")}
    assert all(row["milliseconds"] > 0 for row in variants if row["precision"] != "int8")
    assert (tmp_path / "out" / "README.md").read_text().count("| 64 | float16 |") == len(variants) / 3


def assert_serves(api: Api, labels: list[str]) -> None:
    """Check that all parts of the API that have labels have these and no others."""
    scores = api.request("POST", "/predict", body=photo("pants"), headers={"Content-Type": "image/jpeg"}).json
    assert list(scores) == labels
    assert sum(scores.values()) == pytest.approx(1)
    assert api.request("GET", "/model").json["labels"] == labels
    (record,) = api.request("GET", "/classifications").json["items"]
    for label, status in [(labels[0], 200), ("dress", 400)]:
        assert api.request("PUT", f"/confirmations/{record['id']}", {"label": label}).status == status
        assert api.request("GET", "/classifications", query={"label": label}).status == status


def short_recipe() -> str:
    """Return the committed recipe, with as little work as possible."""
    short = {
        "size": str(SIZE),
        "seeds": "2",
        "phases": "[{ size = 32, epochs = 1 }]",
        "folds": "2",
        "batch_size": "16",
        "head_epochs": "1",
    }
    lines = (ROOT / "training" / "recipe.toml").read_text().splitlines()
    named = [(line.split(" = ")[0], line) for line in lines]
    return "\n".join(f"{name} = {short[name]}" if name in short else line for name, line in named)


class _Interruption(keras.callbacks.Callback):  # type: ignore[misc]
    """Interrupts training after the second of three epochs."""

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if epoch == 2:
            raise KeyboardInterrupt


def test_a_resumed_training_ends_with_the_same_weights(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (40, 36, 36, 3), np.uint8)
    one_hot = np.eye(2, dtype=np.float32)[rng.integers(0, 2, 40)]

    def make_model() -> keras.Model:
        keras.utils.set_random_seed(0)
        layers = [keras.layers.Conv2D(4, 3), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)]
        return keras.Sequential([keras.Input((None, None, 3)), keras.layers.Rescaling(1 / 255), *layers])

    def tune(model: keras.Model, backup: str, *callbacks: keras.callbacks.Callback) -> list[npt.NDArray[np.float32]]:
        recipe = replace(RECIPE, learning_rate=0.01, average_momentum=0.5)
        fine_tune(model, Examples(images, one_hot), recipe, tmp_path / backup, list(callbacks))
        weights: list[npt.NDArray[np.float32]] = model.get_weights()
        return weights

    uninterrupted = tune(make_model(), "uninterrupted")
    with pytest.raises(KeyboardInterrupt):
        tune(make_model(), "interrupted", _Interruption())
    resumed = tune(make_model(), "interrupted")

    assert any(np.abs(a - b).max() > 1e-3 for a, b in zip(uninterrupted, make_model().get_weights(), strict=True))
    for expected, found in zip(uninterrupted, resumed, strict=True):
        assert found == pytest.approx(expected, abs=1e-6)


def test_a_run_is_not_resumed_with_other_photos(tmp_path: Path) -> None:
    record = TrainingRecord(("a", "b"), RECIPE, 40, "0" * 64, "imagenet", {"keras": "3.15.1"})
    open_run(tmp_path, record)
    open_run(tmp_path, record)

    with pytest.raises(RunError, match="a run with different data_sha256"):
        open_run(tmp_path, replace(record, data_sha256="1" * 64))


def test_no_sender_is_in_both_parts_of_a_fold(tmp_path: Path) -> None:
    """Every photo is held out once, and the network to ship is trained on all photos."""
    files = tuple(tmp_path / ("validation" if n % 5 == 0 else "train") / f"{n}.jpg" for n in range(40))
    senders = {path.stem: str(int(path.stem) % 7) for path in files}
    rows = "".join(f"{name},{sender},False\n" for name, sender in senders.items())
    (tmp_path / "senders.csv").write_text("image,sender_id,kids\n" + rows)
    split = Split(("a", "b"), files, np.zeros((40, 8, 8, 3), np.uint8), np.arange(40) % 2)

    *folds, final = plan_networks(tmp_path, split, 3)

    assert [fold.name for fold in folds] == ["fold-1", "fold-2", "fold-3"]
    for fold in folds:
        training, evaluation = ({senders[files[index].stem] for index in part} for part in fold[1:])
        assert not training & evaluation
    assert sorted(np.concatenate([fold.evaluation for fold in folds])) == list(range(40))
    assert (final.name, len(final.training)) == ("final", 40)
    assert [files[index].parent.name for index in final.evaluation] == ["validation"] * 8
    with pytest.raises(DatasetError, match="7 senders cannot be divided into 8 folds"):
        plan_networks(tmp_path, split, 8)


def test_a_batch_depends_only_on_seed_epoch_and_index() -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (20, 36, 36, 3), np.uint8)
    one_hot = np.eye(4, dtype=np.float32)[rng.integers(0, 4, 20)]
    batches = augment.TrainingBatches(Examples(images, one_hot), 24, 0, RECIPE)
    first = batches[1]
    batches.on_epoch_end()

    again = augment.TrainingBatches(Examples(images, one_hot), 24, 0, RECIPE)[1]
    second = augment.TrainingBatches(Examples(images, one_hot), 24, 1, RECIPE)[1]

    assert len(batches) == 2
    assert first[0].shape == (8, 24, 24, 3)
    assert 0 <= first[0].min() < first[0].max() <= 255
    assert (again[0] == first[0]).all()
    assert (batches[1][0] == second[0]).all()
    assert (first[0] != second[0]).any()
    for _, targets in (first, second):
        assert targets.sum(axis=1) == pytest.approx(np.ones(8))


def test_cutmix_mixes_targets_in_proportion_to_area() -> None:
    photos = np.zeros((8, 10, 10, 3), np.float32)
    photos[::2] = 1
    targets = np.eye(2, dtype=np.float32)[[1, 0] * 4]  # 1 where the photo is white

    mixed, shares = augment.cutmix(photos, targets, np.random.default_rng(3))

    assert mixed.mean(axis=(1, 2, 3)) == pytest.approx(shares[:, 1], abs=1e-6)
    assert ((shares > 0) & (shares < 1)).any()


def test_the_average_of_networks_has_the_mean_of_their_weights(tmp_path: Path) -> None:
    layers = keras.layers.Dense(2), keras.layers.BatchNormalization()
    model = keras.Sequential([keras.Input((3,)), *layers])
    shapes = [weights.shape for weights in model.get_weights()]
    files = []
    for value in (1, 2, 6):
        model.set_weights([np.full(shape, value, np.float32) for shape in shapes])
        files.append(tmp_path / f"{value}.weights.h5")
        model.save_weights(files[-1])

    network.load_average(model, files)

    for weights, shape in zip(model.get_weights(), shapes, strict=True):
        assert weights == pytest.approx(np.full(shape, 3.0))


def test_equal_logits_have_the_loss_of_predicting_the_label_frequencies() -> None:
    loss = network.LogitAdjustedCrossEntropy(np.array([0.9, 0.1]), 1.0, 0.0)

    losses = [float(loss(np.eye(2, dtype=np.float32)[[label]], np.zeros((1, 2), np.float32))) for label in (0, 1)]

    assert losses == pytest.approx([-np.log(0.9), -np.log(0.1)], rel=1e-5)


@pytest.mark.parametrize(
    ("frozen_blocks", "last_frozen", "first_trained"),
    [(0, "Conv1_relu", "expanded_conv_depthwise"), (3, "block_2_project_BN", "block_3_expand")],
)
def test_only_later_blocks_are_trainable(
    weights: Path, frozen_blocks: int, last_frozen: str, first_trained: str
) -> None:
    trunk = network.build(4, str(weights), 0.2, frozen_blocks).get_layer("trunk")

    assert not trunk.get_layer("Conv1").trainable
    assert not trunk.get_layer(last_frozen).trainable
    assert trunk.get_layer(first_trained).trainable


def test_fused_batch_norms_are_equivalent_to_those_of_keras() -> None:
    """In their outputs in inference and in training, and in their moving averages."""
    images = np.random.default_rng(0).normal(150, 30, (8, 16, 16, 3)).astype(np.float32)
    before = np.array([[1, 2, 3], [4, 5, 6], [100, 110, 120], [900, 800, 700]], np.float32)
    norms = [keras.layers.BatchNormalization(), network.FusedBatchNormalization()]
    for norm in norms:
        norm.build(images.shape)
        norm.set_weights(list(before))

    served = [norm(images, training=False) for norm in norms]
    trained = [norm(images, training=True) for norm in norms]
    kept = [np.stack(norm.get_weights()) for norm in norms]

    for expected, fused in (served, trained):
        assert fused.numpy() == pytest.approx(expected.numpy(), abs=1e-3)
    assert kept[1] == pytest.approx(kept[0], rel=1e-4)
    assert (kept[1][2:] != before[2:]).all()


def test_the_head_is_fitted_to_the_features_of_the_trunk() -> None:
    """The features here are the mean of each colour channel."""
    pixels = keras.Input((None, None, 3))
    features = keras.layers.GlobalAveragePooling2D(name="features")(keras.layers.Rescaling(1 / 255)(pixels))
    model = keras.Model(pixels, keras.layers.Dense(2, name="logits")(features))
    images = np.zeros((2048, 8, 8, 3), np.uint8)
    images[::2, :, :, 0] = 255
    one_hot = np.eye(2, dtype=np.float32)[np.arange(2048) % 2]

    network.fit_head(model, Examples(images, one_hot), replace(RECIPE, head_epochs=50))

    assert (model.predict(images[:2], verbose=0).argmax(axis=1) == [0, 1]).all()


def test_the_converted_network_has_the_outputs_of_the_keras_network(tmp_path: Path, weights: Path) -> None:
    """It runs in a process of its own, because TensorFlow and the runtime cannot be loaded into one."""
    keras.utils.set_random_seed(1)
    images = crops(32).astype(np.uint8)
    served = network.prepare_for_serving(network.build(4, str(weights), dropout=0.2, frozen_blocks=3), images)
    trained = served(images, training=False)
    (tmp_path / "network.tflite").write_bytes(network.to_tflite(served, SIZE)["float16"])
    np.save(tmp_path / "images.npy", images)
    code = f"""
import numpy as np
from classifier.model import Interpreter
interpreter = Interpreter(model_path={str(tmp_path / "network.tflite")!r})
interpreter.allocate_tensors()
for image in np.load({str(tmp_path / "images.npy")!r}):
    outputs = interpreter.get_signature_runner()(pixels=image[np.newaxis])
    print(*outputs["logits"][0], *outputs["familiarity"])
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "functions")}
    process = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)

    outputs = np.array([[float(value) for value in line.split()] for line in process.stdout.splitlines()])
    # Random weights amplify rounding; with trained weights the difference was 5e-5.
    assert outputs[:, :4] == pytest.approx(trained["logits"].numpy(), abs=0.01)
    assert outputs[:, 4] == pytest.approx(trained["familiarity"].numpy(), abs=1e-3)
    assert outputs[:, 4] == pytest.approx(np.ones(32), abs=0.01), "each of so few photos has a prototype of its own"


def test_outputs_do_not_depend_on_batch_norm_statistics_from_training(weights: Path) -> None:
    """Preparing a network for serving measures them again. Here they were measured on photos five times as dark.

    Folding the batch norms and rounding to float16 change the outputs by next to nothing.
    """
    images = crops(128).astype(np.uint8)
    bright, dark = (network.build(4, str(weights), dropout=0.2, frozen_blocks=0) for _ in range(2))
    for _ in range(3):
        dark(images // 5, training=True)
    dark.get_layer("logits").set_weights(bright.get_layer("logits").get_weights())

    first, second = (
        network.prepare_for_serving(model, images)(images[:8], training=False)["logits"].numpy()
        for model in (bright, dark)
    )

    assert first == pytest.approx(second, abs=1e-5)


def test_batch_norm_statistics_are_means_over_batches() -> None:
    """Here over a batch of black photos and one of light photos; a frozen batch norm does not change."""
    measured, frozen = keras.layers.BatchNormalization(), keras.layers.BatchNormalization(trainable=False)
    trunk = keras.Sequential([keras.Input((4, 4, 3)), measured, frozen], name="trunk")
    images = np.zeros((128, 4, 4, 3), np.uint8)
    images[64:] = 200

    network.update_batch_norms(keras.Sequential([keras.Input((4, 4, 3)), trunk]), images)

    assert measured.moving_mean.numpy() == pytest.approx(np.full(3, 100.0))
    assert measured.moving_variance.numpy() == pytest.approx(np.zeros(3))
    assert [*frozen.moving_mean.numpy(), *frozen.moving_variance.numpy()] == [0, 0, 0, 1, 1, 1]


def test_training_without_photos_is_an_error(tmp_path: Path, weights: Path) -> None:
    process = run("training.train", "--data", str(tmp_path), "--weights", str(weights), "--run", str(tmp_path / "run"))

    assert process.returncode == 1
    assert process.stderr.splitlines()[-1].startswith("train: There is no folder")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("seed = 1", "sead = 1"), "Missing or unknown: sead, seed"),
        (("seed = 1", "seed ="), "short.toml: "),
        (("size = 192,", "pixels = 192,"), "A phase must be a table"),
    ],
)
def test_a_malformed_recipe_is_an_error(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    path = tmp_path / "short.toml"
    path.write_text((ROOT / "training" / "recipe.toml").read_text().replace(*change))

    with pytest.raises(RecipeError, match=message):
        Recipe.load(path)


def test_the_committed_model_records_the_committed_recipe() -> None:
    recorded = json.loads((ROOT / "model" / "model.json").read_text())["training"]["recipe"]
    recipe = Recipe.load(ROOT / "training" / "recipe.toml")

    assert [Phase(**phase) for phase in recorded.pop("phases")] == list(recipe.phases)
    assert recorded == {name: getattr(recipe, name) for name in recorded}
