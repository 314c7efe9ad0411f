"""Decisions in the table of corrections."""

from __future__ import annotations

from pathlib import Path

import pytest

from distingo.datasets.corrections import Correction, Corrections, read_corrections, write_corrections
from distingo.errors import DataError
from distingo.reviewing.decisions import Decisions
from raising import raises

ONE, TWO = Correction("1.png", "keep"), Correction("2.png", "quarantine")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "corrections.csv"


def test_each_change_is_on_the_disk(path: Path) -> None:
    decisions = Decisions(path)
    decisions.change(lambda known: {"1.png": ONE})
    assert read_corrections(path).entries == (ONE,)
    decisions.change(lambda known: {"2.png": TWO, "1.png": None})
    assert read_corrections(path).entries == (TWO,)
    assert decisions.undo() == ("2.png", "1.png")
    assert read_corrections(path).entries == (ONE,)
    assert decisions.undo() == ("1.png",)
    assert read_corrections(path).entries == ()
    assert decisions.undo() == ()


def test_what_was_there_is_gone_on_with(path: Path) -> None:
    Decisions(path).change(lambda known: {"1.png": ONE})
    again = Decisions(path)
    again.change(lambda known: {"2.png": TWO} if "1.png" in known else {})
    assert read_corrections(path).entries == (ONE, TWO)


def test_somebody_elses_changes_are_kept(path: Path) -> None:
    decisions = Decisions(path)
    decisions.change(lambda known: {"1.png": ONE})
    other = Correction("by hand.png", "quarantine")
    write_corrections(Corrections(path, (other,)))
    decisions.change(lambda known: {"2.png": TWO})
    assert read_corrections(path).entries == (other, TWO)


def test_a_table_that_was_damaged_meanwhile_is_left_as_it_is(path: Path) -> None:
    decisions = Decisions(path)
    decisions.change(lambda known: {"1.png": ONE})
    path.write_text("file,action\n1.png,maybe\n")
    with raises(DataError, code="damaged_line", naming=("line 2", "'maybe'")):
        decisions.change(lambda known: {"2.png": TWO})
    assert path.read_text() == "file,action\n1.png,maybe\n"


def test_a_table_of_something_else_is_not_overwritten(path: Path) -> None:
    path.write_text("image,label\n1.png,x\n")
    with raises(DataError, code="wrong_format", parameter="corrections"):
        Decisions(path)
