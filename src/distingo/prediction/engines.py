"""Engines that run a frozen network: torch, and OpenVINO where it is installed.

For OpenVINO a network is converted once, kept in the cache, and run in streams.
"""

from __future__ import annotations

import importlib.util
import tempfile
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from distingo.datasets.cache.store import Cache, keep_bytes, recall_bytes
from distingo.errors import UsageError, option
from distingo.files import content_hash
from distingo.machine.device import choose_precision
from distingo.machine.process import bind_this_thread
from distingo.prediction.libraries import import_openvino
from distingo.prediction.networks import autocast, prediction_batch_size, to_tensor

_KIND = "openvino-networks"

_CONVERSION = "1"
"""Raised when the way of converting changes, so that what was kept is not used any more."""

_PIXELS_A_PART = 200_000
"""Pixels (height x width x images) that one stream is given at a time: activations stay in its core's caches.

Of MobileNetV2's images four: 877 a second, with sixteen 747."""

_LARGEST_PART = 256

_LARGEST_ERROR = 0.5
"""Of an output over a few images, relative to itself, or to all outputs where it is smaller than they mostly are;
bfloat16 alone makes a few hundredths."""

_LENGTHS = np.dtype("<u8")


def openvino_runner(
    network: nn.Module,
    shape: tuple[int, int, int],
    precision: str,
    *,
    cache: Cache | None,
    identity: str,
    verify: bool = False,
) -> Callable[[np.ndarray], np.ndarray]:
    """Make a network ready to run with OpenVINO on the processor.

    Args:
        network: From float (n, channels, height, width) in [0, 1] to (n, outputs), in evaluation mode.
        shape: Height, width and channels of the images.
        precision: ``float32`` or ``bfloat16``.
        cache: Where the converted network is kept, so that the next start neither traces nor converts; None keeps none.
        identity: Names what the network computes; used with a cache only.
        verify: Whether a network that is converted is compared with what comes of it.

    Returns:
        From uint8 images (n, height, width, channels) to float32 (n, outputs); may be called from several threads.

    Raises:
        RuntimeError: The network can't be converted, or the converted network gives other numbers.
    """
    openvino = import_openvino()
    core = openvino.Core()
    parts = (_CONVERSION, openvino.__version__, torch.__version__, repr(shape), identity)
    key = content_hash("\n".join(parts).encode())
    kept = None if cache is None else recall_bytes(cache, _KIND, key)
    if kept is not None:
        return _compile(openvino, core, kept, shape, precision)
    taking_pixels = _FromPixels(network).cpu()
    model = _convert(taking_pixels, torch.zeros((2, *shape), dtype=torch.uint8))
    model.reshape([-1, *shape])
    packed = _pack(openvino, model)
    # read back where it was just converted: the first start so rounds as all later ones do
    run = _compile(openvino, core, np.frombuffer(packed, np.uint8), shape, precision)
    if verify:
        _require_agreement(run, taking_pixels, shape)
    if cache is not None:
        keep_bytes(cache, _KIND, key, packed)
    return run


def _compile(openvino: Any, core: Any, content: np.ndarray, shape: tuple[int, int, int], precision: str) -> _Runner:
    hints = {
        "INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[precision],
        # a stream of images for every core: twice as fast as all cores on the same images
        "PERFORMANCE_HINT": "THROUGHPUT",
    }
    model, weights = _unpack(openvino, core, content)
    return _Runner(openvino.AsyncInferQueue(core.compile_model(model, "CPU", hints)), shape, weights)


def _require_agreement(run: _Runner, network: nn.Module, shape: tuple[int, int, int]) -> None:
    """Compare on a few images of noise, another number of them than was converted with.

    A conversion follows one pass: what a network decides by the numbers or the size of a batch goes wrong in it.
    """
    pixels = np.random.default_rng(0).integers(0, 256, (3, *shape), np.uint8)
    with torch.inference_mode():
        expected = network(torch.from_numpy(pixels)).float().numpy()
    size = np.linalg.norm(expected, axis=0)
    allowed = np.maximum(size, np.sqrt(np.mean(np.square(size))) + 1e-12)
    error = float(np.max(np.linalg.norm(run(pixels) - expected, axis=0) / allowed))
    if not error < _LARGEST_ERROR:
        raise RuntimeError(f"OpenVINO's numbers differ from the network's by {error:.0%}")


class _Runner:
    """Runs images through the streams of a queue.

    Args:
        queue: OpenVINO's requests.
        shape: Height, width and channels of the images.
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


class _FromPixels(nn.Module):
    """A network that takes the images as they lie in memory, so that the engine's own code scales them."""

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


EngineName = Literal["auto", "torch", "openvino"]


@dataclass(frozen=True, slots=True)
class Engine:
    """A network ready to be run over batches of images.

    Attributes:
        name: ``torch`` or ``openvino``.
        precision: ``float32`` or ``bfloat16``.
        run: From uint8 images (n, height, width, channels), at least one, to float32 (n, outputs); may be called from
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
        UsageError: OpenVINO is requested where it is not installed, or on another device than the processor.
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
    """Make a network ready for many images.

    Args:
        network: From float (n, channels, height, width) in [0, 1] to (n, outputs); put into evaluation mode.
        shape: Height, width and channels of the images.
        name: ``torch`` or ``openvino``, as from `choose_engine`.
        precision: ``float32`` or ``bfloat16``.
        device: Where `torch` computes.
        cache: Where a converted network is kept for the next start; None keeps none.
        identity: Names what the network computes, weights and all; used with a cache only.
        verify: Whether a network that is converted is compared with what comes of it.

    Raises:
        RuntimeError: The network can't be converted, or gives other numbers afterwards.
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
