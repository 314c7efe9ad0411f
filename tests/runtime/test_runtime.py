from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from distingo.errors import DataError, RunError, UsageError
from distingo.models.reference_data import load_calibration_set, save_calibration_set
from distingo.prediction.predictor import load
from distingo.runtime import Runtime, read_export
from distingo.runtime.__main__ import main
from raising import raises
from tiny_runs import change_json

pytest.importorskip("onnxruntime")


def image(path: Path, size: tuple[int, int] = (50, 40), color: tuple[int, int, int] = (210, 50, 40)) -> Path:
    noise = np.random.default_rng(1).integers(-30, 30, (size[1], size[0], 3))
    Image.fromarray(np.clip(np.array(color) + noise, 0, 255).astype(np.uint8)).save(path)
    return path


@pytest.fixture
def export(tiny_exports: dict[str, Path], tmp_path: Path) -> Path:
    """One that a test may harm."""
    return Path(shutil.copytree(tiny_exports["one label"], tmp_path / "export"))


def test_files_images_and_arrays_are_the_same_image(tiny_exports: dict[str, Path], tmp_path: Path) -> None:
    runtime, path = Runtime(tiny_exports["one label"]), image(tmp_path / "α β.png")
    drawn = Image.open(path)
    answers = [runtime.predict(each)[0] for each in (path, str(path), drawn, np.asarray(drawn))]
    assert len({answer.probabilities for answer in answers}) == 1
    assert answers[0].file == str(path)
    assert answers[3].file == "picture 0"
    assert sum(answers[0].probabilities) == pytest.approx(1, abs=1e-6)


def test_arrays_of_every_type_are_the_same_image(tiny_exports: dict[str, Path]) -> None:
    runtime = Runtime(tiny_exports["one label"])
    rgba = np.random.default_rng(0).integers(0, 43, (40, 50, 4)).astype(np.uint8)
    rgba[..., 3] = 255
    rgba[:9, :9, 3] = 128
    rgb = np.asarray(Image.fromarray(rgba[..., :3]))
    for plain in (rgba, rgb):
        expected = runtime.predict([plain])[0].probabilities
        for same in (plain.astype(np.int32), plain.astype(np.int64), plain.astype(np.float32), plain / 255):
            assert np.array_equal(runtime.predict([same])[0].probabilities, expected)
    expected = runtime.predict([rgba])[0].probabilities
    assert np.array_equal(runtime.predict([rgba.astype(np.uint16)])[0].probabilities, expected)


