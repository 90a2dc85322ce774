"""Puts a new model in the place of the old one if it is no worse, or says what is worse."""

import argparse
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from classifier.description import DESCRIPTION_FILE, INT8_NETWORK_FILE, NETWORK_FILE
from classifier.errors import PhotoError
from classifier.limits import Limits
from classifier.model import Model
from classifier.photos import decode
from evaluation.commands import run_command
from evaluation.compare import compare
from evaluation.comparison import Candidate, Comparison, ComparisonError
from evaluation.comparison_page import describe_difference
from evaluation.dataset import DatasetError
from evaluation.models import Footprint, ModelError, load_model, measure_footprints
from evaluation.pages import count, percent, points
from evaluation.predictions import PREDICTIONS_FILE, PredictionsError

# What training.publish writes. Everything else in the folder of a model stays.
MODEL_FILES = (NETWORK_FILE, INT8_NETWORK_FILE, DESCRIPTION_FILE, "README.md", PREDICTIONS_FILE)
REPORT_FOLDER = "report"
_STAGED_FOLDER = ".new"
KNOWN_FOLDER = "known"
_MACRO_F1_LOSS = 0.02  # a larger one means that the accuracy hides a loss on rare labels
_CALIBRATION_ERROR = 0.05  # above it, the confidence says something else than the share of right answers
_MEGABYTES = 10  # the cold start reads the network
_MILLISECONDS = 12  # on one thread; decoding a photo takes about as long
_SLOWER = 1.25  # than the old network: on a busy machine, less is within the noise
_UNCERTAINTY = 0.1  # if the accuracy may be lower by more, there are too few photos to say that it is no worse
_VERSION = re.compile(r"\b\w+-\d+-[0-9a-f]{8}\b")
_PAGES = ("README.md", "docs/*.md", "functions/classifier/openapi.json")  # they may name the version of the model


def find_reasons(comparison: Comparison, footprints: Sequence[Footprint]) -> list[str]:
    """Return a sentence for each way in which the new model is worse. `footprints` are of the new and the old model."""
    return [*_worse_answers(comparison), *_too_heavy(*footprints)]


def missing_labels(new: Sequence[str], old: Sequence[str]) -> list[str]:
    """Return a sentence if the old model has labels that the new one does not have."""
    missing = [label for label in old if label not in new]
    sentence = (
        f"The new model does not have the labels {', '.join(missing)}. Clients may rely on them. If you replace the "
        "labels on purpose, FORCE=1 is right."
    )
    return [sentence] if missing else []


def check_known_photos(model: Model, folder: Path) -> list[str]:
    """Return a sentence for each photo `LABEL.jpg` in a folder that the model does not classify as its label.

    The check of a release stops the deployment on such a photo. Raise `OSError`.
    """
    return [problem for path in sorted(folder.glob("*.jpg")) for problem in _check_known_photo(model, path)]


def replace_model(new: Path, old: Path) -> None:
    """Copy the files of the model in `new` over those in `old`. Raise `OSError`.

    Files of the old model that the new one does not have are removed. Everything is copied into a folder in `old`
    first, so that a full disk or a file that cannot be read leaves the old model as it is.
    """
    old.mkdir(parents=True, exist_ok=True)
    staged = old / _STAGED_FOLDER
    shutil.rmtree(staged, ignore_errors=True)  # of a command that was killed
    staged.mkdir()
    try:
        _copy_model(new, staged)
        shutil.rmtree(old / REPORT_FOLDER, ignore_errors=True)
        for name in (*MODEL_FILES, REPORT_FOLDER):
            if (staged / name).exists():
                (staged / name).replace(old / name)
            else:
                (old / name).unlink(missing_ok=True)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def next_steps(old: Path, version: str) -> str:
    """Return what to do after the model of a version was put into the folder `old`."""
    project = old.resolve().parent
    pages = [path for pattern in _PAGES for path in sorted(project.glob(pattern)) if path.is_file()]
    stale = [
        path.relative_to(project).as_posix()
        for path in pages
        if set(_VERSION.findall(path.read_text(encoding="utf-8"))) - {version}
    ]
    steps = [f"Change the version of the model to {version} in {', '.join(stale)}."] if stale else []
    steps += ["Run the tests: make test", "Deploy the new version: docs/deploy.md says how."]
    lines = [f"{number}. {step}" for number, step in enumerate(steps, 1)]
    if (project / ".git").exists():
        lines.append(f"To go back before you commit: git checkout -- {old}")
    return "\n".join(["What to do next:", *lines])


def ship(new: Path, old: Path, data: Path | None, *, force: bool) -> int:
    """Put the model in `new` into `old`, unless there are reasons not to, and return the exit code of the command.

    `force` ignores the reasons. Raise `ModelError` if the new model does not work, `DatasetError` or `OSError`.
    """
    candidate = Candidate(new, load_model(new))
    version = candidate.model.description.version
    if _is_same_model(new, old):
        print(f"{old} already has {version}. There is nothing to do.")
        return 0
    reasons = [*_judge(candidate, old, data), *check_known_photos(candidate.model, old / KNOWN_FOLDER)]
    if reasons and not force:
        print(f"ship: {old} stays as it is, because {version} is worse or was not compared:", file=sys.stderr)
        _print_list(reasons, "FORCE=1 puts it there anyway.")
        return 1
    replace_model(new, old)
    print(f"Put {version} into {old}.")
    if reasons:
        _print_list(reasons, "This was ignored, because FORCE is set.")
    print(next_steps(old, version))
    return 0


