from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from distingo.models import fast_convolutions as depthwise
from distingo.models import fast_convolutions as pooled_convolution
from distingo.models.fast_convolutions import Dropout, convolve_pool_relu, dropout_masks, faster_depthwise

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


def test_the_weight_s_gradient_has_the_weight_s_type_where_images_have_another() -> None:
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


CPU = torch.device("cpu")


def gradients_of_depthwise(network: nn.Module, images: Tensor, precision: str) -> list[Tensor]:
    with torch.autocast("cpu", dtype=torch.bfloat16), faster_depthwise(CPU, precision):
        result = network(images)
    return [result.detach(), *torch.autograd.grad(result.float().square().sum(), [images, *network.parameters()])]


@pytest.mark.parametrize("side", [3, 5])
def test_results_and_gradients_are_those_of_torch_of_depthwise(side: int) -> None:
    torch.manual_seed(0)
    network = nn.Conv2d(16, 16, side, stride=2, padding=side // 2, groups=16, bias=False)
    images = torch.randn(4, 16, 11, 10, requires_grad=True)
    results = [gradients_of_depthwise(network, images, precision) for precision in ("float32", "bfloat16")]
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


def test_an_unfrozen_weight_under_frozen_images_gets_its_gradient() -> None:
    convolution = nn.Conv2d(8, 8, 3, stride=2, groups=8, bias=False)
    with torch.autocast("cpu", dtype=torch.bfloat16), faster_depthwise(CPU, "bfloat16"):
        result = convolution(torch.ones(1, 8, 8, 8))
    result.float().sum().backward()
    assert convolution.weight.grad is not None
    assert convolution.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_dropout_drops_its_share_and_keeps_the_mean(memory_format: torch.memory_format) -> None:
    torch.manual_seed(0)
    features = torch.ones(16, 8, 33, 7).contiguous(memory_format=memory_format).requires_grad_()
    dropped = Dropout(0.3).train()(features)
    assert dropped.is_contiguous(memory_format=memory_format)
    assert (dropped == 0).float().mean().item() == pytest.approx(0.3, abs=0.01)
    assert dropped.mean().item() == pytest.approx(1.0, abs=0.01)
    assert dropped.max().item() == pytest.approx(1 / 0.7, abs=1e-4)
    dropped.sum().backward()
    assert torch.equal(features.grad, dropped.detach())  # the gradient passes where the feature did


def test_dropout_drops_neighbors_independently() -> None:
    torch.manual_seed(0)
    kept = (Dropout(0.5).train()(torch.ones(1 << 20)) > 0).float() - 0.5
    for distance in (1, 2, 3, 4, 5):
        assert abs((kept[distance:] * kept[:-distance]).mean().item()) < 1e-3


def test_dropout_follows_the_seed_and_rests_outside_training() -> None:
    features = torch.rand(5, 3)
    layer = Dropout(0.5).train()
    torch.manual_seed(1)
    first = layer(features)
    torch.manual_seed(1)
    assert torch.equal(layer(features), first)
    assert not torch.equal(layer(features), first)
    assert layer.eval()(features) is features


@pytest.mark.parametrize("probability", [0.25, 0.4, 0.5, 0.999])
@pytest.mark.parametrize("dtype", [torch.int16, torch.int32, torch.int64])
def test_masks_drop_their_share_and_are_all_or_nothing(dtype: torch.dtype, probability: float) -> None:
    torch.manual_seed(0)
    masks = dropout_masks(torch.empty(7, 30_001, dtype=dtype), probability)
    assert masks.dtype == dtype
    assert masks.shape == (7, 30_001)
    assert set(masks.unique().tolist()) == {0, -1}
    deviation = (probability * (1 - probability) / masks.numel()) ** 0.5
    assert abs((masks == 0).double().mean().item() - probability) < 4 * deviation


def test_masks_follow_the_seed() -> None:
    like = torch.empty(100, dtype=torch.int16)
    torch.manual_seed(1)
    first = dropout_masks(like, 0.5)
    torch.manual_seed(1)
    assert torch.equal(dropout_masks(like, 0.5), first)
    assert not torch.equal(dropout_masks(like, 0.5), first)
