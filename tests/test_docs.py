"""What the documentation states is what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from distingo.curation.findings import DEFAULT_THRESHOLDS, MINIMUM_SCORES

DOCS = Path(__file__).resolve().parents[1] / "docs"


def test_the_table_of_checks_has_every_kind_with_its_thresholds():
    text = (DOCS / "checks.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w-]+)` \|.*\| ([\d.]+) \| ([\d.]+) \|$", text, re.MULTILINE)
    assert {kind: (float(threshold), float(kept)) for kind, threshold, kept in rows} == {
        kind: (threshold, MINIMUM_SCORES[kind]) for kind, threshold in DEFAULT_THRESHOLDS.items()
    }
