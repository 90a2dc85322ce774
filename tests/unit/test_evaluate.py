"""Reading folders of photos, the metrics of a model, and the page and the files that show them."""

import json
import os
from dataclasses import astuple, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from classifier.limits import Limits
from classifier.model import Model
from classifier.photos import decode
from evaluation.commands import run_command
from evaluation.dataset import (
    About,
    DatasetError,
    PhotoList,
    find_conflicts,
    find_evaluation_folder,
    find_oddities,
    find_training_folders,
    group_photos,
    list_labels,
    list_photos,
    read_about,
    read_photo_metadata,
    read_split,
)
from evaluation.evaluate import main
from evaluation.evaluation_page import write_evaluation
from evaluation.intervals import accuracy_interval, wilson_interval
from evaluation.metrics import (
    accuracy_by_sender,
    compute_metrics,
    confusion_matrix,
    coverage_points,
    expected_calibration_error,
    f1_by_label,
    log_loss,
    reliability_bins,
    scores_by_label,
)
from evaluation.predictions import (
    Evaluation,
    PredictionsError,
    evaluate_files,
    read_predictions,
    write_predictions,
)
from evaluation.report import write_report
from tests.support import evaluations
from tests.support.drawings import encoded, garment
from tests.support.evaluations import Page, make_evaluation, make_predictions, predictions_of, write_model
from tests.support.paths import ROOT

LABELS = ("pants", "t-shirt")


def write_photos(folder: Path, labels: tuple[str, ...]) -> None:
    """Write a drawn photo for each label."""
    for label in labels:
        (folder / label).mkdir(parents=True)
        (folder / label / "1.jpg").write_bytes(encoded(garment("t-shirt" if label == "t-shirt" else "pants")))


def test_the_interval_is_that_of_wilson() -> None:
    """The example of 81 in 263 is from Newcombe 1998, table I: 0.2553 to 0.3662."""
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)


def test_metrics_of_a_small_example() -> None:
    probabilities = np.array([[0.8, 0.2], [0.6, 0.4], [0.3, 0.7], [0.9, 0.1]])
    targets = np.array([0, 0, 1, 1])

    metrics = compute_metrics(probabilities, targets, probabilities.max(axis=1) > 0.75)

    assert (metrics.n, metrics.accuracy) == (4, 0.75)
    assert metrics.macro_f1 == pytest.approx((2 * 2 / 5 + 2 * 1 / 3) / 2)
    assert metrics.calibration_error == pytest.approx((0.2 + 0.4 + 0.3 + 0.9) / 4)
    assert (metrics.passed, metrics.passed_accuracy) == (0.5, 0.5)
    assert metrics.log_loss == pytest.approx(-np.log([0.8, 0.6, 0.7, 0.1]).mean())
    assert metrics.senders is None
    assert confusion_matrix(targets, probabilities.argmax(axis=1), 2).tolist() == [[2, 0], [1, 1]]


def test_the_interval_is_wider_if_each_sender_s_photos_are_alike() -> None:
    """Of four senders with 25 photos each, the model classifies all photos of three correctly and none of the other."""
    correct = np.repeat([True, True, True, False], 25)

    low, high = accuracy_interval(correct, np.repeat(["a", "b", "c", "d"], 25))

    assert (low, high) == pytest.approx((0.25, 1.0))
    assert accuracy_interval(correct, np.repeat(["a", "b", "c", "d"], 25)) == (low, high), "the same each time"
    assert accuracy_interval(correct) == wilson_interval(75, 100)


@pytest.mark.parametrize("correct", [[True] * 30, [False] * 30, [True, False] * 15])
def test_one_sender_does_not_make_the_interval_narrow(correct: list[bool]) -> None:
    assert accuracy_interval(np.array(correct), np.array(["a"] * 30)) == wilson_interval(sum(correct), 30)


