"""Deep images from end to end: a range for a data set, kept with its model and applied wherever that sees an image."""

from __future__ import annotations

import base64
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import httpx2
import numpy as np
import pytest
from PIL import Image

import distingo
from deep_images import FORMS, draw_stripes, stripes, write_image
from distingo.cli import main
from distingo.curation.findings import read_findings
from distingo.errors import RunError, UsageError
from distingo.models.description import read_description
from distingo.records import ValueRange, ValueRanges
from distingo.report.thumbnails import fill_album
from note_texts import texts
from raising import raises
from tiny_runs import change_json

RANGES = {
    "8 bit": {},
    "12 bit": {"unsigned": [0.0, 4095.0]},
    "float": {"floating": [0.0, 1.0]},
    "no data": {"floating": [0.0, 1.0]},
}
TRAINED = [
    ("8 bit", "small-cnn"),
    ("12 bit", "small-cnn"),
    ("float", "small-cnn"),
    ("no data", "small-cnn"),
    ("8 bit", "descriptors"),
    ("12 bit", "descriptors"),
    ("float", "descriptors"),
]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Path]:
    """A run for each form and model, on the same gray values; its data are next to it."""
    root = tmp_path_factory.mktemp("deep")
    found = {}
    for form, model in TRAINED:
        data = root / form / "data"
        if not data.is_dir():
            draw_stripes(data, form)
        recipe = {} if model == "descriptors" else {"image_size": 16, "epochs": 2, "batch_size": 16, "channels": 1}
        distingo.train(data, root / form / model, model=model, cache=root / "cache", **recipe)
        found[form, model] = root / form / model
    return found


def image_of(form: str, folder: Path, seed: int = 77, label: str = "standing") -> Path:
    ending, convert = FORMS[form]
    return write_image(folder / f"new.{ending}", convert(stripes(seed, label)))


@pytest.mark.parametrize(("form", "model"), TRAINED)
def test_the_range_is_kept_with_the_model_and_its_baselines(
    runs: dict[tuple[str, str], Path], form: str, model: str
) -> None:
    run = runs[form, model]
    assert json.loads((run / "model/model.json").read_text())["value_ranges"] == RANGES[form]
    assert json.loads((run / "config.json").read_text()).get("value_ranges", {}) == RANGES[form]
    assert read_description(run / "model").value_ranges == ValueRanges.from_json(RANGES[form])
    for baseline in (run / "baselines").iterdir():
        assert read_description(baseline).value_ranges == ValueRanges.from_json(RANGES[form])


@pytest.mark.parametrize("model", ["small-cnn", "descriptors"])
@pytest.mark.parametrize("form", ["12 bit", "float"])
def test_a_model_of_deep_images_is_the_model_of_the_same_images_in_8_bits(
    runs: dict[tuple[str, str], Path], form: str, model: str, tmp_path: Path
) -> None:
    plain, deep = distingo.load(runs["8 bit", model]), distingo.load(runs[form, model])
    expected = plain.predict(image_of("8 bit", tmp_path))[0]
    found = deep.predict(image_of(form, tmp_path))[0]
    assert found.label == expected.label
    if form == "12 bit":  # the files have the same names, so that the same ones are trained on in the same order
        np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-6)


@pytest.mark.parametrize(("form", "model"), [pair for pair in TRAINED if pair[0] != "8 bit"])
def test_a_new_file_is_seen_as_in_training(
    runs: dict[tuple[str, str], Path], form: str, model: str, tmp_path: Path
) -> None:
    predictor = distingo.load(runs[form, model])
    gray = stripes(77, "standing")
    if form == "no data":
        gray[:2] = 0
    seen, expected = predictor.preprocess(image_of(form, tmp_path)), predictor.preprocess(gray)
    np.testing.assert_array_equal(seen, expected)


def test_a_dim_image_stays_dim(runs: dict[tuple[str, str], Path], tmp_path: Path) -> None:
    predictor = distingo.load(runs["12 bit", "small-cnn"])
    dim = write_image(tmp_path / "dim.png", np.full((32, 32), 1638, np.uint16))
    assert np.unique(predictor.preprocess(dim)).tolist() == [102]


