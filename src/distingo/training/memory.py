"""Will a batch fit into memory? Asked before the first step, since a full CPU memory kills without an exception."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from distingo.errors import ResourceError

_ACTIVATION_COPIES = 3.0
"""Kept output, its gradient, and working space: what one activation costs while training (measured upper bound)."""

_WEIGHT_COPIES = 5.0
"""Weights, gradients, two Adam moments, moving average."""


def require_memory(network: nn.Module, shape: tuple[int, int, int], batch_size: int, device: torch.device) -> None:
    """Refuse a batch that can't fit, naming one that can.

    Args:
        network: To be trained.
        shape: (channels, height, width) of its pictures.
        batch_size: Wanted pictures per step.
        device: Where it computes.

    Raises:
        ResourceError: Says what is needed, what is free and which batch size would fit.
    """
    free = free_memory(device)
    if free is None:
        return
    fixed = _WEIGHT_COPIES * sum(p.numel() * p.element_size() for p in network.parameters())
    per_picture = _ACTIVATION_COPIES * activation_bytes(network, shape, device)
    needed = fixed + per_picture * batch_size
    if needed > free:
        raise ResourceError(_advice(batch_size, needed, free, int((0.8 * free - fixed) // per_picture)))


def _advice(batch_size: int, needed: float, free: float, fitting: int) -> str:
    gib = 2**30
    advice = f"--batch-size {_round_down(fitting)} would fit" if fitting >= 2 else "take a smaller --image-size"
    need = f"a batch of {batch_size} pictures needs about {needed / gib:.1f} GiB"
    return f"{need}, {free / gib:.1f} GiB are free; {advice}"


def _round_down(batch_size: int) -> int:
    return 1 << (batch_size.bit_length() - 1)


@torch.no_grad()
def activation_bytes(network: nn.Module, shape: tuple[int, int, int], device: torch.device) -> int:
    """Bytes of all layers' outputs for one picture.

    Args:
        network: Its mode is restored afterwards.
        shape: (channels, height, width).
        device: Where it computes.
    """
    sizes: list[int] = []

    def note(_layer: nn.Module, _inputs: object, output: object) -> None:
        if isinstance(output, Tensor):
            sizes.append(output.numel() * output.element_size())

    hooks = [layer.register_forward_hook(note) for layer in network.modules()]
    was_training = network.training
    try:
        network.eval()(torch.zeros(1, *shape, device=device))
    finally:
        network.train(was_training)
        for hook in hooks:
            hook.remove()
    return sum(sizes)


def free_memory(device: torch.device) -> int | None:
    """Bytes that can still be allocated, or None where the system does not say."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    limits = [limit for limit in (_available(), _address_space_left(), _cgroup_left()) if limit is not None]
    return min(limits, default=None)


def _available() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    fields = dict(line.split(":", 1) for line in lines)
    return int(fields["MemAvailable"].split()[0]) * 1024


def _address_space_left() -> int | None:
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return None
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    return max(0, limit - pages * resource.getpagesize())


def _cgroup_left() -> int | None:
    folder = Path("/sys/fs/cgroup")
    try:
        limit = (folder / "memory.max").read_text(encoding="ascii").strip()
        used = int((folder / "memory.current").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return None if limit == "max" else max(0, int(limit) - used)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out, in any of torch's ways of saying it."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
