"""What logits are worth while a network trains, for one label per picture and for several."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from distingo.metrics.ranking import mean_average_precision


@dataclass(frozen=True, slots=True)
class EpochScores:
    """Loss and score of one pass; the score that is not the task's is None.

    Attributes:
        loss: Mean over pictures; with several labels over labels, too.
        accuracy: Share of pictures whose most probable class is right; None with several labels.
        mean_average_precision: With several labels, the mean over those that a picture has (0 where none has any).
    """

    loss: float
    accuracy: float | None = None
    mean_average_precision: float | None = None


def score_pass(logits: np.ndarray, targets: np.ndarray) -> EpochScores:
    """Judge a network on pictures that it does not learn from, by the plain cross-entropy whatever it is trained with.

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
            loss: Mean over its pictures.
            logits: Float (n, classes).
            targets: Before pictures were mixed: int64 (n,), or bool (n, labels).
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
        """The epoch so far, for a person."""
        loss = f"loss {self.total_loss / self.images:.3f}"
        return loss if self._logits else f"{loss}  accuracy {self.right / self.images:.1%}"

    def scores(self, n: int) -> EpochScores:
        """The whole epoch's.

        Args:
            n: Pictures of the training side; a last batch of one picture may have been left out.
        """
        if not self._logits:
            return EpochScores(self.total_loss / n, accuracy=self.right / n)
        ranked = _rank(np.concatenate(self._targets), np.concatenate(self._logits))
        return EpochScores(self.total_loss / n, mean_average_precision=ranked)
