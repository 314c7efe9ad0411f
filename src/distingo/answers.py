"""Which findings a person has answered in their corrections."""

from __future__ import annotations

from distingo.datasets.corrections import Action, Correction, Corrections
from distingo.findings import Finding, FindingKind


def is_answered(finding: Finding, corrections: Corrections | None) -> bool:
    """Whether a person has decided what a finding asks.

    A picture set aside answers everything about it. A pair is answered when one of the two is set aside or relabelled
    for it, or when both are kept for it. What was decided about a file that has changed since answers nothing.
    """
    if corrections is None:
        return False
    known = corrections.by_file
    one = _answer(known.get(finding.file), finding.kind, finding.content)
    if not finding.other or finding.other_root:
        return one is not None
    other = _answer(known.get(finding.other), finding.kind, finding.other_content)
    if "quarantine" in (one, other) or "relabel" in (one, other):
        return True
    return one is not None and other is not None


def _answer(correction: Correction | None, kind: FindingKind, content: str) -> Action | None:
    if correction is None or (correction.content and content and correction.content != content):
        return None
    return correction.action if correction.action == "quarantine" or kind in correction.kinds else None
