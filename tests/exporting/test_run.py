"""Exports of really trained networks, each held against its original."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import distingo
from distingo.cli import main
from distingo.errors import DataError, ExportError, ModelError, ResourceError, UsageError
from distingo.exporting import run as exporting_run
from distingo.exporting import writing
from distingo.prediction.predictor import load
from distingo.runtime import Runtime
from raising import raises
from tiny_backbones import write_backbone
from tiny_datasets import draw_classes, draw_labels
from tiny_runs import copy_run

pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
openvino = pytest.importorskip("openvino")


def images_of(run: Path) -> list[Path]:
    data = Path(json.loads((run / "config.json").read_text(encoding="utf-8"))["data"])
    return sorted((data.parent if data.is_file() else data).rglob("*.png"))[::7]


@pytest.mark.parametrize("kind", ["one label", "several labels"])
@pytest.mark.parametrize(
    ("exported_as", "half"),
    [
        ("onnx", False),
        ("openvino", False),
        pytest.param("onnx", True, marks=pytest.mark.slow),
        pytest.param("openvino", True, marks=pytest.mark.slow),
        pytest.param("torch-export", True, marks=pytest.mark.slow),
    ],
)
def test_an_export_says_what_the_run_says(
    tiny_network_runs: dict[str, Path], tmp_path: Path, kind: str, exported_as: Any, half: bool
) -> None:
    run = tiny_network_runs[kind]
    exported = distingo.export(run, tmp_path / "out", format=exported_as, half=half)
    assert exported.folder == tmp_path / "out"
    assert exported.agreement.share == 1.0
    assert exported.agreement.score == ("accuracy" if kind == "one label" else "mean average precision")
    if exported_as == "torch-export":
        return
    runtime, predictor = Runtime(exported.folder), load(run, engine="torch")
    assert runtime.classes == predictor.classes
    assert runtime.thresholds == predictor.thresholds
    images = images_of(run)
    for said, meant in zip(runtime.predict(images, topk=3), predictor.predict(images, topk=3), strict=True):
        assert said.file == meant.file
        found, expected = (dict(zip(each.labels, each.probabilities, strict=True)) for each in (said, meant))
        assert found == pytest.approx(expected, abs=0.03)  # the predictor may use bfloat16


@pytest.mark.parametrize("kind", ["one label", "several labels"])
def test_torch_loads_a_program_without_distingo_s_code(
    tiny_network_runs: dict[str, Path], tiny_exports: dict[str, Path], tmp_path: Path, kind: str
) -> None:
    run = tiny_network_runs[kind]
    exported = distingo.export(run, tmp_path / "out", format="torch-export")
    extra = {"distingo.json": "", "preprocessing.json": ""}
    program = torch.export.load(exported.folder / "model.pt2", extra_files=extra).module()
    assert json.loads(extra["distingo.json"])["classes"] == list(distingo.load(run).classes)
    assert json.loads(extra["preprocessing.json"])["in_graph"] is True
    runtime = Runtime(tiny_exports[kind])
    pixels = np.stack([np.array(Image.open(path).convert("RGB")) for path in images_of(run)])
    with torch.inference_mode():
        probabilities, _ = program(torch.from_numpy(pixels))
    said = runtime.predict_rows(pixels).probabilities
    assert probabilities.numpy() == pytest.approx(said, abs=0.02)
    assert str(Path.cwd()) not in (exported.folder / "model.pt2").read_bytes().decode("latin-1")


def test_onnx_takes_any_size_and_number_and_describes_itself(
    tiny_network_runs: dict[str, Path], tiny_exports: dict[str, Path]
) -> None:
    import onnx
    import onnxruntime

    path = tiny_exports["one label"] / "model.onnx"
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for shape in ((1, 50, 30, 3), (4, 17, 90, 3), (2, 16, 16, 3)):
        probabilities, _ = session.run(None, {"images": np.zeros(shape, np.uint8)})
        assert probabilities.shape == (shape[0], 3)
        assert probabilities.sum(axis=1) == pytest.approx(1.0, abs=1e-5)
    properties = session.get_modelmeta().custom_metadata_map
    assert json.loads(properties["classes"]) == ["blue", "green", "red"]
    assert json.loads(properties["calibration"])["slope"] > 0
    assert json.loads(properties["provenance"])["weights_hash"]
    assert json.loads(properties["preprocessing"])["image_spec"]["height"] == 16
    model = onnx.load(path)
    assert not any(node.metadata_props or node.doc_string for node in model.graph.node)
    here = str(Path(distingo.__file__).parent).encode()
    assert here not in path.read_bytes(), "the model names a folder of this machine"


def test_openvino_describes_itself(tiny_network_runs: dict[str, Path], tmp_path: Path) -> None:
    folder = distingo.export(tiny_network_runs["several labels"], tmp_path / "out", format="openvino").folder
    model = openvino.Core().read_model(folder / "model.xml")
    assert json.loads(model.get_rt_info(["distingo", "classes"]).astype(str)) == ["large", "red", "round"]
    thresholds = json.loads(model.get_rt_info(["distingo", "thresholds"]).astype(str))["values"]
    assert len(thresholds) == 3
    assert model.input().get_partial_shape().to_string() in {"[?,16,16,1]", "[1..,16,16,1]"}


def test_what_is_beside_the_model(tiny_exports: dict[str, Path]) -> None:
    folder = tiny_exports["one label"]
    names = {path.name for path in folder.iterdir()} - {"bank.npz"}
    assert names == {
        "README.md",
        "checksums.json",
        "confidence.json",
        "distingo.json",
        "model.onnx",
        "preprocessing.json",
    }
    facts = json.loads((folder / "distingo.json").read_text(encoding="utf-8"))
    assert facts["agreement"]["images"] > 0
    assert facts["agreement"]["share_same"] == 1.0
    readme = (folder / "README.md").read_text(encoding="utf-8")
    assert "the same answer on" in readme
    assert "blue, green, red" in readme


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        ("fashion-cnn", {"image_size": 28, "channels": 1, "epochs": 1}),
        ("sports-cnn", {"image_size": 32, "epochs": 1}),
        ("small-cnn", {"image_size": 16, "epochs": 1, "normalize": "zca"}),
        ("small-cnn", {"image_size": 16, "epochs": 1, "normalize": "sample"}),
        ("backbone", {"head": "knn"}),
        ("backbone", {"head": "prototype"}),
        ("backbone", {"head": "linear-svm"}),
        ("backbone", {"mode": "finetune", "epochs": 1}),
        ("backbone", {"image_size": (32, 48)}),
    ],
    ids=str,
)
@pytest.mark.slow
def test_every_network_can_be_exported(tmp_path: Path, model: str, settings: dict[str, Any]) -> None:
    data = draw_classes(tmp_path / "data", size=40)
    name = f"local-dir:{write_backbone(tmp_path / 'weights')}" if model == "backbone" else model
    distingo.train(data, tmp_path / "run", model=name, **settings)
    for exported_as in ("onnx", "openvino", "torch-export"):
        exported = distingo.export(tmp_path / "run", format=exported_as)
        assert exported.folder == tmp_path / "run" / "exports" / exported_as
        assert exported.agreement.share == 1.0
        assert exported.agreement.largest_difference < 0.01


@pytest.mark.parametrize("head", ["linear", "knn"])
@pytest.mark.slow
def test_networks_for_several_labels_can_be_exported(tmp_path: Path, head: str) -> None:
    data = draw_labels(tmp_path / "data", count=120, size=40)
    backbone = write_backbone(tmp_path / "weights")
    distingo.train(data / "labels.csv", tmp_path / "run", model=f"local-dir:{backbone}", head=head)
    for exported_as in ("onnx", "openvino", "torch-export"):
        assert distingo.export(tmp_path / "run", format=exported_as).agreement.share == 1.0


@pytest.mark.slow
@pytest.mark.parametrize("exported_as", ["onnx", "openvino"])
def test_8_bit_integers_are_smaller_and_cost_at_most_a_point(
    tiny_network_runs: dict[str, Path], tmp_path: Path, exported_as: Any
) -> None:
    if exported_as == "openvino":
        pytest.importorskip("nncf")
    run = tiny_network_runs["one label"]
    whole = distingo.export(run, tmp_path / "float32", format=exported_as)
    small = distingo.export(run, tmp_path / "int8", format=exported_as, int8=True)
    assert small.bytes < 0.6 * whole.bytes
    assert small.agreement.cost <= 0.01
    assert small.description.agreement["int8_ranges_by"]
    prediction = Runtime(small.folder).predict(images_of(run)[:1])[0]
    assert sum(prediction.probabilities) == pytest.approx(1.0, abs=1e-5)


def test_an_export_that_says_something_else_is_refused_with_the_figures(
    tiny_network_runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def spoil(model: Any) -> None:
        for tensor in model.graph.initializer:
            if tensor.dims and tensor.data_type == 1:
                tensor.raw_data = np.zeros(tensor.dims, np.float32).tobytes()

    monkeypatch.setattr(writing, "store_as_half", spoil)
    place = tmp_path / "out"
    assert main(["export", str(tiny_network_runs["one label"]), "-o", str(place), "--half"]) == 1
    said = capsys.readouterr().err
    assert "99.5%" in said
    assert "the same answer on" in said
    assert "nothing was written" in said
    assert not list(tmp_path.iterdir())


def test_int8_that_costs_more_than_a_point_is_refused(
    tiny_network_runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def quantize(model: Any, rows: np.ndarray, said: np.ndarray, *, several: bool) -> tuple[Any, str]:
        assert rows.dtype == np.uint8
        assert len(rows) == len(said)
        for tensor in model.graph.initializer:
            if tensor.dims and tensor.data_type == 1:
                tensor.raw_data = np.zeros(tensor.dims, np.float32).tobytes()
        return model, "MinMax"

    monkeypatch.setattr(writing, "quantize", quantize)
    with raises(ExportError, code="export_differs"):
        distingo.export(tiny_network_runs["one label"], tmp_path / "out", int8=True)
    assert not list(tmp_path.iterdir())


def test_an_export_that_is_there_stays(tiny_network_runs: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with raises(ResourceError, code="already_exists", parameter="output"):
        distingo.export(tiny_network_runs["one label"], tmp_path / "out")


def test_without_images_there_is_no_export(tiny_network_runs: dict[str, Path], tmp_path: Path) -> None:
    run = copy_run(tiny_network_runs["one label"], tmp_path / "run")
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    data = shutil.copytree(config["data"], tmp_path / "elsewhere")
    config["data"] = str(tmp_path / "gone")
    (run / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with raises(DataError, code="no_usable_images", parameter="check_on"):
        distingo.export(run)
    assert not (run / "exports").exists()
    with raises(UsageError, code="not_found", parameter="check_on"):
        distingo.export(run, check_on=tmp_path / "nowhere")
    exported = distingo.export(run, check_on=data)
    assert exported.agreement.checked_on == "pictures in elsewhere"
    assert exported.agreement.score is None
    with raises(DataError, code="no_usable_images", parameter="check_on"):
        distingo.export(run, int8=True, check_on=data)


def test_classic_models_are_refused_in_one_line(tiny_runs: dict[str, Path]) -> None:
    for name in ("descriptors", "majority"):
        with raises(ModelError, code="not_a_network", parameter="run"):
            distingo.export(tiny_runs[name])


def test_wrong_wishes_are_refused(tiny_network_runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    run = tiny_network_runs["one label"]
    with raises(UsageError, code="unknown_name", parameter="format"):
        distingo.export(run, format="keras")  # type: ignore[arg-type]
    with raises(UsageError, code="options_conflict", parameter="half"):
        distingo.export(run, half=True, int8=True)
    with raises(UsageError, code="option_not_applicable", parameter="int8"):
        distingo.export(run, format="torch-export", int8=True)
    monkeypatch.setattr(exporting_run.importlib.util, "find_spec", lambda name: None)
    with raises(UsageError, code="missing_extra", parameter="format"):
        distingo.export(run)
    with raises(UsageError, code="missing_extra", parameter="format"):
        distingo.export(run, format="openvino", int8=True)


def test_the_command_tells_the_figures(tiny_network_runs: dict[str, Path], tmp_path: Path, capsys: Any) -> None:
    assert main(["export", str(tiny_network_runs["one label"]), "-o", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert re.search(r"model.onnx: \d\.\d MB", said)
    assert "100.00%" in said
    assert "probabilities differ by" in said