def test_thousands_of_senders_are_measured() -> None:
    senders = np.arange(5000).astype(str)

    low, high = accuracy_interval(np.arange(5000) % 10 > 0, senders)

    assert (low, high) == pytest.approx((0.8914, 0.908), abs=2e-3)


def test_accuracy_by_sender_begins_with_the_sender_of_most_photos() -> None:
    found = accuracy_by_sender(np.array([True, False, True, True]), np.array(["b", "a", "a", "c"]))

    assert [astuple(one) for one in found] == [("a", 2, 0.5), ("b", 1, 1.0), ("c", 1, 1.0)]


def test_coverage_falls_and_accuracy_rises_with_the_threshold() -> None:
    confidences = np.linspace(0.5, 1, 20)

    points = coverage_points(confidences, np.arange(20) >= 5)

    assert astuple(points[0]) == (0.5, 1.0, 0.75)
    assert [point.coverage for point in points] == [1, 0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5]
    assert points[-1].accuracy == 1


def test_equal_confidences_are_covered_together() -> None:
    assert [astuple(point) for point in coverage_points(np.full(4, 0.9), np.array([True, True, True, False]))] == [
        (0.9, 1.0, 0.75)
    ]


def test_a_score_that_would_divide_by_zero_is_none() -> None:
    scores = scores_by_label(("a", "b", "c"), np.array([[1, 1, 0], [0, 0, 0], [0, 0, 0]]))

    assert [astuple(score) for score in scores] == [
        ("a", 1 + 1, 1.0, 0.5, pytest.approx(2 / 3)),
        ("b", 0, 0.0, None, 0.0),
        ("c", 0, None, None, 0.0),
    ]


def test_a_label_that_does_not_occur_is_not_in_the_macro_f1() -> None:
    assert f1_by_label(np.array([[2, 0], [0, 0]])).tolist() == [1, 0]
    assert compute_metrics(np.array([[0.9, 0.1]]), np.array([0]), np.array([True])).macro_f1 == 1


def test_a_label_without_photos_is_not_in_the_macro_f1() -> None:
    """One hat of two is taken for pants: the F1 of hats is 2/3, and no pants are there to be measured."""
    metrics = compute_metrics(np.array([[0.9, 0.1], [0.1, 0.9]]), np.array([0, 0]), np.array([True, True]))
    assert metrics.macro_f1 == pytest.approx(2 / 3)


def test_the_accuracy_without_review_is_1_if_all_photos_need_review() -> None:
    metrics = compute_metrics(np.array([[0.9, 0.1]]), np.array([1]), np.array([False]))

    assert (metrics.passed, metrics.passed_accuracy) == (0, 1)


def test_perfect_calibration_has_no_error() -> None:
    confidences = np.full(100, 0.75)

    assert expected_calibration_error(confidences, np.arange(100) < 75) == pytest.approx(0)
    assert log_loss(np.eye(2), np.array([0, 1])) == 0


def test_photos_are_read_in_order_with_their_labels(tmp_path: Path) -> None:
    write_photos(tmp_path, ("pants", "t-shirt"))
    (tmp_path / "pants" / ".DS_Store").write_bytes(b"")

    split = read_split(tmp_path, 16)

    assert split.labels == ("pants", "t-shirt")
    assert split.files == (tmp_path / "pants" / "1.jpg", tmp_path / "t-shirt" / "1.jpg")
    assert split.targets.tolist() == [0, 1]
    assert split.images.shape == (2, 16, 16, 3)
    pixels = decode((tmp_path / "t-shirt" / "1.jpg").read_bytes(), 16, Limits()).pixels
    assert (split.images[1] == pixels).all(), "training and serving use the same pixels"


def test_several_folders_are_read_as_one(tmp_path: Path) -> None:
    """The second folder may lack a label."""
    write_photos(tmp_path / "train", ("hat", "pants", "t-shirt"))
    write_photos(tmp_path / "extra", ("t-shirt",))

    split = read_split([tmp_path / "train", tmp_path / "extra"], 16)

    assert split.labels == ("hat", "pants", "t-shirt")
    assert split.targets.tolist() == [0, 1, 2, 2]
    assert split.files[3] == tmp_path / "extra" / "t-shirt" / "1.jpg"


