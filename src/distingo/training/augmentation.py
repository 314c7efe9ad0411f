"""Augmentation of image batches: geometry, color, erasing and mixing, all drawn from one random generator."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from distingo.errors import UsageError, option, suggest_names

_GRAY_WEIGHTS = (0.299, 0.587, 0.114)
"""ITU-R BT.601 luma, as Pillow and torchvision turn color to gray."""


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Augmentations and their largest amounts; each amount is drawn uniformly in both directions.

    Attributes:
        rotation: Largest angle in degrees, in both directions.
        zoom: Largest relative change of scale: 0.2 shows from 80 % to 120 % of the image's sides.
        horizontal_shift: Largest shift to the left or right, as a fraction of the width.
        vertical_shift: Largest shift up or down, as a fraction of the height.
        crop: Smallest fraction of the area that a random crop keeps, 1.0 for no crop; its aspect ratio varies from 3:4
            to 4:3.
        horizontal_flip: Mirror half of the images left to right.
        vertical_flip: Mirror half of the images top to bottom.
        quarter_turns: Turn by 0, 90, 180 or 270 degrees (0 or 180 where an image is not square).
        brightness: Factor from 1 - brightness to 1 + brightness.
        contrast: Same range of factors, relative to the image's mean gray.
        saturation: Same range of factors, relative to each pixel's gray; no effect on gray images.
        erasing: Probability that a box is filled with the image's mean color.
        erasing_area: Largest fraction of the image that the box covers; the smallest is 2 %.
        mix: Whether two images and their targets are blended (``mixup``) or cut together (``cutmix``).
        mix_alpha: Both parameters of the Beta distribution that the mixing weight is drawn from.
        mix_probability: Probability that an image is mixed.
        border: How pixels beyond the image's edge are filled.
    """

    rotation: float = 0.0
    zoom: float = 0.0
    horizontal_shift: float = 0.0
    vertical_shift: float = 0.0
    crop: float = 1.0
    horizontal_flip: bool = False
    vertical_flip: bool = False
    quarter_turns: bool = False
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    erasing: float = 0.0
    erasing_area: float = 0.2
    mix: Literal["none", "mixup", "cutmix"] = "none"
    mix_alpha: float = 1.0
    mix_probability: float = 1.0
    border: Literal["nearest", "reflection"] = "nearest"

    def __post_init__(self) -> None:
        """Validate the amounts.

        Raises:
            UsageError: An amount out of its range, or an unknown mix or border.
        """
        ranges = {
            "rotation": (0, 180),
            "crop": (0.05, 1),
            "mix_alpha": (0.01, 100),
            "erasing_area": (0.02, 1),
        }
        for field in fields(self):
            value = getattr(self, field.name)
            low, high = ranges.get(field.name, (0, 1))
            if isinstance(value, int | float) and not low <= value <= high:
                raise UsageError(
                    f"augmentation: {field.name} is {value}; choose a number from {low} to {high}", code="out_of_range"
                )
        for name, allowed in (("mix", ["none", "mixup", "cutmix"]), ("border", ["nearest", "reflection"])):
            if getattr(self, name) not in allowed:
                raise UsageError(
                    f"augmentation: {name} is {getattr(self, name)!r}; "
                    f"{suggest_names(str(getattr(self, name)), allowed)}",
                    code="unknown_name",
                )
        if self.zoom >= 1:
            raise UsageError(
                f"augmentation: zoom is {self.zoom}; choose a number from 0 to below 1", code="out_of_range"
            )


_STANDARD = Augmentation(
    horizontal_shift=0.05,
    vertical_shift=0.05,
    horizontal_flip=True,
    brightness=0.1,
    contrast=0.1,
    saturation=0.1,
    erasing=0.1,
    mix="mixup",
    mix_alpha=0.2,
    mix_probability=0.1,
    border="reflection",
)
"""A whole-pixel crop of the image with a reflected border, a flip, color, erasing and mixing. This is gentle enough for
short training; crops of 60 to 80 % of the area slowed training down, on small and on larger images."""

