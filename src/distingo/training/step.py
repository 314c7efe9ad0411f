"""One step of training: from images to changed weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from distingo.models.depthwise import faster_depthwise
from distingo.prediction.networks import autocast
from distingo.prediction.tensors import to_tensor
from distingo.training.augmentation import PRESETS, augment, mix
from distingo.training.losses import Loss
from distingo.training.optimization import WeightAverage


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
