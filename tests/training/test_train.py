"""The pipeline from photos to a model that serves, on drawn photos and a network that knows nothing yet."""

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
from conftest import ROOT, Api
from drawing import encoded, garment, photo
from local.aws import Resources
from training import augment, convert, network, train
from training.dataset import DatasetError, Examples, Split
from training.recipe import Phase, Recipe, RecipeError
from training.train import RunError, assignments, begin, fine_tune

SIZE = 64
RECIPE = replace(
    Recipe.read(ROOT / "training" / "recipe.toml"),
    phases=(Phase(24, 2), Phase(32, 1)),
    folds=2,
    batch_size=8,
    head_epochs=1,
)


def write_photos(folder: Path, per_label: int) -> None:
    """Two garments and a bare floor, each in several shades."""
    drawn = {"pants": garment("pants"), "t-shirt": garment("t-shirt"), "floor": Image.new("RGB", (400, 400), "tan")}
    for label, image in drawn.items():
        (folder / label).mkdir(parents=True)
        for number in range(per_label):
            shaded = Image.blend(image, Image.new("RGB", image.size, "white"), number / 40)
            (folder / label / f"{number}.jpg").write_bytes(encoded(shaded))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random ones: nothing can be downloaded in a test. The batch norms know the photos that are drawn here.

    Without that all photos would look the same to the network but for rounding.
    """
    path = tmp_path_factory.mktemp("weights") / "random.weights.h5"
    keras.utils.set_random_seed(0)
    trunk = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(None, None, 3))
    for layer in trunk.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0
    trunk(views(32) / 127.5 - 1, training=True)
    trunk.save_weights(path)
    return path


def views(n: int) -> npt.NDArray[np.float32]:
    """Parts of drawn garments, of shape (n, SIZE, SIZE, 3)."""
    rng = np.random.default_rng(0)
    drawn = [np.asarray(garment(kind)) for kind in ("pants", "t-shirt")]
    return np.stack([augment.augment(drawn[number % 2], SIZE, RECIPE, rng) for number in range(n)])


def run(*command: str) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {"PYTHONPATH": str(ROOT / "functions")}
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def without_graphs() -> Iterator[None]:
    """To make a graph takes TensorFlow longer than the few steps of a test."""
    tf.config.run_functions_eagerly(run_eagerly=True)
    yield
    tf.config.run_functions_eagerly(run_eagerly=False)


@pytest.mark.filterwarnings("ignore:Even though the `tf.config.experimental_run_functions_eagerly`")
@pytest.mark.usefixtures("without_graphs")
def test_the_pipeline_makes_a_model_that_serves(
    tmp_path: Path,
    weights: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    aws: Resources,
) -> None:
    """With three labels of our own: nothing but the photos decides which they are, from training to the API.

    The programs that use TensorFlow run in this process, which has spent seconds on importing it; the others in theirs,
    for the two runtimes do not load together.
    """
    write_photos(tmp_path / "data" / "train", 6)
    write_photos(tmp_path / "data" / "validation", 2)
    (tmp_path / "short.toml").write_text(short_recipe())
    common = ("--data", str(tmp_path / "data"), "--run", str(tmp_path / "run"))
    out = str(tmp_path / "out")
    recipe = ("--weights", str(weights), "--recipe", str(tmp_path / "short.toml"))

    monkeypatch.setattr(sys, "argv", ["train", *common, *recipe])
    assert train.main() == 0
    told = capsys.readouterr().out
    assert "24 photos of 3 labels; 3 networks to finish, 6 trainings to do." in told
    assert "final, seed 2: epoch 1 of 1 at 32 pixels: loss" in told
    assert train.main() == 0
    assert "3 labels; 0 networks to finish, 0 trainings to do." in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["convert", *common, "--sizes", str(SIZE)])
    assert convert.main() == 0
    measured = run("training.variants", *common, "--sizes", str(SIZE))
    assert measured.returncode == 0, measured.stderr
    published = run("training.publish", *common, "--out", out)
    assert published.returncode == 0, published.stderr

    model = Model.read(tmp_path / "out")
    assert model.description.labels == ("floor", "pants", "t-shirt")
    assert model.description.input_size == SIZE
    assert_serves(Api(Services.from_environment(os.environ | {"MODEL_DIR": out})), ["floor", "pants", "t-shirt"])
    evaluated = run("training.evaluate", "--data", str(tmp_path / "data" / "validation"), "--model", out)
    assert '"n": 6' in evaluated.stdout
    variants = json.loads((tmp_path / "run" / "variants.json").read_text())
    assert {(row["runtime"], row["precision"]) for row in variants} >= {("ai_edge_litert", "int8")}
    assert all(row["milliseconds"] > 0 for row in variants if row["precision"] != "int8")
    assert (tmp_path / "out" / "README.md").read_text().count("| 64 | float16 |") == len(variants) / 3


def assert_serves(api: Api, labels: list[str]) -> None:
    """Whatever of the API speaks of labels speaks of these, and of no others."""
    scores = api.request("POST", "/predict", body=photo("pants"), headers={"Content-Type": "image/jpeg"}).json
    assert list(scores) == labels
    assert sum(scores.values()) == pytest.approx(1)
    assert api.request("GET", "/model").json["labels"] == labels
    (record,) = api.request("GET", "/classifications").json["items"]
    for label, confirmed in [(labels[0], 200), ("dress", 400)]:
        assert api.request("PUT", f"/confirmations/{record['id']}", {"label": label}).status == confirmed
        assert api.request("GET", "/classifications", query={"label": label}).status == confirmed


def short_recipe() -> str:
    """The committed recipe, with as little of everything as there can be."""
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
    """A machine that goes down after the second of three epochs."""

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if epoch == 2:
            raise KeyboardInterrupt


def test_a_run_that_was_interrupted_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (40, 36, 36, 3), np.uint8)
    one_hot = np.eye(2, dtype=np.float32)[rng.integers(0, 2, 40)]

    def fresh() -> keras.Model:
        keras.utils.set_random_seed(0)
        layers = [keras.layers.Conv2D(4, 3), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)]
        return keras.Sequential([keras.Input((None, None, 3)), keras.layers.Rescaling(1 / 255), *layers])

    def tune(model: keras.Model, backup: str, *callbacks: keras.callbacks.Callback) -> list[npt.NDArray[np.float32]]:
        recipe = replace(RECIPE, learning_rate=0.01, average_momentum=0.5)
        fine_tune(model, Examples(images, one_hot), recipe, tmp_path / backup, list(callbacks))
        weights: list[npt.NDArray[np.float32]] = model.get_weights()
        return weights

    through = tune(fresh(), "through")
    with pytest.raises(KeyboardInterrupt):
        tune(fresh(), "interrupted", _Interruption())
    resumed = tune(fresh(), "interrupted")

    assert any(np.abs(a - b).max() > 1e-3 for a, b in zip(through, fresh().get_weights(), strict=True))
    for expected, found in zip(through, resumed, strict=True):
        assert found == pytest.approx(expected, abs=1e-6)


def test_a_run_is_not_gone_on_with_from_something_else(tmp_path: Path) -> None:
    begin(tmp_path, {"data_sha256": "a", "recipe": {"phases": ((64, 1),)}})
    begin(tmp_path, {"data_sha256": "a", "recipe": {"phases": ((64, 1),)}})

    with pytest.raises(RunError, match="begun with other data_sha256"):
        begin(tmp_path, {"data_sha256": "b", "recipe": {"phases": ((64, 1),)}})


def test_no_sender_is_on_both_sides_of_a_fold(tmp_path: Path) -> None:
    """And every photo is held out once; the network to ship learns from all."""
    files = tuple(tmp_path / ("validation" if n % 5 == 0 else "train") / f"{n}.jpg" for n in range(40))
    senders = {path.stem: str(int(path.stem) % 7) for path in files}
    rows = "".join(f"{name},{sender},False\n" for name, sender in senders.items())
    (tmp_path / "senders.csv").write_text("image,sender_id,kids\n" + rows)
    split = Split(("a", "b"), files, np.zeros((40, 8, 8, 3), np.uint8), np.arange(40) % 2)

    *folds, final = assignments(tmp_path, split, 3)

    assert [fold.name for fold in folds] == ["fold-1", "fold-2", "fold-3"]
    for fold in folds:
        learnt = {senders[files[index].stem] for index in fold.learns}
        assert not learnt & {senders[files[index].stem] for index in fold.answers}
    assert sorted(np.concatenate([fold.answers for fold in folds])) == list(range(40))
    assert (final.name, len(final.learns)) == ("final", 40)
    assert [files[index].parent.name for index in final.answers] == ["validation"] * 8
    with pytest.raises(DatasetError, match="7 senders cannot be divided into 8 folds"):
        assignments(tmp_path, split, 8)


def test_batches_depend_on_seed_epoch_and_number_alone() -> None:
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


def test_cutmix_gives_a_label_as_much_as_its_photo() -> None:
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

    network.average(model, files)

    for weights, shape in zip(model.get_weights(), shapes, strict=True):
        assert weights == pytest.approx(np.full(shape, 3.0))


def test_the_balanced_loss_asks_more_of_frequent_labels() -> None:
    """A network that knows only how frequent labels are has learnt nothing: its logits are equal."""
    loss = network.BalancedCrossEntropy(np.array([0.9, 0.1]), 1.0, 0.0)

    losses = [float(loss(np.eye(2, dtype=np.float32)[[label]], np.zeros((1, 2), np.float32))) for label in (0, 1)]

    assert losses == pytest.approx([-np.log(0.9), -np.log(0.1)], rel=1e-5)


@pytest.mark.parametrize(
    ("frozen_blocks", "last_frozen", "first_trained"),
    [(0, "Conv1_relu", "expanded_conv_depthwise"), (3, "block_2_project_BN", "block_3_expand")],
)
def test_only_later_blocks_learn(weights: Path, frozen_blocks: int, last_frozen: str, first_trained: str) -> None:
    trunk = network.build(4, str(weights), 0.2, frozen_blocks).get_layer("trunk")

    assert not trunk.get_layer("Conv1").trainable
    assert not trunk.get_layer(last_frozen).trainable
    assert trunk.get_layer(first_trained).trainable


def test_fused_batch_norms_answer_and_learn_as_those_of_keras() -> None:
    """Serving, training, and what they keep of what they saw."""
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


def test_the_head_is_fitted_to_what_the_trunk_sees() -> None:
    """The trunk here sees each colour's mean."""
    pixels = keras.Input((None, None, 3))
    features = keras.layers.GlobalAveragePooling2D(name="features")(keras.layers.Rescaling(1 / 255)(pixels))
    model = keras.Model(pixels, keras.layers.Dense(2, name="logits")(features))
    images = np.zeros((2048, 8, 8, 3), np.uint8)
    images[::2, :, :, 0] = 255
    one_hot = np.eye(2, dtype=np.float32)[np.arange(2048) % 2]

    network.fit_head(model, Examples(images, one_hot), replace(RECIPE, head_epochs=50))

    assert (model.predict(images[:2], verbose=0).argmax(axis=1) == [0, 1]).all()


