"""Detection of shortcuts: properties other than the subject that distinguish the classes.

`find_shortcuts` tests all known properties of a data set's images, for `distingo check`. `find_file_shortcuts` tests
the properties in the manifest of a run, for the model card. On the same images both give the same results.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from distingo.curation.findings import MINIMUM_SCORES, Finding
from distingo.datasets.decoding.decode import read_bytes
from distingo.datasets.measurements import MEASUREMENTS
from distingo.messages.notes import note
from distingo.records import Dataset, ManifestRow, Source

_SAMPLE = 5_000

_FOLDS = 5

_LEAVES = 64

_FEWEST = 5
"""Minimum number of images in a leaf of the tree; classes need twice as many."""

_EXIF_TAGS = (0x010F, 0x0110, 0x0131, 0x013B)
"""EXIF's make, model, software and artist."""

_METADATA_KEYS = ("icc_profile", "exif", "comment", "jfif", "dpi", "progressive")

Columns = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Shortcut:
    """How well a single property distinguishes the classes.

    Attributes:
        name: Name of the property.
        reached: Single-label: balanced accuracy; multi-label: mean area under the ROC curve.
        chance: Score of random guessing.
        n: Number of inspected images.
    """

    name: str
    reached: float
    chance: float
    n: int

    @property
    def score(self) -> float:
        """Improvement over guessing relative to a perfect score, from 0 to 1."""
        return min(max((self.reached - self.chance) / (1 - self.chance), 0.0), 1.0)


def find_shortcuts(dataset: Dataset, measurements: npt.NDArray[np.float32], *, seed: int = 0) -> tuple[Shortcut, ...]:
    """Measure how well single properties distinguish the classes.

    The properties are the format, size and dimensions of the files, metadata (camera, software), sharpness, brightness
    and mean color. A decision tree is fitted on each of them, in five-fold cross-validation on at most 5,000 images.

    Args:
        dataset: The data set with its usable images.
        measurements: Measurements of the images, float32 (n, 12).
        seed: Seed of sample, folds and trees.

    Returns:
        One entry per property that varies, the best one first; empty if fewer than two classes have ten images.
    """
    images = dataset.images

    def properties(rows: npt.NDArray[np.intp]) -> dict[str, Columns]:
        columns_by_name = dict(zip(MEASUREMENTS, measurements[rows].T.astype(np.float64), strict=True))
        formats = {row.file: row.format for row in dataset.manifest}
        chosen = [images[at] for at in rows]
        columns = {
            "sharpness": columns_by_name["sharpness"][:, None],
            "brightness": np.stack([columns_by_name["brightness"], columns_by_name["contrast"]], axis=1),
            "mean color": np.stack([columns_by_name[name] for name in ("red", "green", "blue")], axis=1),
            "dimensions": _dimensions([(image.width, image.height) for image in chosen]),
            "format": _one_hot([{formats.get(image.source.file, "")} for image in chosen]),
        }
        if all(image.source.index is None for image in chosen):
            sizes, metadata = zip(*(_read_metadata(image.source) for image in chosen), strict=True)
            columns |= {"file size": np.array(sizes, np.float64)[:, None], "metadata": _one_hot(metadata)}
        return columns

    return _measure([image.labels for image in images], properties, dataset.task, seed)


def find_file_shortcuts(manifest: Sequence[ManifestRow], task: str, *, seed: int = 0) -> tuple[Shortcut, ...]:
    """Same as `find_shortcuts`, for the format and dimensions of the used files of a manifest."""
    used = [row for row in manifest if row.status == "used"]

    def properties(rows: npt.NDArray[np.intp]) -> dict[str, Columns]:
        chosen = [used[at] for at in rows]
        return {
            "dimensions": _dimensions([(row.width, row.height) for row in chosen]),
            "format": _one_hot([{row.format} for row in chosen]),
        }

    return _measure([row.labels for row in used], properties, task, seed)


def shortcut_findings(shortcuts: Sequence[Shortcut], task: str, threshold: float) -> Iterator[Finding]:
    """Create a finding for each shortcut, with its score."""
    code = "shortcut-accuracy" if task == "single-label" else "shortcut-area"
    for shortcut in shortcuts:
        name = note(f"property-{shortcut.name.replace(' ', '-')}")
        reason = note(code, name=name, reached=shortcut.reached, chance=shortcut.chance, count=shortcut.n)
        yield Finding("shortcut", "", shortcut.score, threshold, reason=reason)