def test_an_unusable_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no folder"):
        list_labels(tmp_path / "missing")
    with pytest.raises(DatasetError, match="no label folders"):
        list_labels(tmp_path)
    write_photos(tmp_path, ("hat",))
    with pytest.raises(DatasetError, match="at least two"):
        read_split(tmp_path, 16)
    write_photos(tmp_path, ("pants",))
    with pytest.raises(DatasetError, match=r"not labels: pants\. The labels are: hat, shoes"):
        read_split(tmp_path, 16, ("hat", "shoes"))
    (tmp_path / "hat" / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(DatasetError, match=r"broken\.jpg: The image is damaged"):
        read_split(tmp_path, 16)
    for photo in (tmp_path / "hat").iterdir():
        photo.unlink()
    with pytest.raises(DatasetError, match="contains no photos"):
        read_split(tmp_path, 16)


def test_metadata_is_found_by_file_name(tmp_path: Path) -> None:
    """A photo that the table lacks gets a sender of its own."""
    (tmp_path / "senders.csv").write_text("image,split,label,sender_id,kids\na,train,hat,7,True\nb,train,hat,7,False\n")

    found = read_photo_metadata(
        tmp_path, [Path("hat/a.jpg"), Path("pants/b.png"), Path("hat/c.jpg"), Path("hat/d.jpg")]
    )

    assert found.sender_ids[0] == found.sender_ids[1] == "7"
    assert len(set(found.sender_ids)) == 3
    assert found.kids.tolist() == [True, False, False, False]


def test_without_metadata_every_photo_has_a_sender_of_its_own(tmp_path: Path) -> None:
    found = read_photo_metadata(tmp_path, [Path("hat/a.jpg"), Path("pants/a.jpg")])

    assert len(set(found.sender_ids)) == 2
    assert not found.kids.any()
    assert not found.has_senders
    assert found.known_senders is None


def test_a_table_that_lists_none_of_the_photos_names_no_senders(tmp_path: Path) -> None:
    (tmp_path / "senders.csv").write_text("image,sender_id,kids\nb,,\nother,7,\n")

    assert not read_photo_metadata(tmp_path, [tmp_path / "hat" / "a.jpg", tmp_path / "hat" / "b.jpg"]).has_senders


def test_the_nearest_table_that_lists_a_photo_counts(tmp_path: Path) -> None:
    """There may be one beside the data, in the data, and in a folder of the data, with a byte order mark too."""
    data = tmp_path / "data"
    (data / "extra").mkdir(parents=True)
    (tmp_path / "senders.csv").write_text("image,sender_id,kids\na,far,False\nb,far,False\nc,far,False\n")
    (data / "senders.csv").write_text("image,sender_id,kids\na,near,False\nb,near,False\n")
    (data / "extra" / "senders.csv").write_text("\ufeffimage,sender_id,kids\na,nearest,True\n", encoding="utf-8")

    found = read_photo_metadata(data, [data / "extra" / "hat" / f"{name}.jpg" for name in "abcd"])

    assert found.sender_ids.tolist() == ["nearest", "near", "far", "extra/hat/d.jpg"]
    assert found.has_senders
    assert found.kids.tolist() == [True, False, False, False]


def test_a_table_that_is_not_text_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "senders.csv").write_bytes(b"image,sender_id,kids\n\xff,1,\n")

    with pytest.raises(DatasetError, match=r"senders\.csv is not a CSV file in UTF-8"):
        read_photo_metadata(tmp_path, [tmp_path / "hat" / "a.jpg"])


