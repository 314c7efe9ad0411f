"""Networks as ONNX graphs, with or without their preprocessing, and as OpenVINO models.

The preprocessing matches `distingo.datasets.decoding.rendering.render`: ONNX Runtime's Resize with antialias uses the
same fixed-point arithmetic as Pillow. On real photographs, one value in a hundred differs by one, except in the
outermost columns. It is as fast as Pillow.

NNCF, which quantizes OpenVINO models to 8-bit integers, runs in a separate process, since it loads all installed
frameworks, which write to the terminal.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from distingo.errors import ModelError, ResourceError, first_line
from distingo.exporting.networks import GRAY, LARGEST_HALF, LONGEST_ASPECT, MIN_HALF_ELEMENTS, shorter_side
from distingo.machine import import_openvino
from distingo.progress import quiet_loggers
from distingo.records import ImageSpec
from distingo.runtime.description import INPUT, OUTPUTS, ExportDescription

OPSET = 20

IR_VERSION = 10
"""Opset version, supported by ONNX Runtime from 1.17 on."""

PIXELS = "pixels"
"""Name of the value between preprocessing and network."""

_MODES = {"bilinear": "linear", "bicubic": "cubic"}

_GRAY = """
  colors = Cast <to = 1> (pictures)
  luminance = Constant <value = float[3, 1] {{{red}, {green}, {blue}}}> ()
  weighted = MatMul (colors, luminance)
  half = Constant <value = float[1] {{32768}}> ()
  whole = Constant <value = float[1] {{65536}}> ()
  raised = Add (weighted, half)
  scaled = Div (raised, whole)
  floored = Floor (scaled)
  seen = Cast <to = 2> (floored)
"""

_STRETCH = """
  target = Constant <value_ints = [{height}, {width}]> ()
  cut = {resize} (seen, , , target)
"""

_CROP = """
  axes = Constant <value_ints = [1, 2]> ()
  size = Shape <start = 1, end = 3> (seen)
  shortest = ReduceMin <keepdims = 1> (size)
  aspect = Constant <value_ints = [{aspect}]> ()
  longest = Mul (shortest, aspect)
  kept = Min (size, longest)
  dropped = Sub (size, kept)
  two = Constant <value_ints = [2]> ()
  from = Div (dropped, two)
  to = Add (from, kept)
  strip = Slice (seen, from, to, axes)
  shorter = Constant <value_ints = [{shorter}]> ()
  enlarged = Mul (kept, shorter)
  target = Div (enlarged, shortest)
  resized = {resize} (strip, , , target)
  wanted = Constant <value_ints = [{height}, {width}]> ()
  spare = Sub (target, wanted)
  spare_float = Cast <to = 1> (spare)
  one_half = Constant <value_float = 0.5> ()
  margin = Mul (spare_float, one_half)
  rounded = Round (margin)
  first = Cast <to = 7> (rounded)
  last = Add (first, wanted)
  cut = Slice (resized, first, last, axes)
