"""The model card, in Markdown: what the model is for, how well it does, and what it was trained on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from training.calibration import TARGET_ACCURACY, TARGET_FAMILIAR_SHARE
from evaluation.metrics import Metrics, OodMetrics
from training.model_description import ModelDescription
from evaluation.report_page import table_rows
from training.variants import VariantResult

CARD_FILE = "README.md"
REPORT_FOLDER = "report"
SPLIT_TITLES = {
    "held_out": "senders held out of training",
    "held_out_kids": "children's clothes among them",
    "test": "test photos",
    "test_kids": "children's clothes among them",
}


@dataclass(frozen=True, slots=True)
class OodResult:
    """For one kind of out-of-distribution images: the share that needs review, and the metrics of each score."""

    needs_review: float
    scores: dict[str, OodMetrics]


def card(description: ModelDescription, ood: Mapping[str, OodResult], variants: Sequence[VariantResult]) -> str:
    """Return the card; `ood` is by kind of image."""
    sections = [
        _summary(description),
        _results(description),
        _ood(description, ood),
        _variants(variants),
        _training_data(description),
    ]
    return "\n\n".join(sections) + "\n"


def _summary(description: ModelDescription) -> str:
    size = f"{description.input.width} × {description.input.height}"
    return f"""# Model card

`{description.version}` is a MobileNetV2 (Sandler et al. 2018), fine-tuned on photos of clothes. It takes a photo,
resized to {size} RGB pixels without keeping the aspect ratio, and returns a score for each of {len(description.labels)}
labels: {", ".join(description.labels)}.
`clothing.tflite` is the network, with float16 weights ({description.network.size / 1e6:.1f} MB). `model.json` has
everything else that serving needs.

`make train` writes this page, `model.json` and `report/`.

## Intended use
The model predicts which of these labels a seller's photo of one piece of clothing shows, so that the listing gets a
category. It is not meant for photos of people or of several pieces, or to tell whether a photo shows clothes."""


def _results(description: ModelDescription) -> str:
    folds, seeds, calibration = description.fold_accuracies, description.seed_accuracies, description.calibration
    return f"""## Results
Photos *need no review* if their confidence is at least {calibration.review_threshold} and their familiarity at least
{calibration.familiarity_threshold} (see the next section). *Coverage* is the share of the photos that need no review.
The last column is the accuracy on these covered photos.

| photos | n | accuracy | 95 % interval | macro-F1 | calibration error | coverage | accuracy on covered photos |
| --- | --- | --- | --- | --- | --- | --- | --- |
{table_rows(_metrics_row(split, metrics) for split, metrics in description.metrics.items())}

The results for senders held out of training are from cross-validation on the training photos, in {len(folds)} folds of
senders. The photos of each fold are classified by a network that was not trained on this fold, with a calibration that
was fitted to the other folds. The accuracies on the folds are {_list(folds)}; their mean is {np.mean(folds):.3f}.
Each network, including the one that is deployed, has the average of the weights from {len(seeds)} seeds. Without
averaging, the networks of each seed have mean accuracies of {_list(seeds)} on the same folds.
No network was trained on photos of the senders of the test photos, and the test photos were not used for any decision.

The confidence threshold is chosen so that the accuracy on covered photos of held-out senders is {TARGET_ACCURACY:.0%}.
The temperature and biases that turn logits into probabilities are also fitted to photos of held-out senders.
The probabilities of the converted networks differ from those in Keras by at most {description.conversion_error:.1g}.

Results by label, confusion matrices and reliability diagrams:
{_report_links(description)}"""


def _metrics_row(split: str, metrics: Metrics) -> tuple[str, ...]:
    return (
        SPLIT_TITLES[split],
        str(metrics.n),
        f"{metrics.accuracy:.3f}",
        f"{metrics.accuracy_low:.3f} – {metrics.accuracy_high:.3f}",
        f"{metrics.macro_f1:.3f}",
        f"{metrics.calibration_error:.3f}",
        f"{metrics.passed:.0%}",
        f"{metrics.passed_accuracy:.1%}",
    )


def _report_links(description: ModelDescription) -> str:
    reported = [split for split in description.metrics if not split.endswith("_kids")]
    return "\n".join(f"- [{SPLIT_TITLES[split]}]({REPORT_FOLDER}/{split}/README.md)" for split in reported)


def _list(accuracies: Sequence[float]) -> str:
    return ", ".join(f"{accuracy:.3f}" for accuracy in accuracies)


def _ood(description: ModelDescription, ood: Mapping[str, OodResult]) -> str:
    threshold, scores = description.calibration.familiarity_threshold, list(next(iter(ood.values())).scores)
    return f"""## Out-of-distribution images
The model returns one of its labels for every image, even if the image shows none of them. Therefore it also returns a
*familiarity*: the cosine between the photo's features and the nearest cluster centre of the training photos' features.
A photo with a familiarity below {threshold} needs review, even if its confidence is high. This applies to
{1 - TARGET_FAMILIAR_SHARE:.0%} of the photos of held-out senders.
This table shows how many out-of-distribution images need review because of their confidence or familiarity. They
are photos of clothes with none of the labels, and generated images:

| images | need review |
| --- | --- |
{table_rows((kind, f"{result.needs_review:.0%}") for kind, result in ood.items())}

The next table compares scores that separate these images from photos of held-out senders. *Largest probability* is the
maximum softmax probability. The table has the area under the ROC curve (AUROC), and in brackets the true negative rate
at 95 % true positive rate (TNR@95TPR): the share of the images that is rejected at the threshold that accepts 95 % of
the photos. The values are means over the networks of the folds.

| images | {" | ".join(scores)} |
| --- |{" --- |" * len(scores)}
{table_rows(_ood_row(kind, result) for kind, result in ood.items())}"""


def _ood_row(kind: str, result: OodResult) -> tuple[str, ...]:
    return (kind, *(f"{metrics.auroc:.3f} ({metrics.detection_rate:.0%})" for metrics in result.scores.values()))


def _variants(variants: Sequence[VariantResult]) -> str:
    return f"""## Runtimes, sizes and precisions
Measured with the network of the first fold, without calibration, on the photos of the senders that it was not trained
on. *Mirrored* is the accuracy with the sum of the logits of the photo and its mirror image, which takes twice the time.
*ms* is the median time per photo on one thread.

| runtime | pixels | weights | MB | accuracy | mirrored | ms |
| --- | --- | --- | --- | --- | --- | --- |
{table_rows(_variant_row(variant) for variant in variants)}"""


def _variant_row(variant: VariantResult) -> tuple[str, ...]:
    measured = [(variant.accuracy, ".3f"), (variant.accuracy_mirrored, ".3f"), (variant.milliseconds, ".1f")]
    cells = ["" if value is None else format(value, form) for value, form in measured]
    if variant.accuracy is None:
        cells[0] = "does not load"
    return (variant.runtime, str(variant.size), variant.precision, f"{variant.bytes / 1e6:.1f}", *cells)


def _training_data(description: ModelDescription) -> str:
    return f"""## Training data and licences
The model was trained on {description.training.photos:,} photos of {len(description.labels)} labels from
[clothing-dataset](https://github.com/alexeygrigorev/clothing-dataset) by Alexey Grigorev (CC0).
The initial weights are those of MobileNetV2 trained on ImageNet (Google, Apache-2.0), from
`{description.training.weights}`.
`model.json` has the recipe, a hash of the photos and the versions of the packages.
The model has the licence of this project."""
