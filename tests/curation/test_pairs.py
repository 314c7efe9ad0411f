from pathlib import Path

import numpy as np
import pytest

from distingo.curation.findings import DEFAULT_THRESHOLDS
from distingo.curation.pairs import (
    comparable,
    duplicate_findings,
    leak_findings,
    near_pairs,
    nearest,
    outlier_findings,
    pair_findings,
)
from distingo.messages.notes import note
from distingo.near_duplicates.search import CopyPair
from distingo.records import LabeledImage, ManifestRow, Source


def row(file: str, label: str, split: str | None, status: str, same_as: str) -> ManifestRow:
    return ManifestRow(file, status, note("same-bytes", file=same_as), (label,), split, "PNG", 9, 9, file, same_as)


def image(file: str, label: str = "a", split: str | None = None, pixels: str = "") -> LabeledImage:
    return LabeledImage(Source(file, Path(file)), (label,), f"content of {file}", pixels or file, 90, 90, split)


def test_exact_copies_are_duplicates_leaks_or_contradictions():
    rows = [
        row("1", "a", "train", "used", ""),
        row("2", "a", "train", "duplicate", "1"),
        row("3", "a", "test", "used", ""),
        row("4", "a", "train", "duplicate", "3"),
        row("5", "a", "train", "conflict", "6"),
        row("6", "b", "train", "conflict", "5"),
    ]
    found = list(duplicate_findings(rows, DEFAULT_THRESHOLDS))
    assert [(finding.kind, finding.file, finding.other) for finding in found] == [
        ("duplicate", "2", "1"),
        ("leak", "4", "3"),
        ("contradiction", "5", "6"),
    ]
    assert all(finding.score == 1 for finding in found)


def test_near_copies_name_first_what_is_to_be_put_away():
    images = [image("test/1", split="test"), image("train/2", split="train"), image("train/3", "b", "train")]
    pairs = [CopyPair(0, 1, 0.9, False), CopyPair(1, 2, 0.7, True)]
    leak, contradiction = pair_findings(images, (), "", pairs, DEFAULT_THRESHOLDS)
    assert (leak.kind, leak.file, leak.other) == ("leak", "train/2", "test/1")
    assert leak.reason == note("on-split", said=note("same-scene", file="test/1"), split=note("test"))
    assert (contradiction.kind, contradiction.counts) == ("contradiction", False)
    assert contradiction.reason is not None
    assert contradiction.reason.code == "in-classes"
    assert str(contradiction.reason) == "the same scene as train/2, mirrored, which is in a"


def test_the_later_of_two_copies_is_named_where_nothing_else_decides():
    (found,) = pair_findings([image("a"), image("b")], (), "", [CopyPair(0, 1, 0.9, False)], DEFAULT_THRESHOLDS)
    assert (found.kind, found.file, found.other) == ("near-duplicate", "b", "a")


def test_copies_in_another_data_set_leak():
    images = [image("a", pixels="p"), image("b")]
    others = (image("x", pixels="p"), image("y", "strange"))
    (exact,) = leak_findings(images, others, "/other", DEFAULT_THRESHOLDS)
    assert (exact.kind, exact.file, exact.other, exact.other_root) == ("leak", "a", "x", "/other")
    pairs = [CopyPair(0, 2, 1.0, False), CopyPair(1, 3, 0.85, False), CopyPair(2, 3, 0.9, False)]
    (near,) = pair_findings(images, others, "/other", pairs, DEFAULT_THRESHOLDS)
    assert (near.kind, near.file, near.other, near.score) == ("leak", "b", "y", 0.85)


def images(count: int) -> list[LabeledImage]:
    return [LabeledImage(Source(f"{at}.png", Path()), ("a",), str(at), str(at), 9, 9) for at in range(count)]


def test_a_image_of_another_kind_is_found():
    generator = np.random.default_rng(0)
    embeddings = generator.normal(3, 1, (200, 16)).astype(np.float32)
    embeddings[17] = generator.normal(-3, 1, 16)
    distances, _ = nearest(comparable(embeddings, deep=True), 10)
    found = sorted(outlier_findings(images(200), distances, 0.5), key=lambda finding: -finding.score)
    assert found[0].file == "17.png"
    assert found[0].score > 0.9
    assert [finding.file for finding in found if finding.counts] == ["17.png"]
    assert found[0].reason is not None
    assert found[0].reason.code == "far-from-nearest"


def test_few_images_have_no_outliers():
    assert list(outlier_findings(images(10), np.ones((10, 9)), 0.5)) == []


def test_equal_images_have_no_outliers():
    assert list(outlier_findings(images(20), np.zeros((20, 10)), 0.5)) == []


def test_embeddings_are_made_comparable():
    deep = comparable(np.array([[3, 4], [0, 0]], np.float32), deep=True)
    assert deep.tolist() == [[pytest.approx(0.6), pytest.approx(0.8)], [0, 0]]
    classic = comparable(np.array([[1, 5], [3, 5]], np.float32), deep=False)
    assert classic.tolist() == [[-1, 0], [1, 0]]


def test_each_pair_of_neighbors_comes_once():
    assert near_pairs(np.array([[1, 2], [0, 2], [1, 0]]), 1) == [(0, 1), (1, 2)]
