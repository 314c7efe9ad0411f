"""The model card: its metadata and text, and that an edited card is not overwritten."""

from __future__ import annotations

import json
import logging
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard
from run_folders import HOSTILE, build_run
from visible_text import visible_texts

import distingo
from distingo.language import LANGUAGES, use_language
from distingo.report.pages.card import write_card
from distingo.report.text.wording import score_name
from tiny_datasets import draw_classes, draw_labels

CLASSES = ("plain|pipe", "猫", "_under_ `tick` <b>")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Runs that were really trained; the images are gone afterwards."""
    root = tmp_path_factory.mktemp("cards")
    cache = root / "cache"
    data = draw_classes(root / "own | data", names=CLASSES)
    shutil.copy(data / CLASSES[1] / "000.png", data / CLASSES[1] / "copy.png")
    labels = draw_labels(root / "labels")
    distingo.train(data, root / "one", model="small-cnn", epochs=2, image_size=8, cache=cache)
    distingo.train(labels / "labels.csv", root / "several", model="descriptors", cache=cache)
    shutil.rmtree(data)
    shutil.rmtree(labels)
    return {"one": root / "one", "several": root / "several"}


def card_of(run: Path) -> str:
    return (run / "model" / "README.md").read_text(encoding="utf-8")


def scores_of(run: Path) -> dict[str, Any]:
    return json.loads((run / "evaluation.json").read_text(encoding="utf-8"))["scores"]


def test_the_hub_reads_the_front_matter(runs: dict[str, Path]) -> None:
    card = ModelCard(card_of(runs["one"]))
    assert card.data.library_name == "distingo"
    assert card.data.pipeline_tag == "image-classification"
    assert {"image-classification", "distingo", "single-label"} <= set(card.data.tags)
    assert card.data.metrics[:2] == ["accuracy", "balanced_accuracy"]
    assert card.data.license is None
    assert card.data.model_name == "small-cnn on own | data"
    results = {result.metric_name: result for result in card.data.eval_results}
    accuracy = results["Accuracy"]
    assert accuracy.metric_value == pytest.approx(scores_of(runs["one"])["accuracy"]["value"], abs=1e-4)
    assert (accuracy.metric_type, accuracy.dataset_name, accuracy.dataset_split) == ("accuracy", "own | data", "test")
    assert card.text.lstrip().startswith("# small-cnn on own \\| data")


def test_a_model_of_several_labels_has_its_own_scores(runs: dict[str, Path]) -> None:
    card = ModelCard(card_of(runs["several"]))
    found = {result.metric_type for result in card.data.eval_results}
    assert {"mean_average_precision", "f1", "hamming_loss"} <= found
    assert "multi-label" in card.data.tags
    assert "| Label | Average precision | Threshold |" in card.text
    assert "any number of 3\u00a0labels" in card.text


def test_every_section_is_there_with_figures_from_the_run(runs: dict[str, Path]) -> None:
    text = card_of(runs["one"])
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert headings == [
        *("What it is", "What it is for", "Classes", "Data", "How it was trained", "Scores", "Class by class"),
        *("Limits found", "How to use it", "Where it comes from"),
    ]
    accuracy = scores_of(runs["one"])["accuracy"]
    interval = "too few images" if accuracy["too_few"] else f"{accuracy['low'] * 100:.1f}"
    assert f"| Accuracy | {accuracy['value'] * 100:.1f}\u00a0% ({interval}" in text
    assert "always answering the most frequent class" in text
    assert "- Left out: 1, copies of another picture" in text
    assert "1\u00a0file that repeat" in text or "1\u00a0file" in text
    model = json.loads((runs["one"] / "model" / "model.json").read_text(encoding="utf-8"))
    assert model["weights_hash"] in text
    assert model["provenance"]["train_content_hash"] in text


def test_every_score_has_a_name_and_a_meaning(runs: dict[str, Path]) -> None:
    for run in runs.values():
        assert {score for score in scores_of(run) if not all(score_name(score))} == set()


def test_names_are_shown_as_they_are(runs: dict[str, Path]) -> None:
    text = card_of(runs["one"])
    assert "| plain\\|pipe |" in text
    assert "| 猫 |" in text
    assert "| \\_under\\_ \\`tick\\` &lt;b\\> |" in text
    rows = [line for line in text.splitlines() if line.startswith("|") and "plain\\|pipe" in line]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {5, 7}


def test_the_card_contains_no_local_path(runs: dict[str, Path]) -> None:
    for run in runs.values():
        assert str(run.parent) not in card_of(run)


@pytest.mark.parametrize("name", ["one", "several"])
def test_nothing_of_a_card_is_left_in_english(runs: dict[str, Path], name: str) -> None:
    lines: dict[str, set[str]] = {}
    for language in LANGUAGES:
        with use_language(language):
            write_card(runs[name])
        body = ModelCard(card_of(runs[name])).text
        body = re.sub(r"```.*?```|<!--.*?-->|`[^`]*`", "", body, flags=re.DOTALL)
        cells = {cell.strip(" -#*") for line in body.splitlines() for cell in re.split(r"(?<!\\)\|", line)}
        lines[language] = {cell for cell in cells if re.search(r"[A-Za-z]{2,}", cell)}
    names = {
        "F1",
        "F1, macro",
        "F1, micro",
        "F1, macro, at 0.5",
        "plain\\",
        "pipe",
        "large",
        "red",
        "round",
        "plain\\|pipe",
    }
    names |= {"\\_under\\_ \\ &lt;b\\>"}
    for language in ("es", "zh"):
        left = {cell for cell in lines[language] & lines["en"] if not cell.startswith("distingo: ")} - names
        assert left == set()
    assert visible_texts(card_of(runs[name]))


def test_the_front_matter_is_the_same_in_every_language(runs: dict[str, Path]) -> None:
    found = []
    for language in LANGUAGES:
        with use_language(language):
            write_card(runs["one"])
        found.append(ModelCard(card_of(runs["one"])).data.to_dict())
    assert found[0] == found[1] == found[2]


def test_a_card_that_was_changed_by_hand_is_left_alone(
    runs: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = Path(shutil.copytree(runs["one"], tmp_path / "run"))
    path = run / "model" / "README.md"
    assert write_card(run) == path
    own = path.read_text(encoding="utf-8").replace(
        "## Limits found\n", "## Limits found\n\n- It has never seen snow.\n"
    )
    path.write_text(own, encoding="utf-8")
    with caplog.at_level(logging.WARNING, logger="distingo"):
        assert write_card(run) is None
    assert "was changed by hand" in caplog.text
    assert path.read_text(encoding="utf-8") == own
    path.write_text("My own card.", encoding="utf-8")
    assert write_card(run) is None
    path.unlink()
    assert write_card(run) == path


def test_a_run_without_a_model_has_no_card(tmp_path: Path) -> None:
    run = build_run(tmp_path)
    assert write_card(run) is None
    assert not (run / "model" / "README.md").exists()


def test_a_run_without_evaluation_is_noted(runs: dict[str, Path], tmp_path: Path) -> None:
    run = Path(shutil.copytree(runs["one"], tmp_path / "run"))
    for name in ("evaluation.json", "predictions.parquet"):
        (run / name).unlink()
    write_card(run)
    card = ModelCard(card_of(run))
    assert card.data.eval_results is None
    assert "**Not evaluated on test pictures yet.**" in card.text
    assert "its performance is unknown" in card.text


def pretrain(run: Path, **backbone: Any) -> None:
    """Let a run's model be one with a pretrained backbone."""
    path = run / "model" / "model.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    own = {"architecture": "mobilenetv2_100", "tag": "tf_in1k", "license": "apache-2.0", "weights_hash": "aa"}
    content |= {"kind": "pretrained", "mode": "frozen", "head": "linear", "backbone": {**own, **backbone}}
    path.write_text(json.dumps(content), encoding="utf-8")


