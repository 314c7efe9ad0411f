"""Notes: every code has a sentence, in three languages, and what is written down can be read back."""

from __future__ import annotations

import ast
import csv
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest
from PIL import Image

import distingo
from distingo.language import Language, use_language
from distingo.messages.notes import Note, name_first, note, read_notes, read_sentences, text_note
from distingo.models.description import read_description
from distingo.runs.contents import RunRecords, read_run
from distingo.runs.fields import upgraded
from distingo.scores import Evaluation, Thresholds
from tiny_datasets import draw_classes, draw_labels

SOURCE = Path(distingo.__file__).parent
SENTENCES = read_sentences()
_PLACE = re.compile(r"%\((\w+)\)s")


def made_notes() -> Iterator[tuple[str, str, set[str] | None]]:
    """Where notes are made in the source: the place, the code, and the names of their values where these are plain."""
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "note" and node.args:
                names = {keyword.arg for keyword in node.keywords}
                for code in _constants(node.args[0]):
                    yield f"{path.name}:{node.lineno}", code, None if None in names else {str(name) for name in names}


def _constants(node: ast.expr) -> list[str]:
    if isinstance(node, ast.Constant):
        return [str(node.value)]
    return [*_constants(node.body), *_constants(node.orelse)] if isinstance(node, ast.IfExp) else []


def test_every_note_has_a_sentence_with_places_for_its_values() -> None:
    made = list(made_notes())
    assert len(made) > 150
    for place, code, names in made:
        assert code in SENTENCES, (place, code)
        sentence = SENTENCES[code]
        places = set(_PLACE.findall(sentence.many or sentence.one))
        assert names is None or places - {sentence.number} <= names <= places | {sentence.number}, (place, code)


def test_no_code_is_in_the_catalog_twice_and_codes_are_spelled_alike() -> None:
    lines = (SOURCE / "messages" / "notes.json").read_text(encoding="utf-8").splitlines()
    assert len(SENTENCES) == len(lines) - 2
    for code, sentence in SENTENCES.items():
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", code)
        assert set(sentence.shows) <= set(_PLACE.findall(f"{sentence.one} {sentence.many}")), code


@pytest.mark.parametrize(
    ("said", "en", "es", "zh"),
    [
        (
            note("damaged-because", format="PNG", error="odd: 50 %"),
            "a damaged PNG file (odd: 50 %)",
            "un archivo PNG dañado (odd: 50 %)",
            "损坏的 PNG 文件（odd: 50 %）",
        ),
        (
            note("images-unlabelled", count=12_345, total=60_000),
            "12,345 of 60,000 pictures have no label",
            "12\u202f345 de 60\u202f000 imágenes no tienen etiqueta",
            "60,000 张图片中有 12,345 张没有标签",
        ),
        (
            note("precision", precision="float32", device="cpu", said=note("requested")),
            "precision: float32 on cpu, because it was requested",
            "precisión numérica: float32 en cpu, porque se pidió así",
            "数值精度：在 cpu 上采用 float32，因为按要求设定",
        ),
        (
            note("same-bytes-other-classes", count=2, names=("yes", "no")),
            "the same bytes under 2 classes: yes; no",
            "los mismos bytes en 2 clases: yes; no",
            "相同的字节出现在 2 个类别中：yes；no",
        ),
        (
            note("label-not-on-split", name="cat", count=3, said=(note("validation"), note("test"))),
            "label cat (3 pictures) has none on the validation and test split",
            "la etiqueta cat (3 imágenes) no tiene ninguna en validación y prueba",
            "标签 cat（3 张图片）在验证和测试集中没有图片",
        ),
        (
            note("corrections-applied", file="corrections.csv", count=1, aside=0),
            "corrections.csv: 1 picture relabeled, 0 set aside",
            "corrections.csv: 1 imagen reetiquetada, 0 apartadas",
            "corrections.csv：1 张图片被改标，0 张被剔除",
        ),
        (
            note("unopened-folders", count=1234, folders=name_first(["a", "b", "c"], 2)),
            "1,234 folders can't be opened, and no file in there is known: a, b and 1 more",
            "No se pueden abrir 1234 carpetas, y no se conoce ningún archivo de ellas: a, b y 1 más",
            "1,234 个文件夹无法打开，其中的文件未知：a、b 和另外 1 个",
        ),
        (text_note("a sentence of 0.1.0, 5 %"), *["a sentence of 0.1.0, 5 %"] * 3),
        (note("of-tomorrow", count=1234, of=("a", "b")), "of tomorrow (count 1,234, of a, b)", None, None),
    ],
)
def test_a_note_is_told_in_three_languages(said: Note, en: str, es: str | None, zh: str | None) -> None:
    texts: dict[Language, str | None] = {"en": en, "es": es, "zh": zh}
    for language, text in texts.items():
        with use_language(language):
            assert text is None or str(said) == text
    assert Note.from_json(json.loads(json.dumps(asdict(said)))) == said
    assert len({said, Note.from_json(asdict(said))}) == 1


