from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from distingo.models import fast_convolutions as pooled_convolution
from distingo.models.fast_convolutions import convolve_pool_relu

SHAPES = [
    (5, 1, 8, 28, 28, 3),
    (3, 3, 8, 11, 10, 5),
    (3, 16, 24, 9, 12, 3),
    (2, 2, 4, 7, 7, 3),
    (1, 3, 2, 2, 3, 5),
    (4, 1, 1, 6, 4, 1),
]


def plain(images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.relu(F.max_pool2d(F.conv2d(images, weight, bias, padding="same"), 2))


def operands(n: int, inputs: int, outputs: int, height: int, width: int, side: int, dtype: torch.dtype) -> list[Tensor]:
    generator = torch.Generator().manual_seed(n * 100 + height)
    shapes = [(n, inputs, height, width), (outputs, inputs, side, side), (outputs,)]
    return [torch.randn(shape, generator=generator).to(dtype).requires_grad_() for shape in shapes]


def gradients(result: Tensor, parts: list[Tensor]) -> tuple[Tensor, ...]:
    cotangent = torch.randn(result.shape, generator=torch.Generator().manual_seed(0)).to(result.dtype)
    return torch.autograd.grad(result, parts, cotangent)


@pytest.mark.parametrize("block_bytes", [1, 1000, pooled_convolution.BLOCK_BYTES])
@pytest.mark.parametrize("shape", SHAPES)
def test_results_and_gradients_are_those_of_torch(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...], block_bytes: int
) -> None:
    monkeypatch.setattr(pooled_convolution, "BLOCK_BYTES", block_bytes)
    parts = operands(*shape, torch.float64)
    result, expected = convolve_pool_relu(*parts), plain(*parts)
    torch.testing.assert_close(result, expected, rtol=1e-12, atol=1e-12)
    assert result.is_contiguous(memory_format=torch.channels_last)
    for gradient, expected_gradient in zip(gradients(result, parts), gradients(expected, parts), strict=True):
        torch.testing.assert_close(gradient, expected_gradient, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_every_float_is_pooled_by_its_bits(dtype: torch.dtype) -> None:
    images, weight, bias = operands(4, 3, 8, 12, 10, 3, dtype)
    result = convolve_pool_relu(images, weight, bias)
    assert result.dtype == dtype
    exact = plain(images.double(), weight.double(), bias.double())
    torch.testing.assert_close(result.double(), exact, rtol=0.02, atol=0.05)
    _, of_weight, of_bias = gradients(result, [images, weight, bias])
    assert of_weight.dtype == of_bias.dtype == dtype


def test_of_equal_numbers_the_first_gets_the_gradient_as_in_torch() -> None:
    images = torch.ones(2, 1, 6, 6, dtype=torch.float64, requires_grad=True)
    weight = torch.zeros(3, 1, 3, 3, dtype=torch.float64)
    weight[:, :, 1, 1] = 1
    parts = [images, weight.requires_grad_(), torch.zeros(3, dtype=torch.float64, requires_grad=True)]
    for gradient, expected in zip(
        gradients(convolve_pool_relu(*parts), parts), gradients(plain(*parts), parts), strict=True
    ):
        torch.testing.assert_close(gradient, expected)


def test_the_weight_s_gradient_has_the_weight_s_type_where_pictures_have_another() -> None:
    images, weight, bias = operands(2, 3, 4, 8, 8, 3, torch.float32)
    result = convolve_pool_relu(images.detach().bfloat16(), weight, bias)
    assert [gradient.dtype for gradient in gradients(result, [weight, bias])] == [torch.float32] * 2


@pytest.mark.parametrize("wrong", [torch.nan, -torch.nan, torch.inf])
def test_weights_that_diverged_are_not_hidden(wrong: float) -> None:
    images, weight, bias = (part.detach() for part in operands(1, 1, 2, 4, 4, 3, torch.float32))
    weight[0, 0, 0, 0] = wrong
    assert convolve_pool_relu(images, weight, bias).isnan().all()


@pytest.mark.parametrize("block_bytes", [1000, pooled_convolution.BLOCK_BYTES])
def test_dropout_drops_its_share_of_results_and_gradients(monkeypatch: pytest.MonkeyPatch, block_bytes: int) -> None:
    monkeypatch.setattr(pooled_convolution, "BLOCK_BYTES", block_bytes)
    parts = operands(6, 3, 16, 64, 64, 3, torch.float64)
    torch.manual_seed(0)
    result, expected = convolve_pool_relu(*parts, dropout=0.25), plain(*parts)
    kept = (result != 0) | (expected == 0)
    dropped = 1 - (result != 0).sum().item() / (expected != 0).sum().item()
    assert dropped == pytest.approx(0.25, abs=0.01)
    expected = expected * kept / 0.75
    torch.testing.assert_close(result, expected, rtol=1e-12, atol=1e-12)
    for gradient, expected_gradient in zip(gradients(result, parts), gradients(expected, parts), strict=True):
        torch.testing.assert_close(gradient, expected_gradient, rtol=1e-10, atol=1e-10)
