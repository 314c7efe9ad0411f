import json
import shutil
from pathlib import Path

import pytest
from faulty_data import draw_faulty
from scenes import draw_scene, halve

import distingo
from distingo.cli import main
from distingo.curation.check import read_check
from distingo.curation.findings import read_findings
from distingo.datasets.cache.store import Cache
from distingo.datasets.corrections import CORRECTIONS_NAME, Correction, Corrections, write_corrections
from distingo.errors import DataError, ResourceError, RunError, UsageError
from note_texts import texts
from raising import raises


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_faulty(tmp_path_factory.mktemp("check") / "Bälle")


def test_every_planted_fault_is_found_and_nothing_else(faulty, tmp_path):
    found = distingo.check(faulty, tmp_path / "check", model="none")
    counting = {(finding.kind, finding.file, finding.other) for finding in found.findings if finding.counts}
    assert counting == {
        ("unreadable", "train/blue/cut.png", ""),
        ("unreadable", "train/blue/page.jpg", ""),
        ("wrong-ending", "train/blue/named.gif", ""),
        ("duplicate", "train/red/same.png", "train/red/00.png"),
        ("near-duplicate", "train/red/near.png", "train/red/01.png"),
        ("leak", "train/red/leak.png", "test/red/02.png"),
        ("contradiction", "train/red/contradiction.png", "train/blue/03.png"),
        ("empty", "train/blue/empty.png", ""),
        ("shortcut", "", ""),  # mean color is what tells these classes apart
    }
    assert (found.files, found.images) == (55, 52)
    assert found.label_score is None
    assert read_findings(tmp_path / "check" / "findings.csv") == found.findings


def test_leaks_contradictions_and_shortcuts_come_first(faulty, tmp_path, capsys):
    assert main(["check", str(faulty), "-o", str(tmp_path / "check"), "--model", "descriptors"]) == 0
    names = ("Leaks", "Contradictions", "Shortcuts", "Near duplicates")
    console = [line[9:].split("  ")[0] for line in capsys.readouterr().out.splitlines() if line[:7].strip().isdigit()]
    assert [name for name in console if name in names] == list(names)
    assert list(read_check(tmp_path / "check").counts)[:3] == ["leak", "contradiction", "shortcut"]
    table = [finding.kind for finding in read_findings(tmp_path / "check" / "findings.csv")]
    assert list(dict.fromkeys(table))[:4] == ["leak", "contradiction", "shortcut", "label"]
    page = (tmp_path / "check" / "check.html").read_text(encoding="utf-8")
    places = [page.index(f'<section id="{kind}"') for kind in ("leak", "contradiction", "shortcut", "label")]
    assert places == sorted(places)


def test_nothing_of_the_data_is_touched(faulty, tmp_path):
    before = {path: path.read_bytes() for path in faulty.rglob("*") if path.is_file()}
    distingo.check(faulty, tmp_path / "check")
    assert {path: path.read_bytes() for path in faulty.rglob("*") if path.is_file()} == before


def test_thresholds_are_moved_without_the_images(faulty, tmp_path):
    folder = tmp_path / "check"
    first = distingo.check(faulty, folder, model="none")
    moved = distingo.check(None, folder, thresholds={"empty": 1.0, "near-duplicate": 0.999})
    assert "empty" in moved.counts
    assert "near-duplicate" not in moved.counts
    assert [finding.score for finding in moved.findings] == [finding.score for finding in first.findings]
    again = distingo.check(None, folder)
    assert again.findings == moved.findings


def test_the_second_check_decodes_nothing(faulty, tmp_path, monkeypatch):
    first = distingo.check(faulty, model="descriptors", cache=tmp_path / "cache")

    def refuse(*_args: object, **_settings: object) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr("distingo.datasets.examining.decode", refuse)
    second = distingo.check(faulty, model="descriptors", cache=tmp_path / "cache")
    assert second.findings == first.findings


def test_labels_are_doubted_where_something_embeds(faulty):
    found = distingo.check(faulty, model="descriptors")
    assert found.label_score is not None
    assert found.label_score > 0.9
    assert found.embedded_by == "descriptors"


def test_copies_in_another_data_set_are_leaks(faulty, tmp_path):
    for name in ("a", "b"):
        (tmp_path / "other" / name).mkdir(parents=True)
        for seed in range(3):
            draw_scene(hash(name) % 100 + seed + 5000).save(tmp_path / "other" / name / f"{seed}.png")
    source = faulty / "train" / "blue" / "07.png"
    (tmp_path / "other" / "a" / "exact.png").write_bytes(source.read_bytes())
    from PIL import Image

    halve(Image.open(faulty / "train" / "red" / "08.png")).save(tmp_path / "other" / "b" / "half.png")
    found = distingo.check(faulty, tmp_path / "check", against=tmp_path / "other", model="none")
    across = {(finding.file, finding.other) for finding in found.counting("leak") if finding.other_root}
    assert across == {("train/blue/07.png", "a/exact.png"), ("train/red/08.png", "b/half.png")}
    page = (tmp_path / "check" / "check.html").read_text(encoding="utf-8")
    assert "a/<wbr>exact.png" in page


