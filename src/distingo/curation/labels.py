"""Findings about probably wrong labels, from the out-of-fold predictions of models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from distingo.curation.check import LabelBasis, estimate_label_basis
from distingo.curation.findings import MINIMUM_SCORES, Finding
from distingo.messages.notes import Note, note
from distingo.metrics.logits import sigmoid, softmax
from distingo.near_duplicates.search import group_copies
from distingo.progress import progress_bar
from distingo.records import LabeledImage, Task

if TYPE_CHECKING:
    from sklearn.ensemble import ExtraTreesClassifier


FOLDS = 5

_REGULARISATIONS = (3.16e-3, 1e-2, 3.16e-2, 0.1)
"""Values of scikit-learn's C, the strongest first: a head that fits wrong labels can't detect them."""

_TREES = 200

_LARGE = 20_000
"""Number of images above which logistic regression replaces trees, as it takes seconds instead of minutes."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class OutOfFold:
    """Out-of-fold predictions and their score.

    Attributes:
        probabilities: Float64 (n, classes), in the order of `classes`.
        classes: Class names.
        score: Single-label: accuracy; multi-label: mean area under the ROC curve.
    """

    probabilities: npt.NDArray[np.float64]
    classes: tuple[str, ...]
    score: float


def predict_out_of_fold(
    embeddings: Floats,
    labels: Sequence[tuple[str, ...]],
    task: Task,
    *,
    deep: bool,
    together: Sequence[tuple[int, int]] = (),
    workers: int = 1,
    seed: int = 0,
) -> OutOfFold | None:
    """Cross-validate: a linear head on a network's embeddings, extremely randomized trees on descriptors.

    Args:
        embeddings: Unscaled float32 (n, features).
        labels: Labels of each image.
        task: ``single-label`` or ``multi-label``.
        deep: Whether the embeddings are those of a network.
        together: Pairs of duplicates, which share a fold so that they can't confirm each other.
        workers: Number of threads.
        seed: Seed of the folds and trees.

    Returns:
        The predictions; None if fewer than two classes have two images. Classes with one image are never suggested and
        never doubted.
    """
    from sklearn.ensemble import ExtraTreesClassifier

    names = sorted({label for row in labels for label in row})
    indicator = np.array([[name in row for name in names] for row in labels], bool).reshape(len(labels), len(names))
    usable = np.flatnonzero(indicator.sum(axis=0) >= 2)
    if len(usable) < 2:
        return None
    classes = tuple(names[at] for at in usable)
    indicator = indicator[:, usable]
    folds = _assign_folds(indicator, task, together, seed)
    labeled = indicator.any(axis=1) | (task == "multi-label")
    probabilities = np.zeros(indicator.shape)
    linear = deep or len(labels) > _LARGE

    def predict_fold(fold: int) -> None:
        test, train = folds == fold, (folds != fold) & labeled
        if linear and test.any():
            probabilities[test] = _predict_linear(embeddings[train], indicator[train], embeddings[test], task, seed)
        elif test.any():
            trees = ExtraTreesClassifier(_TREES, min_samples_leaf=2, random_state=seed, n_jobs=workers)
            probabilities[test] = _predict_trees(trees, embeddings[train], indicator[train], embeddings[test], task)

    with progress_bar("Looking for wrong labels", FOLDS) as advance, ThreadPoolExecutor(workers) as pool:
        # trees use their own threads
        for _ in (pool.map if linear else map)(predict_fold, range(FOLDS)):
            advance(1)
    return OutOfFold(probabilities, classes, score_out_of_fold(probabilities, indicator, task))


