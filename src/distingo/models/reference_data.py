"""What a model keeps of the images that it was trained and calibrated with.

- The calibration set, in ``confidence.json``: the basis of probabilities, abstention and prediction sets.
- The bank of features of training images, stored next to the weights. A new image's distance to it shows whether the
  image is out of distribution (Sun et al., Out-of-distribution detection with deep nearest neighbors, 2022), and its
  rows are the training images most like the new one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from distingo.errors import RunError
from distingo.files import write_json
from distingo.runs.fields import Count, Share, read_record
from distingo.runs.folder import FORMAT

CALIBRATION_SET_FILE = "confidence.json"

_ADVICE = "train again or restore it"


class _PredictedFields(msgspec.Struct, forbid_unknown_fields=True):
    image: list[Count]
    probability: list[Share]
    right: list[Literal[0, 1]]


class _TrueFields(msgspec.Struct, forbid_unknown_fields=True):
    probability: list[Share]
    weight: list[Share]


@dataclass(frozen=True, slots=True)
class _CalibrationSetFile:
    """The content of ``confidence.json``."""

    validation_images: Count
    given_labels: _PredictedFields
    true_labels: _TrueFields
    distances: list[Annotated[float, msgspec.Meta(ge=0, le=1e30)]]
    folds: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 0


@dataclass(frozen=True, slots=True)
class CalibrationSet:
    """Calibrated probabilities of predicted and true labels, and distances to the bank.

    Attributes:
        n: Number of images.
        owners: int64 (predicted,): the index of each predicted label's image.
        confidences: float64 (predicted,): the probability of each predicted label.
        right: bool (predicted,): whether the predicted label is correct.
        truths: float64 (true,): the probability of each true label of each image.
        weights: float64 (true,): one over how many labels its image has.
        distances: float64 (validation images,), ascending: how far they are from the bank; empty where the model has
            none.
        folds: 0 where the images are those of validation and the model itself was asked. Else how many models were
            asked, each fitted without the images of its fold, so that those of training count too.
    """

    n: int
    owners: npt.NDArray[np.int64]
    confidences: npt.NDArray[np.float64]
    right: npt.NDArray[np.bool_]
    truths: npt.NDArray[np.float64]
    weights: npt.NDArray[np.float64]
    distances: npt.NDArray[np.float64]
    folds: int = 0


def build_calibration_set(
    probabilities: npt.NDArray[Any],
    targets: npt.NDArray[Any],
    predicted: npt.NDArray[np.bool_],
    distances: npt.NDArray[np.float64],
    *,
    folds: int = 0,
) -> CalibrationSet:
    """Build the calibration set from predictions for images that the models were not fitted on.

    Args:
        probabilities: Calibrated, float (n, classes).
        targets: int64 (n,), or bool (n, classes) with several labels.
        predicted: Bool (n, classes): the predicted labels; for single-label the most probable one.
        distances: float64 (validation images,), or empty.
        folds: As in `CalibrationSet`.
    """
    truth = targets if targets.ndim == 2 else np.arange(probabilities.shape[1]) == targets[:, None]
    owners, labels = np.nonzero(predicted)
    images, true_labels = np.nonzero(truth)
    wide = probabilities.astype(np.float64)
    return CalibrationSet(
        n=len(targets),
        owners=owners.astype(np.int64),
        confidences=wide[owners, labels],
        right=truth[owners, labels],
        truths=wide[images, true_labels],
        weights=1 / truth.sum(axis=1)[images],
        distances=np.sort(distances),
        folds=folds,
    )


def save_calibration_set(folder: Path, calibration_set: CalibrationSet) -> None:
    """Write ``confidence.json``, numbers to seven digits."""
    content = {
        "format": FORMAT,
        "validation_images": calibration_set.n,
        "folds": calibration_set.folds,
        "given_labels": {
            "image": calibration_set.owners.tolist(),
            "probability": _rounded(calibration_set.confidences),
            "right": calibration_set.right.astype(int).tolist(),
        },
        "true_labels": {"probability": _rounded(calibration_set.truths), "weight": _rounded(calibration_set.weights)},
        "distances": _rounded(calibration_set.distances),
    }
    write_json(folder / CALIBRATION_SET_FILE, content)


def load_calibration_set(folder: Path) -> CalibrationSet | None:
    """Read the file that `save_calibration_set` wrote, or return None if there is none.

    Args:
        folder: The ``model`` folder of a run.

    Raises:
        RunError: The file is damaged or from a newer version.
    """
    path = folder / CALIBRATION_SET_FILE
    if not path.is_file():
        return None
    stored = read_record(path, _CalibrationSetFile, advice=_ADVICE, strict=True)
    predicted, true = stored.given_labels, stored.true_labels
    calibration_set = CalibrationSet(
        n=stored.validation_images,
        owners=np.array(predicted.image, np.int64),
        confidences=np.array(predicted.probability, np.float64),
        right=np.array(predicted.right, np.bool_),
        truths=np.array(true.probability, np.float64),
        weights=np.array(true.weight, np.float64),
        distances=np.array(stored.distances, np.float64),
        folds=stored.folds,
    )
    if fault := _find_fault(calibration_set):
        raise RunError(f"{path}: damaged ({fault}); {_ADVICE}", code="damaged_file")
    return calibration_set


def _find_fault(calibration_set: CalibrationSet) -> str:
    if not len(calibration_set.owners) == len(calibration_set.confidences) == len(calibration_set.right):
        return "given labels of unequal number"
    if len(calibration_set.truths) != len(calibration_set.weights):
        return "true labels of unequal number"
    if len(calibration_set.owners) and calibration_set.owners.max() >= calibration_set.n:
        return f"a label of picture {calibration_set.owners.max()} of {calibration_set.n}"
    return ""


def _rounded(values: npt.NDArray[np.float64]) -> list[float]:
    return [float(f"{value:.7g}") for value in values.tolist()]


@dataclass(frozen=True, slots=True)
class Calibration:
    """Slope and offsets, fitted on validation once training is done.

    One label per image: temperature scaling (Guo et al., On calibration of modern neural networks, 2017), the slope
    being one over the temperature and offsets 0, so that the order of the classes stays as it is. Several labels:
    Platt scaling (Platt 1999) with an offset for each label and one slope for all, so that rare labels borrow.

    Attributes:
        slope: Above 0; logits are multiplied by it.
        offsets: One per class, added afterwards.
    """

    slope: float
    offsets: tuple[float, ...]

    def apply(self, logits: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Calibrate logits (n, classes); returns float64 (n, classes)."""
        calibrated: npt.NDArray[np.float64] = self.slope * logits.astype(np.float64) + np.asarray(self.offsets)
        return calibrated


