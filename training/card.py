"""The model card, in Markdown: what the model is for, how well it does, and what it was trained on."""

import re
import textwrap
from collections.abc import Mapping, Sequence

from classifier.description import INT8_NETWORK_FILE
from evaluation.metrics import Metrics
from evaluation.report_page import table_rows
from training.calibration import TARGET_ACCURACY, TARGET_FAMILIAR_SHARE
from training.model_description import ModelDescription, OodResult
from training.run import Fit
from training.trunk_names import TITLES

CARD_FILE = "README.md"
REPORT_FOLDER = "report"
SPLIT_TITLES = {
    "held_out": "held out of training",
    "held_out_kids": "children's clothes among them",
    "test": "test photos",
    "test_kids": "children's clothes among them",
}


def card(description: ModelDescription) -> str:
    """Return the card."""
    sections = [
        _summary(description),
        _results(description),
        _ood(description),
        _training_data(description),
    ]
    blocks = "\n\n".join(sections).split("\n\n")
    return "\n\n".join(map(_wrap, blocks)) + "\n"


def _wrap(block: str) -> str:
    """Wrap a paragraph; headings, tables and lists stay as they are."""
    if block.startswith(("#", "|", "-")):
        return block
    return textwrap.fill(block, 120, break_long_words=False, break_on_hyphens=False)


def _summary(description: ModelDescription) -> str:
    size = f"{description.input.width} × {description.input.height}"
    trunk = TITLES[description.training.recipe.trunk]
    teachers = _teachers(description)
    taught = f"taught by {teachers}" if teachers else "fine-tuned"
    made = taught if description.fit is Fit.TUNED else "with a new last layer (a linear probe)"
    return f"""# Model card

`{description.version}` is {trunk}, {made}. It takes a photo, resized to
{size} RGB pixels without keeping the aspect ratio, and returns a score for each of {len(description.labels)} labels:
{", ".join(description.labels)}.

**{_headline(description)}**

`clothing.tflite` is the network, with float16 weights ({description.network.size / 1e6:.1f} MB). It takes
{description.milliseconds:.1f} ms for a photo, on one thread of the machine that wrote this page.{_int8(description)}
`model.json` has everything else that serving needs. `predictions.csv` has the answers to the
photos that were held out of training, for `make compare`.

`make train` writes all of these files.

## Intended use

The model predicts which of these labels a seller's photo of one piece shows, so that the listing gets a category. It is
not meant for photos of people or of several pieces, or to tell whether a photo shows one of the labels."""


def _int8(description: ModelDescription) -> str:
    if description.int8 is None:
        return ""
    return (
        f" `{INT8_NETWORK_FILE}` ({description.int8.size / 1e6:.1f} MB) is the same network in int8, which the "
        f"function uses on Python 3.13. It gives {description.int8.agreement:.1%} of 400 training photos the same "
        "label."
    )


def _headline(description: ModelDescription) -> str:
    metrics = description.metrics["held_out"]
    interval = f"(95 % interval {metrics.accuracy_low:.1%} – {metrics.accuracy_high:.1%})"
    if metrics.senders is None:
        return (
            f"It is right for {metrics.accuracy:.1%} {interval} of photos that were held out of training. No table "
            "names the senders of the photos, so others of the same sender may have been in the training: expect less "
            "of new senders."
        )
    return (
        f"It is right for {metrics.accuracy:.1%} {interval} of {metrics.n:,} photos of {metrics.senders} senders that "
        "it had never seen photos of."
    )


def _results(description: ModelDescription) -> str:
    calibration = description.calibration
    return f"""## Results

Photos *need no review* if their confidence is at least {calibration.review_threshold} and their familiarity at least
{calibration.familiarity_threshold} (see the next section). *Coverage* is the share of the photos that need no review.
The last column is the accuracy on these covered photos. {_explain_intervals(description)}

{_results_table(description)}

{_explain_folds(description)}

{_explain_test(description)}

The confidence threshold is chosen so that the accuracy on covered photos that were held out is {TARGET_ACCURACY:.0%}.
The temperature and biases that turn logits into probabilities are also fitted to held-out photos. The
probabilities of the converted network differ from those in Keras by at most {description.conversion_error:.1g}.

Results by label, confusion matrices and reliability diagrams:

{_report_links(description)}"""


def _explain_intervals(description: ModelDescription) -> str:
    if description.metrics["held_out"].senders is None:
        return "The intervals take the photos for independent, which photos of one sender are not."
    return "The intervals resample senders, because the photos of one sender are alike."


def _explain_folds(description: ModelDescription) -> str:
    folds = description.fold_accuracies
    of_senders = " of senders" if description.metrics["held_out"].senders is not None else ""
    text = f"""The held-out results are from cross-validation on the training photos, in {len(folds)} folds{of_senders}.
The photos of each fold are classified by a network that was not trained on this fold, with a calibration that was
fitted to the other folds. The accuracies on the folds are {_list(folds)}."""
    if Fit.TUNED not in description.held_out_accuracies:
        return text
    probe, tuned = (f"{description.held_out_accuracies[fit]:.3f}" for fit in (Fit.PROBE, Fit.TUNED))
    chosen = "fine-tuned network" if description.fit is Fit.TUNED else "linear probe"
    return f"""{text}
A linear probe of the pretrained network has {probe} on the same photos, the fine-tuned network {tuned}: the {chosen}
is the one that ships."""


