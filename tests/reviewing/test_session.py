"""The state of a review session, and its decisions."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drawing import encode, idx_bytes, noise
from PIL import Image

from distingo.curation.findings import Finding
from distingo.datasets.cache.store import Cache
from distingo.datasets.corrections import read_corrections
from distingo.datasets.gathering import read_dataset
from distingo.datasets.layouts.detection import find_layout
from distingo.datasets.options import Reading
from distingo.errors import DataError, DistingoError, ErrorCode, UsageError
from distingo.messages.notes import note
from distingo.reviewing.decisions import Decisions
from distingo.reviewing.session import Choice, ReviewSession
from raising import raises
from trees import draw, found


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return draw(tmp_path / "data", *[f"{name}/{number}.png" for name in "abc" for number in range(3)])


def session(root: Path, *findings: Finding) -> ReviewSession:
    return ReviewSession(find_layout(root), findings, Decisions(root / "corrections.csv"))


def written(root: Path) -> dict[str, tuple[object, ...]]:
    entries = read_corrections(root / "corrections.csv").entries
    return {entry.file: (entry.action, entry.labels, entry.kinds) for entry in entries}


def test_decisions_are_written_with_what_they_answer(root: Path) -> None:
    dark, label = found(root, "dark", "a/0.png"), found(root, "label", "b/0.png", suggested=("a",))
    review = session(root, dark, label)
    assert review.describe()["questions"] == [{"counting": ["label"], "below": []}, {"counting": ["dark"], "below": []}]
    outcome = review.decide(Choice(0, "relabel", 0, ("a",)))
    assert outcome == {"touched": [0], "answered": [0], "classes": ("a", "b", "c")}
    review.decide(Choice(1, "keep"))
    assert written(root) == {"b/0.png": ("relabel", ("a",), ("label",)), "a/0.png": ("keep", (), ("dark",))}
    first = read_corrections(root / "corrections.csv").entries[0]
    assert first.content == label.content
    assert first.at.endswith("Z")
    assert session(root, dark, label).describe()["answered"] == [0, 1]


def test_both_of_a_pair_are_kept_and_one_is_set_aside(root: Path) -> None:
    pairs = [found(root, "leak", "a/0.png", "b/0.png"), found(root, "near-duplicate", "a/0.png", "c/0.png")]
    review = session(root, *pairs)
    leak, near = 0, 1
    review.decide(Choice(leak, "keep"))
    assert review.describe()["answered"] == [leak]
    assert review.decide(Choice(near, "quarantine", 0))["answered"] == [leak, near]
    assert written(root) == {
        "a/0.png": ("quarantine", (), ("near-duplicate", "leak")),
        "b/0.png": ("keep", (), ("leak",)),
    }
    assert review.undo()["answered"] == [leak]
    assert written(root)["a/0.png"] == ("keep", (), ("leak",))


def test_keeping_for_another_reason_leaves_a_label_put_right(root: Path) -> None:
    label, pair = found(root, "label", "a/0.png"), found(root, "near-duplicate", "a/0.png", "a/1.png")
    review = session(root, label, pair)
    review.decide(Choice(0, "relabel", 0, ("b",)))
    review.decide(Choice(1, "keep"))
    assert written(root)["a/0.png"] == ("relabel", ("b",), ("label", "near-duplicate"))
    review.decide(Choice(0, "keep"))
    assert written(root)["a/0.png"] == ("keep", (), ("label", "near-duplicate"))
    review.clear(0)
    assert set(written(root)) == {"a/1.png"}


def test_a_new_class_is_offered_from_then_on(root: Path) -> None:
    review = session(root, found(root, "label", "a/0.png"))
    assert review.decide(Choice(0, "relabel", 0, (" kiwi ",)))["classes"] == ("a", "b", "c", "kiwi")
    assert written(root)["a/0.png"][1] == ("kiwi",)


@pytest.mark.parametrize(
    ("choice", "code"),
    [
        (Choice(0, "relabel", 0, ()), "invalid_request"),
        (Choice(0, "relabel", 0, ("a", "b")), "invalid_request"),
        (Choice(0, "relabel", 0, ("  ",)), "invalid_request"),
        (Choice(0, "relabel", 0, ("a\nb",)), "invalid_request"),
        (Choice(7, "keep"), "not_found"),
        (Choice(-1, "keep"), "not_found"),
        (Choice(0, "quarantine", 1), "not_found"),
    ],
)
def test_what_does_not_fit_is_refused(root: Path, choice: Choice, code: ErrorCode) -> None:
    review = session(root, found(root, "label", "a/0.png"))
    with raises(UsageError, code=code):
        review.decide(choice)
    assert not (root / "corrections.csv").exists()


def test_several_labels_may_be_none(tmp_path: Path) -> None:
    root = draw(tmp_path / "data", "1.png", "2.png", "3.png")
    (root / "labels.csv").write_text("image,tags\n1.png,x|y\n2.png,x\n3.png,\n")
    review = session(root, found(root, "label", "1.png"))
    assert (review.describe()["task"], review.classes) == ("multi-label", ("x", "y"))
    review.decide(Choice(0, "relabel", 0, ("y", "x", "z")))
    assert written(root)["1.png"][1] == ("x", "y", "z")
    review.decide(Choice(0, "relabel", 0, ()))
    assert written(root)["1.png"][:2] == ("relabel", ())


def test_a_file_that_changed_is_not_decided_about(root: Path) -> None:
    review = session(root, found(root, "dark", "a/0.png"), found(root, "dark", "a/1.png"))
    (root / "a/0.png").write_bytes(encode(noise(77)))
    (root / "a/1.png").unlink()
    for number in (0, 1):
        with raises(DataError, code="changed_meanwhile"):
            review.decide(Choice(number, "keep"))


def test_what_went_is_counted_and_other_data_refused(root: Path) -> None:
    gone = found(root, "dark", "a/9.png")
    review = session(root, found(root, "dark", "a/0.png"), gone)
    assert (len(review.questions), review.gone) == (1, 1)
    with raises(DataError, code="data_differ", naming="a/9.png"):
        session(root, gone)
    assert session(root).questions == ()


def test_only_images_of_the_data_set_are_shown(root: Path) -> None:
    secret = root.parent / "secret.png"
    secret.write_bytes(encode(noise(1)))
    (root / "a" / "link.png").symlink_to(secret)
    (root / "outside").symlink_to(root.parent, target_is_directory=True)
    names = ["../secret.png", str(secret), "a/../../secret.png"]
    review = session(root, found(root, "dark", "a/0.png"), *[found(root, "dark", name) for name in names])
    assert len(review.questions) == 1
    linked = session(root, found(root, "dark", "a/link.png"))  # a link that training would follow too
    assert linked.image(0, 0).media_type == "image/png"
    with raises(UsageError, code="not_found"):
        review.image(0, 1)


def test_images_are_upright_small_and_bare(root: Path) -> None:
    large = Image.new("RGB", (3000, 1000), "red")
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "private"
    (root / "a/0.png").write_bytes(encode(large, "JPEG", exif=exif))
    review = session(root, found(root, "odd-size", "a/0.png"))
    shown = review.image(0, 0)
    image = Image.open(io.BytesIO(shown.content))
    assert (shown.media_type, image.size) == ("image/jpeg", (533, 1600))
    assert not image.getexif()
    (described,) = review.question(0)["pictures"]
    assert described["facts"].startswith("1000 × 3000 · JPEG · ")


def test_an_unreadable_image_has_a_reason(root: Path) -> None:
    (root / "a/0.png").write_bytes(encode(noise(3, (300, 300)))[:400])
    finding = found(root, "unreadable", "a/0.png", reason=note("truncated", format="PNG"))
    review = session(root, finding)
    assert review.question(0)["pictures"][0]["trouble"] == str(finding.reason)
    with raises(DistingoError, code="damaged_image"):
        review.image(0, 0)
    review.decide(Choice(0, "quarantine"))
    assert written(root)["a/0.png"][0] == "quarantine"


def test_a_image_of_another_data_set_is_only_shown(root: Path, tmp_path: Path) -> None:
    other = draw(tmp_path / "other", "x/5.png")
    review = session(root, found(root, "leak", "a/0.png", "x/5.png", other_root=str(other), other_content=""))
    assert [image["elsewhere"] for image in review.question(0)["pictures"]] == [str(other), ""]
    assert review.image(0, 0).content
    with raises(UsageError, code="invalid_request"):
        review.decide(Choice(0, "quarantine", 0))
    review.decide(Choice(0, "keep"))
    assert set(written(root)) == {"a/0.png"}
    assert review.describe()["answered"] == [0]


def test_entries_of_idx_files_are_reviewed(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for split, count in (("train", 9), ("t10k", 3)):
        images, labels = rng.integers(0, 256, (count, 8, 6)), np.arange(count) % 3
        (tmp_path / f"{split}-images-idx3-ubyte").write_bytes(idx_bytes(images))
        (tmp_path / f"{split}-labels-idx1-ubyte").write_bytes(idx_bytes(labels))
    first = "train-images-idx3-ubyte#0"
    content = read_dataset(tmp_path, Reading(cache=Cache(tmp_path / "cache"))).images[3].content
    review = session(
        tmp_path, Finding("label", "t10k-images-idx3-ubyte#0", 0.9, 0.5, ("0",)), Finding("label", first, 0.8, 0.5)
    )
    assert Image.open(io.BytesIO(review.image(1, 0).content)).size == (6, 8)
    review.decide(Choice(1, "relabel", 0, ("2",)))
    assert read_corrections(tmp_path / "corrections.csv").entries[0].content == content
    dataset = read_dataset(tmp_path, Reading(cache=Cache(tmp_path / "cache")))
    assert {image.source.file: image.labels for image in dataset.images}[first] == ("2",)


def test_what_gives_no_image_takes_no_class(root: Path) -> None:
    (root / "a" / "0.png").write_bytes(b"<html>")
    review = session(root, found(root, "unreadable", "a/0.png", reason=note("html")))
    with raises(UsageError, code="invalid_request", naming="a/0.png"):
        review.decide(Choice(0, "relabel", 0, ("b",)))
    assert review.decide(Choice(0, "quarantine"))["answered"] == [0]


def test_all_of_a_kind_are_kept_for_that_kind_and_taken_back_at_once(root: Path) -> None:
    label = found(root, "label", "a/0.png")
    dark = [found(root, "dark", f"{name}/0.png") for name in "abc"]
    low = replace(found(root, "dark", "a/1.png"), score=0.1)
    gone = replace(found(root, "dark", "b/1.png"), content="0" * 32)
    review = session(root, label, *dark, low, gone)
    assert len(review.counting) == 4
    kept = review.keep_all("dark")
    assert (kept["kept"], kept["closed"], kept["changed"]) == (4, 2, 1)
    assert written(root) == {f"{name}/0.png": ("keep", (), ("dark",)) for name in "abc"}
    assert review.keep_all("dark", below=True)["kept"] == 3
    assert "a/1.png" in written(root)
    review.undo()
    review.undo()
    assert written(root) == {}


def test_decisions_of_a_table_with_other_slashes_are_known(root: Path) -> None:
    (root / "corrections.csv").write_text("file;action;kinds\r\na\\0.png;keep;dark\r\n", encoding="utf-16")
    review = session(root, found(root, "dark", "a/0.png"))
    assert review.describe()["answered"] == [0]
