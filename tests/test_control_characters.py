"""What commands a terminal: escaped in what is shown, refused in names before anything is trained."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest

import distingo
from distingo.cli import main
from distingo.errors import CONTROLS, DataError, DistingoError, escape_controls
from distingo.records import find_name_fault
from raising import raises
from tiny_backbones import write_backbone
from tiny_datasets import draw_classes

REFUSED = (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A))


def test_which_characters_are_controls() -> None:
    """All of Unicode's controls and separators, and the ten that turn the direction of writing around."""
    found = [code for code in range(0x110000) if find_name_fault(chr(code)) == "holds a control character"]
    assert found == list(REFUSED)
    by_category = [code for code in range(0x110000) if unicodedata.category(chr(code)) in {"Cc", "Zl", "Zp"}]
    assert set(by_category) < set(REFUSED)
    turning = {code for code in REFUSED if unicodedata.bidirectional(chr(code)) in {"LRE", "RLE", "LRO", "RLO", "PDF"}}
    assert turning == set(range(0x202A, 0x202F))
    assert CONTROLS.isascii()


def test_controls_are_escaped_and_nothing_else() -> None:
    assert escape_controls("a\x1b[31m\u009bb\u2028\u202e\x00\n") == "a\\x1b[31m\\x9bb\\u2028\\u202e\\x00\n"
    assert escape_controls("a\n\tb", keep="\t") == "a\\n\tb"
    assert escape_controls("é 猫 \u200e \\x1b") == "é 猫 \u200e \\x1b"


@pytest.mark.parametrize("control", ["\x1b", "\u009b", "\u0085", "\u2028", "\u202e", "\u2066"], ids=ascii)
def test_a_class_folder_with_a_control_is_refused_before_training(
    tmp_path: Path, control: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data = draw_classes(tmp_path / "data", names=("cat", "dog"), per_class=4)
    (data / "cat").rename(data / f"c{control}at")
    code = main(["train", str(data), "-o", str(tmp_path / "run"), "--model", "majority"])
    shown = ascii(f"c{control}at")
    assert code == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"distingo: {data}: the name of class {shown} holds a control character; rename it"
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("command", ["train", "crossval"])
def test_a_data_folder_with_a_control_is_refused_before_training(tmp_path: Path, command: str) -> None:
    data = draw_classes(tmp_path / "da\nta", names=("cat", "dog"), per_class=6)
    with raises(DataError, code="invalid_name") as caught:
        if command == "train":
            distingo.train(data, tmp_path / "run", model="majority")
        else:
            distingo.crossval(data, tmp_path / "run", folds=2, model="majority")
    assert str(caught.value) == (
        f"{tmp_path / 'run'}: can't be written down (data: Expected a text without control characters); rename it"
    )
    assert not (tmp_path / "run").exists()


def test_a_backbone_s_folder_with_a_control_is_refused_before_training(tmp_path: Path) -> None:
    data = draw_classes(tmp_path / "data", names=("cat", "dog"), per_class=4)
    weights = write_backbone(tmp_path / "back\x9bbone")
    with raises(DistingoError, code="cannot_write") as caught:
        distingo.train(data, tmp_path / "run", model=f"local-dir:{weights}", cache=tmp_path / "cache")
    assert "can't be saved: backbone: Expected a text without control characters at .name" in str(caught.value)
    assert not (tmp_path / "run").exists()
    assert not (tmp_path / "cache").exists()


def test_an_error_with_a_file_s_name_commands_no_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(tmp_path / "a\x1b[2J\u009b"), str(tmp_path)]) != 0
    shown = capsys.readouterr().err
    assert "a\\x1b[2J\\x9b" in shown
    assert shown.strip().isprintable()


def test_a_stranger_s_run_is_compared_without_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = draw_classes(tmp_path / "data", names=("cat", "dog"), per_class=12)
    for name in ("a", "b"):
        run = tmp_path / name
        distingo.train(data, run, model="majority")
        config = json.loads((run / "config.json").read_text())
        config["recipe"]["model"] = "x\x1b[2J"
        config.pop("checksum", None)
        (run / "config.json").write_text(json.dumps(config))
        (run / "checksums.json").unlink(missing_ok=True)
    main(["compare", str(tmp_path / "a"), str(tmp_path / "b"), "-o", str(tmp_path / "compared")])
    shown = capsys.readouterr()
    assert "\x1b" not in shown.out + shown.err
