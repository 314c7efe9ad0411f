from __future__ import annotations

import random
from pathlib import Path

from distingo.download.imagenet import ARCHIVES
from distingo.download.open_images_tables import OPEN_IMAGES_SPLITS, OpenImagesAddresses, Selection, select_images

SOURCES = Path(__file__).resolve().parents[2] / "docs" / "sources.md"


def test_every_address_that_is_asked_stands_in_the_documentation() -> None:
    documented = SOURCES.read_text(encoding="utf-8")
    addresses = OpenImagesAddresses()
    tables = {addresses.classes(boxable=boxable) for boxable in (True, False)}
    for split in OPEN_IMAGES_SPLITS:
        tables |= {addresses.labels(split), addresses.boxes(split)}
        tables |= {addresses.image_table(split, boxable=boxable) for boxable in (True, False)}
    assert len(tables) == 12
    assert f"<{addresses.tables}/>" in documented
    short = {table: table.removeprefix(f"{addresses.tables}/") for table in tables}
    for split in ("val", "test"):  # written as `-val-`, `-test-` after the first
        assert f"`-{split}-`" in documented
        short = {table: path for table, path in short.items() if f"oidv7-{split}-annotations" not in path}
    for path in short.values():
        assert f"`{path}`" in documented
    assert addresses.image("test", "ID").replace("/test/", "/SPLIT/") in documented
    assert f"{ARCHIVES}/WNID.tar" in documented


def taken(selection: Selection) -> dict[int, tuple[int, ...]]:
    return {int(image.identifier, 16): image.classes for image in selection.images}


def test_a_image_of_two_classes_is_taken_once_with_both() -> None:
    selection = select_images({("train", 0): [3, 1, 1], ("train", 1): [3, 2]}, 2)
    assert taken(selection) == {1: (0,), 2: (1,), 3: (0, 1)}
    assert selection.has_several
    assert selection.counts == (2, 2)
    assert [image.identifier for image in selection.images] == [f"{number:016x}" for number in (1, 2, 3)]


def test_single_leaves_images_of_several_classes_out() -> None:
    selection = select_images({("train", 0): [1, 3], ("train", 1): [3, 2]}, 2, single=True)
    assert taken(selection) == {1: (0,), 2: (1,)}
    assert selection.dropped == 1
    assert not selection.has_several


def test_a_limit_takes_the_same_images_in_whatever_order_the_table_is() -> None:
    ids = list(range(2**63, 2**63 + 1000))
    shuffled = random.Random(1).sample(ids, len(ids))
    first = taken(select_images({("train", 0): ids}, 1, limit=50))
    assert len(first) == 50
    assert taken(select_images({("train", 0): shuffled}, 1, limit=50)) == first
    assert first.keys() < taken(select_images({("train", 0): ids}, 1, limit=60)).keys()
    other = taken(select_images({("train", 0): ids}, 1, limit=50, seed=1))
    assert other.keys() != first.keys()
    assert len(other) == 50


def test_the_limit_is_for_all_splits_together_and_each_image_keeps_its_own() -> None:
    found = {("train", 0): range(100), ("test", 0): range(100, 120), ("validation", 0): range(200, 210)}
    everything = select_images(found, 1)
    splits = {int(image.identifier, 16): image.split for image in everything.images}
    assert (splits[0], splits[119], splits[200]) == ("train", "test", "validation")
    limited = select_images(found, 1, limit=30)
    assert len(limited.images) == 30
    assert {int(image.identifier, 16): image.split for image in limited.images}.items() <= splits.items()


def test_a_limited_image_keeps_the_classes_that_it_was_not_taken_for() -> None:
    selection = select_images({("train", 0): [7], ("train", 1): range(1000)}, 2, limit=1)
    assert taken(selection)[7] == (0, 1)
    assert len(selection.images) <= 2


def test_a_class_without_images() -> None:
    selection = select_images({("train", 0): [], ("train", 1): [5]}, 2)
    assert taken(selection) == {5: (1,)}
    assert selection.counts == (0, 1)
