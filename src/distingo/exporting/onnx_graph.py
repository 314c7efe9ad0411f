"""A network as an ONNX graph."""

from __future__ import annotations

import json
import logging
import warnings
from typing import Any

import numpy as np
import torch
from torch import nn

from distingo.errors import ModelError
from distingo.exporting.networks import FEW, LARGEST_HALF
from distingo.exporting.onnx_preprocessing import IR_VERSION, OPSET, PIXELS, preprocessing_graph
from distingo.records import Rendition
from distingo.runtime.description import INPUT, OUTPUTS, ExportDescription


def trace(network: nn.Module, example: torch.Tensor, *, any_size: bool = False) -> torch.export.ExportedProgram:
    """A program of any batch size.

    Args:
        network: In evaluation mode.
        example: uint8 (2, height, width, channels).
        any_size: Whether height and width may change too.

    Raises:
        ModelError: The network does what can't be traced.
    """
    size = {1: torch.export.Dim("height", min=1), 2: torch.export.Dim("width", min=1)} if any_size else {}
    shapes = ({0: torch.export.Dim("batch", min=1), **size},)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # advice to those who write models
            program = torch.export.export(network.eval(), (example,), dynamic_shapes=shapes)
    except Exception as error:  # torch's many kinds of errors on what it can't trace
        reason = (str(error).splitlines() or [""])[0]
        raise ModelError(f"the network can't be traced by torch.export: {type(error).__name__} ({reason})") from error
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # names the folders of this machine
    return program


def network_graph(network: nn.Module, rendition: Rendition, name: str) -> Any:
    """An `onnx.ModelProto` from rendered pictures to probabilities and features.

    Args:
        network: Takes uint8 (n, height, width, channels).
        rendition: Of these pictures.
        name: What the input is called.

    Raises:
        ModelError: The network does what ONNX has no operation for.
    """
    example = torch.zeros((2, rendition.height, rendition.width, rendition.channels), dtype=torch.uint8)
    program = trace(network, example)
    loggers = [logging.getLogger(logger) for logger in ("onnxscript", "torch.onnx", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = torch.onnx.export(
                program,
                dynamo=True,
                opset_version=OPSET,
                input_names=[name],
                output_names=list(OUTPUTS),
                verbose=False,
            )
    except Exception as error:  # as above
        reason = (str(error).splitlines() or [""])[0]
        raise ModelError(f"the network can't be written as ONNX: {type(error).__name__} ({reason})") from error
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
    assert found is not None
    model: Any = found.model_proto
    _forget_origin(model)
    _name_batch(model)
    return model


def join_preprocessing(network: Any, rendition: Rendition) -> Any:
    """Put resizing and cutting before a network that takes `PIXELS`."""
    from onnx import compose

    before = compose.add_prefix(
        preprocessing_graph(rendition, INPUT), "preprocessing/", rename_inputs=False, rename_outputs=False
    )
    after = compose.add_prefix(network, "network/", rename_inputs=False, rename_outputs=False)
    before.ir_version = after.ir_version = IR_VERSION
    joined = compose.merge_models(before, after, io_map=[(PIXELS, PIXELS)], name="distingo", producer_name="distingo")
    joined.ir_version = IR_VERSION
    return joined


def store_as_half(model: Any) -> None:
    """Keep weights as float16, in place; they become float32 again when the model is loaded, and so does the compute.

    Weights that float16 can't hold stay as they are.
    """
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(tensor)
        if values.size < FEW or np.abs(values).max() > LARGEST_HALF:
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
    """What goes into a model file itself: texts, and JSON for what is more."""
    facts = {**description.facts, "preprocessing": description.preprocessing}
    del facts["agreement"], facts["file"]
    return {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in facts.items()
    }


def _forget_origin(model: Any) -> None:
    """Drop what the tracer noted of each node: the folders of this machine, and more text than weights."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""


def _name_batch(model: Any) -> None:
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