def test_the_converted_network_answers_like_the_trained_one(tmp_path: Path, weights: Path) -> None:
    """In a process of its own: the two runtimes do not load together."""
    keras.utils.set_random_seed(1)
    images = views(32).astype(np.uint8)
    served = network.finish(network.build(4, str(weights), dropout=0.2, frozen_blocks=3), images)
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
    told = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)

    answers = np.array([[float(value) for value in line.split()] for line in told.stdout.splitlines()])
    # Random weights make much of the rounding of single precision; trained ones have agreed to 5e-5.
    assert answers[:, :4] == pytest.approx(trained["logits"].numpy(), abs=0.01)
    assert answers[:, 4] == pytest.approx(trained["familiarity"].numpy(), abs=1e-3)
    assert answers[:, 4] == pytest.approx(np.ones(32), abs=0.01), "each of so few photos is a prototype of its own"


def test_a_finished_network_answers_as_its_batch_norms_would_on_the_photos_it_serves(weights: Path) -> None:
    """Rounding to half precision and multiplying the norms into the convolutions change next to nothing.

    But what the norms had seen before, as while training, does not count: here photos five times as dark.
    """
    images = views(128).astype(np.uint8)
    bright, dark = (network.build(4, str(weights), dropout=0.2, frozen_blocks=0) for _ in range(2))
    for _ in range(3):
        dark(images // 5, training=True)
    dark.get_layer("logits").set_weights(bright.get_layer("logits").get_weights())

    answers = [network.finish(model, images)(images[:8], training=False)["logits"].numpy() for model in (bright, dark)]

    assert answers[0] == pytest.approx(answers[1], abs=1e-5)


def test_batch_norms_are_measured_on_all_batches_alike() -> None:
    """Here one of black photos and one of light ones, whatever came before; a frozen norm stays as it was."""
    measured, frozen = keras.layers.BatchNormalization(), keras.layers.BatchNormalization(trainable=False)
    trunk = keras.Sequential([keras.Input((4, 4, 3)), measured, frozen], name="trunk")
    images = np.zeros((128, 4, 4, 3), np.uint8)
    images[64:] = 200

    network.measure_norms(keras.Sequential([keras.Input((4, 4, 3)), trunk]), images)

    assert measured.moving_mean.numpy() == pytest.approx(np.full(3, 100.0))
    assert measured.moving_variance.numpy() == pytest.approx(np.zeros(3))
    assert [*frozen.moving_mean.numpy(), *frozen.moving_variance.numpy()] == [0, 0, 0, 1, 1, 1]


def test_a_folder_without_photos_is_told(tmp_path: Path, weights: Path) -> None:
    told = run("training.train", "--data", str(tmp_path), "--weights", str(weights), "--run", str(tmp_path / "run"))

    assert told.returncode == 1
    assert told.stderr.splitlines()[-1].startswith("train: There is no folder")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("seed = 1", "sead = 1"), "missing or unknown: sead, seed"),
        (("seed = 1", "seed ="), "short.toml: "),
        (("size = 192,", "pixels = 192,"), "a phase is a table"),
    ],
)
def test_what_is_wrong_with_a_recipe_is_told(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    path = tmp_path / "short.toml"
    path.write_text((ROOT / "training" / "recipe.toml").read_text().replace(*change))

    with pytest.raises(RecipeError, match=message):
        Recipe.read(path)


def test_the_committed_model_records_the_recipe() -> None:
    """What `make train` writes is what the recipe says."""
    recorded = json.loads((ROOT / "model" / "model.json").read_text())["training"]["recipe"]
    recipe = Recipe.read(ROOT / "training" / "recipe.toml")

    assert [Phase(**phase) for phase in recorded.pop("phases")] == list(recipe.phases)
    assert recorded == {name: getattr(recipe, name) for name in recorded}
