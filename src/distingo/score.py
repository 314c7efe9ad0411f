"""A score with its confidence interval that works like a number."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real


@dataclass(frozen=True, slots=True)
class Score:
    """A score with its n and its 95 % interval; it behaves like the number `value`.

    ``float(score)``, ``round(score, 2)``, ``score > 0.9``, ``score - other``, ``max(scores)`` and ``f"{score:.1%}"``
    use `value` alone; the result of a computation is a plain float, without an interval. A score equals a number if its
    value does, and another score only if all fields are equal.

    Attributes:
        value: The score.
        low: Lower end of the 95 % interval.
        high: Upper end of the 95 % interval.
        n: Number of images it was computed on.
        too_few: Whether there are too few images for a reliable interval; pages then show a remark in its place. False
            in files of older versions.
    """

    value: float
    low: float
    high: float
    n: int
    too_few: bool = False

    def __float__(self) -> float:
        return float(self.value)

    def __str__(self) -> str:
        interval = "too few for an interval" if self.too_few else f"95% interval {self.low:.4g} to {self.high:.4g}"
        return f"{self.value:.4g} ({interval}, n={self.n})"

    def __format__(self, spec: str) -> str:
        return format(float(self), spec) if spec else str(self)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Score):
            return self._fields() == other._fields()
        return bool(self.value == other) if isinstance(other, Real) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.value)  # equal to the hash of the number that it equals

    def __lt__(self, other: Score | float) -> bool:
        number = _number(other)
        return NotImplemented if number is None else bool(self.value < number)

    def __le__(self, other: Score | float) -> bool:
        number = _number(other)
        return NotImplemented if number is None else bool(self.value <= number)

    def __gt__(self, other: Score | float) -> bool:
        number = _number(other)
        return NotImplemented if number is None else bool(self.value > number)

    def __ge__(self, other: Score | float) -> bool:
        number = _number(other)
        return NotImplemented if number is None else bool(self.value >= number)

    def __round__(self, digits: int | None = None) -> float:
        return round(float(self), digits)

    def __abs__(self) -> float:
        return abs(float(self))

    def __neg__(self) -> float:
        return -float(self)

    def __add__(self, other: Score | float) -> float:
        number = _number(other)
        return NotImplemented if number is None else float(self) + number

    __radd__ = __add__

    def __sub__(self, other: Score | float) -> float:
        number = _number(other)
        return NotImplemented if number is None else float(self) - number

    def __rsub__(self, other: float) -> float:
        number = _number(other)
        return NotImplemented if number is None else number - float(self)

    def __mul__(self, other: Score | float) -> float:
        number = _number(other)
        return NotImplemented if number is None else float(self) * number

    __rmul__ = __mul__

    def __truediv__(self, other: Score | float) -> float:
        number = _number(other)
        return NotImplemented if number is None else float(self) / number

    def __rtruediv__(self, other: float) -> float:
        number = _number(other)
        return NotImplemented if number is None else number / float(self)

    def _fields(self) -> tuple[float, float, float, int, bool]:
        return self.value, self.low, self.high, self.n, self.too_few


def _number(other: object) -> float | None:
    """Convert a score or number to a float; None for anything else."""
    return float(other) if isinstance(other, Score | Real) else None