PRESETS: dict[str, Augmentation] = {
    "none": Augmentation(),
    "reference": Augmentation(rotation=30.0, zoom=0.2, horizontal_shift=0.1, vertical_shift=0.1, horizontal_flip=True),
    "light": Augmentation(horizontal_shift=0.1, vertical_shift=0.1, horizontal_flip=True),
    "standard": _STANDARD,
    "overhead": replace(_STANDARD, vertical_flip=True, quarter_turns=True),
}
"""Augmentation presets by name; `reference` has the ranges of the published sports classifier."""


def require_preset(name: str) -> None:
    """Raise an error if no preset has this name.

    Raises:
        UsageError: The name is unknown; the message suggests the closest names.
    """
    if name not in PRESETS:
        raise UsageError(
            f"{option('augment')} {name}: no preset is called so; {suggest_names(name, list(PRESETS))}",
            code="unknown_name",
            parameter="augment",
        )


def augment(images: Tensor, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    """Apply geometry, color and erasing to a batch, with other random values for each image; `mix` is separate.

    Rotation, zoom, crop, shift, flips and turns are one affine map and one bilinear sampling. Where none of
    the first three is requested, whole pixels are moved instead, so that small images are not blurred.

    Args:
        images: float (n, c, h, w) in [0, 1], best in channels_last memory; not changed.
        augmentation: Which augmentations to apply, and their amounts.
        generator: Source of all randomness; equal states give equal images.

    Returns:
        float (n, c, h, w) in [0, 1], in channels_last memory.
    """
    if augmentation.rotation or augmentation.zoom or augmentation.crop < 1:
        images = _sample_affinely(images, augmentation, generator)
    elif _moves_whole_pixels(augmentation):
        images = _move_whole_pixels(images, augmentation, generator)
    if augmentation.brightness or augmentation.contrast or augmentation.saturation:
        images = _change_color(images, augmentation, generator)
    if augmentation.erasing:
        images = _erase(images, augmentation, generator)
    return images.contiguous(memory_format=torch.channels_last)


def mix(
    images: Tensor, targets: Tensor, augmentation: Augmentation, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Mix pairs of images by MixUp or CutMix, and their targets with the same weights.

    Sources: Zhang et al., mixup: Beyond empirical risk minimization, 2018; Yun et al., CutMix, 2019.

    Args:
        images: float (n, c, h, w).
        targets: float (n, classes), probabilities.
        augmentation: Its `mix`, `mix_alpha` and `mix_probability` are used.
        generator: Source of all randomness.

    Returns:
        The mixed images and targets, of the same shapes.
    """
    n = len(images)
    if augmentation.mix == "none" or n < 2:
        return images, targets
    partner = torch.randperm(n, generator=generator)
    chosen = torch.rand(n, generator=generator) < augmentation.mix_probability
    # torch cannot draw from a Beta distribution with an explicit generator; numpy can, seeded from that generator.
    seed = int(torch.randint(2**62, (), generator=generator))
    beta = np.random.default_rng(seed).beta(augmentation.mix_alpha, augmentation.mix_alpha, size=n)
    weights = torch.where(chosen, torch.from_numpy(np.maximum(beta, 1 - beta)).float(), 1.0)
    if augmentation.mix == "mixup":
        share = weights.to(images.device)[:, None, None, None]
        mixed = torch.lerp(images[partner], images, share)
    else:
        mixed, weights = _cut_together(images, partner, weights, generator)
    share = weights.to(targets.device)[:, None].to(targets.dtype)
    return mixed, torch.lerp(targets[partner], targets, share)


def _uniform(n: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return torch.rand(n, generator=generator) * (high - low) + low


def _moves_whole_pixels(augmentation: Augmentation) -> bool:
    return bool(
        augmentation.horizontal_shift
        or augmentation.vertical_shift
        or augmentation.horizontal_flip
        or augmentation.vertical_flip
        or augmentation.quarter_turns
    )


def _draw_orientations(
    n: int, augmentation: Augmentation, generator: torch.Generator, *, square: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Return whether each image is transposed, flipped horizontally and flipped vertically: three bool (n,)."""
    never = torch.zeros(n, dtype=torch.bool)
    transposed, mirrored, upended = never, never, never
    if augmentation.horizontal_flip:
        mirrored = torch.rand(n, generator=generator) < 0.5
    if augmentation.vertical_flip:
        upended = torch.rand(n, generator=generator) < 0.5
    if augmentation.quarter_turns:
        half_turn = torch.rand(n, generator=generator) < 0.5
        quarter_turn = (torch.rand(n, generator=generator) < 0.5) & square
        transposed, mirrored, upended = quarter_turn, mirrored ^ half_turn ^ quarter_turn, upended ^ half_turn
    return transposed, mirrored, upended


def _sample_affinely(images: Tensor, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    """Apply rotation, zoom, crop, shift, flips and turns in one bilinear sampling."""
    n, _, height, width = images.shape
    transposed, mirrored, upended = _draw_orientations(n, augmentation, generator, square=height == width)
    angle = _uniform(n, -augmentation.rotation, augmentation.rotation, generator) * (math.pi / 180)
    zoom = _uniform(n, 1 - augmentation.zoom, 1 + augmentation.zoom, generator)
    area = _uniform(n, augmentation.crop, 1.0, generator)
    ratio = torch.exp(_uniform(n, math.log(3 / 4), math.log(4 / 3), generator))
    if augmentation.crop == 1:
        ratio = torch.ones(n)
    across, down = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
    x = _uniform(n, -1.0, 1.0, generator) * (1 - across + 2 * augmentation.horizontal_shift)
    y = _uniform(n, -1.0, 1.0, generator) * (1 - down + 2 * augmentation.vertical_shift)
    # Map output coordinates to input coordinates, both from -1 to 1: orient, then scale, rotate, shift.
    across, down = across * zoom * (1 - 2.0 * mirrored), down * zoom * (1 - 2.0 * upended)
    cosine, sine, aspect = torch.cos(angle), torch.sin(angle), width / height
    rows = torch.stack(
        [
            torch.stack([cosine * across, -sine * down / aspect], 1),
            torch.stack([sine * across * aspect, cosine * down], 1),
        ],
        1,
    )
    rows = torch.where(transposed[:, None, None], rows.flip(2), rows)
    theta = torch.cat([rows, torch.stack([x, y], 1)[:, :, None]], 2).to(images.device)
    grid = F.affine_grid(theta, [n, 1, height, width], align_corners=False)
    padding = "border" if augmentation.border == "nearest" else "reflection"
    return F.grid_sample(images, grid, mode="bilinear", padding_mode=padding, align_corners=False)


def _move_whole_pixels(images: Tensor, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    """Turn, flip and shift by whole pixels, with one gather and no interpolation."""
    n, _, height, width = images.shape
    transposed, mirrored, upended = _draw_orientations(n, augmentation, generator, square=height == width)
    pixels = images.permute(0, 2, 3, 1)
    if bool(transposed.any()):
        turned = transposed.to(images.device)[:, None, None, None]
        pixels = torch.where(turned, pixels.transpose(1, 2), pixels)
    rows = _moved_positions(n, height, augmentation.vertical_shift, upended, augmentation, generator)
    columns = _moved_positions(n, width, augmentation.horizontal_shift, mirrored, augmentation, generator)
    batch = torch.arange(n)[:, None, None]
    moved = pixels[batch, rows[:, :, None].to(images.device), columns[:, None, :].to(images.device)]
    return moved.permute(0, 3, 1, 2)


def _moved_positions(
    n: int,
    size: int,
    shift: float,
    reversed_: Tensor,
    augmentation: Augmentation,
    generator: torch.Generator,
) -> Tensor:
    """Return the input row (or column) that each output row shows, for each image: int64 (n, size)."""
    largest = round(shift * size)
    offset = torch.randint(-largest, largest + 1, (n, 1), generator=generator)
    positions = torch.arange(size)[None, :]
    positions = torch.where(reversed_[:, None], size - 1 - positions, positions) + offset
    if augmentation.border == "reflection":
        positions = torch.where(positions < 0, -1 - positions, positions)
        positions = torch.where(positions >= size, 2 * size - 1 - positions, positions)
    return positions.clamp(0, size - 1)


def _change_color(images: Tensor, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    """Apply brightness, contrast and saturation as one affine map of each pixel, clamped to [0, 1]."""
    n, channels, height, width = images.shape
    brightness = _uniform(n, 1 - augmentation.brightness, 1 + augmentation.brightness, generator)
    contrast = _uniform(n, 1 - augmentation.contrast, 1 + augmentation.contrast, generator)
    saturation = _uniform(n, 1 - augmentation.saturation, 1 + augmentation.saturation, generator)
    brightness, contrast, saturation = (
        factor.to(images.device)[:, None, None] for factor in (brightness, contrast, saturation)
    )
    color = channels == len(_GRAY_WEIGHTS)
    gray = torch.tensor(_GRAY_WEIGHTS if color else (1 / channels,) * channels, device=images.device)
    mean = (images.mean(dim=(2, 3)) @ gray)[:, None, None]
    gain, offset = brightness * contrast, brightness * (1 - contrast) * mean
    if not color:
        return torch.addcmul(offset[..., None], images, gain[..., None]).clamp_(0, 1)
    desaturate = gray[:, None].expand(channels, channels)
    matrix = gain * (saturation * torch.eye(channels, device=images.device) + (1 - saturation) * desaturate)
    pixels = images.permute(0, 2, 3, 1).reshape(n, height * width, channels)
    adjusted = torch.baddbmm(offset, pixels, matrix).clamp_(0, 1)
    return adjusted.view(n, height, width, channels).permute(0, 3, 1, 2)


def _erase(images: Tensor, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    """Fill a box of some images with their mean color (Zhong et al., Random erasing, 2020)."""
    n, _, height, width = images.shape
    chosen = torch.rand(n, generator=generator) < augmentation.erasing
    area = _uniform(n, 0.02, augmentation.erasing_area, generator)
    boxes = _draw_boxes(area, height, width, generator)
    erased = images.clone(memory_format=torch.preserve_format)
    for index in chosen.nonzero().flatten().tolist():
        top, bottom, left, right = boxes[index]
        erased[index, :, top:bottom, left:right] = images[index].mean(dim=(1, 2))[:, None, None]
    return erased


def _cut_together(
    images: Tensor, partner: Tensor, remaining: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Paste a box of each image's partner into it, and return the exact fraction of each image that remains."""
    n, _, height, width = images.shape
    boxes = _draw_boxes(1 - remaining, height, width, generator)
    mixed = images.clone(memory_format=torch.preserve_format)
    shares = torch.ones(n)
    for index, (top, bottom, left, right) in enumerate(boxes):
        if remaining[index] < 1:
            mixed[index, :, top:bottom, left:right] = images[partner[index], :, top:bottom, left:right]
            shares[index] = 1 - (bottom - top) * (right - left) / (height * width)
    return mixed, shares


def _draw_boxes(area: Tensor, height: int, width: int, generator: torch.Generator) -> list[tuple[int, int, int, int]]:
    """Draw a box for each area fraction (n,): first and end row, first and end column."""
    n = len(area)
    ratio = torch.exp(_uniform(n, math.log(1 / 2), math.log(2), generator))
    tall = ((area * ratio).sqrt().clamp(max=1) * height).round()
    wide = ((area / ratio).sqrt().clamp(max=1) * width).round()
    top = (torch.rand(n, generator=generator) * (height - tall)).round()
    left = (torch.rand(n, generator=generator) * (width - wide)).round()
    edges = torch.stack([top, top + tall, left, left + wide], 1).int().tolist()
    return [(box[0], box[1], box[2], box[3]) for box in edges]