def label_findings(
    images: Sequence[LabeledImage],
    out_of_fold: OutOfFold,
    task: Task,
    threshold: float,
    basis: LabelBasis | None = None,
) -> Iterator[Finding]:
    """Find images with doubtful labels.

    They are ranked by confident learning (Northcutt, Jiang and Chuang, Confident learning: estimating uncertainty in
    dataset labels, 2021), as implemented in cleanlab: the score is 1 minus the label quality. Scores are rescaled so
    that the number of scores of at least one half is that of `estimate_label_basis`.

    Args:
        images: The usable images.
        out_of_fold: Out-of-fold predictions for them.
        task: ``single-label`` or ``multi-label``.
        threshold: Score from which a finding counts.
        basis: Basis from `image_label_basis`; computed if it is None.

    Yields:
        ``label`` with the more probable classes as suggestion; nothing if the models are not clearly better than
        guessing.
    """
    basis = basis or image_label_basis(images, out_of_fold, task)
    if not basis.is_better:
        return
    evaluable = _evaluable(images, out_of_fold, task)
    probabilities, indicator = out_of_fold.probabilities[evaluable], _indicator(images, out_of_fold.classes)[evaluable]
    raw_scores = (
        _label_errors(probabilities, indicator)
        if task == "single-label"
        else _multi_label_errors(probabilities, indicator)
    )
    scores = _stretch(raw_scores, basis.counted)
    for row, at in enumerate(evaluable.tolist()):
        if scores[row] < MINIMUM_SCORES["label"]:
            continue
        image = images[at]
        suggested, reason = _suggest(image.labels, out_of_fold.classes, probabilities[row], task)
        if suggested != image.labels:
            file_fields = (image.labels, image.predefined_split or "", image.content)
            score = float(scores[row])
            yield Finding(
                "label", image.source.file, score, threshold, *file_fields, suggested=suggested, reason=reason
            )


def image_label_basis(images: Sequence[LabeledImage], out_of_fold: OutOfFold, task: Task) -> LabelBasis:
    """Compute the basis of label findings.

    Args:
        images: The usable images.
        out_of_fold: Out-of-fold predictions for them.
        task: ``single-label`` or ``multi-label``.
    """
    evaluable = _evaluable(images, out_of_fold, task)
    return estimate_label_basis(
        out_of_fold.probabilities[evaluable],
        _indicator(images, out_of_fold.classes)[evaluable],
        out_of_fold.score,
        task,
    )


def _indicator(images: Sequence[LabeledImage], classes: tuple[str, ...]) -> npt.NDArray[np.bool_]:
    column = {name: at for at, name in enumerate(classes)}
    indicator = np.zeros((len(images), len(classes)), np.bool_)
    for row, image in zip(indicator, images, strict=True):
        row[[column[label] for label in image.labels if label in column]] = True
    return indicator


def _evaluable(images: Sequence[LabeledImage], out_of_fold: OutOfFold, task: Task) -> npt.NDArray[np.int64]:
    """Indices of the images whose labels can be evaluated."""
    return np.flatnonzero(_indicator(images, out_of_fold.classes).any(axis=1) | (task == "multi-label"))


def _assign_folds(
    indicator: npt.NDArray[np.bool_], task: Task, together: Sequence[tuple[int, int]], seed: int
) -> npt.NDArray[np.int64]:
    from distingo.metrics.logits import assign_folds

    targets = indicator.argmax(axis=1) if task == "single-label" else indicator.astype(np.float32)
    folds = np.maximum(assign_folds(targets, seed=seed), 0)  # images without a label are held out too
    groups = group_copies(together, len(indicator))
    return folds[groups]


def _predict_linear(
    features: Floats, indicator: npt.NDArray[np.bool_], test_features: Floats, task: Task, seed: int
) -> npt.NDArray[np.float64]:
    """Predict by the head with the lowest log loss on a held-out fifth of the training images."""
    from distingo.metrics.logits import score_logits
    from distingo.training.linear_models import Loss, solve_path

    targets = indicator.argmax(axis=1) if task == "single-label" else indicator.astype(np.float32)
    chosen = np.random.default_rng(seed).permutation(len(features)) >= len(features) // 5
    loss: Loss = "softmax" if task == "single-label" else "sigmoid"
    best, logits = np.inf, np.zeros((len(test_features), indicator.shape[1]), np.float32)
    for solution in solve_path(features[chosen], targets[chosen], loss=loss, regularizations=_REGULARISATIONS):
        held_out_logits = _padded(solution.decide(features[~chosen]), indicator.shape[1])
        _, log_loss = score_logits(held_out_logits, targets[~chosen], task)
        if log_loss >= best:
            break
        best, logits = log_loss, _padded(solution.decide(test_features), indicator.shape[1])
    return _probabilities(logits.astype(np.float64), task)


def _padded(logits: Floats, outputs: int) -> Floats:
    """Pad logits of classes without training images with a very low value."""
    missing = outputs - logits.shape[1]
    return np.pad(logits, ((0, 0), (0, missing)), constant_values=-30.0) if missing > 0 else logits