def test_photos_of_a_sender_and_exact_copies_are_in_one_group() -> None:
    """Photo 2 is of the same sender as 1, and 3 is a copy of 2 by somebody else. So all three belong together."""
    groups = group_photos(["a", "a", "b", "c", "d"], ["one", "two", "two", "four", "five"]).tolist()

    assert groups[0] == groups[1] == groups[2]
    assert len(set(groups)) == 3
    assert group_photos([], []).tolist() == []


def test_a_photo_in_the_folders_of_two_labels_is_named(tmp_path: Path) -> None:
    write_photos(tmp_path, ("hat", "pants", "t-shirt"))  # the first two have the same picture
    files = [tmp_path / label / "1.jpg" for label in ("hat", "pants", "t-shirt")]

    assert find_conflicts(files) == [f"{files[0]} and {files[1]} are the same photo with different labels."]


def test_metadata_without_senders_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "senders.csv").write_text("image,label\n")

    with pytest.raises(DatasetError, match="has no column sender_id"):
        read_photo_metadata(tmp_path, [tmp_path / "hat" / "a.jpg"])


def test_what_is_said_about_a_data_set_is_read(tmp_path: Path) -> None:
    assert read_about(tmp_path) is None
    (tmp_path / "dataset.toml").write_text('name = "Clothes"\nlink = "https://example.com/"\n')
    (tmp_path / "test").mkdir()

    assert read_about(tmp_path) == read_about(tmp_path / "test") == About("Clothes", link="https://example.com/")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("name = ", "not a valid TOML file"),
        ("licence = 'CC0'", "needs a text for name"),
        ("name = 1", "needs a text for name"),
        ("name = 'a'\nlicence = ['CC0']", "needs a text for licence"),
        ("name = 'a'\nlicense = 'CC0'", "unknown keys: license. The known ones are name, licence, link"),
        ("name = 'a'\nlink = 'javascript:alert(1)'", "must begin with https"),
        ("name = '\xff'", "not a valid TOML file"),
    ],
)
def test_a_malformed_dataset_toml_is_an_error(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "dataset.toml").write_text(content, encoding="latin-1")

    with pytest.raises(DatasetError, match=message):
        read_about(tmp_path)


def test_the_folders_to_train_on_are_found(tmp_path: Path) -> None:
    write_photos(tmp_path / "extra", ("hat",))
    with pytest.raises(DatasetError, match=r"has no folder train\. .* such as .*train/t-shirt"):
        find_training_folders(tmp_path)
    write_photos(tmp_path / "train", ("hat",))

    assert find_training_folders(tmp_path) == [tmp_path / "train", tmp_path / "extra"]
    with pytest.raises(DatasetError, match=rf"Name the folder that contains it: {tmp_path}\."):
        find_training_folders(tmp_path / "train")
    with pytest.raises(DatasetError, match="There is no folder"):
        find_training_folders(tmp_path / "missing")


def test_photos_without_a_folder_train_are_explained(tmp_path: Path) -> None:
    write_photos(tmp_path / "mine", ("floor", "pants"))

    with pytest.raises(DatasetError, match=r"such as .*mine/train/floor\."):
        find_training_folders(tmp_path / "mine")


def test_the_folder_to_measure_is_found(tmp_path: Path) -> None:
    """It is `test` in a whole data set. A label may be called test, too."""
    write_photos(tmp_path / "whole" / "train", ("hat",))
    with pytest.raises(DatasetError, match=r"has no folder test\. .* such as .*whole/train"):
        find_evaluation_folder(tmp_path / "whole")
    write_photos(tmp_path / "whole" / "test", ("hat",))
    write_photos(tmp_path / "labels", ("hat", "test"))

    assert find_evaluation_folder(tmp_path / "whole") == tmp_path / "whole" / "test"
    assert find_evaluation_folder(tmp_path / "whole" / "train") == tmp_path / "whole" / "train"
    assert find_evaluation_folder(tmp_path / "labels") == tmp_path / "labels"
    with pytest.raises(DatasetError, match="no label folders"):
        find_evaluation_folder(tmp_path / "labels" / "hat")