def _explain_test(description: ModelDescription) -> str:
    if "test" not in description.metrics:
        return "There were no test photos."
    metrics, accuracies = description.metrics["test"], description.test_sender_accuracies
    senders = (
        f" They are of {metrics.senders} senders, with accuracies from {min(accuracies):.2f} to {max(accuracies):.2f}."
        if accuracies
        else ""
    )
    count = description.test_photos_left_out
    left_out = f" {count} test photos that are training photos too were left out." if count else ""
    return f"The test photos were not used for any decision.{senders}{left_out}"


def _results_table(description: ModelDescription) -> str:
    columns = ("photos", "n", "senders", "accuracy", "95 % interval", "macro-F1", "calibration error", "coverage")
    header = [(*columns, "accuracy on covered photos"), ("---",) * (len(columns) + 1)]
    return table_rows([*header, *(_metrics_row(split, metrics) for split, metrics in description.metrics.items())])


def _metrics_row(split: str, metrics: Metrics) -> tuple[str, ...]:
    return (
        SPLIT_TITLES[split],
        f"{metrics.n:,}",
        "unknown" if metrics.senders is None else str(metrics.senders),
        f"{metrics.accuracy:.3f}",
        f"{metrics.accuracy_low:.3f} – {metrics.accuracy_high:.3f}",
        f"{metrics.macro_f1:.3f}",
        f"{metrics.calibration_error:.3f}",
        f"{metrics.passed:.0%}",
        f"{metrics.passed_accuracy:.1%}" if metrics.passed else "–",
    )


def _report_links(description: ModelDescription) -> str:
    reported = [split for split in description.metrics if not split.endswith("_kids")]
    return "\n".join(f"- [{SPLIT_TITLES[split]}]({REPORT_FOLDER}/{split}/README.md)" for split in reported)


def _list(accuracies: Sequence[float]) -> str:
    return ", ".join(f"{accuracy:.3f}" for accuracy in accuracies)


def _ood(description: ModelDescription) -> str:
    ood = description.out_of_distribution
    threshold, scores = description.calibration.familiarity_threshold, list(next(iter(ood.values())).scores)
    return f"""## Out-of-distribution images

The model returns one of its labels for every image, even if the image shows none of them. Therefore it also returns a
*familiarity*: the cosine between the photo's features and the nearest cluster centre of the training photos' features,
less a penalty for unusual textures. A photo with a familiarity below {threshold} needs review, even if its
confidence is high. This applies to {1 - TARGET_FAMILIAR_SHARE:.0%} of the photos that were held out of training.
This table shows how many out-of-distribution images need review because of their confidence or familiarity:

| images | need review |
| --- | --- |
{table_rows((kind, f"{result.needs_review:.0%}") for kind, result in ood.items())}

{_explain_unknown(ood)}

The next table compares scores that separate these images from held-out photos. *Largest probability* is the maximum
softmax probability. The table has the area under the ROC curve (AUROC), and in brackets the true negative rate at 95 %
true positive rate (TNR@95TPR): the share of the images that is rejected at the threshold that accepts 95 % of the
photos. The values are means over the networks of the folds.

| images | {" | ".join(scores)} |
| --- |{" --- |" * len(scores)}
{table_rows(_ood_row(kind, result) for kind, result in ood.items())}"""


def _explain_unknown(ood: Mapping[str, OodResult]) -> str:
    generated = "noise, plain colours, drawings and screenshots are generated images."
    if "other photos" in ood:
        return (
            f"*Other photos* are those in the folder `unknown` of the data: photos of none of the labels; {generated}"
        )
    return generated.capitalize()


def _ood_row(kind: str, result: OodResult) -> tuple[str, ...]:
    return (kind, *(f"{metrics.auroc:.3f} ({metrics.detection_rate:.0%})" for metrics in result.scores.values()))


def _training_data(description: ModelDescription) -> str:
    training = description.training
    return f"""## Training data and licences

The model was trained on {training.photos:,} photos of {len(description.labels)} labels{_data_sets(description)}.
The initial weights are those of {TITLES[training.recipe.trunk]} trained on ImageNet (Google, Apache-2.0), from
{training.weights}.{_teachers_weights(description)}
`model.json` has the recipe, a hash of the photos and the versions of the packages.
The licence of this project covers the model that comes with it. Who trains another one chooses its licence."""


def _teachers_weights(description: ModelDescription) -> str:
    teachers = _teachers(description)
    return (
        f" Its teachers were trained on the same photos, from the ImageNet weights of {teachers}." if teachers else ""
    )


def _teachers(description: ModelDescription) -> str:
    """Return the names of the networks that taught a fine-tuned one, if there are any."""
    recipe = description.training.recipe
    *others, last = [TITLES[teacher] for teacher in recipe.teachers] or [""]
    named = f"{', '.join(others)} and {last}" if others else last
    return named if description.fit is Fit.TUNED else ""


def _data_sets(description: ModelDescription) -> str:
    if not description.data_sets:
        return ". The data has no `dataset.toml` that says what it is"
    named = [
        (f"[{_escape(about.name)}]({about.link})" if about.link else _escape(about.name))
        + (f" ({_escape(about.licence)})" if about.licence else "")
        for about in description.data_sets
    ]
    return f" from {' and '.join(named)}"


def _escape(text: str) -> str:
    """Return a text that Markdown shows as it is, in one line."""
    return re.sub(r"([\\`*_{}\[\]<>#|!])", r"\\\1", " ".join(text.split()))
