"""Splits: stratified, seeded, honest about too few images."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distingo.datasets.splits.splitting import split_dataset
from distingo.errors import DataError, ErrorCode, RunError, UsageError
from distingo.messages.notes import note
from distingo.records import SPLITS, Dataset, LabeledImage, ManifestRow, Source, Split, SplitName
from distingo.runs.data import read_split, write_split
from note_texts import texts
from raising import raises


def dataset(counts: dict[tuple[str, SplitName | None], int], *, shuffled: int | None = None) -> Dataset:
    images = []
    for (label, split), count in counts.items():
        for number in range(count):
            file = f"{split or 'all'}/{label}/{number:03}.png"
            mark = f"{len(images):032x}"
            images.append(LabeledImage(Source(file, Path("data") / file), (label,), mark, mark, 9, 9, split))
    if shuffled is not None:
        random.Random(shuffled).shuffle(images)
    classes = tuple(sorted({label for label, _ in counts}))
    return Dataset(Path("data"), note("class-folders"), "single-label", classes, tuple(images), ())


def counts_of(split: Split) -> dict[str, dict[str, int]]:
    return {split_name: dict(Counter(image.label for image in split.split(split_name))) for split_name in SPLITS}


def test_every_class_is_shared_out_alike() -> None:
    split = split_dataset(dataset({("a", None): 100, ("b", None): 20}), seed=0)
    assert counts_of(split) == {
        "train": {"a": 65, "b": 13},
        "validation": {"a": 15, "b": 3},
        "test": {"a": 20, "b": 4},
    }


def test_shares_can_be_chosen() -> None:
    split = split_dataset(dataset({("a", None): 10, ("b", None): 10}), seed=0, validation=0.5, test=0.0)
    assert counts_of(split) == {"train": {"a": 5, "b": 5}, "validation": {"a": 5, "b": 5}, "test": {}}


def test_the_same_seed_gives_the_same_split_in_any_order() -> None:
    counts: dict[tuple[str, SplitName | None], int] = {("a", None): 40, ("b", None): 30}
    first = split_dataset(dataset(counts, shuffled=1), seed=7)
    files = [image.source.file for image in first.test]
    again = split_dataset(dataset(counts, shuffled=2), seed=7)
    assert files == [image.source.file for image in again.test]
    other = split_dataset(dataset(counts, shuffled=1), seed=8)
    assert files != [image.source.file for image in other.test]


def test_a_new_class_leaves_the_others_where_they_were() -> None:
    small = split_dataset(dataset({("b", None): 30, ("c", None): 30}), seed=3)
    large = split_dataset(dataset({("a", None): 9, ("b", None): 30, ("c", None): 30}), seed=3)
    for split in SPLITS:
        files = {image.source.file for image in large.split(split) if image.label != "a"}
        assert files == {image.source.file for image in small.split(split)}


def test_a_given_test_set_stays_and_validation_is_cut_from_train() -> None:
    data = dataset({("a", "train"): 20, ("b", "train"): 40, ("a", "test"): 3, ("b", "test"): 5})
    split = split_dataset(data, seed=0)
    assert counts_of(split) == {
        "train": {"a": 17, "b": 34},
        "validation": {"a": 3, "b": 6},
        "test": {"a": 3, "b": 5},
    }
    assert all(image.predefined_split == "test" for image in split.test)
    assert all(image.predefined_split == "train" for image in (*split.train, *split.validation))


def test_a_given_validation_set_stays_and_test_is_cut_from_train() -> None:
    data = dataset({("a", "train"): 10, ("b", "train"): 10, ("a", "validation"): 2, ("b", "validation"): 2})
    split = split_dataset(data, seed=0)
    assert counts_of(split) == {
        "train": {"a": 8, "b": 8},
        "validation": {"a": 2, "b": 2},
        "test": {"a": 2, "b": 2},
    }
    assert all(image.predefined_split == "validation" for image in split.validation)


def test_all_three_given_are_kept_as_they_are() -> None:
    splits: tuple[SplitName, ...] = SPLITS
    data = dataset({(label, split_name): 1 for label in "ab" for split_name in splits})
    split = split_dataset(data, seed=0)
    assert all(image.predefined_split == split_name for split_name in splits for image in split.split(split_name))
    assert sum(len(split.split(split_name)) for split_name in splits) == 6


def test_a_class_without_test_images_is_noted() -> None:
    split = split_dataset(dataset({("a", "train"): 5, ("b", "train"): 5, ("a", "test"): 2}), seed=0)
    assert texts(split.notes) == ("class b has no test picture",)


def test_three_images_are_enough_and_two_are_not() -> None:
    split = split_dataset(dataset({("a", None): 3, ("b", None): 4}), seed=0)
    assert counts_of(split)["train"]["a"] == counts_of(split)["validation"]["a"] == counts_of(split)["test"]["a"] == 1
    with raises(DataError, code="too_few_images", naming="'b'"):
        split_dataset(dataset({("a", None): 3, ("b", None): 2}), seed=0)
    with raises(DataError, code="too_few_images", naming="'b'"):
        split_dataset(dataset({("a", "train"): 3, ("a", "test"): 1, ("b", "train"): 1}), seed=0)


def test_a_class_found_in_test_only_is_named() -> None:
    data = dataset({("a", "train"): 9, ("a", "test"): 1, ("b", "test"): 5})
    with raises(DataError, code="split_incomplete", naming="'b'"):
        split_dataset(data, seed=0)


@pytest.mark.parametrize(
    "options",
    [
        {"test": 1.0},
        {"validation": -0.1},
        {"validation": 0.5, "test": 0.5},
        {"seed": -1},
    ],
)
def test_shares_out_of_range_are_refused(options: dict[str, float]) -> None:
    with raises(UsageError, code="out_of_range"):
        split_dataset(dataset({("a", None): 9}), **({"seed": 0} | options))  # type: ignore[arg-type]


@given(
    st.dictionaries(st.sampled_from("abcde"), st.integers(3, 60), min_size=1),
    st.floats(0.01, 0.6),
    st.floats(0.01, 0.39),
    st.integers(0, 1000),
)
def test_nothing_is_lost_and_every_side_has_every_class(
    counts: dict[str, int], validation: float, test: float, seed: int
) -> None:
    data = dataset({(label, None): count for label, count in counts.items()})
    split = split_dataset(data, seed=seed, validation=validation, test=test)
    divided = [image.content for split_name in SPLITS for image in split.split(split_name)]
    assert sorted(divided) == sorted(image.content for image in data.images)
    for split_name in SPLITS:
        assert {image.label for image in split.split(split_name)} == set(counts)
    for label, count in counts.items():
        assert abs(counts_of(split)["test"][label] - test * count) <= 1


def test_a_split_comes_back_as_it_was(tmp_path: Path) -> None:
    data = dataset({("ä|b", None): 9, ("犬", None): 12})
    split = split_dataset(data, seed=0)
    write_split(split, tmp_path / "split.csv")
    assert read_split(tmp_path / "split.csv", data) == split
    assert (tmp_path / "split.csv").read_text(encoding="utf-8").splitlines()[0] == "file,split,labels"


def test_new_images_are_noted(tmp_path: Path) -> None:
    write_split(split_dataset(dataset({("a", None): 9}), seed=0), tmp_path / "split.csv")
    split = read_split(tmp_path / "split.csv", dataset({("a", None): 11}))
    assert texts(split.notes) == ("2 pictures of the dataset are on no split of split.csv",)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("file,split,labels\nall/a/999.png,train,a\n", "split_differs"),
        ("file,split,labels\nall/a/bad.png,train,a\n", "split_differs"),
        ("file,split,labels\nall/a/000.png,train,a\nall/a/000.png,test,a\n", "duplicate_entry"),
        ("file,split,labels\nall/a/000.png,train,b\n", "split_differs"),
        ("file,split,labels\nall/a/000.png,trial,a\n", "damaged_line"),
        ("file,labels\nall/a/000.png,a\n", "missing_column"),
    ],
)
def test_a_split_that_does_not_fit_is_refused(tmp_path: Path, content: str, code: ErrorCode) -> None:
    data = dataset({("a", None): 9})
    row = ManifestRow("all/a/bad.png", "unusable", note("empty"), ("a",), None, "empty", 0, 0, "")
    data = Dataset(data.root, data.layout, data.task, data.classes, data.images, (row,))
    path = tmp_path / "split.csv"
    path.write_text(content, encoding="utf-8")
    with raises(RunError, code=code):
        read_split(path, data)


def labeled(counts: dict[tuple[str, ...], int], split: SplitName | None = None, start: int = 0) -> list[LabeledImage]:
    numbers = iter(range(start, 10**6))
    return [
        LabeledImage(
            Source(f"{at:05}.png", Path("data") / f"{at:05}.png"), labels, f"{at:032x}", f"{at:032x}", 9, 9, split
        )
        for labels, count in counts.items()
        for at in (next(numbers) for _ in range(count))
    ]


def several(images: list[LabeledImage]) -> Dataset:
    classes = sorted({label for image in images for label in image.labels})
    return Dataset(
        Path("data"), note("table-of-switches", table="t.csv"), "multi-label", tuple(classes), tuple(images), ()
    )


def label_counts(split: Split) -> dict[str, Counter[str]]:
    return {
        split_name: Counter(label for image in split.split(split_name) for label in image.labels)
        for split_name in SPLITS
    }


def test_labels_and_images_without_are_spread() -> None:
    data = several(labeled({("a",): 40, ("a", "b"): 40, ("b", "c"): 10, (): 10}))
    split = split_dataset(data, seed=3)
    assert [len(split.split(split_name)) for split_name in SPLITS] == [65, 15, 20]
    assert sum(len(split.split(split_name)) for split_name in SPLITS) == len(
        {p.content for s in SPLITS for p in split.split(s)}
    )
    counts = label_counts(split)
    for label, count in {"a": 80, "b": 50, "c": 10}.items():
        assert abs(counts["test"][label] - 0.2 * count) <= 1
        assert abs(counts["validation"][label] - 0.15 * count) <= 1
    assert all(any(not image.labels for image in split.split(split_name)) for split_name in SPLITS)
    assert split.notes == ()
    assert split_dataset(several(list(reversed(data.images))), seed=3) == split
    assert split_dataset(data, seed=4) != split


def test_labels_too_rare_to_stratify_are_noted() -> None:
    split = split_dataset(several(labeled({("a",): 40, ("a", "rare"): 2, ("a", "once"): 1})), seed=0)
    assert texts(split.notes) == (
        "label once (1 picture) has none on the validation and test split",
        "label rare (2 pictures) has none on the validation split",
    )


def test_given_sides_are_kept_with_several_labels() -> None:
    test = labeled({("a", "b"): 3, (): 1}, "test")
    train = labeled({("a",): 20, ("b",): 20, ("c", "a"): 6}, "train", start=100)
    split = split_dataset(several(test + train), seed=0)
    assert list(split.test) == test
    assert len(split.validation) == round(0.15 * 46)
    assert {image.predefined_split for image in (*split.train, *split.validation)} == {"train"}
    assert texts(split.notes) == ("label c (6 pictures) has none on the test split",)


def test_two_images_with_labels_are_too_few() -> None:
    with raises(DataError, code="too_few_images"):
        split_dataset(several(labeled({("a",): 1, ("b",): 1})), seed=0)


def test_few_images_are_divided_where_that_is_wished() -> None:
    data = dataset({("a", None): 2, ("b", None): 3, ("c", None): 20})
    split = split_dataset(data, seed=0, few=True)
    assert counts_of(split) == {
        "train": {"a": 1, "b": 1, "c": 13},
        "validation": {"b": 1, "c": 3},
        "test": {"a": 1, "b": 1, "c": 4},
    }
    assert texts(split.notes) == ("class a has no validation picture, as it has only 2 to divide",)
    with raises(DataError, code="too_few_images", naming="'a'"):
        split_dataset(dataset({("a", None): 1, ("b", None): 9}), seed=0, few=True)
    plenty = dataset({("a", None): 30, ("b", None): 12})
    assert split_dataset(plenty, seed=5, few=True) == split_dataset(plenty, seed=5)


def test_a_split_with_several_labels_and_none_comes_back(tmp_path: Path) -> None:
    data = several(labeled({("a|b", "c\\", "d,e\n"): 5, (): 4, ('"',): 5, ("N/A", " x"): 3}))
    split = split_dataset(data, seed=0)
    write_split(split, tmp_path / "split.csv")
    read = read_split(tmp_path / "split.csv", data)
    assert [read.split(split_name) for split_name in SPLITS] == [split.split(split_name) for split_name in SPLITS]


def test_a_label_that_was_taken_away_is_seen(tmp_path: Path) -> None:
    write_split(split_dataset(several(labeled({("a",): 9})), seed=0), tmp_path / "split.csv")
    with raises(RunError, code="split_differs"):
        read_split(tmp_path / "split.csv", several(labeled({(): 9})))
