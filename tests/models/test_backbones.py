from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from loopback_hub import LoopbackHub
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from distingo.cli import main
from distingo.datasets.decoding.rendering import render
from distingo.errors import ErrorCode, ModelError
from distingo.models.architectures import create_architecture
from distingo.models.backbones import (
    BackboneDescription,
    build_backbone,
    fetch_weights,
    find_backbone,
    load_backbone,
)
from distingo.models.layers import ChannelNormalization
from distingo.models.presets import PRESETS
from raising import raises

TINY = "test_resnet"


def save_weights(path: Path, architecture: str = TINY, classes: int = 1000, **arguments: Any) -> nn.Module:
    """Random weights with a classifier, as the hub holds them."""
    torch.manual_seed(3)
    module = create_architecture(architecture, arguments, classes=classes).eval()
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in module.state_dict().items()}, path)
    return module


def save_folder(folder: Path, **more: Any) -> Path:
    save_weights(folder / "model.safetensors")
    cfg = {"tag": "ours", "input_size": [3, 96, 64], "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.25, 0.5], "license": "mit"}
    content = {"architecture": TINY, "pretrained_cfg": {**cfg, "classifier": "fc", "num_classes": 1000}, **more}
    (folder / "config.json").write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize("preset", PRESETS.values(), ids=list(PRESETS))
def test_presets_are_pretrained_and_permissively_licensed(preset: Any) -> None:
    from timm.models import get_pretrained_cfg, list_pretrained

    configuration = get_pretrained_cfg(preset.backbone)
    assert preset.backbone in list_pretrained()
    assert configuration is not None
    assert configuration.license in {"apache-2.0", "mit", "bsd-3-clause"}
    documented = (Path(__file__).parents[2] / "docs" / "backbones.md").read_text(encoding="utf-8")
    assert f"| `{preset.name}` | `{preset.backbone}` | {configuration.license} |" in documented


@pytest.mark.parametrize(
    ("name", "features"),
    [
        ("mobilenetv2_100", 1280),
        ("vgg16", 4096),
        ("densenet121", 1024),
        ("legacy_xception", 2048),
        ("mobilenetv3_small_050.lamb_in1k", 1024),
        ("efficientvit_b0", 1280),
        ("vit_small_patch14_dinov2", 384),
        ("fast", 1280),
    ],
)
def test_the_width_of_the_pooled_output_is_measured(name: str, features: int) -> None:
    found = find_backbone(name)
    assert found.features == features
    assert found.place == f"timm/{found.architecture}.{found.tag}"
    assert found.weights_hash == ""


@pytest.mark.parametrize("name", [TINY, "mobilenetv3_small_050", "test_vit"])
def test_a_built_backbone_gives_what_its_description_says(name: str) -> None:
    found = find_backbone(name, image_size=64)
    backbone = build_backbone(found).eval()
    assert backbone(torch.zeros(2, 3, 64, 64)).shape == (2, found.features)
    assert sum(parameter.numel() for parameter in backbone.parameters()) == found.parameters


def test_a_description_survives_json(tmp_path: Path) -> None:
    found = find_backbone(str(save_folder(tmp_path / "قطة")), image_size=(64, 32))
    assert msgspec.convert(json.loads(json.dumps(asdict(found))), BackboneDescription) == found
    assert (found.image_spec.height, found.image_spec.width) == (64, 32)


def test_a_folder_is_loaded_with_its_own_preprocessing(tmp_path: Path) -> None:
    folder = save_folder(tmp_path / "weights")
    complete = save_weights(tmp_path / "again.safetensors")
    for name in (str(folder), f"local-dir:{folder}"):
        found = find_backbone(name)
        backbone, loaded = load_backbone(found)
        images = torch.randn(2, 3, 96, 64)
        assert torch.equal(backbone(images), complete.forward_head(complete.forward_features(images), pre_logits=True))
        assert (found.mean, found.std, found.license, found.tag) == ((0.5,) * 3, (0.5, 0.25, 0.5), "mit", "ours")
        assert (found.image_spec.height, found.image_spec.width) == (96, 64)
        assert len(loaded.weights_hash) == 32


def test_weights_go_into_a_backbone_built_without_them(tmp_path: Path) -> None:
    backbone, described = load_backbone(find_backbone(str(save_folder(tmp_path / "weights"))))
    empty = build_backbone(described)
    empty.load_state_dict(backbone.state_dict())
    images = torch.randn(1, 3, 96, 64)
    assert torch.equal(empty.eval()(images), backbone(images))


def test_the_hash_names_weights_and_what_is_computed_with_them(tmp_path: Path) -> None:
    plain, same = tmp_path / "plain.safetensors", tmp_path / "same.safetensors"
    state = save_weights(plain).state_dict()
    headless = {name: tensor for name, tensor in state.items() if not name.startswith("fc.")}
    save_file({**headless, "fc.weight": torch.zeros(7, 96), "fc.bias": torch.zeros(7)}, same)
    first, second = (load_backbone(find_backbone(TINY, weights=path))[1] for path in (plain, same))
    assert first.weights_hash == second.weights_hash
    save_file(headless, same)
    assert load_backbone(find_backbone(TINY, weights=same))[1].weights_hash == first.weights_hash
    name = next(iter(headless))
    save_file({**headless, name: headless[name] + 1e-6}, same)
    assert load_backbone(find_backbone(TINY, weights=same))[1].weights_hash != first.weights_hash
    padded = load_backbone(find_backbone(str(save_folder(tmp_path / "padded", model_args={"output_stride": 16}))))[1]
    assert padded.weights_hash != first.weights_hash


def test_position_embeddings_follow_the_size(tmp_path: Path) -> None:
    save_weights(tmp_path / "vit.safetensors", "test_vit", img_size=[160, 160])
    found = find_backbone("test_vit", weights=tmp_path / "vit.safetensors", image_size=96)
    backbone, _ = load_backbone(found)
    assert backbone(torch.zeros(1, 3, 96, 96)).shape == (1, found.features)


def test_no_weights_at_all() -> None:
    backbone, described = load_backbone(find_backbone(TINY, weights="none"))
    assert (described.source, described.place, described.weights_hash) == ("none", "", "")
    assert not backbone.training


@pytest.mark.parametrize(
    ("name", "size", "code"),
    [
        ("vit_small_patch14_dinov2", 225, "unsupported_image_size"),
        ("mobilenetv2_100", 20, "unsupported_image_size"),
        ("mobilenetv2_100", 0, "out_of_range"),
    ],
)
def test_a_size_that_does_not_fit_is_refused_with_sizes_that_do(name: str, size: int, code: ErrorCode) -> None:
    with raises(ModelError, code=code) as caught:
        find_backbone(name, image_size=size)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("mobilnetv2_100", "unknown_name"),
        ("mobilenetv2_100.in99k", "unknown_name"),
        ("fst", "unknown_name"),
        ("nothing/here", "not_found"),
    ],
)
def test_an_unknown_backbone_is_refused_with_the_nearest(name: str, code: ErrorCode) -> None:
    with raises(ModelError, code=code):
        find_backbone(name)


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"auto_map": {"AutoModel": "evil.Model"}}, "forbidden_code"),
        ({"trust_remote_code": True}, "forbidden_code"),
        ({"library_name": "transformers"}, "unsupported_model"),
        ({"model_args": {"checkpoint_path": "/tmp/pickle.pth"}}, "forbidden_argument"),
        ({"model_args": {"pretrained_cfg": {"url": "http://evil"}}}, "forbidden_argument"),
        ({"architecture": "test_resnot"}, "unknown_name"),
        ({"architecture": None}, "missing_field"),
        ({"pretrained_cfg": {"input_size": [1, 28, 28]}}, "unsupported_model"),
        ({"pretrained_cfg": {"mean": ["a", "b", "c"]}}, "damaged_file"),
    ],
)
def test_a_folder_that_is_not_safe_or_not_timms_is_refused(
    tmp_path: Path, more: dict[str, Any], code: ErrorCode
) -> None:
    with raises(ModelError, code=code):
        find_backbone(str(save_folder(tmp_path / "weights", **more)))