def test_hidden_folders_are_no_labels(tmp_path: Path) -> None:
    write_photos(tmp_path, ("hat", "pants"))
    (tmp_path / ".ipynb_checkpoints").mkdir()

    assert list_labels(tmp_path) == ("hat", "pants")


def test_a_label_without_photos_may_be_measured_but_not_trained(tmp_path: Path) -> None:
    write_photos(tmp_path, ("hat", "pants"))
    (tmp_path / "shoes").mkdir()

    assert len(read_split(tmp_path, 16, ("hat", "pants", "shoes")).files) == 2
    with pytest.raises(DatasetError, match="shoes contains no photos"):
        read_split(tmp_path, 16)


def test_all_unreadable_photos_are_named(tmp_path: Path) -> None:
    write_photos(tmp_path, ("hat", "pants"))
    for name in ("a.txt", "b.jpg", "c.jpg"):
        (tmp_path / "pants" / name).write_bytes(b"text")

    with pytest.raises(DatasetError, match=r"(?s)a\.txt: This is not an image.*/b\.jpg: .*/c\.jpg: "):
        read_split(tmp_path, 16)


def test_photos_of_every_shape_become_squares(tmp_path: Path) -> None:
    for label, size in (("a", (10, 300)), ("b", (300, 10))):
        (tmp_path / label).mkdir()
        (tmp_path / label / "1.png").write_bytes(encoded(Image.new("RGB", size), "PNG"))

    assert read_split(tmp_path, 32).images.shape == (2, 32, 32, 3)


def test_reliability_bins_have_count_confidence_and_accuracy() -> None:
    bins = reliability_bins(np.array([0.99, 0.97, 1.0, 0.5]), np.array([True, True, False, True]))

    assert [astuple(found) for found in bins] == [
        (7, 1, 0.5, 1.0),
        (14, 3, pytest.approx(0.98667, abs=1e-5), pytest.approx(2 / 3)),
    ]


def test_predictions_are_kept_in_a_file(tmp_path: Path) -> None:
    """The paths are relative to the data, and probabilities have four decimals."""
    evaluations.write_photos(tmp_path / "data", {"pants": 1, 't-shirt, "é"': 1})
    files = tuple(sorted((tmp_path / "data").glob("*/*")))
    photos = PhotoList(("pants", 't-shirt, "é"'), files, np.array([0, 1]))
    probabilities = np.array([[0.87654321, 0.12345679], [0.3, 0.7]])
    senders = np.array(["7", "listing-1"])
    evaluation = Evaluation(photos, probabilities, np.array([True, False]), senders)

    write_predictions(tmp_path / "predictions.csv", predictions_of(tmp_path / "data", evaluation, [0, 4]))
    found = read_predictions(tmp_path / "predictions.csv")

    assert found.labels == photos.labels == found.true_labels
    assert found.images == ("pants/1.jpg", 't-shirt, "é"/2.jpg')
    assert (found.senders, found.folds) == (("7", "listing-1"), (0, 4))
    assert found.needs_review.tolist() == [False, True]
    assert found.probabilities.tolist() == [[0.8765, 0.1235], [0.3, 0.7]]
    assert len(set(found.hashes)) == 2
    assert str(tmp_path) not in (tmp_path / "predictions.csv").read_text()


