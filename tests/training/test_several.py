from __future__ import annotations

import json
from pathlib import Path

import pytest

import distingo
from distingo.errors import RunError, UsageError
from distingo.training.several import plan_runs, split_mode
from raising import raises
from tiny_backbones import write_backbone
from tiny_datasets import draw_classes


@pytest.mark.parametrize(
    ("model", "parts"),
    [
        ("small-cnn", ("small-cnn", "")),
        ("vgg16:finetune", ("vgg16", "finetune")),
        ("local-dir:weights/tiny", ("local-dir:weights/tiny", "")),
        ("local-dir:weights/tiny:frozen", ("local-dir:weights/tiny", "frozen")),
    ],
)
def test_a_mode_may_follow_the_name(model: str, parts: tuple[str, str]) -> None:
    assert split_mode(model) == parts


def test_options_about_backbones_go_to_backbones_only() -> None:
    small, backbone = plan_runs(["small-cnn", "vgg16:finetune"], {"seed": 3, "head": "linear", "mode": "frozen"})
    assert (small.folder, small.options) == ("small-cnn", {"seed": 3, "model": "small-cnn"})
    assert backbone.folder == "vgg16-finetune"
    assert backbone.options == {"seed": 3, "head": "linear", "mode": "finetune", "model": "vgg16"}


def test_the_same_model_twice_is_refused() -> None:
    with raises(UsageError, code="named_twice", parameter="models"):
        plan_runs(["vgg16", "vgg16"], {})


def test_several_models_share_a_split_and_a_page(tmp_path: Path) -> None:
    data = draw_classes(tmp_path / "colours", per_class=20, size=40)
    backbone = write_backbone(tmp_path / "tiny")
    models = ["descriptors", f"{backbone}:frozen", f"{backbone}:finetune"]
    options = {"models": models, "engine": "torch", "epochs": 1, "batch_size": 8}
    compared = distingo.train_several(data, tmp_path / "runs", **options)
    assert (tmp_path / "runs" / "comparison.html").is_file()
    assert compared.n == 12
    folders = ["descriptors", "tiny-frozen", "tiny-finetune"]
    splits = {(tmp_path / "runs" / name / "split.csv").read_bytes() for name in folders}
    assert len(splits) == 1
    comparison = json.loads((tmp_path / "runs" / "comparison.json").read_text())
    assert {run["name"] for run in comparison["runs"]} == set(folders)
    with raises(RunError, code="not_empty", parameter="output"):
        distingo.train_several(data, tmp_path / "runs", **options)
    before = (tmp_path / "runs" / "tiny-finetune" / "model" / "model.safetensors").read_bytes()
    distingo.train_several(data, tmp_path / "runs", resume=True, models=models)
    assert (tmp_path / "runs" / "tiny-finetune" / "model" / "model.safetensors").read_bytes() == before
