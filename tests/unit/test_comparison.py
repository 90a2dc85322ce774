"""The comparison of two models on the same photos, its statistics, its page and its command."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from classifier.model import Model
from evaluation.compare import main
from evaluation.comparison import (
    Candidate,
    Comparison,
    ComparisonError,
    compare_on_photos,
    compare_on_predictions,
    make_comparison,
)
from evaluation.comparison_page import terminal_table, write_comparison
from evaluation.dataset import PhotoList
from evaluation.intervals import difference_interval, mcnemar_p_value, paired_difference
from evaluation.models import Footprint
from evaluation.predictions import Predictions, write_predictions
from tests.support.evaluations import (
    Page,
    make_evaluation,
    make_predictions,
    predictions_of,
    write_model,
    write_photos,
)

LABELS = ("pants", "t-shirt")
FOOTPRINTS = (Footprint(2_000_000, 3.25), Footprint(4_700_000, 5.0))


def candidate(folder: Path, labels: tuple[str, ...] = LABELS) -> Candidate:
    """A model of these labels whose network is that of the tests, so that it cannot classify."""
    model = Model.load(write_model(folder, "pants", labels=labels))
    return Candidate(folder, model)


def write_answers(folder: Path, predictions: Predictions) -> Candidate:
    found = candidate(folder, predictions.labels)
    write_predictions(folder / "predictions.csv", predictions)
    return found


def compare(new: list[int], old: list[int], targets: list[int], senders: list[str] | None = None) -> Comparison:
    return make_comparison(
        make_evaluation(LABELS, targets, new, senders), make_evaluation(LABELS, targets, old, senders), None, []
    )


def test_the_p_value_is_that_of_the_exact_test() -> None:
    """It is 2 · P(X ≤ 2) for ten tosses of a fair coin."""
    assert mcnemar_p_value(2, 8) == mcnemar_p_value(8, 2) == pytest.approx(2 * (1 + 10 + 45) / 1024)
    assert mcnemar_p_value(0, 0) == mcnemar_p_value(3, 3) == 1
    assert mcnemar_p_value(5_000, 5_400) == pytest.approx(9.1e-5, rel=0.01), "large numbers too"


def test_the_interval_of_the_difference_is_that_of_agresti_and_min() -> None:
    """Of 100 photos, 13 are gained and 3 lost: (13.5 - 3.5) / 102, with a standard error of 0.0392."""
    low, high = difference_interval(13, 3, 100)

    centre, error = 10 / 102, np.sqrt(17 - 100 / 102) / 102
    assert (low, high) == pytest.approx((centre - 1.959964 * error, centre + 1.959964 * error))
    assert difference_interval(1, 0, 1)[1] == 1


def test_the_difference_is_less_certain_if_one_sender_makes_it() -> None:
    """The new model is right about 20 more photos, all of them of one of ten senders."""
    old = np.repeat([True, False], [180, 20])
    senders = np.repeat(list("abcdefghij"), 20)

    by_photo, by_sender = (
        paired_difference(~np.zeros(200, bool), old),
        paired_difference(~np.zeros(200, bool), old, senders),
    )

    assert by_photo.difference == by_sender.difference == pytest.approx(0.1)
    assert (by_photo.gained, by_photo.lost) == (20, 0)
    assert by_photo.low > 0.05
    assert by_sender.low == 0
    assert by_sender.high > by_photo.high


def test_one_sender_does_not_make_the_difference_certain() -> None:
    new, old = np.array([False, True, True]), np.array([True, True, True])

    found = paired_difference(new, old, np.array(["a", "a", "a"]))

    assert found.low < found.difference < 0 < found.high
    assert not found.is_worse
    assert not found.is_better


def test_worse_and_better_are_opposites() -> None:
    right, wrong = np.ones(20, bool), np.arange(20) >= 8

    assert paired_difference(wrong, right).is_worse
    assert paired_difference(right, wrong).is_better
    assert not paired_difference(right, right).is_worse


def test_changed_answers_are_listed_by_kind_with_the_most_confident_first() -> None:
    labels, targets = ("a", "b", "c"), [0, 0, 0, 0, 0]
    new = make_evaluation(labels, targets, [1, 0, 2, 0, 1])
    new.probabilities[4] = [0.0, 1.0, 0.0]
    old = make_evaluation(labels, targets, [0, 1, 1, 0, 0])

    changes = make_comparison(new, old, None, []).changes

    assert changes.lost == [4, 0]
    assert changes.gained == [1]
    assert changes.other == [2]


def test_labels_are_compared_by_recall() -> None:
    comparison = compare([0] * 12 + [0] * 12, [0] * 12 + [1] * 12, [0] * 12 + [1] * 12)

    pants, t_shirt = comparison.by_label
    assert (pants.label, pants.photos, pants.new_recall, pants.old_recall, pants.change) == ("pants", 12, 1, 1, "")
    assert (t_shirt.new_recall, t_shirt.old_recall, t_shirt.change) == (0, 1, "worse")
    assert comparison.macro_f1 == pytest.approx((1 / 3, 1))


def test_a_recall_of_few_photos_does_not_count_as_worse() -> None:
    assert [row.change for row in compare([0, 0, 0], [1, 1, 0], [1, 1, 0]).by_label] == ["", ""]


def test_predictions_of_the_same_photos_are_compared(tmp_path: Path) -> None:
    """The new model has a photo more."""
    new = write_answers(tmp_path / "new", make_predictions(LABELS, [0, 1, 1], [0, 1, 1], ["a", "b", "c"]))
    old = write_answers(tmp_path / "old", make_predictions(LABELS, [0, 1], [1, 1]))

    comparison = compare_on_predictions(new, old)

    assert comparison.difference.difference == 0.5
    assert comparison.new.metrics().senders == 2
    assert comparison.data is None
    assert "2 photos are from the files of predictions" in comparison.notes[0]


def test_a_label_of_one_model_is_told_and_its_photos_are_left_out(tmp_path: Path) -> None:
    """An answer that only one model can give counts as wrong."""
    new_labels, old_labels = ("floor", "pants", "t-shirt"), ("hat", "pants", "t-shirt")
    new = write_answers(tmp_path / "new", make_predictions(new_labels, [0, 1, 1, 2], [0, 0, 1, 2]))
    old = write_answers(tmp_path / "old", make_predictions(old_labels, [0, 1, 1, 2], [0, 0, 1, 1]))

    comparison = compare_on_predictions(new, old)

    assert comparison.new.split.labels == ("hat", "pants", "t-shirt", "floor")
    assert comparison.new.correct.tolist() == [False, True, True]
    assert comparison.old.correct.tolist() == [False, True, False]
    assert comparison.notes[1:] == (
        "Only the new model has the labels floor. Photos of these are left out.",
        "Only the old model has the labels hat. Photos of these are left out.",
    )


def test_there_must_be_something_to_compare_on(tmp_path: Path) -> None:
    new, old = candidate(tmp_path / "new"), candidate(tmp_path / "old")
    with pytest.raises(ComparisonError, match=r"no .*new/predictions\.csv and no .*old/predictions\.csv. Set DATA"):
        compare_on_predictions(new, old)

    write_answers(tmp_path / "new", make_predictions(LABELS, [], []))
    write_answers(tmp_path / "old", make_predictions(LABELS, [0, 1], [1, 1]))
    with pytest.raises(ComparisonError, match="no photos of a label that both models have"):
        compare_on_predictions(new, old)

    write_answers(tmp_path / "new", replace(make_predictions(LABELS, [0], [0]), hashes=("other",)))
    with pytest.raises(ComparisonError, match="No photo has predictions of both models"):
        compare_on_predictions(new, old)


def test_both_models_classify_the_photos_of_a_folder(tmp_path: Path) -> None:
    new, old = (Candidate(tmp_path / name, Model.load(write_model(tmp_path / name, name))) for name in LABELS)
    data = write_photos(tmp_path / "data" / "test", {"pants": 3, "t-shirt": 1})
    (data.parent / "senders.csv").write_text("image,sender_id,kids\n1,a,\n2,a,\n3,b,\n4,b,\n")

    comparison = compare_on_photos(new, old, data.parent)

    assert comparison.difference.difference == 0.5
    assert (comparison.changes.gained, comparison.changes.lost) == ([0, 1, 2], [3])
    assert comparison.new.metrics().senders == 2
    assert comparison.data == data
    assert comparison.notes == ()


def test_labels_that_no_model_has_are_told(tmp_path: Path) -> None:
    new, old = (Candidate(tmp_path / name, Model.load(write_model(tmp_path / name, name))) for name in LABELS)
    data = write_photos(tmp_path / "data", {"floor": 2, "pants": 1})

    comparison = compare_on_photos(new, old, data)

    assert comparison.new.metrics().n == 1
    assert comparison.notes == ("Neither model has the labels floor. Photos of these are left out.",)
    with pytest.raises(ComparisonError, match="no photos of a label that both models have"):
        compare_on_photos(new, old, write_photos(tmp_path / "floors", {"floor": 2}))
    with pytest.raises(ComparisonError, match="no photos of a label that both models have"):
        compare_on_photos(new, old, write_photos(tmp_path / "none", {"pants": 0, "floor": 1}))


def test_photos_that_a_model_was_trained_on_are_left_out(tmp_path: Path) -> None:
    """Unless nothing would be left."""
    new, old = (Candidate(tmp_path / name, Model.load(write_model(tmp_path / name, name))) for name in LABELS)
    data = write_photos(tmp_path / "data", {"pants": 3})
    files = tuple(sorted(data.glob("*/*")))

    for known, note in (
        (2, "The new or the old model was trained on 2 of the 3 photos. These are left out."),
        (3, "The new or the old model was trained on all these photos, so the figures are too good."),
    ):
        photos = PhotoList(LABELS, files[:known], np.zeros(known, np.int64))
        trained = replace(make_evaluation(LABELS, [0] * known, [0] * known), split=photos)
        write_predictions(old.folder / "predictions.csv", predictions_of(data, trained, [0] * known))

        comparison = compare_on_photos(new, old, data)

        assert comparison.notes == (note,)
        assert comparison.new.metrics().n == {2: 1, 3: 3}[known]


def test_the_command_writes_a_page_with_the_changed_photos(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in LABELS:
        write_model(tmp_path / name, name)
    data = write_photos(tmp_path / "data", {"pants": 12, "t-shirt": 1})
    folders = ["--new", str(tmp_path / "pants"), "--old", str(tmp_path / "t-shirt")]

    assert main([*folders, "--data", str(data), "--out", str(tmp_path / "out")]) == 0

    page = Page(tmp_path / "out" / "index.html")
    page.assert_can_be_sent()
    assert "always-pants compared with always-t-shirt" in page.text
    assert "+84.6 percentage points of accuracy on 13 photos" in page.text
    assert "The new model is better." in page.text
    assert "Right before, wrong now: 1 photo" in page.text
    assert "Wrong before, right now: 12 photos" in page.text
    assert len(page.attributes("img", "src")) == 13
    assert "../data/t-shirt/13.jpg" in page.attributes("a", "href")
    figures = json.loads((tmp_path / "out" / "figures.json").read_text())
    assert figures["changes"] == {"lost": 1, "gained": 12, "other": 0}
    assert figures["new"]["version"] == "always-pants"
    assert figures["new"]["milliseconds"] > 0
    printed = capsys.readouterr().out
    assert "accuracy                    7.7 %           92.3 %" in printed
    assert f"The page with all figures: {tmp_path / 'out' / 'index.html'}" in printed


def test_the_page_of_predictions_has_names_instead_of_pictures(tmp_path: Path) -> None:
    comparison = compare([0, 0, 0], [1, 1, 0], [1, 1, 0], ["a", "a", "b"])

    write_comparison(tmp_path, ("new", "old"), comparison, FOOTPRINTS)

    page = Page(tmp_path / "index.html")
    page.assert_can_be_sent()
    assert page.attributes("img", "src") == []
    assert "t-shirt/0.jpg" in page.text
    assert "Set DATA to a folder of photos" in page.text


def test_at_most_thirty_photos_of_a_kind_are_shown_and_names_are_escaped(tmp_path: Path) -> None:
    labels = ("<b>", "&amp;")
    sides = [make_evaluation(labels, [0] * 40, [answer] * 40) for answer in (1, 0)]
    comparison = make_comparison(sides[0], sides[1], None, ["<i>"])

    write_comparison(tmp_path, ("<u>", "<s>"), comparison, FOOTPRINTS)

    page = Page(tmp_path / "index.html")
    assert {"b", "i", "u", "s"}.isdisjoint(tag for tag, _ in page.elements)
    assert len([tag for tag, _ in page.elements if tag == "li"]) == 30
    assert "These are the 30 with the highest confidence" in page.text


def test_the_table_for_the_terminal_marks_worse_labels() -> None:
    targets = [0] * 12 + [1] * 12
    table = terminal_table(("new", "old"), compare([0] * 24, targets, targets), FOOTPRINTS)

    lines = [" ".join(line.split()) for line in table.splitlines()]
    assert "recall of t-shirt (12) 100.0 % 0.0 % worse" in lines
    assert "size in MB 4.7 2.0" in lines
    assert "milliseconds a photo 5.0 3.2" in lines
    assert "differs by -50.0 percentage points" in table
    assert table.endswith("Right before and wrong now: 12. Wrong before and right now: 0. Another wrong answer: 0.")


@pytest.mark.parametrize("missing", ["new", "old"])
def test_a_missing_model_is_refused_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], missing: str
) -> None:
    for name in {"new", "old"} - {missing}:
        write_model(tmp_path / name, "pants")

    assert main(["--new", str(tmp_path / "new"), "--old", str(tmp_path / "old")]) == 1

    assert f"compare: {tmp_path / missing} has no model" in capsys.readouterr().err
