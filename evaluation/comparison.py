"""Compares two models on the same photos: those in a folder, or those that both have held-out predictions for."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from classifier.model import Model
from evaluation.dataset import (
    PhotoList,
    find_conflicts,
    find_evaluation_folder,
    hash_file,
    list_labels,
    list_split,
    read_photo_metadata,
)
from evaluation.intervals import PairedDifference, paired_difference
from evaluation.metrics import LabelScore, scores_by_label
from evaluation.pages import count
from evaluation.predictions import (
    PREDICTIONS_FILE,
    Evaluation,
    Predictions,
    evaluate_files,
    read_predictions,
)

_SIGNIFICANCE = 0.05
_NEW_LABELS = "For a model of other labels, make evaluate shows what it can."
_SET_DATA = "Set DATA to a folder of photos to compare on."


class ComparisonError(Exception):
    """There is nothing to compare the models on; the message says why."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model and its folder."""

    folder: Path
    model: Model

    @property
    def labels(self) -> tuple[str, ...]:
        """The model's labels."""
        return self.model.description.labels


@dataclass(frozen=True, slots=True)
class LabelComparison:
    """The scores of both models on the photos of a label; `recall` compares how many of these get the label.

    `change` is "worse" or "better" if the recall differs significantly, else an empty text. The level of significance
    is divided by the number of labels (Bonferroni's correction): of many labels, some differ by chance.
    """

    label: str
    photos: int
    recall: PairedDifference
    new_recall: float
    old_recall: float
    new_f1: float
    old_f1: float
    change: str