def imbalance_findings(dataset: Dataset, threshold: float) -> Iterator[Finding]:
    """Create a finding for each small class; the score is 1 minus its size relative to the largest class."""
    counts = Counter(label for image in dataset.images for label in image.labels)
    largest, most = max(counts.items(), key=lambda entry: entry[1], default=("", 0))
    for name in dataset.classes:
        score = 1 - counts[name] / max(most, 1)
        if score >= MINIMUM_SCORES["imbalance"]:
            reason = note("class-sizes", name=name, count=counts[name], largest=largest, most=most)
            yield Finding("imbalance", "", score, threshold, (name,), reason=reason)


def _measure(
    labels: Sequence[tuple[str, ...]],
    properties: Callable[[npt.NDArray[np.intp]], Mapping[str, Columns]],
    task: str,
    seed: int,
) -> tuple[Shortcut, ...]:
    """Measure each property that `properties` returns, on a sample of the rows."""
    sample = np.sort(np.random.default_rng(seed).permutation(len(labels))[:_SAMPLE])
    having, usable = _targets([labels[at] for at in sample], task)
    if not having.size:
        return ()
    shortcuts = [
        Shortcut(name, *_cross_validate(columns, having, task, seed), len(usable))
        for name, columns in properties(sample[usable]).items()
        if len(np.unique(columns, axis=0)) > 1
    ]
    return tuple(sorted(shortcuts, key=lambda shortcut: -shortcut.score))


def _targets(labels: Sequence[tuple[str, ...]], task: str) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.intp]]:
    """Targets, bool (n, classes), of sufficiently large classes, and the indices of the rows that have them."""
    multi_label = task == "multi-label"
    counts = Counter(label for names in labels for label in names)
    most = len(labels) - 2 * _FEWEST if multi_label else len(labels)
    classes = sorted(name for name, count in counts.items() if 2 * _FEWEST <= count <= most)
    if len(classes) < (1 if multi_label else 2):
        return np.zeros((0, 0), bool), np.arange(0)
    having = np.array([[name in names for name in classes] for names in labels], bool)
    rows = np.arange(len(labels)) if multi_label else np.flatnonzero(having.any(axis=1))
    return having[rows], rows


def _dimensions(sizes: Sequence[tuple[int, int]]) -> Columns:
    columns = np.array(sizes, np.float64)
    return np.concatenate([columns, columns[:, :1] / np.maximum(columns[:, 1:], 1)], axis=1)


def _one_hot(texts: Sequence[set[str] | frozenset[str]]) -> Columns:
    names = sorted({name for each in texts for name in each})
    return np.array([[name in each for name in names] for each in texts], np.float64).reshape(len(texts), -1)


def _read_metadata(source: Source) -> tuple[int, frozenset[str]]:
    """The size and metadata of a file."""
    import io

    from PIL import Image

    try:
        data = read_bytes(source)
        with Image.open(io.BytesIO(data)) as image:
            exif = image.getexif()
            tags = {f"{tag}={exif[tag]}" for tag in _EXIF_TAGS if tag in exif}
            kinds = {name for name in _METADATA_KEYS if name in image.info}
            return len(data), frozenset({f"mode={image.mode}", *tags, *kinds})
    except Exception:  # a file that can no longer be read has no metadata
        return 0, frozenset()


def _cross_validate(columns: Columns, having: npt.NDArray[np.bool_], task: str, seed: int) -> tuple[float, float]:
    from sklearn.metrics import balanced_accuracy_score, roc_auc_score
    from sklearn.model_selection import KFold, StratifiedKFold
    from sklearn.tree import DecisionTreeClassifier

    tree = DecisionTreeClassifier(
        max_leaf_nodes=_LEAVES, min_samples_leaf=_FEWEST, class_weight="balanced", random_state=seed
    )
    if task == "single-label":
        targets = having.argmax(axis=1)
        predicted = np.zeros(len(targets), np.int64)
        for train, test in StratifiedKFold(_FOLDS, shuffle=True, random_state=seed).split(columns, targets):
            predicted[test] = tree.fit(columns[train], targets[train]).predict(columns[test])
        return float(balanced_accuracy_score(targets, predicted)), 1 / having.shape[1]
    shares = np.zeros(having.shape)
    for train, test in KFold(_FOLDS, shuffle=True, random_state=seed).split(columns):
        for label in range(having.shape[1]):
            fitted = tree.fit(columns[train], having[train, label])
            if True in fitted.classes_:
                shares[test, label] = fitted.predict_proba(columns[test])[:, list(fitted.classes_).index(True)]
    return float(roc_auc_score(having, shares, average="macro")), 0.5
