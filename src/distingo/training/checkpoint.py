"""Checkpoints: everything that a run needs to resume after it was killed, in one file that is written atomically."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from distingo.checksums import TensorEntry, write_tensors
from distingo.errors import RunError
from distingo.files import atomic_writer, parse_json, require_intact_tensors
from distingo.runs.fields import convert
from distingo.runs.folder import RunFolder
from distingo.runs.history import EpochRecord

log = logging.getLogger("distingo")


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of a run.

    Attributes:
        epoch: Number of finished epochs.
        best_epoch: Epoch with the best weights, 0 for the initial weights.
        best_score: Monitored score of that epoch, or None before the first validation.
        history: One record per finished epoch, in order.
    """

    epoch: int = 0
    best_epoch: int = 0
    best_score: float | None = None
    history: tuple[EpochRecord, ...] = field(default_factory=tuple)


def save_checkpoint(
    folder: RunFolder,
    progress: Progress,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: dict[str, Tensor] | None,
) -> None:
    """Write the complete state of a run between two epochs, and keep the previous checkpoint.

    Args:
        folder: Run folder; its last checkpoint becomes the previous one only when the new one is complete.
        progress: Progress of the run.
        network: Network whose weights and statistics are saved.
        optimizer: Optimizer whose state tensors are saved; learning rates follow from the step and are not saved.
        average: Moving average of the weights, or None.
    """
    tensors = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    for name, tensor in (average or {}).items():
        tensors[f"average.{name}"] = tensor
    for position, parameter in enumerate(_parameters(optimizer)):
        for name, value in optimizer.state.get(parameter, {}).items():
            if isinstance(value, Tensor):
                tensors[f"optimizer.{position}.{name}"] = value
    path = folder.last_checkpoint
    with atomic_writer(path) as file:
        write_tensors(file, _entries(tensors), {"progress": json.dumps(asdict(progress))})
        file.flush()
        os.fsync(file.fileno())
        if path.is_file():  # if the process is killed after this line, the previous checkpoint is left to resume from
            path.replace(folder.previous_checkpoint)


def find_checkpoint(folder: RunFolder) -> Path | None:
    """Find the newest intact checkpoint, and print a line about each damaged one.

    Returns:
        The last checkpoint, or the previous one if the last is damaged, or None. A run that starts again without a
        checkpoint ends in the same weights.
    """
    for path in (folder.last_checkpoint, folder.previous_checkpoint):
        if not path.is_file():
            continue
        try:
            best_epoch = load_progress(path).best_epoch
        except RunError as error:
            log.warning("%s; going on from an earlier epoch", error)
            continue
        try:
            if best_epoch or folder.best_checkpoint.is_file():
                require_intact_tensors(folder.best_checkpoint)
        except (RunError, OSError) as error:
            log.warning("%s; training starts again", error)
            return None
        return path
    return None


def load_checkpoint(
    path: Path,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: dict[str, Tensor] | None,
) -> Progress:
    """Load a checkpoint into a network, an optimizer and a moving average of the same shapes.

    Returns:
        The progress of the run at the checkpoint.

    Raises:
        RunError: The file is damaged or belongs to another model.
    """
    tensors, metadata = load_tensors(path)
    try:
        _copy_state(tensors, "network.", network.state_dict())
        if average is not None:
            _copy_state(tensors, "average.", average)
        _restore_optimizer(tensors, optimizer)
        return _progress_from(metadata, path)
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        raise RunError(
            f"{path}: does not fit this run ({error}); delete it to train from the start", code="weights_differ"
        ) from error


def load_progress(path: Path) -> Progress:
    """Read the progress stored in a checkpoint without loading its tensors.

    Raises:
        RunError: The file is missing or damaged.
    """
    try:
        require_intact_tensors(path)
        with safe_open(path, framework="pt") as file:
            return _progress_from(file.metadata() or {}, path)
    except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
        raise RunError(
            f"{path}: damaged or no checkpoint ({error}); delete it to train from the start", code="damaged_file"
        ) from error


def save_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write named tensors and metadata atomically to one safetensors file with a checksum."""
    with atomic_writer(path) as file:
        write_tensors(file, _entries(tensors), metadata)


_DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


def _entries(tensors: dict[str, Tensor]) -> dict[str, TensorEntry]:
    return {
        name: TensorEntry(_DTYPES[tensor.dtype], tuple(tensor.shape), tensor.nbytes, partial(_bytes_of, tensor))
        for name, tensor in tensors.items()
    }


def _bytes_of(tensor: Tensor) -> memoryview:
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read all tensors and the metadata of a safetensors file written by `save_tensors`.

    Raises:
        RunError: The file is missing or damaged.
    """
    try:
        require_intact_tensors(path)
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except FileNotFoundError as error:
        raise RunError(f"{path}: no such file; is this a finished run folder?", code="not_found") from error
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path}: damaged ({error})", code="damaged_file") from error


def _parameters(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _copy_state(tensors: dict[str, Tensor], prefix: str, state: dict[str, Tensor]) -> None:
    with torch.no_grad():
        for name, target in state.items():
            target.copy_(tensors[prefix + name])


def _restore_optimizer(tensors: dict[str, Tensor], optimizer: torch.optim.Optimizer) -> None:
    """Restore an optimizer's state; torch places each tensor on its device (``step`` may be on the CPU)."""
    states: dict[int, dict[str, Tensor]] = {}
    for position, parameter in enumerate(_parameters(optimizer)):
        prefix = f"optimizer.{position}."
        named = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
        if named:
            states[position] = {name: _laid_out_as(parameter, value) for name, value in named.items()}
    if states:
        optimizer.load_state_dict({"state": states, "param_groups": optimizer.state_dict()["param_groups"]})


def _laid_out_as(parameter: Tensor, value: Tensor) -> Tensor:
    """Return the value in the parameter's memory format; otherwise the next step would add in another order."""
    if value.shape != parameter.shape:
        return value
    return torch.empty_like(parameter, dtype=value.dtype, device=value.device).copy_(value)


def _progress_from(metadata: Mapping[str, str], path: Path) -> Progress:
    return convert(parse_json(metadata["progress"]), Progress, path, advice="delete it to train from the start")
