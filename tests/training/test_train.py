"""The pipeline from photos to a model that serves, on drawn photos and a network that knows nothing yet."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from classifier.model import Model
from classifier.photos import Limits, decode
from conftest import ROOT
from drawing import encoded, garment
from training import network

SIZE = 64


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
    """Random ones: nothing can be downloaded in a test."""
    path = tmp_path_factory.mktemp("weights") / "random.weights.h5"
    keras.utils.set_random_seed(0)
    keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(None, None, 3)).save_weights(path)
    return path


def run(*command: str) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {"PYTHONPATH": str(ROOT / "functions")}
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def test_the_pipeline_makes_a_model_that_serves(tmp_path: Path, weights: Path) -> None:
    """With three labels of our own: nothing but the photos decides which they are."""
    write_photos(tmp_path / "data" / "train", 16)
    write_photos(tmp_path / "data" / "validation", 4)
    data, out, left = str(tmp_path / "data"), str(tmp_path / "out"), str(tmp_path / "run")
    short = [
        "--size",
        str(SIZE),
        "--first-size",
        str(SIZE),
        "--first-epochs",
        "1",
        "--epochs",
        "1",
        "--batch-size",
        "8",
    ]

    trained = run("training.train", "--data", data, "--weights", str(weights), "--run", left, *short)
    assert trained.returncode == 0, trained.stderr
    assert "48 photos to train on, 12 to validate." in trained.stdout
    assert "val_accuracy" in trained.stdout
    published = run("training.publish", "--data", data, "--run", left, "--out", out)
    assert published.returncode == 0, published.stderr

    model = Model(tmp_path / "out")
    assert model.description.labels == ("floor", "pants", "t-shirt")
    assert model.description.input_size == SIZE
    scores = model.scores(decode(encoded(garment("pants")), SIZE, Limits()).pixels)
    assert sum(scores.values()) == pytest.approx(1)
    evaluated = run("training.evaluate", "--data", f"{data}/validation", "--model", out)
    assert '"n": 12' in evaluated.stdout


def test_the_converted_network_answers_like_the_trained_one(tmp_path: Path, weights: Path) -> None:
    """In a process of its own: the two runtimes do not load together."""
    keras.utils.set_random_seed(1)
    model = network.build(4, str(weights), dropout=0.2)
    images = np.random.default_rng(0).integers(0, 256, (5, SIZE, SIZE, 3), np.uint8)
    network.write_tflite(model, SIZE, tmp_path / "network.tflite")
    np.save(tmp_path / "images.npy", images)
    code = f"""
import numpy as np
from classifier.model import Interpreter
interpreter = Interpreter(model_path={str(tmp_path / "network.tflite")!r})
interpreter.allocate_tensors()
for image in np.load({str(tmp_path / "images.npy")!r}):
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image[np.newaxis])
    interpreter.invoke()
    print(*interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0])
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "functions")}
    served = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)

    answers = np.array([[float(value) for value in line.split()] for line in served.stdout.splitlines()])
    assert answers == pytest.approx(network.logits(model, images, 5), abs=0.02)


def test_a_converted_network_without_its_weights_is_refused(monkeypatch: pytest.MonkeyPatch, weights: Path) -> None:
    """As a converter once wrote it without a word."""
    monkeypatch.setattr("tensorflow.lite.TFLiteConverter.from_saved_model", lambda _: _Converter())

    with pytest.raises(network.ExportError, match="weights are missing"):
        network.to_tflite(network.build(4, str(weights), dropout=0.2), SIZE)


class _Converter:
    class target_spec:  # noqa: N801 - TensorFlow's name
        pass

    def convert(self) -> bytes:
        return bytes(77_000)


def test_a_folder_without_photos_is_told(tmp_path: Path, weights: Path) -> None:
    told = run("training.train", "--data", str(tmp_path), "--weights", str(weights), "--run", str(tmp_path / "run"))

    assert told.returncode == 1
    assert told.stderr.splitlines()[-1].startswith("train: There is no folder")
