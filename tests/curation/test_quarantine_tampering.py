"""A quarantine that comes from anywhere: nothing outside it and the data set is moved, removed or made."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distingo.curation.planning import plan_cleaning
from distingo.curation.quarantine import JOURNAL_NAME, apply_plan, choose_quarantine, undo
from distingo.errors import DataError, DistingoError, UsageError, quote
from raising import raises
from trees import draw, found

NAMES = ("a/1.png", "a/2.png", "b/3.png")


def everything(folder: Path) -> dict[str, object]:
    """Every file, folder and link below a folder."""
    return {
        os.path.relpath(path, folder): str(path.readlink())
        if path.is_symlink()
        else path.read_bytes()
        if path.is_file()
        else None
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A quarantine next to its data set, and what is a person's next to both."""
    root = draw(tmp_path / "data", *NAMES, "a/stays.png")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "mine.png").write_bytes(b"mine")
    place = choose_quarantine(root)
    apply_plan(plan_cleaning(root, [found(root, "dark", name) for name in NAMES]), place)
    return place


def lines_of(place: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (place / JOURNAL_NAME).read_text().splitlines()]


def write(place: Path, lines: list[Any]) -> None:
    (place / JOURNAL_NAME).write_text("".join(json.dumps(line) + "\n" for line in lines))


HOSTILE_PATHS: tuple[object, ...] = (
    "../../outside/mine.png",
    "../../../outside/mine.png",
    "a/../../../outside/mine.png",
    "/etc/passwd",
    "C:/Windows/x.png",
    "c:mine.png",
    "",
    ".",
    "..",
    "a/",
    "a//1.png",
    "./a/1.png",
    "a\0.png",
    "a/\ud800.png",
    JOURNAL_NAME,
    None,
    1,
    True,
    ["a/1.png"],
    {"a": 1},
)


@pytest.mark.parametrize("path", HOSTILE_PATHS, ids=repr)
def test_a_hostile_path_stops_everything(place: Path, tmp_path: Path, path: object) -> None:
    lines = lines_of(place)
    write(place, [*lines, {"moving": path, "content": ""}])
    before = everything(tmp_path)
    with raises(DataError, code="damaged_file", naming="journal.jsonl") as caught:
        undo(place)
    assert "\n" not in str(caught.value)
    assert str(caught.value).isascii()
    assert everything(tmp_path) == before


def test_every_fault_has_its_line(place: Path) -> None:
    lines = lines_of(place)
    write(place, [lines[0], {"moving": "../x", "content": ""}, {"moving": "/y", "content": ""}, 7, {"content": "z"}])
    with raises(DataError, code="damaged_file") as caught:
        undo(place)
    shown = [line.partition("journal.jsonl: ")[2] for line in str(caught.value).splitlines()]
    assert shown == [
        "line 2 is damaged ('../x' does not lead straight down)",
        "line 3 is damaged ('/y' is no relative path)",
        "line 4 is damaged (is no JSON object)",
        "line 5 is damaged (is of no known kind); nothing was moved",
    ]


def test_a_file_that_is_named_twice_or_as_a_folder_is_refused(place: Path) -> None:
    lines = lines_of(place)
    moves = [line for line in lines if "moving" in line]
    write(place, [*lines, moves[0]])
    with raises(DataError, code="damaged_file", naming="a/1.png"):
        undo(place)
    write(place, [*lines, {"moving": "a", "content": ""}])
    with raises(DataError, code="damaged_file", naming="'a'"):
        undo(place)


@pytest.mark.parametrize("split", ["data", "quarantine"])
def test_a_linked_folder_is_refused(place: Path, tmp_path: Path, split: str) -> None:
    folder = tmp_path / "data" if split == "data" else place
    shutil.rmtree(folder / "b", ignore_errors=True)
    (tmp_path / "outside" / "3.png").write_bytes(b"mine too")
    (folder / "b").symlink_to(tmp_path / "outside")
    before = everything(tmp_path)
    with raises(DataError, code="cannot_undo", naming=("b/3.png", "'b'")):
        undo(place)
    assert everything(tmp_path) == before


