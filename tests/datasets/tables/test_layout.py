"""Tables next to images: every shape, every row and every file accounted for."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pytest
from drawing import encode, noise
from pyarrow import parquet

from distingo.datasets.layouts.detection import find_layout
from distingo.datasets.tables.table import TableOptions
from distingo.datasets.walking import Layout
from distingo.errors import DataError, DistingoError, ErrorCode, UsageError
from distingo.records import ManifestRow
from note_texts import texts
from raising import raises

TRUTH = {"a": ("Comedy",), "b": ("Comedy", "Drama"), "c": ("Drama",), "d": ("Drama", "War")}


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """A function that draws images into ``Images``, writes a table next to them and gives the folder."""

    def make(table: str, names: str = "a b c d", *, file: str = "train.csv", below: str = "Images") -> Path:
        root = tmp_path / "data"
        (root / below).mkdir(parents=True, exist_ok=True)
        for seed, name in enumerate(names.split()):
            path = root / below / (name if "." in name else f"{name}.png")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode(noise(seed)))
        (root / file).write_text(table, encoding="utf-8")
        return root

    return make


def labels_of(layout: Layout) -> dict[str, tuple[str, ...]]:
    return {Path(candidate.source.file).stem: candidate.labels for candidate in layout.candidates}


def rows_of(layout: Layout) -> dict[str, ManifestRow]:
    assert len({row.file for row in layout.ignored}) == len(layout.ignored)
    return {row.file: row for row in layout.ignored}


def lines_of(layout: Layout) -> list[int]:
    every = [*layout.candidates, *layout.ignored]
    return sorted(line for entry in every for line in entry.lines)


COLUMNS = "Id,Comedy,Drama,War\na,1,0,0\nb,1,1,0\nc,0,1,0\nd,0,1,1\n"
SHAPES = {
    "one 0/1 column per label": COLUMNS,
    "a list of labels per row": 'Id,Genre\na,[\'Comedy\']\nb,"[\'Comedy\', \'Drama\']"\nc,"[""Drama""]"\n'
    "d,\"['War', 'Drama']\"\n",
    "labels joined by '|'": "Id,Genre\na,Comedy\nb,Comedy|Drama\nc,Drama\nd,War | Drama\n",
    "labels joined by commas": 'Id,Genre\na,Comedy\nb,"Comedy, Drama"\nc,Drama\nd,"Drama,War"\n',
    "one row per picture and label": "Id,Genre\na,Comedy\nb,Comedy\nb,Drama\nc,Drama\nd,War\nd,Drama\n",
}


@pytest.mark.parametrize("words", SHAPES)
def test_a_shape_is_recognized_and_stated(folder: Callable[..., Path], words: str) -> None:
    for root in (folder(SHAPES[words]), folder(SHAPES[words]) / "train.csv"):
        layout = find_layout(root)
        assert str(layout.name) == f"train.csv, {words}"
        assert layout.task == "multi-label"
        assert layout.root == folder(SHAPES[words])
        assert layout.classes == ("Comedy", "Drama", "War")
        assert labels_of(layout) == TRUTH
        assert lines_of(layout) == list(range(2, 2 + SHAPES[words].count("\n") - 1))
        assert f"{words}: pictures from column 'Id', labels from" in texts(layout.notes)[0]
        assert "read as CSV with commas, UTF-8" in texts(layout.notes)[0]
        assert texts(layout.notes)[1].endswith("of 4 pictures 2 have several labels and 0 have none")
        assert str(rows_of(layout)["train.csv"].reason) == "holds the labels"


def test_options_name_what_would_be_recognized_otherwise(folder: Callable[..., Path]) -> None:
    table = "Other,File,Tags,Kind,x,y\nz1,a,p q,u,1,0\nz2,b,q,v,0,1\nz3,c,p,u,1,1\nz4,d,p q,v,0,0\n"
    root = folder(table)
    layout = find_layout(root, TableOptions(label_column="Tags", delimiter=" "))
    assert labels_of(layout) == {"a": ("p", "q"), "b": ("q",), "c": ("p",), "d": ("p", "q")}
    assert str(layout.name) == "train.csv, labels joined by spaces"
    layout = find_layout(root, TableOptions(label_column="Tags", delimiter=""))
    assert layout.classes == ("p", "p q", "q")
    layout = find_layout(root, TableOptions(label_column="Kind"))
    assert (layout.task, layout.classes) == ("single-label", ("u", "v"))
    layout = find_layout(root, TableOptions(image_column="File", label_columns=("x", "y")))
    assert labels_of(layout) == {"a": ("x",), "b": ("y",), "c": ("x", "y"), "d": ()}
    layout = find_layout(root / "train.csv", TableOptions(label_column="Kind", image_folder="Images"))
    assert len(layout.candidates) == 4


def test_columns_of_0_and_1_win_over_the_text_and_differences_are_noted(folder: Callable[..., Path]) -> None:
    table = (
        "Id,Genre,Comedy,Drama,War\na,\"['Comedy']\",1,0,0\nb,\"['Comedy', 'War']\",1,1,0\n"
        "c,['Drama'],0,1,0\nd,\"['War', 'Drama']\",0,1,1\n"
    )
    layout = find_layout(folder(table))
    assert str(layout.name) == "train.csv, one 0/1 column per label"
    assert labels_of(layout) == TRUTH
    assert texts(layout.notes)[2:] == (
        "'Genre' and the 0/1 columns disagree in 1 line (first: line 3); the 0/1 columns count",
    )


def test_attributes_of_0_and_1_do_not_push_the_label_aside(folder: Callable[..., Path]) -> None:
    table = "file,label,blurred,cut\na,cat,0,1\nb,dog,0,0\nc,cat,1,0\nd,dog,0,0\n"
    layout = find_layout(folder(table))
    assert (str(layout.name), layout.task, layout.classes) == (
        "train.csv, one label per row",
        "single-label",
        ("cat", "dog"),
    )
    assert texts(layout.notes)[2] == "the 0/1 columns blurred, cut are not read as labels; --label-columns would do so"


def test_one_column_of_0_and_1_is_two_classes(folder: Callable[..., Path]) -> None:
    layout = find_layout(folder("Id,smiles\na,0\nb,1\nc,1\nd,0\n"))
    assert (layout.task, layout.classes) == ("single-label", ("0", "1"))


def test_one_label_everywhere_is_single_label_in_any_shape(folder: Callable[..., Path]) -> None:
    for table in (
        "Id,cat,dog\na,1,0\nb,0,1\nc,0,1\nd,1,0\n",
        "Id,what\na,['cat']\nb,['dog']\nc,['dog']\nd,['cat']\n",
        "Id,label\na,cat\nb,dog\nc,dog\nd,cat\n",
    ):
        layout = find_layout(folder(table))
        assert (layout.task, layout.classes) == ("single-label", ("cat", "dog"))
        assert texts(layout.notes)[1] == "the task is single-label: each of 4 pictures has one label"


def test_a_image_without_labels_makes_it_multi_label(folder: Callable[..., Path]) -> None:
    layout = find_layout(folder("Id,cat,dog\na,1,0\nb,0,1\nc,0,0\nd,1,0\n"))
    assert layout.task == "multi-label"
    assert labels_of(layout)["c"] == ()
    assert texts(layout.notes)[1].endswith("of 4 pictures 0 have several labels and 1 have none")


def test_an_empty_cell_among_single_labels_is_left_out(folder: Callable[..., Path]) -> None:
    layout = find_layout(folder("Id,label\na,cat\nb,dog\nc,\nd,cat\n"))
    assert layout.task == "single-label"
    row = rows_of(layout)["Images/c.png"]
    assert (row.status, str(row.reason), row.lines) == ("ignored", "line 4 gives it no label", (4,))


def test_every_row_and_file_is_accounted_for(folder: Callable[..., Path]) -> None:
    table = (
        "Id,Comedy,Drama,War\na,1,0,0\nb,1,1,0\nc,0,1,0\nd,0,1,0\n"
        "gone,1,0,0\nA.PNG,1,0,0\nb.png,1,0,0\nd,0,x,0\n,1,0,0\nf,0,1,0\ne,,1,0\nIMAGES/a,1,0,0\n"
        + "".join(f"n{at},1,0,0\n" for at in range(9))
    )
    names = "a b c d e f.png f.jpg spare.png .hidden.png " + " ".join(f"n{at}" for at in range(9))
    layout = find_layout(folder(table, names))
    rows = rows_of(layout)
    assert {name: (row.status, str(row.reason), row.lines) for name, row in rows.items()} == {
        "gone": ("missing", "train.csv names it, but there is no such file", (6,)),
        "train.csv#10": ("missing", "line 10 of train.csv names no picture", (10,)),
        "Images/b.png": ("conflict", "line 3 says Comedy, Drama and line 8 says Comedy", (3, 8)),
        "Images/d.png": ("ignored", "line 9 says 'x' for Drama, neither 0 nor 1", (5, 9)),
        "Images/e.png": ("ignored", "line 12 says '' for Comedy, neither 0 nor 1", (12,)),
        "f": (
            "conflict",
            "may mean Images/f.jpg or Images/f.png; write more of the path, or the ending",
            (11,),
        ),
        "Images/f.jpg": ("ignored", "train.csv may mean this file by 'f', or another", ()),
        "Images/f.png": ("ignored", "train.csv may mean this file by 'f', or another", ()),
        "Images/spare.png": ("ignored", "no row of train.csv names it", ()),
        "Images/.hidden.png": ("ignored", "a hidden file", ()),
        "train.csv": ("ignored", "holds the labels", ()),
    }
    assert lines_of(layout) == list(range(2, 23))
    assert next(candidate for candidate in layout.candidates if candidate.source.file == "Images/a.png").lines == (
        2,
        7,
        13,
    )
    assert layout.classes == ("Comedy", "Drama")
    assert texts(layout.notes)[2:] == (
        "label War is dropped: no picture has it",
        "2 names fit only with other upper and lower case (first: 'A.PNG' is read as Images/a.png)",
        "2 lines repeat an earlier one and agree with it",
        "2 of 17 pictures that train.csv names are missing",
        "2 of 17 pictures that train.csv names are left out: contradicting rows, or a name that fits several files",
        "2 of 17 pictures that train.csv names are left out: no label that can be told",
    )


def test_nothing_means_no_where_only_1_is_written(folder: Callable[..., Path]) -> None:
    layout = find_layout(folder("Id,x,y,z\na,1,,-1\nb,,1,1\nc,1,1,-1\nd,,,-1\n"))
    assert labels_of(layout) == {"a": ("x",), "b": ("y", "z"), "c": ("x", "y"), "d": ()}


def test_a_contradiction_among_single_labels_is_a_conflict(folder: Callable[..., Path]) -> None:
    names = " ".join(f"p{at}" for at in range(8))
    table = "Id,label\n" + "".join(f"p{at},{'cat' if at % 2 else 'dog'}\n" for at in range(8)) + "p3,dog\np4,dog\n"
    layout = find_layout(folder(table, names))
    assert (layout.task, len(layout.candidates)) == ("single-label", 7)
    assert str(rows_of(layout)["Images/p3.png"].reason) == "line 5 says cat and line 10 says dog"


@pytest.mark.parametrize("file", ["metadata.csv", "metadata.jsonl", "metadata.parquet"])
def test_metadata_of_hugging_face_is_read_even_beside_class_folders(folder: Callable[..., Path], file: str) -> None:
    names = {"train/x/a.png": "cat", "train/y/b.png": "dog", "test/x/c.png": "dog", "test/y/d.png": "cat"}
    root = folder("", " ".join(names), file=file, below=".")
    if file.endswith("csv"):
        text = "file_name,label\n" + "".join(f"{name},{label}\n" for name, label in names.items())
        (root / file).write_text(text, encoding="utf-8")
    elif file.endswith("jsonl"):
        records = [json.dumps({"file_name": name, "label": label}) for name, label in names.items()]
        (root / file).write_text("\n".join(records), encoding="utf-8")
    else:
        parquet.write_table(pyarrow.table({"file_name": list(names), "label": list(names.values())}), root / file)
    layout = find_layout(root)
    assert str(layout.name) == f"{file}, one label per row"
    assert labels_of(layout) == {Path(name).stem: (label,) for name, label in names.items()}
    assert Counter(candidate.split for candidate in layout.candidates) == {"train": 2, "test": 2}
    first = 1 if file.endswith(("jsonl", "parquet")) else 2
    assert lines_of(layout) == list(range(first, first + 4))


def test_class_folders_are_not_given_up_for_a_stray_table(class_folders: Callable[..., Path]) -> None:
    root = class_folders({"a": 2, "b": 2})
    (root / "labels.csv").write_text("file,label\na/000.png,x\na/001.png,y\n", encoding="utf-8")
    layout = find_layout(root)
    assert (str(layout.name), layout.classes) == ("class folders", ("a", "b"))
    assert texts(layout.notes) == (
        "the labels are the folders' names; labels.csv is not read (give it as DATA for the labels in it)",
    )
    assert find_layout(root / "labels.csv").classes == ("x", "y")
    assert find_layout(root, TableOptions(label_column="label")).classes == ("x", "y")


def test_bare_names_take_no_other_folders_files(folder: Callable[..., Path]) -> None:
    names = [f"p{at:02}" for at in range(20)]
    table = "Id,label\n" + "".join(f"{name},{'xy'[at % 2]}\n" for at, name in enumerate(names))
    root = folder(table, " ".join(names[:18]))
    folder(table, " ".join(names[18:]), below="rejected")
    layout = find_layout(root, TableOptions(labels_from="table"))
    assert set(labels_of(layout)) == set(names[:18])
    assert texts(layout.notes)[2] == (
        "2 names without folders count as missing, as nearly all others are in Images/ and these are in other folders "
        "only (first: 'p18' is rejected/p18.png); --image-folder . takes them"
    )
    assert str(rows_of(layout)["p18"].reason) == (
        "train.csv names it, but it is in rejected/ only, not where nearly all others are"
    )
    assert str(rows_of(layout)["rejected/p18.png"].reason) == "no row of train.csv names it"
    assert len(find_layout(root, TableOptions(image_folder=".")).candidates) == 20


@pytest.mark.parametrize("labels", [("good", "bad"), ("Images", "defect")])
def test_uneven_class_folders_keep_their_bare_names(folder: Callable[..., Path], labels: tuple[str, str]) -> None:
    names = [f"p{at:02}" for at in range(20)]
    table = "Id,label\n" + "".join(f"{name},{labels[at >= 18]}\n" for at, name in enumerate(names))
    root = folder(table, " ".join(names[:18]))
    folder(table, " ".join(names[18:]), below="defect")
    layout = find_layout(root, TableOptions(labels_from="table"))
    assert labels_of(layout) == {name: (labels[at >= 18],) for at, name in enumerate(names)}


def test_a_split_column_is_honored(folder: Callable[..., Path]) -> None:
    table = "Id,label,split\na,x,train\nb,y,TEST\nc,x,dev\nd,y,\n"
    layout = find_layout(folder(table))
    assert [candidate.split for candidate in layout.candidates] == ["train", "test", "validation", None]
    assert texts(layout.notes)[0].endswith("splits from 'split'")
    with raises(DataError, code="damaged_line", naming=("line 3", "'tset'")):
        find_layout(folder(table.replace("TEST", "tset")))
    layout = find_layout(folder(table + "b,y,train\n"))
    assert (
        str(rows_of(layout)["Images/b.png"].reason)
        == "line 3 puts it on the test split and line 6 puts it on the train split"
    )


def test_the_table_that_names_images_is_chosen(folder: Callable[..., Path]) -> None:
    root = folder("name,unit\nx,y\nz,w\n", file="units.csv")
    folder("Id,label\na,x\nb,y\nc,x\nd,y\n", file="labels.csv")
    assert str(find_layout(root).name) == "labels.csv, one label per row"
    folder("Id,label\na,x\nb,y\n", file="more.csv")
    with raises(DataError, code="ambiguous_table", naming=("labels.csv", "more.csv")):
        find_layout(root)


def test_images_may_lie_elsewhere(folder: Callable[..., Path], tmp_path: Path) -> None:
    root = folder("Id,label\na,x\nb,y\nc,x\n", "a b c z")
    table = (root / "train.csv").rename(tmp_path / "labels.csv")
    layout = find_layout(table, TableOptions(image_folder=str(root / "Images")))
    assert layout.root == tmp_path
    assert [candidate.source.file for candidate in layout.candidates] == [f"data/Images/{name}.png" for name in "abc"]
    far = tmp_path / "far"
    far.mkdir()
    table = table.rename(far / "labels.csv")
    layout = find_layout(table, TableOptions(image_folder=str(root / "Images")))
    assert layout.root == (root / "Images").resolve()
    assert [candidate.source.file for candidate in layout.candidates] == ["a.png", "b.png", "c.png"]
    with raises(UsageError, code="not_found", parameter="image_folder"):
        find_layout(table, TableOptions(image_folder="Imagse"))


def test_an_image_folder_narrows_a_folder(folder: Callable[..., Path]) -> None:
    root = folder("Id,label\na,x\nb,y\n", "a b")
    folder("Id,label\na,x\nb,y\n", "a b", below="Small")
    with raises(DataError, code="no_usable_images", naming=("Images/a.png", "Small/a.png")):
        find_layout(root / "train.csv")
    layout = find_layout(root, TableOptions(image_folder="Small"))
    assert [candidate.source.file for candidate in layout.candidates] == ["Small/a.png", "Small/b.png"]
    assert str(rows_of(layout)["Images/a.png"].reason) == "is outside the image folder Small"


def test_half_of_the_images_missing_stops_unless_told(folder: Callable[..., Path]) -> None:
    root = folder(COLUMNS, "a d")
    with raises(DataError, code="missing_images", naming=("'b'", "line 3", "allow_missing=True")):
        find_layout(root)
    layout = find_layout(root, allow_missing=True)
    assert labels_of(layout) == {"a": TRUTH["a"], "d": TRUTH["d"]}
    assert texts(layout.notes)[-1] == "2 of 4 pictures that train.csv names are missing"
    (root / "Images" / "a.png").unlink()
    (root / "Images" / "d.png").unlink()
    with raises(DataError, code="missing_images") as caught:
        find_layout(root / "train.csv", allow_missing=True)
    assert "allow_missing" not in str(caught.value)


def test_an_identifier_is_asked_about(folder: Callable[..., Path]) -> None:
    names = [f"p{at}" for at in range(24)]
    table = "Id,label,kind\n" + "".join(f"{name},tt{at},{'uv'[at % 2]}\n" for at, name in enumerate(names))
    for options in (None, TableOptions(label_column="label")):
        with raises(DataError, code="unlikely_labels", parameter="label_column", naming="'label'"):
            find_layout(folder(table, " ".join(names)), options)


def test_over_a_thousand_labels_are_asked_about_and_may_be_confirmed(folder: Callable[..., Path]) -> None:
    table = "Id,label\na,0\nb,0\n" + "".join(f"x{at},{at // 3}\n" for at in range(3100))
    root = folder(table, "a b")
    with raises(DataError, code="unlikely_labels", parameter="label_column"):
        find_layout(root)
    with raises(DataError, code="missing_images", naming="'Id'"):
        find_layout(root, TableOptions(label_column="label"))


@pytest.mark.parametrize(
    ("table", "options", "error", "code"),
    [
        (COLUMNS, {"label_column": "Commedy"}, UsageError, "unknown_column"),
        (COLUMNS, {"image_column": "q"}, UsageError, "unknown_column"),
        (COLUMNS, {"label_columns": ("War", "Peace")}, UsageError, "unknown_column"),
        (COLUMNS, {"image_column": "Id", "label_column": "Id"}, UsageError, "options_conflict"),
        ("Id,p,q\na,1x,2\nb,1x,3\nc,2x,2\nd,2x,3\n", {}, DataError, "ambiguous_column"),
        ("Id\na\nb\n", {}, DataError, "ambiguous_column"),
        ("u,v\nr,s\n", {}, DataError, "missing_column"),
        ("Id,label\na,x\nb,x\nc,x\n", {}, DataError, "too_few_classes"),
        ("Id,x,y\na,0,0\nb,0,0\n", {}, DataError, "missing_labels"),
        ("Id,Genre\na,['x']\nb,\"['x', 'y'\"\nc,['y']\n", {}, DataError, "damaged_line"),
    ],
)
def test_a_table_that_can_not_be_understood_says_why(
    folder: Callable[..., Path], table: str, options: dict[str, str], error: type[DistingoError], code: ErrorCode
) -> None:
    with raises(error, code=code) as caught:
        find_layout(folder(table), TableOptions(**options))  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_options_without_a_table_are_refused(class_folders: Callable[..., Path]) -> None:
    with raises(UsageError, code="no_table"):
        find_layout(class_folders({"a": 1, "b": 1}), TableOptions(label_column="x"))
