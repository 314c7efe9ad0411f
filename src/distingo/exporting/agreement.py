"""Comparison of an export's predictions with those of the original in float32, on real images of the run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from distingo.datasets.decoding.decode import open_source
from distingo.datasets.decoding.rendering import render, shorter_side_for
from distingo.datasets.walking import source_of, walk
from distingo.errors import DataError, DistingoError, UsageError, option
from distingo.metrics.ranking import mean_average_precision
from distingo.metrics.thresholds import apply_thresholds
from distingo.models.saved import SavedModel
from distingo.prediction.classifier import Outputs, predict_outputs, to_probabilities
from distingo.prediction.naming import certainty_thresholds
from distingo.prediction.networks import ArrayRows
from distingo.progress import progress_bar
from distingo.records import ImageSpec, Source, SplitName, ValueRanges
from distingo.runs.contents import RunRecords
from distingo.runtime.description import ExportDescription
from distingo.runtime.runtime import Run, prepare_input

MAX_CHECKED = 2000

_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class CheckImage:
    """An image with its labels, if they are known.

    Attributes:
        source: Source of the pixels.
        labels: The image's classes, or None if unknown.
    """

    source: Source
    labels: tuple[str, ...] | None


def images_of_run(records: RunRecords, splits: Sequence[SplitName], limit: int) -> list[CheckImage]:
    """Return the run's images that still exist, or a sample of them, in the order of the splits.

    Args:
        records: A run.
        splits: Splits to take images from, the preferred one first.
        limit: Largest number of images.
    """
    generator = np.random.default_rng(0)
    sampled: list[CheckImage] = []
    for split in splits:
        rows = [row for row in records.split if row.split == split]
        for at in generator.permutation(len(rows)):
            if len(sampled) == limit:
                return sampled
            image = _find(records.root, rows[at].file, rows[at].labels)
            if image is not None:
                sampled.append(image)
    return sampled


def images_in(folder: Path, limit: int) -> list[CheckImage]:
    """Return the images in a folder, or a sample of them.

    Raises:
        UsageError: The folder does not exist or is empty.
    """
    paths = sorted(file.path for file in walk(folder) if not file.ignored) if folder.is_dir() else []
    if not paths:
        raise UsageError(
            f"{option('check_on')} {folder}: no such folder, or no file in it; give a folder of pictures",
            code="not_found",
            parameter="check_on",
        )
    order = np.random.default_rng(0).permutation(len(paths))[:limit]
    return [CheckImage(Source(paths[at].name, paths[at]), None) for at in order]


def _find(root: Path, file: str, labels: tuple[str, ...]) -> CheckImage | None:
    try:
        source = source_of(root, file)
    except (DistingoError, OSError, ValueError):
        return None
    return CheckImage(source, labels) if source.path.is_file() else None


def opened(
    images: Sequence[CheckImage], image_spec: ImageSpec, value_ranges: ValueRanges
) -> Iterator[list[tuple[CheckImage, Image.Image]]]:
    """Yield batches of images, decoded as for predictions; unreadable images are skipped."""
    enough = shorter_side_for(image_spec)

    def read(image: CheckImage) -> tuple[CheckImage, Image.Image] | None:
        try:
            return image, open_source(image.source, enough=enough, value_range=value_ranges)
        except (DistingoError, OSError):
            return None

    with ThreadPoolExecutor(max_workers=2) as pool:
        for start in range(0, len(images), _AT_ONCE):
            decoded = pool.map(read, images[start : start + _AT_ONCE])
            yield [pair for pair in decoded if pair is not None]


def rendered(images: Sequence[CheckImage], image_spec: ImageSpec, value_ranges: ValueRanges) -> np.ndarray:
    """Preprocess images for the network: uint8 (n, height, width, channels).

    Raises:
        DataError: No image can be read.
    """
    rows = [render(image, image_spec) for batch in opened(images, image_spec, value_ranges) for _, image in batch]
    if not rows:
        raise DataError(
            f"{option('int8', value=True)} is calibrated on the run's training pictures, and none of them can be read "
            "any more",
            code="no_usable_images",
            parameter="check_on",
        )
    return np.stack(rows)


def original_outputs(model: SavedModel, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute calibrated probabilities, float32 (n, classes), and features, float32 (n, features).

    Args:
        model: Model with a network.
        rows: uint8 (n, height, width, channels), at least one.
    """
    cpu = torch.device("cpu")
    outputs: Outputs = predict_outputs(model, ArrayRows(rows), device=cpu, precision="float32")
    return to_probabilities(model, outputs.logits), outputs.features


MIN_SAME = 0.995
"""Fraction of images that must get the same label, or the same set of labels for multi-label."""

