"""``model.json`` from anywhere: one line for each fault, no network, nothing unpickled, no memory for giants."""

from __future__ import annotations

import copy
import json
import random
import resource
from pathlib import Path
from typing import Any

import pytest
from tests.pace import at_most

from distingo.errors import DistingoError, ErrorCode, ModelError, RunError
from distingo.models.architectures import ARGUMENTS, check_architecture, create_architecture
from distingo.models.backbones import find_backbone
from distingo.models.baselines import MajorityClassifier
from distingo.models.description import ModelDescription
from distingo.models.presets import read_settings
from distingo.models.saved import SavedModel, assemble_network, load_model, save_model
from distingo.records import ImageSpec
from distingo.scores import Thresholds
from hostile_files import DEEP, VALUES, nothing_reached, require_plain
from raising import raises
from tiny_backbones import write_backbone


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A model of each kind."""
    import numpy as np

    folder = tmp_path_factory.mktemp("saved")
    common: dict[str, Any] = {"task": "single-label", "classes": ("cat", "dog"), "provenance": {"data": "x"}}
    network = ModelDescription("small-cnn", "network", image_spec=ImageSpec(16, 12, 3), **common)
    save_model(folder / "network", SavedModel(network, network=assemble_network(network)))
    backbone = find_backbone(f"local-dir:{write_backbone(folder / 'backbone')}", weights="none")
    for head, settings in {
        "linear": {},
        "knn": {"task": "single-label", "bank": 4, "neighbors": 2, "temperature": 0.1},
    }.items():
        pretrained = ModelDescription(
            "test_resnet",
            "pretrained",
            image_spec=backbone.image_spec,
            backbone=backbone,
            head=head,
            settings=settings,
            **common,
        )
        save_model(folder / head, SavedModel(pretrained, network=assemble_network(pretrained)))
    classic = ModelDescription("majority", "classic", **common)
    save_model(folder / "classic", SavedModel(classic, classic=MajorityClassifier(np.array([0.5, 0.5]))))
    several = ModelDescription(
        "small-cnn",
        "network",
        "multi-label",
        ("cat", "dog"),
        image_spec=ImageSpec(16, 12, 3),
        thresholds=Thresholds((0.5, 0.4), "f1"),
    )
    save_model(folder / "several", SavedModel(several, network=assemble_network(several)))
    return {path.name: path for path in folder.iterdir() if path.name != "backbone"}


def harm(folder: Path, place: Path, change: Any) -> Path:
    """A copy whose description is another one."""
    place.mkdir()
    content = json.loads((folder / "model.json").read_text())
    change(content)
    (place / "model.json").write_text(json.dumps(content))
    (place / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    return place


def set_at(path: str, value: Any) -> Any:
    def change(content: dict[str, Any]) -> None:
        *above, last = path.split(".")
        for name in above:
            content = content[name]
        content[last] = value

    return change


ARCHITECTURES = (
    "hf-hub:evil/model",
    "hf_hub:evil/model",
    "local-dir:/tmp/evil",
    "timm/resnet18",
    "resnet18.a1_in1k",
    "../resnet18",
    "resnet18\n",
    "not_there",
    "",
    "x" * 5000,
    7,
    None,
    ["resnet18"],
)

ARGUMENT_TABLE: tuple[dict[str, Any], ...] = (
    {"pretrained": True},
    {"pretrained": True, "pretrained_cfg": {"url": "https://evil/x.pth"}},
    {"pretrained_cfg": {"hf_hub_id": "evil/model"}},
    {"pretrained_cfg_overlay": {"file": "/tmp/evil.pth"}},
    {"checkpoint_path": "/tmp/evil.pth"},
    {"cache_dir": "/tmp/evil"},
    {"features_only": True},
    {"num_classes": 10**9},
    {"in_chans": 10**9},
    {"scriptable": True},
    {"exportable": True},
    {"no_jit": True},
    {"weight_init": "../../x"},
    {"block": "os.system"},
    {"drop_rate": 1e400},
    {"depth": 10**9},
    {"img_size": [10**9, 10**9]},
    {"act_layer": {"a": 1}},
    {"__class__": 1},
    {"self": 1},
    {"mlp_ratio": [[[[[[1]]]]]]},
    {"depth": 65_536},
    {"layers": [65_536, 1, 1, 1]},
    {"layers": [100, 100, 56, 1]},
    {"layers": [1] * 101},
    {"depth_mult": 65},
    {"window_size": 65},
)

CONTROLS = "\0\x1b\x7f\x80\x85\x9b\x9f\u2028\u2029\u202a\u202e\u2066\u2069"

FIELDS: tuple[tuple[str, str, Any, str], ...] = (
    ("network", "classes", ["cat", "cat"], "two classes are called 'cat'"),
    ("network", "classes", [], "classes: "),
    ("network", "classes", ["cat", "d\x1bog"], "classes: "),
    *(("network", "classes", ["cat", f"d{control}og"], "classes: Expected a text without") for control in CONTROLS),
    ("linear", "backbone.license", "x\u009b31m", "backbone: Expected a text without control characters at .license"),
    ("network", "classes", ["cat", "\ud800"], "half of a character"),
    ("network", "classes", ["cat", ""], "classes: "),
    ("network", "classes", ["cat", "x" * 1001], "classes: "),
    ("network", "classes", ["cat", 7], "classes: "),
    ("network", "classes", "cat", "classes: "),
    ("network", "classes", [f"c{at}" for at in range(100_001)], "classes: "),
    ("network", "name", "majority", "is no network model"),
    ("network", "name", "hf-hub:evil/x", "is no network model"),
    ("network", "kind", "script", "kind: "),
    ("network", "image_spec.height", 10**9, "image_spec: "),
    ("network", "image_spec.height", 0, "image_spec: "),
    ("network", "image_spec.channels", 4, "image_spec: "),
    ("network", "image_spec.extra", 1, "image_spec: "),
    ("linear", "image_spec.crop_fraction", 1e-3, "crop_fraction 0.001 enlarges over 16,384 pixels"),
    ("linear", "backbone.image_spec.crop_fraction", 1e-300, "crop_fraction 1e-300 enlarges over 16,384 pixels"),
    ("network", "image_spec.interpolation", "magic", "image_spec: "),
    ("network", "image_spec", None, "a network without an image size"),
    ("network", "dropout", 2.0, "dropout: "),
    ("network", "normalize", "pickle", "normalize: "),
    ("network", "weights_hash", "../x", "weights_hash: "),
    ("network", "settings", [], "settings: "),
    ("network", "extra", 1, "unknown field 'extra'"),
    ("network", "x\n\x1b[0m", 1, "unknown field 'x\\n\\x1b[0m'"),
    ("network", "calibration", {"slope": 0, "offsets": [0, 0]}, "calibration: "),
    ("network", "calibration", {"slope": 1, "offsets": [0]}, "1 offsets for 2 classes"),
    ("network", "value_ranges", {"unsigned": [1]}, "value_ranges: "),
    ("network", "value_ranges", {"unsigned": [5, 1]}, "black must be below white"),
    ("several", "thresholds.values", [0.5], "1 thresholds for 2 classes"),
    ("several", "thresholds.aim", "x", "thresholds: "),
    ("linear", "backbone", None, "a pretrained model without its backbone"),
    ("linear", "backbone.features", 10**9, "backbone: "),
    ("linear", "backbone.std", [0, 1, 1], "backbone: "),
    ("linear", "head", "pickle", "head: "),
    ("knn", "settings.bank", 10**12, "bank: "),
    ("knn", "settings.neighbors", 0, "neighbors: "),
    ("knn", "settings.temperature", 0, "temperature: "),
    ("classic", "classes", ["a", "b", "c"], "probabilities of 2 classes for 3"),
)


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda value: repr(value)[:30])
def test_only_registered_architectures_are_built(saved: dict[str, Path], tmp_path: Path, architecture: Any) -> None:
    place = harm(saved["linear"], tmp_path / "x", set_at("backbone.architecture", architecture))
    with nothing_reached(), raises(RunError, code="damaged_file") as caught:
        load_model(place)
    require_plain(caught.value)


@pytest.mark.parametrize("arguments", ARGUMENT_TABLE, ids=lambda value: repr(value)[:40])
def test_only_arguments_that_shape_layers_are_passed(
    saved: dict[str, Path], tmp_path: Path, arguments: dict[str, Any]
) -> None:
    place = harm(saved["linear"], tmp_path / "x", set_at("backbone.arguments", arguments))
    with nothing_reached(), raises(DistingoError, code="damaged_file") as caught:
        load_model(place)
    require_plain(caught.value)
    with nothing_reached(), raises(ModelError, code="forbidden_argument"):
        create_architecture("test_resnet", arguments)
    config = {"architecture": "test_resnet", "model_args": arguments, "pretrained_cfg": {}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    if not set(arguments) <= {"num_classes", "in_chans", "img_size"}:  # these are set by us, whatever it says
        with nothing_reached(), pytest.raises(ModelError) as caught_too:
            read_settings(tmp_path / "config.json")
        require_plain(caught_too.value)


@pytest.mark.parametrize(("kind", "field", "value", "why"), FIELDS, ids=lambda value: repr(value)[:30])
def test_every_field_is_checked(
    saved: dict[str, Path], tmp_path: Path, kind: str, field: str, value: Any, why: str
) -> None:
    place = harm(saved[kind], tmp_path / "x", set_at(field, value))
    with nothing_reached(), pytest.raises(RunError) as caught:
        load_model(place)
    require_plain(caught.value)
    assert why in str(caught.value)


def test_every_fault_has_its_line(saved: dict[str, Path], tmp_path: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        del content["task"]
        content |= {"dropout": "x", "classes": 7, "evil": 1}

    with raises(RunError, code="damaged_file") as caught:
        load_model(harm(saved["network"], tmp_path / "x", change))
    require_plain(caught.value, lines=4)
    assert [line.partition("damaged (")[2].split(":")[0] for line in str(caught.value).splitlines()] == [
        "task is missing)",
        "unknown field 'evil')",
        "classes",
        "dropout",
    ]


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("network", set_at("classes", [f"c{at}" for at in range(100_000)])),
        ("linear", set_at("backbone.features", 1 << 20)),
        ("knn", set_at("settings.bank", 1 << 30)),
        ("linear", set_at("backbone.arguments", {"stem_width": 60_000})),
        ("network", set_at("image_spec", {"height": 8192, "width": 8192, "channels": 3})),
    ],
    ids=["classes", "features", "bank", "arguments", "pixels"],
)
def test_giants_take_no_memory(saved: dict[str, Path], tmp_path: Path, kind: str, change: Any) -> None:
    place = harm(saved[kind], tmp_path / "x", change)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        load_model(place)
    except RunError as error:
        require_plain(error)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000


@pytest.mark.parametrize(
    ("architecture", "arguments", "code"),
    [
        ("vit_tiny_patch16_224", {"depth": 65_536}, "damaged_file"),
        (
            "resnet18",
            {"layers": [65_536, 1, 1, 1]},
            "damaged_file",
        ),
        ("resnet18", {"layers": [64, 64, 64, 64], "channels": [65_536] * 4}, "weights_differ"),
        ("vit_tiny_patch16_224", {"depth": 256, "embed_dim": 65_472}, "weights_differ"),
        ("beit_base_patch16_224", {"img_size": [8192, 8192]}, "weights_differ"),
        (
            "tiny_vit_5m_224",
            {"window_sizes": [65_536] * 4},
            "damaged_file",
        ),
    ],
    ids=["depth", "layers", "wide", "deep and wide", "tables", "windows"],
)
def test_deep_architectures_take_neither_time_nor_memory(
    saved: dict[str, Path], tmp_path: Path, architecture: str, arguments: dict[str, Any], code: ErrorCode
) -> None:
    def change(content: dict[str, Any]) -> None:
        content["backbone"] |= {"architecture": architecture, "arguments": arguments}

    place = harm(saved["linear"], tmp_path / "x", change)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with at_most(60), nothing_reached(), raises(RunError, code=code) as caught:
        load_model(place)
    require_plain(caught.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000


def test_building_ends_whatever_the_arguments_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("distingo.models.architectures._MOST_CALLS", 200)
    with raises(ModelError, code="too_large_model"):
        create_architecture("test_resnet", {})


def test_what_timm_itself_builds_is_allowed() -> None:
    """The deepest, the widest and the most called for of timm's own, as arguments of a file."""
    check_architecture("resnetrs420", {"layers": [4, 44, 87, 4]})
    check_architecture("vit_7b_patch16_dinov3", {"depth": 64, "embed_dim": 4096, "mlp_ratio": 8.571428571428571})
    check_architecture("tf_efficientnet_l2", {"channel_multiplier": 4.3})
    check_architecture("efficientformerv2_l", {"mlp_ratios": [[4] * 8, [4, 3]]})
    check_architecture("vit_5b_patch16_sapiens2", {"num_kv_heads": [32] * 56})


