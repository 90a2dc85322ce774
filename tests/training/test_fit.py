"""The linear probe, and fine-tuning: what changes, what stays, and that an interrupted one continues."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
import pytest

from tests.training.conftest import RECIPE, draw_photos
from training import fit, network
from training.augment import Examples
from training.fit import Training, Tuner, fit_probe
from training.recipe import Phase


@pytest.fixture
def examples() -> Examples:
    images, targets = draw_photos(20, 72)
    return Examples(images, np.eye(2, dtype=np.float32)[targets])


@pytest.fixture
def make_network(small_trunk: str) -> Callable[[], keras.Model]:
    """A function that makes the same network each time, without dropout."""

    def make() -> keras.Model:
        keras.utils.set_random_seed(0)
        return network.build(small_trunk, 2)

    return make


def ignore(done: int, loss: float) -> None:
    pass


def test_the_probe_separates_what_is_separable() -> None:
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 3, 300)
    features = (rng.normal(0, 1, (300, 8)) + 6 * np.eye(8)[targets]).astype(np.float32)

    head = fit_probe(features, targets, 3, RECIPE)

    assert ((features @ head.kernel + head.bias).argmax(axis=1) == targets).mean() > 0.98


@pytest.mark.parametrize("present", [(0, 2), (0, 1, 2)], ids=["two", "three"])
def test_a_label_without_photos_is_never_the_answer_of_the_probe(present: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    targets = rng.choice(present, 60)
    features = (rng.normal(0, 1, (60, 5)) + 3 * np.eye(5)[targets]).astype(np.float32)

    head = fit_probe(features, targets, 4, RECIPE)

    answers = (features @ head.kernel + head.bias).argmax(axis=1)
    assert set(answers) <= set(present)
    assert (answers == targets).mean() > 0.9


def test_fine_tuning_trains_convolutions_and_leaves_batch_norms(
    make_network: Callable[[], keras.Model], examples: Examples, tmp_path: Path
) -> None:
    model = make_network()
    before = {layer.name: layer.get_weights() for layer in model.layers}

    Tuner(model, RECIPE, RECIPE.phases).tune(examples, 1, tmp_path, ignore)

    for layer in model.layers:
        changes = [np.abs(new - old).max() for new, old in zip(layer.get_weights(), before[layer.name], strict=True)]
        if isinstance(layer, keras.layers.BatchNormalization):
            assert max(changes) == 0
        elif changes:
            assert min(changes) > 0, layer.name


def test_a_resumed_training_ends_with_the_same_weights(
    make_network: Callable[[], keras.Model], examples: Examples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is interrupted between two checkpoints. The same tuner trains again as a new one would."""
    monkeypatch.setattr(fit, "_CHECKPOINT_STEPS", 2)

    def interrupt(done: int, loss: float) -> None:
        if done == 4:
            raise KeyboardInterrupt

    tuner = Tuner(make_network(), RECIPE, RECIPE.phases)
    tuner.tune(examples, 1, tmp_path / "uninterrupted", ignore)
    uninterrupted = tuner.network.get_weights()
    with pytest.raises(KeyboardInterrupt):
        Tuner(make_network(), RECIPE, RECIPE.phases).tune(examples, 1, tmp_path / "interrupted", interrupt)
    resumed = Tuner(make_network(), RECIPE, RECIPE.phases)
    resumed.tune(examples, 1, tmp_path / "interrupted", ignore)
    tuner.network.set_weights(make_network().get_weights())
    tuner.tune(examples, 1, tmp_path / "again", ignore)

    assert_close(resumed.network.get_weights(), uninterrupted)
    assert_close(tuner.network.get_weights(), uninterrupted)
    assert any(np.abs(a - b).max() > 1e-4 for a, b in zip(uninterrupted, make_network().get_weights(), strict=True))


def assert_close(found: list[npt.NDArray[np.float32]], expected: list[npt.NDArray[np.float32]]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert one == pytest.approx(other, abs=1e-5)


def test_a_student_learns_the_answers_of_its_teachers(
    make_network: Callable[[], keras.Model], examples: Examples, tmp_path: Path
) -> None:
    """The teachers say the opposite of the labels, and do not change."""
    teacher = make_network()
    rng = np.random.default_rng(0)
    teacher.get_layer("head").set_weights([rng.normal(0, 1, (1280, 2)), np.array([-9.0, 9.0])])
    taught = teacher.get_weights()
    recipe = replace(RECIPE, learning_rate=0.01, average_momentum=0.5)
    tuner = Tuner(make_network(), recipe, [Phase(24, 30)], [teacher, teacher])

    tuner.tune(examples, 1, tmp_path, ignore)

    answers = network.predict(tuner.network, examples.images)["logits"].argmax(axis=1)
    assert answers.mean() > 0.9, "the teachers say 1 to everything"
    assert_close(teacher.get_weights(), taught)


def test_equal_logits_have_the_loss_of_predicting_the_label_frequencies(
    make_network: Callable[[], keras.Model],
) -> None:
    training = Training(make_network(), replace(RECIPE, class_balance=1.0, label_smoothing=0.0), [])
    training.set_frequencies(np.eye(2, dtype=np.float32)[[0] * 8998 + [1] * 999])
    logits = {"logits": np.zeros((1, 2), np.float32)}

    losses = [float(training.compute_loss(y=np.eye(2, dtype=np.float32)[[label]], y_pred=logits)) for label in (0, 1)]

    assert losses == pytest.approx([-np.log(0.9), -np.log(0.1)], rel=1e-3)


def test_the_average_of_networks_has_the_mean_of_their_weights(
    make_network: Callable[[], keras.Model], tmp_path: Path
) -> None:
    model = make_network()
    files = []
    for value in (1, 2, 6):
        model.set_weights([np.full(weights.shape, value, np.float32) for weights in model.get_weights()])
        files.append(tmp_path / f"{value}.weights.h5")
        model.save_weights(files[-1])

    network.load_average(model, files)

    assert_close(model.get_weights(), [np.full(weights.shape, 3.0, np.float32) for weights in model.get_weights()])
