"""``distingo clean`` from the command line to the quarantine."""

from __future__ import annotations

from pathlib import Path

import pytest

import distingo
from distingo.cli import main
from distingo.curation.findings import read_findings, write_findings
from distingo.datasets.corrections import Correction, Corrections, write_corrections
from distingo.errors import UsageError
from distingo.messages.notes import note, text_note
from distingo.reviewing.session import ReviewSession
from raising import raises
from trees import draw, found, snapshot


@pytest.fixture
def data(tmp_path: Path) -> Path:
    root = draw(tmp_path / "data", "a/1.png", "a/2.png", "a/3.png", "b/1.png", "b/2.png")
    findings = [
        found(root, "duplicate", "a/1.png", "a/2.png", reason=note("same-bytes", file="a/1.png")),
        found(root, "dark", "b/1.png", reason=note("darker-than", brightness=0.02)),
        found(root, "dark", "b/2.png", reason=note("darker-than", brightness=0.03)),
        found(root, "outlier", "a/3.png"),
    ]
    write_findings(findings, tmp_path / "check" / "findings.csv")
    return root


def run(*words: object) -> int:
    return main([str(word) for word in words])


def test_nothing_is_moved_without_apply(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = snapshot(data.parent)
    assert run("clean", data, "--findings", data.parent / "check", "--duplicates", "--dark") == 0
    out = capsys.readouterr().out
    assert "duplicate: 1 to move\n  a/2.png: the same bytes as a/1.png; a/1.png stays\n" in out
    assert "dark: 2 to move\n  b/1.png: 99 % of it is darker than 2% of white\n" in out
    assert "b would be left empty" in out
    assert "odd-size" not in out
    assert "3 files would be moved to " in out
    assert "nothing is touched without --apply" in out
    assert snapshot(data.parent) == before


OLD_COLUMNS = (
    "counts,kind,file,score,threshold,labels,side,content,other,other_labels,other_root,suggested,reason,other_side,"
    "other_content\n"
)


def test_findings_of_earlier_versions_keep_their_texts(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = "yes,dark,b/1.png,1.0,0.5,b,train,,,,,,mean brightness 0.02; very dark,,\n"
    (data.parent / "check" / "findings.csv").write_text(OLD_COLUMNS + row, encoding="utf-8")
    (finding,) = read_findings(data.parent / "check")
    assert (finding.reason, finding.split) == (text_note("mean brightness 0.02; very dark"), "train")
    assert run("clean", data, "--findings", data.parent / "check", "--dark") == 0
    assert "dark: 1 to move\n  b/1.png: mean brightness 0.02; very dark\n" in capsys.readouterr().out
    reviewed: list[str] = []

    def look(url: str, session: ReviewSession) -> None:
        reviewed.extend(each["reason"] for each in session.question(0)["findings"])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        distingo.review(data, data.parent / "check", on_start=look)
    assert reviewed == ["mean brightness 0.02; very dark"]


def test_a_kind_that_has_nothing_is_named(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("clean", data, "--findings", data.parent / "check", "--odd-sizes", "--duplicates") == 0
    out = capsys.readouterr().out
    assert "odd-size: 0\n" in out
    assert "1 file would be moved to " in out


def test_it_moves_and_undoes(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = snapshot(data)
    place = data.parent / "q"
    findings = ("--findings", data.parent / "check" / "findings.csv")
    assert run("clean", data, *findings, "--duplicates", "--apply", "--quarantine", place) == 0
    assert f"`distingo clean {data} --undo {place}` puts them back" in capsys.readouterr().out
    assert set(before) - set(snapshot(data)) == {"a/2.png"}
    assert run("clean", "--undo", place) == 2
    assert "but it is not next to that; name where the pictures came from" in capsys.readouterr().err
    assert run("clean", data, "--undo", place) == 0
    assert f"1 file put back into {data}" in capsys.readouterr().out
    assert snapshot(data) == before
    (place / "a").mkdir()
    (data / "a/2.png").rename(place / "a/2.png")
    (data / "a/2.png").write_bytes(b"another")
    assert run("clean", data, "--undo", place) == 1
    assert "a/2.png: something else is in its place now" in capsys.readouterr().out


def test_the_kinds_of_findings_are_listed(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("clean", data, "--findings", data.parent / "check") == 2
    assert "holds --dark (2), --duplicates (1), --outliers (1)" in capsys.readouterr().err
    assert run("clean", data, "--findings", data.parent / "none", "--dark") == 1
    assert (
        "no such file; `distingo check DATA -o FOLDER` writes one, --findings FOLDER names it"
        in capsys.readouterr().err
    )
    assert run("clean", "--dark") == 2
    assert "clean needs DATA" in capsys.readouterr().err


def test_a_threshold_is_of_one_kind(data: Path) -> None:
    check = data.parent / "check"
    with raises(UsageError, code="out_of_range", parameter="thresholds"):
        distingo.clean(data, check, kinds=["dark"], threshold=5)
    with raises(UsageError, code="options_conflict", parameter="threshold"):
        distingo.clean(data, check, kinds=["dark", "duplicate"], threshold=0.5)
    with raises(UsageError, code="unknown_name", parameter="kinds"):
        distingo.clean(data, check, kinds=["darkness"])
    with raises(UsageError, code="missing_argument", parameter="kinds"):
        distingo.clean(data, check, kinds=[])


def test_what_was_decided_is_honored(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    decided = (Correction("b/1.png", "keep", kinds=("dark",)),)
    write_corrections(Corrections(data / "corrections.csv", decided))
    assert run("clean", data, "--findings", data.parent / "check", "--dark", "--apply") == 0
    assert "left alone: 1\n  b/1.png: decided in corrections.csv (keep, line 2)" in capsys.readouterr().out
    assert (data / "b/1.png").exists()


def test_a_table_of_labels_is_spoken_of(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "labels.csv").write_text("image,label\na/1.png,x\na/2.png,x\na/3.png,y\nb/1.png,y\nb/2.png,x\n")
    for each in (data, data / "labels.csv"):
        assert run("clean", each, "--findings", data.parent / "check", "--dark") == 0
        assert (
            "labels.csv is left as it is: pictures that it names would be listed as missing" in capsys.readouterr().out
        )
