"""OpenVINO as an engine: a network is converted once, kept in the cache, and run in streams."""

from __future__ import annotations

import sys
import tempfile
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from distingo.datasets.kept_bytes import keep_bytes, recall_bytes
from distingo.datasets.store import Cache
from distingo.files import content_hash

_REPORTS = "openvino_telemetry"
_KIND = "openvino-networks"
_CONVERSION = "1"
"""Raised when the way of converting changes, so that what was kept is not used any more."""

_PIXELS_A_PART = 200_000
"""Pixels (height x width x pictures) that one stream is given at a time: activations stay in its core's caches.

Of MobileNetV2's pictures four: 877 a second, with sixteen 747."""

_LARGEST_PART = 256

_LENGTHS = np.dtype("<u8")


def openvino_runner(
    network: nn.Module, shape: tuple[int, int, int], precision: str, *, cache: Cache | None, identity: str
) -> Callable[[np.ndarray], np.ndarray]:
    """Make a network ready to run with OpenVINO on the processor.

    Args:
        network: From float (n, channels, height, width) in [0, 1] to (n, outputs), in evaluation mode.
        shape: Height, width and channels of the pictures.
        precision: ``float32`` or ``bfloat16``.
        cache: Where the converted network is kept, so that the next start neither traces nor converts; None keeps none.
        identity: Names what the network computes; used with a cache only.

    Returns:
        From uint8 pictures (n, height, width, channels) to float32 (n, outputs); may be called from several threads.
    """
    openvino = import_openvino()
    core = openvino.Core()
    parts = (_CONVERSION, openvino.__version__, torch.__version__, repr(shape), identity)
    key = content_hash("\n".join(parts).encode())
    content = None if cache is None else recall_bytes(cache, _KIND, key)
    if content is None:
        model = _convert(_FromPixels(network).cpu(), torch.zeros((2, *shape), dtype=torch.uint8))
        model.reshape([-1, *shape])
        packed = _pack(openvino, model)
        if cache is not None:
            keep_bytes(cache, _KIND, key, packed)
        content = np.frombuffer(packed, np.uint8)
    hints = {
        "INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[precision],
        # a stream of pictures for every core: twice as fast as all cores on the same pictures
        "PERFORMANCE_HINT": "THROUGHPUT",
    }
    # read back also where it was just converted: the first start so rounds as all later ones do
    model, weights = _unpack(openvino, core, content)
    return _Runner(openvino.AsyncInferQueue(core.compile_model(model, "CPU", hints)), shape, weights)


class _Runner:
    """Runs pictures through the streams of a queue.

    Args:
        queue: OpenVINO's requests.
        shape: Height, width and channels of the pictures.
        weights: Memory that the engine computes with and does not own.
    """

    def __init__(self, queue: Any, shape: tuple[int, int, int], weights: np.ndarray) -> None:
        self._queue = queue
        self._weights = weights
        self._largest = max(1, min(_LARGEST_PART, _PIXELS_A_PART // (shape[0] * shape[1])))
        self._lock = threading.Lock()

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        size = min(self._largest, -(-len(pixels) // len(self._queue)))
        parts = [pixels[start : start + size] for start in range(0, len(pixels), size)]
        found: list[np.ndarray] = [np.empty(0)] * len(parts)

        def keep(request: Any, position: int) -> None:
            found[position] = np.array(request.get_output_tensor(0).data, dtype=np.float32)

        with self._lock:
            self._queue.set_callback(keep)
            for position, part in enumerate(parts):
                self._queue.start_async({0: np.ascontiguousarray(part)}, position)
            self._queue.wait_all()
        return np.concatenate(found)


def import_openvino() -> Any:
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


class _FromPixels(nn.Module):
    """A network that takes the pictures as they lie in memory, so that the engine's own code scales them."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> Tensor:
        outputs: Tensor = self.network(pixels.permute(0, 3, 1, 2).to(torch.float32) / 255.0)
        return outputs


def _convert(network: nn.Module, example: Tensor) -> Any:
    """As `openvino.convert_model` does it, which traces twice to compare and reports each use."""
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the tracer's advice to those who write models
        traced = torch.jit.trace(network, example, check_trace=False)  # type: ignore[no-untyped-call]
    frontend = FrontEndManager().load_by_framework("pytorch")
    decoder = TorchScriptPythonDecoder(traced)  # has to live until all is converted
    return frontend.convert(frontend.load(decoder))


def _pack(openvino: Any, model: Any) -> bytes:
    """Weights, structure and the length of each in one."""
    with tempfile.TemporaryDirectory(prefix="distingo-") as folder:
        structure, weights = Path(folder, "network.xml"), Path(folder, "network.bin")
        openvino.serialize(model, str(structure), str(weights))
        content = [weights.read_bytes(), structure.read_bytes()]
    lengths = np.array([len(part) for part in content], _LENGTHS)
    return b"".join([*content, lengths.tobytes()])


def _unpack(openvino: Any, core: Any, content: np.ndarray) -> tuple[Any, np.ndarray]:
    """The model and its weights, whose memory has to live as long as the model."""
    end = len(content) - 2 * _LENGTHS.itemsize
    first, second = np.frombuffer(content[end:], _LENGTHS).tolist()
    weights = np.array(content[:first])
    structure = content[first : first + second].tobytes()
    return core.read_model(structure, openvino.Tensor(weights, shared_memory=True)), weights