def test_evaluating_again_gives_the_same_scores(runs: dict[tuple[str, str], Path], tmp_path: Path) -> None:
    run = runs["12 bit", "small-cnn"]
    before = json.loads((run / "evaluation.json").read_text())["scores"]
    found = distingo.evaluate(run, cache=tmp_path / "new cache")
    assert {name: score.value for name, score in found.scores.items()} == {
        name: score["value"] for name, score in before.items()
    }


def test_other_data_are_scaled_by_the_range_of_the_model_not_by_their_own(
    runs: dict[tuple[str, str], Path], tmp_path: Path
) -> None:
    for label in ("lying", "standing"):
        for at in range(4):
            dim = np.rint(stripes(9000 + at, label) * (900 / 255)).astype(np.uint16)
            write_image(tmp_path / "dim" / label / f"{at}.png", dim)
    run = runs["12 bit", "small-cnn"]
    found = distingo.evaluate(run, tmp_path / "dim", cache=tmp_path / "cache")
    assert not any("value range" in note for note in texts(found.notes))
    rows = distingo.load(run).predict(sorted((tmp_path / "dim").rglob("*.png")))
    import pyarrow.parquet as pq

    table = pq.read_table(run / "evaluations/dim/predictions.parquet").to_pylist()
    kept = {row["file"]: row for row in table}
    for row in rows:
        entry = kept[Path(row.file).relative_to(tmp_path / "dim").as_posix()]
        assert entry["predicted"] == row.label
        assert entry["confidence"] == pytest.approx(row.confidence, abs=5e-3)  # bfloat16 on either path


def test_data_in_other_units_than_the_model_learned_are_said(runs: dict[tuple[str, str], Path], tmp_path: Path) -> None:
    for label in ("lying", "standing"):
        write_image(tmp_path / "wide" / label / "0.png", stripes(9, label).astype(np.uint16) * 257)
    found = distingo.evaluate(runs["12 bit", "descriptors"], tmp_path / "wide", cache=tmp_path / "cache")
    assert (
        "of 2 deep images 2 have values far outside the value range 0 to 4095, which are clipped: check that their "
        "units are those of the range"
    ) in texts(found.notes)


@pytest.mark.parametrize("form", ["12 bit", "float"])
def test_an_export_scales_deep_images_as_the_run_does(
    runs: dict[tuple[str, str], Path], form: str, tmp_path: Path
) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    run = runs[form, "small-cnn"]
    exported = distingo.export(run, tmp_path / "out")
    assert exported.agreement.share == 1.0
    described = json.loads((exported.folder / "preprocessing.json").read_text())
    assert described["value_ranges"] == RANGES[form]
    from distingo.runtime import Runtime

    image = image_of(form, tmp_path)
    expected = distingo.load(run, engine="torch").predict(image)[0]
    runtime = Runtime(exported.folder)
    found = runtime.predict(image)[0]
    assert found.label == expected.label
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-3)
    change_json(exported.folder / "preprocessing.json", lambda content: content.pop("value_ranges"))
    assert Runtime(exported.folder).description.value_ranges == ValueRanges()
    change_json(exported.folder / "preprocessing.json", lambda content: content.update(value_ranges={"unsigned": [9]}))
    with raises(RunError, code="damaged_file"):
        Runtime(exported.folder)


def test_a_served_model_scales_uploads_as_the_run_does(runs: dict[tuple[str, str], Path], tmp_path: Path) -> None:
    import sys

    sys.path.insert(0, str(Path(__file__).parent / "serving"))
    from served_runs import running

    pairs = [("12 bit", "small-cnn"), ("float", "descriptors")]
    with running({f"{number}": runs[pair] for number, pair in enumerate(pairs)}) as server:
        for number, pair in enumerate(pairs):
            image = image_of(pair[0], tmp_path)
            expected = distingo.load(runs[pair]).predict(image)[0]
            raw = httpx2.post(f"{server.url}/predict?model={number}", content=image.read_bytes(), timeout=30).json()
            said = {"images": [{"data": base64.b64encode(image.read_bytes()).decode()}], "model": f"{number}"}
            in_json = httpx2.post(f"{server.url}/predict", json=said, timeout=30).json()
            for answer in (raw, in_json):
                scores = {score["label"]: score["probability"] for score in answer["predictions"][0]["scores"]}
                assert list(scores) == list(expected.labels)
                np.testing.assert_allclose(list(scores.values()), expected.probabilities, atol=2e-3)


