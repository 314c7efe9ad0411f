"""OpenVINO, without the reports of its use."""

from __future__ import annotations

import sys
from typing import Any

_REPORTS = "openvino_telemetry"


def import_openvino() -> Any:
    """OpenVINO without the reports of its use, which it forks processes for; it has a stub for where they are missing.

    Nobody who classifies pictures with distingo was asked whether they may be sent.

    Raises:
        ImportError: OpenVINO is not installed.
    """
    silent = "openvino" not in sys.modules and _REPORTS not in sys.modules
    if silent:
        sys.modules[_REPORTS] = None  # type: ignore[assignment]  # as Python notes what can't be imported
    try:
        import openvino
    finally:
        if silent:
            del sys.modules[_REPORTS]
    return openvino
