"""Putting a new model in the place of the old one: what is refused, what is copied, and what is said."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from classifier.model import Model
from evaluation.comparison import Comparison, make_comparison
from evaluation.models import Footprint
from evaluation.predictions import write_predictions
from evaluation.ship import check_known_photos, find_reasons, main, missing_labels, next_steps
from tests.support.drawings import photo
from tests.support.evaluations import make_evaluation, make_predictions, write_model, write_photos

LABELS = ("pants", "t-shirt")
LIGHT = Footprint(4_700_000, 5.0)
TARGETS = [0] * 50 + [1] * 50


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with `model/`, which calls everything a t-shirt, and `build/model/`, which calls everything pants."""
    write_model(tmp_path / "model", "t-shirt")
    write_model(tmp_path / "build" / "model", "pants")
    return tmp_path


def ship(project: Path, *options: str) -> int:
    return main(["--new", str(project / "build" / "model"), "--old", str(project / "model"), *options])


def pants(project: Path) -> str:
    """A folder of photos that the new model classifies better."""
    return str(write_photos(project / "data", {"pants": 12, "t-shirt": 1}))


def t_shirts(project: Path) -> str:
    """A folder of photos that the old model classifies better."""
    return str(write_photos(project / "data", {"pants": 1, "t-shirt": 12}))


def version(folder: Path) -> str:
    return str(json.loads((folder / "model.json").read_text())["version"])


def reasons(
    new: Sequence[int], old: Sequence[int], footprints: tuple[Footprint, Footprint] = (LIGHT, LIGHT)
) -> list[str]:
    return find_reasons(compare(new, old), footprints)


def compare(new: Sequence[int], old: Sequence[int]) -> Comparison:
    return make_comparison(make_evaluation(LABELS, TARGETS, new), make_evaluation(LABELS, TARGETS, old), None, [])


