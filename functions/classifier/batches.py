"""What the photos of a listing say together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from classifier.classification import Classification, Confirmation, Status


@dataclass(frozen=True, slots=True)
class Verdict:
    """The label of a listing, and how sure it is. `scores` maps each label to its mean score, highest first.

    There is no label if no photo has a vote, and if a person said that it is none of the labels.
    """

    label: str | None
    confidence: float | None
    needs_review: bool
    scores: Mapping[str, float]


def judge(photos: Sequence[Classification], confirmation: Confirmation | None, review_threshold: float) -> Verdict:
    """Return what the photos say together: the label with the highest mean score.

    Photos that need review vote only if all voters need it: a care label looks like no garment, and it must not outvote
    the garment. A confirmed photo is sure of its label. A confirmation of the listing counts before all photos. A sum
    of logarithms would treat the photos as independent evidence, which pictures of one piece by one seller are not.
    """
    voters = [photo for photo in photos if _vote(photo)]
    sure = [photo for photo in voters if not photo.needs_review]
    scores = _mean([_vote(photo) for photo in sure or voters])
    if confirmation:
        confidence = None if confirmation.label is None else 1.0
        return Verdict(confirmation.label, confidence, needs_review=False, scores=scores)
    label = next(iter(scores), None)
    if label is None:
        return Verdict(None, None, any(photo.needs_review for photo in photos), scores)
    return Verdict(label, scores[label], not sure or scores[label] < review_threshold, scores)


def count(photos: Sequence[Classification], status: Status) -> int:
    """Return how many of the photos have the status."""
    return sum(photo.status is status for photo in photos)


def _vote(photo: Classification) -> Mapping[str, float]:
    """Return the scores that a photo gives to labels. They are empty if it has no vote, as before it has arrived."""
    if photo.status is Status.PENDING:
        return {}
    if photo.confirmation:
        return {} if photo.confirmation.label is None else {photo.confirmation.label: 1.0}
    return photo.scores if photo.status is Status.SUCCEEDED else {}


def _mean(votes: Sequence[Mapping[str, float]]) -> dict[str, float]:
    labels = dict.fromkeys(label for scores in votes for label in scores)
    means = {label: sum(scores.get(label, 0.0) for scores in votes) / len(votes) for label in labels}
    return dict(sorted(means.items(), key=lambda item: -item[1]))
