"""The single-label report as text: complete, escaped, self-contained."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from run_folders import HOSTILE, SCRIPTS, build_run

from distingo.errors import ErrorCode, RunError
from distingo.report.pages.run import write_report
from raising import raises


class _Tags(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def _json_block(page: str, name: str) -> object:
    block = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', page, re.DOTALL)
    assert block
    return json.loads(block[1])


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_report(build_run(tmp_path_factory.mktemp("report"))).read_text(encoding="utf-8")


def test_it_lies_in_the_run_folder_and_replaces_an_older_one(tmp_path: Path) -> None:
    run = build_run(tmp_path, evaluated=False)
    first = write_report(run)
    assert first == run / "report.html"
    assert write_report(run).read_bytes() == first.read_bytes()
    assert not [file for file in run.iterdir() if file.name.startswith(".")]


def test_nothing_is_loaded_from_elsewhere(page: str) -> None:
    tags = _Tags(page)
    addresses = [value for _, attributes in tags.found for key, value in attributes.items() if key in {"src", "href"}]
    assert addresses
    assert all(value and value.startswith(("data:", "#")) for value in addresses)
    assert "http://" not in page
    assert "https://" not in page
    assert "@import" not in page


def test_a_class_name_never_becomes_markup(page: str) -> None:
    assert HOSTILE not in page
    assert "&lt;script&gt;alert(" in page
    scripts = [attributes for attributes in _Tags(page).named("script") if attributes.get("type") is None]
    assert len(scripts) == 1
    assert "conv &lt;1&gt;" in page
    assert "because &lt;this&gt; processor" in page


@pytest.mark.parametrize("name", SCRIPTS[1:])
def test_names_of_any_script_are_kept(page: str, name: str) -> None:
    assert name.replace("&", "&amp;") in page


def test_every_cell_with_images_has_a_button_and_its_images(page: str) -> None:
    cells = {(cell["truth"], cell["predicted"]): cell for cell in _json_block(page, "cells")}
    expected = {(name, name): 2 for name in SCRIPTS}
    expected |= {(name, SCRIPTS[(at + 1) % len(SCRIPTS)]): 1 for at, name in enumerate(SCRIPTS)}
    assert {key: cell["number"] for key, cell in cells.items()} == expected
    buttons = [tag for tag in _Tags(page).named("button") if "cell" in (tag.get("class") or "")]
    assert {(tag["data-truth"], tag["data-predicted"]) for tag in buttons} == set(expected)
    file, confidence, number = cells[HOSTILE, SCRIPTS[1]]["rows"][0]
    assert (file, confidence) == ("class 0/picture 5.png", 0.5)
    assert isinstance(number, int)


def test_the_surest_mistake_comes_first_in_the_gallery(page: str) -> None:
    gallery = page[page.index('id="mistakes"') : page.index('id="confusion"')]
    shown = re.findall(r"<wbr>(picture \d\.png)", gallery)
    assert len(shown) == len(SCRIPTS)
    assert gallery.index("class 4") < gallery.index("class 0")


def test_each_image_is_embedded_once(page: str) -> None:
    inline = [tag["src"] for tag in _Tags(page).named("img") if tag.get("src")]
    numbers = [tag["data-picture"] for tag in _Tags(page).named("img") if tag.get("src")]
    rest = _json_block(page, "thumbnails")
    assert isinstance(rest, dict)
    assert inline
    assert len(set(numbers)) == len(numbers)
    assert not set(numbers) & set(rest)


def test_tiny_images_are_marked_to_be_enlarged(page: str) -> None:
    images = _Tags(page).named("img")
    assert all("tiny" in (image["class"] or "") for image in images)
    assert "image-rendering: pixelated" in page


def test_left_out_files_are_told_with_their_reasons(page: str) -> None:
    files = page[page.index('id="files"') :]
    assert "32 files found" in files.replace("\u00a0", " ")
    for text in ("an HTML page", "page.jpg", "copy.png", "x/a"):
        assert text in files


def test_recipe_environment_choices_and_summary_are_there(page: str) -> None:
    for text in ("0.001", "a processor", "small-cnn", "(8, 28, 28)", "A note of the evaluation."):
        assert text in page


def test_before_an_evaluation_the_report_says_so(tmp_path: Path) -> None:
    page = write_report(build_run(tmp_path, evaluated=False)).read_text(encoding="utf-8")
    assert "Not evaluated on test pictures yet" in page
    assert "distingo evaluate" in page
    assert 'id="scores"' not in page
    assert 'id="curves"' in page


def test_a_model_without_epochs_has_no_curves(tmp_path: Path) -> None:
    page = write_report(build_run(tmp_path, epochs=0)).read_text(encoding="utf-8")
    assert 'id="curves"' not in page
    assert 'id="scores"' in page


def test_only_a_config_is_enough(tmp_path: Path) -> None:
    run = build_run(tmp_path, evaluated=False)
    for name in ("manifest.csv", "split.csv", "history.csv", "model/summary.txt"):
        (run / name).unlink()
    page = write_report(run).read_text(encoding="utf-8")
    assert "How it was made" in page


def test_a_image_that_is_gone_shows_its_name(tmp_path: Path) -> None:
    run = build_run(tmp_path)
    (tmp_path / "data" / "class 1" / "picture 5.png").unlink()
    page = write_report(run).read_text(encoding="utf-8")
    assert "can’t be opened any more<br><bdi>picture 5.png</bdi>" in page


@pytest.mark.slow
def test_a_thousand_classes_stay_readable(tmp_path: Path) -> None:
    classes = [f"class-{number:04}" for number in range(1000)]
    run = build_run(tmp_path, classes, each=4)
    page = write_report(run).read_text(encoding="utf-8")
    assert len(page) < 6_000_000
    buttons = [tag for tag in _Tags(page).named("button") if (tag.get("class") or "").startswith("cell ")]
    assert 0 < len(buttons) <= 24 * 24
    assert "Only the 24 most confused of 1,000 classes are shown" in page
    assert "the 60 largest of 1,000 classes" in page.lower()


@pytest.mark.parametrize(
    "name, code",
    [
        ("config.json", "damaged_file"),
        ("split.csv", "missing_column"),
        ("history.csv", "missing_column"),
        ("manifest.csv", "checksum_differs"),
        ("evaluation.json", "damaged_file"),
    ],
)
@pytest.mark.parametrize("content", ["{", "a,b\n1,2\n", '{"format": "1"}', "[]"])
def test_a_damaged_file_is_named(tmp_path: Path, name: str, content: str, code: ErrorCode) -> None:
    run = build_run(tmp_path)
    (run / name).write_text(content, encoding="utf-8")
    no_number = name.endswith(".json") and content in {'{"format": "1"}', "[]"}
    with raises(RunError, code="wrong_format" if no_number else code):
        write_report(run)
    assert not (run / "report.html").exists()


@pytest.mark.parametrize(
    ("name", "old", "new", "code"),
    [
        ("history.csv", "\n2,1.0,", "\n2,one,", "damaged_file"),
        ("split.csv", ",test,", ",exam,", "damaged_line"),
        ("evaluation.json", '"scores"', '"points"', "checksum_differs"),
        ("evaluation.json", '"confusion": [', '"confusion": [[1], ', "checksum_differs"),
    ],
)
def test_a_damaged_value_is_named(tmp_path: Path, name: str, old: str, new: str, code: ErrorCode) -> None:
    run = build_run(tmp_path)
    content = (run / name).read_text(encoding="utf-8")
    assert old in content
    (run / name).write_text(content.replace(old, new), encoding="utf-8")
    with raises(RunError, code=code):
        write_report(run)


def test_damaged_predictions_are_named(tmp_path: Path) -> None:
    run = build_run(tmp_path)
    (run / "predictions.parquet").write_bytes(b"PAR1 nothing")
    with raises(RunError, code="damaged_file", naming="predictions.parquet"):
        write_report(run)


def test_a_newer_run_is_refused(tmp_path: Path) -> None:
    run = build_run(tmp_path)
    (run / "config.json").write_text('{"format": 99}')
    with raises(RunError, code="newer_version"):
        write_report(run)


def test_no_run_at_all(tmp_path: Path) -> None:
    with raises(RunError, code="not_found", naming="config.json"):
        write_report(tmp_path / "nothing")


def test_writing_a_report_imports_no_torch(tmp_path: Path) -> None:
    run = build_run(tmp_path)
    code = (
        "import sys; from pathlib import Path; from distingo.report.pages.run import write_report;"
        "write_report(Path(sys.argv[1])); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(run)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
