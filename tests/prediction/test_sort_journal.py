"""Undoing the sorting of an untrusted folder changes nothing outside it."""

from __future__ import annotations

import json
import os
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from distingo.errors import DataError, DistingoError
from distingo.files import content_hash
from distingo.messages.notes import note
from distingo.prediction.outputs import Sorter, Sorting
from distingo.prediction.sort_journal import SORT_JOURNAL, undo_sorting
from distingo.scores import Prediction
from raising import raises


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / "photos" / name).write_bytes(name.encode())
    with Sorter(Sorting(tmp_path / "s", "copy"), ("red", "blue"), "m") as sorter:
        for name, label in (("a.jpg", "red"), ("b.jpg", "blue")):
            sorter.add(Prediction(str(tmp_path / "photos" / name), (label,), (1.0,)))
    return tmp_path


def everything(folder: Path) -> dict[str, object]:
    return {os.path.relpath(path, folder): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def lines_of(home: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (home / "s" / SORT_JOURNAL).read_text().splitlines()]


def write(home: Path, lines: list[Any]) -> None:
    (home / "s" / SORT_JOURNAL).write_text("".join(json.dumps(line) + "\n" for line in lines))


def placement(home: Path, path: object, **more: Any) -> dict[str, Any]:
    source = home / "photos" / "a.jpg"
    return {"source": str(source), "path": path, "label": "x", "content": content_hash(b"a.jpg"), **more}


@pytest.mark.parametrize(
    "path",
    ["../photos/a.jpg", "/x/a.jpg", "red/../../photos/a.jpg", "a.jpg", "C:/a.jpg", "red/./a.jpg", 7, None, "a\0/b"],
)
def test_a_path_that_leads_elsewhere_stops_everything(home: Path, path: object) -> None:
    write(home, [*lines_of(home), placement(home, path)])
    before = everything(home)
    with raises(DataError, code="damaged_file", naming="line 6"):
        undo_sorting(home / "s")
    assert everything(home) == before


def test_a_class_folder_that_is_a_link_is_refused(home: Path) -> None:
    (home / "s" / "link").symlink_to(home / "photos")
    write(home, [*lines_of(home), placement(home, "link/a.jpg")])
    before = everything(home)
    with raises(DataError, code="damaged_file", naming=("link/a.jpg", "'link'")):
        undo_sorting(home / "s")
    with raises(DataError, code="damaged_file"):
        Sorter(Sorting(home / "s", "copy"), ("red", "blue"), "m")
    assert everything(home) == before


def test_the_image_itself_is_never_taken_for_its_copy(home: Path) -> None:
    mine = home / "s" / "red" / "mine.jpg"
    mine.write_bytes(b"a.jpg")
    write(home, [*lines_of(home), placement(home, "red/mine.jpg", source=str(mine))])
    ((name, why),) = undo_sorting(home / "s").left
    assert (name, mine.read_bytes()) == ("red/mine.jpg", b"a.jpg")
    assert why == note("only-copy-same-file", file=str(mine))


def test_folders_above_are_only_removed_by_who_made_them(home: Path) -> None:
    folder = home / "empty" / "s"
    folder.mkdir(parents=True)
    for made in (9, [folder.stat().st_ino, 1, 2, 3]):
        folder.mkdir(exist_ok=True)
        head = {"distingo sorting": 1 if made == 9 else 2, "way": "link", "model": "m", "made": made}
        (folder / SORT_JOURNAL).write_text(json.dumps(head) + "\n")
        undo_sorting(folder)
        assert not folder.exists()
        assert folder.parent.is_dir()


def test_two_hundred_tampered_journals(home: Path) -> None:
    rng = random.Random(16)
    lines, refused = lines_of(home), 0
    values: list[Any] = [
        "../photos/a.jpg",
        "/",
        "",
        None,
        1,
        [],
        {},
        "photos/a.jpg",
        "red/../x",
        "link",
        "a" * 300,
        True,
    ]
    for number in range(200):
        copy = home.parent / f"{home.name}-{number}"
        shutil.copytree(home, copy)
        text = json.dumps(lines).replace(str(home), str(copy))
        changed = json.loads(text)
        for _ in range(rng.randint(1, 3)):
            line = rng.choice(changed)
            line[rng.choice([*line, "extra"])] = rng.choice(values)
        write(copy, changed)
        before = everything(copy)
        try:
            undo_sorting(copy / "s")
        except DistingoError:
            refused += 1
            assert everything(copy) == before
        assert {name: content for name, content in everything(copy).items() if name.startswith("photos")} == {
            name: content for name, content in before.items() if name.startswith("photos")
        }
        shutil.rmtree(copy)
    assert 100 < refused <= 200
