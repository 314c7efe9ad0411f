"""Where networks compute."""

from __future__ import annotations

import torch

from distingo.errors import UsageError


def choose_device(name: str) -> torch.device:
    """The device a person asked for, or the best one present.

    Args:
        name: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.

    Raises:
        UsageError: There is no such device here.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(f"--device {name}: not available here; choose {' or '.join(_available())}") from error
    return device


def _available() -> list[str]:
    found = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    return ["auto", "cpu", *(name for name, there in found.items() if there)]
