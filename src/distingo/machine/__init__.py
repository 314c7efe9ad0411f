"""The process and the device that distingo runs on: threads, memory, and stand-ins for imports."""

from __future__ import annotations

import importlib
import sys
from typing import Any

_REPORTS = "openvino_telemetry"


def import_openvino(module: str = "openvino") -> Any:
    """Import a module of OpenVINO without its telemetry, which forks processes.

    Users of distingo have not consented to telemetry. OpenVINO falls back to a stub if the telemetry package is
    missing.

    Args:
        module: ``openvino`` or ``nncf``.

    Raises:
        ImportError: It is not installed.
    """
    silent = module not in sys.modules and _REPORTS not in sys.modules
    if silent:
        sys.modules[_REPORTS] = None  # type: ignore[assignment]  # makes the import fail
    try:
        return importlib.import_module(module)
    finally:
        if silent:
            del sys.modules[_REPORTS]