"""

_WHOLE = """
<ir_version: {ir}, opset_import: ["" : {opset}]>
preprocessing (uint8[batch, height, width, 3] {pictures}) => (uint8[batch, {height}, {width}, {channels}] {pixels}) {{
  {colors}{fit}
  form = Constant <value_ints = [-1, {height}, {width}, {channels}]> ()
  {pixels} = Reshape (cut, form)
}}
"""


def preprocessing_graph(image_spec: ImageSpec, input_name: str) -> Any:
    """Build an `onnx.ModelProto` that preprocesses images of any size, uint8 (n, height, width, 3).

    Args:
        image_spec: Preprocessing for which `resizes_in_graph` is true.
        input_name: Name of the input; the output is named `PIXELS`.
    """
    from onnx import checker, parser

    resize = (
        f'Resize <antialias = 1, axes = [1, 2], mode = "{_MODES[image_spec.interpolation]}", cubic_coeff_a = -0.5, '
        'coordinate_transformation_mode = "half_pixel">'
    )
    sizes: dict[str, object] = {"height": image_spec.height, "width": image_spec.width, "resize": resize}
    if image_spec.fit == "crop":
        fit = _CROP.format(**sizes, shorter=shorter_side(image_spec), aspect=LONGEST_ASPECT)
    else:
        fit = _STRETCH.format(**sizes)
    red, green, blue = (int(weight) for weight in GRAY)
    colors = _GRAY.format(red=red, green=green, blue=blue) if image_spec.channels == 1 else "seen = Identity (pictures)"
    text = _WHOLE.format(
        **sizes,
        channels=image_spec.channels,
        pictures=input_name,
        pixels=PIXELS,
        colors=colors,
        fit=fit,
        ir=IR_VERSION,
        opset=OPSET,
    )
    model = parser.parse_model(text)
    checker.check_model(model)
    return model


def trace(network: nn.Module, example: torch.Tensor, *, any_size: bool = False) -> torch.export.ExportedProgram:
    """Trace a network to a program for any batch size.

    Args:
        network: Network in evaluation mode.
        example: uint8 (2, height, width, channels).
        any_size: Whether height and width may also vary.

    Raises:
        ModelError: The network can't be traced.
    """
    size = {1: torch.export.Dim("height", min=1), 2: torch.export.Dim("width", min=1)} if any_size else {}
    shapes = ({0: torch.export.Dim("batch", min=1), **size},)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # warnings for authors of models
            program = torch.export.export(network.eval(), (example,), dynamic_shapes=shapes)
    except Exception as error:  # torch raises many types of errors for untraceable code
        raise ModelError(
            f"the network can't be traced by torch.export: {type(error).__name__} ({first_line(error)})",
            code="cannot_export",
        ) from error
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # contains local folder names
    return program


def network_graph(network: nn.Module, image_spec: ImageSpec, name: str) -> Any:
    """Convert a network to an `onnx.ModelProto` from preprocessed images to probabilities and features.

    Args:
        network: Network that takes uint8 (n, height, width, channels).
        image_spec: Preprocessing of the images.
        name: Name of the input.

    Raises:
        ModelError: ONNX lacks an operation that the network uses.
    """
    example = torch.zeros((2, image_spec.height, image_spec.width, image_spec.channels), dtype=torch.uint8)
    program = trace(network, example)
    try:
        with quiet_loggers("onnxscript", "torch.onnx", "onnx_ir"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exported = torch.onnx.export(
                program,
                dynamo=True,
                opset_version=OPSET,
                input_names=[name],
                output_names=list(OUTPUTS),
                verbose=False,
            )
    except Exception as error:  # as above
        raise ModelError(
            f"the network can't be written as ONNX: {type(error).__name__} ({first_line(error)})", code="cannot_export"
        ) from error
    assert exported is not None
    model: Any = exported.model_proto
    _forget_origin(model)
    _name_batch(model)
    return model


def join_preprocessing(network: Any, image_spec: ImageSpec) -> Any:
    """Prepend resizing and cropping to a network that takes `PIXELS`."""
    from onnx import compose

    before = compose.add_prefix(
        preprocessing_graph(image_spec, INPUT), "preprocessing/", rename_inputs=False, rename_outputs=False
    )
    after = compose.add_prefix(network, "network/", rename_inputs=False, rename_outputs=False)
    before.ir_version = after.ir_version = IR_VERSION
    joined = compose.merge_models(before, after, io_map=[(PIXELS, PIXELS)], name="distingo", producer_name="distingo")
    joined.ir_version = IR_VERSION
    return joined


def store_as_half(model: Any) -> None:
    """Store weights as float16, in place; they are converted to float32 when the model is loaded.

    Computation is in float32. Weights out of float16's range are not changed.
    """
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(tensor)
        if values.size < MIN_HALF_ELEMENTS or np.abs(values).max() > LARGEST_HALF:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}/half"))
        casts.append(helper.make_node("Cast", [tensor.name], [name], name=f"{name}/cast", to=TensorProto.FLOAT))
    for node in reversed(casts):
        model.graph.node.insert(0, node)


def describe_in_metadata(model: Any, description: ExportDescription) -> None:
    """Write classes, thresholds, calibration, preprocessing and provenance into the model's own metadata."""
    from onnx import helper

    helper.set_model_props(model, metadata(description))
    model.producer_name = "distingo"
    model.producer_version = str(description.provenance.get("distingo", ""))


def metadata(description: ExportDescription) -> dict[str, str]:
    """Return the metadata of a model file; values that are not text are JSON."""
    facts = {**description.facts, "preprocessing": description.preprocessing}
    del facts["agreement"], facts["file"]
    return {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in facts.items()
    }


def _forget_origin(model: Any) -> None:
    """Drop the tracer's node metadata, which contains local folder names and can exceed the size of the weights."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""


def _name_batch(model: Any) -> None:
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"


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


_ORIGINAL, _ROWS, _DONE = "given.xml", "rows.npy", "done.xml"


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
        openvino.save_model(model, Path(folder) / _ORIGINAL, compress_to_fp16=False)
        np.save(Path(folder) / _ROWS, rows)
        code = f"from {__name__} import _quantize; _quantize({folder!r})"
        done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
        if done.returncode or not (Path(folder) / _DONE).is_file():
            reason = (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]
            raise ModelError(f"NNCF can't quantize the model: {reason[:300]}", code="cannot_export")
        quantized = openvino.Core().read_model(Path(folder) / _DONE)
        return quantized.clone()  # the file is memory-mapped and its folder is deleted


def _quantize(folder_path: str) -> None:
    folder = Path(folder_path)
    openvino, nncf = import_openvino(), import_openvino("nncf")
    nncf.set_log_level(logging.ERROR)
    model, rows = openvino.Core().read_model(folder / _ORIGINAL), np.load(folder / _ROWS)
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
