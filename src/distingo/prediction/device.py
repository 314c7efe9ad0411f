"""Where networks compute."""

from __future__ import annotations

import re

import torch

from distingo.errors import ResourceError, UsageError
from distingo.out_of_memory import is_out_of_memory

_NAME = re.compile(r"(cpu|cuda|mps|xpu)(?::(0|[1-9]\d{0,3}))?")


def choose_device(name: str) -> torch.device:
    """The device a person asked for, or the best one present.

    Args:
        name: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``, ``xpu``, ``xpu:1``.

    Raises:
        UsageError: There is no such device here, or networks can't compute on it.
        ResourceError: The device has no memory left at all.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    matched = _NAME.fullmatch(name)
    if matched is None or int(matched[2] or 0) >= _count(matched[1]):
        raise UsageError(_refusal(name))
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, ImportError) as error:
        if is_out_of_memory(error):
            raise ResourceError(f"--device {name}: other programs hold all of its memory; end them") from error
        raise UsageError(_refusal(name)) from error
    return device


def available_devices() -> tuple[str, ...]:
    """What `choose_device` takes on this machine, by name."""
    found = ["auto", "cpu"]
    for kind in ("cuda", "mps", "xpu"):
        count = _count(kind)
        found += [kind] if count else []
        found += [f"{kind}:{number}" for number in range(count)] if count > 1 else []
    return tuple(found)


def _count(kind: str) -> int:
    if kind == "cpu":
        return 1
    if kind == "mps":
        return int(torch.backends.mps.is_available())
    backend = getattr(torch, kind)
    return int(backend.device_count()) if backend.is_available() else 0


def _refusal(name: str) -> str:
    return f"--device {name}: not available here; choose {' or '.join(available_devices())}"
