"""The network as it is served: its file, its conversion, and the familiarity of what it knows and does not know."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from tests.support.paths import ROOT
from tests.training.conftest import RECIPE, draw_photos
from training import network
from training.convert import measure_agreement, to_tflite
from training.fit import fit_probe
from training.network import Features
from training.out_of_distribution import KINDS, generate
from training.serving import Familiarity, Served
from training.trunks import TRUNKS, read_weights

_RUN = """
import sys
import numpy as np
from classifier.runtime import Interpreter
interpreter = Interpreter(model_path=sys.argv[1])
interpreter.allocate_tensors()
for image in np.load(sys.argv[2]):
    outputs = interpreter.get_signature_runner()(pixels=image[np.newaxis])
    print(*outputs["logits"][0], *outputs["familiarity"])
"""


@pytest.fixture(scope="module")
def served() -> Served:
    """EfficientNet-Lite0 with its pretrained weights, and a linear probe for drawn garments."""
    model = network.build("efficientnet_lite0", 3)
    trunk = read_weights(TRUNKS["efficientnet_lite0"], "imagenet")
    network.load(model, trunk, network.Head(*model.get_layer("head").get_weights()))
    images, targets = draw_photos(40, 96)
    pooled = network.extract_features(model, images).pooled
    network.load(model, trunk, fit_probe(pooled, targets, 3, RECIPE))
    return Served(
        "efficientnet_lite0", network.fold_weights(model), Familiarity.fit(network.extract_features(model, images))
    )


def run_converted(content: bytes, images: npt.NDArray[np.uint8], folder: Path) -> npt.NDArray[np.float64]:
    """Run a network in a process of its own, because TensorFlow and the runtime cannot be loaded into one."""
    (folder / "network.tflite").write_bytes(content)
    np.save(folder / "images.npy", images)
    environment = os.environ | {"PYTHONPATH": str(ROOT / "functions")}
    command = [sys.executable, "-c", _RUN, str(folder / "network.tflite"), str(folder / "images.npy")]
    process = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    return np.array([[float(value) for value in line.split()] for line in process.stdout.splitlines()])


def test_the_converted_network_has_the_outputs_of_the_keras_network(served: Served, tmp_path: Path) -> None:
    images, _ = draw_photos(8, 96)
    model = served.build()
    expected = network.predict(model, images)

    outputs = run_converted(to_tflite(model, 96), images, tmp_path)

    assert outputs[:, :3] == pytest.approx(expected["logits"], abs=1e-3)
    assert outputs[:, 3] == pytest.approx(expected["familiarity"], abs=1e-3)


def test_the_int8_network_gives_photos_the_same_label(served: Served) -> None:
    images, _ = draw_photos(80, 96)
    model = served.build()
    float16, int8 = to_tflite(model, 96), to_tflite(model, 96, images[::2])

    assert len(int8) < 0.7 * len(float16)
    assert measure_agreement([float16, int8], images[1::2]) >= 0.95


def test_an_int8_network_that_was_calibrated_with_wrong_photos_does_not(served: Served) -> None:
    """Without any activation, the network's values have no range."""
    images, _ = draw_photos(40, 96)
    model = served.build()
    float16, int8 = to_tflite(model, 96), to_tflite(model, 96, np.zeros_like(images))

    assert measure_agreement([float16, int8], images) < 0.95


def test_a_file_has_the_network_that_was_saved(served: Served, tmp_path: Path) -> None:
    served.save(tmp_path / "served.npz")

    loaded = Served.load(tmp_path / "served.npz")

    images, _ = draw_photos(2, 96)
    for name, values in network.predict(served.build(), images).items():
        assert (network.predict(loaded.build(), images)[name] == values).all()


@pytest.mark.parametrize("kind", KINDS)
def test_images_of_nothing_are_less_familiar_than_garments(served: Served, kind: str) -> None:
    images, _ = draw_photos(40, 96)
    model = served.build()

    garments, others = (network.predict(model, pixels)["familiarity"] for pixels in (images, generate(kind, 20, 96)))

    assert np.quantile(others, 0.9) < np.quantile(garments, 0.1)


def test_few_photos_have_a_familiarity_too() -> None:
    """Fewer than the prototypes, and with a texture that never varies."""
    rng = np.random.default_rng(0)

    familiarity = Familiarity.fit(Features(rng.uniform(0, 1, (3, 5)).astype("f4"), np.ones((3, 4), np.float32)))

    assert familiarity.prototypes.shape == (5, 3)
    assert np.linalg.norm(familiarity.prototypes, axis=0) == pytest.approx(np.ones(3), abs=1e-3)
    assert (familiarity.texture_deviations > 0).all()
