"""A network as an OpenVINO model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from distingo.errors import ResourceError
from distingo.exporting.onnx_graph import metadata
from distingo.prediction.openvino_import import import_openvino
from distingo.runtime.description import ExportDescription


def convert_to_openvino(network: Any) -> Any:
    """An OpenVINO model of an `onnx.ModelProto`."""
    return import_openvino().Core().read_model(network.SerializeToString())


def write_openvino(model: Any, folder: Path, description: ExportDescription) -> None:
    """Write ``model.xml`` and ``model.bin`` with what is known of the model in its ``rt_info``.

    Pictures come rendered: OpenVINO has Pillow's resizing, but prepares it anew for every size, in most of a second.

    Args:
        model: Takes rendered pictures.
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
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise ResourceError(f"{path}: OpenVINO can't write it ({reason}); is the disk full?") from error
