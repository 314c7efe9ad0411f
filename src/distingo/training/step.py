"""One training step: batches, loss, scores, optimizers, learning rates and the moving average of the weights."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from distingo.machine.device import choose_precision
from distingo.messages.notes import Note, note
from distingo.metrics.ranking import mean_average_precision
from distingo.models.architectures import import_timm
from distingo.models.fast_convolutions import faster_depthwise
from distingo.models.heads import PretrainedClassifier
from distingo.prediction.networks import autocast, to_tensor
from distingo.training.augmentation import PRESETS, augment, mix
from distingo.training.losses import Loss
from distingo.training.recipe import Recipe


def depth_of_parameters(network: nn.Module) -> dict[str, int]:
    """Depth by parameter name: 0 for a head, 1 for the last block of a pretrained backbone, more towards its stem.

    Blocks are those that timm groups by for layer-wise learning-rate decay (Clark et al., ELECTRA, 2020).

    Args:
        network: Any network; without a pretrained backbone the result is empty, as all parameters have depth 0.
    """
    depths: dict[str, int] = {}
    for prefix, module in network.named_modules():
        if isinstance(module, PretrainedClassifier):
            backbone: nn.Module = module.backbone
            matcher = getattr(backbone, "group_matcher", None)
            layers = (
                import_timm().models.group_parameters(backbone, matcher(coarse=False), reverse=True) if matcher else {}
            )
            deepest = max(layers.values(), default=0)
            for name, layer in layers.items():
                depths[f"{prefix}.backbone.{name}"] = deepest - layer + 1
    return depths


ONE_CYCLE_RISE = 0.3
"""Fraction of the steps in which a one-cycle schedule rises (Smith and Topin, "Super-Convergence", 2018)."""


def build_optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimizer over a network's parameters; no decay on biases and normalization.

    Each group has an ``lr_scale``, which multiplies the learning rate, and a ``depth``, its distance from the output.

    Args:
        network: Network whose parameters are optimized.
        recipe: Recipe with optimizer, learning rate, momentum, weight decay and layer-wise decay.
    """
    groups = _groups(network, recipe)
    if recipe.optimizer == "sgd":
        nesterov = recipe.momentum > 0
        return torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum, nesterov=nesterov, fused=True)
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.lr, fused=True)
    return torch.optim.Adam(groups, lr=recipe.lr, fused=True)


def _groups(network: nn.Module, recipe: Recipe) -> list[dict[str, object]]:
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
    """Set, before an epoch, which layers are trained and whether batch normalization updates its statistics.

    Args:
        network: Network to put into training mode, except for batch normalization that the recipe freezes.
        optimizer: Result of `build_optimizer`; parameters of layers that are still frozen get no gradient.
        recipe: Recipe with `unfreeze_epochs` and `batch_norm`.
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
    """Return the learning rate of one step; it depends on the recipe only, so resuming needs no scheduler state.

    Args:
        recipe: Names schedule, peak, warm-up and epochs.
        step: Number of the step in the run, from 0.
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
    ``ExponentialMovingAverage``, so that the first epochs do not depend on their random start.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.state = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Move the average towards the network's current weights.

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


@dataclass(frozen=True, slots=True)
class Batch:
    """The training data of one step.

    Attributes:
        images: float (n, c, h, w) in [0, 1], augmented, channels last in memory.
        targets: int64 (n,), class indices, or bool (n, classes) for multi-label.
        soft_targets: float32 (n, classes), mixed in the same way as the images.
    """

    images: Tensor
    targets: Tensor
    soft_targets: Tensor


def prepare_batch(
    pixels: np.ndarray,
    targets: np.ndarray,
    *,
    classes: int,
    augmentation: str,
    device: torch.device,
    generator: torch.Generator,
) -> Batch:
    """Move images to the device and augment them there.

    Args:
        pixels: uint8 (n, height, width, channels).
        targets: As in `Batch`.
        classes: Number of classes.
        augmentation: Name of a preset.
        device: Device that the network runs on.
        generator: Source of all randomness.
    """
    preset = PRESETS[augmentation]
    images = to_tensor(pixels, device)
    positions = torch.from_numpy(targets).to(device)
    soft_targets = F.one_hot(positions, classes).float() if positions.ndim == 1 else positions.float()
    images = augment(images, preset, generator)
    images, soft_targets = mix(images, soft_targets, preset, generator)
    return Batch(images, positions, soft_targets)


