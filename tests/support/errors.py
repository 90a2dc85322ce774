"""The function's own errors."""

from classifier.errors import ClassifierError


def error_kinds(kind: type[ClassifierError] = ClassifierError) -> list[type[ClassifierError]]:
    """Return all errors of the function that have a code."""
    found = [inner for child in kind.__subclasses__() for inner in error_kinds(child)]
    return [kind, *found] if hasattr(kind, "code") else found