def test_a_link_in_the_quarantine_is_refused(place: Path, tmp_path: Path) -> None:
    (place / "a/1.png").unlink()
    (place / "a/1.png").symlink_to(tmp_path / "outside" / "mine.png")
    before = everything(tmp_path)
    with raises(DataError, code="cannot_undo", naming="a/1.png"):
        undo(place)
    assert everything(tmp_path) == before


def test_a_link_to_the_quarantine_does_not_cost_the_file(place: Path, tmp_path: Path) -> None:
    (tmp_path / "data" / "a" / "1.png").symlink_to(place / "a" / "1.png")
    content = (place / "a" / "1.png").read_bytes()
    assert [entry.file for entry in undo(place).left] == ["a/1.png"]
    assert (place / "a" / "1.png").read_bytes() == content


def test_a_journal_that_is_a_link_is_refused(place: Path, tmp_path: Path) -> None:
    (place / JOURNAL_NAME).rename(tmp_path / "outside" / "journal")
    (place / JOURNAL_NAME).symlink_to(tmp_path / "outside" / "journal")
    before = everything(tmp_path)
    with raises(DataError, code="not_regular_file"):
        undo(place)
    assert everything(tmp_path) == before


def test_the_root_that_a_journal_names_is_not_believed(place: Path, tmp_path: Path) -> None:
    lines = lines_of(place)
    for root in (tmp_path / "outside", tmp_path, place, "/", "relative", ""):
        write(place, [{**lines[0], "root": str(root)}, *lines[1:]])
        before = everything(tmp_path)
        with raises(UsageError, code="missing_argument", parameter="data"):
            undo(place)
        assert everything(tmp_path) == before
    assert len(undo(place, tmp_path / "data").returned) == 3


def test_a_packed_link_of_the_data_set_s_name_is_not_followed(tmp_path: Path) -> None:
    """An archive unpacked next to what is a person's: a link, and a quarantine that lies next to it."""
    (tmp_path / "victim").mkdir()
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "photos").symlink_to("../victim")
    place = tmp_path / "archive" / "photos-quarantine" / "2026"
    names = (".bashrc", ".ssh/authorized_keys")
    for name in names:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(b"evil")
    root = tmp_path / "archive" / "photos"
    write(place, [{"format": 1, "root": str(root)}, *({"moving": name, "content": ""} for name in names)])
    before = everything(tmp_path)
    with raises(UsageError, code="missing_argument", parameter="data") as caught:
        undo(place)
    assert str(caught.value) == (
        f"{place}: its journal names {quote(str(root))}, which leads elsewhere, to {quote(str(tmp_path / 'victim'))}; "
        "name where the pictures came from: distingo clean DATA --undo ..."
    )
    assert everything(tmp_path) == before
    assert undo(place, root).root == tmp_path / "victim"  # a person who names the link means it
    assert {path.name for path in (tmp_path / "victim").iterdir()} == {".bashrc", ".ssh"}


@pytest.mark.parametrize("root", ["data/../data", "other/../data", "link/data", "data/a/..", "data/."])
def test_a_root_that_is_written_in_a_detour_is_not_followed(place: Path, tmp_path: Path, root: str) -> None:
    (tmp_path / "link").symlink_to(".")
    (tmp_path / "other").mkdir()
    lines = lines_of(place)
    write(place, [{**lines[0], "root": f"{tmp_path}/{root}"}, *lines[1:]])
    if root == "data/.":  # the same path to the system, and to us
        assert len(undo(place).returned) == 3
        return
    before = everything(tmp_path)
    with raises(UsageError, code="missing_argument", parameter="data"):
        undo(place)
    assert everything(tmp_path) == before


def test_data_and_quarantine_are_two_folders(place: Path, tmp_path: Path) -> None:
    before = everything(tmp_path)
    for root in (place, place.parent, place / "a", tmp_path):
        with raises(UsageError, code="overlapping_folders", parameter="data"):
            undo(place, root)
    assert everything(tmp_path) == before


