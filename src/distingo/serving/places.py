"""How many pictures may be in the house at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from distingo.serving.refused import RefusedError


class Places:
    """A bounded number of places for pictures that are taken in and not answered yet.

    Args:
        most: How many there are.
        watch: Told how many are taken whenever that changes.
    """

    def __init__(self, most: int, watch: Callable[[int], object] = int) -> None:
        self._most = most
        self._watch = watch
        self.taken = 0

    def check(self) -> None:
        """Refuse a request before its body is read, where no place is left.

        Raises:
            RefusedError: All places are taken (503).
        """
        if self.taken >= self._most:
            raise RefusedError(503, "all places are taken; try again soon", closes=True)

    @contextmanager
    def hold(self, count: int) -> Iterator[Held]:
        """While the block lasts, hold places, as far as they are not given back before.

        Raises:
            RefusedError: There are not as many free (503).
        """
        if self.taken + count > self._most:
            raise RefusedError(503, "there is no place for so many pictures now; try again soon")
        held = Held(self, count)
        self.change(count)
        try:
            yield held
        finally:
            self.change(-held.count)
            held.count = 0

    def change(self, count: int) -> None:
        """Count places taken, or given back."""
        self.taken += count
        self._watch(self.taken)


class Held:
    """Places that one request holds.

    Attributes:
        count: How many.
    """

    def __init__(self, places: Places, count: int) -> None:
        self._places = places
        self.count = count

    def give_one(self, _answer: object = None) -> None:
        """Give one place back: its picture is done, whatever the request's others take."""
        if self.count:
            self.count -= 1
            self._places.change(-1)
