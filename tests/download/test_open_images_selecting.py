from __future__ import annotations

import random

from distingo.download.open_images import Selection, select_pictures


def taken(selection: Selection) -> dict[int, tuple[int, ...]]:
    return {int(picture.identifier, 16): picture.classes for picture in selection.pictures}


def test_a_picture_of_two_classes_is_taken_once_with_both() -> None:
    selection = select_pictures({("train", 0): [3, 1, 1], ("train", 1): [3, 2]}, 2)
    assert taken(selection) == {1: (0,), 2: (1,), 3: (0, 1)}
    assert selection.has_several
    assert selection.found == (2, 2)
    assert [picture.identifier for picture in selection.pictures] == [f"{number:016x}" for number in (1, 2, 3)]


def test_single_leaves_pictures_of_several_classes_out() -> None:
    selection = select_pictures({("train", 0): [1, 3], ("train", 1): [3, 2]}, 2, single=True)
    assert taken(selection) == {1: (0,), 2: (1,)}
    assert selection.dropped == 1
    assert not selection.has_several


def test_a_limit_takes_the_same_pictures_in_whatever_order_the_table_is() -> None:
    ids = list(range(2**63, 2**63 + 1000))
    shuffled = random.Random(1).sample(ids, len(ids))
    first = taken(select_pictures({("train", 0): ids}, 1, limit=50))
    assert len(first) == 50
    assert taken(select_pictures({("train", 0): shuffled}, 1, limit=50)) == first
    assert first.keys() < taken(select_pictures({("train", 0): ids}, 1, limit=60)).keys()
    other = taken(select_pictures({("train", 0): ids}, 1, limit=50, seed=1))
    assert other.keys() != first.keys()
    assert len(other) == 50


def test_the_limit_is_for_all_splits_together_and_each_picture_keeps_its_own() -> None:
    found = {("train", 0): range(100), ("test", 0): range(100, 120), ("validation", 0): range(200, 210)}
    everything = select_pictures(found, 1)
    sides = {int(picture.identifier, 16): picture.split for picture in everything.pictures}
    assert (sides[0], sides[119], sides[200]) == ("train", "test", "validation")
    limited = select_pictures(found, 1, limit=30)
    assert len(limited.pictures) == 30
    assert {int(picture.identifier, 16): picture.split for picture in limited.pictures}.items() <= sides.items()


def test_a_limited_picture_keeps_the_classes_that_it_was_not_taken_for() -> None:
    selection = select_pictures({("train", 0): [7], ("train", 1): range(1000)}, 2, limit=1)
    assert taken(selection)[7] == (0, 1)
    assert len(selection.pictures) <= 2


def test_a_class_without_pictures() -> None:
    selection = select_pictures({("train", 0): [], ("train", 1): [5]}, 2)
    assert taken(selection) == {5: (1,)}
    assert selection.found == (0, 1)
