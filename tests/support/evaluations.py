"""Evaluations, models and photos for the tests of `evaluation/`, and a look at the pages that it writes."""

import json
import shutil
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from evaluation.dataset import PhotoList, hash_file
from evaluation.predictions import Evaluation, Predictions
from tests.support.drawings import encoded
from tests.support.paths import TESTS_MODEL


def make_evaluation(
    labels: tuple[str, ...], targets: Sequence[int], answers: Sequence[int], senders: Sequence[str] | None = None
) -> Evaluation:
    """Return an evaluation with these answers, each with a confidence of 90 %. The files do not exist."""
    probabilities = np.full((len(targets), len(labels)), 0.1 / max(1, len(labels) - 1))
    probabilities[np.arange(len(targets)), answers] = 0.9
    files = tuple(Path(labels[target]) / f"{index}.jpg" for index, target in enumerate(targets))
    photos = PhotoList(labels, files, np.array(targets, np.int64))
    return Evaluation(
        photos, probabilities, np.ones(len(targets), bool), None if senders is None else np.array(senders)
    )


def make_predictions(
    labels: tuple[str, ...], targets: Sequence[int], answers: Sequence[int], senders: Sequence[str] | None = None
) -> Predictions:
    """Return the answers of `make_evaluation` as a file has them; the hash of a photo is its number."""
    found = make_evaluation(labels, targets, answers)
    return Predictions(
        labels=labels,
        hashes=tuple(str(index) for index in range(len(targets))),
        images=tuple(path.as_posix() for path in found.split.files),
        senders=tuple(senders or [""] * len(targets)),
        folds=(0,) * len(targets),
        true_labels=tuple(labels[target] for target in targets),
        needs_review=~found.passed,
        probabilities=found.probabilities,
    )


def predictions_of(data: Path, evaluation: Evaluation, folds: Sequence[int]) -> Predictions:
    """Return the predictions of an evaluation of photos below a folder."""
    files = evaluation.split.files
    names = [path.relative_to(data).as_posix() for path in files]
    return Predictions.of(evaluation, [hash_file(path) for path in files], names, np.array(folds))


def write_model(folder: Path, answer: str, **changes: Any) -> Path:
    """Copy the model of the tests into a folder, and let it give one answer to every photo.

    `changes` replace values of its description. Return the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(TESTS_MODEL / "clothing.tflite", folder / "clothing.tflite")
    content = json.loads((TESTS_MODEL / "model.json").read_text()) | {"version": f"always-{answer}"} | changes
    content["biases"] = [1000.0 * (label == answer) for label in content["labels"]]
    (folder / "model.json").write_text(json.dumps(content))
    return folder


def write_photos(folder: Path, counts: dict[str, int]) -> Path:
    """Write different pictures into the folders of labels. Return the folder."""
    number = 0
    for label, count in counts.items():
        (folder / label).mkdir(parents=True)
        for _ in range(count):
            number += 1
            picture = Image.new("RGB", (40 + number, 30), (number % 256, 90, 120))
            (folder / label / f"{number}.jpg").write_bytes(encoded(picture))
    return folder


class Page(HTMLParser):
    """What a page has: its text, its headings, the attributes of its elements by name.

    Parsing fails if an element is closed that is not open.
    """

    _VOID = ("meta", "link", "img", "br")

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.text = ""
        self.levels: list[int] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self._VOID:
            self._open.append(tag)
        if tag in {"h1", "h2", "h3"}:
            self.levels.append(int(tag[1]))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def attributes(self, tag: str, name: str) -> list[str]:
        """The values of an attribute of the elements of a kind."""
        return [attributes[name] or "" for found, attributes in self.elements if found == tag and name in attributes]

    def assert_can_be_sent(self) -> None:
        """Check that it needs nothing else, and that people with a screen reader can read it."""
        tags = [tag for tag, _ in self.elements]
        sources = [*self.attributes("img", "src"), *self.attributes("link", "href")]
        assert "script" not in tags
        assert all(source.startswith("data:") for source in sources)
        assert all(self.attributes("img", "alt"))
        assert len(self.attributes("img", "alt")) == tags.count("img")
        assert tags.count("caption") == tags.count("table")
        assert self.attributes("html", "lang") == ["en"]
        assert self.levels[0] == 1
        assert self.levels.count(1) == 1
        assert all(after <= before + 1 for before, after in zip(self.levels, self.levels[1:], strict=False))
