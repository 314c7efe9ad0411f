"""Sorting images into class folders and undoing it, also after interruptions."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from distingo.errors import DataError, UsageError
from distingo.messages.notes import note
from distingo.prediction.outputs import Sorter, Sorting
from distingo.prediction.sort_journal import SORT_JOURNAL, SortAs, undo_sorting
from distingo.scores import Prediction
from raising import raises

CLASSES = ("red", "T-shirt/top", "Red", "unknown", "..", "猫")


def tree(folder: Path) -> dict[str, tuple[str, bytes]]:
    """Everything below a folder: kind and content."""
    return {
        path.relative_to(folder).as_posix(): (
            ("link", os.fsencode(path.readlink()))
            if path.is_symlink()
            else ("folder", b"")
            if path.is_dir()
            else ("file", path.read_bytes())
        )
        for path in folder.rglob("*")
    }


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name in ("a.jpg", "b.jpg", "c.jpg", "sub/a.jpg", "sub/A.JPG", "d.jpg", "猫.jpg"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name, "utf-8")
    return tmp_path / "photos"


def predictions(photos: Path) -> list[Prediction]:
    said = {
        "a.jpg": "red",
        "sub/a.jpg": "red",
        "sub/A.JPG": "red",
        "b.jpg": "T-shirt/top",
        "c.jpg": "..",
        "猫.jpg": "猫",
    }
    return [
        *(Prediction(str(photos / name), (label,), (0.9,)) for name, label in said.items()),
        Prediction(str(photos / "d.jpg"), ("red",), (0.4,), abstained=True),
        Prediction(str(photos / "broken.jpg"), (), (), "no picture"),
    ]


def sort(photos: Path, folder: Path, sort_as: SortAs = "copy", *, dry_run: bool = False, model: str = "m") -> Sorter:
    with Sorter(Sorting(folder, sort_as, dry_run=dry_run), CLASSES, model) as sorter:
        for prediction in predictions(photos):
            sorter.add(prediction)
    return sorter


@pytest.mark.parametrize("sort_as", ["copy", "link"])
def test_every_image_is_in_the_folder_of_its_class(photos: Path, tmp_path: Path, sort_as: SortAs) -> None:
    before = tree(tmp_path)
    sorter = sort(photos, tmp_path / "sorted", sort_as)
    made = {
        "T-shirt-top/b.jpg": "b.jpg",
        "red/a.jpg": "a.jpg",
        "red/a-2.jpg": "sub/a.jpg",
        "red/A-3.JPG": "sub/A.JPG",
        "unnamed/c.jpg": "c.jpg",
        "猫/猫.jpg": "猫.jpg",
    }
    found = {
        name: path.read_text("utf-8")
        for path in (tmp_path / "sorted").rglob("*.[jJ]*")
        if (name := path.relative_to(tmp_path / "sorted").as_posix()) != SORT_JOURNAL
    }
    unknown = next(name for name in found if name.startswith("unknown-"))  # "unknown" is a class of its own
    assert found.pop(unknown) == "d.jpg"
    assert found == made
    assert sorter.counts == {"red": 3, "T-shirt-top": 1, "unnamed": 1, "猫": 1, unknown.partition("/")[0]: 1}
    assert all(path.is_symlink() == (sort_as == "link") for path in (tmp_path / "sorted").glob("*/*"))
    assert undo_sorting(tmp_path / "sorted").removed == 7
    assert tree(tmp_path) == before


def test_several_labels_are_several_folders(photos: Path, tmp_path: Path) -> None:
    with Sorter(Sorting(tmp_path / "s", "link"), CLASSES, "m") as sorter:
        sorter.add(Prediction(str(photos / "a.jpg"), ("red", "猫"), (0.9, 0.8), given=("red", "猫")))
        assert [path.relative_to(tmp_path / "s").as_posix() for path in sorter.latest] == ["red/a.jpg", "猫/a.jpg"]
        sorter.add(Prediction(str(photos / "b.jpg"), (), (), given=()))
        sorter.add(Prediction(str(photos / "c.jpg"), (), (), given=(), abstained=True))
    assert sorter.counts["no-label"] == 1
    assert {path.parent.name for path in (tmp_path / "s").glob("*/*")} > {"red", "猫", "no-label"}


def test_a_dry_run_plans_the_same_and_writes_nothing(photos: Path, tmp_path: Path) -> None:
    planned = []
    with Sorter(Sorting(tmp_path / "s", "copy", dry_run=True), CLASSES, "m") as sorter:
        for prediction in predictions(photos):
            sorter.add(prediction)
            planned += sorter.latest
    assert not (tmp_path / "s").exists()
    sort(photos, tmp_path / "s")
    assert sorted(planned) == sorted((tmp_path / "s").glob("*/*"))


def test_folders_above_that_were_made_go_too(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    sort(photos, tmp_path / "a" / "b" / "c")
    undo_sorting(tmp_path / "a" / "b" / "c")
    assert list((tmp_path / "a").iterdir()) == []


def test_nothing_of_a_person_s_is_overwritten_or_removed(photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "s"
    (folder / "red").mkdir(parents=True)
    (folder / "red" / "a.jpg").write_text("a person's")
    (folder / "猫").mkdir()
    before = tree(folder)
    sort(photos, folder)
    assert (folder / "red" / "a.jpg").read_text() == "a person's"
    assert (folder / "red" / "a-2.jpg").read_text() == "a.jpg"
    undo_sorting(folder)
    assert tree(folder) == before


def test_what_was_changed_since_stays(photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "s"
    sort(photos, folder)
    (folder / "red" / "a.jpg").write_text("painted over")
    (folder / "red" / "note.txt").write_text("a person's")
    (photos / "b.jpg").unlink()
    (photos / "c.jpg").write_text("another picture now")
    undone = undo_sorting(folder)
    assert (undone.removed, dict(undone.left)["red/a.jpg"]) == (4, note("changed-since-placed"))
    assert dict(undone.left)["T-shirt-top/b.jpg"].code == "only-copy"
    assert dict(undone.left)["unnamed/c.jpg"].code == "only-copy"
    assert {name for name, (kind, _) in tree(folder).items() if kind == "file"} == {
        "red/a.jpg",
        "red/note.txt",
        "T-shirt-top/b.jpg",
        "unnamed/c.jpg",
        SORT_JOURNAL,
    }
    (photos / "b.jpg").write_text("b.jpg")
    assert undo_sorting(folder).removed == 1


def test_a_link_that_leads_elsewhere_now_stays(photos: Path, tmp_path: Path) -> None:
    sort(photos, tmp_path / "s", "link")
    link = tmp_path / "s" / "red" / "a.jpg"
    link.unlink()
    link.symlink_to(photos / "b.jpg")
    assert undo_sorting(tmp_path / "s").left == (("red/a.jpg", note("another-link-now")),)
    assert link.is_symlink()


def test_the_same_again_changes_nothing_and_new_images_are_added(photos: Path, tmp_path: Path) -> None:
    before = tree(tmp_path)
    sort(photos, tmp_path / "s")
    once = tree(tmp_path / "s")
    assert sort(photos, tmp_path / "s").counts["red"] == 3
    assert tree(tmp_path / "s") == once
    (tmp_path / "s" / "red" / "a-2.jpg").unlink()
    sort(photos, tmp_path / "s")
    assert tree(tmp_path / "s") == once
    with raises(UsageError, code="changed_options", parameter="sort_into"):
        sort(photos, tmp_path / "s", model="another")
    with raises(UsageError, code="changed_options", parameter="sort_into"):
        sort(photos, tmp_path / "s", "link")
    undo_sorting(tmp_path / "s")
    assert tree(tmp_path) == before


def test_a_copy_that_a_kill_left_unfinished_goes_with_the_next_run(photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "s"
    sort(photos, folder)
    once = tree(folder)
    (folder / "red" / "a.jpg").rename(folder / "red" / ".a.jpg.abcd_123.partial")
    sort(photos, folder)
    assert tree(folder) == once
    (folder / "red" / "a.jpg").rename(folder / "red" / ".a.jpg.abcd_123.partial")
    undo_sorting(folder)
    assert not folder.exists()


def test_a_folder_that_nothing_was_sorted_into_is_refused(tmp_path: Path) -> None:
    with raises(DataError, code="not_found"):
        undo_sorting(tmp_path)
    sort(tmp_path, tmp_path / "s")
    journal = tmp_path / "s" / SORT_JOURNAL
    (tmp_path / "mine.jpg").symlink_to("x")
    for path in ("../mine.jpg", "red/../../mine.jpg", "/mine.jpg", "mine.jpg"):
        with journal.open("a") as file:
            file.write(json.dumps({"source": "x", "path": path, "label": "", "content": ""}) + "\n")
        with raises(DataError, code="damaged_file"):
            undo_sorting(tmp_path / "s")
        journal.write_text(journal.read_text().rpartition("{")[0])
    assert (tmp_path / "mine.jpg").is_symlink()
    (tmp_path / SORT_JOURNAL).write_text("{}\n")
    with raises(DataError, code="damaged_file", naming="line 1"):
        undo_sorting(tmp_path)


KILLED = """
import sys
from pathlib import Path
from distingo.prediction.outputs import Sorter, Sorting
from distingo.scores import Prediction
photos, folder, way = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
print("ready", flush=True)
with Sorter(Sorting(folder, way), ("red", "blue"), "m") as sorter:
    for at, path in enumerate(sorted(photos.iterdir())):
        sorter.add(Prediction(str(path), (("red", "blue")[at % 2],), (0.9,)))
