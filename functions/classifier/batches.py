"""What the photos of a listing say together."""

from collections.abc import Sequence

from classifier.classification import Classification, Status


def verdict(photos: Sequence[Classification]) -> tuple[str, float] | None:
    """Return the label with the highest mean score, and that mean. Return None if no photo has a label.

    A photo that its seller has confirmed is sure of that label. A sum of logarithms would treat the photos as
    independent evidence, which pictures of one piece by one seller are not, and one photo of something else would
    outweigh all others.
    """
    votes = [scores for photo in photos if (scores := _vote(photo))]
    if not votes:
        return None
    labels = dict.fromkeys(label for scores in votes for label in scores)
    means = {label: sum(scores.get(label, 0.0) for scores in votes) / len(votes) for label in labels}
    label = max(means, key=means.__getitem__)
    return label, means[label]


def count(photos: Sequence[Classification], status: Status) -> int:
    """Return how many of the photos have the status."""
    return sum(photo.status is status for photo in photos)


def _vote(photo: Classification) -> dict[str, float]:
    if photo.confirmed_label:
        return {photo.confirmed_label: 1.0}
    return dict(photo.scores) if photo.status is Status.SUCCEEDED else {}
