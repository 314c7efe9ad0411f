from __future__ import annotations

import importlib.util
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from distingo.errors import UsageError
from distingo.prediction import engines
from distingo.prediction.engines import build_engine, choose_engine
from raising import raises

CPU = torch.device("cpu")
SHAPE = (16, 12, 3)
ENGINES = ["torch", *(["openvino"] if importlib.util.find_spec("openvino") else [])]


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    layers = (nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(*layers).eval()


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("n", [1, 16, 37])
def test_every_engine_gives_the_networks_own_numbers(network: nn.Module, name: str, n: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (n, *SHAPE), dtype=np.uint8)
    with torch.inference_mode():
        expected = network(torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255).numpy()
    engine = build_engine(network, SHAPE, name=name, precision="float32", device=CPU)
    found = engine.run(pixels)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.array_equal(engine.run(pixels), found)


def test_openvino_is_taken_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines.importlib.util, "find_spec", lambda _: object())
    assert choose_engine("auto", CPU, "float32") == ("openvino", "float32")
    assert choose_engine("torch", CPU, "float32") == ("torch", "float32")
    monkeypatch.setattr(engines.importlib.util, "find_spec", lambda _: None)
    assert choose_engine("auto", CPU, "bfloat16") == ("torch", "bfloat16")


def test_a_missing_engine_is_reported_with_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines.importlib.util, "find_spec", lambda _: None)
    with raises(UsageError, code="missing_extra", parameter="engine"):
        choose_engine("openvino", CPU)


def test_openvino_does_not_compute_elsewhere_than_on_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines.importlib.util, "find_spec", lambda _: object())
    with raises(UsageError, code="options_conflict", parameter="engine"):
        choose_engine("openvino", torch.device("cuda"))
    assert choose_engine("auto", torch.device("cuda"), "float32")[0] == "torch"


@pytest.mark.skipif("openvino" not in ENGINES, reason="OpenVINO is not installed")
def test_openvino_s_makers_are_not_told() -> None:
    program = """
import sys
import time
asked = []
listen = ("os.fork", "os.posix_spawn", "socket.", "subprocess.", "urllib.")
import torch
sys.addaudithook(lambda event, details: asked.append(event) if event.startswith(listen) else None)
from distingo.prediction.engines import build_engine
network = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3), torch.nn.Flatten())
build_engine(network, (8, 8, 3), name="openvino", precision="float32", device=torch.device("cpu"))
time.sleep(1)  # reports are sent by a thread
assert not asked, asked
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
