"""The training loop: one epoch fits on one screen, and a run goes on from any epoch's end to the same weights."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from distingo.errors import TrainingDivergedError
from distingo.prediction.networks import autocast, predict_logits
from distingo.prediction.tensors import Rows, to_tensor
from distingo.progress import Advance, progress_bar
from distingo.run_folder import RunFolder
from distingo.training.augmentation import PRESETS, augment, mix
from distingo.training.checkpoint import EpochRecord, Progress, load_checkpoint, save_checkpoint, save_tensors
from distingo.training.history import write_history
from distingo.training.optimization import WeightAverage, build_optimizer, learning_rate
from distingo.training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class LabelledRows:
    """Pictures with the positions of their classes.

    Attributes:
        rows: uint8 pictures (height, width, channels).
        targets: int64 (n,), positions in the dataset's classes.
        classes: How many classes there are.
    """

    rows: Rows
    targets: np.ndarray
    classes: int


@dataclass(frozen=True, slots=True)
class Session:
    """Everything one training run works on.

    Attributes:
        recipe: The choices.
        network: To be trained in place; it lives on `device`, channels last.
        train: What it learns from.
        validation: What it is chosen by.
        folder: Where checkpoints and history go.
        device: Where the network computes.
        precision: ``float32`` or ``bfloat16``.
        on_epoch: Told every finished epoch.
    """

    recipe: Recipe
    network: nn.Module
    train: LabelledRows
    validation: LabelledRows
    folder: RunFolder
    device: torch.device
    precision: str
    on_epoch: Callable[[EpochRecord], None]


def fit(session: Session, *, resume: bool) -> Progress:
    """Train until the recipe's last epoch or until patience ends.

    Args:
        session: What to train on what.
        resume: Go on from the last checkpoint.

    Returns:
        How far it came; the best epoch's weights lie in the run folder.

    Raises:
        TrainingDivergedError: The loss stopped being a number; earlier checkpoints stay.
        RunError: The checkpoint to resume from is damaged.
    """
    recipe = session.recipe
    optimizer = build_optimizer(session.network, recipe)
    average = WeightAverage(session.network, recipe.ema_decay) if recipe.ema_decay else None
    averaged_state = average.state if average else None
    progress = Progress()
    if resume and session.folder.last_checkpoint.is_file():
        progress = load_checkpoint(session.folder.last_checkpoint, session.network, optimizer, averaged_state)
        write_history(session.folder.history, progress.history)
    while progress.epoch < recipe.epochs and not _out_of_patience(progress, recipe):
        progress = _run_epoch(session, progress, optimizer, average)
        save_checkpoint(session.folder.last_checkpoint, progress, session.network, optimizer, averaged_state)
        write_history(session.folder.history, progress.history)
        session.on_epoch(progress.history[-1])
    return progress


def _out_of_patience(progress: Progress, recipe: Recipe) -> bool:
    return recipe.patience > 0 and progress.epoch - progress.best_epoch >= recipe.patience


def _run_epoch(
    session: Session, progress: Progress, optimizer: torch.optim.Optimizer, average: WeightAverage | None
) -> Progress:
    started = time.perf_counter()
    epoch = progress.epoch
    # all randomness of an epoch follows from the seed and its number, so that a resumed run meets the same
    torch.manual_seed(_epoch_seed(session.recipe.seed, epoch))
    loss, accuracy, rate = _train_epoch(session, epoch, optimizer, average)
    trained = time.perf_counter() - started
    weights = average.state if average else session.network.state_dict()
    validation_loss, validation_accuracy = _validate(session, weights if average else None)
    record = EpochRecord(
        epoch=epoch + 1,
        train_loss=loss,
        train_accuracy=accuracy,
        validation_loss=validation_loss,
        validation_accuracy=validation_accuracy,
        learning_rate=rate,
        images_per_second=len(session.train.rows) / trained,
        seconds=time.perf_counter() - started,
    )
    progress = replace(progress, epoch=epoch + 1, history=(*progress.history, record))
    return _keep_the_best(session, progress, record, weights)


def _train_epoch(
    session: Session, epoch: int, optimizer: torch.optim.Optimizer, average: WeightAverage | None
) -> tuple[float, float, float]:
    recipe, network = session.recipe, session.network
    generator = torch.Generator().manual_seed(_epoch_seed(recipe.seed, epoch) + 1)
    batches = list(_batches(len(session.train.rows), recipe.batch_size, generator))
    weights = class_weights(session.train, recipe).to(session.device)
    total_loss, right = 0.0, 0
    network.train()
    with progress_bar(f"epoch {epoch + 1}/{recipe.epochs}", len(session.train.rows)) as advance:
        meter = _Meter(advance, len(session.train.rows) * (recipe.epochs - epoch))
        for position, indices in enumerate(batches):
            step = epoch * len(batches) + position
            rate = learning_rate(recipe, step, len(batches))
            for group in optimizer.param_groups:
                group["lr"] = rate
            images, targets, soft_targets = _prepare(session, indices, generator)
            with autocast(session.device, session.precision):
                logits = network(images).float()
            loss = F.cross_entropy(logits, soft_targets, weights, label_smoothing=recipe.label_smoothing)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            if average:
                average.update(network, step)
            value = _finite(loss.item(), epoch, session)
            total_loss += value * len(indices)
            right += int((logits.detach().argmax(1) == targets).sum())
            meter.tell(len(indices), total_loss, right)
    return total_loss / len(session.train.rows), right / len(session.train.rows), rate


class _Meter:
    """Tells the bar loss, accuracy, speed and when the whole run will be done."""

    def __init__(self, advance: Advance, images_left: int) -> None:
        self.advance = advance
        self.images_left = images_left
        self.images = 0
        self.started = time.perf_counter()

    def tell(self, images: int, total_loss: float, right: int) -> None:
        self.images += images
        rate = self.images / (time.perf_counter() - self.started)
        left = datetime.timedelta(seconds=round((self.images_left - self.images) / rate))
        scores = f"loss {total_loss / self.images:.3f}  accuracy {right / self.images:.1%}"
        self.advance(images, f"{scores}  {rate:,.0f} images/s  all epochs in {left}")


def _prepare(session: Session, indices: np.ndarray, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    augmentation = PRESETS[session.recipe.augment]
    images = to_tensor(session.train.rows.take(indices), session.device)
    targets = torch.from_numpy(session.train.targets[indices]).to(session.device)
    soft_targets = F.one_hot(targets, session.train.classes).float()
    images = augment(images, augmentation, generator)
    images, soft_targets = mix(images, soft_targets, augmentation, generator)
    return images, targets, soft_targets


def _batches(n: int, batch_size: int, generator: torch.Generator) -> Iterator[np.ndarray]:
    order = torch.randperm(n, generator=generator).numpy()
    for start in range(0, n, batch_size):
        indices = order[start : start + batch_size]
        if len(indices) > 1 or n == 1:  # batch normalisation can't learn from a single picture
            yield indices


def _epoch_seed(seed: int, epoch: int) -> int:
    return seed * 1_000_003 + epoch * 2


def class_weights(train: LabelledRows, recipe: Recipe) -> Tensor:
    """The loss's weight per class, 1 on average over the training pictures.

    Args:
        train: Where the frequencies come from.
        recipe: Says whether to weigh.

    Returns:
        float32 (classes,).
    """
    if recipe.class_weights == "none":
        return torch.ones(train.classes)
    counts = np.bincount(train.targets, minlength=train.classes).clip(min=1)
    return torch.from_numpy(len(train.targets) / (train.classes * counts)).float()


def _finite(loss: float, epoch: int, session: Session) -> float:
    if np.isfinite(loss):
        return loss
    recipe = session.recipe
    kept = f"; the weights after epoch {epoch} are kept in {session.folder.path}" if epoch else ""
    raise TrainingDivergedError(
        f"the loss became {loss} in epoch {epoch + 1}; try --lr {recipe.lr / 10:g} instead of {recipe.lr:g}"
        f" or --schedule cosine --warmup-epochs 1{kept}"
    )


def _validate(session: Session, weights: dict[str, Tensor] | None) -> tuple[float, float]:
    network = session.network
    own = None
    if weights is not None:
        own = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        network.load_state_dict(weights)
    logits = predict_logits(network, session.validation.rows, device=session.device, precision=session.precision)
    if own is not None:
        network.load_state_dict(own)
    targets = torch.from_numpy(session.validation.targets)
    loss = F.cross_entropy(torch.from_numpy(logits), targets).item()
    return loss, float((logits.argmax(1) == session.validation.targets).mean())


def _keep_the_best(session: Session, progress: Progress, record: EpochRecord, weights: dict[str, Tensor]) -> Progress:
    score = getattr(record, session.recipe.monitor)
    score = -score if session.recipe.monitor == "validation_loss" else score
    if progress.best_epoch and score <= progress.best_score:
        return progress
    save_tensors(session.folder.best_checkpoint, weights, {"epoch": str(record.epoch)})
    return replace(progress, best_epoch=record.epoch, best_score=score)
