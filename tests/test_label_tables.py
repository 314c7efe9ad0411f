"""Tables of labels from other machines and programs, from the command line to the run folder."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from PIL import Image

from distingo.cli import main
from note_texts import stored_texts

COLORS = {"cat": (200, 60, 50), "dog": (50, 90, 200)}


def draw(path: Path, label: str, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    red, green, blue = COLORS[label]
    Image.new("RGB", (12, 12), (red - number, green, blue - number)).save(path)


def manifest(run: Path) -> dict[str, dict[str, str]]:
    with (run / "manifest.csv").open(encoding="utf-8", newline="") as file:
        return {row["file"]: row for row in csv.DictReader(file)}


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setenv("DISTINGO_CACHE", str(tmp_path_factory.mktemp("cache")))


def test_moved_paths_never_take_another_splits_files(tmp_path: Path) -> None:
    data, run = tmp_path / "data", tmp_path / "run"
    labels = {at: ("cat", "dog")[at % 2] for at in range(12, 36)}
    for at in range(12, 20):
        draw(data / "test" / f"{at}.png", "dog", at)
    for at in range(20, 36):
        draw(data / "train" / f"{at}.png", labels[at], at)
    lines = [f"C:\\Users\\me\\data\\train\\{at}.png;{label}\r\n" for at, label in labels.items()]
    (data / "labels.csv").write_bytes(("path;label\r\n" + "".join(lines)).encode("utf-16"))
    assert main(["train", str(data / "labels.csv"), "-o", str(run), "--model", "majority"]) == 0
    rows = manifest(run)
    assert {file: row["labels"] for file, row in rows.items() if row["status"] == "used"} == {
        f"train/{at}.png": labels[at] for at in range(20, 36)
    }
    assert sorted(row["lines"] for row in rows.values() if row["status"] == "missing") == sorted(
        str(at - 10) for at in range(12, 20)
    )
    assert {row["status"] for file, row in rows.items() if file.startswith("test/")} == {"ignored"}
    choices = json.loads((run / "config.json").read_text("utf-8"))["choices"]
    choices = stored_texts(choices)
    assert "paths under C:/Users/me/data/train were read under train/: 16 of 24 are there" in choices


def test_options_are_kept_for_later_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, run = tmp_path / "data", tmp_path / "run"
    lines = []
    for at in range(24):
        draw(data / "my pictures" / f"{at}.png", ("cat", "dog")[at % 2], at)
        lines.append(f"my%20pictures/{at}.png,{at % 2 + 5 if at < 20 else f'{at % 2 + 5}.0'}\n")
    (data / "labels.csv").write_text("".join(lines), encoding="utf-8")
    (data / "names").write_text("a\nb\nc\nd\ne\ncat\ndog\n", encoding="utf-8")
    capsys.readouterr()
    page = ["--no-map", "-o", str(tmp_path / "page.html")]
    assert main(["inspect", str(data), *page]) == 0
    said = capsys.readouterr().out
    assert "24 usable pictures" in said
    assert "labels that differ only in number format: '5' (10), '5.0' (2) lines; --merge-labels spelling" in said
    assert "24 names fit only without their percent signs" in said
    options = ["--no-header", "--merge-labels", "spelling"]
    assert main(["train", str(data), "-o", str(run), "--model", "majority", *options]) == 0
    config = json.loads((run / "config.json").read_text("utf-8"))
    assert config["classes"] == ["5", "6"]
    assert config["table"] == {"header": False, "merge_labels": "spelling"}
    before = (run / "evaluation.json").read_bytes()
    assert main(["evaluate", str(run)]) == 0
    assert (run / "evaluation.json").read_bytes() == before
    assert main(["evaluate", str(run), str(data), *options]) == 0
    assert main(["evaluate", str(run), str(data)]) == 1  # 5.0 is then a class of its own
    capsys.readouterr()
    assert main(["inspect", str(data), *page, *options, "--class-names", "names"]) == 0
    said = capsys.readouterr().out
    assert "the numbers of classes are named by names: 0 is 'a'" in said
    assert ["cat", "12"] in [line.split() for line in said.splitlines()]


def test_header_and_class_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for at in range(6):
        draw(tmp_path / "Cat" / f"{at}.png", "cat", at)
        draw(tmp_path / "cat " / f"{at}.png", "cat", at + 20)
        draw(tmp_path / "dog" / f"{at}.png", "dog", at)
    page = ["--no-map", "-o", str(tmp_path.parent / f"{tmp_path.name}.html")]
    assert main(["inspect", str(tmp_path), *page]) == 0
    assert "labels that differ only in case and spaces: 'Cat' (6), 'cat ' (6) files" in capsys.readouterr().out
    assert (
        main(
            [
                "train",
                str(tmp_path),
                "-o",
                str(tmp_path.parent / "merged"),
                "--model",
                "majority",
                "--merge-labels",
                "spelling",
            ]
        )
        == 0
    )
    config = json.loads((tmp_path.parent / "merged" / "config.json").read_text("utf-8"))
    assert config["classes"] == ["Cat", "dog"]
    assert config["table"] == {"merge_labels": "spelling"}
    assert main(["inspect", str(tmp_path), *page, "--header"]) == 2
    assert "holds no table for --header" in capsys.readouterr().err
