from __future__ import annotations

import numpy as np
import pytest
import torch

from distingo.errors import UsageError
from distingo.models.layers import ChannelNormalization, SampleNormalization
from distingo.training.run import fit_normalization
from raising import raises


class Rows:
    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels = pixels

    @property
    def shape(self) -> tuple[int, ...]:
        return self.pixels.shape

    def __len__(self) -> int:
        return len(self.pixels)

    def take(self, indices: np.ndarray) -> np.ndarray:
        return self.pixels[indices]


def images(n: int = 300, height: int = 5, width: int = 4, channels: int = 3) -> Rows:
    generator = np.random.default_rng(0)
    base = generator.integers(0, 120, (n, 1, 1, channels))
    return Rows((base + generator.integers(0, 120, (n, height, width, channels))).astype(np.uint8))


def tensors(rows: Rows) -> torch.Tensor:
    return torch.from_numpy(rows.pixels).permute(0, 3, 1, 2).float() / 255


def test_dataset_statistics_are_those_of_numpy() -> None:
    rows = images()
    layer = fit_normalization("dataset", rows)
    assert isinstance(layer, ChannelNormalization)
    expected = (rows.pixels / 255).reshape(-1, 3)
    assert layer.mean.flatten().numpy() == pytest.approx(expected.mean(0), abs=1e-6)
    assert layer.std.flatten().numpy() == pytest.approx(expected.std(0), abs=1e-6)


def test_each_sample_is_centered_and_scaled() -> None:
    normalized = SampleNormalization()(tensors(images(4)))
    assert normalized.mean((1, 2, 3)).abs().max() < 1e-5
    assert normalized.flatten(1).std(1, correction=0) == pytest.approx(torch.ones(4), abs=1e-3)
    assert torch.equal(SampleNormalization()(torch.full((1, 3, 4, 4), 0.5)), torch.zeros(1, 3, 4, 4))


def test_whitened_pixels_are_uncorrelated() -> None:
    rows = images(2000)
    whitened = fit_normalization("zca", rows)(tensors(rows)).flatten(1)
    covariance = torch.cov(whitened.T)
    off_diagonal = covariance - torch.diag(covariance.diagonal())
    assert off_diagonal.abs().max() < 0.25 * torch.cov(tensors(rows).flatten(1).T / 0.13).abs().max()
    assert off_diagonal.abs().max() < 0.2


def test_large_images_are_not_whitened() -> None:
    with raises(UsageError, code="out_of_range", parameter="image_size"):
        fit_normalization("zca", Rows(np.zeros((2, 64, 64, 3), np.uint8)))
