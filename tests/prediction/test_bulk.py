"""Bulk prediction from the command line: streaming, resuming and sorting, without losing an image."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

import distingo
from distingo.cli import main
from distingo.errors import DataError, ResourceError, UsageError
from raising import raises

COLORS = {"red": (220, 30, 30), "blue": (30, 30, 220)}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for at in range(150):
        Image.new("RGB", (40, 30), list(COLORS.values())[at % 2]).save(folder / f"{at:04}.png")
    (folder / "0077.png").write_text("<html>gone</html>")
    return folder


@pytest.fixture
def run(tiny_runs: dict[str, Path]) -> Path:
    return tiny_runs["small-cnn"]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_image_is_a_row_in_order(run: Path, photos: Path, tmp_path: Path) -> None:
    assert main(["predict", str(run), str(photos), "-o", str(tmp_path / "out.csv"), "--workers", "3"]) == 3
    found = rows(tmp_path / "out.csv")
    assert [row["file"] for row in found] == [str(path) for path in sorted(photos.iterdir())]
    assert [row["file"][-8:] for row in found if row["error"]] == ["0077.png"]
    assert all(row["label"] in {"red", "blue", "green"} for row in found if not row["error"])
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("out")] == ["out.csv"]


def test_one_call_streams_and_the_other_lists(run: Path, photos: Path, tmp_path: Path) -> None:
    listed = distingo.predict(run, [photos], topk=1)
    assert distingo.predict(run, str(photos), topk=1) == listed  # one path is no series of letters
    with raises(UsageError, code="invalid_type", parameter="paths"):
        distingo.predict(run, b"content")
    stream = distingo.predict_stream(run, [str(photos / "*.png")], topk=1, output=tmp_path / "out.jsonl")
    assert stream.images.count() == 150
    assert list(stream) == listed
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()]
    assert [line["file"] for line in lines] == [prediction.file for prediction in listed]


@pytest.mark.parametrize("taken", [1, 70, 149])
def test_left_off_it_goes_on(run: Path, photos: Path, tmp_path: Path, taken: int) -> None:
    output = tmp_path / "out.parquet"
    stream = iter(distingo.predict_stream(run, [photos], output=output))
    first = [next(stream) for _ in range(taken)]
    stream.close()  # type: ignore[attr-defined]
    assert not output.exists()
    again = distingo.predict_stream(run, [photos], output=output)
    found = list(again)
    assert again.resumed >= taken
    assert found[:taken] == first
    distingo.predict(run, [photos], output=tmp_path / "whole.parquet")
    assert output.read_bytes() == (tmp_path / "whole.parquet").read_bytes()
    with raises(ResourceError, code="already_exists", parameter="output"):
        distingo.predict_stream(run, [photos], output=output)


@pytest.mark.parametrize("ending", ["csv", pytest.param("parquet", marks=pytest.mark.slow)])
def test_killed_it_goes_on_to_the_same_table(run: Path, photos: Path, tmp_path: Path, ending: str) -> None:
    """A real process, killed between two batches, then the same command."""
    many = tmp_path / "many"
    many.mkdir()
    for at in range(2000):
        os.link(photos / f"{at % 150:04}.png", many / f"{at:05}.png")
    output, partial = tmp_path / f"out.{ending}", tmp_path / f"out.{ending}.partial"
    words = [sys.executable, "-m", "distingo", "predict", str(run), str(many), "-o", str(output), "--workers", "1"]
    process = subprocess.Popen([*words, "--engine", "torch"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while process.poll() is None and (not partial.exists() or partial.stat().st_size < 20_000):
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not output.exists()
    kept = partial.read_bytes().count(b"\n") - 1
    assert kept > 0
    done = subprocess.run([*words, "--engine", "torch"], capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert f"2,000 rows written to {output} ({kept:,} of them from an earlier time)" in done.stdout
    assert not partial.exists()
    if ending == "csv":
        assert [row["file"] for row in rows(output)] == [str(path) for path in sorted(many.iterdir())]
    else:
        import pyarrow.parquet as pq

        assert pq.read_table(output).num_rows == 2000


def test_stopped_by_hand_it_reports_how_to_continue(run: Path, photos: Path, tmp_path: Path) -> None:
    output, partial = tmp_path / "out.csv", tmp_path / "out.csv.partial"
    words = [sys.executable, "-m", "distingo", "predict", str(run), "-", "-o", str(output)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(words, text=True, **pipes)  # type: ignore[call-overload]
    process.stdin.write("".join(f"{photos}/{at % 150:04}.png\n" for at in range(600)))
    process.stdin.flush()
    while process.poll() is None and (not partial.exists() or partial.stat().st_size < 20_000):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 130, said
    assert "the same command continues from there" in said
    assert not output.exists()
    assert partial.read_bytes().endswith(b"\n")


def test_names_from_standard_input(run: Path, photos: Path, tmp_path: Path) -> None:
    names = "\n".join(str(photos / f"{at:04}.png") for at in (3, 1, 2))
    words = [sys.executable, "-m", "distingo", "predict", str(run), "-"]
    done = subprocess.run(words, input=names, capture_output=True, text=True, check=True)
    assert [line.partition("\t")[0] for line in done.stdout.splitlines()] == names.split("\n")


def test_the_output_may_lie_among_the_images(run: Path, photos: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(photos, tmp_path / "photos")
    main(["predict", str(run), str(folder), "-o", str(folder / "out.csv")])
    assert len(rows(folder / "out.csv")) == 150
    assert main(["predict", str(run), str(folder / "out.csv"), "-o", str(tmp_path / "again.csv")]) == 3
    assert rows(tmp_path / "again.csv") == rows(folder / "out.csv")


def test_sorting_and_its_way_back(run: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "sorted"
    words = ["predict", str(run), str(photos), "--sort-into", str(folder)]
    assert main([*words, "--link", "--dry-run"]) == 3
    planned = capsys.readouterr().out
    assert not folder.exists()
    assert "149 pictures would be linked" in planned
    assert main([*words, "--link", "-o", str(tmp_path / "out.csv")]) == 3
    printed = capsys.readouterr()
    assert "149 pictures are linked" in printed.out
    assert "0077.png\tERROR: " in printed.err
    for row in rows(tmp_path / "out.csv"):
        link = folder / (row["label"] or "unreadable") / Path(row["file"]).name
        assert link.is_symlink() == (not row["error"])
        assert (f"{row['file']}\t{link}" in planned) == link.is_symlink()
    assert main(["predict", "--undo", str(folder)]) == 0
    assert "149 taken out" in capsys.readouterr().out
    assert not folder.exists()


def test_what_can_t_be_done_is_reported_before_anything_is_written(run: Path, photos: Path, tmp_path: Path) -> None:
    for options, code in (
        ({"sort_into": tmp_path / "s"}, "needs_other_option"),
        ({"sort_as": "copy"}, "needs_other_option"),
        ({"dry_run": True}, "needs_other_option"),
        (
            {"dry_run": True, "sort_into": tmp_path / "s", "sort_as": "copy", "output": tmp_path / "o.csv"},
            "options_conflict",
        ),
        ({"sort_into": photos / "sorted", "sort_as": "copy"}, "overlapping_folders"),
        ({"topk": 0, "output": tmp_path / "o.csv"}, "out_of_range"),
        ({"workers": -1, "output": tmp_path / "o.csv"}, "out_of_range"),
    ):
        with raises(UsageError, code=code):  # type: ignore[arg-type]
            distingo.predict_stream(run, [photos], **options)  # type: ignore[arg-type]
    assert not (tmp_path / "s").exists()
    assert not list(tmp_path.glob("o.csv*"))
    undoing = ["predict", str(run), str(photos), "--undo", "x"], ["predict", "--undo", "x", "--dry-run"]
    for words in (["predict"], ["predict", str(run)], *undoing):
        assert main(words) == 2


def test_a_missing_file_raises_in_python_and_is_a_row_on_the_command_line(
    run: Path, photos: Path, tmp_path: Path
) -> None:
    named = [photos / "0000.png", photos / "gone.png", photos / "0077.png"]
    output = tmp_path / "out.csv"
    with raises(DataError, code="not_found", naming=("gone.png", "'row'")):
        distingo.predict(run, named, output=output)
    assert not list(tmp_path.iterdir())
    kept = distingo.predict(run, named, on_error="row")
    assert [bool(each.error) for each in kept] == [False, True, True]
    assert list(distingo.predict_stream(run, named)) == kept
    assert [bool(each.error) for each in distingo.predict(run, [named[0], named[2]])] == [False, True]
    with raises(DataError, code="damaged_image", naming=("0077.png", "'row'")):
        distingo.predict(run, [named[0], named[2]], on_error="raise", output=output)
    assert distingo.predict(run, [named[0], named[2]], output=output) == [kept[0], kept[2]]  # goes on
    assert [bool(row["error"]) for row in rows(output)] == [False, True]
    assert main(["predict", str(run), *map(str, named), "-o", str(tmp_path / "all.csv")]) == 3
    assert [bool(row["error"]) for row in rows(tmp_path / "all.csv")] == [False, True, True]


def test_a_file_that_a_table_or_standard_input_names_may_be_missing_too(
    run: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = f"{photos / '0000.png'}\n{photos / 'gone.png'}\n"
    (tmp_path / "list.csv").write_text(f"file\n{named}", encoding="utf-8")
    with raises(DataError, code="not_found", naming="gone.png"):
        distingo.predict(run, tmp_path / "list.csv")
    assert len(distingo.predict(run, tmp_path / "list.csv", on_error="row")) == 2
    for on_error in (None, "row"):
        monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(named.encode())))
        if on_error is None:
            with raises(DataError, code="not_found", naming="gone.png"):
                distingo.predict(run, "-")
        else:
            assert [bool(each.error) for each in distingo.predict(run, "-", on_error="row")] == [False, True]


def test_what_predict_gives_is_shown_and_tabled(run: Path, photos: Path) -> None:
    found = distingo.predict(run, [photos / "0000.png", photos / "0077.png"], top_k=1)
    assert found._repr_html_().count("<img ") == 1
    assert found.to_pandas()["label"].tolist() == [found[0].label, None]
    with raises(UsageError, code="options_conflict", parameter="topk"):
        distingo.predict(run, [photos], topk=2, top_k=1)
