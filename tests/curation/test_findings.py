"""What answers a finding, and what does not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from distingo.curation.findings import Finding, is_answered, read_findings, write_findings
from distingo.datasets.corrections import Correction, Corrections
from distingo.errors import DataError, RunError
from distingo.messages.notes import note, text_note
from raising import raises

LIKE = note("looks-like", best="Birnen", share=0.75, label="Äpfel", share_of_label=0.125)

FINDING = Finding(
    "label", "Äpfel/a, b.jpg", 0.75, 0.5, ("Äpfel",), "train", "00ff", suggested=("Birnen", "a|b\\"), reason=LIKE
)


def test_findings_come_back_as_they_were_written(tmp_path):
    pair = Finding(
        "leak", "a.png", 1.0, 0.9, ("x", "y"), "test", "01", "b.png", ("z",), "/other", reason=text_note("line\nbreak")
    )
    write_findings([FINDING, pair], tmp_path / "findings.csv")
    assert read_findings(tmp_path / "findings.csv") == (FINDING, pair)


def test_a_spreadsheet_reads_which_findings_count(tmp_path):
    write_findings([FINDING, replace(FINDING, score=0.49)], tmp_path / "f.csv")
    lines = (tmp_path / "f.csv").read_text(encoding="utf-8").splitlines()
    assert [line.split(",")[0] for line in lines] == ["counts", "yes", "no"]


def test_another_table_is_refused(tmp_path):
    write_findings([FINDING], tmp_path / "f.csv")
    text = (tmp_path / "f.csv").read_text(encoding="utf-8")
    (tmp_path / "f.csv").write_text(text.replace(",label,", ",strange,"), encoding="utf-8")
    with raises(RunError, code="damaged_line", naming=("f.csv", "line 2", "'strange'")):
        read_findings(tmp_path / "f.csv")
    (tmp_path / "f.csv").write_text(text.replace(",0.75,", ",much,"), encoding="utf-8")
    with raises(RunError, code="damaged_line", naming="line 2"):
        read_findings(tmp_path / "f.csv")
    for values in ("[[", '[""a""]'):
        (tmp_path / "f.csv").write_text(text.replace('{""best""', values), encoding="utf-8")
        with raises(RunError, code="damaged_line", naming="line 2"):
            read_findings(tmp_path / "f.csv")
    (tmp_path / "f.csv").write_text("file,kind\n", encoding="utf-8")
    with raises(RunError, code="missing_column", naming="'score'"):
        read_findings(tmp_path / "f.csv")
    with raises(DataError, code="not_found"):
        read_findings(tmp_path / "none.csv")


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
