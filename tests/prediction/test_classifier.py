"""A whole model behind an engine says what the model itself says."""

from __future__ import annotations

import importlib.util
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from distingo.datasets.cache.store import Cache
from distingo.models.description import ModelDescription
from distingo.models.saved import SavedModel, assemble_network, load_model
from distingo.prediction.classifier import ModelEngine, predict_outputs
from distingo.prediction.engines import EngineName
from distingo.prediction.networks import ArrayRows
from distingo.records import ImageSpec

CPU = torch.device("cpu")
ENGINES: list[EngineName] = ["torch", *(["openvino"] if importlib.util.find_spec("openvino") else [])]
NETWORK = ModelDescription(
    "fashion-cnn", "network", "single-label", ("a", "b", "c"), ImageSpec(16, 16, 3), precision="float32"
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


class DecidesByTheBatch(nn.Module):
    """What a conversion, which follows one pass, gets wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(768, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.dense(images.flatten(1))
        return -logits if len(images) == 2 else logits


@pytest.mark.skipif("openvino" not in ENGINES, reason="OpenVINO is not installed")
def test_torch_runs_what_openvino_gets_wrong(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(OrderedDict(normalisation=nn.Identity(), network=DecidesByTheBatch()))
    model, cache = SavedModel(NETWORK, network=network.eval()), Cache(tmp_path / "cache")
    engine = ModelEngine(model, device=CPU, cache=cache)
    pixels = rows((16, 16, 3), 5)
    expected = predict_outputs(model, ArrayRows(pixels), device=CPU, precision="float32")
    np.testing.assert_allclose(engine.outputs(pixels).logits, expected.logits, atol=1e-5)
    assert engine.name == "torch"
    assert cache.list_segments() == []
    with pytest.raises(RuntimeError, match="differ from the network's"):
        ModelEngine(model, device=CPU, engine="openvino").outputs(pixels)
