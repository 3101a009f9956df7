"""The two kinds of numbers that records and leaderboards hold: an estimate with its interval, and a share of a count."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Estimate:
    """A number with a two-sided 95 % interval; one over seeds covers what further trainings would give as well.

    `low` and `high` are None where there are too few values for an interval; a bound has only one of them.
    `error` is the standard error where the interval has one, `chance` the value that nothing but chance gives, and
    `count` the number of images or seeds that it is taken over.
    """

    value: float
    low: float | None = None
    high: float | None = None
    error: float | None = None
    chance: float | None = None
    count: int | None = None

    @property
    def limits(self) -> tuple[float, float]:
        """(low, high). Raises ValueError where there is no interval."""
        if self.low is None or self.high is None:
            raise ValueError(f"{self} has no interval")
        return self.low, self.high


@dataclass(frozen=True)
class Share:
    """`count` of `of`, with an interval for the share, and the share that chance gives."""

    count: int
    of: int
    low: float
    high: float
    chance: float

    @property
    def share(self) -> float:
        """count / of."""
        return self.count / self.of
