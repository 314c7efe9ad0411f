from __future__ import annotations

import pytest

from distingo.exporting.agreement import Agreement
from distingo.records import ImageSpec
from distingo.runtime.description import ExportDescription, Precision


def agreement(same: int, images: int = 1000, **scores: float) -> Agreement:
    return Agreement(
        images=images,
        unreadable=0,
        checked_on="pictures in photos",
        same=same,
        largest_difference=0.0123,
        score="accuracy" if scores else None,
        original_score=scores.get("before"),
        exported_score=scores.get("after"),
    )


def description(precision: Precision) -> ExportDescription:
    return ExportDescription("onnx", precision, "single-label", ("a", "b"), ImageSpec(8, 8, 3), in_graph=True)


@pytest.mark.parametrize("precision", ["float32", "half"])
def test_199_of_200_answers_must_be_the_same(precision: Precision) -> None:
    assert agreement(995).is_enough(description(precision))
    assert not agreement(994, before=0.9, after=0.95).is_enough(description(precision))


def test_8_bit_integers_are_scored_by_their_cost() -> None:
    assert agreement(900, before=0.90, after=0.89).is_enough(description("int8"))
    assert agreement(900, before=0.90, after=0.93).is_enough(description("int8"))
    assert not agreement(999, before=0.90, after=0.889).is_enough(description("int8"))


def test_without_labels_other_answers_stand_for_the_cost() -> None:
    assert agreement(990).is_enough(description("int8"))
    assert not agreement(989).is_enough(description("int8"))


def test_the_figures_are_reported() -> None:
    assert agreement(999).words == (
        "the same answer on 999 of 1,000 pictures (99.90%; pictures in photos), probabilities differ by 0.012 at most"
    )
    assert agreement(999, before=0.9, after=0.895).words.endswith(", accuracy 89.50% against 90.00%")
