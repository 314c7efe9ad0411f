from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distingo.csv_files import CsvWriter, escape_cell, restore_cell, restore_cells
from distingo.curation.findings import Finding, read_findings, write_findings
from distingo.datasets.corrections import Correction, Corrections, read_corrections, write_corrections
from distingo.datasets.tables.reading import read_labels_table
from distingo.messages.notes import text_note
from distingo.prediction.outputs import write_table as write_predictions
from distingo.records import ManifestRow
from distingo.runs.data import read_manifest, write_manifest
from distingo.scores import Prediction

HOSTILE = ("=1+1", '=HYPERLINK("http://x")', "+a", "-a.png", "@SUM(A1)", "\tx", "\rx", "'=x", "''=x", "-", "=", "+1-1")


@pytest.mark.parametrize("text", HOSTILE)
def test_what_begins_a_formula_gets_an_apostrophe(text: str) -> None:
    assert escape_cell(text) == f"'{text}"
    assert restore_cell(f"'{text}") == text


@pytest.mark.parametrize(
    "value", ["", "a=b", "'", "'a", "it's", "猫", "-1", "+1.5", "-1e-7", "-.5", -1, -0.25, None, True]
)
def test_all_else_stays_as_it_is(value: object) -> None:
    assert escape_cell(value) is value
    assert not isinstance(value, str) or restore_cell(value) == value


@given(st.text(st.sampled_from("'=+-@\t\r1.eaü"), max_size=6))
def test_the_way_back_is_exact(text: str) -> None:
    assert restore_cell(str(escape_cell(text))) == text


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5), min_size=1))
def test_rows_come_back_and_no_cell_begins_a_formula(cells: list[str]) -> None:
    text = io.StringIO(newline="")
    CsvWriter(text).write(["", *cells])
    text.seek(0)
    (row,) = csv.reader(text, strict=True)
    assert restore_cells(row) == ["", *cells]
    for cell in row:
        assert not cell.startswith(("=", "+", "-", "@", "\t", "\r")) or float(cell) is not None


def test_names_come_back_from_every_table(tmp_path: Path) -> None:
    names = [name for name in HOSTILE if name.strip() == name]
    rows = tuple(
        ManifestRow(f"{name}", "used", text_note(name), (name, "=b"), None, "PNG", 1, 1, "0" * 32, same_as=name)
        for name in names
    )
    write_manifest(rows, tmp_path / "manifest.csv")
    assert read_manifest(tmp_path / "manifest.csv") == rows
    corrections = Corrections(
        tmp_path / "corrections.csv",
        tuple(Correction(name, "relabel", (name,), at="2026-01-31T12:00:00Z") for name in names),
    )
    write_corrections(corrections)
    assert [(each.file, each.labels) for each in read_corrections(corrections.path).entries] == [
        (name, (name,)) for name in names
    ]
    findings = tuple(Finding("label", name, -1.5, 0.5, (name,), reason=text_note(name)) for name in names)
    write_findings(findings, tmp_path / "findings.csv")
    assert read_findings(tmp_path / "findings.csv") == findings
    for file in ("manifest.csv", "corrections.csv", "findings.csv"):
        require_no_formula(tmp_path / file)


def test_numbers_stay_numbers(tmp_path: Path) -> None:
    write_findings((Finding("label", "a", -1.5, 0.5),), tmp_path / "findings.csv")
    assert ",-1.5,0.5," in (tmp_path / "findings.csv").read_text()


def test_predictions_are_read_as_a_table_of_labels(tmp_path: Path) -> None:
    names = [name for name in HOSTILE if name.strip() == name]
    write_predictions([Prediction(f"{name}.png", (name,), (0.5,)) for name in names], tmp_path / "predictions.csv")
    require_no_formula(tmp_path / "predictions.csv")
    table = read_labels_table(tmp_path / "predictions.csv")
    assert list(table.cells[table.columns.index("file")]) == [f"{name}.png" for name in names]


def require_no_formula(path: Path) -> None:
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.reader(file):
            for cell in row:
                assert not cell.startswith(("=", "+", "@", "\t", "\r")), row
                assert not cell.startswith("-") or float(cell) is not None
