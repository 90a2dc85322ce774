"""From pixels to scores, and the description of the model."""

import hashlib
import json
import re
import shutil
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from classifier import model as model_module
from classifier.description import Description
from classifier.limits import Limits
from classifier.model import Model, Outputs, find_network, softmax
from classifier.photos import decode
from classifier.runtime import RUNS_INT8_FAST, Interpreter
from tests.support.drawings import encoded, garment, photo
from tests.support.paths import ROOT, SHIPPED_MODEL, TESTS_MODEL
from tests.support.shown_answers import load_comparable_model, shows_shipped_model
from training.out_of_distribution import KINDS, generate

LABELS = ("dress", "hat", "longsleeve", "outwear", "pants", "shirt", "shoes", "shorts", "skirt", "t-shirt")


@pytest.mark.parametrize("folder", [SHIPPED_MODEL, TESTS_MODEL], ids=["shipped", "tests"])
def test_the_description_is_of_the_network_beside_it(folder: Path) -> None:
    read = Description.read(folder)
    description = json.loads((folder / "model.json").read_text())

    assert hashlib.sha256((folder / "clothing.tflite").read_bytes()).hexdigest() == read.sha256
    int8 = folder / "clothing-int8.tflite"
    assert (hashlib.sha256(int8.read_bytes()).hexdigest() if int8.exists() else None) == read.int8_sha256
    assert (read.name, read.version) == (description["name"], description["version"])
    assert 0 < read.accuracy <= 1


@pytest.mark.parametrize(
    ("has_int8", "runs_int8_fast", "name"),
    [
        (True, True, "clothing-int8.tflite"),
        (True, False, "clothing.tflite"),
        (False, True, "clothing.tflite"),
        (False, False, "clothing.tflite"),
    ],
)
def test_the_runtime_gets_the_network_that_it_runs_fastest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, *, has_int8: bool, runs_int8_fast: bool
) -> None:
    monkeypatch.setattr("classifier.model.RUNS_INT8_FAST", runs_int8_fast)
    if has_int8:
        (tmp_path / "clothing-int8.tflite").touch()

    assert find_network(tmp_path) == tmp_path / name


def test_python_3_11_runs_float16_and_later_ones_int8() -> None:
    assert (sys.version_info >= (3, 12)) == RUNS_INT8_FAST


@pytest.mark.skipif(not RUNS_INT8_FAST, reason="tflite-runtime cannot run all int8 networks")
def test_the_shipped_int8_network_gives_photos_the_same_label(tmp_path: Path) -> None:
    if not (SHIPPED_MODEL / "clothing-int8.tflite").exists():
        pytest.skip("The model of this repository has no int8 network.")
    for name, network in (("float16", "clothing.tflite"), ("int8", "clothing-int8.tflite")):
        (tmp_path / name).mkdir()
        shutil.copyfile(SHIPPED_MODEL / network, tmp_path / name / "clothing.tflite")
        shutil.copyfile(SHIPPED_MODEL / "model.json", tmp_path / name / "model.json")
    models = [Model.load(tmp_path / name) for name in ("float16", "int8")]
    size, files = models[0].description.input_size, sorted((SHIPPED_MODEL / "known").glob("*.jpg"))

    for file in files:
        pixels = decode(file.read_bytes(), size, Limits()).pixels
        float16, int8 = (model.predict(pixels).scores for model in models)
        assert max(float16, key=float16.__getitem__) == max(int8, key=int8.__getitem__)
        assert max(float16.values()) == pytest.approx(max(int8.values()), abs=0.1)


def test_the_shipped_model_scores_a_photo_by_its_labels() -> None:
    model = Model.load(SHIPPED_MODEL)
    labels = model.description.labels

    scores = model.predict(decode(photo(), model.description.input_size, Limits()).pixels).scores

    assert tuple(scores) == labels
    assert len(model.outputs(np.zeros((model.description.input_size,) * 2 + (3,), np.uint8)).logits) == len(labels)
    assert sum(scores.values()) == pytest.approx(1, abs=1e-9)


def test_the_model_of_the_tests_has_ten_labels(model: Model) -> None:
    assert model.description.labels == LABELS


@pytest.mark.parametrize("kind", ["t-shirt", "pants"])
def test_the_model_labels_a_drawn_garment(model: Model, kind: str) -> None:
    scores, needs_review = model.predict(decode(photo(kind), model.description.input_size, Limits()).pixels)

    assert max(scores, key=scores.__getitem__) == kind
    assert scores[kind] > 0.9
    assert not needs_review


