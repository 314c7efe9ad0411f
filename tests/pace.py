"""Limits of processor time that hold on any machine, next to a fixed piece of work timed around what is limited."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

_REFERENCE_SECONDS = 0.15  # what `_reference` takes on the machine on which the limits were set, when it is alone


def _reference() -> float:
    """Processor seconds of work like distingo's: many small Python objects, arrays, and a hash."""
    begun = time.process_time()
    kept = {number: str(number) for number in range(200_000)}
    assert sum(map(len, kept.values())) > 0
    values = np.arange(2_000_000, dtype=np.float32)
    for _ in range(10):
        values = np.sqrt(values * values + 1)
    hashlib.blake2b(bytes(50_000_000)).digest()
    return time.process_time() - begun


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Fail if the body takes more processor time than `seconds`, times what this machine is slower just now.

    The reference is timed before and after, and the slower of both counts: a processor shared with other programs takes
    up to three times as long for the same work, and changes within seconds.
    """
    slower = _reference()
    begun = time.process_time()
    yield
    taken = time.process_time() - begun
    slower = max(1.0, max(slower, _reference()) / _REFERENCE_SECONDS)
    assert taken < seconds * slower, f"{taken:.2f} s of at most {seconds} s on a machine {slower:.1f} times slower"
