"""Fit a network's input normalisation on the training side."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from distingo.errors import UsageError
from distingo.models.normalisation import ChannelNormalisation, ZCAWhitening, build_normalisation
from distingo.prediction.tensors import Rows, to_tensor

_SAMPLE = 10_000
"""Pictures that statistics are computed on: more change nothing in the third digit."""

_LARGEST_WHITENING = 4096
"""Numbers per picture that can be whitened: the matrix is that number squared."""


def fit_normalisation(kind: str, rows: Rows) -> nn.Module:
    """Learn a normalisation from training pictures.

    Args:
        kind: ``none``, ``dataset``, ``sample`` or ``zca``, as in the recipe.
        rows: uint8 training pictures (height, width, channels).

    Raises:
        UsageError: The pictures are too large to whiten.
    """
    _, height, width, channels = rows.shape
    if kind == "dataset":
        return _channel_statistics(rows)
    if kind == "zca":
        return _whitening(rows)
    return build_normalisation(kind, channels=channels, pixels=channels * height * width)


def _sample(rows: Rows) -> np.ndarray:
    return np.linspace(0, len(rows) - 1, min(len(rows), _SAMPLE)).astype(np.int64)


def _channel_statistics(rows: Rows) -> ChannelNormalisation:
    indices = _sample(rows)
    channels = rows.shape[3]
    sums, squares = np.zeros(channels), np.zeros(channels)
    for part in np.array_split(indices, max(1, len(indices) // 64)):
        pixels = rows.take(part).reshape(-1, channels).astype(np.float32) / 255.0
        sums += pixels.sum(axis=0, dtype=np.float64)
        squares += (pixels * pixels).sum(axis=0, dtype=np.float64)
    n = len(indices) * rows.shape[1] * rows.shape[2]
    mean = sums / n
    std = np.sqrt(np.maximum(squares / n - mean**2, 1e-8))
    return ChannelNormalisation(tuple(mean.tolist()), tuple(std.tolist()))


def _whitening(rows: Rows, epsilon: float = 1e-2) -> ZCAWhitening:
    _, height, width, channels = rows.shape
    numbers = height * width * channels
    if numbers > _LARGEST_WHITENING:
        raise UsageError(
            f"--normalise zca: {height}x{width}x{channels} pictures hold {numbers} numbers, "
            f"at most {_LARGEST_WHITENING} can be whitened; take a smaller --image-size"
        )
    flat = to_tensor(rows.take(_sample(rows))).contiguous().flatten(1).double()
    mean = flat.mean(0)
    covariance = torch.cov((flat - mean).T).view(numbers, numbers)
    values, vectors = torch.linalg.eigh(covariance)
    matrix = vectors @ torch.diag((values.clamp(min=0) + epsilon).rsqrt()) @ vectors.T
    return ZCAWhitening(mean.float(), matrix.float())