def refuse_weights(path: Path, architecture: str = TINY) -> str:
    with pytest.raises(ModelError) as caught:
        load_backbone(find_backbone(architecture, weights=path))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_weights_files_that_do_not_fit_are_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "other.safetensors"
    save_weights(path, "test_efficientnet")
    assert "weights of another architecture than test_resnet: bn1.weight is 24 where 32 is wanted" in refuse_weights(
        path
    )
    capfd.readouterr()
    assert "than dla46x_c: base_layer.0.weight is missing" in refuse_weights(path, "dla46x_c")  # timm would go on
    assert capfd.readouterr().err == ""
    path.write_bytes(path.read_bytes()[:-1000])
    assert "damaged or cut short" in refuse_weights(path)
    path.write_bytes(b"")
    assert "damaged or cut short" in refuse_weights(path)
    pickle = tmp_path / "model.bin"
    pickle.write_bytes(b"x")
    assert "pickled weights are never loaded" in refuse_weights(pickle)
    (tmp_path / "empty").mkdir()
    assert "holds no .safetensors file" in refuse_weights(tmp_path / "empty")
    with raises(ModelError, code="not_found", parameter="weights"):
        find_backbone(TINY, weights=tmp_path / "gone")
    save_folder(tmp_path / "folder")
    with raises(ModelError, code="weights_differ", parameter="weights"):
        find_backbone("test_vit", weights=tmp_path / "folder")


