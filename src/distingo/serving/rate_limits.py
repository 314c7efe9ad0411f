"""How many requests a key or an address may send a minute."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable

_MOST_REMEMBERED = 10_000


class RateLimit:
    """Token buckets: a minute's requests at once at the most, then at an even pace.

    Args:
        per_minute: Requests of each.
        now: Seconds, from any clock that only goes forward.
    """

    def __init__(self, per_minute: float, now: Callable[[], float] = time.monotonic) -> None:
        self._most = max(1.0, per_minute)
        self._pace = per_minute / 60
        self._now = now
        self._left: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def seconds_to_wait(self, who: Hashable) -> int:
        """Count a request; 0 where it is allowed, else whole seconds until the next one is."""
        now = self._now()
        left, since = self._left.pop(who, (self._most, now))
        left = min(self._most, left + (now - since) * self._pace)
        wait = 0 if left >= 1 else math.ceil((1 - left) / self._pace)
        self._left[who] = (left - 1 if wait == 0 else left, now)
        if len(self._left) > _MOST_REMEMBERED:
            self._left.popitem(last=False)
        return wait