@pytest.mark.parametrize(
    "first",
    [
        [],
        {},
        {"format": "1", "root": "/x"},
        {"format": True, "root": "/x"},
        {"format": 1},
        {"format": 1, "root": 7},
        {"format": 1, "root": "a\0"},
    ],
    ids=repr,
)
def test_a_damaged_first_line(place: Path, first: Any) -> None:
    write(place, [first, *lines_of(place)[1:]])
    with raises(DataError, code="damaged_file", naming="line 1"):
        undo(place)


def test_lines_nested_without_end(place: Path) -> None:
    lines = (place / JOURNAL_NAME).read_text()
    (place / JOURNAL_NAME).write_text(lines + "[" * 100_000 + "]" * 100_000 + "\n")
    with raises(DataError, code="damaged_file"):
        undo(place)


def _tamper(rng: random.Random, lines: list[Any], outside: Path) -> list[Any]:
    """One to three changes to a journal, as a stranger or a bad disk would make them."""
    lines = [dict(line) for line in lines]
    paths = [*HOSTILE_PATHS, str(outside / "mine.png"), os.path.relpath(outside / "mine.png", outside.parent / "data")]

    def path() -> Any:
        known = rng.choice(paths)
        if isinstance(known, str) and rng.random() < 0.5:
            return rng.choice(["a/", "b/../", "//", "a/../../", "\\"]) + known
        return known

    kinds: list[Callable[[], Any]] = [
        lambda: lines.insert(rng.randrange(1, len(lines) + 1), {"moving": path(), "content": ""}),
        lambda: rng.choice(lines[1:]).update(moving=path()),
        lambda: rng.choice(lines[1:]).update(content=rng.choice([1, None, "zz", "../x"])),
        lambda: lines[0].update(root=rng.choice([str(outside), "/", "..", 3, None, str(outside.parent)])),
        lambda: lines[0].update(format=rng.choice([2, -1, "x", None, 1.5])),
        lambda: lines.insert(rng.randrange(len(lines) + 1), rng.choice([1, "x", None, [], {"a": 1}])),
        lambda: lines.pop(rng.randrange(len(lines))),
        lambda: lines.append(rng.choice(lines)),
    ]
    for _ in range(rng.randint(1, 3)):
        if not lines or not all(isinstance(line, dict) for line in lines):
            break
        rng.choice(kinds)()
    return lines


def test_three_hundred_tampered_journals(place: Path, tmp_path: Path) -> None:
    """Each is refused as a whole, or does no more than put files of the quarantine into the data set."""
    rng = random.Random(20261130)
    lines = lines_of(place)
    quarantine_name = place.relative_to(tmp_path)
    refused = 0
    for number in range(300):
        copy = tmp_path.parent / f"{tmp_path.name}-{number}"
        shutil.copytree(tmp_path, copy, symlinks=True)
        here = copy / quarantine_name
        home = [{**lines[0], "root": str(copy / "data")}, *lines[1:]]
        write(here, _tamper(rng, home, copy / "outside"))
        named = rng.random() < 0.5
        before = everything(copy)
        try:
            undo(here, copy / "data" if named else None)
        except DistingoError as error:
            refused += 1
            assert all(line.isprintable() and line.isascii() for line in str(error).splitlines())
            assert everything(copy) == before
        after = everything(copy)
        for name, content in before.items():
            if name.startswith(("outside", "data/")):
                assert after[name] == content
            elif isinstance(content, bytes) and not name.endswith(JOURNAL_NAME):
                inside = os.path.relpath(copy / name, here)
                assert content in (after.get(name), after.get(f"data/{inside}"))
        new = {name for name in after if name not in before}
        assert all(name.removeprefix("data/") in {"a", "b", *NAMES} for name in new), new
        shutil.rmtree(copy)
    assert 200 < refused < 300
