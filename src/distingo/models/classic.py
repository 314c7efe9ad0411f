"""Classic classifiers as plain arrays: fitted by scikit-learn, saved and used without it.

- Support vector machines, one per class against all others (Rifkin and Klautau, In Defense of One-Vs-All
  Classification, JMLR 2004) with a radial basis function kernel. Decisions become probabilities by the calibration that
  every model has (`distingo.metrics.logits`), fitted on validation.
- Extremely randomized trees (Geurts, Ernst and Wehenkel, Extremely Randomized Trees, Machine Learning 63, 2006).
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from distingo.metrics.logits import as_probabilities, fit_calibration

Floats = npt.NDArray[np.float64]

_SHARPEST = 20.0  # near certainty at the margin, however few the validation images

_KERNEL_VALUES_AT_ONCE = 4_000_000


@dataclass(frozen=True, slots=True)
class SupportVectors:
    """One kernel machine per class over shared support vectors.

    Attributes:
        mean: Float64 of shape (features,): subtracted from the features.
        scale: Float64 of shape (features,): divides them then.
        vectors: Float64 of shape (vectors, features), standardized so.
        dual: Float64 of shape (vectors, classes): each machine's weight of each vector.
        intercept: Float64 of shape (classes,).
        gamma: The kernel is ``exp(-gamma * squared distance)``.
        sharpness: What the decisions are multiplied by before they become probabilities.
        exclusive: Whether an image has exactly one class; without, the probabilities are independent.
    """

    mean: Floats
    scale: Floats
    vectors: Floats
    dual: Floats
    intercept: Floats
    gamma: float
    sharpness: float = 1.0
    exclusive: bool = True

    def decide(self, features: npt.NDArray[Any]) -> Floats:
        """Each machine's decision: positive for its class, negative against.

        Args:
            features: Shape (n, features).

        Returns:
            Float64 of shape (n, classes).
        """
        rows = (np.asarray(features, dtype=np.float64) - self.mean) / self.scale
        size = max(1, _KERNEL_VALUES_AT_ONCE // max(1, len(self.vectors)))
        parts = [self._kernel(rows[start : start + size]) @ self.dual for start in range(0, len(rows), size)]
        return np.concatenate([np.zeros((0, len(self.intercept))), *parts]) + self.intercept

    def _kernel(self, rows: Floats) -> Floats:
        squares = (rows**2).sum(axis=1)[:, None] + (self.vectors**2).sum(axis=1) - 2 * rows @ self.vectors.T
        kernel: Floats = np.exp(-self.gamma * np.maximum(squares, 0))
        return kernel

    def predict_probabilities(self, features: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """The softmax of the sharpened decisions, or for independent labels their sigmoid.

        Args:
            features: Shape (n, features).

        Returns:
            Float32 of shape (n, classes), rows summing to 1 if the classes are exclusive.
        """
        logits = self.sharpness * self.decide(features)
        return as_probabilities(logits, "single-label" if self.exclusive else "multi-label")

    def calibrated(self, features: npt.NDArray[Any], labels: npt.NDArray[Any]) -> Self:
        """The same machines with the calibration of their decisions for held-out images.

        Args:
            features: Shape (n, features), of images that they were not fitted on.
            labels: Their class numbers, integers of shape (n,); or for independent labels bool of shape (n, classes).
        """
        decisions = self.decide(features)
        if self.exclusive:
            sharpness, _ = fit_calibration(decisions, labels, smoothed=False, steepest=_SHARPEST)
            return replace(self, sharpness=sharpness)
        of_labels = [fit_calibration(decisions[:, [label]], labels[:, [label]]) for label in range(labels.shape[1])]
        slopes = np.array([slope for slope, _ in of_labels])
        offsets = np.concatenate([offset for _, offset in of_labels])
        return replace(self, dual=self.dual * slopes, intercept=self.intercept * slopes + offsets)

    def to_tensors(self) -> dict[str, npt.NDArray[Any]]:
        """The arrays that `from_tensors` needs."""
        return {name: getattr(self, name) for name in _SUPPORT_TENSORS}

    def settings(self) -> Mapping[str, object]:
        """The JSON settings that `from_tensors` needs besides tensors."""
        settings = {"gamma": self.gamma, "sharpness": self.sharpness}
        return settings | ({} if self.exclusive else {"exclusive": False})

    @classmethod
    def from_tensors(cls, tensors: dict[str, npt.NDArray[Any]], settings: Mapping[str, Any]) -> Self:
        """Rebuild the machines from the result of `to_tensors`.

        Raises:
            KeyError: A tensor or setting is missing.
            ValueError: The arrays don't fit each other.
        """
        arrays = {name: np.asarray(tensors[name], dtype=np.float64) for name in _SUPPORT_TENSORS}
        features, classes = arrays["mean"].shape[0], arrays["intercept"].shape[0]
        vectors = arrays["vectors"].shape[0]
        shapes = [(features,), (features,), (vectors, features), (vectors, classes), (classes,)]
        if [arrays[name].shape for name in _SUPPORT_TENSORS] != shapes:
            raise ValueError("the support vectors' arrays contradict each other")
        gamma, sharpness = float(settings["gamma"]), float(settings["sharpness"])
        return cls(**arrays, gamma=gamma, sharpness=sharpness, exclusive=bool(settings.get("exclusive", True)))


_SUPPORT_TENSORS = ("mean", "scale", "vectors", "dual", "intercept")


def fit_support_vectors(
    features: npt.NDArray[Any], labels: npt.NDArray[Any], classes: int, *, regularization: float
) -> SupportVectors:
    """Fit one machine per class on standardized features, gamma being 1 / features.

    Args:
        features: Shape (n, features).
        labels: Class numbers, integers of shape (n,), of two classes at least; or for independent labels bool of shape
            (n, classes).
        classes: How many classes there are; one without an image is always decided against, and one that all images
            have for.
        regularization: scikit-learn's C: how much an error costs.

    Returns:
        Machines yet to be calibrated.
    """
    from sklearn.svm import SVC

    wide = np.asarray(features, dtype=np.float64)
    mean, deviation = wide.mean(axis=0), wide.std(axis=0)
    scale = np.where(deviation > 0, deviation, 1.0)
    rows = (wide - mean) / scale
    gamma = 1.0 / rows.shape[1]

    exclusive = labels.ndim == 1
    is_positive = labels[:, None] == np.arange(classes) if exclusive else labels.astype(np.bool_)

    def fit(number: int) -> Any:
        return SVC(C=regularization, gamma=gamma).fit(rows, is_positive[:, number])

    present = np.flatnonzero(is_positive.any(axis=0) & ~is_positive.all(axis=0))
    with ThreadPoolExecutor() as threads:  # libsvm lets go of Python's lock
        machines = list(threads.map(fit, present))
    dual = np.zeros((len(rows), classes))
    intercept = np.where(is_positive.all(axis=0), 1.0, -1.0)  # the decisions at the margins for and against a class
    for number, machine in zip(present, machines, strict=True):
        dual[machine.support_, number] = machine.dual_coef_[0]
        intercept[number] = machine.intercept_[0]
    used = dual.any(axis=1)
    return SupportVectors(mean, scale, rows[used], dual[used], intercept, gamma, exclusive=exclusive)


_MAX_TREES, _MIN_TREES = 300, 50

_ROWS_TIMES_TREES = 2_500_000  # fewer trees on many images: bounds the time to fit and the size of the file

_ROWS_PER_LEAF = 50_000  # one more image per leaf for so many images: likewise

_PATHS_AT_ONCE = 1_000_000


@dataclass(frozen=True, slots=True)
class ExtraTrees:
    """All trees' nodes in one set of arrays; a leaf's class shares are kept sparse, as most leaves hold one class.

    Attributes:
        roots: Int32 of shape (trees,): where each tree's root is among the nodes.
        feature: Int16 of shape (nodes,): which feature a node asks about, or -1 for a leaf.
        threshold: Float32 of shape (nodes,): an image whose feature is at most this goes left.
        left: Int32 of shape (nodes,): the node to the left; for a leaf, its number among the leaves.
        right: Int32 of shape (nodes,): the node to the right; for a leaf 0.
        leaf_start: Int64 of shape (leaves + 1,): where each leaf's entries start in the next two.
        leaf_class: Int16 of shape (entries,): class numbers.
        leaf_share: Float32 of shape (entries,): the share of that class in that leaf.
        classes: How many classes there are.
        exclusive: Whether an image has exactly one class. Without, a leaf's entries are the share of its images
            that have each label, and the probabilities are independent.
    """

    roots: npt.NDArray[np.int32]
    feature: npt.NDArray[np.int16]
    threshold: npt.NDArray[np.float32]
    left: npt.NDArray[np.int32]
    right: npt.NDArray[np.int32]
    leaf_start: npt.NDArray[np.int64]
    leaf_class: npt.NDArray[np.int16]
    leaf_share: npt.NDArray[np.float32]
    classes: int
    exclusive: bool = True

    def predict_probabilities(self, features: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """The mean of the trees' class shares and one even vote, so that no probability is 0.

        Args:
            features: Shape (n, features), compared as float32 (as scikit-learn does).

        Returns:
            Float32 of shape (n, classes), rows summing to 1 if the classes are exclusive.
        """
        rows = np.ascontiguousarray(features, dtype=np.float32)
        size = max(1, _PATHS_AT_ONCE // len(self.roots))
        votes = [self._votes(rows[start : start + size]) for start in range(0, len(rows), size)]
        total = np.concatenate([np.zeros((0, self.classes)), *votes]) + (1 / self.classes if self.exclusive else 1 / 2)
        probabilities: npt.NDArray[np.float32] = (total / (len(self.roots) + 1)).astype(np.float32)
        return probabilities

    def _votes(self, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        leaves = self._leaves(rows)
        starts, ends = self.leaf_start[leaves], self.leaf_start[leaves + 1]
        lengths = ends - starts
        image = np.repeat(np.arange(len(rows)), len(self.roots))
        # Number the entries of all leaves reached: each leaf's start, counted on within the leaf.
        entries = np.repeat(starts - np.cumsum(lengths) + lengths, lengths) + np.arange(lengths.sum())
        cells = np.repeat(image, lengths) * self.classes + self.leaf_class[entries]
        votes: npt.NDArray[Any] = np.bincount(
            cells, weights=self.leaf_share[entries], minlength=len(rows) * self.classes
        )
        return votes.reshape(len(rows), self.classes)

    def _leaves(self, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.int32]:
        """The leaf each image reaches in each tree, of shape (n * trees,), trees varying fastest."""
        node = np.tile(self.roots, len(rows))
        active = np.arange(len(node))
        while True:
            current = node[active]
            feature = self.feature[current]
            inner = feature >= 0
            if not inner.all():
                active, current, feature = active[inner], current[inner], feature[inner]
            if not active.size:
                return self.left[node]
            values = rows[active // len(self.roots), feature]
            node[active] = np.where(values <= self.threshold[current], self.left[current], self.right[current])

    def to_tensors(self) -> dict[str, npt.NDArray[Any]]:
        """The arrays that `from_tensors` needs."""
        return {name: getattr(self, name) for name in _TREE_TENSORS}

    def settings(self) -> Mapping[str, object]:
        """The JSON settings that `from_tensors` needs besides tensors."""
        return {"classes": self.classes} | ({} if self.exclusive else {"exclusive": False})

    @classmethod
    def from_tensors(cls, tensors: dict[str, npt.NDArray[Any]], settings: Mapping[str, Any]) -> Self:
        """Rebuild the trees from the result of `to_tensors`.

        Raises:
            KeyError: A tensor is missing.
            ValueError: The arrays are no trees: a path would leave them or never end.
        """
        exclusive = bool(settings.get("exclusive", True))
        arrays = {name: tensors[name] for name in _TREE_TENSORS}
        trees = cls(**arrays, classes=int(settings["classes"]), exclusive=exclusive)
        inner = np.flatnonzero(trees.feature >= 0)
        leaves = trees.left[trees.feature < 0]
        last_entry = trees.leaf_start[-1] if trees.leaf_start.size else -1
        sound = (
            len(trees.feature) == len(trees.threshold) == len(trees.left) == len(trees.right)
            and _within(trees.roots, len(trees.feature))
            and all(_within(child[inner] - 1, len(trees.feature) - 1) for child in (trees.left, trees.right))
            and bool((trees.left[inner] > inner).all() and (trees.right[inner] > inner).all())
            and _within(leaves, len(trees.leaf_start) - 1)
            and last_entry == len(trees.leaf_class) == len(trees.leaf_share)
            and bool((np.diff(trees.leaf_start) >= 0).all())
            and _within(trees.leaf_class, trees.classes)
        )
        if not sound:
            raise ValueError("the trees' arrays contradict each other")
        return trees


_TREE_TENSORS = ("roots", "feature", "threshold", "left", "right", "leaf_start", "leaf_class", "leaf_share")


def _within(numbers: npt.NDArray[Any], end: int) -> bool:
    return numbers.size == 0 or bool(numbers.min() >= 0 and numbers.max() < end)


def fit_extra_trees(
    features: npt.NDArray[Any], labels: npt.NDArray[Any], classes: int, *, seed: int, images_per_leaf: int = 1
) -> ExtraTrees:
    """Grow trees: 300 on up to 8,000 images, fewer and with larger leaves on more.

    Several labels share one forest, whose splits serve all of them: one per label would be as many times as large.

    Args:
        features: Shape (n, features).
        labels: Class numbers, integers of shape (n,); or for independent labels bool of shape (n, classes).
        classes: How many classes there are.
        seed: Of the random splits.
        images_per_leaf: At least so many; more make smoother probabilities.
    """
    from sklearn.ensemble import ExtraTreesClassifier

    forest = ExtraTreesClassifier(
        n_estimators=min(_MAX_TREES, max(_MIN_TREES, _ROWS_TIMES_TREES // len(features))),
        min_samples_leaf=images_per_leaf + len(features) // _ROWS_PER_LEAF,
        random_state=seed,
        n_jobs=-1,
    )
    forest.fit(np.asarray(features, dtype=np.float32), labels)
    return flatten_forest(forest, classes)


def flatten_forest(forest: Any, classes: int) -> ExtraTrees:
    """Take a fitted forest's trees out of scikit-learn.

    Args:
        forest: A fitted ``ExtraTreesClassifier`` or ``RandomForestClassifier``: of one output whose classes are
            numbers in 0 .. classes - 1, or of one yes/no output per class.
        classes: How many classes there are.
    """
    trees = [estimator.tree_ for estimator in forest.estimators_]
    roots = np.cumsum([0, *(tree.node_count for tree in trees)])[:-1]
    feature = np.concatenate([tree.feature for tree in trees])
    leaf = np.concatenate([tree.children_left for tree in trees]) < 0
    left, right = (
        np.concatenate([getattr(tree, side) + root for tree, root in zip(trees, roots, strict=True)])
        for side in ("children_left", "children_right")
    )
    exclusive = not isinstance(forest.classes_, list)
    values = np.concatenate([tree.value[tree.children_left < 0] for tree in trees])
    shares = values / values.sum(axis=2, keepdims=True)
    numbers = np.arange(classes)
    if exclusive:
        shares, numbers = shares[:, 0], np.asarray(forest.classes_)
    else:
        shares = _positive_shares(shares, forest.classes_)
    leaf_numbers, columns = np.nonzero(shares)
    return ExtraTrees(
        roots=roots.astype(np.int32),
        feature=np.where(leaf, -1, feature).astype(np.int16),
        threshold=_round_down(np.concatenate([tree.threshold for tree in trees])),
        left=np.where(leaf, np.cumsum(leaf) - 1, left).astype(np.int32),
        right=np.where(leaf, 0, right).astype(np.int32),
        leaf_start=np.searchsorted(leaf_numbers, np.arange(len(shares) + 1)).astype(np.int64),
        leaf_class=numbers[columns].astype(np.int16),
        leaf_share=shares[leaf_numbers, columns].astype(np.float32),
        classes=classes,
        exclusive=exclusive,
    )


def _positive_shares(shares: npt.NDArray[np.float64], outcomes: list[Any]) -> npt.NDArray[np.float64]:
    """From (leaves, labels, answers) to (leaves, labels); a label that all images have, or none, has one answer."""
    positive_shares: npt.NDArray[np.float64] = shares[:, :, -1].copy()
    for label, label_outcomes in enumerate(outcomes):
        if len(label_outcomes) == 1:
            positive_shares[:, label] = float(label_outcomes[0])
    return positive_shares


def _round_down(thresholds: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    # A float32 feature is at most a threshold exactly if it is at most the next float32 below it.
    rounded = thresholds.astype(np.float32)
    return np.where(rounded > thresholds, np.nextafter(rounded, np.float32(-np.inf)), rounded)
