"""How a decision is written down: together with what was decided before about the same picture."""

from __future__ import annotations

import datetime
from typing import Any

from distingo.datasets.corrections import Correction


def join_decisions(entry: Correction, before: Correction | None) -> Correction:
    """A decision together with an earlier one about the same picture.

    The kinds that the action was chosen for come first. To keep a picture for another reason than it was relabelled
    for leaves the labels as they were put right. An earlier one about other bytes is forgotten.
    """
    if before is None or (before.content and before.content != entry.content):
        return entry
    kinds = tuple(dict.fromkeys((*entry.kinds, *before.kinds)))
    relabelled_for = before.kinds[:1] if before.action == "relabel" else ()
    if entry.action == "keep" and relabelled_for and relabelled_for[0] not in entry.kinds:
        kinds = tuple(dict.fromkeys((*before.kinds, *entry.kinds)))
        return Correction(entry.file, "relabel", before.labels, entry.content, kinds, entry.at)
    return Correction(entry.file, entry.action, entry.labels, entry.content, kinds, entry.at)


def describe_decision(correction: Correction | None) -> dict[str, Any] | None:
    """A decision as the page shows it."""
    if correction is None:
        return None
    return {"action": correction.action, "labels": correction.labels, "kinds": correction.kinds}


def say_now() -> str:
    """The time, in UTC as ISO 8601."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
