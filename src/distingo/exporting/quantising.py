"""Networks in 8-bit integers: weights for each channel on its own, activations calibrated on training pictures."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

PICTURES = 256
"""Training pictures to calibrate on."""

_OPERATIONS = ["Conv", "Gemm", "MatMul", "Add", "Clip", "Relu", "MaxPool", "AveragePool", "GlobalAveragePool"]
_METHODS = ("MinMax", "Percentile")
_ENOUGH = 0.99
"""Share of calibration pictures with the same answer from which on no other method is tried."""

_BATCH = 16


def quantise(model: Any, rows: np.ndarray, probabilities: np.ndarray, *, several: bool) -> tuple[Any, str]:
    """A quantised copy of a network (QDQ: any runtime can read it).

    Layers after the features stay in float32: they decide, and cost nothing.

    Args:
        model: `onnx.ModelProto` of a network that takes rendered pictures.
        rows: uint8 (n, height, width, channels) to calibrate on.
        probabilities: What the original says of them, float (n, classes).
        several: Whether a picture has several labels.

    Returns:
        The copy, and by which method the ranges of its activations were chosen: the first that keeps the answers, else
        the one that keeps most.
    """
    best: tuple[float, Any, str] | None = None
    for method in _METHODS:
        candidate = _quantise(model, rows, method)
        same = _share_kept(candidate, rows, probabilities, several=several)
        if best is None or same > best[0]:
            best = same, candidate, method
        if same >= _ENOUGH:
            break
    assert best is not None
    return best[1], best[2]


class _Reader:
    """Batches of pictures as the calibrator asks for them, all of one size as histograms want them."""

    def __init__(self, name: str, rows: np.ndarray) -> None:
        size = min(_BATCH, len(rows))
        starts = range(0, len(rows) - size + 1, size)
        self._batches = iter([{name: rows[start : start + size]} for start in starts])

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next batch, None after the last."""
        return next(self._batches, None)


def _quantise(model: Any, rows: np.ndarray, method: str) -> Any:
    import onnx
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    name = model.graph.input[0].name
    with tempfile.TemporaryDirectory() as folder, _quiet():
        given, prepared, done = (Path(folder) / f"{step}.onnx" for step in ("given", "prepared", "done"))
        onnx.save(model, given)
        quant_pre_process(given, prepared, skip_symbolic_shape=True)
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
    """Keep the calibrator's advice to those who write models off the terminal."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(before)


def _deciding_nodes(model: Any) -> list[str]:
    """Names of the nodes between features and probabilities."""
    copies = {node.output[0]: node.input[0] for node in model.graph.node if node.op_type == "Identity"}
    reached, names = {"features", copies.get("features", "features")}, []
    for node in model.graph.node:  # in the order of computing
        if reached & set(node.input):
            reached |= set(node.output)
            names.append(node.name)
    return names


def _share_kept(model: Any, rows: np.ndarray, probabilities: np.ndarray, *, several: bool) -> float:
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    name = model.graph.input[0].name
    found = np.concatenate([session.run(["probabilities"], {name: rows[at : at + 1]})[0] for at in range(len(rows))])
    if several:
        return float(1 - np.abs(found - probabilities).mean())
    return float((found.argmax(axis=1) == probabilities.argmax(axis=1)).mean())
