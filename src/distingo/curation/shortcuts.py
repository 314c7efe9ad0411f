"""Whether something beside what a picture shows tells the classes apart: a model would learn that instead."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from distingo.curation.findings import Finding
from distingo.curation.thresholds import KEPT_FROM
from distingo.datasets.decoding.decode import read_bytes
from distingo.features.measurements import MEASUREMENTS
from distingo.records import Dataset, Picture, Source

_SAMPLE = 5_000

_FOLDS = 5

_LEAVES = 64

_FEWEST = 5
"""A class, or a leaf of the tree, with fewer pictures says nothing."""

_WRITTEN_TAGS = (0x010F, 0x0110, 0x0131, 0x013B)
"""EXIF's make, model, software and artist."""

_WRITTEN_KINDS = ("icc_profile", "exif", "comment", "jfif", "dpi", "progressive")

Columns = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Shortcut:
    """How far one thing alone tells the classes apart.

    Attributes:
        name: What it is, in words.
        reached: Balanced accuracy; with several labels the mean area under the ROC curve.
        chance: What guessing reaches.
        n: How many pictures were looked at.
    """

    name: str
    reached: float
    chance: float
    n: int

    @property
    def score(self) -> float:
        """The share of the way from guessing to certainty, from 0 to 1."""
        return min(max((self.reached - self.chance) / (1 - self.chance), 0.0), 1.0)


def look_for_shortcuts(
    dataset: Dataset, measurements: npt.NDArray[np.float32], *, seed: int = 0
) -> tuple[Shortcut, ...]:
    """Let a decision tree tell the classes apart by one thing at a time, in five-fold cross-validation.

    Looked at are file size, sharpness, brightness, mean colour, dimensions, and what is written in the file beside the
    picture (format, camera, software); in at most 5,000 pictures, drawn by the seed.

    Args:
        dataset: With its usable pictures.
        measurements: Float32 (n, 12) of them.
        seed: Of sample, folds and trees.

    Returns:
        One for each thing, the most telling first; none where fewer than two classes have ten pictures.
    """
    chosen = np.sort(np.random.default_rng(seed).permutation(len(dataset.pictures))[:_SAMPLE])
    pictures = [dataset.pictures[at] for at in chosen]
    having, kept = _targets(pictures, dataset.task)
    if having is None:
        return ()
    pictures = [pictures[at] for at in kept]
    things = _things(pictures, measurements[chosen[kept]])
    found = [
        Shortcut(name, *_tell_apart(columns, having, dataset.task, seed), len(pictures))
        for name, columns in things.items()
        if len(np.unique(columns, axis=0)) > 1
    ]
    return tuple(sorted(found, key=lambda shortcut: -shortcut.score))


def judge_shortcuts(shortcuts: Sequence[Shortcut], task: str, threshold: float) -> Iterator[Finding]:
    """A finding for each thing that tells classes apart, scored by the share of the way from guessing to certainty."""
    measure = "balanced accuracy" if task == "single-label" else "mean area under the ROC curve"
    for shortcut in shortcuts:
        than = f"{shortcut.reached:.0%} where guessing has {shortcut.chance:.0%}"
        reason = f"{shortcut.name} alone reaches a {measure} of {than} (n = {shortcut.n:,})"
        yield Finding("shortcut", "", shortcut.score, threshold, reason=reason)


def judge_imbalance(dataset: Dataset, threshold: float) -> Iterator[Finding]:
    """A finding for each class that is far smaller than the largest: 1 minus its share of that."""
    counts = Counter(label for picture in dataset.pictures for label in picture.labels)
    largest, most = max(counts.items(), key=lambda entry: entry[1], default=("", 0))
    for name in dataset.classes:
        score = 1 - counts[name] / max(most, 1)
        if score >= KEPT_FROM["imbalance"]:
            reason = f"{name} has {counts[name]:,} pictures, {largest} has {most:,}"
            yield Finding("imbalance", "", score, threshold, (name,), reason=reason)