HIGHEST_COST = 0.01
"""Largest loss of accuracy, or of mean average precision for multi-label, with 8-bit integers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreement:
    """Result of comparing an export with the original.

    Attributes:
        images: Number of compared images.
        unreadable: Number of images that could not be read and were skipped.
        checked_on: Description of the images.
        same: Number of images with the same most probable class, for multi-label with the same predicted labels.
        largest_difference: Largest difference between two probabilities of the same class and image.
        score: ``accuracy`` or ``mean average precision``; None if the images' labels are unknown.
        original_score: Score of the original on these images, from 0 to 1.
        exported_score: Score of the export.
        unlike_same: Fraction of images that original and export agree on being out of distribution; None without such a
            threshold.
    """

    images: int
    unreadable: int
    checked_on: str
    same: int
    largest_difference: float
    score: str | None = None
    original_score: float | None = None
    exported_score: float | None = None
    unlike_same: float | None = None

    @property
    def share(self) -> float:
        """Fraction of images with the same predicted labels."""
        return self.same / self.images

    @property
    def cost(self) -> float:
        """Loss of score by the export; without known labels, its upper bound: the fraction of different predictions."""
        if self.original_score is None or self.exported_score is None:
            return 1 - self.share
        return self.original_score - self.exported_score

    @property
    def words(self) -> str:
        """The figures as a phrase for messages."""
        text = (
            f"the same answer on {self.same:,} of {self.images:,} pictures ({self.share:.2%}; {self.checked_on}), "
            f"probabilities differ by {self.largest_difference:.2g} at most"
        )
        if self.original_score is None or self.exported_score is None:
            return text
        return f"{text}, {self.score} {self.exported_score:.2%} against {self.original_score:.2%}"

    def is_enough(self, description: ExportDescription) -> bool:
        """Return whether the agreement is sufficient for an export of this kind."""
        if description.precision == "int8":
            return self.cost <= HIGHEST_COST + 1e-9
        return self.share >= MIN_SAME


def measure_agreement(
    model: SavedModel, images: Sequence[CheckImage], run: Run, description: ExportDescription, checked_on: str
) -> Agreement:
    """Compare the predictions of original and export on the same images.

    Args:
        model: The original model.
        images: Real images.
        run: Function that runs the export.
        description: Description of the export.
        checked_on: Description of the images for messages.

    Raises:
        DataError: No image can be read.
    """
    parts: list[tuple[np.ndarray, ...]] = []
    read: list[CheckImage] = []
    with progress_bar("checking", len(images)) as advance:
        for batch in opened(images, description.image_spec, model.description.value_ranges):
            if not batch:
                continue
            read.extend(image for image, _ in batch)
            rows = np.stack([render(pixels, description.image_spec) for _, pixels in batch])
            outputs = [run(prepare_input(pixels, description)[None]) for _, pixels in batch]
            exported = (np.concatenate([each[part] for each in outputs]) for part in (0, 1))
            parts.append((*original_outputs(model, rows), *exported))
            advance(len(batch))
    if not read:
        raise DataError(
            f"{checked_on}: none can be read; give others with {option('check_on')} FOLDER",
            code="no_usable_images",
            parameter="check_on",
        )
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    return _compare(model, read, columns, len(images) - len(read), checked_on)


def _compare(
    model: SavedModel, read: Sequence[CheckImage], columns: Sequence[np.ndarray], unreadable: int, checked_on: str
) -> Agreement:
    before, features_before, after, features_after = columns
    scores: tuple[str, float, float] | tuple[None, None, None] = (None, None, None)
    if all(image.labels is not None for image in read):
        scores = _scores(model, read, before, after)
    return Agreement(
        images=len(read),
        unreadable=unreadable,
        checked_on=checked_on,
        same=int(_same(model, before, after).sum()),
        largest_difference=float(np.abs(before - after).max()),
        score=scores[0],
        original_score=scores[1],
        exported_score=scores[2],
        unlike_same=_ood_agreement(model, features_before, features_after),
    )


def _same(model: SavedModel, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    if model.description.task == "single-label":
        return np.asarray(before.argmax(axis=1) == after.argmax(axis=1))
    thresholds = model.description.require_thresholds()
    return np.asarray((apply_thresholds(before, thresholds) == apply_thresholds(after, thresholds)).all(axis=1))


def _scores(
    model: SavedModel, read: Sequence[CheckImage], before: np.ndarray, after: np.ndarray
) -> tuple[str, float, float]:
    classes = model.description.classes
    truth = np.array([[name in (image.labels or ()) for name in classes] for image in read])
    if model.description.task == "single-label":
        right = [float(truth[np.arange(len(read)), outputs.argmax(axis=1)].mean()) for outputs in (before, after)]
        return "accuracy", right[0], right[1]
    present = truth.any(axis=0)
    means = [mean_average_precision(truth[:, present], outputs[:, present]) for outputs in (before, after)]
    return "mean average precision", means[0], means[1]


def _ood_agreement(model: SavedModel, before: np.ndarray, after: np.ndarray) -> float | None:
    threshold = certainty_thresholds(model).ood_distance
    if threshold is None or model.bank is None:
        return None
    calls = [model.bank.distances(features) > threshold for features in (before, after)]
    return float((calls[0] == calls[1]).mean())
