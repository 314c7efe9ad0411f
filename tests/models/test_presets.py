"""A hub folder's ``config.json`` from anywhere: every field is checked before anything is built or trained."""

from __future__ import annotations

import json
import random
import resource
from pathlib import Path
from typing import Any

import pytest

from distingo.errors import DistingoError, ErrorCode, ModelError
from distingo.models.backbones import find_backbone, load_backbone
from distingo.models.presets import read_settings
from hostile_files import VALUES, nothing_reached, require_plain
from raising import raises
from tiny_backbones import write_backbone

FAULTS: tuple[tuple[str, Any, str], ...] = (
    ("crop_pct", "abc", "crop_pct: Expected float | null, got str"),
    ("crop_pct", [1], "crop_pct: Expected float | null, got array"),
    ("crop_pct", -5, "crop_pct: Expected float > 0.0"),
    ("crop_pct", 0, "crop_pct: Expected float > 0.0"),
    ("crop_pct", 101, "crop_pct: Expected float <= 100.0"),
    ("interpolation", [], "interpolation: Expected str | null, got array"),
    ("interpolation", {}, "interpolation: Expected str | null, got object"),
    ("crop_mode", [1], "crop_mode: Expected str | null, got array"),
    ("mean", [10**400] * 3, "mean: Number out of range at [0]"),
    ("mean", 5, "mean: Expected array | null, got int"),
    ("mean", ["a", 0, 0], "mean: Expected float, got str at [0]"),
    ("std", [0, 1, 1], "std: Expected float > 0.0 at [0]"),
    ("input_size", {"a": 1}, "input_size: Expected array | null, got object"),
    ("input_size", "abc", "input_size: Expected array | null, got str"),
    ("input_size", [3, 10**400, 1], "input_size: "),
    ("input_size", [3, 8193, 32], "input_size: Expected int <= 8192 at [1]"),
    ("input_size", [3, 32, 0], "input_size: Expected int >= 1 at [2]"),
    ("input_size", [3, 32], "input_size: Expected array of length 3, got 2"),
    ("fixed_input_size", "x", "fixed_input_size: Expected bool | null, got str"),
    ("tag", {"a": 1}, "tag: Expected str | null, got object"),
    ("tag", "x\x1b[31m", "tag: Expected a text without control characters"),
    ("license", {"a": 1}, "license: Expected str | null, got object"),
    ("license", "x\x1b[31mEVIL\x1b]0;title\x07", "license: Expected a text without control characters"),
    ("license", "x\u202ey", "license: Expected a text without control characters"),
    ("license", "x" * 4097, "license: Expected str of length <= 4096"),
    ("hf_hub_id", [1], "hf_hub_id: Expected str | null, got array"),
    ("hf_hub_filename", 7, "hf_hub_filename: Expected str | null, got int"),
    ("classifier", 5, "classifier: Expected str | array | null, got int"),
    ("classifier", [[1]], "classifier: Expected str, got array at [0]"),
    ("first_conv", 7, "first_conv: Expected str | array | null, got int"),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_backbone(tmp_path / "hub")


def change(folder: Path, **fields: Any) -> None:
    """Other values in ``pretrained_cfg``; ``above__NAME`` for those next to it."""
    content = json.loads((folder / "config.json").read_text())
    for name, value in fields.items():
        level = content if name.startswith("above__") else content["pretrained_cfg"]
        level[name.removeprefix("above__")] = value
    (folder / "config.json").write_text(json.dumps(content))


@pytest.mark.parametrize(("field", "value", "why"), FAULTS, ids=lambda value: repr(value)[:30])
def test_every_field_is_checked(folder: Path, field: str, value: Any, why: str) -> None:
    change(folder, **{field: value})
    with nothing_reached(), raises(ModelError, code="damaged_file") as caught:
        find_backbone(f"local-dir:{folder}")
    require_plain(caught.value)
    assert str(caught.value).startswith(f"{folder / 'config.json'}: damaged ({why}")
    with raises(ModelError, code="damaged_file", naming="config.json"):
        find_backbone("test_resnet", weights=folder)


def test_every_fault_has_its_line(folder: Path) -> None:
    change(folder, crop_pct="abc", license=[1], mean=7, above__num_classes={"a": 1})
    with raises(ModelError, code="damaged_file") as caught:
        read_settings(folder / "config.json")
    require_plain(caught.value, lines=4)
    shown = [line.partition("damaged (")[2].split(":")[0] for line in str(caught.value).splitlines()]
    assert shown == ["license", "crop_pct", "mean", "num_classes"]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"above__architecture": "x\x1b[31m" + "y" * 5000}, "unknown_name"),
        ({"library_name": "x\x1b[31m"}, "unsupported_model"),
        ({"above__model_args": {"pretrained\x1b": 1}}, "forbidden_argument"),
        (
            {"above__model_args": {"depth": 65_536}},
            "forbidden_argument",
        ),
        (
            {"above__model_args": {"channel_multiplier": 65_536}},
            "forbidden_argument",
        ),
        (
            {"above__model_args": {"stem_size": 65_536}},
            "unsupported_model",
        ),
        (
            {"fixed_input_size": True},
            "unsupported_model",
        ),
        (
            {"crop_pct": 1e-3},
            "unsupported_image_size",
        ),
        (
            {"mean": [0.5] * 4, "std": [0.5] * 4, "input_size": [4, 32, 32]},
            "unsupported_model",
        ),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_no_schema_can_see_is_one_line_too(folder: Path, fields: dict[str, Any], code: ErrorCode) -> None:
    change(folder, **fields)
    with nothing_reached(), raises(ModelError, code=code) as caught:
        find_backbone(f"local-dir:{folder}")
    require_plain(caught.value)


