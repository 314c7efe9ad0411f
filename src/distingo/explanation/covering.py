"""Occlusion: heat maps for any model, and validation of heat maps, by covering parts of an image."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

from distingo.datasets.measurements import describe
from distingo.explanation.records import CoverCheck
from distingo.metrics.thresholds import apply_thresholds
from distingo.prediction.classifier import predict_probabilities
from distingo.prediction.networks import ArrayRows
from distingo.progress import progress_bar

if TYPE_CHECKING:
    from distingo.prediction.predictor import Predictor

ImageFunction = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]
"""From uint8 images (n, height, width, channels) to probabilities (n, classes)."""

Mask = npt.NDArray[np.bool_]

CELLS = 8
"""Cells along each side of an occlusion map; a covering square has `_SQUARE` by `_SQUARE` cells."""

_SQUARE = 2

HOTTEST = 0.2
"""Share of the pixels that the check covers."""

RANDOM_COVERS = 40

_MAX_OVERLAP = 0.35
"""Highest share of the hottest part that a random part may overlap."""

_MAX_ATTEMPTS = 400

_SEED = 20

_BATCH = 16


def map_by_covering(
    predict: ImageFunction, pixels: npt.NDArray[np.uint8], column: int, *, several: bool
) -> npt.NDArray[np.float32]:
    """Measure how much a class's log odds fall when squares are covered with the image's mean color.

    Source: Zeiler and Fergus, Visualizing and understanding convolutional networks, ECCV 2014.

    Args:
        predict: The model.
        pixels: uint8 (height, width, channels).
        column: Column of the class.
        several: Whether the task is multi-label.

    Returns:
        Float32 (rows, columns), not negative, at most `CELLS` along each side: the mean fall over all squares that
        cover a cell.
    """
    rows, columns = (min(CELLS, side) for side in pixels.shape[:2])
    corners = [(y, x) for y in range(1 - _SQUARE, rows) for x in range(1 - _SQUARE, columns)]
    cells = np.stack([_square(rows, columns, y, x) for y, x in corners])
    masks = [_enlarge(each, pixels.shape[:2]) for each in cells]
    _, falls, _ = _cover(predict, pixels, masks, column, several=several)
    heat = np.einsum("n,nyx->yx", falls, cells) / cells.sum(0)
    return np.asarray(np.maximum(heat, 0), np.float32)


def check_by_covering(
    predict: ImageFunction,
    pixels: npt.NDArray[np.uint8],
    heat: npt.NDArray[np.float32],
    column: int,
    *,
    several: bool,
) -> CoverCheck:
    """Test whether covering the hottest part of a map has more effect on a class than covering random parts.

    The random parts are shifted (with wrap-around) and mirrored copies of the hottest part. The test is a permutation
    test (Phipson and Smyth, Permutation p-values should never be zero, 2010). It is slightly liberal because the random
    parts avoid the hottest part: 7 % of smooth maps that were unrelated to smooth evidence ranked first.

    Args:
        predict: The model.
        pixels: uint8 (height, width, channels), preprocessed for the model.
        heat: Float32 (rows, columns) over the same part, not all zero.
        column: Column of the class.
        several: Whether the task is multi-label.
    """
    hottest = hottest_part(heat, (pixels.shape[0], pixels.shape[1]))
    masks = [hottest, *_moved(hottest)]
    baseline, falls, covered = _cover(predict, pixels, masks, column, several=several)
    return CoverCheck(
        share=float(hottest.mean()),
        before=baseline,
        hottest=float(covered[0]),
        random=tuple(map(float, covered[1:])),
        fall=float(falls[0]),
        random_falls=tuple(map(float, falls[1:])),
    )


def hottest_part(heat: npt.NDArray[np.float32], size: tuple[int, int]) -> Mask:
    """Mask of the hottest fifth of a map, enlarged bilinearly to a size in pixels (height, width)."""
    large = np.asarray(
        Image.fromarray(heat.astype(np.float32)).resize((size[1], size[0]), Image.Resampling.BILINEAR), np.float32
    )
    number = max(1, round(HOTTEST * large.size))
    mask = np.zeros(large.size, np.bool_)
    mask[np.argsort(-large.ravel(), kind="stable")[:number]] = True
    return mask.reshape(size)


def log_odds(probabilities: npt.NDArray[np.float32], column: int, *, several: bool) -> npt.NDArray[np.float64]:
    """Log odds of one class from probabilities (n, classes); single-label against the sum of all other classes."""
    probabilities_f64 = probabilities.astype(np.float64)
    class_probability = probabilities_f64[:, column]
    # near 1 the sum of the others is exact where 1 - own is not
    others = 1 - class_probability if several else np.delete(probabilities_f64, column, axis=1).sum(axis=1)
    smallest = 1e-12
    return np.asarray(np.log(np.maximum(class_probability, smallest)) - np.log(np.maximum(others, smallest)))


def _moved(mask: Mask) -> list[Mask]:
    """Randomly shifted copies of the mask; if too few avoid it, those with the least overlap."""
    generator = np.random.default_rng(_SEED)
    candidates: list[tuple[float, int, Mask]] = []
    separate = 0
    for attempt in range(_MAX_ATTEMPTS):
        down, right = (int(generator.integers(side)) for side in mask.shape)
        mirrored = mask[:: int(generator.choice((1, -1))), :: int(generator.choice((1, -1)))]
        other = np.roll(mirrored, (down, right), (0, 1))
        overlap = max(_MAX_OVERLAP, float((other & mask).sum() / mask.sum()))
        candidates.append((overlap, attempt, other))
        separate += overlap == _MAX_OVERLAP
        if separate == RANDOM_COVERS:
            break
    return [other for _, _, other in sorted(candidates, key=lambda entry: entry[:2])[:RANDOM_COVERS]]


def _square(rows: int, columns: int, top: int, left: int) -> Mask:
    cells = np.zeros((rows, columns), np.bool_)
    cells[max(top, 0) : top + _SQUARE, max(left, 0) : left + _SQUARE] = True
    return cells


def _enlarge(cells: Mask, size: tuple[int, ...]) -> Mask:
    rows, columns = ((np.arange(side) * cells.shape[axis]) // side for axis, side in enumerate(size))
    return np.asarray(cells[rows][:, columns])


def _cover(
    predict: ImageFunction, pixels: npt.NDArray[np.uint8], masks: list[Mask], column: int, *, several: bool
) -> tuple[float, npt.NDArray[np.float64], npt.NDArray[np.float32]]:
    """Probability of the class, decrease of its log odds by each mask, and probability with each mask."""
    mean = pixels.reshape(-1, pixels.shape[-1]).mean(axis=0).round().astype(np.uint8)
    uncovered = predict(pixels[None])
    parts = []
    with progress_bar("covering parts", len(masks)) as advance:
        for start in range(0, len(masks), _BATCH):
            batch = masks[start : start + _BATCH]
            parts.append(predict(np.stack([np.where(mask[..., None], mean, pixels) for mask in batch])))
            advance(len(batch))
    covered = np.concatenate(parts)
    falls = log_odds(uncovered, column, several=several) - log_odds(covered, column, several=several)
    return float(uncovered[0, column]), falls, covered[:, column]


class ImageProbabilities:
    """Computes a model's probabilities for preprocessed images.

    The precision is always float32, because rounding to 16 bits would add noise to the effects of covers.

    Args:
        predictor: A predictor with the model.
    """

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor

    def __call__(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Compute probabilities, float32 (n, classes), of uint8 images (n, height, width, channels)."""
        predictor = self._predictor
        return predict_probabilities(predictor.model, self.rows(pixels), device=predictor.device, precision="float32")

    def rows(self, pixels: npt.NDArray[np.uint8]) -> ArrayRows:
        """Convert images to the model's input: pixels, or descriptors for a classic model."""
        if self._predictor.model.network is not None:
            return ArrayRows(pixels)
        return ArrayRows(np.stack([describe(each) for each in pixels]).astype(np.float32))

    def predicted_labels(self, probabilities: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
        """Predicted labels, bool (classes,), for the probabilities of one image."""
        if self._predictor.task == "multi-label":
            reached = apply_thresholds(probabilities, self._predictor.model.description.require_thresholds())
            return np.asarray(reached, np.bool_)
        return np.asarray(np.arange(len(probabilities)) == int(probabilities.argmax()), np.bool_)
