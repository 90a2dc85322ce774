"""The pages in `model/` are what the code writes, with the figures of the model that is there."""

import json
from dataclasses import fields

import numpy as np
import pytest

from evaluation.metrics import Metrics
from evaluation.predictions import read_predictions
from evaluation.report_page import report_page
from tests.support.paths import SHIPPED_MODEL
from training.card import card
from training.model_description import ModelDescription

REPORTS = sorted(folder.name for folder in (SHIPPED_MODEL / "report").iterdir())


@pytest.fixture(scope="module")
def description() -> ModelDescription:
    """The description that `model/model.json` was written from."""
    return ModelDescription.from_json((SHIPPED_MODEL / "model.json").read_text(encoding="utf-8"))


def test_the_description_is_what_the_code_writes(description: ModelDescription) -> None:
    """The version too, which the code computes from the network, the labels and the calibration."""
    assert description.to_json() == (SHIPPED_MODEL / "model.json").read_text(encoding="utf-8")


def test_the_card_is_what_the_code_writes(description: ModelDescription) -> None:
    assert card(description) == (SHIPPED_MODEL / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("split", REPORTS)
def test_the_reports_are_what_the_code_writes(description: ModelDescription, split: str) -> None:
    content = json.loads((SHIPPED_MODEL / "report" / split / "figures.json").read_text(encoding="utf-8"))
    metrics = Metrics(**{field.name: content[field.name] for field in fields(Metrics)})

    page = report_page(content["title"], content["labels"], metrics, np.array(content["confusion"]))

    assert page == (SHIPPED_MODEL / "report" / split / "README.md").read_text(encoding="utf-8")
    assert metrics == description.metrics[split]
    assert content["labels"] == list(description.labels)


def test_the_held_out_answers_have_the_accuracy_of_the_card(description: ModelDescription) -> None:
    predictions = read_predictions(SHIPPED_MODEL / "predictions.csv")

    answers = [predictions.labels[index] for index in predictions.probabilities.argmax(axis=1)]

    right = np.mean([answer == label for answer, label in zip(answers, predictions.true_labels, strict=True)])
    # Four decimals can make the two best scores of a photo equal.
    assert right == pytest.approx(description.metrics["held_out"].accuracy, abs=2.5 / len(answers))
    assert predictions.labels == description.labels
