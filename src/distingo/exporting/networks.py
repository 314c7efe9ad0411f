"""A saved model as one module from pixels to calibrated probabilities, as exporters of other formats need it."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from distingo.models.heads import record_features
from distingo.models.saved import SavedModel
from distingo.records import ImageSpec


class ExportableNetwork(nn.Module):
    """Module from preprocessed images to calibrated probabilities and features.

    Args:
        model: Model with a network; its weights are copied.
        half: Whether weights are stored as float16 and converted to float32 for computation.
    """

    slope: Tensor
    offsets: Tensor

    def __init__(self, model: SavedModel, *, half: bool = False) -> None:
        super().__init__()
        assert model.network is not None
        self.network = copy.deepcopy(model.network).cpu().eval()
        for parameter in self.network.parameters():
            parameter.requires_grad = False
        calibration, classes = model.description.calibration, len(model.description.classes)
        self.several = model.description.task == "multi-label"
        self.register_buffer("slope", torch.tensor(1.0 if calibration is None else calibration.slope))
        self.register_buffer("offsets", torch.zeros(classes) if calibration is None else _offsets(calibration.offsets))
        if half:
            _store_as_half(self.network)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Compute probabilities, float32 (n, classes), and features (n, features) of uint8 NHWC images."""
        images = pixels.permute(0, 3, 1, 2).to(torch.float32) / 255.0
        normalized = self.network.get_submodule("normalisation")(images)
        with record_features(self.network) as features:
            logits = self.network.get_submodule("network")(normalized)
        calibrated = self.slope * logits + self.offsets
        probabilities = torch.sigmoid(calibrated) if self.several else torch.softmax(calibrated, dim=1)
        return probabilities, features.pop().flatten(1)


class WholeImage(nn.Module):
    """Module that resizes and crops images as `distingo.datasets.decoding.rendering.render`, and runs a network.

    Args:
        network: Network that takes preprocessed images.
        image_spec: Preprocessing for which `resizes_in_graph` is true.
    """

    gray: Tensor

    def __init__(self, network: nn.Module, image_spec: ImageSpec) -> None:
        super().__init__()
        self.network, self.image_spec = network, image_spec
        self.register_buffer("gray", torch.tensor(GRAY))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the network's outputs of uint8 RGB images (n, height, width, 3) of any size."""
        if self.image_spec.channels == 1:
            images = ((images.float() @ self.gray[:, None] + 32768) / 65536).floor().to(torch.uint8)
        maps = images.permute(0, 3, 1, 2)
        pixels = self._cut(maps) if self.image_spec.fit == "crop" else self._resize(maps, *self._size)
        outputs: tuple[Tensor, Tensor] = self.network(pixels.permute(0, 2, 3, 1))
        return outputs

    @property
    def _size(self) -> tuple[int, int]:
        return self.image_spec.height, self.image_spec.width

    def _resize(self, maps: Tensor, height: int | torch.SymInt, width: int | torch.SymInt) -> Tensor:
        mode = self.image_spec.interpolation
        size: Any = (height, width)
        return nn.functional.interpolate(maps, size, mode=mode, antialias=True, align_corners=False)

    def _cut(self, maps: Tensor) -> Tensor:
        lengths = maps.shape[2], maps.shape[3]
        shortest, longest = torch.sym_min(*lengths), LONGEST_ASPECT * torch.sym_min(*lengths)
        strips = [torch.sym_min(size, longest) for size in lengths]
        for axis, (size, length) in enumerate(zip(lengths, strips, strict=True), 2):
            maps = maps.narrow(axis, (size - length) // 2, length)
        shorter = shorter_side(self.image_spec)
        target = [shorter * length // shortest for length in strips]
        maps = self._resize(maps, *target)
        for axis, (enlarged, size) in enumerate(zip(target, self._size, strict=True), 2):
            spare = enlarged - size
            maps = maps.narrow(axis, spare // 2 + (spare % 2) * (spare // 2 % 2), size)  # rounds halves to even
        return maps


GRAY = (19595.0, 38470.0, 7471.0)
"""Pillow's luminance of red, green and blue in 65536ths; below 2^24, so that floats are exact."""

MIN_HALF_ELEMENTS = 256
"""Tensors with fewer elements, such as biases and constants, are not stored in float16."""

LARGEST_HALF = torch.finfo(torch.float16).max

LONGEST_ASPECT = 20
"""Aspect ratio above which only the middle of an image is used, as in `distingo.datasets.decoding.rendering`."""


def resizes_in_graph(image_spec: ImageSpec) -> bool:
    """Return whether ONNX and torch operations can resize and crop with the same results as Pillow."""
    square = image_spec.height == image_spec.width
    return image_spec.interpolation in {"bilinear", "bicubic"} and (square or image_spec.fit == "stretch")


def shorter_side(image_spec: ImageSpec) -> int:
    """Return the size that a square image's shorter side is resized to before cropping."""
    return int(image_spec.height / image_spec.crop_fraction)


class _ToFloat32(nn.Module):
    """Parametrization that converts float16 weights to float32."""

    def forward(self, weights: Tensor) -> Tensor:
        """Return the weights in float32."""
        return weights.float()


def _store_as_half(network: nn.Module) -> None:
    """Store weights as float16, in place, except small tensors and values out of float16's range."""
    for module in list(network.modules()):
        for name, weights in list(module.named_parameters(recurse=False)):
            if (
                weights.dtype == torch.float32
                and weights.numel() >= MIN_HALF_ELEMENTS
                and weights.abs().max() <= LARGEST_HALF
            ):
                weights.data = weights.data.half()
                parametrize.register_parametrization(module, name, _ToFloat32(), unsafe=True)


def _offsets(values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)
