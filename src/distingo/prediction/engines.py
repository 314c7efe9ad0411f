"""Engines that run a frozen network over pictures: its own framework, or a faster one where it is installed."""

from __future__ import annotations

import importlib.util
import sys
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from distingo.errors import UsageError
from distingo.models.machine import bind_this_thread, choose_precision
from distingo.prediction.networks import autocast
from distingo.prediction.tensors import to_tensor

EngineName = Literal["auto", "torch", "openvino"]

_REPORTS = "openvino_telemetry"

_PICTURES_A_STREAM = 16
"""Small enough that a batch keeps all cores busy to its end, large enough to be computed well."""


@dataclass(frozen=True, slots=True)
class Engine:
    """A network ready to be run over batches of pictures.

    Attributes:
        name: ``torch`` or ``openvino``.
        precision: ``float32`` or ``bfloat16``.
        run: From uint8 pictures (n, height, width, channels) to float32 (n, outputs).
    """

    name: str
    precision: str
    run: Callable[[np.ndarray], np.ndarray]

    @property
    def key(self) -> str:
        """Names all about the engine that its numbers depend on, for caches."""
        return f"{self.name}-{self.precision}"


def choose_engine(name: EngineName, device: torch.device, precision: str = "auto") -> tuple[str, str]:
    """The engine and precision that a frozen network runs fastest in here.

    Args:
        name: ``auto``, ``torch`` or ``openvino``.
        device: Where to compute.
        precision: ``auto``, ``float32`` or ``bfloat16``.

    Returns:
        Engine and precision by name.

    Raises:
        UsageError: OpenVINO is asked for where it is not installed, or on another device than the processor.
    """
    if precision == "auto":
        precision = choose_precision(device)[0]
    installed = importlib.util.find_spec("openvino") is not None
    if name == "openvino":
        if not installed:
            raise UsageError("--engine openvino: OpenVINO is not installed; `pip install 'distingo[openvino]'`")
        if device.type != "cpu":
            raise UsageError(f"--engine openvino: runs on the processor only, not on {device}; leave --engine out")
        return "openvino", precision
    if name == "auto" and installed and device.type == "cpu":
        return "openvino", precision
    return "torch", precision


def build_engine(
    network: nn.Module, shape: tuple[int, int, int], *, name: str, precision: str, device: torch.device
) -> Engine:
    """Make a network ready for many pictures.

    Args:
        network: From float (n, channels, height, width) in [0, 1] to (n, outputs); put into evaluation mode.
        shape: Height, width and channels of the pictures.
        name: ``torch`` or ``openvino``, as `choose_engine` says.
        precision: ``float32`` or ``bfloat16``.
        device: Where `torch` computes.
    """
    network = network.eval()
    if name == "openvino":
        return Engine(name, precision, _openvino(network, shape, precision))
    return Engine(name, precision, _torch(network, precision, device))


def _torch(network: nn.Module, precision: str, device: torch.device) -> Callable[[np.ndarray], np.ndarray]:
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.inference_mode()
    def run(pixels: np.ndarray) -> np.ndarray:
        with bind_this_thread(), autocast(device, precision):
            outputs: Tensor = network(to_tensor(pixels, device))
        found: np.ndarray = outputs.float().cpu().numpy()
        return found

    return run


class _FromPixels(nn.Module):
    """A network that takes the pictures as they lie in memory, so that the engine's own code scales them."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> Tensor:
        outputs: Tensor = self.network(pixels.permute(0, 3, 1, 2).to(torch.float32) / 255.0)
        return outputs


def _openvino(network: nn.Module, shape: tuple[int, int, int], precision: str) -> Callable[[np.ndarray], np.ndarray]:
    openvino = _import_openvino()
    model = _to_openvino(_FromPixels(network).cpu(), torch.zeros((2, *shape), dtype=torch.uint8))
    model.reshape([-1, *shape])
    hints = {
        "INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[precision],
        # a stream of pictures for every core: twice as fast as all cores on the same pictures
        "PERFORMANCE_HINT": "THROUGHPUT",
    }
    compiled: Any = openvino.Core().compile_model(model, "CPU", hints)
    queue = openvino.AsyncInferQueue(compiled)
    lock = threading.Lock()

    def run(pixels: np.ndarray) -> np.ndarray:
        parts = [pixels[start : start + _PICTURES_A_STREAM] for start in range(0, len(pixels), _PICTURES_A_STREAM)]
        found: list[np.ndarray] = [np.empty(0)] * len(parts)

        def keep(request: Any, position: int) -> None:
            found[position] = np.array(request.get_output_tensor(0).data, dtype=np.float32)

        with lock:
            queue.set_callback(keep)
            for position, part in enumerate(parts):
                queue.start_async({0: np.ascontiguousarray(part)}, position)
            queue.wait_all()
        return np.concatenate(found)

    return run


def _import_openvino() -> Any:
    """OpenVINO without the reports of its use, which it forks processes for; it has a stub for where they are missing.

    Nobody who classifies pictures with distingo was asked whether they may be sent.
    """
    silent = "openvino" not in sys.modules and _REPORTS not in sys.modules
    if silent:
        sys.modules[_REPORTS] = None  # type: ignore[assignment]  # as Python notes what can't be imported
    try:
        import openvino
    finally:
        if silent:
            del sys.modules[_REPORTS]
    return openvino


def _to_openvino(network: nn.Module, example: Tensor) -> Any:
    """As `openvino.convert_model` does it, which traces twice to compare and reports each use."""
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the tracer's advice to those who write models
        traced = torch.jit.trace(network, example, check_trace=False)  # type: ignore[no-untyped-call]
    frontend = FrontEndManager().load_by_framework("pytorch")
    decoder = TorchScriptPythonDecoder(traced)  # has to live until all is converted
    return frontend.convert(frontend.load(decoder))
