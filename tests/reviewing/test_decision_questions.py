"""Findings to questions: one per image, one per pair, the gravest first."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from distingo import reviewing
from distingo.curation.findings import IMAGE_KINDS, Finding
from distingo.datasets.corrections import Correction, Corrections
from distingo.report.pages.check import KIND_TEXTS
from distingo.reviewing.decisions import gather_questions

DARK = Finding("dark", "a/1.png", 0.9, 0.5, ("a",), content="1" * 32)


def test_all_about_one_image_is_one_question() -> None:
    label = Finding("label", "a/1.png", 0.6, 0.5, ("a",), suggested=("b",))
    below = Finding("blurred", "a/1.png", 0.4, 0.5, ("a",))
    (question,) = gather_questions([below, DARK, label])
    assert [finding.kind for finding in question.findings] == ["label", "dark", "blurred"]
    assert (question.kinds, question.counts, question.suggested(0)) == (("label", "dark"), True, ("b",))


def test_a_pair_is_one_question_whichever_way_round() -> None:
    pair = Finding("leak", "train/a/1.png", 0.9, 0.5, ("a",), other="test/a/1.png", other_labels=("a",))
    turned = Finding("duplicate", "test/a/1.png", 1.0, 0.5, ("a",), other="train/a/1.png")
    (question,) = gather_questions([pair, turned])
    assert question.kinds == ("leak", "duplicate")
    assert [image.file for image in question.images] == ["test/a/1.png", "train/a/1.png"]


def test_sides_that_the_check_knows_go_before_folders() -> None:
    pair = Finding("near-duplicate", "x/1.png", 0.9, 0.5, split="test", other="w/2.png", other_split="train")
    (question,) = gather_questions([pair])
    assert [image.file for image in question.images] == ["x/1.png", "w/2.png"]
    (question,) = gather_questions([replace(pair, other_root="/other", other_split="train")])
    assert [image.root for image in question.images] == ["/other", ""]


def test_the_worst_come_first_and_those_below_the_threshold_last() -> None:
    files = gather_questions(
        [
            replace(DARK, file="3", score=0.6),
            replace(DARK, file="4", score=0.2),
            replace(DARK, file="2", score=0.7),
            replace(DARK, file="1", kind="contradiction", score=0.5),
            replace(DARK, file="5", kind="unreadable", score=1.0),
        ]
    )
    assert [question.images[0].file for question in files] == ["1", "2", "3", "5", "4"]
    assert [question.counts for question in files] == [True, True, True, True, False]


def test_of_a_contradiction_each_suggests_its_class_for_the_other() -> None:
    pair = Finding("contradiction", "a/1.png", 1.0, 0.5, ("a",), other="b/1.png", other_labels=("b",))
    (question,) = gather_questions([pair])
    assert [question.suggested(place) for place in (0, 1)] == [("b",), ("a",)]


def test_a_question_is_answered_when_all_that_counts_is() -> None:
    (question,) = gather_questions([DARK, replace(DARK, kind="blurred"), replace(DARK, kind="bright", score=0.1)])
    half = Correction("a/1.png", "keep", kinds=("dark",))
    assert not question.is_resolved(Corrections(Path("c"), (half,)))
    assert question.is_resolved(Corrections(Path("c"), (replace(half, kinds=("dark", "blurred")),)))


def test_every_kind_has_its_place_in_the_order() -> None:
    order = [question.kinds[0] for question in gather_questions([replace(DARK, kind=k, file=k) for k in IMAGE_KINDS])]
    assert order == list(IMAGE_KINDS)


def test_the_page_names_kinds_as_the_page_of_the_check_does_and_in_that_order() -> None:
    words = Path(reviewing.__file__).parent / "page" / "words.js"
    named = re.findall(r'^  "([a-z-]+)": \["([^"]+)"', words.read_text(encoding="utf-8"), re.MULTILINE)
    assert named == [(kind, KIND_TEXTS[kind].name) for kind in IMAGE_KINDS]
