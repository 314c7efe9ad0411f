from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scenes import COPIES, brighten, crop, draw_scene, halve, mirror, recompress

import distingo
from distingo.cli import main
from distingo.curation.check import read_check
from distingo.near_duplicates.search import (
    NearDuplicateSearch,
    describe_search,
    find_copies,
    group_copies,
    record_search,
)
from distingo.near_duplicates.signatures import SYMMETRIES, sign, turn
from distingo.records import LabeledImage, Source


class Held:
    """Signatures in memory."""

    def __init__(self, images):
        self._rows = np.stack([sign(image) for image in images]) if images else np.empty((0, 64, 64), np.uint8)

    def __len__(self):
        return len(self._rows)

    def take(self, indices):
        return self._rows[indices]


def test_every_copy_is_found_among_strangers():
    scenes = [draw_scene(seed) for seed in range(40)]
    copies = [change(scenes[at]) for at, change in enumerate(COPIES)]
    pairs = find_copies(Held([*scenes, *copies]), [64] * 45)
    assert {(pair.first, pair.second) for pair in pairs} == {(at, 40 + at) for at in range(5)}
    assert [pair.symmetry for pair in pairs if pair.first == COPIES.index(mirror)] == [1]
    assert all(pair.similarity > 0.85 for pair in pairs)
    assert [pair.similarity for pair in pairs] == sorted((pair.similarity for pair in pairs), reverse=True)


@pytest.mark.parametrize("symmetry", SYMMETRIES)
def test_every_symmetry_is_found_with_every_change(symmetry):
    scenes = [draw_scene(seed) for seed in range(30)]
    copies = [change(scenes[at]) for at, change in enumerate((halve, recompress, crop, brighten, lambda image: image))]
    turned = [Image.fromarray(turn(np.array(copy.convert("L"))[None], np.array([symmetry]))[0]) for copy in copies]
    pairs = find_copies(Held([*scenes, *turned]), [64] * 35)
    assert {(pair.first, pair.second): pair.symmetry for pair in pairs} == {(at, 30 + at): symmetry for at in range(5)}
    assert all(pair.similarity > 0.85 for pair in pairs)


def test_the_number_of_threads_changes_nothing():
    scenes = [draw_scene(seed) for seed in range(12)]
    held = Held([*scenes, *(crop(scene) for scene in scenes)])
    assert find_copies(held, [64] * 24, workers=1) == find_copies(held, [64] * 24, workers=3)


def test_small_images_must_be_nearly_equal():
    scenes = [draw_scene(seed, 28) for seed in range(10)]
    images = [*scenes, crop(scenes[0]).resize((28, 28)), scenes[1].copy()]
    pairs = find_copies(Held(images), [28] * 12)
    assert [(pair.first, pair.second) for pair in pairs] == [(1, 11)]


@pytest.mark.parametrize("symmetry", SYMMETRIES)
def test_copies_smaller_than_a_signature_are_found_without_the_detail_that_they_lost(symmetry):
    scenes = [draw_scene(seed, 100) for seed in range(20)]
    small = [scene.resize((50, 50), Image.Resampling.LANCZOS) for scene in scenes[:5]]
    turned = [Image.fromarray(turn(np.array(copy.convert("L"))[None], np.array([symmetry]))[0]) for copy in small]
    pairs = find_copies(Held([*scenes, *turned]), [100] * 20 + [50] * 5)
    assert {(pair.first, pair.second): pair.symmetry for pair in pairs} == {(at, 20 + at): symmetry for at in range(5)}
    assert all(pair.similarity > 0.8 for pair in pairs)


def test_further_pairs_are_looked_at_closely():
    scene = draw_scene(5, 256)
    part = scene.crop((40, 40, 216, 216))
    crowd = [draw_scene(seed) for seed in range(100, 120)]
    held = Held([scene, part, *crowd])
    found = find_copies(held, [64] * 22, further=[(0, 1)])
    assert (found[0].first, found[0].second) == (0, 1)


def test_none_or_one_image_has_no_copy():
    assert find_copies(Held([]), []) == ()
    assert find_copies(Held([draw_scene(0)]), [64]) == ()


def test_groups_are_named_by_their_first_member():
    assert group_copies([(1, 3), (3, 4), (0, 5)], 7).tolist() == [0, 1, 2, 1, 1, 0, 6]
    assert group_copies([], 3).tolist() == [0, 1, 2]


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
