"""From which score on a finding counts, and from which it is kept so that the threshold can be moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from distingo.errors import UsageError, name_the_nearest
from distingo.findings import FINDING_KINDS, FindingKind

DEFAULT_THRESHOLDS: Mapping[FindingKind, float] = MappingProxyType(
    {
        "unreadable": 0.5,
        "wrong-ending": 0.5,
        "duplicate": 0.5,
        "near-duplicate": 0.8,
        "leak": 0.8,
        "contradiction": 0.8,
        "label": 0.5,
        "outlier": 0.5,
        "empty": 0.95,
        "dark": 0.68,
        "bright": 0.95,
        "blurred": 0.5,
        "odd-size": 0.8,
        "odd-aspect": 0.65,
        "imbalance": 0.9,
        "shortcut": 0.4,
    }
)
"""What each score means is said where it is made: `quality`, `relations`, `labels`, `outliers`, `shortcuts`."""

KEPT_FROM: Mapping[FindingKind, float] = MappingProxyType(
    {
        "unreadable": 0.0,
        "wrong-ending": 0.0,
        "duplicate": 0.0,
        "near-duplicate": 0.6,
        "leak": 0.6,
        "contradiction": 0.6,
        "label": 0.2,
        "outlier": 0.25,
        "empty": 0.7,
        "dark": 0.5,
        "bright": 0.8,
        "blurred": 0.25,
        "odd-size": 0.5,
        "odd-aspect": 0.4,
        "imbalance": 0.5,
        "shortcut": 0.0,
    }
)
"""Findings below this are not kept: a threshold can't be moved lower."""


def settle_thresholds(wishes: Mapping[str, float]) -> dict[FindingKind, float]:
    """The thresholds of all kinds, those that a person set among them.

    Args:
        wishes: By kind of finding.

    Raises:
        UsageError: There is no such kind, or the value is out of its range.
    """
    settled = dict(DEFAULT_THRESHOLDS)
    for name, value in wishes.items():
        kind = next((known for known in FINDING_KINDS if known == name), None)
        if kind is None:
            near = name_the_nearest(name, list(FINDING_KINDS))
            raise UsageError(f"--threshold {name}: no such kind of finding; {near}")
        if not KEPT_FROM[kind] <= value <= 1:
            raise UsageError(f"--threshold {name}={value:g}: is out of range; choose from {KEPT_FROM[kind]:g} to 1")
        settled[kind] = value
    return settled


def read_wishes(words: Sequence[str]) -> dict[str, float]:
    """Thresholds as a person types them, each ``KIND=VALUE``.

    Raises:
        UsageError: One is not of that form.
    """
    wishes = {}
    for word in words:
        name, _, value = word.partition("=")
        try:
            wishes[name] = float(value)
        except ValueError as error:
            raise UsageError(f"--threshold {word}: write KIND=VALUE, for example blurred=0.6") from error
    return wishes
