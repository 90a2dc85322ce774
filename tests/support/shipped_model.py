"""The model in `model/`, which images have: its labels, and what it makes of a photo."""

from functools import cache

from classifier.description import Description
from classifier.limits import Limits
from classifier.model import Model
from classifier.photos import decode
from tests.support.paths import SHIPPED_MODEL

LABELS = Description.read(SHIPPED_MODEL).labels


@cache
def load() -> Model:
    """Load the model."""
    return Model.load(SHIPPED_MODEL)


def shipped_label(photo: bytes) -> str:
    """Return the label that the model gives to a photo."""
    model = load()
    scores = model.predict(decode(photo, model.description.input_size, Limits()).pixels).scores
    return max(scores, key=scores.__getitem__)
