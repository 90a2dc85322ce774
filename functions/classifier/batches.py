"""What a listing's photos say together."""

from collections.abc import Sequence

from classifier.records import Classification, Status


def verdict(photos: Sequence[Classification]) -> tuple[str, float] | None:
    """The label that the photos agree on and its probability; None while there is no label among them.

    The mean of their scores, in which a photo whose label the seller has confirmed is sure of it. Sums of logarithms
    would take the photos for independent witnesses, which pictures of one piece by one seller are not, and one photo of
    something else would outweigh all others.
    """
    votes = [scores for photo in photos if (scores := _scores(photo))]
    if not votes:
        return None
    labels = dict.fromkeys(label for scores in votes for label in scores)
    means = {label: sum(scores.get(label, 0.0) for scores in votes) / len(votes) for label in labels}
    label = max(means, key=means.__getitem__)
    return label, means[label]


def count(photos: Sequence[Classification], status: Status) -> int:
    """How many of the photos are there."""
    return sum(photo.status is status for photo in photos)


def _scores(photo: Classification) -> dict[str, float]:
    if photo.confirmed_label:
        return {photo.confirmed_label: 1.0}
    return dict(photo.scores) if photo.status is Status.SUCCEEDED else {}