def test_predictions_without_a_table_have_no_senders(tmp_path: Path) -> None:
    data = evaluations.write_photos(tmp_path / "data", {"pants": 1})
    evaluation = make_evaluation(("pants",), [0], [0])
    evaluation = replace(evaluation, split=PhotoList(("pants",), (data / "pants" / "1.jpg",), np.array([0])))

    assert predictions_of(data, evaluation, [0]).senders == ("",)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("sha256,", "hash,"), "lacks the columns sha256"),
        (("p:pants,p:t-shirt", "pants,t-shirt"), "lacks the columns p:LABEL"),
        (("0.9000", "many"), "not a file of predictions"),
        ((",0.9000", ""), "not a file of predictions"),
    ],
)
def test_a_malformed_file_of_predictions_is_an_error(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    path = tmp_path / "predictions.csv"
    write_predictions(path, make_predictions(LABELS, [0, 1], [1, 1]))
    path.write_text(path.read_text().replace(*change))

    with pytest.raises(PredictionsError, match=message):
        read_predictions(path)


def test_the_report_has_metrics_and_plots_and_no_photos(tmp_path: Path) -> None:
    """A label is the name of a folder, so it may look like a formula."""
    write_report(tmp_path, "Test", make_evaluation(("$a", "b$^{"), [0, 1, 1], [0, 1, 0], ["x", "x", "y"]))

    page = (tmp_path / "README.md").read_text()
    assert "| accuracy | 0.6667 |" in page
    assert "| senders | 2 |" in page
    assert json.loads((tmp_path / "figures.json").read_text())["confusion"] == [[1, 0], [1, 1]]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "README.md",
        "confusion.png",
        "figures.json",
        "reliability.png",
    ]
    with Image.open(tmp_path / "confusion.png") as plot:
        assert min(plot.size) > 400


def test_the_page_shows_figures_and_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = write_model(tmp_path / "model", "pants")
    data = evaluations.write_photos(tmp_path / "data", {"pants": 3, "t-shirt": 2})

    assert main(["--model", str(model), "--data", str(data), "--out", str(tmp_path / "out")]) == 0

    page = Page(tmp_path / "out" / "index.html")
    page.assert_can_be_sent()
    assert "always-pants on data" in page.text
    assert "60.0 % accuracy on 5 photos" in page.text
    assert "sender" not in page.text.replace("names the senders", "").replace("of one sender are alike", "")
    assert page.attributes("a", "href") == ["../data/t-shirt/4.jpg", "../data/t-shirt/5.jpg"]
    figures = json.loads((tmp_path / "out" / "figures.json").read_text())
    assert (figures["metrics"]["n"], figures["metrics"]["accuracy"], figures["metrics"]["senders"]) == (5, 0.6, None)
    printed = capsys.readouterr().out
    assert "accuracy           60.0 %" in printed
    assert f"The page with all figures: {tmp_path / 'out' / 'index.html'}" in printed


def test_the_page_shows_senders_if_there_is_a_table(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model", "pants")
    evaluations.write_photos(tmp_path / "data" / "test", {"pants": 3, "t-shirt": 2})
    (tmp_path / "data" / "senders.csv").write_text("image,sender_id,kids\n1,ann,\n2,ann,\n3,bob,\n4,bob,\n5,bob,\n")

    main(["--model", str(model), "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out")])

    page = Page(tmp_path / "out" / "index.html")
    page.assert_can_be_sent()
    assert "on 5 photos of 2 senders" in page.text
    assert "ann2100.0 %" in page.text.replace("\n", "")


def test_a_whole_data_set_is_measured_on_its_test_photos(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = write_model(tmp_path / "model", "pants")
    evaluations.write_photos(tmp_path / "data" / "train", {"pants": 1})
    evaluations.write_photos(tmp_path / "data" / "test", {"pants": 2})

    main(["--model", str(model), "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out")])

    printed = capsys.readouterr().out
    assert "is a whole data set: its folder test is measured" in printed
    assert "on test: 2 photos" in printed