def _targets(pictures: Sequence[Picture], task: str) -> tuple[npt.NDArray[np.bool_] | None, npt.NDArray[np.intp]]:
    """Classes that can be looked at, as truth values (n, classes), and the pictures that have them."""
    counts = Counter(label for picture in pictures for label in picture.labels)
    most = len(pictures) - 2 * _FEWEST if task == "multi-label" else len(pictures)
    names = sorted(name for name, count in counts.items() if 2 * _FEWEST <= count <= most)
    if len(names) < (1 if task == "multi-label" else 2):
        return None, np.arange(0)
    having = np.array([[name in picture.labels for name in names] for picture in pictures], bool)
    kept = np.arange(len(pictures)) if task == "multi-label" else np.flatnonzero(having.any(axis=1))
    return having[kept], kept


def _things(pictures: Sequence[Picture], measurements: npt.NDArray[np.float32]) -> dict[str, Columns]:
    named = dict(zip(MEASUREMENTS, measurements.T.astype(np.float64), strict=True))
    sizes = np.array([(picture.width, picture.height) for picture in pictures], np.float64)
    things: dict[str, Columns] = {
        "sharpness": named["sharpness"][:, None],
        "brightness": np.stack([named["brightness"], named["contrast"]], axis=1),
        "mean colour": np.stack([named[name] for name in ("red", "green", "blue")], axis=1),
        "dimensions": np.concatenate([sizes, sizes[:, :1] / sizes[:, 1:]], axis=1),
    }
    if all(picture.source.index is None for picture in pictures):
        read = [_read_beside(picture.source) for picture in pictures]
        things["file size"] = np.array([[size] for size, _ in read], np.float64)
        names = sorted({text for _, metadata in read for text in metadata})
        columns = [[text in metadata for text in names] for _, metadata in read]
        things["metadata"] = np.array(columns, np.float64).reshape(len(pictures), -1)
    return things


def _read_beside(source: Source) -> tuple[int, frozenset[str]]:
    """The file's size, and what is written in it beside the picture."""
    import io

    from PIL import Image

    try:
        data = read_bytes(source)
        with Image.open(io.BytesIO(data)) as image:
            exif = image.getexif()
            written = {
                f"{tag}={exif[tag]}" for tag in (271, 272, 305, 315) if tag in exif
            }  # make, model, software, artist
            kinds = {
                name for name in ("icc_profile", "exif", "comment", "jfif", "dpi", "progressive") if name in image.info
            }
            return len(data), frozenset({f"format={image.format}", f"mode={image.mode}", *written, *kinds})
    except Exception:  # what can't be read any more has nothing beside the picture either
        return 0, frozenset()


def _tell_apart(columns: Columns, having: npt.NDArray[np.bool_], task: str, seed: int) -> tuple[float, float]:
    from sklearn.metrics import balanced_accuracy_score, roc_auc_score
    from sklearn.model_selection import KFold, StratifiedKFold
    from sklearn.tree import DecisionTreeClassifier

    tree = DecisionTreeClassifier(
        max_leaf_nodes=_LEAVES, min_samples_leaf=_FEWEST, class_weight="balanced", random_state=seed
    )
    if task == "single-label":
        targets = having.argmax(axis=1)
        told = np.zeros(len(targets), np.int64)
        for known, held in StratifiedKFold(_FOLDS, shuffle=True, random_state=seed).split(columns, targets):
            told[held] = tree.fit(columns[known], targets[known]).predict(columns[held])
        return float(balanced_accuracy_score(targets, told)), 1 / having.shape[1]
    shares = np.zeros(having.shape)
    for known, held in KFold(_FOLDS, shuffle=True, random_state=seed).split(columns):
        for label in range(having.shape[1]):
            fitted = tree.fit(columns[known], having[known, label])
            if True in fitted.classes_:
                shares[held, label] = fitted.predict_proba(columns[held])[:, list(fitted.classes_).index(True)]
    return float(roc_auc_score(having, shares, average="macro")), 0.5
