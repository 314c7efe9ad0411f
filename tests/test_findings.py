from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from distingo.errors import DataError
from distingo.findings import Finding, join_labels, read_findings, split_labels, write_findings

FINDING = Finding(
    "label", "Äpfel/a, b.jpg", 0.75, 0.5, ("Äpfel",), "train", "00ff", suggested=("Birnen", "a|b"), reason='says "b"'
)


def test_findings_come_back_as_they_were_written(tmp_path):
    pair = Finding("leak", "a.png", 1.0, 0.9, ("x", "y"), "test", "01", "b.png", ("z",), "/other", reason="line\nbreak")
    write_findings([FINDING, pair], tmp_path / "findings.csv")
    assert read_findings(tmp_path / "findings.csv") == (FINDING, pair)


def test_a_spreadsheet_reads_which_findings_count(tmp_path):
    write_findings([FINDING, replace(FINDING, score=0.49)], tmp_path / "f.csv")
    lines = (tmp_path / "f.csv").read_text(encoding="utf-8").splitlines()
    assert [line.split(",")[0] for line in lines] == ["counts", "yes", "no"]


@given(st.lists(st.text(min_size=1), max_size=4).map(tuple))
@example(("a", "|b"))
@example(("a\\", "b"))
def test_labels_share_a_cell(labels):
    assert split_labels(join_labels(labels)) == labels


def test_another_table_is_refused(tmp_path):
    (tmp_path / "f.csv").write_text("file,kind\na.png,strange\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"f\.csv: is no table of findings .*strange.*distingo check"):
        read_findings(tmp_path / "f.csv")
    with pytest.raises(DataError, match="distingo check DATA"):
        read_findings(tmp_path / "none.csv")
