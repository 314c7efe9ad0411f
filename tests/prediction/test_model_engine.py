"""A whole model behind an engine says what the model itself says."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from distingo.datasets.store import Cache
from distingo.models.saved import ModelDescription, SavedModel, assemble_network, load_model
from distingo.prediction.classifier import predict_outputs
from distingo.prediction.engines import EngineName
from distingo.prediction.model_engine import ModelEngine
from distingo.prediction.tensors import ArrayRows
from distingo.records import Rendition

CPU = torch.device("cpu")
ENGINES: list[EngineName] = ["torch", *(["openvino"] if importlib.util.find_spec("openvino") else [])]
NETWORK = ModelDescription(
    "fashion-cnn", "network", "single-label", ("a", "b", "c"), Rendition(16, 16, 3), precision="float32"
)


def rows(shape: tuple[int, ...], n: int = 19) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, *shape), dtype=np.uint8)


@pytest.mark.parametrize("engine", ENGINES)
def test_logits_and_features_are_the_networks_own(engine: EngineName) -> None:
    torch.manual_seed(0)
    model = SavedModel(NETWORK, network=assemble_network(NETWORK).eval())
    pixels = rows((16, 16, 3))
    expected = predict_outputs(model, ArrayRows(pixels), device=CPU, precision="float32")
    found = ModelEngine(model, device=CPU, engine=engine).outputs(pixels)
    np.testing.assert_allclose(found.logits, expected.logits, atol=1e-5)
    np.testing.assert_allclose(found.features, expected.features, atol=1e-5)


def test_a_classic_model_needs_no_engine(tiny_runs: dict[str, Path]) -> None:
    model = load_model(tiny_runs["descriptors"] / "model")
    descriptors = np.random.default_rng(0).random((5, 52), np.float32)
    expected = predict_outputs(model, ArrayRows(descriptors), device=CPU, precision="float32")
    found = ModelEngine(model, device=CPU).outputs(descriptors)
    assert np.array_equal(found.logits, expected.logits)
    assert np.array_equal(found.features, descriptors)


def test_the_engine_and_precision_of_training_are_kept_to(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = assemble_network(NETWORK).eval()
    trained = replace(NETWORK, engine="torch")
    engine = ModelEngine(SavedModel(trained, network=network), device=CPU, cache=Cache(tmp_path / "cache"))
    assert (engine.name, engine.precision) == ("torch", "float32")
    if "openvino" in ENGINES:
        asked = ModelEngine(SavedModel(trained, network=network), device=CPU, engine="openvino")
        assert (asked.name, asked.precision) == ("openvino", "float32")
