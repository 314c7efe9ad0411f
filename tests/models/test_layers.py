from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from distingo.errors import ErrorCode, ModelError
from distingo.models import layers
from distingo.models.layers import ConvolutionBlock, Flatten, initialize_like_keras, require_input_shape, summarize
from distingo.models.small_networks import SportsCNN
from raising import raises


def test_block_is_convolution_relu_pooling_as_the_reference_writes_it() -> None:
    torch.manual_seed(0)
    block = ConvolutionBlock(3, 8, kernel_size=5).eval()
    images = torch.randn(2, 3, 11, 10)
    weight, bias = block.convolution.weight, block.convolution.bias
    expected = F.max_pool2d(F.relu(F.conv2d(images, weight, bias, padding=2)), 2)
    torch.testing.assert_close(block(images), expected)
    assert block(images).shape == (2, 8, 5, 5)


@pytest.mark.parametrize("size", [(14, 14), (7, 7), (9, 12)])
def test_training_gives_the_same_in_blocks_and_at_once(monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    block = ConvolutionBlock(16, 24).double()
    images = torch.randn(3, 16, *size, dtype=torch.float64, requires_grad=True)
    results = []
    for fast in (False, True):
        monkeypatch.setattr(layers, "_blocks_are_faster", lambda *_, fast=fast: fast)
        result = block(images)
        inputs = [images, *block.parameters()]
        results.append((result, *torch.autograd.grad(result.square().sum(), inputs)))
    for plain, in_blocks in zip(*results, strict=True):
        torch.testing.assert_close(in_blocks, plain, rtol=1e-9, atol=1e-9)


def test_blocks_are_left_to_where_they_were_measured_to_pay() -> None:
    convolution = nn.Conv2d(3, 32, 3, padding=1)
    small, large = torch.zeros(2, 3, 64, 64), torch.zeros(1, 3, 1, 1).expand(64, 3, 224, 224)
    assert not layers._blocks_are_faster(small, convolution)
    assert layers._blocks_are_faster(large, convolution)
    assert not layers._blocks_are_faster(large.to("meta"), convolution)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert layers._blocks_are_faster(small, convolution)


def test_flatten_has_channels_fastest_as_keras() -> None:
    images = torch.arange(2 * 3 * 4 * 5).view(2, 3, 4, 5)
    assert torch.equal(Flatten()(images)[1], images[1].permute(1, 2, 0).reshape(-1))
    channels_last = images.contiguous(memory_format=torch.channels_last)
    assert Flatten()(channels_last).data_ptr() == channels_last.data_ptr()


def test_initial_weights_are_glorot_uniform_and_biases_zero() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(8, 32, 3), nn.Linear(200, 100))
    initialize_like_keras(model)
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


def test_every_layer_has_its_shape_and_its_count() -> None:
    lines = summarize(SportsCNN(2), 224, 224, 3).splitlines()
    rows = {line.split()[0]: line for line in lines if line and not line.startswith(("-", "parameters:"))}
    assert rows["features.0.convolution"].split() == (
        ["features.0.convolution", "Conv2d", "32", "x", "224", "x", "224", "896"]
    )
    assert rows["features.2.pool"].split()[1:] == ["MaxPool2d", "64", "x", "28", "x", "28", "0"]
    assert rows["classifier.2"].split()[1:] == ["Linear", "128", "6,422,656"]
    assert lines[-1] == "parameters: 6,451,554, of which 6,451,554 are trained"
    assert len({len(line) for line in lines[:-2]}) == 1


def test_frozen_parameters_are_distinguished() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.Linear(5, 2))
    model[1].requires_grad_(False)
    assert summarize(model, 2, 2, 3).endswith("parameters: 77, of which 12 are trained")


def test_a_layer_passed_twice_is_counted_once() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv2d(3, 3, 1)

        def forward(self, images: Tensor) -> Tensor:
            return self.layer(self.layer(images))

    rows = [line for line in summarize(Twice(), 4, 4, 3).splitlines() if "Conv2d" in line]
    assert [row.split()[-1] for row in rows] == ["12", "0"]


def test_the_model_is_left_as_it_was() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.Dropout())
    model[1].eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    summarize(model, 3, 3, 1)
    assert [layer.training for layer in model.modules()] == [True, True, False, True]
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert not any(layer._forward_hooks for layer in model.modules())