def test_a_backbone_of_the_hub_is_the_base_model(runs: dict[str, Path], tmp_path: Path) -> None:
    run = Path(shutil.copytree(runs["one"], tmp_path / "run"))
    pretrain(run, source="hub", place="timm/mobilenetv2_100.tf_in1k@1234abc")
    write_card(run)
    card = ModelCard(card_of(run))
    assert card.data.base_model == "timm/mobilenetv2_100.tf_in1k"
    assert card.data.base_model_relation == "finetune"
    assert "License of the backbone’s weights: apache-2.0." in card.text


def test_a_backbone_of_a_folder_is_named_without_its_place(runs: dict[str, Path], tmp_path: Path) -> None:
    run = Path(shutil.copytree(runs["one"], tmp_path / "run"))
    pretrain(run, source="folder", place="/home/someone/weights")
    write_card(run)
    card = ModelCard(card_of(run))
    assert card.data.base_model is None
    assert "mobilenetv2_100.tf_in1k" in card.text
    assert "someone" not in card_of(run)


def test_the_limits_of_the_run_are_listed(tmp_path: Path) -> None:
    data = draw_classes(tmp_path / "data", per_class=60, names=("many", "none"))
    shutil.rmtree(data / "none")
    other = draw_classes(tmp_path / "other", per_class=30, size=24, names=("x", "few"))
    shutil.move(other / "few", data / "few")
    distingo.train(data, tmp_path / "run", model="descriptors", cache=tmp_path / "cache")
    limits = card_of(tmp_path / "run").partition("## Limits found")[2]
    assert "A possible shortcut: the dimensions of the images alone distinguish the classes (100\u00a0%" in limits
    assert "have fewer than 20\u00a0test pictures" in limits
    assert "Pictures that are almost the same were not searched for" in limits
    assert HOSTILE not in limits