def test_one_photo_is_enough(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model", "pants")
    data = evaluations.write_photos(tmp_path / "data", {"pants": 1})

    assert main(["--model", str(model), "--data", str(data), "--out", str(tmp_path / "out")]) == 0

    Page(tmp_path / "out" / "index.html").assert_can_be_sent()


def test_photos_that_the_model_was_trained_on_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = write_model(tmp_path / "model", "pants")
    data = evaluations.write_photos(tmp_path / "data", {"pants": 2})
    trained = PhotoList(("pants",), (data / "pants" / "1.jpg",), np.array([0]))
    evaluation = replace(make_evaluation(("pants",), [0], [0]), split=trained)
    write_predictions(model / "predictions.csv", predictions_of(data, evaluation, [0]))

    main(["--model", str(model), "--data", str(data), "--out", str(tmp_path / "out")])

    sentence = "The model was trained on 1 of the 2 photos, so the figures are too good."
    assert sentence in capsys.readouterr().err
    assert sentence in Page(tmp_path / "out" / "index.html").text


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (None, "There is no folder"),
        ({}, "has no label folders"),
        ({"pants": 0}, "contains no photos"),
        ({"hoodie": 1, "pants": 1}, "has folders that are not labels: hoodie. The labels are: dress, "),
    ],
)
def test_a_folder_that_cannot_be_measured_is_refused_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], counts: dict[str, int] | None, message: str
) -> None:
    if counts is not None:
        (tmp_path / "data").mkdir()
        evaluations.write_photos(tmp_path / "data", counts)

    model = write_model(tmp_path / "model", "pants")
    assert main(["--model", str(model), "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out")]) == 1

    error = capsys.readouterr().err
    assert error.splitlines()[-1].startswith("evaluate: ")
    assert message in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": ["pants", "t-shirt"]}, "does not work"),
        ({"input": {"width": 8}}, "does not work"),
        ({"temperature": float("nan")}, "does not work"),
        ({"temperature": "warm"}, "does not work"),
    ],
)
def test_a_model_that_does_not_work_is_refused_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, object], message: str
) -> None:
    model = write_model(tmp_path / "model", "pants", **changes)
    data = evaluations.write_photos(tmp_path / "data", {"pants": 1})

    assert main(["--model", str(model), "--data", str(data)]) == 1

    assert message in capsys.readouterr().err.splitlines()[-1]


def test_a_folder_without_a_model_is_refused_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--model", str(tmp_path), "--data", str(tmp_path)]) == 1
    (tmp_path / "clothing.tflite").write_bytes(b"")
    (tmp_path / "model.json").write_text("{}")
    assert main(["--model", str(tmp_path), "--data", str(tmp_path)]) == 1

    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith(f"evaluate: {tmp_path} has no model: there is no file {tmp_path / 'model.json'}")
    assert lines[1] == f"evaluate: {tmp_path / 'model.json'} lacks 'name'."


def test_names_are_escaped_on_the_page(tmp_path: Path) -> None:
    """Labels and senders are what people typed. The name of a file need not even be valid Unicode."""
    label, name = '<b>&"日本', os.fsdecode(b"<i>&'\xff#?.jpg")
    data = tmp_path / "data"
    (data / label).mkdir(parents=True)
    (data / label / name).write_bytes(encoded(garment("pants"), "PNG"))
    photos = PhotoList((label, "<script>"), (data / label / name,), np.array([0]))
    evaluation = Evaluation(photos, np.array([[0.2, 0.8]]), np.array([True]), np.array(["<s>"]))

    write_evaluation(tmp_path / "out", "<u>title", evaluation, data, ["<p>note"])

    page = Page(tmp_path / "out" / "index.html")
    page.assert_can_be_sent()
    assert {"b", "i", "s", "u"}.isdisjoint(tag for tag, _ in page.elements)
    assert label in page.text
    assert page.attributes("a", "href") == ["../data/%3Cb%3E%26%22%E6%97%A5%E6%9C%AC/%3Ci%3E%26%27%FF%23%3F.jpg"]


def test_the_page_names_at_most_twenty_senders(tmp_path: Path) -> None:
    senders = [f"sender-{number}" for number in range(3000)]
    evaluation = make_evaluation(LABELS, [0, 1] * 1500, [0, 1] * 1500, senders)

    write_evaluation(tmp_path, "Many", evaluation, tmp_path)

    text = Page(tmp_path / "index.html").text
    assert "The 20 senders with the most photos, of 3000" in text
    assert text.count("sender-") == 20


