"""Writing of model files: ONNX, OpenVINO and torch.export, in float32, half precision or 8-bit integers.

8-bit weights have a scale per channel; activations have one scale, which is calibrated on training images.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import tempfile
import warnings
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from distingo.exporting.agreement import images_of_run, original_outputs, rendered
from distingo.exporting.graphs import (
    PIXELS,
    convert_to_openvino,
    describe_in_metadata,
    join_preprocessing,
    network_graph,
    quantize_openvino,
    store_as_half,
    trace,
    write_openvino,
)
from distingo.exporting.networks import ExportableNetwork, WholeImage
from distingo.files import write_bytes
from distingo.models.saved import SavedModel
from distingo.runs.contents import RunRecords
from distingo.runs.folder import EXPORT_FILE
from distingo.runtime.description import INPUT, PREPROCESSING_FILE, ExportDescription, ExportFormat, Precision
from distingo.runtime.runtime import Run, open_engine

IMAGES = 256
"""Number of training images for calibration."""

_OPERATIONS = ["Conv", "Gemm", "MatMul", "Add", "Clip", "Relu", "MaxPool", "AveragePool", "GlobalAveragePool"]

_METHODS = ("MinMax", "Percentile")

_ENOUGH = 0.99
"""Fraction of calibration images with unchanged predictions from which no other method is tried."""

_BATCH = 16


def quantize(model: Any, rows: np.ndarray, probabilities: np.ndarray, *, several: bool) -> tuple[Any, str]:
    """Quantize a network in QDQ format, which any runtime can read.

    Layers after the features stay in float32: they determine the prediction and are cheap.

    Args:
        model: `onnx.ModelProto` of a network that takes preprocessed images.
        rows: uint8 (n, height, width, channels) to calibrate on.
        probabilities: The original's probabilities for them, float (n, classes).
        several: Whether the task is multi-label.

    Returns:
        The quantized copy, and the calibration method of its activations: the first one that preserves the predictions,
        otherwise the one that preserves most of them.
    """
    best: tuple[float, Any, str] | None = None
    for method in _METHODS:
        candidate = _quantize(model, rows, method)
        same = _agreement(candidate, rows, probabilities, several=several)
        if best is None or same > best[0]:
            best = same, candidate, method
        if same >= _ENOUGH:
            break
    assert best is not None
    return best[1], best[2]


class _Reader:
    """Batches of images for the calibrator, all of one size as its histograms require."""

    def __init__(self, name: str, rows: np.ndarray) -> None:
        size = min(_BATCH, len(rows))
        starts = range(0, len(rows) - size + 1, size)
        self._batches = iter([{name: rows[start : start + size]} for start in starts])

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Return the next batch, or None after the last one."""
        return next(self._batches, None)


def _quantize(model: Any, rows: np.ndarray, method: str) -> Any:
    import onnx
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    name = model.graph.input[0].name
    with tempfile.TemporaryDirectory() as folder, _quiet():
        original, prepared, done = (Path(folder) / f"{step}.onnx" for step in ("original", "prepared", "done"))
        onnx.save(model, original)
        quant_pre_process(original, prepared, skip_symbolic_shape=True)
        quantization.quantize_static(
            prepared,
            done,
            _Reader(name, rows),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            calibrate_method=quantization.CalibrationMethod[method],
            op_types_to_quantize=_OPERATIONS,
            nodes_to_exclude=_deciding_nodes(onnx.load(prepared)),
        )
        return onnx.load(done)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the calibrator's advice to authors of models."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(before)


def _deciding_nodes(model: Any) -> list[str]:
    """Return the names of the nodes between features and probabilities."""
    copies = {node.output[0]: node.input[0] for node in model.graph.node if node.op_type == "Identity"}
    reached, names = {"features", copies.get("features", "features")}, []
    for node in model.graph.node:  # in topological order
        if reached & set(node.input):
            reached |= set(node.output)
            names.append(node.name)
    return names


def _agreement(model: Any, rows: np.ndarray, probabilities: np.ndarray, *, several: bool) -> float:
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    name = model.graph.input[0].name
    quantized = np.concatenate(
        [session.run(["probabilities"], {name: rows[at : at + 1]})[0] for at in range(len(rows))]
    )
    if several:
        return float(1 - np.abs(quantized - probabilities).mean())
    return float((quantized.argmax(axis=1) == probabilities.argmax(axis=1)).mean())


_EXAMPLE = (301, 401)
"""Sizes that no preprocessing uses, so that the tracer does not treat any size as a constant."""


