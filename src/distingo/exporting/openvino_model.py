"""Networks as OpenVINO models, optionally quantized to 8-bit integers by NNCF.

NNCF runs in a separate process, since it loads all installed frameworks, which write to the terminal.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from distingo.errors import ModelError, ResourceError
from distingo.exporting.onnx_graph import metadata
from distingo.prediction.libraries import first_line, import_openvino
from distingo.runtime.description import OUTPUTS, ExportDescription


def convert_to_openvino(network: Any) -> Any:
    """Convert an `onnx.ModelProto` to an OpenVINO model."""
    return import_openvino().Core().read_model(network.SerializeToString())


def write_openvino(model: Any, folder: Path, description: ExportDescription) -> None:
    """Write ``model.xml`` and ``model.bin``, with the model's description in ``rt_info``.

    The model takes preprocessed images: OpenVINO can resize as Pillow does, but needs up to a second for each new size.

    Args:
        model: OpenVINO model that takes preprocessed images.
        folder: Folder to write to.
        description: Description of the model.
    """
    openvino = import_openvino()
    for name, value in metadata(description).items():
        model.set_rt_info(value, ["distingo", name])
    path = folder / description.file
    try:
        openvino.save_model(model, path, compress_to_fp16=description.precision == "half")
    except RuntimeError as error:
        raise ResourceError(
            f"{path}: OpenVINO can't write it ({first_line(error)}); is the disk full?", code="cannot_write"
        ) from error


_GIVEN, _ROWS, _DONE = "given.xml", "rows.npy", "done.xml"


def quantize_openvino(model: Any, rows: np.ndarray) -> Any:
    """Quantize a model with per-channel weights and bias correction.

    Layers after the features stay in float32: they determine the prediction and are cheap. OpenVINO can also read
    models quantized by ONNX Runtime, but computes MobileNetV2's 3x3 convolutions wrongly from them (2026.4).

    Args:
        model: OpenVINO model that takes preprocessed images.
        rows: uint8 (n, height, width, channels) to calibrate on.

    Raises:
        ModelError: NNCF can't quantize it.
    """
    openvino = import_openvino()
    with tempfile.TemporaryDirectory() as folder:
        openvino.save_model(model, Path(folder) / _GIVEN, compress_to_fp16=False)
        np.save(Path(folder) / _ROWS, rows)
        code = f"from {__name__} import _quantize; _quantize({folder!r})"
        done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
        if done.returncode or not (Path(folder) / _DONE).is_file():
            reason = (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]
            raise ModelError(f"NNCF can't quantize the model: {reason[:300]}", code="cannot_export")
        quantized = openvino.Core().read_model(Path(folder) / _DONE)
        return quantized.clone()  # the file is memory-mapped and its folder is deleted


def _quantize(place: str) -> None:
    folder = Path(place)
    openvino, nncf = import_openvino(), import_openvino("nncf")
    nncf.set_log_level(logging.ERROR)
    model, rows = openvino.Core().read_model(folder / _GIVEN), np.load(folder / _ROWS)
    quantized = nncf.quantize(
        model,
        nncf.Dataset([rows[at : at + 1] for at in range(len(rows))]),
        subset_size=len(rows),
        preset=nncf.QuantizationPreset.MIXED,
        ignored_scope=nncf.IgnoredScope(names=_deciding_operations(model)),
    )
    openvino.save_model(quantized, folder / _DONE, compress_to_fp16=False)


def _deciding_operations(model: Any) -> list[str]:
    """Return the names of the operations between features and probabilities."""
    waiting, names = [model.output(OUTPUTS[1]).get_node().input_value(0)], set()
    while waiting:
        for target in waiting.pop().get_target_inputs():
            operation = target.get_node()
            if operation.get_type_name() != "Result" and operation.get_friendly_name() not in names:
                names.add(operation.get_friendly_name())
                waiting.extend(operation.outputs())
    return sorted(names)
