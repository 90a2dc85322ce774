"""Training on TensorFlow and on JAX gives the same network within rounding. Each runs in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support.paths import ROOT

_TRAIN = """
import sys
import keras
import numpy as np
from tests.training.conftest import RECIPE, SMALL, draw_photos
from training import network, trunks
from training.augment import Examples
from training.fit import Tuner
trunks.TRUNKS["small"] = SMALL
model = network.build("small", 2)
rng = np.random.default_rng(0)
model.set_weights([rng.uniform(-0.2, 0.2, w.shape) if w.ndim > 1 else np.ones(w.shape) for w in model.get_weights()])
images, targets = draw_photos(20, 72)
examples = Examples(images, np.eye(2, dtype=np.float32)[targets])
Tuner(model, RECIPE, RECIPE.phases).tune(examples, 1, __import__("pathlib").Path(sys.argv[1]) / "checkpoint", print)
np.savez(sys.argv[1] + "/weights.npz", *model.get_weights())
assert keras.backend.backend() == sys.argv[2]
"""


@pytest.fixture(scope="module")
def weights(
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, list["np.ndarray[tuple[int, ...], np.dtype[np.float32]]"]]:
    """The weights that each backend ends with."""
    found = {}
    for backend in ("tensorflow", "jax"):
        folder = tmp_path_factory.mktemp(backend)
        train(folder, backend)
        with np.load(folder / "weights.npz") as arrays:
            found[backend] = [arrays[name] for name in arrays]
    return found


def train(folder: Path, backend: str) -> None:
    environment = os.environ | {"KERAS_BACKEND": backend, "PYTHONPATH": f"{ROOT / 'functions'}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-c", _TRAIN, str(folder), backend]
    process = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr


def test_both_backends_train_the_same_network(
    weights: dict[str, list["np.ndarray[tuple[int, ...], np.dtype[np.float32]]"]],
) -> None:
    for one, other in zip(weights["tensorflow"], weights["jax"], strict=True):
        assert other == pytest.approx(one, abs=2e-4)
