"""``distingo learning-curve`` from the command line to the page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import distingo
from distingo.cli import main
from distingo.errors import DataError, RunError, UsageError
from raising import raises
from tiny_backbones import write_backbone
from tiny_datasets import draw_classes, draw_labels


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_classes(tmp_path_factory.mktemp("data") / "Tiere", per_class=40)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_backbone(tmp_path_factory.mktemp("weights") / "tiny"))


def test_the_command_tells_whether_more_would_help(
    tmp_path: Path, data: Path, backbone: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["learning-curve", str(data), "-o", str(tmp_path / "lc"), "--model", backbone, "--draws", "3"]
    assert main([*words, "--near-duplicates", "none", "--sizes", "5"]) == 0
    said = capsys.readouterr().out
    assert "expected: 2 times" in said
    assert "With all 80 training pictures the accuracy is" in said
    content = json.loads((tmp_path / "lc" / "learning-curve.json").read_text(encoding="utf-8"))
    assert (content["n"], content["evaluated"], content["draws"]) == (80, 120, 3)
    assert [entry["size"] for entry in content["overall"]["forecasts"]] == [160, 400]
    assert {curve["name"] for curve in content["classes"]} == {"blue", "green", "red"}
    page = (tmp_path / "lc" / "learning-curve.html").read_text(encoding="utf-8")
    assert "Would more pictures help?" in page
    assert page.count('class="growth"') == 4
    assert main(words) == 1
    assert "not an empty folder" in capsys.readouterr().err


def test_several_labels_and_descriptors(tmp_path: Path) -> None:
    table = draw_labels(tmp_path / "shapes", count=96) / "labels.csv"
    found = distingo.learning_curve(table, model="descriptors", near_duplicates=None, draws=2, sizes=4)
    assert (found.task, found.score, found.class_score) == (
        "multi-label",
        "mean_average_precision_macro",
        "average_precision",
    )
    assert len(found.classes) == 3
    assert found.overall.now.value > 0.8
    assert len(found.overall.measured) == 4


def test_the_same_seed_gives_the_same_curve(data: Path, backbone: str) -> None:
    one, two = (
        distingo.learning_curve(data, model=backbone, near_duplicates=None, draws=2, sizes=4, seed=3) for _ in range(2)
    )
    assert one.overall == two.overall
    assert one.classes == two.classes


def test_a_run_gives_data_and_recipe(tmp_path: Path, data: Path, backbone: str) -> None:
    distingo.train(data, tmp_path / "run", model=backbone, head="prototype")
    found = distingo.learning_curve(tmp_path / "run", near_duplicates=None, draws=2, sizes=4)
    assert found.data == data.resolve()
    assert found.recipe["head"] == "prototype"


def test_an_authors_test_side_is_judged_in_every_draw(tmp_path: Path, backbone: str) -> None:
    root = tmp_path / "sides"
    draw_classes(root / "train", per_class=40)
    draw_classes(tmp_path / "more", per_class=50)
    for name in ("blue", "green", "red"):
        (root / "test" / name).mkdir(parents=True)
        for at in range(40, 50):
            (tmp_path / "more" / name / f"{at:03}.png").rename(root / "test" / name / f"{at:03}.png")
    found = distingo.learning_curve(root, model=backbone, near_duplicates=None, draws=3, sizes=4)
    assert (found.n, found.evaluated) == (120, 30)


def test_mistakes_are_told(tmp_path: Path, data: Path, backbone: str) -> None:
    with raises(UsageError, code="option_not_applicable", parameter="model"):
        distingo.learning_curve(data, model=backbone, mode="finetune")
    with raises(UsageError, code="out_of_range", parameter="draws"):
        distingo.learning_curve(data, model=backbone, draws=1)
    with raises(UsageError, code="out_of_range", parameter="sizes"):
        distingo.learning_curve(data, model=backbone, sizes=2)
    few = draw_classes(tmp_path / "few", per_class=6)
    with raises(DataError, code="too_few_images"):
        distingo.learning_curve(few, model=backbone, near_duplicates=None)
    (tmp_path / "mine").write_text("mine", encoding="utf-8")
    with raises(RunError, code="not_empty", parameter="output"):
        distingo.learning_curve(data, tmp_path / "mine", model=backbone)
