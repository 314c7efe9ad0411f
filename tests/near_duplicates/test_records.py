from pathlib import Path

from scenes import draw_scene

import distingo
from distingo.cli import main
from distingo.curation.check import read_check
from distingo.near_duplicates.search import NearDuplicateSearch, describe_search, record_search
from distingo.records import LabeledImage, Source


def images(*sides: int) -> list[LabeledImage]:
    return [LabeledImage(Source(f"{at}", Path()), ("a",), str(at), str(at), 99, side) for at, side in enumerate(sides)]


def draw(folder: Path, count: int, first: int) -> Path:
    folder.mkdir(parents=True)
    for at in range(count):
        draw_scene(first + at).save(folder / f"{at}.png")
    return folder


def test_small_images_are_counted_in_both_data_sets():
    assert record_search(images(64, 63), images(28), 0.8) == NearDuplicateSearch(
        images=2, against=1, small=2, similarity=0.8, full_side=64, symmetries=8, kept_from=0.6
    )


def test_the_search_is_told_in_one_sentence():
    assert describe_search(record_search(images(64, 64), (), 0.8)) == (
        "near-duplicates were searched for among 2 images, under 8 symmetries (turned by quarters and mirrored), from "
        "a similarity of 0.8 on"
    )
    assert describe_search(record_search(images(64, 63), images(64), 0.75)) == (
        "near-duplicates were searched for among 2 images, and between these and 1 of the other data set, under 8 "
        "symmetries (turned by quarters and mirrored), from a similarity of 0.75 on; smaller than 64 pixels, so that "
        "only nearly equal ones are found: 1"
    )


def test_a_check_records_the_search_and_a_moved_threshold(tmp_path, capsys):
    draw(tmp_path / "data" / "a", 3, 0)
    draw(tmp_path / "data" / "b", 2, 100)
    draw(tmp_path / "other" / "a", 4, 200)
    draw(tmp_path / "other" / "b", 2, 300)
    folder = tmp_path / "check"
    found = distingo.check(tmp_path / "data", folder, against=tmp_path / "other", model="none")
    assert found.near_duplicates == NearDuplicateSearch(images=5, against=6, small=0, similarity=0.8)
    assert read_check(folder).near_duplicates == found.near_duplicates
    capsys.readouterr()
    assert main(["check", "-o", str(folder), "--threshold", "near-duplicate=0.9"]) == 0
    out_of_fold = "searched for among 5 images, and between these and 6 of the other data set"
    console = capsys.readouterr().out
    assert out_of_fold in console
    assert "from a similarity of 0.9 on" in console
    page = (folder / "check.html").read_text(encoding="utf-8")
    assert out_of_fold in page
    assert "from a similarity of 0.9 on" in page
    assert main(["check", "-o", str(folder)]) == 0
    assert "from a similarity of 0.9 on" in capsys.readouterr().out
