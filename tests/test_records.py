from __future__ import annotations

from pathlib import Path

import numpy as np

from distingo.records import LabeledImage, Source, encode_labels


def images(*labels: tuple[str, ...]) -> list[LabeledImage]:
    return [
        LabeledImage(Source(f"{at}", Path(f"{at}")), names, f"{at}", f"{at}", 8, 8) for at, names in enumerate(labels)
    ]


def test_one_label_is_a_position() -> None:
    targets = encode_labels(images(("猫",), ("dog",)), ("dog", "猫"), "single-label")
    assert targets.dtype == np.int64
    assert targets.tolist() == [1, 0]


def test_several_labels_are_a_row_of_truth_values() -> None:
    targets = encode_labels(images(("a", "c"), (), ("b",)), ("a", "b", "c"), "multi-label")
    assert targets.dtype == np.bool_
    assert targets.tolist() == [[True, False, True], [False, False, False], [False, True, False]]
    assert encode_labels([], ("a", "b"), "multi-label").shape == (0, 2)
