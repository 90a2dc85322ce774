"""How long the tests of `tests/stress` run."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """Chooses between the number for `make stress`, if `whole`, and that for `make test`."""

    whole: bool

    def of(self, number: int, short: int) -> int:
        """Return the number for the whole run, or `short`."""
        return number if self.whole else short
