"""Sentences that other rooms recorded: known by their patterns, with what stands in their places untouched."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest
from distingo.report.recorded_sentences import RECORDED, is_known, recorded
from PIL import Image

import distingo
from distingo.evaluation.reading import RunRecords, read_run
from distingo.language import gettext, written_in
from distingo.models.saved import read_description
from tiny_datasets import draw_classes, draw_labels


def draw_messy(root: Path) -> Path:
    """Classes with everything in them that a manifest has to account for."""
    draw_classes(root, per_class=24)
    shutil.copy(root / "red" / "000.png", root / "red" / "copy of 000.png")
    shutil.copy(root / "red" / "001.png", root / "blue" / "in two classes.png")
    Image.open(root / "green" / "002.png").save(root / "green" / "same pixels.bmp")
    (root / "green" / "page.jpg").write_text("<html><body>not found</body></html>", encoding="utf-8")
    content = (root / "blue" / "003.png").read_bytes()
    (root / "blue" / "breaks off.png").write_bytes(content[: len(content) // 2])
    (root / "blue" / ".hidden").write_text("x", encoding="utf-8")
    (root / "notes.txt").write_text("x", encoding="utf-8")
    (root / "blue" / "leads nowhere.png").symlink_to(root / "gone.png")
    return root


def sentences(records: RunRecords) -> set[str]:
    """Everything in a run folder that a page shows as a sentence of distingo's."""
    evaluation = records.evaluation
    assert evaluation is not None
    found = {*records.choices, *evaluation.notes, str(records.config["layout"])}
    found |= {row.reason for row in records.manifest if row.reason}
    found |= {row.status for row in records.manifest if row.status != "used"}
    description = read_description(records.folder / "model")
    return found | set(description.thresholds.notes if description.thresholds else ())


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunRecords]:
    root = tmp_path_factory.mktemp("runs")
    cache = root / "cache"
    messy, labels = draw_messy(root / "messy"), draw_labels(root / "labels")
    with (labels / "labels.csv").open("a", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["gone", 1, 0, 0], ["000", 0, 0, 0]])
    distingo.train(messy, root / "one", model="small-cnn", epochs=1, image_size=8, cache=cache)
    distingo.train(messy, root / "classic", model="descriptors", lr=0.5, cache=cache)
    distingo.train(labels / "labels.csv", root / "several", model="descriptors", cache=cache)
    distingo.evaluate(root / "one", messy, cache=cache)
    return {name: read_run(root / name) for name in ("one", "classic", "several")}


@pytest.mark.parametrize("name", ["one", "classic", "several"])
def test_every_sentence_of_a_real_run_is_known(runs: dict[str, RunRecords], name: str) -> None:
    found = sentences(runs[name])
    assert len(found) >= 4
    assert {sentence for sentence in found if not is_known(sentence)} == set()


def test_a_real_run_had_something_to_say(runs: dict[str, RunRecords]) -> None:
    reasons = {row.reason for row in runs["one"].manifest if row.reason}
    assert len(reasons) >= 7, reasons


@pytest.mark.parametrize(
    ("sentence", "es", "zh"),
    [
        (
            "a damaged 100 %-file (odd: 50 %) file",
            "un archivo 100 %-file (odd: 50 %) dañado",
            "损坏的 100 %-file (odd: 50 %) 文件",
        ),
        (
            "12,345 of 60,000 pictures have no label",
            "12\u202f345 de 60\u202f000 imágenes no tienen etiqueta",
            "60,000 张图片中有 12,345 张没有标签",
        ),
        (
            "precision: float32 on cpu, because it was asked for",
            "precisión numérica: float32 en cpu, porque se pidió así",
            "数值精度：在 cpu 上采用 float32，因为按要求设定",
        ),
        (
            "class test has no test picture",
            "la clase test no tiene ninguna imagen de prueba",
            "类别 test 没有测试图片",
        ),
        (
            "the same bytes under 2 classes: yes; no",
            "los mismos bytes en 2 clases: yes; no",
            "相同的字节出现在 2 个类别中：yes; no",
        ),
        (
            "label cat (3 pictures) has none on the validation and test side",
            "la etiqueta cat (3 imágenes) no tiene ninguna en validación y prueba",
            "标签 cat（3 张图片）在验证和测试集中没有图片",
        ),
    ],
)
def test_places_stay_as_they_are_and_sentences_inside_are_translated(sentence: str, es: str, zh: str) -> None:
    assert recorded(sentence) == sentence
    with written_in("es"):
        assert recorded(sentence) == es
    with written_in("zh"):
        assert recorded(sentence) == zh


def test_what_is_not_known_stays() -> None:
    with written_in("zh"):
        assert recorded("a sentence of a newer distingo, 5 % of it (%(new)s)") == (
            "a sentence of a newer distingo, 5 % of it (%(new)s)"
        )
        assert recorded("") == ""


def test_patterns_are_told_apart_and_translated() -> None:
    assert len(set(RECORDED)) == len(RECORDED)
    with written_in("zh"):
        for message in RECORDED:
            places = dict.fromkeys(("count", "total"), "0")
            assert gettext(message, **{**dict.fromkeys(_places(message), "x"), **places}) != message


def _places(message: str) -> list[str]:
    return [part.split(")")[0] for part in message.split("%(")[1:]]