def test_a_note_without_a_value_that_its_sentence_needs_is_still_told() -> None:
    assert str(note("same-bytes", other="a")) == "same bytes (other a)"


@pytest.mark.parametrize(
    "content", [7, None, {}, {"code": 3}, {"code": "a", "values": []}, {"code": "a", "values": {"b": None}}]
)
def test_what_is_no_note_is_refused(content: object) -> None:
    with pytest.raises(TypeError, match="expected a note"):
        Note.from_json(content)


def test_notes_that_are_nested_without_end_are_refused() -> None:
    content: dict[str, object] = {"code": "a"}
    for _ in range(20):
        content = {"code": "a", "values": {"b": [content]}}
    with pytest.raises(ValueError, match="nested"):
        Note.from_json(content)


def test_sentences_of_version_0_1_become_notes() -> None:
    assert read_notes(["old"]) == (text_note("old"),)
    assert upgraded({"aim": "f1", "notes": ["old"]}, Thresholds) == {"aim": "f1", "notes": [asdict(text_note("old"))]}
    of_evaluation = upgraded({"thresholds": {"notes": ["old"]}, "n": 1}, Evaluation)
    assert of_evaluation == {"thresholds": {"notes": [asdict(text_note("old"))]}, "n": 1}


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


def all_notes(records: RunRecords) -> list[Note]:
    """All notes in the files of a run."""
    assert records.evaluation is not None
    description = read_description(records.folder / "model")
    return [
        records.config.layout,
        *records.choices,
        *records.evaluation.notes,
        *(row.reason for row in records.manifest if row.reason),
        *(description.thresholds.notes if description.thresholds else ()),
    ]


def is_known(said: object) -> bool:
    """Whether a note and all notes in it have sentences, and none is a text as it stands."""
    if isinstance(said, tuple):
        return all(map(is_known, said))
    if not isinstance(said, Note):
        return True
    return said.code in SENTENCES and said.code != "text" and all(map(is_known, said.values.values()))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunRecords]:
    root = tmp_path_factory.mktemp("runs")
    cache = root / "cache"
    messy, labels = draw_messy(root / "messy"), draw_labels(root / "labels")
    with (labels / "labels.csv").open("a", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["gone", 1, 0, 0], ["000", 0, 0, 0]])
    distingo.train(messy, root / "classic", model="descriptors", lr=0.5, cache=cache)
    distingo.train(labels / "labels.csv", root / "several", model="prevalence", cache=cache)
    distingo.evaluate(root / "classic", messy, cache=cache)
    return {name: read_run(root / name) for name in ("classic", "several")}


@pytest.mark.parametrize("name", ["classic", "several"])
def test_every_note_of_a_real_run_is_known(runs: dict[str, RunRecords], name: str) -> None:
    notes = all_notes(runs[name])
    assert len(notes) >= 5
    assert [said for said in notes if not is_known(said)] == []
    for language in ("en", "es", "zh"):
        with use_language(language):
            assert all(map(str, notes))


def test_a_manifest_has_codes_and_values(runs: dict[str, RunRecords]) -> None:
    with (runs["classic"].folder / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["file"]: (row["reason"], row["values"]) for row in csv.DictReader(file) if row["reason"]}
    assert rows["green/page.jpg"] == ("html", "")
    assert rows["red/copy of 000.png"] == ("same-bytes", '{"file": "red/000.png"}')
    assert rows["blue/breaks off.png"] == ("truncated", '{"format": "PNG"}')
    assert rows["red/001.png"] == ("same-bytes-other-classes", '{"count": 2, "names": ["blue", "red"]}')
    reasons = {row.file: row.reason for row in runs["classic"].manifest}
    assert reasons["red/001.png"] == note("same-bytes-other-classes", count=2, names=("blue", "red"))
