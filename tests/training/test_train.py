"""The whole road of an owner: train on one's own labels, evaluate, compare, ship, and run the tests with that model."""

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from classifier.model import Model
from evaluation.dataset import DatasetError
from tests.support.paths import ROOT
from tests.training.conftest import RECIPE, write_data
from training.__main__ import find_notes
from training.data import TrainingPhotos, divide, list_test_photos
from training.recipe import Recipe, RecipeError
from training.run import run_name, written_at_once
from training.train import plan_networks

LABELS = ("floor", "pants", "t-shirt")
_COPIED = shutil.ignore_patterns(
    ".venv*", ".git", "build", "__pycache__", ".*_cache", ".hypothesis", "node_modules", ".dev"
)


def run(module: str, *arguments: str, project: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    """Run a Python module of a project in a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(project / "functions")}
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn photos of three labels, eight for each."""
    folder = tmp_path_factory.mktemp("data") / "shop"
    write_data(folder, 8, LABELS)
    return folder


@pytest.fixture(scope="module")
def trained(data: Path) -> Path:
    """The folder of a model that `make train QUICK=1` made of them."""
    out = data.parent / "model"
    found = run("training", "--quick", "--data", str(data), "--runs", str(data.parent / "runs"), "--out", str(out))
    assert found.returncode == 0, found.stderr
    assert "There are few photos of floor (8), pants (8), t-shirt (8)" in found.stderr
    assert "make compare NEW=" in found.stdout
    return out


def test_a_quick_training_makes_a_model_of_the_labels_of_the_data(trained: Path) -> None:
    model = Model.load(trained)

    assert model.description.labels == LABELS
    assert model.description.name == "efficientnet_lite0"
    assert model.description.accuracy > 0.8
    card = (trained / "README.md").read_text()
    assert "with a new last layer (a linear probe)" in card
    assert "| held out of training | 24 | 12 |" in card


def test_a_fine_tuned_network_is_shown_beside_the_probe(data: Path, tmp_path: Path) -> None:
    """A second start finds all networks of the run."""
    lines = (ROOT / "training" / "recipe.toml").read_text().splitlines()
    short = {
        "trunk": '"efficientnet_lite0"',
        "size": "64",
        "phases": "[{ size = 32, steps = 3 }]",
        "folds": "2",
        "seeds": "1",
        "teachers": '["efficientnet_lite0"]',
        "teacher_phases": "[{ size = 32, steps = 2 }]",
        "batch_size": "8",
    }
    named = [(line.split(" = ")[0], line) for line in lines]
    recipe = [f"{name} = {short[name]}" if name in short else line for name, line in named]
    (tmp_path / "short.toml").write_text("\n".join(recipe))
    arguments = ("--recipe", str(tmp_path / "short.toml"), "--data", str(data), "--runs", str(tmp_path / "runs"))

    first = run("training", *arguments, "--out", str(tmp_path / "out"))
    second = run("training", *arguments, "--out", str(tmp_path / "out"))

    assert first.returncode == 0, first.stderr
    assert "fold-1, student 1: step 3 of 3" in first.stdout
    assert "final, teacher-efficientnet_lite0 1: step 2 of 2" in first.stdout
    assert second.returncode == 0, second.stderr
    assert "step" not in second.stdout
    content = json.loads((tmp_path / "out" / "model.json").read_text())
    assert set(content["held_out_accuracies"]) == {"probe", "tuned"}
    card = (tmp_path / "out" / "README.md").read_text()
    assert "A linear probe of the pretrained network has" in card


def test_the_owners_road_ends_with_passing_tests(data: Path, trained: Path, tmp_path: Path) -> None:
    """In a copy of the project: evaluate, compare, ship, and the tests that look at the model in `model/`.

    Clients know labels that the new model does not have, so it ships only with FORCE.
    """
    project = tmp_path / "project"
    shutil.copytree(ROOT, project, ignore=_COPIED)
    before = (project / "model" / "model.json").read_text()
    photos = str(data / "train")

    evaluated = run("evaluation.evaluate", "--model", str(trained), "--data", photos, project=project)
    compared = run("evaluation.compare", "--new", str(trained), "--data", photos, project=project)
    refused = run("evaluation.ship", "--new", str(trained), "--data", photos, project=project)

    assert evaluated.returncode == 0, evaluated.stderr
    assert "The model was trained on 24 of the 24 photos" in evaluated.stderr
    assert compared.returncode == 0, compared.stderr
    assert (project / "build" / "evaluation" / "index.html").is_file()
    assert (project / "build" / "comparison" / "index.html").is_file()
    assert refused.returncode == 1
    assert "does not have the labels dress, hat" in refused.stderr
    assert (project / "model" / "model.json").read_text() == before

    shutil.rmtree(project / "model" / "known")
    shipped = run("evaluation.ship", "--new", str(trained), "--data", photos, "--force", project=project)
    assert shipped.returncode == 0, shipped.stderr
    assert Model.load(project / "model").description.labels == LABELS
    tests = [str(path.relative_to(ROOT)) for path in sorted(ROOT.glob("tests/*/test_*.py")) if _reads_model(path)]
    assert len(tests) > 2
    passed = run("pytest", "--numprocesses", "2", "--quiet", *tests, project=project)
    assert passed.returncode == 0, passed.stdout


def _reads_model(path: Path) -> bool:
    return path.parent.name in {"unit", "integration"} and "SHIPPED_MODEL" in path.read_text()


def test_the_errors_of_a_training_are_sentences(data: Path, tmp_path: Path) -> None:
    """A wrong folder, one part of a data set, too few senders, and a recipe that is none."""
    (tmp_path / "recipe.toml").write_text("trunk = 1\n")
    write_data(tmp_path / "few", 1, ("pants", "t-shirt"))
    cases = {
        "There is no folder nowhere": ("--data", "nowhere"),
        f"Name the folder that contains it: {data}.": ("--data", str(data / "train")),
        "cannot be divided into 5 folds": ("--quick", "--data", str(tmp_path / "few")),
        "Missing or unknown": ("--data", str(data), "--recipe", str(tmp_path / "recipe.toml")),
    }
    for message, arguments in cases.items():
        found = run("training", *arguments, "--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "out"))

        assert found.returncode == 1, message
        assert message in found.stderr
        assert "Traceback" not in found.stderr
        assert not (tmp_path / "out").exists()


def test_nothing_is_written_over_other_files_or_the_shipped_model(data: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "README.md").write_text("mine")
    before = (ROOT / "model" / "model.json").read_bytes()

    for out, message in ((ROOT / "model", "only make ship changes"), (tmp_path / "mine", "did not write")):
        found = run("training", "--quick", "--data", str(data), "--runs", str(tmp_path / "runs"), "--out", str(out))
        assert found.returncode == 1
        assert message in found.stderr
    assert (tmp_path / "mine" / "README.md").read_text() == "mine"
    assert (ROOT / "model" / "model.json").read_bytes() == before


def test_an_unknown_or_missing_backend_is_told_in_a_sentence(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for backend, message in (("abacus", "there is no such backend"), ("torch", "the package is not installed")):
        monkeypatch.setenv("KERAS_BACKEND", backend)
        found = run("training", "--quick", "--data", str(data), "--runs", str(tmp_path), "--out", str(tmp_path / "out"))
        assert found.returncode == 1
        assert found.stderr.startswith(f"train: KERAS_BACKEND={backend}: {message}")


def test_senders_are_known_only_if_each_data_set_names_them(data: Path, tmp_path: Path) -> None:
    """An export has a table, and a shop's own photos may have none: then their senders are unknown."""
    write_data(tmp_path / "own", 2, LABELS)
    (tmp_path / "own" / "senders.csv").unlink()
    (data / "dataset.toml").write_text('name = "confirmed photos"\n')

    together = TrainingPhotos.read([tmp_path / "own", data])
    (data / "dataset.toml").unlink()

    assert not together.has_senders
    assert len(set(together.groups)) < len(together.names), "the photos of the export's senders are still kept together"
    assert [about.name for about in together.abouts] == ["the folder own", "confirmed photos"]
    assert TrainingPhotos.read([data]).has_senders


def test_ctrl_c_ends_a_training_with_a_sentence(data: Path, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "training", "--quick", "--data", str(data), "--runs", str(tmp_path)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT / "functions")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - else a job in the background ignores it
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("Training on 24 photos")
    assert process.stdout.readline() == "Network 1 of 6: fold-1\n"

    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()

    assert process.returncode == 130
    assert errors.endswith("train: Interrupted. Start it again to continue.\n")
    assert "Traceback" not in errors


def test_a_file_that_was_not_written_to_its_end_is_not_used(tmp_path: Path) -> None:
    def fail(part: Path) -> None:
        part.write_bytes(b"half")
        raise OSError("The disk is full.")

    with pytest.raises(OSError, match="full"), written_at_once(tmp_path / "features.npz") as part:
        fail(part)
    assert not (tmp_path / "features.npz").exists()

    with written_at_once(tmp_path / "features.npz") as part:
        part.write_bytes(b"whole")
    assert (tmp_path / "features.npz").read_bytes() == b"whole"


def test_a_label_of_one_sender_is_told(data: Path, tmp_path: Path) -> None:
    """All photos of floors are of one sender."""
    shutil.copytree(data, tmp_path / "data")
    names = sorted(path.stem for path in (tmp_path / "data" / "train" / "floor").iterdir())
    table = (tmp_path / "data" / "senders.csv").read_text().splitlines()
    kept = [line for line in table if line.split(",")[0] not in names]
    (tmp_path / "data" / "senders.csv").write_text("\n".join([*kept, *(f"{name},anna,False" for name in names)]))

    notes = find_notes(TrainingPhotos.read([tmp_path / "data"]))

    assert any(note.startswith("All photos of floor are of one sender") for note in notes)


def test_no_sender_and_no_copy_is_in_both_parts_of_a_fold(data: Path, tmp_path: Path) -> None:
    """Every photo is held out once, and the network to ship is trained on all photos."""
    shutil.copytree(data, tmp_path / "data")
    copied = tmp_path / "data" / "train" / "pants" / "pants-0.jpg"
    shutil.copyfile(copied, copied.with_name("copy.jpg"))
    training = TrainingPhotos.read([tmp_path / "data"])

    *folds, final = plan_networks(training.groups, 3)

    assert [plan.name for plan in folds] == ["fold-1", "fold-2", "fold-3"]
    for plan in folds:
        for values in (training.senders, np.array(training.hashes)):
            assert not set(values[plan.training]) & set(values[plan.evaluation])
    assert sorted(np.concatenate([plan.evaluation for plan in folds])) == list(range(25))
    assert (final.name, len(final.training)) == ("final", 25)


def test_folds_have_about_the_same_number_of_photos() -> None:
    groups = np.repeat(np.arange(50), np.random.default_rng(0).integers(1, 20, 50))

    sizes = np.bincount(divide(groups, 5))

    assert sizes.sum() == len(groups)
    assert sizes.max() - sizes.min() <= 2


def test_several_data_sets_are_trained_on_together(data: Path, tmp_path: Path) -> None:
    """Senders with the same name in different tables are different people; `unknown` alone is enough for the second."""
    write_data(tmp_path / "more", 2, ("pants",))
    write_data(tmp_path / "unknown", 2, ("x",))
    (tmp_path / "unknown" / "train" / "x").rename(tmp_path / "unknown" / "unknown")
    (tmp_path / "unknown" / "train").rmdir()

    alone = TrainingPhotos.read([data])
    together = TrainingPhotos.read([data, tmp_path / "more", tmp_path / "unknown"])

    assert together.photos.labels == LABELS
    assert len(together.names) == len(alone.names) + 2
    assert len(set(together.senders)) == len(set(alone.senders)) + 1
    assert together.sha256 != alone.sha256


def test_a_run_with_other_settings_gets_another_folder() -> None:
    names = {
        run_name(RECIPE, "0" * 64, "imagenet"),
        run_name(RECIPE, "1" * 64, "imagenet"),
        run_name(replace(RECIPE, learning_rate=1.0), "0" * 64, "imagenet"),
        run_name(RECIPE, "0" * 64, "file.h5"),
    }

    assert len(names) == 4
    assert run_name(RECIPE, "0" * 64, "imagenet") in names


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("folds = 5", "fold = 5"), "Missing or unknown: fold, folds"),
        (("folds = 5", "folds ="), "short.toml: "),
        (("folds = 5", "folds = 1"), "folds must be at least 2"),
        (("size = 192,", "pixels = 192,"), "A phase must be a table"),
        (('trunk = "', 'trunk = "x'), "There is no trunk x"),
        (("folds = 5", 'folds = "x"'), "folds must be a whole number above 0, not 'x'"),
        (("seeds = 1", "seeds = true"), "seeds must be a whole number above 0, not True"),
        (("size = 224", "size = -5"), "size must be a whole number above 0, not -5"),
        (("dropout = 0.2", "dropout = nan"), "dropout must be a number of at least 0, not nan"),
        (("steps = 500", "steps = 0.5"), "phases: steps must be a whole number above 0, not 0.5"),
    ],
)
def test_a_malformed_recipe_is_an_error(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    path = tmp_path / "short.toml"
    path.write_text((ROOT / "training" / "recipe.toml").read_text().replace(*change))

    with pytest.raises(RecipeError, match=message):
        Recipe.load(path)


def test_test_photos_of_unknown_labels_are_an_error(data: Path, tmp_path: Path) -> None:
    shutil.copytree(data, tmp_path / "data")
    (tmp_path / "data" / "test" / "hat").mkdir(parents=True)

    with pytest.raises(DatasetError, match="folders that are not labels: hat"):
        list_test_photos(TrainingPhotos.read([tmp_path / "data"]))
