"""Libraries that run networks: OpenVINO without the reports of its use, and errors in one line."""

from __future__ import annotations

import importlib
import sys
from typing import Any

_REPORTS = "openvino_telemetry"


def import_openvino(module: str = "openvino") -> Any:
    """Import a module of OpenVINO without the reports of its use, which it forks processes for.

    Users of distingo never agreed to these reports. OpenVINO has a stub for the case that they are not installed.

    Args:
        module: ``openvino`` or ``nncf``.

    Raises:
        ImportError: It is not installed.
    """
    silent = module not in sys.modules and _REPORTS not in sys.modules
    if silent:
        sys.modules[_REPORTS] = None  # type: ignore[assignment]  # how Python marks what can't be imported
    try:
        return importlib.import_module(module)
    finally:
        if silent:
            del sys.modules[_REPORTS]


def first_line(error: Exception) -> str:
    """The first line of an error's text, at most 200 characters; the error's class where it has no text."""
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
