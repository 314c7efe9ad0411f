from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from distingo.errors import ModelError, RunError
from distingo.messages.notes import text_note
from distingo.models.backbones import find_backbone
from distingo.models.baselines import fit_majority
from distingo.models.catalog import CATALOG, build_network
from distingo.models.description import ModelDescription
from distingo.models.saved import SavedModel, assemble_network, load_model, save_model
from distingo.records import ImageSpec
from distingo.scores import Thresholds
from raising import raises


def description(**fields: object) -> ModelDescription:
    values: dict[str, object] = {
        "name": "small-cnn",
        "kind": "network",
        "task": "single-label",
        "classes": ("قطة", "dog"),
        "image_spec": ImageSpec(16, 12, 3),
        "normalize": "dataset",
    }
    return ModelDescription(**{**values, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize("normalize", ["none", "dataset", "sample", "zca"])
def test_a_network_comes_back_with_its_numbers(tmp_path: Path, normalize: str) -> None:
    network = assemble_network(description(normalize=normalize)).eval()
    save_model(tmp_path, SavedModel(description(normalize=normalize), network=network))
    loaded = load_model(tmp_path)
    assert loaded.description == description(normalize=normalize)
    assert loaded.network is not None
    images = torch.rand(3, 3, 16, 12)
    assert torch.equal(loaded.network(images), network(images))


def test_a_classic_model_comes_back(tmp_path: Path) -> None:
    classic = fit_majority(np.array([0, 1, 1]), 2)
    saved = description(name="majority", kind="classic", image_spec=None, normalize="none")
    save_model(tmp_path, SavedModel(saved, classic=classic))
    loaded = load_model(tmp_path).classic
    assert loaded is not None
    assert loaded.predict_probabilities(np.zeros((1, 52)))[0] == pytest.approx([1 / 3, 2 / 3])


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 1)):
        torch.manual_seed(seed)
        save_model(tmp_path / name, SavedModel(description(), network=assemble_network(description())))
    (tmp_path / "a" / "model.safetensors").write_bytes((tmp_path / "b" / "model.safetensors").read_bytes())
    with raises(RunError, code="damaged_file", naming="model.json"):
        load_model(tmp_path / "a")


def test_a_description_of_other_layers_is_refused(tmp_path: Path) -> None:
    save_model(tmp_path, SavedModel(description(), network=assemble_network(description())))
    content = json.loads((tmp_path / "model.json").read_text(encoding="utf-8"))
    content["classes"].append("bird")
    (tmp_path / "model.json").write_text(json.dumps(content), encoding="utf-8")
    with raises(RunError, code="weights_differ"):
        load_model(tmp_path)


@pytest.mark.parametrize("name", [name for name, entry in CATALOG.items() if entry.kind == "network"])
def test_every_network_of_the_catalog_can_be_built(name: str) -> None:
    network = build_network(name, classes=5, height=32, width=48, channels=1, dropout=0.1).eval()
    assert network(torch.rand(2, 1, 32, 48)).shape == (2, 5)


def test_an_unknown_model_is_refused_with_the_nearest() -> None:
    with raises(ModelError, code="unknown_name", parameter="model"):
        find_backbone("fashon-cnn")
    with raises(ModelError, code="not_a_network", parameter="model"):
        build_network("majority", classes=2, height=8, width=8, channels=1)


def test_thresholds_come_back_and_old_models_have_none(tmp_path: Path) -> None:
    thresholds = Thresholds((0.25, 0.1), "recall", 0.9, (text_note("dog: few"),))
    several = description(task="multi-label", thresholds=thresholds)
    save_model(tmp_path, SavedModel(several, network=assemble_network(several)))
    assert load_model(tmp_path).description == several
    assert several.require_thresholds() == thresholds
    path = tmp_path / "model.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    del content["thresholds"]
    path.write_text(json.dumps(content), encoding="utf-8")
    old = load_model(tmp_path).description
    assert old.thresholds is None
    assert old.require_thresholds().values == (0.5, 0.5)


@pytest.mark.parametrize("thresholds", [{"values": [0.5], "aim": "f1"}, {"aim": "f1"}, [0.5, 0.5], {"values": 3}])
def test_thresholds_that_fit_no_label_are_refused(tmp_path: Path, thresholds: object) -> None:
    several = description(task="multi-label")
    save_model(tmp_path, SavedModel(several, network=assemble_network(several)))
    path = tmp_path / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), "thresholds": thresholds}), encoding="utf-8")
    with raises(RunError, code="damaged_file", naming="model.json"):
        load_model(tmp_path)
