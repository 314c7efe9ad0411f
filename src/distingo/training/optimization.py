"""Optimisers, learning-rate schedules as pure functions of the step, and the moving average of weights."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

import torch
from torch import Tensor, nn

from distingo.training.depth import depth_of_parameters
from distingo.training.recipe import Recipe

ONE_CYCLE_RISE = 0.3
"""Share of all steps in which a one-cycle schedule rises (Smith and Topin, "Super-Convergence", 2018)."""


def build_optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimiser over a network's parameters; no decay on biases and normalisation.

    Each group carries ``lr_scale``, what the learning rate is multiplied by for it, and ``depth``, how far it lies
    from the output (see `distingo.training.depth`).

    Args:
        network: Its parameters are optimised.
        recipe: Names optimiser, learning rate, momentum, weight decay and the layers' share of the learning rate.
    """
    groups = _groups(network, recipe)
    if recipe.optimizer == "sgd":
        nesterov = recipe.momentum > 0
        return torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum, nesterov=nesterov, fused=True)
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.lr, fused=True)
    return torch.optim.Adam(groups, lr=recipe.lr, fused=True)


def _groups(network: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    depths = depth_of_parameters(network)
    members: dict[tuple[int, bool], list[nn.Parameter]] = defaultdict(list)
    for name, parameter in network.named_parameters():
        members[depths.get(name, 0), parameter.ndim > 1].append(parameter)
    return [
        {
            "params": parameters,
            "weight_decay": recipe.weight_decay if decays else 0.0,
            "lr_scale": recipe.layer_decay**depth,
            "depth": depth,
        }
        for (depth, decays), parameters in sorted(members.items(), key=lambda item: (item[0][0], not item[0][1]))
    ]


def set_training_mode(network: nn.Module, optimizer: torch.optim.Optimizer, recipe: Recipe, epoch: int) -> None:
    """Before each epoch: which layers learn, and whether batch normalisation goes on counting.

    Args:
        network: Put into training mode, apart from batch normalisation that the recipe keeps as it was pretrained.
        optimizer: Of `build_optimizer`; parameters of layers that are not unfrozen yet get no gradient.
        recipe: Its `unfreeze_epochs` and `batch_norm`.
        epoch: Counted from 0.
    """
    network.train()
    if recipe.mode == "finetune" and recipe.batch_norm == "frozen":
        for module in network.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
    deepest = max(group["depth"] for group in optimizer.param_groups)
    share = min(1.0, epoch / recipe.unfreeze_epochs) if recipe.unfreeze_epochs else 1.0
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.requires_grad_(group["depth"] <= share * deepest)


def learning_rate(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """The learning rate of one step, from the recipe alone, so that a resumed run needs no scheduler state.

    Args:
        recipe: Names schedule, peak, warm-up and epochs.
        step: Counted from 0 over the whole run.
        steps_per_epoch: Steps in one epoch.
    """
    total = recipe.epochs * steps_per_epoch
    if recipe.schedule == "one-cycle":
        rise = max(1, round(ONE_CYCLE_RISE * total))
        if step < rise:
            return recipe.lr * (0.04 + 0.96 * _half_cosine_rise(step / rise))
        return recipe.lr * (1 - _half_cosine_rise((step - rise) / max(1, total - rise)))
    warmup = round(recipe.warmup_epochs * steps_per_epoch)
    if step < warmup:
        return recipe.lr * (step + 1) / warmup
    if recipe.schedule == "cosine":
        return recipe.lr * (1 - _half_cosine_rise((step - warmup) / max(1, total - warmup)))
    return recipe.lr


def _half_cosine_rise(progress: float) -> float:
    return 0.5 * (1 - math.cos(math.pi * min(progress, 1.0)))


class WeightAverage:
    """Exponential moving average of a network's weights and statistics.

    Early on the average follows faster, ``min(decay, (1 + t) / (10 + t))``, as in TensorFlow's
    ``ExponentialMovingAverage``, so that the first epochs are not judged by their random start.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.state = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Move the average towards the network's present weights.

        Args:
            network: The network after its `step`-th update.
            step: Counted from 0.
        """
        decay = min(self.decay, (1 + step) / (10 + step))
        averaged: list[Tensor] = []
        current: list[Tensor] = []
        for name, tensor in network.state_dict().items():
            if tensor.is_floating_point():
                averaged.append(self.state[name])
                current.append(tensor)
            else:
                self.state[name].copy_(tensor)
        torch._foreach_lerp_(averaged, current, 1 - decay)
