"""Labels that differ only in how they are written."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from drawing import encode, noise

from distingo.datasets.cache.store import Cache
from distingo.datasets.gathering import read_dataset
from distingo.datasets.layouts.detection import find_layout
from distingo.datasets.options import Reading
from distingo.datasets.tables.labels import describe_variants, find_variants, merged_labels
from distingo.datasets.tables.table import TableOptions
from distingo.records import LabelVariants
from note_texts import texts


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        (("cat", "Cat", "CAT"), "case"),
        (("golf ball", "golf  ball", "golfball", "golf\u00a0ball"), "spaces"),
        (("Straße", "STRASSE"), "case"),
        (("caf\u00e9", "cafe\u0301"), "Unicode form"),
        (("\uff43at", "cat"), "Unicode form"),
        (("golf ball", "Golfball"), "case and spaces"),
        (("\uff43at fish", "Catfish"), "case, spaces and Unicode form"),
        (("1", "1.0", "01", "1.", "+1"), "number format"),
        (("0.5", "0.50"), "number format"),
        (("NA", "nan", "None", "-", "n/a"), "missing value"),
        (("none",), "missing value"),
    ],
)
def test_a_group_is_found_with_its_kind(labels: tuple[str, ...], kind: str) -> None:
    counts = Counter({label: 10 - at for at, label in enumerate(labels)}) + Counter(bird=3, dog=2)
    assert find_variants(counts) == (LabelVariants(kind, tuple((label, counts[label]) for label in labels)),)  # type: ignore[arg-type]


def test_other_labels_are_left_alone() -> None:
    labels = ["1 0", "10", "1.5", "15", "cat", "cats", "no", "nano", "a-b", "ab", "A+", "A-", "x1", "x 2", "0", "00x"]
    assert find_variants(Counter(labels)) == ()


def test_what_is_merged_is_said_with_counts() -> None:
    counts = Counter({"cat": 88, "Cat": 12, "NA": 3, "": 0, "dog": 5})
    del counts[""]
    variants = find_variants(counts)
    assert merged_labels(variants, None) == {}
    assert merged_labels(variants, "spelling") == {"Cat": "cat"}
    assert merged_labels(variants, "missing") == {"NA": ""}
    assert merged_labels(variants, "all") == {"Cat": "cat", "NA": ""}
    assert list(texts(describe_variants(variants, None, "lines"))) == [
        "labels that differ only in case: 'cat' (88), 'Cat' (12) lines; --merge-labels spelling makes them one",
        "labels that may mean no value are classes: 'NA' (3) lines; --merge-labels missing makes them no label",
    ]
    assert list(texts(describe_variants(variants, "all", "lines"))) == [
        "labels that differ only in case are merged into 'cat': 'cat' (88), 'Cat' (12) lines",
        "labels that mean no value are no label: 'NA' (3) lines",
    ]


@pytest.fixture
def table(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        for at in range(text.count("\n") - 1):
            (tmp_path / f"{at}.png").write_bytes(encode(noise(at)))
        (tmp_path / "labels.csv").write_text(text, encoding="utf-8")
        return tmp_path / "labels.csv"

    return write


def test_labels_of_a_table_are_reported_and_merged(
    table: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> None:
    cache = Cache(tmp_path_factory.mktemp("cache"))
    path = table("file,label\n0.png,cat\n1.png,cat \n2.png,Cat\n3.png,dog\n4.png,nan\n5.png,dog\n2.png,cat\n")
    data = read_dataset(path, Reading(cache=cache))
    assert data.classes == ("cat", "dog", "nan")
    assert data.label_variants == (
        LabelVariants("case", (("cat", 3), ("Cat", 1))),
        LabelVariants("missing value", (("nan", 1),)),
    )
    assert [str(row.reason) for row in data.manifest if row.status == "conflict"] == [
        "line 4 says Cat and line 8 says cat"
    ]
    assert texts(data.notes)[2:4] == (
        "labels that differ only in case: 'cat' (3), 'Cat' (1) lines; --merge-labels spelling makes them one",
        "labels that may mean no value are classes: 'nan' (1) lines; --merge-labels missing makes them no label",
    )
    merged = read_dataset(path, Reading(cache=cache, table=TableOptions(merge_labels="all")))
    assert merged.classes == ("cat", "dog")
    assert merged.label_variants == data.label_variants
    assert Counter(image.label for image in merged.images) == {"cat": 3, "dog": 2}
    assert {row.file: str(row.reason) for row in merged.manifest if row.status == "ignored"} == {
        "4.png": "line 6 gives it no label",
        "6.png": "no row of labels.csv names it",
        "labels.csv": "holds the labels",
    }


def test_columns_of_one_label_are_merged(table: Callable[[str], Path]) -> None:
    path = table("file,Cat,cat,dog\n0.png,1,0,0\n1.png,0,1,1\n2.png,1,1,0\n3.png,0,0,1\n")
    assert find_layout(path).classes == ("Cat", "cat", "dog")
    layout = find_layout(path, TableOptions(merge_labels="spelling"))
    assert layout.classes == ("Cat", "dog")
    assert [candidate.labels for candidate in layout.candidates] == [("Cat",), ("Cat", "dog"), ("Cat",), ("dog",)]


def test_class_folders_are_reported_and_merged(class_folders: Callable[..., Path]) -> None:
    root = class_folders({"Cat": 2, "cat ": 3, "dog": 1, "none": 1})
    layout = find_layout(root)
    assert layout.classes == ("Cat", "cat ", "dog", "none")
    assert layout.label_variants == (
        LabelVariants("case and spaces", (("cat ", 3), ("Cat", 2))),
        LabelVariants("missing value", (("none", 1),)),
    )
    assert texts(layout.notes)[0] == (
        "labels that differ only in case and spaces: 'cat ' (3), 'Cat' (2) files; --merge-labels spelling makes them "
        "one"
    )
    layout = find_layout(root, TableOptions(merge_labels="spelling"))
    assert layout.classes == ("cat ", "dog", "none")
    layout = find_layout(root, TableOptions(merge_labels="all"))
    assert layout.classes == ("cat ", "dog")
    assert [(row.file, row.status, str(row.reason)) for row in layout.ignored] == [
        ("none/000.png", "ignored", "is in folder none, which means no label")
    ]


def test_unicode_forms_of_a_label_are_one_from_the_start(table: Callable[[str], Path]) -> None:
    other = unicodedata.normalize("NFD", "é")
    layout = find_layout(table(f"file,label\n0.png,é\n1.png,{other}\n2.png,x\n"))
    assert layout.classes == ("x", "é")
