"""OpenVINO and what belongs to it, without the reports of their use."""

from __future__ import annotations

import importlib
import sys
from typing import Any

_REPORTS = "openvino_telemetry"


def import_openvino(module: str = "openvino") -> Any:
    """A module of OpenVINO's without the reports of its use, which it forks processes for.

    Nobody who classifies pictures with distingo was asked whether they may be sent. OpenVINO has a stub for where they
    are missing.

    Args:
        module: ``openvino`` or ``nncf``.

    Raises:
        ImportError: It is not installed.
    """
    silent = module not in sys.modules and _REPORTS not in sys.modules
    if silent:
        sys.modules[_REPORTS] = None  # type: ignore[assignment]  # as Python notes what can't be imported
    try:
        return importlib.import_module(module)
    finally:
        if silent:
            del sys.modules[_REPORTS]