def write_program(model: SavedModel, folder: Path, description: ExportDescription) -> None:
    """Write ``model.pt2``, which contains description and preprocessing as extra files.

    Args:
        model: Model with a network.
        folder: Folder to write to.
        description: Description of the model.

    Raises:
        ModelError: The network can't be traced.
    """
    image_spec = description.image_spec
    network: torch.nn.Module = ExportableNetwork(model, half=description.precision == "half")
    size, channels = (image_spec.height, image_spec.width), image_spec.channels
    if description.in_graph:
        network, size, channels = WholeImage(network, image_spec), _EXAMPLE, 3
    program = trace(network, torch.zeros((2, *size, channels), dtype=torch.uint8), any_size=description.in_graph)
    extra = {
        EXPORT_FILE: json.dumps(description.facts, ensure_ascii=False),
        PREPROCESSING_FILE: json.dumps(description.preprocessing, ensure_ascii=False),
    }
    content = io.BytesIO()  # torch itself would abort the process on a full disk
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(program, content, extra_files=extra)
    write_bytes(folder / description.file, content.getvalue())


def open_program(folder: Path, description: ExportDescription) -> Run:
    """Load a program that `write_program` wrote, to compare it with the original."""
    module = torch.export.load(folder / description.file).module()

    @torch.inference_mode()
    def run(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        probabilities, features = module(torch.from_numpy(images))
        return probabilities.numpy(), features.numpy()

    return run


_log = logging.getLogger(__name__)


class Writer:
    """Writes one model in one format, and reuses intermediate results between attempts.

    Args:
        model: Model with a network.
        records: Records of the run, whose training images are used for calibration.
        exported_as: The format.
        precision: Precision of weights and computation.
    """

    def __init__(self, model: SavedModel, records: RunRecords, exported_as: ExportFormat, precision: Precision) -> None:
        self.model, self.records = model, records
        self.exported_as, self.precision = exported_as, precision
        self.ranges_by = ""

    def write(self, folder: Path, description: ExportDescription) -> Run:
        """Write the model's file.

        Args:
            folder: Folder to write to.
            description: Description of the export.

        Returns:
            Function that runs the model, loaded from the written file.

        Raises:
            ModelError: The network can't be written in this format.
            DataError: There are no images for calibration.
        """
        if self.exported_as == "torch-export":
            _log.info("tracing the network")
            write_program(self.model, folder, description)
            return open_program(folder, description)
        if self.exported_as == "openvino":
            write_openvino(self._openvino(), folder, description)
        else:
            self._write_onnx(folder, description)
        return open_engine(folder, description)

    def _write_onnx(self, folder: Path, description: ExportDescription) -> None:
        import onnx

        model = onnx.ModelProto()
        model.CopyFrom(self._network)
        if description.in_graph:
            model = join_preprocessing(model, description.image_spec)
        else:
            _rename_input(model)
        describe_in_metadata(model, description)
        onnx.checker.check_model(model)
        onnx.save(model, folder / description.file)

    def _openvino(self) -> Any:
        model = convert_to_openvino(self._graph(INPUT))
        if self.precision == "int8":
            self.ranges_by = "NNCF"
            model = quantize_openvino(model, self._calibration_rows())
        return model

    @cached_property
    def _network(self) -> Any:
        """Return the `onnx.ModelProto` that takes preprocessed images, quantized if requested."""
        graph = self._graph(PIXELS)
        if self.precision == "int8":
            rows = self._calibration_rows()
            probabilities = original_outputs(self.model, rows)[0]
            several = self.model.description.task == "multi-label"
            graph, self.ranges_by = quantize(graph, rows, probabilities, several=several)
        elif self.precision == "half":
            store_as_half(graph)
        return graph

    def _graph(self, name: str) -> Any:
        _log.info("tracing the network")
        image_spec = self.model.description.image_spec
        assert image_spec is not None
        return network_graph(ExportableNetwork(self.model), image_spec, name)

    def _calibration_rows(self) -> np.ndarray:
        image_spec = self.model.description.image_spec
        assert image_spec is not None
        rows = rendered(
            images_of_run(self.records, ("train",), IMAGES), image_spec, self.model.description.value_ranges
        )
        _log.info("calibrating 8-bit integers on %s training pictures", f"{len(rows):,}")
        return rows


def _rename_input(model: Any) -> None:
    old = model.graph.input[0].name
    model.graph.input[0].name = INPUT
    for node in model.graph.node:
        for position, name in enumerate(node.input):
            if name == old:
                node.input[position] = INPUT
