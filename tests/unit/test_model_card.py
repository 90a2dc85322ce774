"""The pages in `model/` are what the code writes, with the committed figures."""

import json
import re
from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from tests.support.paths import ROOT
from training.calibration import Calibration
from training.card import OodResult, card
from evaluation.metrics import Metrics, OodMetrics
from training.model_description import ModelDescription, NetworkFile
from training.recipe import Recipe
from evaluation.report_page import report_page
from training.run import TrainingRecord
from training.variants import VariantResult

MODEL = ROOT / "model"
REPORTS = sorted(folder.name for folder in (MODEL / "report").iterdir())


@pytest.fixture(scope="module")
def description() -> ModelDescription:
    """The description that `model/model.json` was written from."""
    content = json.loads((MODEL / "model.json").read_text())
    calibration = select(content, Calibration)
    training = content["training"] | {"recipe": Recipe.from_dict(content["training"]["recipe"])}
    return ModelDescription(
        training=TrainingRecord(labels=tuple(content["labels"]), **training),
        network=NetworkFile(content["sha256"], content["bytes"]),
        calibration=Calibration(**calibration | {"biases": tuple(calibration["biases"])}),
        conversion_error=content["conversion_error"],
        fold_accuracies=tuple(content["fold_accuracies"]),
        seed_accuracies=tuple(content["seed_accuracies"]),
        metrics={split: Metrics(**metrics) for split, metrics in content["metrics"].items()},
    )


def test_the_committed_description_is_what_the_code_writes(description: ModelDescription) -> None:
    """The version too, which the code computes from the network, the labels and the calibration."""
    assert description.to_json() == (MODEL / "model.json").read_text()


def test_the_committed_card_is_what_the_code_writes(description: ModelDescription) -> None:
    """The results in its last three tables come from the card itself, because `model.json` does not have them."""
    committed = (MODEL / "README.md").read_text()
    _, review, scores, variants = tables(committed)

    assert card(description, ood_results(review, scores), [variant(row) for row in variants[1:]]) == committed


@pytest.mark.parametrize("split", REPORTS)
def test_the_committed_reports_are_what_the_code_writes(split: str) -> None:
    folder = MODEL / "report" / split
    content = json.loads((folder / "figures.json").read_text())
    metrics = Metrics(**select(content, Metrics))

    page = report_page(content["title"], content["labels"], metrics, np.array(content["confusion"]))

    assert page == (folder / "README.md").read_text()


@pytest.mark.parametrize("split", REPORTS)
def test_the_reports_have_the_metrics_of_the_description(description: ModelDescription, split: str) -> None:
    content = json.loads((MODEL / "report" / split / "figures.json").read_text())

    assert Metrics(**select(content, Metrics)) == description.metrics[split]
    assert content["labels"] == list(description.labels)


def select(content: dict[str, Any], kind: type[Any]) -> dict[str, Any]:
    """Return the values for the fields of a dataclass."""
    return {field.name: content[field.name] for field in fields(kind)}


def tables(page: str) -> list[list[list[str]]]:
    """Return the cells of each table of a Markdown page; the first row has the names of the columns."""
    found = re.findall(r"(?:^\|.*\n)+", page, re.MULTILINE)
    rows = [[line.strip("|").split("|") for line in table.splitlines()] for table in found]
    return [[[cell.strip() for cell in row] for row in (table[0], *table[2:])] for table in rows]


def ood_results(review: list[list[str]], scores: list[list[str]]) -> dict[str, OodResult]:
    names = scores[0][1:]
    return {
        kind: OodResult(percent(share), {name: ood_metrics(cell) for name, cell in zip(names, cells, strict=True)})
        for (kind, share), (_, *cells) in zip(review[1:], scores[1:], strict=True)
    }


def ood_metrics(cell: str) -> OodMetrics:
    auroc, detection_rate = cell.removesuffix(")").split(" (")
    return OodMetrics(float(auroc), percent(detection_rate))


def percent(cell: str) -> float:
    return float(cell.removesuffix("%")) / 100


def variant(row: list[str]) -> VariantResult:
    runtime, size, precision, megabytes, *measured = row
    values = [None] * 3 if "does not load" in row else [float(cell) for cell in measured]
    return VariantResult(int(size), precision, round(float(megabytes) * 1e6), runtime, *values)