def test_photos_are_read_in_parts(tmp_path: Path) -> None:
    """The parts have 256 photos, so that any number fits into memory."""
    model = Model.load(write_model(tmp_path / "model", "pants"))
    data = evaluations.write_photos(tmp_path / "data", {"pants": 1})
    photos = PhotoList(model.description.labels, (data / "pants" / "1.jpg",) * 260, np.zeros(260, np.int64))

    evaluation = evaluate_files(model, photos)

    assert evaluation.probabilities.shape == (260, len(photos.labels))
    assert len(evaluation.passed) == 260


def test_a_table_may_have_names_with_extensions(tmp_path: Path) -> None:
    write_photos(tmp_path, ("hat",))
    (photo,) = (tmp_path / "hat").iterdir()
    (tmp_path / "senders.csv").write_text(f"image,sender_id,kids\n{photo.name},anna,False\n")

    assert read_photo_metadata(tmp_path, [photo]).sender_ids.tolist() == ["anna"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("image;sender_id;kids\na;anna;False\n", "Commas must separate its columns."),
        ("image,sender_id,kids\na,anna,False\na,bert,False\n", "names two senders of a."),
    ],
)
def test_a_table_that_is_not_clear_is_an_error(tmp_path: Path, table: str, message: str) -> None:
    (tmp_path / "senders.csv").write_text(table)

    with pytest.raises(DatasetError, match=message):
        read_photo_metadata(tmp_path, [tmp_path / "a.jpg"])


def test_a_folder_in_the_place_of_the_table_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "senders.csv").mkdir()

    with pytest.raises(DatasetError, match="is a folder"):
        read_photo_metadata(tmp_path, [tmp_path / "a.jpg"])


def test_what_may_not_be_meant_is_told(tmp_path: Path) -> None:
    for name in ("hat", "Hat ", "pants/more"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "pants" / "Thumbs.db").write_bytes(b"")

    assert find_oddities([tmp_path]) == [
        "The labels Hat  and hat differ only in case or spaces.",
        f"{tmp_path / 'pants' / 'more'} is a folder in a label folder. Its photos are not used.",
    ]
    with pytest.raises(DatasetError, match="contains no photos"):
        list_photos(tmp_path / "pants")


@pytest.mark.parametrize("link", ["javascript:alert(1)", 'https://a"><script>', "https://a b"])
def test_a_link_that_is_none_is_an_error(tmp_path: Path, link: str) -> None:
    (tmp_path / "dataset.toml").write_text(f"name = 'a'\nlink = '{link}'\n")

    with pytest.raises(DatasetError, match="must begin with https://"):
        read_about(tmp_path)


def test_a_page_is_not_written_beside_other_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.html").write_text("mine")
    (tmp_path / "file").write_text("mine")

    for out in ("site", "file"):
        assert main(["--data", str(tmp_path), "--out", str(tmp_path / out)]) == 1
    assert (tmp_path / "site" / "index.html").read_text() == "mine"
    errors = capsys.readouterr().err
    assert "site has files that this command did not write. Name a new or an empty folder." in errors
    assert "file is a file. Name a folder." in errors


def test_the_shipped_model_is_not_written_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "link").symlink_to(ROOT / "model")

    for out in (ROOT / "model", ROOT / "model" / "report", tmp_path / "link"):
        assert main(["--data", str(tmp_path), "--out", str(out)]) == 1
        assert "has the shipped model, which only make ship changes." in capsys.readouterr().err


def test_ctrl_c_ends_a_command_with_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> int:
        raise KeyboardInterrupt

    assert run_command("evaluate", interrupted) == 130
    assert capsys.readouterr().err == "evaluate: Interrupted. Start it again to continue.\n"
