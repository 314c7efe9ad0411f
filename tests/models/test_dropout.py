from __future__ import annotations

import pytest
import torch

from distingo.models.fast_convolutions import Dropout, kept_bits


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


def test_dropout_drops_neighbours_independently() -> None:
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
    masks = kept_bits(torch.empty(7, 30_001, dtype=dtype), probability)
    assert masks.dtype == dtype
    assert masks.shape == (7, 30_001)
    assert set(masks.unique().tolist()) == {0, -1}
    deviation = (probability * (1 - probability) / masks.numel()) ** 0.5
    assert abs((masks == 0).double().mean().item() - probability) < 4 * deviation


def test_masks_follow_the_seed() -> None:
    like = torch.empty(100, dtype=torch.int16)
    torch.manual_seed(1)
    first = kept_bits(like, 0.5)
    torch.manual_seed(1)
    assert torch.equal(kept_bits(like, 0.5), first)
    assert not torch.equal(kept_bits(like, 0.5), first)