def test_weights_are_fetched_from_the_hub_and_loaded(
    hub: LoopbackHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = save_folder(tmp_path / "weights")
    found = find_backbone(TINY)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    hub.files = {found.place: files, "someone/else": files}
    assert main(["fetch-weights", TINY]) == 0
    path = Path(capsys.readouterr().out.strip())
    assert path.read_bytes() == files["model.safetensors"]
    asked = len(hub.asked)
    _, loaded = load_backbone(found)
    assert len(hub.asked) == asked
    assert (
        loaded.weights_hash == load_backbone(find_backbone(TINY, weights=folder / "model.safetensors"))[1].weights_hash
    )
    other = find_backbone("hf-hub:someone/else")
    assert (other.place, other.mean) == ("someone/else", (0.5, 0.5, 0.5))
    assert load_backbone(other)[1].weights_hash == loaded.weights_hash
    assert find_backbone(str(path.parent)).std == other.std  # the cache's folder is a hub folder
    with raises(ModelError, code="option_not_applicable"):
        fetch_weights(str(folder))


def test_a_hub_configuration_that_asks_for_code_is_refused(hub: LoopbackHub) -> None:
    hub.files = {"evil/one": {"config.json": json.dumps({"architecture": TINY, "auto_map": {"a": "b"}}).encode()}}
    with raises(ModelError, code="forbidden_code"):
        find_backbone("hf-hub:evil/one")


@pytest.mark.data
def test_real_weights_see_what_they_were_trained_on(real_data: Path) -> None:
    """Pooled features on a real photograph, equal to timm's own transform; other preprocessing would be far off."""
    import timm

    folder = real_data / "weights" / "mobilenetv2_100.tf_in1k"
    photo = Image.open(next(iter(sorted((real_data / "aerial").rglob("*.jpg"))))).convert("RGB")
    backbone, described = load_backbone(find_backbone(str(folder)))
    array = render(photo, described.image_spec)
    unit = torch.from_numpy(array).permute(2, 0, 1)[None].float() / 255
    normalized = ChannelNormalization(described.mean, described.std)(unit)
    assert normalized.min() < -0.5
    reference = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=0).eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(reference))
    expected = reference(transform(photo)[None])
    assert torch.allclose(backbone(normalized), expected, atol=2e-3)
    assert not torch.allclose(backbone(unit), expected, atol=0.05)
    assert np.isclose(described.parameters, 2_223_872)


@pytest.mark.data
def test_real_weights_are_refused_when_changed(real_data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(real_data / "weights" / "mobilenetv2_100.tf_in1k", folder, copy_function=shutil.copyfile)
    folder.chmod(0o755)
    weights, config = folder / "model.safetensors", folder / "config.json"
    alone = tmp_path / "alone.safetensors"
    shutil.copyfile(weights, alone)
    assert "weights of another architecture than resnet18" in refuse_weights(alone, "resnet18")
    assert "weights of mobilenetv2_100, not of vgg16" in refuse_weights(folder, "vgg16")
    weights.write_bytes(weights.read_bytes()[:1_000_000])
    assert "damaged or cut short" in refuse_weights(folder, "mobilenetv2_100")
    config.write_text(json.dumps({**json.loads(config.read_text()), "auto_map": {"AutoModel": "code.Model"}}))
    with raises(ModelError, code="forbidden_code"):
        find_backbone(str(folder))
