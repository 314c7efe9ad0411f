"""What runs an exported model's file."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from distingo.errors import ResourceError, RunError, UsageError
from distingo.files import read_checksums, require_intact
from distingo.prediction.openvino_import import import_openvino
from distingo.runtime.description import INPUT, OUTPUTS, ExportDescription

Run = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""From uint8 pictures (n, height, width, channels) to float32 probabilities (n, classes) and features (n, features).

May be called from several threads."""


def open_engine(folder: Path, description: ExportDescription, *, threads: int | None = None) -> Run:
    """Make an exported model ready to run.

    Args:
        folder: Where it lies.
        description: What it is.
        threads: How many to compute in; None takes one per core.

    Raises:
        UsageError: What runs this format is not installed, or nothing here runs it.
        RunError: The model's file is missing or damaged.
    """
    path = folder / description.file
    if not path.is_file():
        raise RunError(f"{path}: missing; export the run again")
    for name in read_checksums(folder):
        if name.startswith("model."):
            _require_intact(folder / name)
    if description.exported_as == "onnx":
        return _open_onnx(path, threads)
    if description.exported_as == "openvino":
        return _open_openvino(path, threads)
    raise UsageError(
        f"{path}: a program of torch.export; `torch.export.load({str(path)!r}).module()` runs it, or export as onnx"
    )


def _require_intact(path: Path) -> None:
    try:
        require_intact(path)
    except OSError as error:
        raise RunError(f"{path}: missing or unreadable ({error.strerror}); export the run again") from error


def _require(package: str, name: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise UsageError(f"{name} is not installed; `pip install {package}`")


def _open_onnx(path: Path, threads: int | None) -> Run:
    _require("onnxruntime", "ONNX Runtime")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # warnings are for those who make models
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        session: Any = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no common family
        raise RunError(f"{path}: ONNX Runtime can't load it ({_first_line(error)}); export the run again") from error

    def run(pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        try:
            probabilities, features = session.run(OUTPUTS, {INPUT: pictures})
        except Exception as error:
            raise ResourceError(f"{path}: ONNX Runtime failed ({_first_line(error)})") from error
        return probabilities, features

    return run


def _open_openvino(path: Path, threads: int | None) -> Run:
    _require("openvino", "OpenVINO")
    openvino = import_openvino()
    # else a processor with bfloat16 would compute in it, which is not what was checked
    settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    if threads is not None:
        settings["INFERENCE_NUM_THREADS"] = threads
    try:
        compiled = openvino.Core().compile_model(path, "CPU", settings)
    except RuntimeError as error:
        raise RunError(f"{path}: OpenVINO can't load it ({_first_line(error)}); export the run again") from error

    lock = threading.Lock()  # the compiled model has one place for what comes out

    def run(pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with lock:
            found = compiled({INPUT: pictures})
            return np.array(found[OUTPUTS[0]]), np.array(found[OUTPUTS[1]])

    return run


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