def _check_known_photo(model: Model, path: Path) -> Iterator[str]:
    if path.stem not in model.description.labels:
        yield f"The new model does not have the label of {path}, so a release would stop. Remove the photo."
        return
    try:
        pixels = decode(path.read_bytes(), model.description.input_size, Limits()).pixels
    except PhotoError as error:
        yield f"{path}: {error}"
        return
    scores = model.predict(pixels).scores
    answer = max(scores, key=scores.__getitem__)
    if answer != path.stem:
        yield f"The new model classifies {path} as {answer}, so a release would stop."


def _judge(new: Candidate, old: Path, data: Path | None) -> list[str]:
    """Return the reasons not to replace the old model."""
    try:
        current = Candidate(old, load_model(old))
    except ModelError as error:
        return [f"There is nothing to compare with. {error}"]
    footprints = measure_footprints([new.folder, old], [new.model, current.model])
    reasons = missing_labels(new.labels, current.labels)
    try:
        comparison = compare(new, current, data)
    except (ComparisonError, PredictionsError) as error:
        reasons += [str(error), *_too_heavy(*footprints)]
    else:
        for note in comparison.notes:
            print(f"Note: {note}", file=sys.stderr)
        print(describe_difference(comparison))
        reasons += find_reasons(comparison, footprints)
    return reasons


def _worse_answers(comparison: Comparison) -> Iterator[str]:
    difference, (new_f1, old_f1) = comparison.difference, comparison.macro_f1
    new, old = comparison.new.metrics(), comparison.old.metrics()
    if difference.is_worse:
        yield f"The accuracy is significantly lower: {percent(new.accuracy)} instead of {percent(old.accuracy)}."
    elif difference.low < -_UNCERTAINTY:
        photos = count(len(comparison.new.correct), "photo")
        yield (
            f"{photos} cannot show that it is no worse: the 95 % interval of the difference begins at "
            f"{points(difference.low)} points. Compare on more photos."
        )
    if comparison.has_same_labels and new_f1 < old_f1 - _MACRO_F1_LOSS and difference.difference <= 0:
        yield f"The macro-F1 is lower: {new_f1:.3f} instead of {old_f1:.3f}."
    for row in comparison.by_label:
        if row.change == "worse":
            recalls = f"{percent(row.new_recall)} instead of {percent(row.old_recall)}"
            yield f"The recall of {row.label} is significantly lower: {recalls}."
    if new.calibration_error > max(_CALIBRATION_ERROR, old.calibration_error):
        errors = f"{new.calibration_error:.3f} instead of {old.calibration_error:.3f}"
        yield f"The calibration error is higher: {errors}. At most {_CALIBRATION_ERROR} is accepted."


def _too_heavy(new: Footprint, old: Footprint) -> Iterator[str]:
    if new.size > _MEGABYTES * 1e6:
        yield f"The network has {new.size / 1e6:.1f} MB. At most {_MEGABYTES} MB are accepted."
    if new.milliseconds > max(_MILLISECONDS, _SLOWER * old.milliseconds):
        times = f"{new.milliseconds:.1f} ms instead of {old.milliseconds:.1f} ms"
        yield f"A photo takes {times} on one thread. At most {_MILLISECONDS} ms are accepted."


def _is_same_model(new: Path, old: Path) -> bool:
    return all(
        (old / name).is_file() and (old / name).read_bytes() == (new / name).read_bytes()
        for name in (NETWORK_FILE, DESCRIPTION_FILE)
    )


def _copy_model(folder: Path, staged: Path) -> None:
    for name in MODEL_FILES:
        if (folder / name).is_file():
            shutil.copyfile(folder / name, staged / name)
    if (folder / REPORT_FOLDER).is_dir():
        shutil.copytree(folder / REPORT_FOLDER, staged / REPORT_FOLDER)


def _print_list(sentences: Sequence[str], last: str) -> None:
    print("\n".join([*(f"- {sentence}" for sentence in sentences), last]), file=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m evaluation.ship", description=__doc__)
    parser.add_argument("--new", type=Path, required=True, help="folder of the new model")
    parser.add_argument("--old", type=Path, default=Path("model"), help="folder to put it into (default: model)")
    parser.add_argument("--data", type=Path, help="folder of label folders (default: both models' predictions.csv)")
    parser.add_argument("--force", action="store_true", help="put it there even if it is worse")
    found = parser.parse_args(arguments)
    command = partial(ship, found.new, found.old, found.data, force=found.force)
    return run_command("ship", command, DatasetError, ModelError)


if __name__ == "__main__":
    sys.exit(main())