@pytest.mark.parametrize(
    "content, code",
    [
        (DEEP.encode(), "damaged_file"),
        (b"", "damaged_file"),
        (b"{", "damaged_file"),
        (b"7", "wrong_format"),
        (b"[]", "wrong_format"),
        (b"\xff\xfe", "damaged_file"),
        (b'{"format": 1}', "damaged_file"),
        (b'{"format": "1"}', "wrong_format"),
        (b'{"format": NaN}', "damaged_file"),
        (b"\0" * 100, "damaged_file"),
    ],
    ids=["deep", "empty", "cut", "number", "list", "bytes", "zeros", "bare", "text", "nan"],
)
def test_other_files_are_refused(saved: dict[str, Path], tmp_path: Path, content: bytes, code: ErrorCode) -> None:
    place = harm(saved["network"], tmp_path / "x", lambda _: None)
    (place / "model.json").write_bytes(content)
    with nothing_reached(), raises(RunError, code=code) as caught:
        load_model(place)
    require_plain(caught.value, lines=len(str(caught.value).splitlines()))
    (place / "model.json").unlink()
    (place / "model.json").symlink_to("/dev/zero")
    with raises(RunError, code="not_regular_file"):
        load_model(place)


def test_two_hundred_descriptions_with_a_hostile_value(saved: dict[str, Path], tmp_path: Path) -> None:
    """Whatever a field holds: the model loads, or a person reads one line for each fault."""
    rng = random.Random(20261130)
    with nothing_reached():
        for number in range(200):
            content = json.loads((saved[rng.choice(sorted(saved))] / "model.json").read_text())
            kind = "classic" if content["kind"] == "classic" else content["head"] or "network"
            kind = "several" if content["thresholds"] else kind
            changed = copy.deepcopy(content)
            level = changed
            while True:
                name = rng.choice(sorted(level))
                if isinstance(level[name], dict) and level[name] and rng.random() < 0.7:
                    level = level[name]
                else:
                    break
            level[name] = rng.choice(VALUES)
            place = harm(
                saved[kind], tmp_path / str(number), lambda known, new=changed: (known.clear(), known.update(new))
            )
            try:
                load_model(place)
            except DistingoError as error:
                require_plain(error, lines=len(str(error).splitlines()))


def test_the_allowed_arguments_do_nothing_but_shape() -> None:
    assert not {name for name in ARGUMENTS if "pretrained" in name and name != "pretrained_window_sizes"}
    assert not ARGUMENTS & {
        "checkpoint_path",
        "cache_dir",
        "features_only",
        "num_classes",
        "in_chans",
        "device",
        "file",
    }
    check_architecture("resnet18", {"act_layer": "relu", "stem_width": 32, "layers": [1, 1, 1, 1], "pad_type": ""})
