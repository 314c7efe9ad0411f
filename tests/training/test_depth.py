from __future__ import annotations

import pytest
import torch
from torch import nn

from distingo.models.backbones import find_backbone, load_backbone
from distingo.models.heads import LinearHead
from distingo.models.saved import join_backbone
from distingo.training.recipe import Recipe
from distingo.training.step import build_optimizer, depth_of_parameters, set_training_mode
from tiny_backbones import write_backbone


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> nn.Sequential:
    folder = write_backbone(tmp_path_factory.mktemp("weights") / "tiny")
    module, description = load_backbone(find_backbone(str(folder)))
    return join_backbone(description, module, LinearHead(description.features, 3))


def recipe(**fields: object) -> Recipe:
    return Recipe(model="tiny", height=32, width=32, mode="finetune", lr=0.1, **fields)  # type: ignore[arg-type]


def learning(network: nn.Module) -> set[str]:
    return {name for name, parameter in network.named_parameters() if parameter.requires_grad}


def test_depth_grows_from_the_head_to_the_stem(network: nn.Sequential) -> None:
    depths = depth_of_parameters(network)
    assert "network.head.linear.weight" not in depths  # which means 0
    last = depths["network.backbone.layer4.0.conv1.weight"]
    first = depths["network.backbone.layer1.0.conv1.weight"]
    stem = depths["network.backbone.conv1.0.weight"]
    assert 1 <= last < first < stem
    assert set(depths.values()) == set(range(1, stem + 1))


def test_a_network_of_our_own_has_no_depths() -> None:
    assert depth_of_parameters(nn.Sequential(nn.Linear(2, 2))) == {}


def test_the_learning_rate_falls_with_depth(network: nn.Sequential) -> None:
    optimizer = build_optimizer(network, recipe(layer_decay=0.5, weight_decay=0.1))
    by_depth = {group["depth"]: group["lr_scale"] for group in optimizer.param_groups}
    assert by_depth[0] == 1.0
    assert all(scale == 0.5**depth for depth, scale in by_depth.items())
    held = sum(len(group["params"]) for group in optimizer.param_groups)
    assert held == len(list(network.parameters()))
    for group in optimizer.param_groups:
        assert all((parameter.ndim > 1) == (group["weight_decay"] > 0) for parameter in group["params"])


def test_blocks_are_unfrozen_one_after_another_head_first(network: nn.Sequential) -> None:
    gradual = recipe(unfreeze_epochs=4.0)
    optimizer = build_optimizer(network, gradual)
    sizes = []
    for epoch in range(6):
        set_training_mode(network, optimizer, gradual, epoch)
        sizes.append(len(learning(network)))
    assert sizes[0] == 2  # the head's weights and biases
    assert sizes == sorted(sizes)
    assert sizes[1] < sizes[3] < sizes[4] == sizes[5] == len(list(network.parameters()))


@pytest.mark.parametrize(("batch_norm", "counts"), [("frozen", False), ("updated", True)])
def test_batch_normalisation_goes_on_counting_only_where_asked(
    network: nn.Sequential, batch_norm: str, counts: bool
) -> None:
    chosen = recipe(batch_norm=batch_norm)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items() if "running_mean" in name}
    set_training_mode(network, build_optimizer(network, chosen), chosen, 0)
    network(torch.rand(4, 3, 32, 32))
    after = network.state_dict()
    assert all(torch.equal(before[name], after[name]) != counts for name in before)
    network.load_state_dict({**after, **before})
