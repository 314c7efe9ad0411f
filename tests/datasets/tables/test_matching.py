"""All names of a table to files: moved folders, and never another folder's file."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distingo.datasets.tables.image_files import ImageFinder
from distingo.datasets.tables.matching import Matches, match_names
from distingo.datasets.walking import FoundFile

ROOT = Path("/somewhere/data")


def finder(*names: str, below: tuple[str, ...] = ()) -> ImageFinder:
    return ImageFinder(ROOT, [FoundFile(tuple(name.split("/")), ROOT / name) for name in names], below=below)


def found(matches: Matches) -> dict[str, list[str]]:
    return {name: ["/".join(file.parts) for file in match.files] for name, match in matches.by_name.items()}


def test_moved_paths_keep_their_folder() -> None:
    files = [f"test/{at}.png" for at in range(12, 20)] + [f"train/{at}.png" for at in range(20, 36)]
    names = [f"/home/me/data/train/{at}.png" for at in range(12, 36)]
    matches = match_names(names, finder(*files))
    expected = {name: [] if at < 20 else [f"train/{at}.png"] for at, name in enumerate(names, 12)}
    assert found(matches) == expected
    assert matches.rerooting is not None
    assert (matches.rerooting.prefix, matches.rerooting.folder) == ("/home/me/data/train", ("train",))
    assert (matches.rerooting.named, matches.rerooting.found, matches.rerooting.certain) == (24, 16, True)


@pytest.mark.parametrize(
    ("prefix", "form"),
    [
        ("C:\\Users\\me\\data", "C:/Users/me/data"),
        ("\\\\server\\share", "//server/share"),
        ("file:///home/my%20pictures", "/home/my pictures"),
        ("../../x", "../../x"),
        ("old/data", "old/data"),
    ],
)
def test_a_whole_tree_may_have_moved(prefix: str, form: str) -> None:
    files = ["img/cat/1.png", "img/cat/2.png", "img/dog/1.png"]
    slash = "\\" if "\\" in prefix else "/"
    names = [prefix + slash + file.replace("/", slash) for file in files]
    matches = match_names(names, finder(*files, "other/dog/1.png"))
    assert found(matches) == {name: [file] for name, file in zip(names, files, strict=True)}
    assert matches.rerooting is not None
    assert (matches.rerooting.prefix, matches.rerooting.folder) == (f"{form}/img", ("img",))


def test_relative_paths_may_start_from_another_folder() -> None:
    files = ["images/train/1.png", "images/train/2.png", "images/val/1.png"]
    names = [file.removeprefix("images/") for file in files]
    assert found(match_names(names, finder(*files))) == {name: [file] for name, file in zip(names, files, strict=True)}
    # one that is there shows where they start from
    assert found(match_names([*names, "images/val/1.png"], finder(*files))) == {
        **{name: [] for name in names},
        "images/val/1.png": ["images/val/1.png"],
    }


def test_one_split_never_stands_in_for_another() -> None:
    for names in (["train/1.png", "train/2.png"], ["/x/train/1.png", "/x/train/2.png"]):
        matches = match_names(names, finder("test/1.png", "test/2.png"))
        assert found(matches) == {name: [] for name in names}
        assert matches.rerooting is not None and not matches.rerooting.certain


def test_a_folder_of_another_name_must_have_nearly_all() -> None:
    names = [f"/home/me/pics/{at}.png" for at in range(20)]
    for count, certain in ((20, True), (19, True), (18, False)):
        matches = match_names(names, finder(*(f"Images/{at}.png" for at in range(count))))
        assert matches.rerooting is not None
        assert (matches.rerooting.certain, matches.rerooting.found) == (certain, count)
        assert sum(len(match.files) for match in matches.by_name.values()) == (count if certain else 0)
    both = [f"{folder}/{at}.png" for folder in ("a", "b") for at in range(20)]
    matches = match_names(names, finder(*both))
    assert matches.rerooting is not None and not matches.rerooting.certain
    assert matches.rerooting.rivals == ((("b",), 20),)
    assert found(match_names(names, finder(*both, below=("b",))))[names[3]] == ["b/3.png"]
    few = [file for file in both if file.startswith("a") or int(file[2:-4]) < 15]
    assert found(match_names(names, finder(*few)))[names[3]] == ["a/3.png"]


def test_the_longer_agreement_wins_and_equal_ones_are_in_doubt() -> None:
    names = [f"/home/me/data/train/{at}.png" for at in range(4)]
    here, copy = [f"train/{at}.png" for at in range(4)], [f"copy/train/{at}.png" for at in range(4)]
    assert found(match_names(names, finder(*here, *copy)))[names[0]] == ["train/0.png"]  # data/train agrees in two
    more = [f"more/train/{at}.png" for at in range(4)]
    matches = match_names(names, finder(*copy, *more))
    assert matches.rerooting is not None and matches.rerooting.rivals == ((("more", "train"), 4),)
    assert not any(match.files for match in matches.by_name.values())
    # the better agreement has fewer of the files: nobody knows
    matches = match_names(names, finder(*here[:2], *copy))
    assert matches.rerooting is not None and not matches.rerooting.certain


def test_absolute_paths_of_this_machine_need_no_other_folder(tmp_path: Path) -> None:
    for name in ("here/1.png", "there/2.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b"x")
    names = [f"{tmp_path}/here/1.png", f"{tmp_path}/here/2.png", (tmp_path / "here" / "1.png").as_uri()]
    root = tmp_path / "there"
    matches = match_names(names, ImageFinder(root, [FoundFile(("2.png",), root / "2.png")]))
    assert [[file.path for file in match.files] for match in matches.by_name.values()] == [
        [tmp_path / "here" / "1.png"],
        [],
        [tmp_path / "here" / "1.png"],
    ]
    assert matches.rerooting is None


def test_bare_names_of_several_folders_are_looked_up_in_the_one_that_has_them_all() -> None:
    train = [f"train/{at}.png" for at in range(20)]
    test = [f"test/{at}.png" for at in range(10, 20)]
    names = [f"{at}" for at in range(20)]
    matches = match_names([*names, "20"], finder(*train, *test, "test/20.png"))
    assert found(matches) == {**{name: [f"train/{name}.png"] for name in names}, "20": []}
    assert matches.narrowing is not None
    assert (matches.narrowing.folder, matches.narrowing.named, matches.narrowing.found) == (("train",), 21, 20)
    assert matches.narrowing.elsewhere == 11
    every = match_names(names, finder(*train, *(file.replace("train", "test") for file in train)))
    assert every.narrowing is None
    assert found(every)["3"] == ["train/3.png", "test/3.png"]


@pytest.mark.parametrize(
    ("here", "elsewhere", "taken"),
    [
        ("images/", "old_project/", False),
        ("", "rejected/", False),
        ("images/", "images/predictions/", False),
        ("images/", "", True),  # its path is the name itself
        ("train/", "val/", True),
        ("data/images_1/", "data/images_2/", True),
        ("patient1/", "patient2/", True),
    ],
)
def test_a_bare_name_means_no_other_folders_file(here: str, elsewhere: str, taken: bool) -> None:
    names = [f"{at}.png" for at in range(20)]
    files = [f"{here}{name}" for name in names[:18]] + [f"{elsewhere}{name}" for name in names[18:]]
    matches = match_names(names, finder(*files))
    expected = {name: [file] for name, file in zip(names, files, strict=True)}
    if not taken:
        expected |= {"18.png": [], "19.png": []}
        assert {name: "/".join(file.parts) for name, file in matches.strays.files.items()} == {
            name: f"{elsewhere}{name}" for name in names[18:]
        }
    assert found(matches) == expected
    assert bool(matches.strays.files) is not taken


def test_a_named_image_folder_above_takes_bare_names_anywhere_in_it() -> None:
    names = [f"{at}.png" for at in range(20)]
    files = [f"images/{name}" for name in names[:18]] + [f"images/more/{name}" for name in names[18:]]
    images = [FoundFile(tuple(name.split("/")), ROOT / name) for name in files]
    above = match_names(names, ImageFinder(ROOT, images, anywhere=True))
    assert found(above) == {name: [file] for name, file in zip(names, files, strict=True)}
    itself = match_names(names, ImageFinder(ROOT, images, below=("images",), anywhere=True))
    assert found(itself)["18.png"] == [] and found(itself)["17.png"] == ["images/17.png"]


def test_class_folders_of_even_sizes_have_no_strays() -> None:
    files = [f"{folder}/{folder}{at}.png" for folder in ("cat", "dog", "emu") for at in range(10)]
    assert not match_names([file.rpartition("/")[2] for file in files], finder(*files)).strays.files


def test_numbers_without_their_zeros_are_told() -> None:
    matches = match_names(["7", "12", "x"], finder("007.jpg", "12.jpg"))
    assert found(matches) == {"7": [], "12": ["12.jpg"], "x": []}
    assert [(name, file.parts) for name, file in matches.lost_zeros] == [("7", ("007.jpg",))]


def test_case_and_percent_signs_are_counted() -> None:
    matches = match_names(["A.PNG", "my%20dog.png", "b.png", "C"], finder("a.png", "my dog.png", "b.png", "c.x", "c.y"))
    assert matches.any_case == ("A.PNG",)
    assert matches.decoded == ("my%20dog.png",)
    assert found(matches)["b.png"] == ["b.png"]
    assert found(matches)["C"] == ["c.x", "c.y"]
    assert match_names(["https://x/a.png"], finder("a.png")).web_addresses == 1


PARTS = st.lists(st.sampled_from(["train", "test", "a", "b"]), max_size=3)
FILES = st.lists(
    st.tuples(PARTS, st.sampled_from(["1.png", "2.png", "3.png"])).map(lambda it: "/".join([*it[0], it[1]]))
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=300)
@given(FILES, FILES.filter(bool), st.sampled_from(["", "/home/me/", "C:/x/", "../"]))
def test_a_path_never_means_another_folders_file(files: list[str], names: list[str], before: str) -> None:
    matches = match_names([before + name for name in names], finder(*dict.fromkeys(files)))
    moved = matches.rerooting
    for name in names:
        for file in found(matches)[before + name]:
            if "/" not in before + name:
                assert file.rpartition("/")[2] == name
            elif file != before + name:
                assert moved is not None and moved.certain
                inside = "/".join(moved.folder)
                rest = (before + name).removeprefix(moved.prefix).lstrip("/")
                assert file == f"{inside}/{rest}".lstrip("/")
                assert moved.found >= moved.named / 2
