"""Names of numbered classes from a file next to the table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from distingo.datasets.layouts.detection import find_layout
from distingo.datasets.tables.table import TableOptions
from distingo.errors import DataError, UsageError
from note_texts import texts
from raising import raises


@pytest.fixture
def numbered(tmp_path: Path) -> Callable[..., Path]:
    def write(labels: str, names: str = "", file: str = "classes.txt") -> Path:
        lines = []
        for at, label in enumerate(labels.split()):
            (tmp_path / f"{at}.png").write_bytes(b"x")
            lines.append(f"{at}.png {label}\n")
        (tmp_path / "train.txt").write_text("".join(lines), encoding="utf-8")
        if names:
            (tmp_path / file).write_text(names, encoding="utf-8")
        return tmp_path / "train.txt"

    return write


@pytest.mark.parametrize(
    ("labels", "names", "file", "classes", "first"),
    [
        ("0 1 2 1", "cat\ndog\nbird\n", "classes.txt", ("bird", "cat", "dog"), "0 is 'cat'"),
        ("1 2 2 1", "cat\ndog\n", "labels.txt", ("cat", "dog"), "1 is 'cat'"),
        ("0 2", "0 cat\n1 dog\n2 big bird\n", "label_list.txt", ("big bird", "cat"), "0 is 'cat'"),
        ("0 1", "n01 tench, Tinca\nn02 goldfish\n", "synset_words.txt", ("n01 tench, Tinca", "n02 goldfish"), "0 is"),
    ],
)
def test_a_file_of_a_usual_name_is_used(
    numbered: Callable[..., Path], labels: str, names: str, file: str, classes: tuple[str, ...], first: str
) -> None:
    path = numbered(labels, names, file)
    layout = find_layout(path)
    assert layout.classes == classes
    assert texts(layout.notes)[2].startswith(f"the numbers of classes are named by {file}: {first}")
    numbers = find_layout(path, TableOptions(class_names="none"))
    assert numbers.classes == tuple(sorted(set(labels.split())))


def test_names_that_may_count_from_0_or_1_are_not_guessed(numbered: Callable[..., Path]) -> None:
    path = numbered("1 2 1 2", "a\nb\nc\nd\n")
    layout = find_layout(path)
    assert layout.classes == ("1", "2")
    assert texts(layout.notes)[2] == (
        "labels stay numbers: classes.txt has more names than there are numbers; --class-names classes.txt takes its "
        "first name for 0"
    )
    assert find_layout(path, TableOptions(class_names="classes.txt")).classes == ("b", "c")


def test_what_does_not_fit_is_refused(numbered: Callable[..., Path]) -> None:
    path = numbered("0 1 2", "a\nb\n")
    assert find_layout(path).classes == ("0", "1", "2")
    with raises(DataError, code="too_few_names", parameter="class_names", naming="train.txt"):
        find_layout(path, TableOptions(class_names="classes.txt"))
    with raises(UsageError, code="not_found", parameter="class_names", naming="gone.txt"):
        find_layout(path, TableOptions(class_names="gone.txt"))
    (path.parent / "classes.txt").write_text("a\na\nb\n", encoding="utf-8")
    with raises(DataError, code="duplicate_entry", parameter="class_names", naming="'a'"):
        find_layout(path)
    with raises(UsageError, code="option_not_applicable", parameter="class_names", naming="train.txt"):
        find_layout(numbered("x y z"), TableOptions(class_names="classes.txt"))
