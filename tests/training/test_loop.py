from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from distingo.errors import TrainingDivergedError
from distingo.runs.folder import RunFolder
from distingo.runs.history import EpochRecord
from distingo.training.loop import LabeledRows, Session, class_weights, fit
from distingo.training.recipe import Recipe
from raising import raises


class Rows:
    """Images in memory: class 1 is bright, class 0 is dark."""

    def __init__(self, targets: np.ndarray) -> None:
        self.pixels = (
            np.zeros((len(targets), 4, 4, 3), np.uint8) + (targets * 200).astype(np.uint8)[:, None, None, None]
        )

    @property
    def shape(self) -> tuple[int, ...]:
        return self.pixels.shape

    def __len__(self) -> int:
        return len(self.pixels)

    def take(self, indices: np.ndarray) -> np.ndarray:
        return self.pixels[indices]


def labeled(n: int) -> LabeledRows:
    targets = np.arange(n) % 2
    return LabeledRows(Rows(targets), targets.astype(np.int64), 2)


def session(folder: Path, seen: list[EpochRecord], **fields: object) -> Session:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Dropout(0.2), nn.Linear(48, 2))
    return Session(
        recipe=Recipe(model="small-cnn", height=4, width=4, batch_size=8, **fields),  # type: ignore[arg-type]
        network=network,
        train=labeled(33),
        validation=labeled(10),
        folder=RunFolder(folder),
        device=torch.device("cpu"),
        precision="float32",
        on_epoch=seen.append,
    )


def test_it_learns_and_writes_one_line_per_epoch(tmp_path: Path) -> None:
    seen: list[EpochRecord] = []
    progress = fit(session(tmp_path, seen, epochs=5, lr=0.05, ema_decay=0.9), resume=False)
    assert progress.history[-1].validation_accuracy == 1.0
    assert [record.epoch for record in seen] == [1, 2, 3, 4, 5]
    assert len((tmp_path / "history.csv").read_text().splitlines()) == 6


def test_patience_stops_early(tmp_path: Path) -> None:
    progress = fit(session(tmp_path, [], epochs=50, lr=0.05, patience=2), resume=False)
    assert progress.epoch == progress.best_epoch + 2 < 50


def test_stopping_between_epochs_changes_nothing(tmp_path: Path) -> None:
    whole = session(tmp_path / "whole", [], epochs=4, lr=0.01)
    fit(whole, resume=False)
    halves = session(tmp_path / "halves", [], epochs=4, lr=0.01)
    stopped: list[EpochRecord] = []

    def stop(record: EpochRecord) -> None:
        stopped.append(record)
        if record.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(replace(halves, on_epoch=stop), resume=False)
    again = session(tmp_path / "halves", [], epochs=4, lr=0.01)
    fit(again, resume=True)
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(tensor, again.network.state_dict()[name])


def test_a_loss_that_is_no_number_stops_with_advice(tmp_path: Path) -> None:
    with raises(TrainingDivergedError, code="diverged", parameter="lr"):
        broken = session(tmp_path, [], epochs=3)

        def spoil(record: EpochRecord) -> None:
            with torch.no_grad():
                broken.network[2].weight.fill_(float("nan"))

        fit(replace(broken, on_epoch=spoil), resume=False)
    assert (tmp_path / "checkpoint" / "best.safetensors").is_file()


def test_balanced_weights_are_one_on_average_over_images() -> None:
    targets = np.array([0, 0, 0, 1])
    weights = class_weights(
        LabeledRows(Rows(targets), targets, 2), Recipe(model="small-cnn", height=4, width=4, class_weights="balanced")
    )
    assert weights[torch.from_numpy(targets)].mean().item() == pytest.approx(1.0)
    assert (weights[1] / weights[0]).item() == pytest.approx(3.0)


def several(n: int) -> LabeledRows:
    """Two labels: bright, and a second that only the first images have."""
    bright = np.arange(n) % 2
    return LabeledRows(Rows(bright), np.stack([bright, np.arange(n) < 4], axis=1).astype(bool), 2)


@pytest.mark.parametrize(
    "fields",
    [{}, {"loss": "asymmetric"}, {"loss": "focal", "positive_weights": "balanced"}, {"augment": "standard"}],
    ids=["plain", "asymmetric", "focal", "mixed"],
)
def test_several_labels_are_learned(tmp_path: Path, fields: dict[str, object]) -> None:
    base = session(
        tmp_path, [], epochs=8, lr=0.05, monitor="validation_mean_average_precision", label_smoothing=0.0, **fields
    )
    progress = fit(replace(base, train=several(33), validation=several(10)), resume=False)
    last = progress.history[-1]
    assert last.validation_accuracy is None
    assert last.train_accuracy is None
    assert last.validation_mean_average_precision is not None
    logits = base.network.eval()(torch.from_numpy(several(10).rows.take(np.arange(10))).permute(0, 3, 1, 2) / 255)
    assert ((logits[:, 0] > logits[:, 0].mean()).numpy() == several(10).targets[:, 0]).all()
    assert progress.best_score == max(record.validation_mean_average_precision or 0 for record in progress.history)


def test_positive_weights_raise_what_is_reported_of_rare_labels(tmp_path: Path) -> None:
    said = []
    for name in ("none", "balanced"):
        base = session(tmp_path / name, [], epochs=6, lr=0.05, monitor="validation_loss", positive_weights=name)
        fit(replace(base, train=several(33), validation=several(10)), resume=False)
        with torch.inference_mode():
            said.append(base.network.eval()(torch.zeros(1, 3, 4, 4))[0, 1].item())
    assert said[1] > said[0] + 0.5


def test_several_labels_resume_to_the_same_weights(tmp_path: Path) -> None:
    def begin(name: str) -> Session:
        fields = {"monitor": "validation_mean_average_precision", "ema_decay": 0.9, "augment": "standard"}
        base = session(tmp_path / name, [], epochs=4, lr=0.01, **fields)
        return replace(base, train=several(33), validation=several(10))

    def stop(record: EpochRecord) -> None:
        if record.epoch == 2:
            raise KeyboardInterrupt

    whole, again = begin("whole"), begin("halves")
    fit(whole, resume=False)
    with pytest.raises(KeyboardInterrupt):
        fit(replace(begin("halves"), on_epoch=stop), resume=False)
    fit(again, resume=True)
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(tensor, again.network.state_dict()[name])
    assert (tmp_path / "whole" / "checkpoint" / "best.safetensors").read_bytes() == (
        tmp_path / "halves" / "checkpoint" / "best.safetensors"
    ).read_bytes()


def test_weights_that_say_nothing_never_become_the_best(tmp_path: Path) -> None:
    broken = session(tmp_path, [], epochs=3, lr=1e3, optimizer="sgd", momentum=0.0)

    class Spoiling(nn.Module):
        """Returns finite logits in training mode and NaN in evaluation mode."""

        def __init__(self) -> None:
            super().__init__()
            self.inside = nn.Sequential(nn.Flatten(), nn.Linear(48, 2))

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.inside(images)
            return logits if self.training else logits * float("nan")

    with raises(TrainingDivergedError, code="diverged", parameter="lr"):
        fit(replace(broken, network=Spoiling()), resume=False)
    assert not (tmp_path / "checkpoint" / "best.safetensors").exists()