def test_arguments_of_the_architecture_s_own_code_are_no_traceback(folder: Path) -> None:
    """``mobilenetv2_100`` gives its builder what the file gives again."""
    change(folder, above__architecture="mobilenetv2_100", above__model_args={"stem_size": 32})
    with raises(ModelError, code="unsupported_model", naming="'stem_size'"):
        find_backbone(f"local-dir:{folder}")


def test_a_giant_takes_no_memory_before_its_weights_are_compared(folder: Path) -> None:
    change(folder, above__architecture="resnet18", above__model_args={"channels": [65_536] * 4}, input_size=[3, 32, 32])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with raises(ModelError, code="too_large_model") as caught:
        load_backbone(find_backbone(f"local-dir:{folder}"))
    require_plain(caught.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000


def test_places_of_a_stranger_s_file_are_not_carried_along(folder: Path) -> None:
    change(folder, url="https://evil/x.pth", file="/etc/passwd", source="hf-hub", label_offset=7)
    configuration = read_settings(folder / "config.json").configuration
    assert not {"url", "file", "source", "label_offset"} & set(configuration)
    module, description = load_backbone(find_backbone(f"local-dir:{folder}"))
    assert description.features == module.get_submodule("").num_features


def test_what_timm_writes_is_read(folder: Path) -> None:
    change(folder, crop_pct=1.15, tag=None, license=None, classifier=["fc", "fc"], interpolation="lanczos")
    settings = read_settings(folder / "config.json")
    assert (settings.tag, settings.license, settings.input_size) == ("", "", (32, 32))
    assert settings.image_spec(32, 32).crop_fraction == 1.0
    assert settings.image_spec(32, 32).interpolation == "lanczos"


def test_two_hundred_configurations_with_a_hostile_value(folder: Path) -> None:
    """Whatever a field holds: the backbone is described, or a person reads one line for each fault."""
    rng = random.Random(20261130)
    original = json.loads((folder / "config.json").read_text())
    names = ["tag", "fixed_input_size", "hf_hub_id", "pool_size", "label_offset", *original["pretrained_cfg"]]
    accepted = 0
    with nothing_reached():
        for _ in range(200):
            content = json.loads(json.dumps(original))
            level = content["pretrained_cfg"] if rng.random() < 0.8 else content
            name = rng.choice(names if level is not content else [*original, "model_args", "label_names"])
            level[name] = rng.choice(VALUES)
            (folder / "config.json").write_text(json.dumps(content))
            try:
                find_backbone(f"local-dir:{folder}")
                accepted += 1
            except DistingoError as error:
                require_plain(error, lines=len(str(error).splitlines()))
    assert 0 < accepted < 200
