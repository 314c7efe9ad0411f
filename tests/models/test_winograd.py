from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from distingo.models.winograd import axis, convolve, convolve_pool_relu, tile_sizes

SHAPES = [
    (3, 2, 5, 7, 7),
    (2, 3, 4, 14, 14),
    (2, 1, 1, 4, 9),
    (1, 4, 2, 16, 5),
    (2, 2, 3, 2, 3),
    (2, 2, 2, 13, 10),
]


def plain(images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.relu(F.max_pool2d(F.conv2d(images, weight, bias, padding=1), 2))


def operands(n: int, inputs: int, outputs: int, height: int, width: int, dtype: torch.dtype) -> list[Tensor]:
    generator = torch.Generator().manual_seed(n * 100 + height)
    shapes = [(n, inputs, height, width), (outputs, inputs, 3, 3), (outputs,)]
    return [torch.randn(shape, generator=generator, dtype=dtype).requires_grad_() for shape in shapes]


def gradients(result: Tensor, parts: list[Tensor]) -> tuple[Tensor, ...]:
    cotangent = torch.randn(result.shape, generator=torch.Generator().manual_seed(0), dtype=result.dtype)
    return torch.autograd.grad(result, parts, cotangent)


@pytest.mark.parametrize(
    ("outputs", "tiles"),
    [(1, [1]), (2, [2]), (6, [6]), (7, [4, 3]), (8, [4, 4]), (14, [5, 5, 4]), (16, [6, 5, 5]), (10, [5, 5])],
)
def test_tiles_cover_the_axis(outputs: int, tiles: list[int]) -> None:
    assert tile_sizes(outputs) == tiles
    assert sum(tiles) == outputs


def test_one_axis_is_a_padded_convolution_of_one_dimension() -> None:
    row, taps = torch.randn(14, dtype=torch.float64), torch.randn(3, dtype=torch.float64)
    transform = axis(14, 14, torch.float64)
    result = transform.to_output @ ((transform.of_filter @ taps) * (transform.of_input @ row))
    torch.testing.assert_close(result, F.conv1d(row.view(1, 1, -1), taps.view(1, 1, -1), padding=1).flatten())


@pytest.mark.parametrize("shape", SHAPES)
def test_results_and_gradients_are_those_of_torch(shape: tuple[int, int, int, int, int]) -> None:
    parts = operands(*shape, torch.float64)
    result, expected = convolve_pool_relu(*parts), plain(*parts)
    torch.testing.assert_close(result, expected, rtol=1e-10, atol=1e-10)
    for gradient, expected_gradient in zip(gradients(result, parts), gradients(expected, parts), strict=True):
        torch.testing.assert_close(gradient, expected_gradient, rtol=1e-10, atol=1e-10)


def test_gradients_are_those_of_finite_differences() -> None:
    assert torch.autograd.gradcheck(convolve_pool_relu, operands(1, 2, 2, 4, 3, torch.float64))


@pytest.mark.parametrize(("inputs", "outputs", "size"), [(32, 64, 14), (64, 128, 7)])
def test_float32_errs_by_less_than_a_ten_thousandth(inputs: int, outputs: int, size: int) -> None:
    parts = operands(32, inputs, outputs, size, size, torch.float32)
    exact = plain(*(part.double() for part in parts))
    error = (convolve_pool_relu(*parts).double() - exact).abs().max() / exact.std()
    assert error < 1e-4


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_any_memory_order_is_taken(memory_format: torch.memory_format) -> None:
    images, weight, bias = (part.detach() for part in operands(2, 4, 3, 8, 8, torch.float64))
    result = convolve_pool_relu(images.contiguous(memory_format=memory_format), weight, bias)
    torch.testing.assert_close(result, plain(images, weight, bias))


def test_equal_maxima_give_their_gradient_to_the_first_as_torch_does() -> None:
    images = torch.zeros(2, 3, 6, 6, dtype=torch.float64, requires_grad=True)
    weight = torch.ones(4, 3, 3, 3, dtype=torch.float64)
    bias = torch.ones(4, dtype=torch.float64)
    result, expected = convolve_pool_relu(images, weight, bias), plain(images, weight, bias)
    torch.testing.assert_close(gradients(result, [images])[0], gradients(expected, [images])[0])


def test_a_number_that_is_none_is_not_hidden() -> None:
    images, weight, bias = (part.detach() for part in operands(2, 2, 2, 6, 6, torch.float32))
    images[0, 0, 0, 0] = torch.nan
    assert convolve_pool_relu(images, weight, bias)[0].isnan().any()


@pytest.mark.parametrize("shape", SHAPES)
def test_a_convolution_alone_is_that_of_torch(shape: tuple[int, int, int, int, int]) -> None:
    images, weight, _ = operands(*shape, torch.float64)
    result, expected = convolve(images, weight), F.conv2d(images, weight, padding=1)
    torch.testing.assert_close(result, expected, rtol=1e-10, atol=1e-10)
    parts = [images, weight]
    for gradient, expected_gradient in zip(gradients(result, parts), gradients(expected, parts), strict=True):
        torch.testing.assert_close(gradient, expected_gradient, rtol=1e-10, atol=1e-10)
