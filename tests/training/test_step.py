from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, log_loss
from torch import nn

from distingo.models.backbones import find_backbone, load_backbone
from distingo.models.heads import LinearHead
from distingo.models.saved import join_backbone
from distingo.training.recipe import Recipe
from distingo.training.step import (
    Tally,
    WeightAverage,
    build_optimizer,
    depth_of_parameters,
    learning_rate,
    score_pass,
    set_training_mode,
)
from tiny_backbones import write_backbone


def recipe(**fields: object) -> Recipe:
    return Recipe(model="small-cnn", height=8, width=8, **fields)  # type: ignore[arg-type]


def test_constant_schedule_warms_up_linearly() -> None:
    rates = [learning_rate(recipe(lr=1.0, warmup_epochs=1.0, epochs=3), step, 4) for step in range(6)]
    assert rates == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0, 1.0])


def test_cosine_schedule_ends_near_zero() -> None:
    cosine = recipe(lr=1.0, schedule="cosine", epochs=10)
    assert learning_rate(cosine, 0, 10) == 1.0
    assert learning_rate(cosine, 50, 10) == pytest.approx(0.5)
    assert learning_rate(cosine, 99, 10) < 0.001


def test_one_cycle_peaks_after_its_rise() -> None:
    cycle = recipe(lr=1.0, schedule="one-cycle", epochs=10)
    rates = [learning_rate(cycle, step, 10) for step in range(100)]
    assert max(rates) == rates[30] == 1.0
    assert rates[0] == pytest.approx(0.04)
    assert rates == sorted(rates[:31]) + sorted(rates[31:], reverse=True)


def test_biases_and_normalization_are_not_decayed() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    optimizer = build_optimizer(network, recipe(optimizer="adamw", weight_decay=0.1))
    decays = {
        parameter.ndim: group["weight_decay"] for group in optimizer.param_groups for parameter in group["params"]
    }
    assert decays == {4: 0.1, 1: 0.0}


def test_sgd_without_momentum_takes_a_plain_step() -> None:
    layer = nn.Linear(1, 1, bias=False)
    before = layer.weight.item()
    optimizer = build_optimizer(layer, recipe(optimizer="sgd", momentum=0.0, lr=0.5))
    layer(torch.ones(1, 1)).backward()
    optimizer.step()
    assert layer.weight.item() == pytest.approx(before - 0.5)


def test_the_average_follows_faster_at_first() -> None:
    layer = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(layer.weight)
    average = WeightAverage(layer, decay=0.99)
    nn.init.ones_(layer.weight)
    average.update(layer, step=0)
    assert average.state["weight"].item() == pytest.approx(0.9)
    average.update(layer, step=10_000)
    assert average.state["weight"].item() == pytest.approx(0.9 * 0.99 + 0.01)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> nn.Sequential:
    folder = write_backbone(tmp_path_factory.mktemp("weights") / "tiny")
    module, description = load_backbone(find_backbone(str(folder)))
    return join_backbone(description, module, LinearHead(description.features, 3))


def recipe_of_depth(**fields: object) -> Recipe:
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
    optimizer = build_optimizer(network, recipe_of_depth(layer_decay=0.5, weight_decay=0.1))
    by_depth = {group["depth"]: group["lr_scale"] for group in optimizer.param_groups}
    assert by_depth[0] == 1.0
    assert all(scale == 0.5**depth for depth, scale in by_depth.items())
    held = sum(len(group["params"]) for group in optimizer.param_groups)
    assert held == len(list(network.parameters()))
    for group in optimizer.param_groups:
        assert all((parameter.ndim > 1) == (group["weight_decay"] > 0) for parameter in group["params"])


def test_blocks_are_unfrozen_one_after_another_head_first(network: nn.Sequential) -> None:
    gradual = recipe_of_depth(unfreeze_epochs=4.0)
    optimizer = build_optimizer(network, gradual)
    sizes = []
    for epoch in range(6):
        set_training_mode(network, optimizer, gradual, epoch)
        sizes.append(len(learning(network)))
    assert sizes[0] == 2  # the head's weights and biases
    assert sizes == sorted(sizes)
    assert sizes[1] < sizes[3] < sizes[4] == sizes[5] == len(list(network.parameters()))


@pytest.mark.parametrize(("batch_norm", "counts"), [("frozen", False), ("updated", True)])
def test_batch_normalization_goes_on_counting_only_where_requested(
    network: nn.Sequential, batch_norm: str, counts: bool
) -> None:
    chosen = recipe_of_depth(batch_norm=batch_norm)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items() if "running_mean" in name}
    set_training_mode(network, build_optimizer(network, chosen), chosen, 0)
    network(torch.rand(4, 3, 32, 32))
    after = network.state_dict()
    assert all(torch.equal(before[name], after[name]) != counts for name in before)
    network.load_state_dict({**after, **before})


GENERATOR = np.random.default_rng(0)


LOGITS = GENERATOR.normal(size=(40, 3)).astype(np.float32)


TRUTH = GENERATOR.random((40, 3)) < 0.4


def test_several_labels_are_scored_by_scikit_learns_numbers() -> None:
    scores = score_pass(LOGITS, TRUTH)
    chances = 1 / (1 + np.exp(-LOGITS.astype(np.float64)))
    expected = np.mean([log_loss(TRUTH[:, label], chances[:, label]) for label in range(3)])
    assert scores.loss == pytest.approx(expected, rel=1e-5)
    assert scores.mean_average_precision == pytest.approx(average_precision_score(TRUTH, chances, average="macro"))
    assert scores.accuracy is None


def test_labels_that_no_image_has_are_no_part_of_the_mean() -> None:
    with_empty = score_pass(np.c_[LOGITS, LOGITS[:, 0]], np.c_[TRUTH, np.zeros(40, bool)])
    assert with_empty.mean_average_precision == score_pass(LOGITS, TRUTH).mean_average_precision
    assert score_pass(LOGITS, np.zeros((40, 3), bool)).mean_average_precision == 0.0


def test_one_label_is_scored_by_accuracy() -> None:
    scores = score_pass(LOGITS, LOGITS.argmax(1))
    assert scores.accuracy == 1.0
    assert scores.mean_average_precision is None


@pytest.mark.parametrize("targets", [LOGITS.argmax(1), TRUTH], ids=["one label", "several labels"])
def test_a_tally_of_batches_is_the_whole(targets: np.ndarray) -> None:
    tally = Tally()
    for start in range(0, 40, 16):
        part = slice(start, start + 16)
        tally.add(0.5 + start, torch.from_numpy(LOGITS[part]), torch.from_numpy(targets[part]))
    whole, scores = score_pass(LOGITS, targets), tally.scores(40)
    assert (scores.accuracy, scores.mean_average_precision) == (whole.accuracy, whole.mean_average_precision)
    assert scores.loss == pytest.approx((0.5 * 16 + 16.5 * 16 + 32.5 * 8) / 40)
    assert tally.images == 40
    assert tally.words.startswith("loss ")