def _probabilities(logits: npt.NDArray[np.float64], task: Task) -> npt.NDArray[np.float64]:
    return softmax(logits) if task == "single-label" else sigmoid(logits)


def _predict_trees(
    trees: ExtraTreesClassifier, features: Floats, indicator: npt.NDArray[np.bool_], test_features: Floats, task: Task
) -> npt.NDArray[np.float64]:
    fitted = trees.fit(features, indicator.argmax(axis=1) if task == "single-label" else indicator)
    trees.set_params(n_jobs=1)  # threads would sum the trees' probabilities in arbitrary order
    if task == "single-label":
        result = np.zeros((len(test_features), indicator.shape[1]))
        result[:, fitted.classes_] = fitted.predict_proba(test_features)
        return result
    shares = fitted.predict_proba(test_features)
    return np.stack([_share_of_yes(share, kinds) for share, kinds in zip(shares, fitted.classes_, strict=True)], axis=1)


def _share_of_yes(share: npt.NDArray[np.float64], kinds: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    return share[:, list(kinds).index(True)] if True in kinds else np.zeros(len(share))


def score_out_of_fold(probabilities: npt.NDArray[np.float64], indicator: npt.NDArray[np.bool_], task: Task) -> float:
    """Accuracy (single-label) or mean area under the ROC curve (multi-label); 0 if it is undefined.

    Args:
        probabilities: Float64 (n, classes).
        indicator: Bool (n, classes): the labels.
        task: ``single-label`` or ``multi-label``.
    """
    if task == "single-label":
        labeled = indicator.any(axis=1)
        right = probabilities.argmax(axis=1) == indicator.argmax(axis=1)
        return float(right[labeled].mean()) if labeled.any() else 0.0
    from sklearn.metrics import roc_auc_score

    mixed = indicator.any(axis=0) & ~indicator.all(axis=0)
    if not mixed.any():
        return 0.0
    return float(roc_auc_score(indicator[:, mixed], probabilities[:, mixed], average="macro"))


def _label_errors(probabilities: npt.NDArray[np.float64], indicator: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    from cleanlab.rank import get_label_quality_scores

    quality = get_label_quality_scores(indicator.argmax(axis=1), probabilities, method="self_confidence")
    return np.asarray(1 - quality, np.float64)


def _multi_label_errors(
    probabilities: npt.NDArray[np.float64], indicator: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    from cleanlab.multilabel_classification import get_label_quality_scores

    label_lists = [np.flatnonzero(row).tolist() for row in indicator]
    return np.asarray(1 - get_label_quality_scores(label_lists, probabilities), np.float64)


def _stretch(raw_scores: npt.NDArray[np.float64], wrong: int) -> npt.NDArray[np.float64]:
    """Rescale scores piecewise linearly so that the `wrong` highest ones are at least one half."""
    if not wrong:
        return raw_scores / 2
    limit = float(np.sort(raw_scores)[-wrong])
    above = 0.5 + 0.5 * (raw_scores - limit) / max(1 - limit, 1e-12)
    stretched: npt.NDArray[np.float64] = np.where(raw_scores >= limit, above, 0.5 * raw_scores / max(limit, 1e-12))
    return np.clip(stretched, 0, 1)


def _suggest(
    labels: tuple[str, ...], classes: tuple[str, ...], probabilities: npt.NDArray[np.float64], task: Task
) -> tuple[tuple[str, ...], Note]:
    by_class = dict(zip(classes, probabilities.tolist(), strict=True))
    if task == "single-label":
        best = classes[int(probabilities.argmax())]
        likely, unlikely = by_class[best], by_class[labels[0]]
        return (best,), note("looks-like", best=best, share=likely, label=labels[0], share_of_label=unlikely)
    doubted = [label for label in labels if label in by_class and by_class[label] < 0.5]
    missing = [label for label in classes if by_class[label] >= 0.5 and label not in labels]
    changes = [note("without-label", label=label, share=by_class[label]) for label in doubted]
    changes += [note("with-label", label=label, share=by_class[label]) for label in missing]
    suggested = tuple(sorted({*labels, *missing} - set(doubted)))
    return suggested, note("several-reasons", reasons=tuple(changes))
