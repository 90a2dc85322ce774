"""The model card: what the model is for, how well it does, and what it was made from."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from training.calibration import WANTED_FAMILIAR, WANTED_PRECISION

CARD_FILE = "README.md"
TITLES = {
    "held_out": "senders held out of training",
    "held_out_kids": "children's clothes among them",
    "test": "test photos",
    "test_kids": "children's clothes among them",
}


def card(
    description: dict[str, Any],
    unfamiliar: dict[str, float],
    novelty: dict[str, dict[str, dict[str, float]]],
    variants: list[dict[str, Any]],
) -> str:
    """The card in Markdown.

    `unfamiliar` tells, for each kind of picture that the model does not know, the share that needs review; `novelty`,
    what `training.novelty` found for it by score. `variants` is what `training.variants` found.
    """
    metrics = description["metrics"]
    rows = "\n".join(
        f"| {TITLES[name]} | {m['n']} | {m['accuracy']:.3f} | {m['accuracy_low']:.3f} – {m['accuracy_high']:.3f} "
        f"| {m['macro_f1']:.3f} | {m['calibration_error']:.3f} | {m['passed']:.0%} | {m['passed_accuracy']:.1%} |"
        for name, m in metrics.items()
    )
    folds, seeds = description["folds"], description["seeds"]
    size = description["input"]["width"]
    reports = "\n".join(
        f"- [{TITLES[name]}](report/{name}/README.md)" for name in metrics if not name.endswith("_kids")
    )
    training = description["training"]
    scores = list(next(iter(novelty.values())))
    return f"""# The model

`{description["version"]}`: MobileNetV2 (Sandler et al. 2018), fine-tuned on photos of clothes. It takes a photo
squeezed into {size} × {size} RGB pixels and gives a score for each of {len(description["labels"])} labels:
{", ".join(description["labels"])}.
`clothing.tflite` is in half precision, {description["bytes"] / 1e6:.1f} MB; `model.json` holds all that serving needs.

Made by `make train`; this page, `model.json` and `report/` are written by it.

## What it is for
Telling which of the labels above a seller's photo of one piece of clothing shows, so that a listing gets its category.
It is not for photos of people, for more than one piece at once, or for telling whether there are clothes on a photo.

## How well it does
| photos | n | accuracy | 95 % interval | macro-F1 | calibration error | pass | right of these |
| --- | --- | --- | --- | --- | --- | --- | --- |
{rows}

The first rows are of the photos that the model was trained on, but each was judged by a network that had not seen any
photo of its sender: {len(folds)} such networks, right for {", ".join(f"{accuracy:.3f}" for accuracy in folds)} of the
photos, {np.mean(folds):.3f} in the mean. Each was calibrated on what the others said of their photos.
Each is the average of networks trained from {len(seeds)} seeds, and so is the one that serves. The networks of one seed
alone are right for {", ".join(f"{accuracy:.3f}" for accuracy in seeds)} in the mean over the same folds.
The test photos are of senders that no network has seen, and nothing was chosen on them.

*Pass* are the photos that need no review: their confidence reaches {description["review_threshold"]}, and they look
enough like what the model knows. That confidence is chosen so that {WANTED_PRECISION:.0%} of the photos that pass are
right, of senders that the model has not seen. What turns the network's outputs into probabilities, a temperature and a
bias for each label, is fitted to the photos of such senders too.
The served networks and those in Keras differ by at most {description["agreement"]:.1g} in probability.

Results by label, confusion matrices and reliability diagrams:
{reports}

## What it does not know
The model names one of its labels for whatever it is shown. Beside the confidence it tells a photo's *familiarity*: the
cosine between what the network sees in the photo and the nearest of the clusters of what it saw in training photos.
Below {description["familiarity_threshold"]}, which {1 - WANTED_FAMILIAR:.0%} of the photos of held-out senders are, a
photo needs review however sure the model is. Photos of clothes that are none of the labels, and pictures that are
drawn, and how many of them need review for either reason:

| pictures | need review |
| --- | --- |
{_table([kind, f"{share:.0%}"] for kind, share in unfamiliar.items())}

Which score tells them best from photos of senders held out of training: the chance that such a photo has the better
score, and in brackets the share of the pictures that miss the score which 95 % of the photos reach. Means over the
networks above.

| pictures | {" | ".join(scores)} |
| --- |{" --- |" * len(scores)}
{_table([kind, *(f"{f['auroc']:.3f} ({f['caught']:.0%})" for f in found.values())] for kind, found in novelty.items())}

## What was weighed
The first of the networks above, before calibration, on the photos of senders that it has not seen. *Mirrored* adds the
logits of the photo's mirror image, for twice the time. Milliseconds are the median of a photo's on one thread.

| runtime | pixels | weights | MB | accuracy | mirrored | ms |
| --- | --- | --- | --- | --- | --- | --- |
{_table(_variant(row) for row in variants)}

## What it was made from
{training["photos"]:,} photos: those of the ten classes of
[clothing-dataset](https://github.com/alexeygrigorev/clothing-dataset) by Alexey Grigorev, CC0.
Initial weights: MobileNetV2 trained on ImageNet (Google, Apache-2.0), from `{training["weights"]}`.
`model.json` has the recipe, a hash of the photos, and the versions of the packages. The licence is that of the project.
"""


def _table(rows: Iterable[Iterable[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _variant(row: dict[str, Any]) -> list[str]:
    measured = ["does not load", "", ""]
    if row["accuracy"] is not None:
        measured = [f"{row['accuracy']:.3f}", f"{row['accuracy_mirrored']:.3f}", f"{row['milliseconds']:.1f}"]
    return [row["runtime"], str(row["size"]), row["precision"], f"{row['bytes'] / 1e6:.1f}", *measured]
