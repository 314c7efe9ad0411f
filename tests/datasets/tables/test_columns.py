"""Which column of a table names the images: file names go before numbers that happen to name files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from distingo.datasets.tables.columns import recognize_image_column
from distingo.datasets.tables.image_files import ImageFinder
from distingo.datasets.tables.table import Table, TableOptions
from distingo.datasets.walking import FoundFile
from distingo.errors import DataError
from raising import raises

ROOT = Path("/somewhere/data")
COUNT = range(40)
AGAIN = [7 * at % 19 for at in COUNT]  # 19 different images, named by one or several rows
ORDER = [7 * at % 40 for at in COUNT]  # each image once, in another order


def finder(*names: str) -> ImageFinder:
    return ImageFinder(ROOT, [FoundFile(tuple(name.split("/")), ROOT / name) for name in names])


NUMBERED = finder(*(f"images/{at}.jpg" for at in COUNT))


def table(**columns: Sequence[object]) -> Table:
    cells = tuple(tuple(map(str, values)) for values in columns.values())
    return Table(ROOT / "labels.csv", "CSV", "line", tuple(columns), cells, tuple(range(2, 2 + len(cells[0]))))


def jpg(numbers: Sequence[int]) -> list[str]:
    return [f"{number}.jpg" for number in numbers]


LABELS = ["red", "blue"] * 20


@pytest.mark.parametrize(
    ("right", "columns"),
    [
        ("filename", {"column 1": COUNT, "filename": jpg(AGAIN)}),
        ("filename", {"Unnamed: 0": ORDER, "filename": jpg([*ORDER[:30], *range(50, 60)])}),
        ("image", {"annotation_id": COUNT, "image": jpg(AGAIN)}),
        ("image", {"age": ORDER, "image": jpg(AGAIN)}),
        ("image", {"age": ORDER, "image": AGAIN}),
        ("image_id", {"id": COUNT, "image_id": AGAIN}),
        ("file_name", {"id": ORDER, "file_name": jpg(AGAIN)}),
        ("column 2", {"column 1": COUNT, "column 2": jpg(AGAIN)}),
        ("shot", {"index": COUNT, "shot": [f"images/{at}" for at in AGAIN]}),
        ("photo_nr", {"column 1": COUNT, "photo_nr": AGAIN}),
        ("id", {"id": COUNT, "url": [f"https://example.org/{at}.jpg" for at in AGAIN]}),
        ("id", {"id": COUNT, "original": [f"IMG_{at}.jpg" for at in AGAIN]}),
        ("image_id", {"image_id": COUNT, "path": [f"images/{at}.jpg" for at in range(100, 140)]}),
        ("nr", {"nr": ORDER, "stars": [at % 5 for at in COUNT]}),
        ("nr", {"nr": ORDER, "width": [32] * 40}),
        ("image", {"image": jpg(AGAIN), "mask": jpg(ORDER)}),
        ("img", {"img": jpg(AGAIN), "copy": [f"images/{at}.jpg" for at in AGAIN]}),
        ("photo_nr", {"id": [at + 1 for at in COUNT], "photo_nr": ["a.jpg"] * 4 + jpg(AGAIN[4:])}),
    ],
)
def test_the_column_of_images(right: str, columns: dict[str, Sequence[object]]) -> None:
    for names in (list(columns), list(reversed(columns))):
        found = recognize_image_column(
            table(**{name: columns[name] for name in names}, label=LABELS), TableOptions(), NUMBERED
        )
        assert found == right, names


@pytest.mark.parametrize(
    "columns",
    [
        {"front": jpg(AGAIN), "back": jpg(ORDER)},
        {"id": COUNT, "photo_nr": ORDER, "crop": ["x"] * 40} | {"image_id": ORDER, "img": AGAIN},
        {"column 1": COUNT, "filename": jpg([*AGAIN[:5], *range(100, 135)])},
        {"column 1": COUNT, "filename": [f"x{at}.jpg" for at in AGAIN]},
        {"nr": COUNT, "stars": [at % 5 for at in COUNT]},
        {"age": ORDER, "nr": [at * 3 % 40 for at in COUNT]},
    ],
)
def test_two_columns_that_lead_to_different_files_are_asked_about(columns: dict[str, Sequence[object]]) -> None:
    with raises(DataError, code="ambiguous_column", parameter="image_column"):
        recognize_image_column(table(**columns, label=LABELS), TableOptions(), NUMBERED)


def test_the_question_says_what_was_found() -> None:
    names = jpg([*AGAIN[:5], *range(100, 135)])
    with raises(DataError, code="ambiguous_column", parameter="image_column") as caught:
        recognize_image_column(table(nr=COUNT, filename=names, label=LABELS), TableOptions(), NUMBERED)
    assert str(caught.value) == (
        f"{ROOT / 'labels.csv'}: columns 'nr' (40 of 40 cells name a file) and 'filename' (5 of 40 cells name a file) "
        "may both name the images, and lead to different files; name the right one by image_column"
    )


def test_file_names_that_are_missing_are_not_replaced_by_a_counter() -> None:
    few = finder(*(f"images/{at}.jpg" for at in range(1, 11)))
    names = [f"x{at}.jpg" for at in COUNT]
    assert recognize_image_column(table(nr=COUNT, filename=names, label=LABELS), TableOptions(), few) == "filename"
