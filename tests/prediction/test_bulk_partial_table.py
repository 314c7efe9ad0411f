"""Rows that are kept as they come, and turned into the table at the end."""

from __future__ import annotations

from pathlib import Path

import pytest

from distingo.errors import ResourceError, UsageError
from distingo.prediction.bulk import PartialTable, partial_of
from distingo.prediction.outputs import write_table
from distingo.scores import Prediction
from raising import raises

MADE_BY = {"model": "m", "topk": 1}
ROWS = [
    Prediction("a.png", ("Drama", "a|b"), (0.1, 1 / 3), given=("Drama",), abstained=False, unlike=True),
    Prediction("\udcff猫\n.png", (), (), "no picture", given=()),
    Prediction("c.png", ("News",), (0.5,), given=(), prediction_set=("News", "x")),
]


def begun(output: Path, rows: int) -> None:
    with PartialTable(output, MADE_BY) as table:
        for row in ROWS[:rows]:
            assert table.read_next(row.file) is None
            table.append(row)


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("before", [0, 1, 2, 3])
def test_it_goes_on_to_the_same_table(tmp_path: Path, ending: str, before: int) -> None:
    output = tmp_path / f"out{ending}"
    begun(output, before)
    assert not output.exists()
    with PartialTable(output, MADE_BY) as table:
        for at, row in enumerate(ROWS):
            assert table.read_next(row.file) == (row if at < before else None)
            if at >= before:
                table.append(row)
        table.finish()
    write_table(ROWS, tmp_path / f"whole{ending}")
    assert output.read_bytes() == (tmp_path / f"whole{ending}").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"out{ending}", f"whole{ending}"]


@pytest.mark.parametrize("cut", range(1, 12))
def test_what_a_kill_cut_off_is_made_anew(tmp_path: Path, cut: int) -> None:
    """At every kind of place: in the first line, between lines, in a row."""
    output = tmp_path / "out.csv"
    begun(output, 3)
    whole = partial_of(output).read_bytes()
    partial_of(output).write_bytes(whole[: len(whole) * cut // 12])
    with PartialTable(output, MADE_BY) as table:
        for row in ROWS:
            if table.read_next(row.file) is None:
                table.append(row)
        table.finish()
    write_table(ROWS, tmp_path / "whole.csv")
    assert output.read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_rows_of_other_images_are_left_out(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    begun(output, 3)
    new = Prediction("between.png", ("x",), (0.5,), given=())
    with PartialTable(output, MADE_BY) as table:
        assert table.read_next("a.png") == ROWS[0]
        assert table.read_next("between.png") is None
        assert table.read_next(ROWS[1].file) is None
        table.append(new)
        table.finish()
    write_table([ROWS[0], new], tmp_path / "whole.jsonl")
    assert output.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_fewer_images_than_before(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    begun(output, 3)
    with PartialTable(output, MADE_BY) as table:
        assert table.read_next("a.png") == ROWS[0]
        table.finish()
    assert len(output.read_text("utf-8").splitlines()) == 1


def test_nothing_is_overwritten_or_mixed(tmp_path: Path) -> None:
    output = tmp_path / "out.csv"
    begun(output, 1)
    with raises(ResourceError, code="changed_options", parameter="output"):
        PartialTable(output, {**MADE_BY, "topk": 2})
    with PartialTable(output, MADE_BY) as table:
        with raises(ResourceError, code="in_use", parameter="output"):
            PartialTable(output, MADE_BY)
        assert table.read_next("a.png") == ROWS[0]
        output.write_text("a person's")
        with raises(ResourceError, code="already_exists", parameter="output"):
            table.finish()
    assert output.read_text() == "a person's"
    with raises(ResourceError, code="already_exists", parameter="output"):
        PartialTable(output, MADE_BY)
    assert partial_of(output).exists()
    own = tmp_path / "mine.csv"
    partial_of(own).write_text("a person's\n")
    with raises(ResourceError, code="changed_options", parameter="output"):
        PartialTable(own, MADE_BY)
    assert partial_of(own).read_text() == "a person's\n"
    with raises(UsageError, code="invalid_file_name", parameter="output"):
        PartialTable(tmp_path / "out.xls", MADE_BY)
