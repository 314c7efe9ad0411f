"""Engines that run a network for prediction: torch, and OpenVINO if it is installed.

For OpenVINO, a network is converted once, stored in the cache, and run in several streams.
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

from distingo.datasets.cache.store import Cache, load_bytes, store_bytes
from distingo.errors import UsageError, option
from distingo.files import content_hash
from distingo.machine import import_openvino
from distingo.machine.device import choose_precision
from distingo.machine.process import bind_this_thread
from distingo.prediction.networks import autocast, prediction_batch_size, to_tensor

_KIND = "openvino-networks"

_CONVERSION = "1"
"""Increased when the conversion changes, to invalidate cached networks."""

_PIXELS_A_PART = 200_000
"""Pixels (height x width x images) that one stream processes at a time, so that activations stay in its core's caches.

For MobileNetV2 that is 4 images and 877 images/s; with 16 images it is 747 images/s."""

_LARGEST_PART = 256

_LARGEST_ERROR = 0.5
"""Highest error of a converted network's output, relative to its norm or, for small outputs, to the mean over outputs.

bfloat16 alone causes a few hundredths."""

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
    """Prepare a network to run with OpenVINO on the CPU.

    Args:
        network: From float (n, channels, height, width) in [0, 1] to (n, outputs), in evaluation mode.
        shape: Height, width and channels of the images.
        precision: ``float32`` or ``bfloat16``.
        cache: Cache for the converted network, which saves tracing and conversion next time; None does not cache it.
        identity: Cache key of the network, including its weights; used only with a cache.
        verify: Compare the outputs of the converted network with those of the original.

    Returns:
        A thread-safe function from uint8 images (n, height, width, channels) to float32 (n, outputs).

    Raises:
        RuntimeError: The network can't be converted, or the converted network gives different outputs.
    """
    openvino = import_openvino()
    core = openvino.Core()
    parts = (_CONVERSION, openvino.__version__, torch.__version__, repr(shape), identity)
    key = content_hash("\n".join(parts).encode())
    cached = None if cache is None else load_bytes(cache, _KIND, key)
    if cached is not None:
        return _compile(openvino, core, cached, shape, precision)
    pixel_network = _FromPixels(network).cpu()
    model = _convert(pixel_network, torch.zeros((2, *shape), dtype=torch.uint8))
    model.reshape([-1, *shape])
    packed = _pack(openvino, model)
    # reload the packed network, so that the first start rounds exactly as all later ones
    run = _compile(openvino, core, np.frombuffer(packed, np.uint8), shape, precision)
    if verify:
        _require_agreement(run, pixel_network, shape)
    if cache is not None:
        store_bytes(cache, _KIND, key, packed)
    return run


def _compile(openvino: Any, core: Any, content: np.ndarray, shape: tuple[int, int, int], precision: str) -> _Runner:
    hints = {
        "INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[precision],
        # one stream of images per core: twice as fast as all cores on the same images
        "PERFORMANCE_HINT": "THROUGHPUT",
    }
    model, weights = _unpack(openvino, core, content)
    return _Runner(openvino.AsyncInferQueue(core.compile_model(model, "CPU", hints)), shape, weights)


def _require_agreement(run: _Runner, network: nn.Module, shape: tuple[int, int, int]) -> None:
    """Compare the outputs for a few images of noise, with a different batch size than in the conversion.

    Tracing records a single pass, so control flow that depends on values or on the batch size is converted wrongly.
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
        queue: OpenVINO's queue of inference requests.
        shape: Height, width and channels of the images.
        weights: Memory that the engine uses without owning it; kept alive here.
    """

    def __init__(self, queue: Any, shape: tuple[int, int, int], weights: np.ndarray) -> None:
        self._queue = queue
        self._weights = weights
        self._largest = max(1, min(_LARGEST_PART, _PIXELS_A_PART // (shape[0] * shape[1])))
        self._lock = threading.Lock()

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        size = min(self._largest, -(-len(pixels) // len(self._queue)))
        parts = [pixels[start : start + size] for start in range(0, len(pixels), size)]
        outputs: list[np.ndarray] = [np.empty(0)] * len(parts)

        def store(request: Any, position: int) -> None:
            outputs[position] = np.array(request.get_output_tensor(0).data, dtype=np.float32)

        with self._lock:
            self._queue.set_callback(store)
            for position, part in enumerate(parts):
                self._queue.start_async({0: np.ascontiguousarray(part)}, position)
            self._queue.wait_all()
        return np.concatenate(outputs)


class _FromPixels(nn.Module):
    """A network that takes uint8 images with channels last, so that the engine itself scales them."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> Tensor:
        outputs: Tensor = self.network(pixels.permute(0, 3, 1, 2).to(torch.float32) / 255.0)
        return outputs


def _convert(network: nn.Module, example: Tensor) -> Any:
    """Same as `openvino.convert_model`, which also traces twice for comparison and sends telemetry."""
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the tracer's advice to model authors
        traced = torch.jit.trace(network, example, check_trace=False)  # type: ignore[no-untyped-call]
    frontend = FrontEndManager().load_by_framework("pytorch")
    decoder = TorchScriptPythonDecoder(traced)  # must stay alive until the conversion is finished
    return frontend.convert(frontend.load(decoder))


def _pack(openvino: Any, model: Any) -> bytes:
    """Serialize weights and structure, followed by the length of each."""
    with tempfile.TemporaryDirectory(prefix="distingo-") as folder:
        structure, weights = Path(folder, "network.xml"), Path(folder, "network.bin")
        openvino.serialize(model, str(structure), str(weights))
        content = [weights.read_bytes(), structure.read_bytes()]
    lengths = np.array([len(part) for part in content], _LENGTHS)
    return b"".join([*content, lengths.tobytes()])


def _unpack(openvino: Any, core: Any, content: np.ndarray) -> tuple[Any, np.ndarray]:
    """Return the model and its weights, whose memory must stay alive as long as the model."""
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
        run: Thread-safe function from at least one uint8 image (n, height, width, channels) to float32 (n, outputs).
    """

    name: str
    precision: str
    run: Callable[[np.ndarray], np.ndarray]

    @property
    def key(self) -> str:
        """Cache key with everything about the engine that affects its outputs."""
        return f"{self.name}-{self.precision}"


def choose_engine(name: EngineName, device: torch.device, precision: str = "auto") -> tuple[str, str]:
    """Choose the fastest available engine and precision for a network.

    Args:
        name: ``auto``, ``torch`` or ``openvino``.
        device: Where to compute.
        precision: ``auto``, ``float32`` or ``bfloat16``.

    Returns:
        Engine and precision by name.

    Raises:
        UsageError: OpenVINO is requested but not installed, or requested on a device other than the CPU.
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
    """Build the engine that runs a network.

    Args:
        network: From float (n, channels, height, width) in [0, 1] to (n, outputs); set to evaluation mode.
        shape: Height, width and channels of the images.
        name: ``torch`` or ``openvino``, as from `choose_engine`.
        precision: ``float32`` or ``bfloat16``.
        device: Device for `torch`.
        cache: Cache for a converted network; None does not cache it.
        identity: Cache key of the network, including its weights; used only with a cache.
        verify: Compare the outputs of a converted network with those of the original.

    Raises:
        RuntimeError: The network can't be converted, or gives different outputs afterwards.
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
        results: list[np.ndarray] = []
        with lock, bind_this_thread(), autocast(device, precision):
            for start in range(0, len(pixels), size):
                outputs: Tensor = network(to_tensor(pixels[start : start + size], device))
                results.append(outputs.float().cpu().numpy())
        return np.concatenate(results)

    return run
