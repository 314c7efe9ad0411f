"""Presets: three pretrained backbones under names that stay. `docs/backbones.md` gives the evidence for each."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BackbonePreset:
    """A short name for one pretrained backbone.

    Attributes:
        name: What a person types.
        backbone: timm's name with tag.
        summary: One line about it.
    """

    name: str
    backbone: str
    summary: str


_PRESETS = (
    BackbonePreset(
        "fast",
        "mobilenetv4_conv_medium.e500_r224_in1k",
        "for a laptop's processor: MobileNetV4, 0.84 GMACs at 224 pixels",
    ),
    BackbonePreset(
        "good",
        "convnext_tiny.in12k_ft_in1k",
        "for patience or a small GPU: ConvNeXt tiny pretrained on ImageNet-12k, 4.5 GMACs at 224 pixels",
    ),
    BackbonePreset(
        "best",
        "eva02_large_patch14_448.mim_m38m_ft_in22k_in1k",
        "for a GPU: EVA-02 large, 362 GMACs at 448 pixels",
    ),
)

PRESETS: dict[str, BackbonePreset] = {preset.name: preset for preset in _PRESETS}
