from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from timm.data import resolve_model_data_config

import distingo
from distingo.errors import RunError
from distingo.files import content_hash
from distingo.models.backbones import find_backbone
from distingo.models.description import ModelDescription
from distingo.models.presets import read_settings
from distingo.models.saved import SavedModel, assemble_network, load_model, save_model
from raising import raises
from tiny_backbones import write_backbone
from tiny_datasets import draw_classes
from tiny_runs import change_json

CLASSES = ("a cat", "dog", "猫")


def build(architecture: str, size: int, *, head: str = "linear", classes: int = 3) -> SavedModel:
    torch.manual_seed(1)
    backbone = find_backbone(architecture, weights="none", image_size=size)
    settings: dict[str, Any] = {}
    if head == "knn":
        settings = {"task": "single-label", "bank": 5, "neighbors": 2, "temperature": 0.1}
    description = ModelDescription(
        name=architecture,
        kind="pretrained",
        task="single-label",
        classes=CLASSES[:classes],
        image_spec=backbone.image_spec,
        backbone=backbone,
        head=head,
        mode="finetune",
        settings=settings,
    )
    network = assemble_network(description).eval()
    return SavedModel(description, network=network)


@pytest.mark.parametrize(
    ("architecture", "size"),
    [
        ("test_resnet", 48),
        ("test_vit", 160),
        ("test_vit", 64),
        ("test_efficientnet", 40),
        ("test_convnext", 64),
        ("mobilenetv3_small_050", 64),
        ("test_byobnet", 64),
        ("test_nfnet", 64),
    ],
)
def test_timm_builds_the_same_network_from_the_folder(tmp_path: Path, architecture: str, size: int) -> None:
    model = build(architecture, size)
    save_model(tmp_path, model)
    theirs = timm.create_model(f"local-dir:{tmp_path}", pretrained=True).eval()
    data = resolve_model_data_config(theirs)
    backbone = model.description.backbone
    assert model.network is not None and backbone is not None
    assert tuple(data["input_size"]) == (3, size, size)
    assert (tuple(data["mean"]), tuple(data["std"])) == (backbone.mean, backbone.std)
    assert data["crop_pct"] == backbone.image_spec.crop_fraction
    assert data["interpolation"] == backbone.image_spec.interpolation
    assert theirs.pretrained_cfg["label_names"] == list(CLASSES)
    images = torch.rand(2, 3, size, size)
    mean, std = (torch.tensor(data[name]).view(1, 3, 1, 1) for name in ("mean", "std"))
    with torch.inference_mode():
        expected = model.network(images)
        torch.testing.assert_close(theirs((images - mean) / std), expected, atol=1e-4, rtol=1e-4)
        loaded = load_model(tmp_path)
        assert loaded.network is not None
        assert torch.equal(loaded.network(images), expected)
    assert read_settings(tmp_path / "config.json").architecture == architecture


@pytest.mark.parametrize(
    ("architecture", "head"),
    [
        ("test_resnet", "prototype"),
        ("test_resnet", "knn"),
        ("deit_tiny_distilled_patch16_224", "linear"),  # two classifiers, whose answers are averaged
    ],
)
def test_what_timm_has_no_layer_for_keeps_our_names(tmp_path: Path, architecture: str, head: str) -> None:
    model = build(architecture, 32, head=head)
    save_model(tmp_path, model)
    assert not (tmp_path / "config.json").exists()
    with safe_open(tmp_path / "model.safetensors", "pt") as file:
        assert all(name.startswith(("network.", "normalisation.")) for name in file.keys())  # noqa: SIM118
    loaded, images = load_model(tmp_path).network, torch.rand(2, 3, 32, 32)
    assert loaded is not None and model.network is not None
    with torch.inference_mode():
        assert torch.equal(loaded(images), model.network(images))


def test_weights_of_an_earlier_version_are_still_read(tmp_path: Path) -> None:
    model = build("test_resnet", 32)
    assert model.network is not None
    save_model(tmp_path, model)
    replace_weights(tmp_path, {name: tensor.contiguous() for name, tensor in model.network.state_dict().items()})
    loaded, images = load_model(tmp_path).network, torch.rand(2, 3, 32, 32)
    assert loaded is not None
    with torch.inference_mode():
        assert torch.equal(loaded(images), model.network(images))


@pytest.mark.parametrize("change", ["another name", "one more", "one less", "another shape"])
def test_weights_that_are_not_the_networks_are_refused(tmp_path: Path, change: str) -> None:
    save_model(tmp_path, build("test_resnet", 32))
    tensors = load_file(tmp_path / "model.safetensors")
    if change == "another name":
        tensors["fc.weights"] = tensors.pop("fc.weight")
    elif change == "one more":
        tensors["head.weight"] = tensors["fc.weight"].clone()
    elif change == "one less":
        del tensors["conv1.0.weight"]
    else:
        tensors["fc.weight"] = tensors["fc.weight"][:2].clone()
    replace_weights(tmp_path, tensors)
    with raises(RunError, code="weights_differ"):
        load_model(tmp_path)


def replace_weights(folder: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Other weights, which ``model.json`` names as its own."""
    save_file(tensors, folder / "model.safetensors")
    hashed = content_hash((folder / "model.safetensors").read_bytes())
    change_json(folder / "model.json", lambda content: content.update(weights_hash=hashed))


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["frozen", "finetune"])
def test_a_trained_runs_model_is_timms_too_and_can_be_trained_on(tmp_path: Path, mode: str) -> None:
    data, backbone = draw_classes(tmp_path / "colours", size=40), write_backbone(tmp_path / "backbone")
    recipe: dict[str, Any] = {"mode": mode, "cache": tmp_path / "cache"}
    if mode == "finetune":
        recipe |= {"epochs": 1, "batch_size": 16}
    distingo.train(data, tmp_path / "run", model=f"local-dir:{backbone}", **recipe)
    theirs = timm.create_model(f"local-dir:{tmp_path / 'run' / 'model'}", pretrained=True).eval()
    model = load_model(tmp_path / "run" / "model")
    images = torch.rand(4, 3, 32, 32)
    assert model.network is not None
    with torch.inference_mode():
        torch.testing.assert_close(theirs((images - 0.5) / 0.5), model.network(images), atol=1e-4, rtol=1e-4)
    config = json.loads((tmp_path / "run" / "model" / "config.json").read_text())
    assert config["label_names"] == list(model.description.classes)
    own = f"local-dir:{tmp_path / 'run' / 'model'}"
    again = distingo.train(
        data,
        tmp_path / "again",
        model=own,
        mode="frozen",
        cache=tmp_path / "cache",
    )
    assert again.evaluation.n == 12
