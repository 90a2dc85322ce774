"""The committed model on real photos, where they are there."""

import json
import os
from pathlib import Path

import pytest

from classifier.model import Model, softmax
from conftest import ROOT
from training.dataset import read_split
from training.evaluate import collect_logits, measure

DATA = Path(os.environ.get("DATA", ROOT.parent / "shared" / "data" / "clothing"))


@pytest.mark.skipif(not (DATA / "validation").is_dir(), reason="needs the clothing photos; DATA names their folder")
def test_the_model_is_as_good_as_its_description_says(model: Model) -> None:
    split = read_split(DATA / "validation", model.description.input_size, model.description.labels)

    measured = measure(softmax(collect_logits(model, split) / model.description.temperature), split.targets)

    described = json.loads((ROOT / "model" / "model.json").read_text())["metrics"]["validation"]
    assert measured["n"] == described["n"]
    assert measured["accuracy"] >= 0.88
    # Another runtime or processor may tip a photo that stands on the edge.
    assert measured["accuracy"] == pytest.approx(described["accuracy"], abs=2.5 / measured["n"])
    assert measured["calibration_error"] < 0.06
