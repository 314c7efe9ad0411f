from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from distingo.models import fast_convolutions as depthwise
from distingo.models.fast_convolutions import faster_depthwise

CPU = torch.device("cpu")


def gradients(network: nn.Module, images: Tensor, precision: str) -> list[Tensor]:
    with torch.autocast("cpu", dtype=torch.bfloat16), faster_depthwise(CPU, precision):
        result = network(images)
    return [result.detach(), *torch.autograd.grad(result.float().square().sum(), [images, *network.parameters()])]


@pytest.mark.parametrize("side", [3, 5])
def test_results_and_gradients_are_those_of_torch(side: int) -> None:
    torch.manual_seed(0)
    network = nn.Conv2d(16, 16, side, stride=2, padding=side // 2, groups=16, bias=False)
    images = torch.randn(4, 16, 11, 10, requires_grad=True)
    results = [gradients(network, images, precision) for precision in ("float32", "bfloat16")]
    assert torch.equal(results[0][0], results[1][0])
    for plain, faster in zip(results[0][1:], results[1][1:], strict=True):
        torch.testing.assert_close(faster, plain, rtol=0.03, atol=0.03 * plain.abs().max().item())
        assert faster.dtype == plain.dtype


@pytest.mark.parametrize(
    ("options", "taken"),
    [
        ({"stride": 2, "groups": 8, "bias": False}, True),
        ({"stride": 1, "groups": 8, "bias": False}, False),
        ({"stride": 2, "groups": 1, "bias": False}, False),
        ({"stride": 2, "groups": 8, "bias": True}, False),
    ],
)
def test_other_convolutions_are_left_alone(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, object], taken: bool
) -> None:
    calls = []

    def apply(*inputs: object) -> Tensor:
        calls.append(inputs)
        return torch.zeros(())

    monkeypatch.setattr(depthwise._Convolution, "apply", apply)
    convolution = nn.Conv2d(8, 8, 3, **options)
    with faster_depthwise(CPU, "bfloat16"):
        convolution(torch.zeros(1, 8, 8, 8))
    assert bool(calls) is taken


def test_nothing_changes_in_float32_without_gradients_or_on_another_device() -> None:
    convolution = nn.Conv2d(8, 8, 3, stride=2, groups=8, bias=False)
    for device, precision in ((CPU, "float32"), (torch.device("cuda"), "bfloat16")):
        with faster_depthwise(device, precision):
            assert convolution(torch.zeros(1, 8, 8, 8)).grad_fn.name() == "ConvolutionBackward0"
    with torch.inference_mode(), faster_depthwise(CPU, "bfloat16"):
        assert convolution(torch.zeros(1, 8, 8, 8)).dtype == torch.float32


def test_an_unfrozen_weight_under_frozen_pictures_gets_its_gradient() -> None:
    convolution = nn.Conv2d(8, 8, 3, stride=2, groups=8, bias=False)
    with torch.autocast("cpu", dtype=torch.bfloat16), faster_depthwise(CPU, "bfloat16"):
        result = convolution(torch.ones(1, 8, 8, 8))
    result.float().sum().backward()
    assert convolution.weight.grad is not None
    assert convolution.weight.grad.abs().sum() > 0
