"""The training loop; a run that resumes after any epoch ends with the same weights as an uninterrupted run."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from distingo.errors import TrainingDivergedError, option
from distingo.prediction.networks import Rows, predict_logits
from distingo.progress import Advance, progress_bar
from distingo.records import Task
from distingo.runs.folder import RunFolder
from distingo.runs.history import EpochRecord, write_history
from distingo.training.checkpoint import Progress, find_checkpoint, load_checkpoint, save_checkpoint, save_tensors
from distingo.training.losses import Loss, balanced_class_weights, balanced_positive_weights, build_loss
from distingo.training.recipe import Recipe
from distingo.training.step import (
    EpochScores,
    Tally,
    WeightAverage,
    build_optimizer,
    compute_loss,
    learning_rate,
    monitored_score,
    prepare_batch,
    score_pass,
    set_training_mode,
    update_weights,
)


@dataclass(frozen=True, slots=True)
class LabeledRows:
    """Images with the positions of their classes.

    Attributes:
        rows: uint8 images (height, width, channels).
        targets: int64 (n,), class indices, or bool (n, classes) for multi-label.
        classes: Number of classes.
    """

    rows: Rows
    targets: np.ndarray
    classes: int

    @property
    def task(self) -> Task:
        """Single-label or multi-label."""
        return "single-label" if self.targets.ndim == 1 else "multi-label"


@dataclass(frozen=True, slots=True)
class Session:
    """Everything that one training run needs.

    Attributes:
        recipe: The training recipe.
        network: Network to train in place; on `device`, in channels_last memory format.
        train: Train split.
        validation: Validation split, which the best epoch is chosen on.
        folder: Run folder for checkpoints and history.
        device: Device that the network runs on.
        precision: ``float32`` or ``bfloat16``.
        on_epoch: Callback that receives every finished epoch.
        start_counts: Whether the initial weights may be the best ones; with it, fine-tuning never returns a model that
            is worse on the validation split than the initial one.
    """

    recipe: Recipe
    network: nn.Module
    train: LabeledRows
    validation: LabeledRows
    folder: RunFolder
    device: torch.device
    precision: str
    on_epoch: Callable[[EpochRecord], None]
    start_counts: bool = False


def fit(session: Session, *, resume: bool) -> Progress:
    """Train until the last epoch of the recipe or until early stopping.

    Args:
        session: Network, data and recipe.
        resume: Resume from the last checkpoint, or from the previous one if the last is damaged.

    Returns:
        Progress of the run; the best epoch's weights are in the run folder.

    Raises:
        TrainingDivergedError: The loss became infinite or NaN; earlier checkpoints are kept.
        RunError: The checkpoint to resume from belongs to another model.
    """
    recipe = session.recipe
    optimizer = build_optimizer(session.network, recipe)
    average = WeightAverage(session.network, recipe.ema_decay) if recipe.ema_decay else None
    averaged_state = average.state if average else None
    checkpoint = find_checkpoint(session.folder) if resume else None
    if checkpoint is not None:
        progress = load_checkpoint(checkpoint, session.network, optimizer, averaged_state)
        write_history(session.folder.history, progress.history)
    else:
        progress = _begin(session)
    while progress.epoch < recipe.epochs and not _out_of_patience(progress, recipe):
        progress = _run_epoch(session, progress, optimizer, average)
        save_checkpoint(session.folder, progress, session.network, optimizer, averaged_state)
        write_history(session.folder.history, progress.history)
        session.on_epoch(progress.history[-1])
    return progress


def _begin(session: Session) -> Progress:
    if not session.start_counts:
        return Progress()
    score = monitored_score(session.recipe, _validate(session, None, epoch=0))
    save_tensors(session.folder.best_checkpoint, session.network.state_dict(), {"epoch": "0"})
    return Progress(best_score=score)


def _out_of_patience(progress: Progress, recipe: Recipe) -> bool:
    return recipe.patience > 0 and progress.epoch - progress.best_epoch >= recipe.patience


def _run_epoch(
    session: Session, progress: Progress, optimizer: torch.optim.Optimizer, average: WeightAverage | None
) -> Progress:
    started = time.perf_counter()
    epoch = progress.epoch
    # an epoch's randomness depends only on the seed and the epoch's number, so a resumed run draws the same
    torch.manual_seed(_epoch_seed(session.recipe.seed, epoch))
    train, rate = _train_epoch(session, epoch, optimizer, average)
    trained = time.perf_counter() - started
    weights = average.state if average else session.network.state_dict()
    validation = _validate(session, weights if average else None, epoch=epoch)
    record = EpochRecord(
        epoch=epoch + 1,
        train_loss=train.loss,
        train_accuracy=train.accuracy,
        validation_loss=validation.loss,
        validation_accuracy=validation.accuracy,
        learning_rate=rate,
        images_per_second=len(session.train.rows) / trained,
        seconds=time.perf_counter() - started,
        train_mean_average_precision=train.mean_average_precision,
        validation_mean_average_precision=validation.mean_average_precision,
    )
    progress = replace(progress, epoch=epoch + 1, history=(*progress.history, record))
    return _save_if_best(session, progress, monitored_score(session.recipe, validation), weights)


def _train_epoch(
    session: Session, epoch: int, optimizer: torch.optim.Optimizer, average: WeightAverage | None
) -> tuple[EpochScores, float]:
    recipe, network = session.recipe, session.network
    generator = torch.Generator().manual_seed(_epoch_seed(recipe.seed, epoch) + 1)
    batches = list(_batches(len(session.train.rows), recipe.batch_size, generator))
    loss_of = _loss(session)
    tally = Tally()
    set_training_mode(network, optimizer, recipe, epoch)
    with progress_bar(f"epoch {epoch + 1}/{recipe.epochs}", len(session.train.rows)) as advance:
        meter = _Meter(advance, len(session.train.rows) * (recipe.epochs - epoch))
        for position, indices in enumerate(batches):
            step = epoch * len(batches) + position
            rate = learning_rate(recipe, step, len(batches))
            for group in optimizer.param_groups:
                group["lr"] = rate * group["lr_scale"]
            batch = prepare_batch(
                session.train.rows.take(indices),
                session.train.targets[indices],
                classes=session.train.classes,
                augmentation=recipe.augment,
                device=session.device,
                generator=generator,
            )
            logits, loss = compute_loss(network, batch, loss_of, device=session.device, precision=session.precision)
            update_weights(network, loss, optimizer, average, step)
            tally.add(_finite(loss.item(), epoch, session), logits, batch.targets)
            meter.report(tally)
    return tally.scores(len(session.train.rows)), rate


class _Meter:
    """Reports scores, speed and the time left for all epochs to the progress bar."""

    def __init__(self, advance: Advance, images_left: int) -> None:
        self.advance = advance
        self.images_left = images_left
        self.images = 0
        self.started = time.perf_counter()

    def report(self, tally: Tally) -> None:
        rate = tally.images / (time.perf_counter() - self.started)
        time_left = datetime.timedelta(seconds=round((self.images_left - tally.images) / rate))
        self.advance(tally.images - self.images, f"{tally.words}  {rate:,.0f} images/s  all epochs in {time_left}")
        self.images = tally.images


def _batches(n: int, batch_size: int, generator: torch.Generator) -> Iterator[np.ndarray]:
    order = torch.randperm(n, generator=generator).numpy()
    for start in range(0, n, batch_size):
        indices = order[start : start + batch_size]
        if len(indices) > 1 or n == 1:  # batch normalization can't learn from a single image
            yield indices


def _epoch_seed(seed: int, epoch: int) -> int:
    return seed * 1_000_003 + epoch * 2


def _loss(session: Session) -> Loss:
    recipe, train = session.recipe, session.train
    if train.task == "single-label":
        weights = class_weights(train, recipe).to(session.device)
        return build_loss(recipe.loss, train.task, label_smoothing=recipe.label_smoothing, class_weights=weights)
    positive_weights = None
    if recipe.positive_weights == "balanced":
        positive_weights = balanced_positive_weights(train.targets).to(session.device)
    return build_loss(
        recipe.loss, train.task, label_smoothing=recipe.label_smoothing, positive_weights=positive_weights
    )


def class_weights(train: LabeledRows, recipe: Recipe) -> Tensor:
    """Compute the class weights of the loss, 1 on average over the training images.

    Args:
        train: Train split, from which class frequencies are counted.
        recipe: Recipe with the ``class_weights`` option.

    Returns:
        float32 (classes,).
    """
    if recipe.class_weights == "none":
        return torch.ones(train.classes)
    return balanced_class_weights(train.targets, train.classes)


def _finite(loss: float, epoch: int, session: Session) -> float:
    if np.isfinite(loss):
        return loss
    recipe = session.recipe
    checkpoint_hint = f"; the weights after epoch {epoch} are kept in {session.folder.path}" if epoch else ""
    raise TrainingDivergedError(
        f"the loss became {loss} in epoch {epoch + 1}; try {option('lr')} {recipe.lr / 10:g} instead of {recipe.lr:g}"
        f" or {option('schedule', 'cosine')} {option('warmup_epochs')} 1{checkpoint_hint}",
        code="diverged",
        parameter="lr",
    )


def _validate(session: Session, weights: dict[str, Tensor] | None, *, epoch: int) -> EpochScores:
    network = session.network
    original_weights = None
    if weights is not None:
        original_weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        network.load_state_dict(weights)
    logits = predict_logits(network, session.validation.rows, device=session.device, precision=session.precision)
    if original_weights is not None:
        network.load_state_dict(original_weights)
    scores = score_pass(logits, session.validation.targets)
    _finite(scores.loss, epoch, session)  # weights with a loss of NaN must not become the best ones
    return scores


def _save_if_best(session: Session, progress: Progress, score: float, weights: dict[str, Tensor]) -> Progress:
    if progress.best_score is not None and score <= progress.best_score:
        return progress
    save_tensors(session.folder.best_checkpoint, weights, {"epoch": str(progress.epoch)})
    return replace(progress, best_epoch=progress.epoch, best_score=score)