def compute_loss(
    network: nn.Module, batch: Batch, loss_of: Loss, *, device: torch.device, precision: str
) -> tuple[Tensor, Tensor]:
    """Run the forward pass.

    Returns:
        Logits, float32 (n, classes), and the loss.
    """
    with autocast(device, precision), faster_depthwise(device, precision):
        logits = network(batch.images).float()
    return logits, loss_of(logits, batch.soft_targets)


def update_weights(
    network: nn.Module, loss: Tensor, optimizer: torch.optim.Optimizer, average: WeightAverage | None, step: int
) -> None:
    """Run the backward pass, and update the weights and the moving average."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    if average:
        average.update(network, step)


@dataclass(frozen=True, slots=True)
class EpochScores:
    """Loss and score of one pass; scores of the other task are None.

    Attributes:
        loss: Mean over images, for multi-label also over labels.
        accuracy: Fraction of images whose most probable class is right; None for multi-label.
        mean_average_precision: Mean over the labels that some image has (0 without any); None for single-label.
    """

    loss: float
    accuracy: float | None = None
    mean_average_precision: float | None = None


def monitored_score(recipe: Recipe, validation: EpochScores) -> float:
    """Return the validation score that the best epoch is chosen by; higher is better."""
    if recipe.monitor == "validation_loss":
        return -validation.loss
    score = validation.mean_average_precision if validation.accuracy is None else validation.accuracy
    assert score is not None
    return score


def score_pass(logits: np.ndarray, targets: np.ndarray) -> EpochScores:
    """Score a network on held-out images, with plain cross-entropy regardless of the training loss.

    Args:
        logits: float32 (n, classes).
        targets: int64 (n,), or bool (n, labels) for multi-label.
    """
    if targets.ndim == 1:
        loss = F.cross_entropy(torch.from_numpy(logits), torch.from_numpy(targets)).item()
        return EpochScores(loss, accuracy=float((logits.argmax(1) == targets).mean()))
    loss = F.binary_cross_entropy_with_logits(torch.from_numpy(logits), torch.from_numpy(targets).float()).item()
    return EpochScores(loss, mean_average_precision=_rank(targets, logits))


def _rank(targets: np.ndarray, logits: np.ndarray) -> float:
    return mean_average_precision(targets, logits) if targets.any() else 0.0


@dataclass(slots=True)
class Tally:
    """Accumulates loss and score of an epoch's batches, each computed before its step."""

    images: int = 0
    total_loss: float = 0.0
    right: int = 0
    _logits: list[np.ndarray] = field(default_factory=list)
    _targets: list[np.ndarray] = field(default_factory=list)

    def add(self, loss: float, logits: Tensor, targets: Tensor) -> None:
        """Count a batch.

        Args:
            loss: Mean over its images.
            logits: Float (n, classes).
            targets: Before images were mixed: int64 (n,), or bool (n, labels).
        """
        self.images += len(targets)
        self.total_loss += loss * len(targets)
        if targets.ndim == 1:
            self.right += int((logits.detach().argmax(1) == targets).sum())
        else:
            self._logits.append(logits.detach().cpu().numpy())
            self._targets.append(targets.cpu().numpy())

    @property
    def words(self) -> str:
        """Text with the loss and score of the epoch so far."""
        loss = f"loss {self.total_loss / self.images:.3f}"
        return loss if self._logits else f"{loss}  accuracy {self.right / self.images:.1%}"

    def scores(self, n: int) -> EpochScores:
        """Return the scores of the epoch.

        Args:
            n: Number of images in the train split; a last batch of one image may have been left out.
        """
        if not self._logits:
            return EpochScores(self.total_loss / n, accuracy=self.right / n)
        ranked = _rank(np.concatenate(self._targets), np.concatenate(self._logits))
        return EpochScores(self.total_loss / n, mean_average_precision=ranked)


def resolve_precision(recipe: Recipe, device: torch.device) -> tuple[str, Note]:
    """Return the precision that a network is trained in, and the reason."""
    if recipe.precision != "auto":
        return recipe.precision, note("requested")
    precision, reason = choose_precision(device)
    return precision, reason