def test_a_broken_image_carries_its_error_and_spoils_no_other(tiny_exports: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not much")
    good = [image(tmp_path / f"{at}.png") for at in range(40)]
    names = [*good[:20], tmp_path / "broken.jpg", *good[20:], tmp_path / "gone.png"]
    for kind, given in (("one label", None), ("several labels", ())):
        found = Runtime(tiny_exports[kind]).predict(names, topk=1, on_error="row")
        assert [each.file for each in found] == [str(name) for name in names]
        assert [bool(each.error) for each in found] == [at in (20, 41) for at in range(42)]
        assert found[20].labels == ()
        assert found[20].given == given
        assert len(found[0].labels) == 1


def test_exif_rotation_alpha_and_deep_gray_are_read_as_by_distingo(
    tiny_network_runs: dict[str, Path], tiny_exports: dict[str, Path], tmp_path: Path
) -> None:
    upright = Image.open(image(tmp_path / "upright.png"))
    exif = Image.Exif()
    exif[0x0112] = 6
    upright.rotate(90, expand=True).save(tmp_path / "turned.png", exif=exif)
    layer = upright.convert("RGBA")
    layer.putalpha(Image.linear_gradient("L").resize(layer.size))
    layer.save(tmp_path / "alpha.png")
    Image.fromarray(np.arange(2000, dtype=np.uint16).reshape(40, 50) * 32).save(tmp_path / "deep.png")
    upright.convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
    upright.convert("P").save(tmp_path / "palette.gif")
    paths = sorted(tmp_path.iterdir())
    for kind, folder in tiny_exports.items():
        runtime, predictor = Runtime(folder), load(tiny_network_runs[kind], engine="torch")
        straight, turned = runtime.predict([tmp_path / "upright.png", tmp_path / "turned.png"])
        assert straight.probabilities == turned.probabilities
        for said, meant in zip(runtime.predict(paths, topk=3), predictor.predict(paths, topk=3), strict=True):
            expected = dict(zip(meant.labels, meant.probabilities, strict=True))
            found = dict(zip(said.labels, said.probabilities, strict=True))
            assert found == pytest.approx(expected, abs=0.03)


def test_certainty_is_that_of_the_run(
    tiny_network_runs: dict[str, Path], tiny_exports: dict[str, Path], tmp_path: Path
) -> None:
    paths = [image(tmp_path / f"{at}.png", color=(at * 20, 120, 200 - at * 15)) for at in range(12)]
    for kind, folder in tiny_exports.items():
        runtime, predictor = Runtime(folder), load(tiny_network_runs[kind], engine="torch")
        options: dict[str, Any] = {"abstain": 0.7, "coverage": 0.5, "topk": 3}
        for said, meant in zip(runtime.predict(paths, **options), predictor.predict(paths, **options), strict=True):
            assert said.abstained is not None
            assert said.abstained == meant.abstained
            assert said.prediction_set == meant.prediction_set
        with raises(UsageError, code="unreachable_guarantee", parameter="coverage"):
            runtime.predict(paths, coverage=0.9999)
        with raises(UsageError, code="out_of_range", parameter="top_k"):
            runtime.predict(paths, topk=0)


def test_what_is_unlike_training_is_told_where_the_bank_is(export: Path, tmp_path: Path) -> None:
    from distingo.models.reference_data import build_bank
    from distingo.runtime.description import save_exported_bank

    path = image(tmp_path / "a.png")
    (export / "bank.npz").unlink(missing_ok=True)
    runtime = Runtime(export)
    assert runtime.predict(path)[0].unlike is None
    features = runtime._run(runtime.preprocess(path)[None])[1]
    save_exported_bank(export, build_bank(np.repeat(features, 5, axis=0), ("00" * 16,) * 5, unit=True))
    assert Runtime(export).predict(path)[0].unlike is False
    save_exported_bank(export, build_bank(np.repeat(-features, 5, axis=0), ("00" * 16,) * 5, unit=True))
    assert Runtime(export).predict(path)[0].unlike is True
    calibration_set = load_calibration_set(export)
    assert calibration_set is not None
    save_calibration_set(export, calibration_set)
    (export / "bank.npz").write_bytes(b"PK")
    with raises(RunError, code="checksum_differs", naming="bank.npz"):
        Runtime(export)


def test_a_harmed_export_is_refused_in_one_line(export: Path, tmp_path: Path) -> None:
    with raises(RunError, code="wrong_folder"):
        Runtime(tmp_path / "nowhere")
    (export / "model.onnx").write_bytes((export / "model.onnx").read_bytes()[:1000])
    with raises(RunError, code="checksum_differs", naming="model.onnx"):
        Runtime(export)
    (export / "checksums.json").unlink()  # as an export of an older version
    with raises(RunError, code="damaged_file", naming="model.onnx"):
        Runtime(export)
    (export / "model.onnx").unlink()
    with raises(RunError, code="not_found", naming="model.onnx"):
        Runtime(export)
    change_json(export / "distingo.json", lambda content: content.pop("classes"))
    with raises(RunError, code="damaged_file"):
        Runtime(export)
    change_json(export / "distingo.json", lambda content: content.update(format=99))
    with raises(RunError, code="newer_version"):
        Runtime(export)


def test_a_program_of_torch_is_named_as_such(export: Path) -> None:
    change_json(export / "distingo.json", lambda content: content.update(exported_as="torch-export"))
    (export / "model.pt2").write_bytes(b"")
    with raises(UsageError, code="option_not_applicable"):
        Runtime(export)


def test_a_missing_engine_is_named(export: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with raises(UsageError, code="missing_extra"):
        Runtime(export)


def test_the_description_comes_back_as_it_was_written(tiny_exports: dict[str, Path]) -> None:
    from distingo.runtime.description import write_description

    folder = tiny_exports["several labels"]
    before = read_export(folder)
    assert before.thresholds is not None
    assert before.image_spec.channels == 1
    written = (folder / "distingo.json").read_bytes()
    write_description(folder, before)
    assert read_export(folder) == before
    assert (folder / "distingo.json").read_bytes() == written


def test_the_command_line_prints_a_json_line_per_image(
    tiny_exports: dict[str, Path], tmp_path: Path, capsys: Any
) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    good, bad = image(tmp_path / "ñ.png"), tmp_path / "broken.jpg"
    assert main([str(tiny_exports["one label"]), str(good), "--topk", "1"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    row = json.loads(line)
    assert row["file"] == str(good)
    assert row["labels"] == ["red"]
    assert set(row) == {
        *("file", "labels", "probabilities", "error", "given"),
        *("abstained", "prediction_set", "unlike"),
    }
    assert main([str(tiny_exports["one label"]), str(good), str(bad)]) == 3
    assert json.loads(capsys.readouterr().out.splitlines()[1])["error"]
    assert main([str(tmp_path), str(good)]) == 1
    assert "no exported model" in capsys.readouterr().err


def test_an_export_is_no_run(export: Path) -> None:
    with raises(RunError, code="wrong_folder"):
        load(export)


def test_an_export_answers_to_the_names_of_the_runs_own_model(tiny_exports: dict[str, Path], tmp_path: Path) -> None:
    paths = [image(tmp_path / "a.png"), image(tmp_path / "b.png", color=(40, 60, 200))]
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not much")
    for kind in ("one label", "several labels"):
        runtime = Runtime(tiny_exports[kind])
        every = runtime(paths, top_k=len(runtime.classes))
        assert every == runtime.predict(paths, topk=len(runtime.classes))
        expected = [dict(zip(each.labels, each.probabilities, strict=True)) for each in every]
        found = runtime.predict_proba(paths)
        assert found.dtype == np.float64
        assert found.tolist() == [[each[name] for name in runtime.classes] for each in expected]
        for call in (runtime.predict, runtime.predict_proba):
            with raises(DataError, code="not_found", naming="gone.png"):
                call([*paths, tmp_path / "gone.png"])
        with raises(DataError, code="damaged_image", naming="broken.jpg"):
            runtime.predict(tmp_path / "broken.jpg", on_error="raise")
        assert np.isnan(runtime.predict_proba([tmp_path / "broken.jpg"], on_error="row")).all()
        with raises(UsageError, code="options_conflict", parameter="topk"):
            runtime.predict(paths, topk=1, top_k=1)
        noun = "classes" if kind == "one label" else "labels"
        assert repr(runtime) == f"Runtime({str(runtime.folder)!r}, {len(runtime.classes)} {noun}, onnx)"
