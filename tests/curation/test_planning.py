"""Cleaning plans: moved files, kept duplicates, and unmoved files."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
from drawing import encode, idx_bytes, noise
from hypothesis import given
from hypothesis import strategies as st

from distingo.curation.planning import CleaningPlan, choose_copies, plan_cleaning
from distingo.datasets.corrections import Correction, Corrections
from distingo.messages.notes import Note, note
from trees import draw, found


def moves(plan: CleaningPlan) -> dict[str, str]:
    return {move.file: move.stays for move in plan.moves}


def left(plan: CleaningPlan) -> dict[str, Note]:
    return {entry.file: entry.reason for entry in plan.unmoved}


def test_the_test_sides_copy_stays(tmp_path: Path) -> None:
    root = draw(tmp_path, "train/a/1.png", "test/a/1.png", "val/a/1.png", "train/a/2.png")
    pairs = [
        found(root, "duplicate", "train/a/1.png", "val/a/1.png"),
        found(root, "duplicate", "test/a/1.png", "train/a/1.png"),
        found(root, "leak", "train/a/2.png", "test/a/1.png"),
    ]
    plan = plan_cleaning(root, pairs)
    assert moves(plan) == dict.fromkeys(["train/a/1.png", "train/a/2.png", "val/a/1.png"], "test/a/1.png")
    assert plan.notes == (note("folder-left-empty", folder="train/a"), note("folder-left-empty", folder="val/a"))
    splits = [found(root, "duplicate", "train/a/1.png", "train/a/2.png", split="train", other_split="test")]
    assert moves(plan_cleaning(root, splits)) == {"train/a/1.png": "train/a/2.png"}


def test_of_near_duplicates_the_largest_stays(tmp_path: Path) -> None:
    root = draw(tmp_path, "a/1.png")
    (root / "a" / "2.png").write_bytes(encode(noise(7, (40, 30))))
    assert moves(plan_cleaning(root, [found(root, "near-duplicate", "a/1.png", "a/2.png")])) == {"a/1.png": "a/2.png"}


def test_a_copy_stays_though_the_other_goes_for_another_reason(tmp_path: Path) -> None:
    root = draw(tmp_path, "a/1.png", "a/2.png", "a/3.png")
    findings = [found(root, "dark", "a/1.png"), found(root, "duplicate", "a/1.png", "a/2.png")]
    plan = plan_cleaning(root, findings)
    assert moves(plan) == {"a/1.png": ""}
    assert plan.moves[0].kinds == ("dark", "duplicate")


def test_both_of_a_contradiction_go(tmp_path: Path) -> None:
    root = draw(tmp_path, "a/1.png", "b/1.png")
    assert moves(plan_cleaning(root, [found(root, "contradiction", "a/1.png", "b/1.png")])) == {
        "a/1.png": "",
        "b/1.png": "",
    }


def test_a_copy_in_another_data_set_is_not_touched(tmp_path: Path) -> None:
    root = draw(tmp_path / "one", "a/1.png")
    other = draw(tmp_path / "other", "a/9.png")
    finding = found(root, "leak", "a/1.png", "a/9.png", other_root=str(other), other_content="")
    assert moves(plan_cleaning(root, [finding])) == {"a/1.png": ""}


def test_what_changed_or_went_is_left_alone(tmp_path: Path) -> None:
    root = draw(tmp_path, "a/1.png", "a/2.png", "a/3.png", "a/4.png", "a/5.png")
    findings = [
        found(root, "dark", "a/1.png"),
        found(root, "dark", "a/2.png"),
        found(root, "duplicate", "a/3.png", "a/4.png"),
    ]
    (root / "a/1.png").write_bytes(b"other")
    (root / "a/2.png").unlink()
    (root / "a/3.png").write_bytes(encode(noise(55)))
    plan = plan_cleaning(root, findings)
    assert not plan.moves
    assert left(plan) == {
        "a/1.png": note("changed-since-check"),
        "a/2.png": note("not-there-any-more"),
        "a/4.png": note("copy-not-kept", file="a/3.png", said=note("changed-since-check")),
    }


def test_files_outside_are_not_moved(tmp_path: Path) -> None:
    outside = draw(tmp_path / "outside", "x.png", "y.png")
    root = draw(tmp_path / "data", "a/1.png")
    (root / "a" / "link.png").symlink_to(outside / "x.png")
    (root / "b").symlink_to(outside, target_is_directory=True)
    files = ["a/link.png", "b/y.png", "../outside/x.png", str(outside / "x.png")]
    plan = plan_cleaning(root, [found(root, "dark", file) for file in files])
    assert not plan.moves
    assert left(plan) == {
        "a/link.png": note("is-a-link"),
        "b/y.png": note("reached-through-link"),
        "../outside/x.png": note("outside-folder", folder=str(root)),
        str(outside / "x.png"): note("outside-folder", folder=str(root)),
    }


def test_entries_of_idx_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx_bytes(np.zeros((3, 4, 4)))))
    plan = plan_cleaning(tmp_path, [found(tmp_path, "empty", "train-images-idx3-ubyte.gz#1")])
    assert left(plan) == {"train-images-idx3-ubyte.gz#1": note("inside-file-of-images")}


def test_what_a_person_kept_is_left_alone(tmp_path: Path) -> None:
    root = draw(tmp_path, "a/1.png", "a/2.png", "a/3.png")
    findings = [found(root, "dark", file) for file in ("a/1.png", "a/2.png", "a/3.png")]
    decided = Corrections(
        root / "corrections.csv",
        (
            Correction("a/1.png", "keep", kinds=("dark",), line=2),
            Correction("a/2.png", "quarantine", line=3),
            Correction("a/3.png", "keep", kinds=("blurred",), line=4),
        ),
    )
    plan = plan_cleaning(root, findings, decided)
    assert set(moves(plan)) == {"a/2.png", "a/3.png"}
    assert left(plan) == {"a/1.png": note("decided", table="corrections.csv", action="keep", line=2)}


@pytest.mark.skipif(os.getuid() == 0, reason="root opens everything")
def test_what_cant_be_opened_may_be_moved(tmp_path: Path) -> None:
    root = draw(tmp_path, "a/1.png")
    (root / "a/1.png").chmod(0)
    assert set(moves(plan_cleaning(root, [found(root, "unreadable", "a/1.png", content="")]))) == {"a/1.png"}


_PAIRS = st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("abcdefgh")).filter(lambda p: p[0] != p[1]))


def test_of_the_same_one_stays() -> None:
    assert choose_copies([("b", "c"), ("a", "b")], [], str) == {"b": "a", "c": "a"}


def test_likeness_is_not_carried_over() -> None:
    chain = [("a", "b"), ("b", "c"), ("c", "d")]
    assert choose_copies([], chain, str) == {"b": "a", "d": "c"}


def test_a_copy_of_a_copy_names_the_one_that_stays() -> None:
    assert choose_copies([("b", "c")], [("a", "c")], str) == {"b": "a", "c": "a"}


@given(_PAIRS, _PAIRS)
def test_no_pair_is_left_and_no_group_goes_altogether(same: list, alike: list) -> None:
    goes = choose_copies(same, alike, str)
    assert not set(goes) & set(goes.values())
    for one, other in [*same, *alike]:
        assert one in goes or other in goes
    near = {frozenset(pair) for pair in [*same, *alike]}
    reached = {file: _connected(file, near) for file in goes}
    assert all(kept in reached[file] for file, kept in goes.items())


def _connected(file: str, pairs: set[frozenset[str]]) -> set[str]:
    known = {file}
    while True:
        more = {each for pair in pairs if pair & known for each in pair} - known
        if not more:
            return known
        known |= more
