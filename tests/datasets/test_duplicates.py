"""Which of several copies is used."""

from __future__ import annotations

from pathlib import Path

from distingo.datasets.cache.products import Examined, Facts, FileUse, resolve_duplicates
from distingo.datasets.walking import Candidate
from distingo.messages.notes import note, text_note
from distingo.records import Source, SplitName


def entry(
    file: str, label: str, content: str, pixels: str = "", split: SplitName | None = None, reason: str = ""
) -> Examined:
    facts = Facts(
        not reason,
        text_note(reason) if reason else None,
        "PNG",
        4,
        4,
        "" if reason else pixels or f"pixels of {content}",
    )
    return Examined(Candidate(Source(file, Path(file)), (label,), split), content, facts)


def test_the_first_by_name_is_used_and_the_others_name_it() -> None:
    assert resolve_duplicates([entry("a/1", "a", "x"), entry("a/2", "a", "y"), entry("a/3", "a", "x")]) == [
        FileUse("used"),
        FileUse("used"),
        FileUse("duplicate", note("same-bytes", file="a/1"), "a/1"),
    ]


def test_other_bytes_with_the_same_pixels_are_a_duplicate() -> None:
    assert resolve_duplicates([entry("a/1", "a", "x", "p"), entry("a/2", "a", "y", "p")])[1] == FileUse(
        "duplicate", note("same-pixels", file="a/1"), "a/1"
    )


def test_the_copy_on_the_test_side_is_kept_then_validation_then_train() -> None:
    copies = [
        entry("test/1", "a", "x", split="test"),
        entry("train/1", "a", "x", split="train"),
        entry("val/1", "a", "x", split="validation"),
    ]
    assert [use.status for use in resolve_duplicates(copies)] == ["used", "duplicate", "duplicate"]
    assert [use.status for use in resolve_duplicates(copies[1:])] == ["duplicate", "used"]


def test_two_classes_leave_all_copies_out() -> None:
    uses = resolve_duplicates([entry("a/1", "a", "x", "p"), entry("a/2", "a", "x", "p"), entry("b/1", "b", "y", "p")])
    reason = note("same-pixels-other-classes", count=2, names=("a", "b"))
    assert uses == [
        FileUse("conflict", reason, "b/1"),
        FileUse("conflict", reason, "b/1"),
        FileUse("conflict", reason, "a/1"),
    ]


def test_unusable_copies_keep_their_reason_and_name_the_first() -> None:
    uses = resolve_duplicates(
        [
            entry("a/1", "a", "x", reason="an HTML page"),
            entry("b/1", "b", "x", reason="an HTML page"),
            entry("b/2", "b", "", reason="can't be opened"),
            entry("b/3", "b", "", reason="can't be opened"),
        ]
    )
    assert uses == [
        FileUse("unusable", text_note("an HTML page")),
        FileUse("unusable", text_note("an HTML page"), "a/1"),
        FileUse("unusable", text_note("can't be opened")),
        FileUse("unusable", text_note("can't be opened")),
    ]
