"""Engines that run a frozen network over pictures: its own framework, or a faster one where it is installed."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from distingo.datasets.cache.store import Cache
from distingo.errors import UsageError, option
from distingo.machine.device import bind_this_thread, choose_precision
from distingo.prediction.networks import autocast, prediction_batch_size, to_tensor
from distingo.prediction.openvino_engine import openvino_runner

EngineName = Literal["auto", "torch", "openvino"]


@dataclass(frozen=True, slots=True)
class Engine:
    """A network ready to be run over batches of pictures.

    Attributes:
        name: ``torch`` or ``openvino``.
        precision: ``float32`` or ``bfloat16``.
        run: From uint8 pictures (n, height, width, channels), at least one, to float32 (n, outputs); may be called from
            several threads.
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
            raise UsageError(
                f"{option('engine', 'openvino')}: OpenVINO is not installed; `pip install 'distingo[openvino]'`",
                code="missing_extra",
                parameter="engine",
            )
        if device.type != "cpu":
            raise UsageError(
                f"{option('engine', 'openvino')}: runs on the processor only, not on {device}; leave "
                f"{option('engine')} out",
                code="options_conflict",
                parameter="engine",
            )
        return "openvino", precision
    if name == "auto" and installed and device.type == "cpu":
        return "openvino", precision
    return "torch", precision


def build_engine(
    network: nn.Module,
    shape: tuple[int, int, int],
    *,
    name: str,
    precision: str,
    device: torch.device,
    cache: Cache | None = None,
    identity: str = "",
    verify: bool = False,
) -> Engine:
    """Make a network ready for many pictures.

    Args:
        network: From float (n, channels, height, width) in [0, 1] to (n, outputs); put into evaluation mode.
        shape: Height, width and channels of the pictures.
        name: ``torch`` or ``openvino``, as `choose_engine` says.
        precision: ``float32`` or ``bfloat16``.
        device: Where `torch` computes.
        cache: Where a converted network is kept for the next start; None keeps none.
        identity: Names what the network computes, weights and all; used with a cache only.
        verify: Whether a network that is converted is compared with what comes of it.

    Raises:
        RuntimeError: The network can't be converted, or says something else afterwards.
    """
    network = network.eval()
    if name == "openvino":
        return Engine(
            name, precision, openvino_runner(network, shape, precision, cache=cache, identity=identity, verify=verify)
        )
    return Engine(name, precision, _torch(network, precision, device))


def _torch(network: nn.Module, precision: str, device: torch.device) -> Callable[[np.ndarray], np.ndarray]:
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    lock = threading.Lock()

    @torch.inference_mode()
    def run(pixels: np.ndarray) -> np.ndarray:
        size = prediction_batch_size(pixels.shape[1], pixels.shape[2])
        found: list[np.ndarray] = []
        with lock, bind_this_thread(), autocast(device, precision):
            for start in range(0, len(pixels), size):
                outputs: Tensor = network(to_tensor(pixels[start : start + size], device))
                found.append(outputs.float().cpu().numpy())
        return np.concatenate(found)

    return run
