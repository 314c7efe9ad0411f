from pathlib import Path

import numpy as np
import pytest

from distingo.curation.labels import label_findings, predict_out_of_fold
from distingo.messages.notes import Note
from distingo.records import LabeledImage, Source

NAMES = ("ape", "bee", "cat")


def clusters(each: int = 40, seed: int = 0) -> tuple[np.ndarray, list[tuple[str, ...]]]:
    generator = np.random.default_rng(seed)
    centers = generator.normal(0, 3, (3, 12))
    rows = np.concatenate([generator.normal(center, 1, (each, 12)) for center in centers]).astype(np.float32)
    return rows, [(name,) for name in NAMES for _ in range(each)]


def images(labels: list[tuple[str, ...]]) -> list[LabeledImage]:
    return [LabeledImage(Source(f"{at:03}", Path()), row, str(at), str(at), 9, 9) for at, row in enumerate(labels)]


@pytest.mark.parametrize("deep", [True, False])
def test_flipped_labels_are_the_worst(deep):
    embeddings, labels = clusters(100)
    flipped = {3: "bee", 150: "cat", 250: "ape"}
    for at, label in flipped.items():
        labels[at] = (label,)
    out_of_fold = predict_out_of_fold(embeddings, labels, "single-label", deep=deep, workers=2)
    assert out_of_fold is not None
    assert out_of_fold.score > 0.9
    found = sorted(label_findings(images(labels), out_of_fold, "single-label", 0.5), key=lambda finding: -finding.score)
    assert {int(finding.file) for finding in found[:3]} == set(flipped)
    counting = {int(finding.file) for finding in found if finding.counts}
    assert len(counting) >= 2
    assert counting <= set(flipped)
    worst = next(finding for finding in found if finding.file == "003")
    assert worst.suggested == ("ape",)
    assert worst.reason is not None
    assert (worst.reason.code, worst.reason.values["best"]) == ("looks-like", "ape")


def test_copies_do_not_confirm_each_other():
    embeddings, labels = clusters()
    embeddings[1:4] = embeddings[0]
    for at in range(4):
        labels[at] = ("bee",)
    chain = [(0, 1), (1, 2), (2, 3)]
    apart = predict_out_of_fold(embeddings, labels, "single-label", deep=True)
    joined = predict_out_of_fold(embeddings, labels, "single-label", deep=True, together=chain)
    assert apart is not None
    assert joined is not None
    assert joined.probabilities[0, 1] < apart.probabilities[0, 1]


def test_the_same_seed_gives_the_same_findings():
    embeddings, labels = clusters()
    out_of_fold = [
        predict_out_of_fold(embeddings, labels, "single-label", deep=False, workers=w, seed=3) for w in (1, 2)
    ]
    assert np.array_equal(out_of_fold[0].probabilities, out_of_fold[1].probabilities)


def test_several_labels_are_doubted_one_by_one():
    embeddings, single = clusters()
    high = embeddings[:, 0] > np.median(embeddings[:, 0])
    labels = [tuple(sorted({*row, *(("high",) if up else ())})) for row, up in zip(single, high, strict=True)]
    labels[5] = tuple(label for label in labels[5] if label != "ape")
    out_of_fold = predict_out_of_fold(embeddings, labels, "multi-label", deep=True)
    assert out_of_fold is not None
    found = {finding.file: finding for finding in label_findings(images(labels), out_of_fold, "multi-label", 0.5)}
    assert "ape" in found["005"].suggested
    assert found["005"].reason is not None
    assert ("with-label", "ape") in [
        (each.code, each.values["label"]) for each in found["005"].reason.values["reasons"] if isinstance(each, Note)
    ]


def test_labels_are_not_evaluated_if_nothing_can_be_learned():
    embeddings, labels = clusters()
    assert predict_out_of_fold(embeddings[:3], [("a",), ("b",), ("c",)], "single-label", deep=True) is None
    labels[0] = ("only one",)
    out_of_fold = predict_out_of_fold(embeddings, labels, "single-label", deep=True)
    assert out_of_fold is not None
    assert out_of_fold.classes == NAMES
    assert "000" not in {finding.file for finding in label_findings(images(labels), out_of_fold, "single-label", 0.5)}
