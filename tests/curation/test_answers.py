"""What answers a finding, and what does not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from distingo.curation.findings import Finding, is_answered
from distingo.datasets.corrections import Correction, Corrections


def test_what_answers_a_finding() -> None:
    dark = Finding("dark", "a.png", 1.0, 0.5, content="1" * 32)
    keep = Correction("a.png", "keep", content="1" * 32, kinds=("dark",))

    def answered(finding: Finding, *entries: Correction) -> bool:
        return is_answered(finding, Corrections(Path("c.csv"), entries))

    assert not is_answered(dark, None)
    assert answered(dark, keep)
    assert not answered(replace(dark, kind="bright"), keep)
    assert not answered(replace(dark, content="2" * 32), keep)
    assert answered(replace(dark, kind="bright"), replace(keep, action="quarantine"))
    pair = Finding("leak", "a.png", 1.0, 0.5, other="b.png")
    looked = Correction("a.png", "keep", kinds=("leak",))
    assert not answered(pair, looked)
    assert answered(pair, looked, replace(looked, file="b.png"))
    assert answered(pair, replace(looked, file="b.png", action="quarantine"))
    assert answered(pair, replace(looked, action="relabel", labels=("x",)))
    assert answered(replace(pair, other_root="/elsewhere"), looked)
