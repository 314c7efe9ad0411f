"""What speaks for a class inside networks, on architectures of several kinds with random weights."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from distingo.explanation.relevance import attention_layers, find_heat, margins
from distingo.models.heads import LinearHead, PretrainedClassifier
from distingo.models.layers import ChannelNormalization
from distingo.models.small_networks import SmallCNN, SportsCNN

SWIN = {"img_size": 64, "embed_dim": 16, "depths": (1, 1), "num_heads": (1, 2), "window_size": 4}


def marked_images(count: int, size: int) -> tuple[Tensor, Tensor]:
    """Noise, half of it with a bright red upper left quarter; and whether it has that."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(count, 3, size, size, generator=generator) * 0.4 + 0.3
    marked = torch.arange(count) % 2
    images[marked == 1, :, : size // 4, : size // 4] = torch.tensor([1.0, 0.0, 0.0])[:, None, None]
    return images, marked


def with_head(backbone: nn.Module, size: int) -> nn.Sequential:
    """The backbone with a linear head that was fitted to tell the marked from the others."""
    backbone.eval()
    normalisation = ChannelNormalization((0.5,) * 3, (0.5,) * 3)
    images, marked = marked_images(32, size)
    with torch.no_grad():
        features = backbone(normalisation(images))
    difference = features[marked == 1].mean(0) - features[marked == 0].mean(0)
    weights = difference / (features.var(0) + features.var() * 1e-2)
    threshold = (features @ weights).mean()
    head = LinearHead(features.shape[1], 2)
    with torch.no_grad():
        head.linear.weight.copy_(torch.stack([-weights, weights]))
        head.linear.bias.copy_(torch.stack([threshold, -threshold]))
    return nn.Sequential(OrderedDict(normalisation=normalisation, network=PretrainedClassifier(backbone, head))).eval()


@pytest.mark.parametrize(
    ("name", "arguments", "size", "method"),
    [
        ("test_resnet", {}, 64, "maps"),
        ("test_convnext", {}, 160, "maps"),
        ("test_vit", {"img_size": 96}, 96, "attention"),
        ("test_vit2", {"img_size": 96}, 96, "attention"),
        ("swin_tiny_patch4_window7_224", SWIN, 64, "maps"),
    ],
)
def test_random_backbones_with_a_fitted_head_are_hot_in_the_marked_quarter(
    name: str, arguments: dict[str, Any], size: int, method: str
) -> None:
    import timm

    torch.manual_seed(0)
    network = with_head(timm.create_model(name, num_classes=0, **arguments), size)
    images, marked = marked_images(12, size)
    heat, found = find_heat(network, images[marked == 1], torch.ones(6, dtype=torch.int64), several=False)
    assert found == method
    assert heat.shape[0] == 6
    assert (heat >= 0).all()
    rows, columns = heat.shape[1:]
    mean = heat.mean(0)
    corner = mean[: -(-rows // 3), : -(-columns // 3)].mean()
    assert corner > 2 * mean[rows // 2 :, columns // 2 :].mean()


def test_attention_is_fused_again_afterwards() -> None:
    import timm

    torch.manual_seed(0)
    network = with_head(timm.create_model("test_vit", num_classes=0, img_size=96), 96)
    backbone = network.network.backbone
    before = [layer.fused_attn for layer in attention_layers(backbone)]
    find_heat(network, torch.rand(1, 3, 96, 96), torch.zeros(1, dtype=torch.int64), several=False)
    assert before
    assert [layer.fused_attn for layer in attention_layers(backbone)] == before
    assert all(parameter.grad is None for parameter in network.parameters())


def test_class_attention_can_not_tell() -> None:
    import timm

    torch.manual_seed(0)
    backbone = timm.create_model("cait_xxs24_224", num_classes=0, img_size=64, embed_dim=32, depth=2, num_heads=2)
    network = with_head(backbone, 64)
    heat, method = find_heat(network, torch.rand(1, 3, 64, 64), torch.zeros(1, dtype=torch.int64), several=False)
    assert method == "maps"
    assert torch.isnan(heat).all()


def test_behind_average_pooling_it_is_grad_cam() -> None:
    torch.manual_seed(0)
    cnn = SmallCNN(3, height=24, width=32, channels=3).eval()
    nn.init.normal_(cnn.classifier.weight)
    network = nn.Sequential(OrderedDict(normalisation=nn.Identity(), network=cnn))
    images = torch.rand(2, 3, 24, 32)
    heat, _ = find_heat(network, images, torch.tensor([0, 2]), several=True)
    with torch.no_grad():
        maps = cnn.body(cnn.stem(images))
    weights = cnn.classifier.weight[[0, 2]]
    grad_cam = torch.einsum("nc,nchw->nhw", weights, maps).relu() / (maps.shape[2] * maps.shape[3])
    assert torch.allclose(heat, grad_cam, atol=1e-6)
    assert heat.any()


def test_behind_dense_layers_each_place_has_its_own_weight() -> None:
    torch.manual_seed(0)
    cnn = SportsCNN(2, height=32, width=32).eval()
    dense = cnn.classifier[2]
    with torch.no_grad():
        dense.weight.view(128, 4, 4, 64)[:, :, 1:] = 0  # looks at the leftmost column of the last maps only
    network = nn.Sequential(OrderedDict(normalisation=nn.Identity(), network=cnn))
    heat, _ = find_heat(network, torch.rand(4, 3, 32, 32), torch.tensor([0, 1, 0, 1]), several=False)
    assert heat[:, :, 0].any()
    assert not heat[:, :, 1:].any()


def test_margins_are_log_odds() -> None:
    logits = torch.tensor([[2.0, 0.0, -1.0], [0.5, 0.5, 0.5]])
    classes = torch.tensor([0, 1])
    probabilities = torch.softmax(logits, dim=1).gather(1, classes[:, None])[:, 0]
    assert torch.allclose(margins(logits, classes, several=False), torch.logit(probabilities))
    assert margins(logits, classes, several=True).tolist() == [2.0, 0.5]
