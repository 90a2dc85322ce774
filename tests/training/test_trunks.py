"""The pretrained trunks: their weights, their layers, and the folding of their batch norms."""

import pickle
from collections import OrderedDict
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.training.conftest import draw_photos
from training import network, trunks
from training.network import Head
from training.torch_file import TorchFileError, read_tensors
from training.trunk_names import TITLES
from training.trunks import TRUNKS, WeightsError, read_weights


def test_every_trunk_has_a_title() -> None:
    assert set(TITLES) == set(TRUNKS)


@pytest.mark.parametrize("name", ["efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"])
def test_the_packages_have_the_weights_of_the_trunks(name: str) -> None:
    """Of each layer, in the order of the layers. No batch norm has a negative variance, so their order is right too."""
    weights = read_weights(TRUNKS[name], "imagenet")
    model = network.build(name, 2)

    network.load(model, weights, Head(np.zeros((1280, 2), np.float32), np.zeros(2, np.float32)))

    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert all((norm.get_weights()[3] >= 0).all() for norm in norms)
    assert len(weights) == 5 * len(norms)


def test_pretrained_features_tell_garments_apart() -> None:
    """Wrong padding, scaling or order would give features that do not."""
    images, targets = draw_photos(24, 96)
    model = network.build("efficientnet_lite0", 2)
    head = Head(*model.get_layer("head").get_weights())
    network.load(model, read_weights(TRUNKS["efficientnet_lite0"], "imagenet"), head)

    pooled = network.extract_features(model, images).pooled

    directions = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
    same = targets[:, np.newaxis] == targets
    assert (directions @ directions.T)[same].mean() > (directions @ directions.T)[~same].mean() + 0.1


def test_mobilenet_is_the_network_of_keras(tmp_path: Path) -> None:
    """With the weights of a file of `keras.applications`; here they are random."""
    file = tmp_path / "random.weights.h5"
    keras.utils.set_random_seed(0)
    expected = keras.applications.MobileNetV2(
        include_top=False, weights=None, input_shape=(None, None, 3), pooling="avg"
    )
    keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(None, None, 3)).save_weights(file)
    expected.load_weights(file)
    images, _ = draw_photos(4, 64)
    model = network.build("mobilenet_v2", 2)
    network.load(model, read_weights(TRUNKS["mobilenet_v2"], str(file)), Head(*model.get_layer("head").get_weights()))

    pooled = network.extract_features(model, images).pooled

    assert pooled == pytest.approx(expected.predict(images / 127.5 - 1, verbose=0), abs=1e-4)


def test_a_folded_network_has_the_outputs_of_the_network(small_trunk: str) -> None:
    model = network.build(small_trunk, 3)
    rng = np.random.default_rng(0)
    model.set_weights([rng.uniform(0.2, 0.6, weights.shape) for weights in model.get_weights()])
    folded = network.build(small_trunk, 3, folded=True)
    images, _ = draw_photos(4, 48)

    folded.set_weights(network.fold_weights(model))

    assert not any(isinstance(layer, keras.layers.BatchNormalization) for layer in folded.layers)
    expected, found = network.predict(model, images), network.predict(folded, images)
    for name, values in expected.items():
        assert found[name] == pytest.approx(values, rel=0.01), name


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(trunks.TRUNKS, "other", TRUNKS["efficientnet_lite0"].__class__((), 0.0, 1.0, "no_such_package"))

    with pytest.raises(WeightsError, match="The package no-such-package is not installed"):
        read_weights(TRUNKS["other"], "imagenet")


def test_missing_weights_of_mobilenet_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"cannot be read.*WEIGHTS="):
        read_weights(TRUNKS["mobilenet_v2"], str(tmp_path / "none.h5"))


class _Malicious:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("executed",))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a pickle",
        pickle.dumps(17) * 5,
        pickle.dumps(_Malicious()) * 5,
        pickle.dumps(0x1950A86A20F9469CFC6C) + pickle.dumps(1001) + pickle.dumps({}) + pickle.dumps(_Malicious()),
        pickle.dumps(0x1950A86A20F9469CFC6C)
        + pickle.dumps(1001)
        + pickle.dumps({})
        + pickle.dumps(OrderedDict())
        + b"x",
    ],
    ids=["empty", "text", "other", "code", "code-later", "cut"],
)
def test_a_file_of_weights_cannot_run_code(tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "weights.pth").write_bytes(content)

    with pytest.raises(TorchFileError, match="is not a file of PyTorch tensors"):
        read_tensors(tmp_path / "weights.pth")

    assert "executed" not in capsys.readouterr().out