def test_a_better_model_is_shipped(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ship(project, "--data", pants(project)) == 0

    assert version(project / "model") == "always-pants"
    printed = capsys.readouterr().out
    assert f"Put always-pants into {project / 'model'}." in printed
    assert "1. Run the tests: make test\n2. Deploy the new version" in printed


def test_a_worse_model_is_refused_with_every_reason(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ship(project, "--data", t_shirts(project)) == 1

    assert version(project / "model") == "always-t-shirt"
    error = capsys.readouterr().err
    assert "- The accuracy is significantly lower: 7.7 % instead of 92.3 %." in error
    assert "- The recall of t-shirt is significantly lower: 0.0 % instead of 100.0 %." in error
    assert "- The calibration error is higher: 0.923 instead of 0.077." in error
    assert error.endswith("FORCE=1 puts it there anyway.\n")


def test_force_ships_a_worse_model(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ship(project, "--data", t_shirts(project), "--force") == 0

    assert version(project / "model") == "always-pants"
    assert "- The accuracy is significantly lower" in capsys.readouterr().err


def test_without_data_the_predictions_are_compared(project: Path) -> None:
    write_predictions(project / "model" / "predictions.csv", make_predictions(LABELS, TARGETS, [1] * len(TARGETS)))
    write_predictions(project / "build" / "model" / "predictions.csv", make_predictions(LABELS, TARGETS, TARGETS))

    assert ship(project) == 0


@pytest.mark.parametrize("content", [None, "image\n"])
def test_nothing_to_compare_on_is_a_reason(
    project: Path, capsys: pytest.CaptureFixture[str], content: str | None
) -> None:
    if content:
        for folder in ("model", "build/model"):
            (project / folder / "predictions.csv").write_text(content)

    assert ship(project) == 1
    assert "predictions.csv" in capsys.readouterr().err
    assert version(project / "model") == "always-t-shirt"
    assert ship(project, "--force") == 0


def test_a_missing_old_model_is_a_reason(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "model" / "model.json").unlink()

    assert ship(project, "--data", pants(project)) == 1
    assert "- There is nothing to compare with." in capsys.readouterr().err
    assert ship(project, "--force") == 0
    assert version(project / "model") == "always-pants"


def test_an_equally_good_model_is_no_worse() -> None:
    assert reasons(TARGETS, TARGETS) == []
    assert reasons([1, *TARGETS[1:]], [*TARGETS[:-1], 0]) == []


def test_a_loss_that_may_be_due_to_chance_is_no_reason() -> None:
    targets = [0] * 100 + [1] * 100
    new, old = (make_evaluation(LABELS, targets, answers) for answers in ([1, 1, *targets[2:]], targets))

    assert find_reasons(make_comparison(new, old, None, []), (LIGHT, LIGHT)) == []


def test_a_lower_macro_f1_is_a_reason_if_the_accuracy_is_not_higher() -> None:
    """Three photos of 100 are lost. By itself, that may be due to chance."""
    worse = [1, 1, 1, *TARGETS[3:]]
    assert reasons(worse, TARGETS) == ["The macro-F1 is lower: 0.970 instead of 1.000."]


def test_the_macro_f1_is_no_reason_if_the_labels_differ() -> None:
    """The wrong answers of a model with more labels need not be labels that count."""
    new, old = (make_evaluation(LABELS, TARGETS, answers) for answers in ([1, 1, 1, *TARGETS[3:]], TARGETS))

    assert find_reasons(make_comparison(new, old, None, [], has_same_labels=False), (LIGHT, LIGHT)) == []


def test_few_photos_cannot_show_that_a_model_is_no_worse(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = str(write_photos(project / "data", {"pants": 1}))

    assert ship(project, "--data", data) == 1
    assert "1 photo cannot show that it is no worse: the 95 % interval of the difference begins at" in (
        capsys.readouterr().err
    )


def test_a_lost_label_is_a_reason_even_if_the_accuracy_is_the_same() -> None:
    """The new model finds all pants and no t-shirts, the old one the other way round."""
    assert reasons([0] * 100, [1] * 100)[-1] == (
        "The recall of t-shirt is significantly lower: 0.0 % instead of 100.0 %."
    )


def test_a_higher_calibration_error_is_a_reason_above_a_limit() -> None:
    """Right answers with a confidence of 90 % have an error of 0.1, and those of 97 % one of 0.03."""
    new, old = make_evaluation(LABELS, TARGETS, TARGETS), make_evaluation(LABELS, TARGETS, TARGETS)
    old.probabilities[:] = [[0.97, 0.03]] * 50 + [[0.03, 0.97]] * 50

    assert find_reasons(make_comparison(new, old, None, []), (LIGHT, LIGHT)) == [
        "The calibration error is higher: 0.100 instead of 0.030. At most 0.05 is accepted."
    ]
    assert find_reasons(make_comparison(old, new, None, []), (LIGHT, LIGHT)) == []


def test_a_large_or_slow_network_is_a_reason() -> None:
    """A slow one only if the old one is faster by more than the noise of a busy machine."""
    large, slow, slower = Footprint(10_100_000, 5.0), Footprint(4_700_000, 13.0), Footprint(4_700_000, 12.0)

    assert reasons(TARGETS, TARGETS, (large, LIGHT)) == ["The network has 10.1 MB. At most 10 MB are accepted."]
    assert reasons(TARGETS, TARGETS, (slow, LIGHT)) == [
        "A photo takes 13.0 ms instead of 5.0 ms on one thread. At most 12 ms are accepted."
    ]
    assert reasons(TARGETS, TARGETS, (slow, slower)) == []


def test_a_missing_label_is_a_reason() -> None:
    (sentence,) = missing_labels(("floor", "pants"), ("pants", "shoes", "t-shirt"))
    assert sentence.startswith("The new model does not have the labels shoes, t-shirt. Clients may rely on them.")
    assert missing_labels(("floor", "pants"), ("pants",)) == []


@pytest.mark.parametrize("force", [[], ["--force"]])
def test_another_network_than_described_is_never_shipped(
    project: Path, capsys: pytest.CaptureFixture[str], force: list[str]
) -> None:
    write_model(project / "build" / "model", "pants", sha256="0" * 64)

    assert ship(project, "--data", pants(project), *force) == 1
    assert "is not the network that" in capsys.readouterr().err
    assert version(project / "model") == "always-t-shirt"


@pytest.mark.parametrize("force", [[], ["--force"]])
def test_a_network_that_does_not_load_is_never_shipped(
    project: Path, capsys: pytest.CaptureFixture[str], force: list[str]
) -> None:
    write_model(project / "build" / "model", "pants", sha256=hashlib.sha256(b"no network").hexdigest())
    (project / "build" / "model" / "clothing.tflite").write_bytes(b"no network")

    assert ship(project, "--data", pants(project), *force) == 1
    assert "model.json or clothing.tflite is damaged" in capsys.readouterr().err


def test_the_same_model_is_left_alone(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--new", str(project / "model"), "--old", str(project / "model")]) == 0
    write_model(project / "build" / "model", "t-shirt")
    assert ship(project) == 0

    assert capsys.readouterr().out.count("already has always-t-shirt. There is nothing to do.") == 2


def test_only_the_files_of_the_model_are_replaced(project: Path) -> None:
    """Files that the new model does not have go, and those that are not the model's stay."""
    old, new = project / "model", project / "build" / "model"
    for name in ("report/test/README.md", "predictions.csv", "clothing-int8.tflite", "known/README.md", "notes.txt"):
        (old / name).parent.mkdir(parents=True, exist_ok=True)
        (old / name).write_text("old")
    for name in ("report/held_out/README.md", "README.md", "known/new.txt"):
        (new / name).parent.mkdir(parents=True, exist_ok=True)
        (new / name).write_text("new")

    ship(project, "--data", pants(project), "--force")

    files = {path.relative_to(old).as_posix(): path for path in old.rglob("*") if path.is_file()}
    assert sorted(files) == [
        "README.md",
        "clothing.tflite",
        "known/README.md",
        "model.json",
        "notes.txt",
        "report/held_out/README.md",
    ]
    assert files["README.md"].read_text() == "new"


def test_what_a_killed_command_left_is_removed(project: Path) -> None:
    (project / "model" / ".new" / "report").mkdir(parents=True)
    (project / "model").chmod(0o755)

    ship(project, "--data", pants(project), "--force")

    assert not (project / "model" / ".new").exists()
    assert (project / "model").stat().st_mode & 0o777 == 0o755


def test_known_photos_that_would_stop_the_deployment_are_a_reason(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known = project / "model" / "known"
    known.mkdir()
    for name in ("pants", "t-shirt", "floor"):
        (known / f"{name}.jpg").write_bytes(photo())
    (known / "hat.jpg").write_bytes(b"")

    model = Model.load(project / "build" / "model")
    assert check_known_photos(model, known) == [
        f"The new model does not have the label of {known / 'floor.jpg'}, so a release would stop. Remove the photo.",
        f"{known / 'hat.jpg'}: The file is empty.",
        f"The new model classifies {known / 't-shirt.jpg'} as pants, so a release would stop.",
    ]
    assert ship(project, "--data", pants(project)) == 1
    assert f"- The new model classifies {known / 't-shirt.jpg'} as pants" in capsys.readouterr().err
    assert version(project / "model") == "always-t-shirt"


def test_the_next_steps_name_the_pages_with_another_version(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / ".git").mkdir()
    old, new = "mobilenet-224-0123abcd", "mobilenet-224-4567cdef"
    (tmp_path / "README.md").write_text(f"`{old}`")
    (tmp_path / "docs" / "api.md").write_text(f'"{old}"')
    (tmp_path / "docs" / "deploy.md").write_text(new)

    lines = next_steps(tmp_path / "model", new).splitlines()

    assert lines[1] == f"1. Change the version of the model to {new} in README.md, docs/api.md."
    assert lines[-1] == f"To go back before you commit: git checkout -- {tmp_path / 'model'}"
    (tmp_path / "docs" / "api.md").unlink()
    (tmp_path / "README.md").unlink()
    assert "Change" not in next_steps(tmp_path / "model", new)


def test_a_missing_folder_of_photos_is_refused_in_a_sentence(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ship(project, "--data", str(project / "missing")) == 1

    assert f"ship: There is no folder {project / 'missing'}." in capsys.readouterr().err
