"""Run folders of version 0.1.0, whose files hold sentences: they open, and their sentences are shown as they stand.

The runs in ``stored_runs`` were made by that version, of the images that `draw_old_classes` and `draw_labels` draw;
they are left without pages and, of several labels, without the baselines, which take much room.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import distingo
from distingo.evaluation.comparison_records import cost_of
from distingo.files import read_json, write_json
from distingo.language import use_language
from distingo.messages.notes import text_note
from distingo.runs.contents import read_run
from note_texts import texts
from tiny_datasets import draw_classes, draw_labels

STORED = Path(__file__).parent / "stored_runs" / "version-0.1.0"

CHOICES = (
    "image size: 16x16 (height x width), because the median picture is 16x16",
    "channels: 3, because there is colour",
    "corrections.csv: 0 pictures relabelled, 0 set aside",
    "near-duplicates were not searched for, as the images are smaller than 32 pixels",
    "precision: bfloat16 on cpu, because this processor computes in it (avx512_bf16)",
)


def draw_old_classes(root: Path) -> Path:
    draw_classes(root, per_class=12)
    shutil.copy(root / "red" / "000.png", root / "red" / "copy of 000.png")
    shutil.copy(root / "red" / "001.png", root / "blue" / "in two classes.png")
    (root / "green" / "page.jpg").write_text("<html><body>not found</body></html>", encoding="utf-8")
    (root / "corrections.csv").write_text("file,action,labels,kinds,content\n", encoding="utf-8")
    return root


def restore(name: str, place: Path, data: Path) -> Path:
    """A copy of a stored run whose data are where this test drew them."""
    run = place / name
    shutil.copytree(STORED / name, run)
    config = read_json(run / "config.json")
    config["data"] = str(data)
    if "corrections" in config:
        config["corrections"]["file"] = str(data / "corrections.csv")
    if "root" in config:
        config["root"] = str(data.parent)
    write_json(run / "config.json", {key: value for key, value in config.items() if key != "checksum"})
    return run


@pytest.fixture
def one(tmp_path: Path) -> Path:
    return restore("one", tmp_path, draw_old_classes(tmp_path / "data"))


def test_the_sentences_of_a_run_are_read_and_shown_as_they_stand(one: Path) -> None:
    records = read_run(one)
    assert records.config.layout == text_note("class folders")
    assert texts(records.choices) == CHOICES
    rows = {row.file: row for row in records.manifest}
    assert str(rows["green/page.jpg"].reason) == "an HTML page, not a picture"
    assert str(rows["red/copy of 000.png"].reason) == "the same bytes as red/000.png"
    assert rows["red/000.png"].reason is None
    assert rows["corrections.csv"].is_own and not rows["green/page.jpg"].is_own
    with use_language("zh"):
        assert texts(records.choices) == CHOICES


def test_a_run_is_reported(one: Path) -> None:
    page = distingo.write_report(one, language="es").read_text(encoding="utf-8")
    assert all(choice.replace("'", "&#39;") in page for choice in CHOICES)
    assert "an HTML page, not a picture" in page


def test_a_run_is_evaluated_on_its_own_and_on_other_images(one: Path, tmp_path: Path) -> None:
    before = read_run(one).evaluation
    cache = tmp_path / "cache"
    assert before is not None and before.notes == ()
    assert distingo.evaluate(one, cache=cache).scores["accuracy"] == before.scores["accuracy"]
    other = distingo.evaluate(one, tmp_path / "data", cache=cache)
    assert [each.code for each in other.notes] == ["evaluated-on-all", "seen-in-training"]
    assert json.loads((one / "evaluation.json").read_text("utf-8"))["format"] == 2


def test_a_model_predicts(one: Path) -> None:
    (found,) = distingo.predict(one, [one.parent / "data" / "red" / "000.png"])
    assert found.label in {"blue", "green", "red"} and not found.error


def test_runs_are_compared(one: Path, tmp_path: Path) -> None:
    comparison = distingo.compare(
        [one, restore("one", tmp_path / "again", one.parent / "data")], tmp_path / "comparison"
    )
    assert comparison.n == 6
    assert cost_of(read_run(one), classic=False).precision == "bfloat16"


def test_a_run_of_several_labels_is_read_evaluated_and_predicts(tmp_path: Path) -> None:
    labels = draw_labels(tmp_path / "labels")
    run = restore("several", tmp_path, labels / "labels.csv")
    said = (
        "large, red, round: fewer than 10 validation pictures have the label, so it mostly follows the other labels",
    )
    records = read_run(run)
    assert records.evaluation is not None and records.evaluation.thresholds is not None
    assert texts(records.evaluation.thresholds.notes) == said
    assert str(records.config.layout) == "labels.csv, one 0/1 column per label"
    again = distingo.evaluate(run, cache=tmp_path / "cache")
    assert again.thresholds is not None and texts(again.thresholds.notes) == said
    assert not distingo.predict(run, [next((labels).rglob("*.png"))])[0].error
    assert said[0] in distingo.write_report(run).read_text(encoding="utf-8")
