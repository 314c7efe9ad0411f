"""A tiny backbone of timm's with fixed random weights, laid out as a timm hub folder."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file


def write_backbone(folder: Path, *, size: int = 32, mean: float = 0.5, seed: int = 0) -> Path:
    """``test_resnet`` for images of a size, normalized to [-1, 1] by default."""
    import timm

    torch.manual_seed(seed)
    network = timm.create_model("test_resnet", num_classes=10)
    folder.mkdir(parents=True)
    weights = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    save_file(weights, folder / "model.safetensors")
    configuration = {
        "input_size": [3, size, size],
        "crop_pct": 0.875,
        "crop_mode": "center",
        "interpolation": "bicubic",
        "mean": [mean] * 3,
        "std": [0.5] * 3,
        "num_classes": 10,
        "license": "apache-2.0",
        "first_conv": network.default_cfg["first_conv"],
        "classifier": network.default_cfg["classifier"],
    }
    content = {"architecture": "test_resnet", "num_classes": 10, "pretrained_cfg": configuration}
    (folder / "config.json").write_text(json.dumps(content), encoding="utf-8")
    return folder
