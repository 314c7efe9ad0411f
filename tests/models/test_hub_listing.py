from __future__ import annotations

import json
from pathlib import Path

import pytest

from distingo.cli import main
from distingo.datasets.cache.store import Cache
from distingo.errors import ModelError
from distingo.models import hub as backbone_listing
from distingo.models.hub import count_by_key, list_backbones, read_shipped_counts
from raising import raises


def test_every_pretrained_backbone_is_listed() -> None:
    from timm.models import list_pretrained

    listed = list_backbones()
    assert [backbone.name for backbone in listed] == sorted(list_pretrained())
    assert {backbone.preset for backbone in listed} == {"", "fast", "good", "best"}


@pytest.mark.parametrize("pattern", ["mobilenetv2_100*", "mobilenetv2_100"])
def test_a_pattern_narrows_the_list(pattern: str) -> None:
    (backbone,) = list_backbones(pattern)
    assert (backbone.name, backbone.parameters) == ("mobilenetv2_100.ra_in1k", 2_223_872)
    assert (backbone.height, backbone.width, backbone.license) == (224, 224, "apache-2.0")


def test_nothing_that_fits_is_said() -> None:
    with raises(ModelError, code="unknown_name", parameter="pattern"):
        list_backbones("mobilnetv2_100")


@pytest.mark.parametrize("key", ["test_resnet", "test_vit@160x160", "mobilenetv3_small_050", "vgg11"])
def test_shipped_counts_are_what_timm_builds(key: str) -> None:
    assert read_shipped_counts()[key] == count_by_key(key)


def test_what_is_not_shipped_is_counted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backbone_listing, "read_shipped_counts", dict)
    cache = Cache(tmp_path)
    (first,) = list_backbones("test_vit.*", cache=cache)
    kept = json.loads((tmp_path / "backbone-parameters.json").read_text())
    assert kept["parameters"] == {"test_vit@160x160": first.parameters}
    monkeypatch.setattr(backbone_listing, "count_by_key", lambda _: pytest.fail("counted twice"))
    assert list_backbones("test_vit.*", cache=cache) == (first,)
    (tmp_path / "backbone-parameters.json").write_text("{damaged")
    monkeypatch.setattr(backbone_listing, "count_by_key", lambda _: 5)
    assert list_backbones("test_vit.*", cache=cache)[0].parameters == 5


def test_the_command_prints_size_input_and_license(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--pretrained", "good"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.split() == ["convnext_tiny.in12k_ft_in1k", "27.8", "M", "224x224", "apache-2.0", "(preset", "good)"]