"""


@pytest.mark.parametrize(("sort_as", "seconds"), [("copy", 0.0), ("copy", 0.05), ("link", 0.0)])
def test_killed_in_the_middle_it_is_undone_or_gone_on_with(tmp_path: Path, sort_as: SortAs, seconds: float) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for at in range(300):
        (photos / f"{at:03}.jpg").write_bytes(os.urandom(100_000))
    before = tree(tmp_path)
    words = [sys.executable, "-c", KILLED, str(photos), str(tmp_path / "s"), sort_as]
    process = subprocess.Popen(words, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    while not any((tmp_path / "s").glob("*/*")):
        assert process.poll() is None
        time.sleep(0.001)
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    shutil.copytree(tmp_path / "s", tmp_path / "t", symlinks=True)
    undone = undo_sorting(tmp_path / "s")
    assert undone.left == ()
    shutil.move(tmp_path / "t", tmp_path.with_name(f"{tmp_path.name}-t"))
    assert tree(tmp_path) == before
    shutil.move(tmp_path.with_name(f"{tmp_path.name}-t"), tmp_path / "s")
    subprocess.run(words, check=True, capture_output=True)
    sorted_now = {path.name: path.read_bytes() for path in (tmp_path / "s").glob("*/*.jpg")}
    assert sorted_now == {path.name: path.read_bytes() for path in photos.iterdir()}
    undo_sorting(tmp_path / "s")
    assert tree(tmp_path) == before
