"""The basis of a model's confidence: its calibration, and its calibration set in ``confidence.json``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from distingo.errors import RunError
from distingo.files import write_json
from distingo.runs.fields import Count, Share, read_record
from distingo.runs.folder import FORMAT

EVIDENCE_FILE = "confidence.json"

_ADVICE = "train again or restore it"


class _GivenFields(msgspec.Struct, forbid_unknown_fields=True):
    picture: list[Count]
    probability: list[Share]
    right: list[Literal[0, 1]]


class _TrueFields(msgspec.Struct, forbid_unknown_fields=True):
    probability: list[Share]
    weight: list[Share]


@dataclass(frozen=True, slots=True)
class _EvidenceFile:
    """The content of ``confidence.json``."""

    validation_pictures: Count
    given_labels: _GivenFields
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


def gather_evidence(
    probabilities: npt.NDArray[Any],
    targets: npt.NDArray[Any],
    given: npt.NDArray[np.bool_],
    distances: npt.NDArray[np.float64],
    *,
    folds: int = 0,
) -> CalibrationSet:
    """Build the calibration set from predictions for images that the models were not fitted on.

    Args:
        probabilities: Calibrated, float (n, classes).
        targets: int64 (n,), or bool (n, classes) with several labels.
        given: Bool (n, classes): the predicted labels; for single-label the most probable one.
        distances: float64 (validation images,), or empty.
        folds: As in `CalibrationSet`.
    """
    truth = targets if targets.ndim == 2 else np.arange(probabilities.shape[1]) == targets[:, None]
    owners, labels = np.nonzero(given)
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


def save_evidence(folder: Path, calibration_set: CalibrationSet) -> None:
    """Write ``confidence.json``, numbers to seven digits."""
    content = {
        "format": FORMAT,
        "validation_pictures": calibration_set.n,
        "folds": calibration_set.folds,
        "given_labels": {
            "picture": calibration_set.owners.tolist(),
            "probability": _rounded(calibration_set.confidences),
            "right": calibration_set.right.astype(int).tolist(),
        },
        "true_labels": {"probability": _rounded(calibration_set.truths), "weight": _rounded(calibration_set.weights)},
        "distances": _rounded(calibration_set.distances),
    }
    write_json(folder / EVIDENCE_FILE, content)


def load_evidence(folder: Path) -> CalibrationSet | None:
    """Read the file that `save_evidence` wrote, or return None if there is none.

    Args:
        folder: The ``model`` folder of a run.

    Raises:
        RunError: The file is damaged or from a newer version.
    """
    path = folder / EVIDENCE_FILE
    if not path.is_file():
        return None
    stored = read_record(path, _EvidenceFile, advice=_ADVICE, strict=True)
    given, true = stored.given_labels, stored.true_labels
    calibration_set = CalibrationSet(
        n=stored.validation_pictures,
        owners=np.array(given.picture, np.int64),
        confidences=np.array(given.probability, np.float64),
        right=np.array(given.right, np.bool_),
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