@pytest.mark.parametrize("kind", ["t-shirt", "pants"])
def test_a_photo_has_about_the_same_score_at_any_size_and_orientation(model: Model, kind: str) -> None:
    """It has twelve megapixels, upright and rotated by EXIF, or a width of 400 pixels."""
    exif = Image.Exif()
    exif[0x0112] = 6
    large = garment(kind, (4000, 3000))
    stored = {
        "small": encoded(large.resize((400, 300)), quality=85),
        "large": encoded(large, quality=90),
        "rotated": encoded(large.transpose(Image.Transpose.ROTATE_90), quality=90, exif=exif),
    }

    scores = {
        name: model.predict(decode(content, model.description.input_size, Limits()).pixels).scores
        for name, content in stored.items()
    }

    for found in scores.values():
        assert max(found, key=found.__getitem__) == kind
        assert found[kind] == pytest.approx(scores["large"][kind], abs=0.05)


def test_scores_are_probabilities_in_label_order(model: Model) -> None:
    rng = np.random.default_rng(0)
    size = model.description.input_size

    scores = model.predict(rng.integers(0, 256, (size, size, 3), np.uint8)).scores

    assert tuple(scores) == LABELS
    assert sum(scores.values()) == pytest.approx(1, abs=1e-9)
    assert all(0 <= score <= 1 for score in scores.values())


def test_the_temperature_divides_the_logits_and_the_biases_are_added(model: Model, tmp_path: Path) -> None:
    shutil.copytree(TESTS_MODEL, tmp_path, dirs_exist_ok=True)
    description = json.loads((tmp_path / "model.json").read_text())
    scaling = {"temperature": 100.0, "biases": [0.0] * 9 + [1.0]}
    (tmp_path / "model.json").write_text(json.dumps(description | scaling))
    pixels = decode(photo(), model.description.input_size, Limits()).pixels

    scores = Model.load(tmp_path).predict(pixels).scores

    expected = softmax(model.outputs(pixels).logits / 100 + np.eye(10)[9])
    assert list(scores.values()) == pytest.approx(expected.tolist())
    assert scores["t-shirt"] == pytest.approx(0.23, abs=0.02)


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_of_no_clothes_needs_review(model: Model, kind: str) -> None:
    pictures = generate(kind, 100, model.description.input_size)

    assert np.mean([model.predict(picture).needs_review for picture in pictures]) >= 0.95


@pytest.mark.parametrize(
    ("review_threshold", "familiarity_threshold", "answer"),
    [(0.0, -1.0, "passes"), (1.0, -1.0, "review"), (0.0, 1.0, "review")],
)
def test_a_photo_needs_review_if_its_confidence_or_its_familiarity_is_too_low(
    tmp_path: Path, review_threshold: float, familiarity_threshold: float, answer: str
) -> None:
    thresholds = {"review_threshold": review_threshold, "familiarity_threshold": familiarity_threshold}
    shutil.copytree(TESTS_MODEL, tmp_path, dirs_exist_ok=True)
    description = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps(description | thresholds))
    model = Model.load(tmp_path)

    prediction = model.predict(decode(photo(), model.description.input_size, Limits()).pixels)

    assert prediction.needs_review == (answer == "review")


def test_the_readme_shows_the_model_s_answer_to_the_example_photo() -> None:
    found = re.search(r'^\{"dress": [^}]+\}', (ROOT / "README.md").read_text(), re.MULTILINE)
    photo = (ROOT / "local" / "t-shirt.jpg").read_bytes()
    model = load_comparable_model()

    scores = model.predict(decode(photo, model.description.input_size, Limits()).pixels).scores

    assert found
    shown = json.loads(found[0].replace("…", ""))
    assert list(shown) == list(scores)
    if shows_shipped_model():
        assert shown == pytest.approx(scores, abs=1e-3)


def test_softmax_of_large_logits_is_finite() -> None:
    assert softmax(np.array([1000.0, 0.0])).tolist() == [1.0, 0.0]


def test_the_check_fails_if_an_output_is_not_finite(model: Model) -> None:
    class Broken(Model):
        def outputs(self, pixels: object) -> Outputs:
            return Outputs(np.zeros(10), np.nan)

    model.check()
    with pytest.raises(RuntimeError, match="not finite"):
        Broken.load(TESTS_MODEL).check()


def test_the_accuracy_is_that_on_held_out_photos(model: Model) -> None:
    """The test photos may be of few senders."""
    description = replace(model.description, metrics={"held_out": {"accuracy": 0.5}, "test": {"accuracy": 0.9}})

    assert description.accuracy == 0.5


def test_the_main_thread_uses_all_vcpus_and_the_other_threads_one_each(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = []

    def make_interpreter(*, model_path: str, num_threads: int) -> Interpreter:
        numbers.append(num_threads)
        return Interpreter(model_path=model_path, num_threads=num_threads)

    monkeypatch.setattr(model_module, "Interpreter", make_interpreter)
    model = Model(TESTS_MODEL, Description.read(TESTS_MODEL), vcpus=3)
    threads = [threading.Thread(target=model.check) for _ in range(2)]
    for thread in threads:
        thread.start()
        thread.join()
    model.check()

    assert numbers == [3, 1, 1]