def test_explanations_show_what_the_model_sees(runs: dict[tuple[str, str], Path], tmp_path: Path) -> None:
    from distingo.explanation.explaining import _open_preprocessed

    gray = stripes(77, "standing")
    for model in ("small-cnn", "descriptors"):
        look = _open_preprocessed(image_of("12 bit", tmp_path), distingo.load(runs["12 bit", model]))
        np.testing.assert_array_equal(np.asarray(look.image), gray)


def test_pages_show_what_the_model_sees(tmp_path: Path) -> None:
    gray = stripes(5, "lying")
    write_image(tmp_path / "a.png", np.rint(gray * (4095 / 255)).astype(np.uint16))
    album = fill_album(tmp_path, ["a.png"], value_ranges=ValueRanges(unsigned=ValueRange(0.0, 4095.0)))
    thumbnail = album.get("a.png")
    assert thumbnail is not None
    shown = Image.open(io.BytesIO(base64.b64decode(thumbnail.uri.partition(",")[2])))
    np.testing.assert_array_equal(np.asarray(shown), gray)


def test_the_card_and_inspect_say_the_range(
    runs: dict[tuple[str, str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = runs["12 bit", "small-cnn"]
    said = "60 deep images (uint16): the value range 0 to 4095 is shown as black to white, as found in the data"
    assert said in (run / "model/README.md").read_text(encoding="utf-8")
    assert said in (run / "report.html").read_text(encoding="utf-8")
    data = str(run.parent / "data")
    assert main(["inspect", data, "-o", str(tmp_path / "i.html"), "--no-map"]) == 0
    assert said in capsys.readouterr().out
    assert said in (tmp_path / "i.html").read_text(encoding="utf-8")
    main(["inspect", data, "-o", str(tmp_path / "j.html"), "--no-map", "--value-range", "0,2047"])
    assert "the value range 0 to 2047 is shown as black to white, as given" in capsys.readouterr().out


def test_check_calls_no_deep_image_empty_or_dark(runs: dict[tuple[str, str], Path], tmp_path: Path) -> None:
    for form in ("8 bit", "12 bit", "float"):
        data = runs[form, "small-cnn"].parent / "data"
        found = distingo.check(data, tmp_path / form, model="descriptors", cache=tmp_path / "cache")
        kinds = {
            (each.kind, Path(each.file).stem) for each in found.findings if each.kind in {"empty", "dark", "bright"}
        }
        assert kinds == set()
        assert found.value_ranges == ValueRanges.from_json(RANGES[form])
        assert json.loads((tmp_path / form / "check.json").read_text())["value_ranges"] == RANGES[form]


def test_a_check_of_deep_images_finds_what_a_check_of_8_bits_finds(
    runs: dict[tuple[str, str], Path], tmp_path: Path
) -> None:
    found = []
    for form in ("8 bit", "12 bit"):
        data = shutil.copytree(runs[form, "small-cnn"].parent / "data", tmp_path / form)
        ending, convert = FORMS[form]
        write_image(data / f"lying/black.{ending}", convert(np.full((32, 32), 3, np.uint8)))
        write_image(data / f"lying/same.{ending}", convert(stripes(4, "lying")))
        distingo.check(data, tmp_path / f"{form} check", model="descriptors", cache=tmp_path / "cache")
        rows = read_findings(tmp_path / f"{form} check")
        found.append([(row.kind, row.file, row.other, row.counts) for row in rows if row.kind != "shortcut"])
    assert found[0] == found[1]
    assert ("empty", "lying/black.png", "", True) in found[0]


def test_a_review_shows_images_as_the_check_saw_them(runs: dict[tuple[str, str], Path], tmp_path: Path) -> None:
    from distingo.curation.check import read_value_ranges

    data = runs["12 bit", "small-cnn"].parent / "data"
    distingo.check(data, tmp_path / "check", model="none", cache=tmp_path / "cache")
    assert read_value_ranges(tmp_path / "check") == ValueRanges(unsigned=ValueRange(0.0, 4095.0))
    assert read_value_ranges(tmp_path / "check/findings.csv") == ValueRanges(unsigned=ValueRange(0.0, 4095.0))
    assert read_value_ranges(tmp_path) == ValueRanges()


def test_a_range_that_is_asked_for_goes_first_and_is_repeated(
    runs: dict[tuple[str, str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = runs["12 bit", "small-cnn"].parent / "data"
    command = ["train", str(data), "-o", str(tmp_path / "run"), "--model", "descriptors", "--value-range", "0,2047"]
    assert main([*command, "--cache", str(tmp_path / "cache")]) == 0
    wide = ValueRange(0.0, 2047.0)
    assert read_description(tmp_path / "run/model").value_ranges == ValueRanges(wide, wide, wide)
    config = tmp_path / "run/config.json"
    again = distingo.train(config=config, output=tmp_path / "again", cache=tmp_path / "cache")
    assert read_description(again.path / "model").value_ranges == ValueRanges(wide, wide, wide)
    anew = distingo.train(config=config, output=tmp_path / "anew", value_range="auto", cache=tmp_path / "cache")
    assert read_description(anew.path / "model").value_ranges == ValueRanges(unsigned=ValueRange(0.0, 4095.0))
    assert main(["split", str(data), "-o", str(tmp_path / "s.csv"), "--value-range", "-1024,3071"]) == 0
    assert main([*command[:-1], "7,7"]) == 2
    assert "0,4095" in capsys.readouterr().err


def test_resuming_keeps_the_range(runs: dict[tuple[str, str], Path], tmp_path: Path) -> None:
    run = shutil.copytree(runs["12 bit", "small-cnn"], tmp_path / "run")
    with raises(UsageError, code="changed_options", parameter="value_range"):
        distingo.train(output=run, resume=True, value_range=(0, 255))
    change_json(run / "config.json", lambda content: content.update(value_ranges={"unsigned": [1]}))
    with raises(RunError, code="damaged_file"):
        distingo.train(output=run, resume=True)


def test_a_model_of_version_0_1_scales_each_image_by_itself(runs: dict[tuple[str, str], Path], tmp_path: Path) -> None:
    run = shutil.copytree(runs["12 bit", "small-cnn"], tmp_path / "run")
    change_json(run / "model/model.json", lambda content: content.pop("value_ranges"))
    predictor = distingo.load(run)
    assert predictor.model.description.value_ranges == ValueRanges()
    half = write_image(tmp_path / "half.png", np.full((32, 32), 32896, np.uint16))
    assert np.unique(predictor.preprocess(half)).tolist() == [128]


@pytest.mark.parametrize("call", ["split", "crossval", "learning_curve"])
def test_every_call_that_reads_images_takes_a_range(
    runs: dict[tuple[str, str], Path], tmp_path: Path, call: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="distingo")
    data = runs["12 bit", "small-cnn"].parent / "data"
    calls: dict[str, Callable[[], object]] = {
        "split": lambda: distingo.split(data, tmp_path / "s.csv", value_range="0,2047", cache=tmp_path / "c"),
        "crossval": lambda: distingo.crossval(
            data, tmp_path / "x", model="descriptors", folds=2, value_range=(0, 2047), cache=tmp_path / "c"
        ),
        "learning_curve": lambda: distingo.learning_curve(
            data, tmp_path / "l", model="descriptors", draws=2, sizes=4, value_range=(0, 2047), cache=tmp_path / "c"
        ),
    }
    found = repr(calls[call]()) + caplog.text
    assert "the value range 0 to 2047 is shown as black to white, as given" in found
    if call == "crossval":
        assert json.loads((tmp_path / "x/crossval.json").read_text())["value_ranges"]["unsigned"] == [0.0, 2047.0]


def test_near_duplicates_are_searched_among_deep_images(tmp_path: Path) -> None:
    for label in ("lying", "standing"):
        for at in range(8):
            deep = np.rint(stripes(at, label, split=96) * (4095 / 255)).astype(np.uint16)
            write_image(tmp_path / "data" / label / f"{at}.png", deep)
    run = distingo.train(tmp_path / "data", tmp_path / "run", model="majority", cache=tmp_path / "cache")
    assert read_description(run.path / "model").value_ranges == ValueRanges(unsigned=ValueRange(0.0, 4095.0))
