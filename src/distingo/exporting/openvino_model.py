"""Networks as OpenVINO models, also in 8-bit integers by NNCF.

NNCF has a process of its own: it loads all frameworks that it finds, and they write to the terminal.
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
    """An OpenVINO model of an `onnx.ModelProto`."""
    return import_openvino().Core().read_model(network.SerializeToString())


def write_openvino(model: Any, folder: Path, description: ExportDescription) -> None:
    """Write ``model.xml`` and ``model.bin`` with what is known of the model in its ``rt_info``.

    Images come rendered: OpenVINO has Pillow's resizing, but prepares it anew for every size, in most of a second.

    Args:
        model: Takes rendered images.
        folder: Where to write.
        description: Of the model.
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
    """A quantized copy: weights for each channel, and biases that make up for the rounding.

    Layers after the features stay in float32: they decide, and cost nothing. What ONNX Runtime quantizes OpenVINO reads
    too, but computes MobileNetV2's 3x3 convolutions wrongly from it (2026.4).

    Args:
        model: An OpenVINO model that takes rendered images.
        rows: uint8 (n, height, width, channels) to calibrate on.

    Raises:
        ModelError: NNCF can't quantize it.
    """
    openvino = import_openvino()
    with tempfile.TemporaryDirectory() as folder:
        openvino.save_model(model, Path(folder) / _GIVEN, compress_to_fp16=False)
        np.save(Path(folder) / _ROWS, rows)
        code = f"from {__name__} import _quantise; _quantise({folder!r})"
        done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
        if done.returncode or not (Path(folder) / _DONE).is_file():
            reason = (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]
            raise ModelError(f"NNCF can't quantize the model: {reason[:300]}", code="cannot_export")
        quantized = openvino.Core().read_model(Path(folder) / _DONE)
        return quantized.clone()  # the file's memory goes with the folder


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
    """Names of the operations between features and probabilities."""
    waiting, names = [model.output(OUTPUTS[1]).get_node().input_value(0)], set()
    while waiting:
        for target in waiting.pop().get_target_inputs():
            operation = target.get_node()
            if operation.get_type_name() != "Result" and operation.get_friendly_name() not in names:
                names.add(operation.get_friendly_name())
                waiting.extend(operation.outputs())
    return sorted(names)
