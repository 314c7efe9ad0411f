from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from distingo.errors import ErrorCode, ModelError
from distingo.models import layers
from distingo.models.layers import ConvolutionBlock, Flatten, initialise_like_keras, require_input_shape
from raising import raises


def test_block_is_convolution_relu_pooling_as_the_reference_writes_it() -> None:
    torch.manual_seed(0)
    block = ConvolutionBlock(3, 8, kernel_size=5).eval()
    images = torch.randn(2, 3, 11, 10)
    weight, bias = block.convolution.weight, block.convolution.bias
    expected = F.max_pool2d(F.relu(F.conv2d(images, weight, bias, padding=2)), 2)
    torch.testing.assert_close(block(images), expected)
    assert block(images).shape == (2, 8, 5, 5)


@pytest.mark.parametrize("way", ["_winograd_is_faster", "_blocks_are_faster"])
@pytest.mark.parametrize("size", [(14, 14), (7, 7), (9, 12)])
def test_training_gives_the_same_whichever_way_it_is_computed(
    monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], way: str
) -> None:
    torch.manual_seed(0)
    block = ConvolutionBlock(16, 24).double()
    images = torch.randn(3, 16, *size, dtype=torch.float64, requires_grad=True)
    results = []
    for fast in (False, True):
        monkeypatch.setattr(layers, way, lambda *_, fast=fast: fast)
        result = block(images)
        inputs = [images, *block.parameters()]
        results.append((result, *torch.autograd.grad(result.square().sum(), inputs)))
    for plain, winograd in zip(*results, strict=True):
        torch.testing.assert_close(winograd, plain, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("capability", "n", "size", "dtype", "kernel_size", "faster"),
    [
        ("AVX2", 32, 14, torch.float32, 3, True),
        ("AVX512", 32, 14, torch.float32, 3, False),
        ("AVX2", 8, 14, torch.float32, 3, False),
        ("AVX2", 32, 112, torch.float32, 3, False),
        ("AVX2", 32, 14, torch.float64, 3, False),
        ("AVX2", 32, 14, torch.float32, 5, False),
    ],
)
def test_winograd_is_left_to_where_it_was_measured_to_pay(
    monkeypatch: pytest.MonkeyPatch,
    capability: str,
    n: int,
    size: int,
    dtype: torch.dtype,
    kernel_size: int,
    faster: bool,
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    convolution = nn.Conv2d(32, 64, kernel_size, padding=kernel_size // 2, dtype=dtype)
    images = torch.zeros(n, 32, size, size, dtype=dtype)
    assert layers._winograd_is_faster(images, convolution) is faster
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert not layers._winograd_is_faster(images, convolution)


def test_blocks_are_left_to_where_they_were_measured_to_pay() -> None:
    convolution = nn.Conv2d(3, 32, 3, padding=1)
    small, large = torch.zeros(2, 3, 64, 64), torch.zeros(1, 3, 1, 1).expand(64, 3, 224, 224)
    assert not layers._blocks_are_faster(small, convolution)
    assert layers._blocks_are_faster(large, convolution)
    assert not layers._blocks_are_faster(large.to("meta"), convolution)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert layers._blocks_are_faster(small, convolution)


def test_evaluation_never_takes_the_less_exact_way(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("winograd in evaluation")

    monkeypatch.setattr(layers.winograd, "convolve_pool_relu", refuse)
    monkeypatch.setattr(layers, "_winograd_is_faster", lambda *_: True)
    ConvolutionBlock(32, 8).eval()(torch.zeros(32, 32, 14, 14))


def test_flatten_has_channels_fastest_as_keras() -> None:
    images = torch.arange(2 * 3 * 4 * 5).view(2, 3, 4, 5)
    assert torch.equal(Flatten()(images)[1], images[1].permute(1, 2, 0).reshape(-1))
    channels_last = images.contiguous(memory_format=torch.channels_last)
    assert Flatten()(channels_last).data_ptr() == channels_last.data_ptr()


def test_initial_weights_are_glorot_uniform_and_biases_zero() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(8, 32, 3), nn.Linear(200, 100))
    initialise_like_keras(model)
    for layer, inputs, outputs in ((model[0], 8 * 9, 32 * 9), (model[1], 200, 100)):
        limit = math.sqrt(6 / (inputs + outputs))
        assert layer.weight.abs().max() <= limit
        assert layer.weight.std().item() == pytest.approx(limit / math.sqrt(3), rel=0.05)
        assert not layer.bias.any()


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"height": 7}, "unsupported_image_size"),
        ({"width": 1}, "unsupported_image_size"),
        ({"channels": 0}, "out_of_range"),
        ({"classes": 0}, "out_of_range"),
    ],
)
def test_impossible_shapes_are_refused(wrong: dict[str, int], code: ErrorCode) -> None:
    shape = {"classes": 2, "height": 28, "width": 28, "channels": 3, "halvings": 3} | wrong
    with raises(ModelError, code=code) as caught:
        require_input_shape("some-cnn", **shape)
    assert str(caught.value).startswith("some-cnn: ")
