from __future__ import annotations

import numpy as np
import pytest
import torch

from distingo.exporting import writing as quantizing
from distingo.exporting.agreement import original_outputs
from distingo.exporting.graphs import PIXELS, network_graph
from distingo.exporting.networks import ExportableNetwork
from distingo.exporting.writing import _deciding_nodes, _quantize, quantize
from distingo.models.description import ModelDescription
from distingo.models.saved import SavedModel, assemble_network
from distingo.records import ImageSpec

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

RENDITION = ImageSpec(16, 16, 3)
ROWS = np.random.default_rng(0).integers(0, 256, (37, 16, 16, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def model() -> SavedModel:
    torch.manual_seed(0)
    description = ModelDescription("small-cnn", "network", "single-label", ("a", "b", "c"), RENDITION)
    return SavedModel(description, network=assemble_network(description).eval())


@pytest.mark.parametrize("method", ["MinMax", "Percentile"])
def test_both_methods_take_any_number_of_images(model: SavedModel, method: str) -> None:
    import onnxruntime

    graph = network_graph(ExportableNetwork(model), RENDITION, PIXELS)
    quantized = _quantize(graph, ROWS, method)
    kinds = {node.op_type for node in quantized.graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= kinds
    session = onnxruntime.InferenceSession(quantized.SerializeToString(), providers=["CPUExecutionProvider"])
    found = np.concatenate([session.run(["probabilities"], {PIXELS: row[None]})[0] for row in ROWS])
    assert np.abs(found - original_outputs(model, ROWS)[0]).max() < 0.05
    weights = {tensor.name: tensor for tensor in quantized.graph.initializer}
    deciding = set(_deciding_nodes(quantized))
    matrices = [node for node in quantized.graph.node if node.name in deciding and node.op_type in {"Gemm", "MatMul"}]
    assert matrices
    assert all(weights[name].data_type == 1 for node in matrices for name in node.input if name in weights)


@pytest.mark.parametrize(
    ("shares", "chosen"), [([0.995], "MinMax"), ([0.9, 0.97], "Percentile"), ([0.97, 0.9], "MinMax")]
)
def test_the_second_method_is_tried_where_the_first_changes_answers(
    monkeypatch: pytest.MonkeyPatch, shares: list[float], chosen: str
) -> None:
    left = iter(shares)
    monkeypatch.setattr(quantizing, "_quantize", lambda model, rows, method: f"by {method}")
    monkeypatch.setattr(quantizing, "_share_kept", lambda *_, several: next(left))
    assert quantize(None, ROWS, np.zeros((37, 3)), several=False) == (f"by {chosen}", chosen)
    assert next(left, None) is None