NEIGHBORS = 3
"""The distance to the bank is that to the third nearest: one odd training image guarantees nothing, and classes may
have few. Of 1 to 20 none was better at telling aerial images, posters and ball sports apart."""

_SIMILARITIES_AT_ONCE = 1 << 23
"""Similarities between images and the bank in memory at a time: 64 MB."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FeatureBank:
    """Features of training images.

    Attributes:
        rows: float16 (m, features), float32 once `widened`: features less `center`, divided by `scale`; of networks
            then at unit length.
        contents: The content hash of each row's image, as in ``manifest.csv``.
        center: float32 (features,).
        scale: float32 (features,), above 0.
        unit: Whether rows have unit length, so that distances come from cosines.
    """

    rows: npt.NDArray[np.float16] | npt.NDArray[np.float32]
    contents: tuple[str, ...]
    center: npt.NDArray[np.float32]
    scale: npt.NDArray[np.float32]
    unit: bool

    def widened(self) -> FeatureBank:
        """Return the bank with rows in float32, to avoid converting them for every query."""
        return replace(self, rows=self.rows.astype(np.float32))

    def transform(self, features: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Bring features of images, float (n, features) as the model gives them, to where the rows are."""
        return _transform(features, self.center, self.scale, unit=self.unit)

    def nearest(self, features: npt.NDArray[Any], count: int) -> tuple[npt.NDArray[np.int64], Floats]:
        """Find the most similar rows for each image.

        Args:
            features: Float (n, features), as the model gives them.
            count: How many rows for each image; no more are given than there are.

        Returns:
            Positions in `rows` and Euclidean distances, each (n, count), the nearest first.

        Raises:
            ValueError: The features are not as wide as the bank's.
        """
        if features.ndim != 2 or features.shape[1] != self.rows.shape[1]:
            raise ValueError(f"features of shape {features.shape} for a bank of {self.rows.shape[1]} features")
        transformed, bank = self.transform(features), np.asarray(self.rows, np.float32)
        squares = np.einsum("ij,ij->i", bank, bank)
        count = min(count, len(bank))
        at_once = max(1, _SIMILARITIES_AT_ONCE // len(bank))
        matches = [
            _nearest(transformed[start : start + at_once], bank, squares, count)
            for start in range(0, len(transformed), at_once)
        ]
        if not matches:
            return np.zeros((0, count), np.int64), np.zeros((0, count))
        return np.concatenate([rows for rows, _ in matches]), np.concatenate([distances for _, distances in matches])

    def distances(self, features: npt.NDArray[Any]) -> Floats:
        """Return each image's distance to the `NEIGHBORS`-th nearest row of the bank, float64 (n,)."""
        return self.nearest(features, NEIGHBORS)[1][:, -1]


def check_bank(bank: FeatureBank) -> FeatureBank:
    """Build a bank from the arrays of an untrusted file, after validating them.

    Raises:
        ValueError: They are of other types or shapes, hold what is no number, or do not fit each other.
    """
    width = bank.center.shape
    if bank.rows.ndim != 2 or not bank.rows.size or bank.rows.dtype not in (np.float16, np.float32):
        raise ValueError(f"rows are {bank.rows.dtype} of shape {bank.rows.shape}")
    if bank.rows.shape[1:] != width or width != bank.scale.shape or len(bank.contents) != len(bank.rows):
        raise ValueError("rows, hashes and scale do not fit each other")
    if any(array.dtype != np.float32 for array in (bank.center, bank.scale)):
        raise ValueError(f"center and scale are {bank.center.dtype} and {bank.scale.dtype}")
    if not all(np.isfinite(array).all() for array in (bank.rows, bank.center, bank.scale)) or bank.scale.min() <= 0:
        raise ValueError("values that are no numbers, or a scale that is not above 0")
    return bank


def build_bank(
    features: npt.NDArray[Any],
    contents: tuple[str, ...],
    *,
    unit: bool,
) -> FeatureBank:
    """Make a bank of training images' features.

    Args:
        features: Float (m, features), m at least 1.
        contents: The images' content hashes.
        unit: Whether to compare directions, as for a network's features; else each feature is standardized.

    Raises:
        ValueError: No rows, or not one hash for each.
    """
    if not len(features) or len(features) != len(contents):
        raise ValueError(f"{len(features)} rows of features for {len(contents)} pictures; give one for each")
    width = features.shape[1]
    center, scale = np.zeros(width, np.float32), np.ones(width, np.float32)
    if not unit:
        center, spread = features.mean(axis=0).astype(np.float32), features.std(axis=0).astype(np.float32)
        scale = np.where(spread > 0, spread, np.float32(1))
    rows = _transform(features, center, scale, unit=unit)
    return FeatureBank(rows.astype(np.float16), contents, center, scale, unit)


def _transform(features: npt.NDArray[Any], center: Any, scale: Any, *, unit: bool) -> npt.NDArray[np.float32]:
    transformed = (features.astype(np.float32) - center) / scale
    if unit:
        transformed /= np.maximum(np.linalg.norm(transformed, axis=1, keepdims=True), np.float32(1e-12))
    return np.asarray(transformed, np.float32)


def _nearest(
    transformed: npt.NDArray[np.float32], bank: npt.NDArray[np.float32], squares: npt.NDArray[np.float32], count: int
) -> tuple[npt.NDArray[np.int64], Floats]:
    own = np.einsum("ij,ij->i", transformed, transformed)
    squared = own[:, None] + squares - 2 * (transformed @ bank.T)
    some = np.argpartition(squared, count - 1, axis=1)[:, :count]
    order = np.argsort(np.take_along_axis(squared, some, axis=1), axis=1, kind="stable")
    rows = np.take_along_axis(some, order, axis=1).astype(np.int64)
    distances = np.sqrt(np.maximum(np.take_along_axis(squared, rows, axis=1).astype(np.float64), 0))
    return rows, distances