@dataclass(frozen=True, slots=True)
class Changes:
    """The indexes of the photos whose answer changed, those with the most confident new answer first."""

    lost: list[int]
    gained: list[int]
    other: list[int]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The answers of two models to the same photos.

    `new` and `old` have the same photos and the same labels: those of the old model, and then those that only the new
    one has. A label that a model does not have has the probability 0. `difference` is that of the accuracies.
    `by_label` has the labels with photos. `data` is the folder of the photos, or None if the answers are from files of
    predictions. `notes` are sentences about the choice of the photos. `has_same_labels` says whether both models know
    the same labels.
    """

    new: Evaluation
    old: Evaluation
    difference: PairedDifference
    by_label: tuple[LabelComparison, ...]
    changes: Changes
    data: Path | None
    notes: tuple[str, ...]
    has_same_labels: bool

    @property
    def macro_f1(self) -> tuple[float, float]:
        """The mean F1 over the labels that have photos, of the new and of the old model."""
        rows = self.by_label
        return sum(row.new_f1 for row in rows) / len(rows), sum(row.old_f1 for row in rows) / len(rows)


def make_comparison(
    new: Evaluation, old: Evaluation, data: Path | None, notes: Sequence[str], *, has_same_labels: bool = True
) -> Comparison:
    """Compare two evaluations of the same photos, with the same labels in their splits."""
    return Comparison(
        new=new,
        old=old,
        difference=paired_difference(new.correct, old.correct, new.senders),
        by_label=_compare_labels(new, old),
        changes=Changes(
            lost=_rank(new, old.correct & ~new.correct),
            gained=_rank(new, new.correct & ~old.correct),
            other=_rank(new, ~new.correct & ~old.correct & (new.predicted != old.predicted)),
        ),
        data=data,
        notes=tuple(notes),
        has_same_labels=has_same_labels,
    )


def compare_on_photos(new: Candidate, old: Candidate, data: Path) -> Comparison:
    """Let both models classify the photos in a folder of label folders.

    Leaves out photos of labels that only one of them has, and those that one of them was trained on. Raise
    `ComparisonError`, `DatasetError`, `PredictionsError` or `OSError`.
    """
    folder = find_evaluation_folder(data)
    found = list_split(folder, tuple(list_labels(folder)))
    shared, notes = _shared_labels(new.labels, old.labels, found.labels)
    files, trained = _choose(found, shared, _trained_photos([new.folder, old.folder]))
    labels = _union(new.labels, old.labels)
    photos = PhotoList(labels, tuple(files), _indexes([path.parent.name for path in files], labels))
    senders = read_photo_metadata(folder, files).known_senders
    of_new, of_old = (_spread(evaluate_files(one.model, photos, senders), one.labels) for one in (new, old))
    notes += [*trained, *find_conflicts(files)]
    return make_comparison(of_new, of_old, folder, notes, has_same_labels=set(new.labels) == set(old.labels))


def compare_on_predictions(new: Candidate, old: Candidate) -> Comparison:
    """Compare the answers in both models' files of predictions, for the photos that are in both.

    Raise `ComparisonError`, `PredictionsError` or `OSError`.
    """
    files = [one.folder / PREDICTIONS_FILE for one in (new, old)]
    missing = [str(file) for file in files if not file.is_file()]
    if missing:
        raise ComparisonError(f"There is no {' and no '.join(missing)}. {_SET_DATA}")
    of_new, of_old = (read_predictions(file) for file in files)
    shared, notes = _shared_labels(of_new.labels, of_old.labels, sorted(set(of_new.true_labels)))
    rows = _match(of_new, of_old, shared)
    if not rows:
        raise ComparisonError(f"No photo has predictions of both models. {_SET_DATA}")
    labels, new_rows = _union(of_new.labels, of_old.labels), [row for row, _ in rows]
    truth = _indexes([of_new.true_labels[row] for row in new_rows], labels)
    photos = PhotoList(labels, tuple(Path(of_new.images[row]) for row in new_rows), truth)
    senders = [of_new.senders[row] for row in new_rows]
    known = np.array(senders) if any(senders) else None
    answers = [_take(of_new, new_rows, photos, known), _take(of_old, [row for _, row in rows], photos, known)]
    notes = [_explain(len(rows)), *notes]
    has_same_labels = set(of_new.labels) == set(of_old.labels)
    return make_comparison(answers[0], answers[1], None, notes, has_same_labels=has_same_labels)


def _compare_labels(new: Evaluation, old: Evaluation) -> tuple[LabelComparison, ...]:
    scores = [scores_by_label(side.split.labels, side.confusion) for side in (new, old)]
    present = [index for index, score in enumerate(scores[0]) if score.photos]
    level = _SIGNIFICANCE / len(present)
    return tuple(_compare_label(new, old, index, (scores[0][index], scores[1][index]), level) for index in present)


def _compare_label(
    new: Evaluation, old: Evaluation, index: int, scores: tuple[LabelScore, LabelScore], level: float
) -> LabelComparison:
    mask, senders = new.split.targets == index, new.senders
    recall = paired_difference(new.correct[mask], old.correct[mask], None if senders is None else senders[mask])
    change = ("worse" if recall.difference < 0 else "better") if recall.p_value < level else ""
    of_new, of_old = scores
    recalls = (of_new.recall or 0.0, of_old.recall or 0.0)
    return LabelComparison(of_new.label, of_new.photos, recall, *recalls, of_new.f1, of_old.f1, change)


def _rank(new: Evaluation, mask: npt.NDArray[np.bool_]) -> list[int]:
    indexes = np.flatnonzero(mask)
    ranked: list[int] = indexes[np.argsort(-new.confidences[indexes], kind="stable")].tolist()
    return ranked


def _shared_labels(new: Sequence[str], old: Sequence[str], folders: Sequence[str]) -> tuple[set[str], list[str]]:
    """Return the labels that both models have, and sentences about the others. Raise `ComparisonError`."""
    shared = set(new) & set(old)
    notes = [
        f"Only the {name} model has the labels {', '.join(labels)}. Photos of these are left out."
        for name, labels in (("new", _without(new, old)), ("old", _without(old, new)))
        if labels
    ]
    unknown = [label for label in folders if label not in {*new, *old}]
    if unknown:
        notes.append(f"Neither model has the labels {', '.join(unknown)}. Photos of these are left out.")
    if not shared & set(folders):
        raise ComparisonError(f"There are no photos of a label that both models have. {_NEW_LABELS}")
    if len(new) != len(old):
        notes.append(f"The new model chooses among {len(new)} labels, the old one among {len(old)}. Fewer are easier.")
    return shared, notes


def _without(labels: Sequence[str], others: Sequence[str]) -> list[str]:
    return [label for label in labels if label not in others]


def _union(new: Sequence[str], old: Sequence[str]) -> tuple[str, ...]:
    return (*old, *_without(new, old))


def _trained_photos(folders: Sequence[Path]) -> set[str]:
    """Return the hashes of the photos that the models were trained on, as far as their files of predictions say it.

    The photos in such a file were held out of the networks that made the predictions, but not of the one that serves.
    """
    files = [folder / PREDICTIONS_FILE for folder in folders]
    return {found for file in files if file.is_file() for found in read_predictions(file).hashes}


def _choose(found: PhotoList, shared: set[str], trained: set[str]) -> tuple[list[Path], list[str]]:
    """Return the photos to compare on, and a sentence if some are or should be left out. Raise `ComparisonError`."""
    files = [path for path in found.files if path.parent.name in shared]
    if not files:
        raise ComparisonError(f"There are no photos of a label that both models have. {_NEW_LABELS}")
    kept = [path for path in files if hash_file(path) not in trained]
    known, total = len(files) - len(kept), len(files)
    if not known:
        return files, []
    if not kept:
        return files, ["The new or the old model was trained on all these photos, so the figures are too good."]
    return kept, [f"The new or the old model was trained on {known:,} of the {total:,} photos. These are left out."]


def _match(new: Predictions, old: Predictions, shared: set[str]) -> list[tuple[int, int]]:
    """Return the rows of both files that are about the same photo and whose label both models have.

    The label is that of the new file. A photo that is in a file several times counts once.
    """
    of_new = {hash_: row for row, hash_ in enumerate(new.hashes) if new.true_labels[row] in shared}
    of_old = {hash_: row for row, hash_ in enumerate(old.hashes)}
    return [(row, of_old[hash_]) for hash_, row in of_new.items() if hash_ in of_old]


def _take(
    predictions: Predictions, rows: list[int], photos: PhotoList, senders: npt.NDArray[np.str_] | None
) -> Evaluation:
    """Return some rows of a file of predictions as an evaluation of these photos."""
    found = Evaluation(photos, predictions.probabilities[rows], ~predictions.needs_review[rows], senders)
    return _spread(found, predictions.labels)


def _explain(photos: int) -> str:
    return (
        f"The answers to {count(photos, 'photo')} are from the files of predictions of both models. They are from "
        "cross-validation: each is from a network that was not trained on the photo."
    )


def _indexes(names: Sequence[str], labels: Sequence[str]) -> npt.NDArray[np.int64]:
    return np.array([labels.index(name) for name in names], np.int64)


def _spread(evaluation: Evaluation, labels: Sequence[str]) -> Evaluation:
    """Return an evaluation whose probabilities of `labels` are in the columns of its split's labels."""
    all_labels = evaluation.split.labels
    probabilities = np.zeros((len(evaluation.probabilities), len(all_labels)))
    probabilities[:, [all_labels.index(label) for label in labels]] = evaluation.probabilities
    return Evaluation(evaluation.split, probabilities, evaluation.passed, evaluation.senders)
