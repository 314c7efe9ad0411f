"""One step of training, from images to changed weights.

Batches, loss and scores; optimizers; learning-rate schedules as pure functions of the step; the moving average of the
weights; the depth of each parameter below the output.
"""

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
        network: Any; of one without a pretrained backbone no parameter is named, as all lie at depth 0.
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
"""Share of all steps in which a one-cycle schedule rises (Smith and Topin, "Super-Convergence", 2018)."""


def build_optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimizer over a network's parameters; no decay on biases and normalization.

    Each group carries ``lr_scale``, what the learning rate is multiplied by for it, and ``depth``, how far it lies
    from the output (see `distingo.training.step`).

    Args:
        network: Its parameters are optimized.
        recipe: Names optimizer, learning rate, momentum, weight decay and the layers' share of the learning rate.
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
    """Before each epoch: which layers learn, and whether batch normalization goes on counting.

    Args:
        network: Put into training mode, apart from batch normalization that the recipe keeps as it was pretrained.
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
    ``ExponentialMovingAverage``, so that the first epochs do not depend on their random start.
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


@dataclass(frozen=True, slots=True)
class Batch:
    """What one step learns from.

    Attributes:
        images: float (n, c, h, w) in [0, 1], augmented, channels last in memory.
        targets: int64 (n,), positions of classes; with several labels bool (n, classes).
        soft_targets: float32 (n, classes), mixed as the images are.
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
    """Bring images to the device and augment them there.

    Args:
        pixels: uint8 (n, height, width, channels).
        targets: As in `Batch`.
        classes: How many there are.
        augmentation: Name of a preset.
        device: Where the network computes.
        generator: All randomness comes from it.
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
    """The way forward.

    Returns:
        Logits float32 (n, classes), and the loss to go back from.
    """
    with autocast(device, precision), faster_depthwise(device, precision):
        logits = network(batch.images).float()
    return logits, loss_of(logits, batch.soft_targets)


def update_weights(
    network: nn.Module, loss: Tensor, optimizer: torch.optim.Optimizer, average: WeightAverage | None, step: int
) -> None:
    """The way back, and one step of the optimizer and of the moving average."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    if average:
        average.update(network, step)


@dataclass(frozen=True, slots=True)
class EpochScores:
    """Loss and score of one pass; the score that is not the task's is None.

    Attributes:
        loss: Mean over images; with several labels over labels, too.
        accuracy: Share of images whose most probable class is right; None with several labels.
        mean_average_precision: Multi-label: the mean over those that an image has (0 where none has any).
    """

    loss: float
    accuracy: float | None = None
    mean_average_precision: float | None = None


def monitored_score(recipe: Recipe, validation: EpochScores) -> float:
    """The validation score that the best epoch is chosen by; higher is better."""
    if recipe.monitor == "validation_loss":
        return -validation.loss
    score = validation.mean_average_precision if validation.accuracy is None else validation.accuracy
    assert score is not None
    return score


def score_pass(logits: np.ndarray, targets: np.ndarray) -> EpochScores:
    """Score a network on images that it does not learn from, by the plain cross-entropy whatever it is trained with.

    Args:
        logits: float32 (n, classes).
        targets: int64 (n,), or bool (n, labels) with several labels.
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
    """Counts what the batches of an epoch are worth, each before its step."""

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
        """The epoch so far, for a user."""
        loss = f"loss {self.total_loss / self.images:.3f}"
        return loss if self._logits else f"{loss}  accuracy {self.right / self.images:.1%}"

    def scores(self, n: int) -> EpochScores:
        """The whole epoch's.

        Args:
            n: Images of the train split; a last batch of one image may have been left out.
        """
        if not self._logits:
            return EpochScores(self.total_loss / n, accuracy=self.right / n)
        ranked = _rank(np.concatenate(self._targets), np.concatenate(self._logits))
        return EpochScores(self.total_loss / n, mean_average_precision=ranked)


def resolve_precision(recipe: Recipe, device: torch.device) -> tuple[str, Note]:
    """The precision that a network is trained in, and why."""
    if recipe.precision != "auto":
        return recipe.precision, note("requested")
    precision, reason = choose_precision(device)
    return precision, reason