def test_a_class_without_usable_images_is_noted(tmp_path):
    root = draw_faulty(tmp_path / "data", each=8)
    (root / "train" / "green").mkdir()
    (root / "train" / "green" / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    found = distingo.check(root, model="none")
    assert "class green is dropped: no usable picture has it" in texts(found.notes)
    assert "train/green/broken.jpg" in {finding.file for finding in found.counting("unreadable")}


def test_errors_are_reported_in_one_line(faulty, tmp_path, capsys):
    with raises(UsageError, code="missing_argument", parameter="data"):
        distingo.check()
    with raises(RunError, code="wrong_folder"):
        distingo.check(None, tmp_path / "none")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine", encoding="utf-8")
    with raises(ResourceError, code="not_empty", parameter="output"):
        distingo.check(faulty, tmp_path / "full")
    with raises(DataError, code="not_found", parameter="data"):
        distingo.check(tmp_path / "nowhere", tmp_path / "check")
    assert main(["check", str(faulty), "-o", str(tmp_path / "c"), "--threshold", "blured=1"]) == 2
    assert "did you mean blurred or" in capsys.readouterr().err
    assert main(["check", str(faulty), "-o", str(tmp_path / "c"), "--model", "small-cnn"]) == 2
    assert "small-cnn: has no pretrained weights" in capsys.readouterr().err


def test_the_command_prints_the_worst_and_supports_strict(faulty, tmp_path, capsys):
    words = ["check", str(faulty), "-o", str(tmp_path / "check"), "--model", "none"]
    assert main(words) == 0
    out_of_fold = capsys.readouterr().out
    assert "55 files, 52 usable pictures" in out_of_fold
    assert "2  Unreadable files     train/blue/cut.png: a truncated PNG file" in out_of_fold
    assert main([*words, "--strict"]) == 1


def test_strict_is_content_with_clean_data(tmp_path):
    for name, seed in (("a", 0), ("b", 100)):
        (tmp_path / "data" / name).mkdir(parents=True)
        for at in range(4):
            draw_scene(seed + at).save(tmp_path / "data" / name / f"{at}.png")
    words = ["check", str(tmp_path / "data"), "-o", str(tmp_path / "check"), "--model", "none", "--strict"]
    assert main(words) == 0
    assert read_check(tmp_path / "check").counts == {}


def test_a_damaged_summary_is_reported(faulty, tmp_path):
    distingo.check(faulty, tmp_path / "check", model="none")
    summary = tmp_path / "check" / "check.json"
    content = json.loads(summary.read_text(encoding="utf-8"))
    del content["layout"]
    summary.write_text(json.dumps(content), encoding="utf-8")
    with raises(RunError, code="damaged_file", naming=("check.json", "'layout'")):
        distingo.check(None, tmp_path / "check")


def test_the_cache_is_the_one_that_was_named(faulty, tmp_path):
    distingo.check(faulty, model="none", cache=tmp_path / "mine")
    assert Cache(tmp_path / "mine").list_segments()


def test_images_without_classes_are_checked_too(tmp_path):
    (tmp_path / "photos").mkdir()
    for seed in range(4):
        draw_scene(seed).save(tmp_path / "photos" / f"{seed}.png")
    halve(draw_scene(2)).save(tmp_path / "photos" / "small.jpg")
    found = distingo.check(tmp_path / "photos", tmp_path / "check", model="descriptors")
    assert found.layout.code == "images-without-classes"
    assert [(finding.file, finding.other) for finding in found.counting("near-duplicate")] == [("small.jpg", "2.png")]
    assert found.label_score is None


def test_what_a_person_has_answered_is_not_asked_again(tmp_path):
    root = draw_faulty(tmp_path / "data")
    first = distingo.check(root, model="none")
    (empty,) = first.counting("empty")
    kept = Correction(empty.file, "keep", (), empty.content, ("empty",))
    write_corrections(Corrections(root / CORRECTIONS_NAME, (kept,)))
    second = distingo.check(root, model="none")
    assert second.counting("empty") == ()
    assert any(note.startswith("left out, because corrections.csv answers them: 1 of ") for note in texts(second.notes))
    assert distingo.check(root, model="none", corrections="none").counting("empty") == (empty,)


def test_a_check_inside_the_data_is_no_part_of_it(faulty, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(faulty / "train", root)
    first = distingo.check(root, root / "check", model="none")
    second = distingo.check(root, root / "check", model="none")
    assert second.findings == first.findings
    assert second.classes == ("blue", "red")


def test_a_check_without_data_measures_nothing(faulty, tmp_path):
    distingo.check(faulty, tmp_path / "check", model="none")
    with raises(UsageError, code="needs_other_option", parameter="against"):
        distingo.check(None, tmp_path / "check", against=faulty)
    with raises(UsageError, code="needs_other_option", parameter="model"):
        distingo.check(None, tmp_path / "check", model="fast")


def test_data_with_contradictions_only_is_reported(tmp_path):
    for name in ("a", "b"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for seed in range(3):
            draw_scene(seed).save(tmp_path / "data" / name / f"{seed}.png")
    found = distingo.check(tmp_path / "data", tmp_path / "check")
    assert len(found.counting("contradiction")) == 3
    assert found.images == 0


def test_corrections_are_not_counted_among_the_files(faulty, tmp_path, capsys):
    shutil.copytree(faulty, tmp_path / "data")
    (tmp_path / "data" / "corrections.csv").write_text("file,action\ntrain/red/00.png,keep\n", encoding="utf-8")
    assert main(["inspect", str(tmp_path / "data"), "-o", str(tmp_path / "page.html"), "--no-map"]) == 0
    out_of_fold = capsys.readouterr().out
    assert "of 55 files found" in out_of_fold
    assert "holds corrections" not in out_of_fold
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert ">55\N{NO-BREAK SPACE}files found." in page
    assert "holds corrections" in page
    assert distingo.check(tmp_path / "data", model="none").files == 55
