"""``distingo split`` from the words a person types to the file."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

import distingo
from distingo.cli import main
from distingo.errors import ResourceError, UsageError
from raising import raises
from tiny_datasets import draw_classes


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def take_bursts(root: Path, length: int = 3) -> Path:
    """Bursts of one camera over both classes' files, each image of its own pixels."""
    draw_classes(root, per_class=12, names=("katzen", "hunde"))
    for name in ("katzen", "hunde"):
        for at in range(12):
            exif = Image.Exif()
            exif[ExifTags.Base.Model.value] = "Kamera"
            moment = f"2024:05:01 10:{at // length:02}:{at % length:02}"
            exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal.value] = moment
            file = root / name / f"{at:03}.png"
            Image.open(file).save(file, exif=exif)
    return root


def test_bursts_stay_together_and_the_shares_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = take_bursts(tmp_path / "data")
    before = sorted(data.rglob("*"))
    assert main(["split", str(data), "-o", str(tmp_path / "s.csv"), "--val", "0.25", "--test", "0.25"]) == 0
    said = capsys.readouterr().out
    assert "24 pictures; 24 belong with others (burst: 4 groups)" in said
    assert "katzen" in said
    assert "25.0%" in said
    rows = rows_of(tmp_path / "s.csv")
    splits = {(row["group"], row["split"]) for row in rows}
    assert len(splits) == 4
    assert {row["why"] for row in rows} == {"burst"}
    assert sorted(data.rglob("*")) == before


def test_bursts_can_be_left_aside(tmp_path: Path) -> None:
    data = take_bursts(tmp_path / "data")
    assert main(["split", str(data), "-o", str(tmp_path / "s.csv"), "--burst", "none"]) == 0
    assert len({row["group"] for row in rows_of(tmp_path / "s.csv")}) == 24


def test_a_group_column_holds_images_together(tmp_path: Path) -> None:
    data = draw_classes(tmp_path / "data", per_class=8, names=("a", "b"))
    lines = [f"{name}/{at:03}.png,{name},patient {at % 4}" for name in "ab" for at in range(8)]
    (data / "labels.csv").write_text("\n".join(["file,label,patient", *lines]), encoding="utf-8")
    words = ["split", str(data / "labels.csv"), "-o", str(tmp_path / "s.csv"), "--group-column", "patient"]
    assert main([*words, "--folds", "4", "--seed", "2"]) == 0
    patients: dict[str, set[str]] = {}
    for row in rows_of(tmp_path / "s.csv"):
        patients.setdefault(str(int(row["file"][2:5]) % 4), set()).add(row["fold"])
    assert sorted(patients) == ["0", "1", "2", "3"]
    assert all(len(folds) == 1 for folds in patients.values())


def test_the_same_seed_writes_the_same_file(tmp_path: Path) -> None:
    data = draw_classes(tmp_path / "data", per_class=10)
    for name, seed in (("one", 4), ("two", 4), ("three", 5)):
        distingo.split(data, tmp_path / f"{name}.csv", seed=seed)
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()
    assert (tmp_path / "one.csv").read_bytes() != (tmp_path / "three.csv").read_bytes()


def test_nothing_is_overwritten_and_mistakes_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = draw_classes(tmp_path / "data", per_class=4)
    (tmp_path / "mine.csv").write_text("mine", encoding="utf-8")
    with raises(ResourceError, code="already_exists", parameter="output"):
        distingo.split(data, tmp_path / "mine.csv")
    with raises(UsageError, code="invalid_file_name", parameter="output"):
        distingo.split(data, tmp_path / "split.txt")
    with raises(UsageError, code="out_of_range", parameter="burst"):
        distingo.split(data, tmp_path / "s.csv", burst=-1)
    assert main(["split", str(data), "--folds", "3", "--test", "0.2"]) == 2
    assert main(["split", str(data), "--burst", "soon"]) == 2
    assert "'soon' is no number" in capsys.readouterr().err
    assert (tmp_path / "mine.csv").read_text(encoding="utf-8") == "mine"
    assert not (tmp_path / "s.csv").exists()


def test_copies_of_a_scene_stay_together(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for at in range(12):
        coarse = generator.integers(0, 256, (12, 16, 3), np.uint8)
        scene = Image.fromarray(coarse).resize((160, 120), Image.Resampling.BICUBIC)
        folder = tmp_path / "data" / "ab"[at % 2]
        folder.mkdir(parents=True, exist_ok=True)
        scene.save(folder / f"{at:02}.png")
        if at < 4:
            scene.resize((80, 60)).save(folder / f"{at:02} small.jpg", quality=40)
    distingo.split(tmp_path / "data", tmp_path / "s.csv", seed=1)
    rows = rows_of(tmp_path / "s.csv")
    for at in range(4):
        both = [row for row in rows if Path(row["file"]).name.startswith(f"{at:02}")]
        assert len(both) == 2
        assert len({(row["group"], row["split"], row["why"]) for row in both}) == 1
        assert both[0]["why"] == "near-duplicate"
    assert len({row["group"] for row in rows}) == 12
    distingo.split(tmp_path / "data", tmp_path / "apart.csv", near_duplicates=None)
    assert len({row["group"] for row in rows_of(tmp_path / "apart.csv")}) == 16


@pytest.mark.parametrize("limits", [{"near_duplicates": 0.3}, {"near_duplicates": 1.2}, {"burst": float("nan")}])
def test_limits_out_of_range(tmp_path: Path, limits: dict[str, float]) -> None:
    with raises(UsageError, code="out_of_range", parameter=next(iter(limits))):
        distingo.split(tmp_path, tmp_path / "s.csv", **limits)


@pytest.mark.data
def test_real_copies_of_a_scene_stay_together(real_data: Path, tmp_path: Path) -> None:
    """Pairs seen by eye in this set of sports photos."""
    division = distingo.split(real_data / "ball-sports", tmp_path / "s.csv")
    rows = {row["file"]: row for row in rows_of(tmp_path / "s.csv")}
    for one, other in (("ultimate/0016", "ultimate/0034"), ("rugby/0052", "rugby/0053")):
        first, second = rows[f"{one}.jpg"], rows[f"{other}.jpg"]
        assert (first["group"], first["split"], first["why"]) == (second["group"], second["split"], "near-duplicate")
    assert max(share.farthest for share in division.shares) < 0.01


@pytest.mark.parametrize(("option", "split"), [("--test", "test"), ("--validation", "valid")])
def test_a_share_for_a_side_that_the_data_has_is_refused(
    option: str, split: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("train", split):
        draw_classes(tmp_path / "data" / name, per_class=6, names=("a", "b"))
    words = ["split", str(tmp_path / "data"), "--near-duplicates", "none", "-o"]
    assert main([*words, str(tmp_path / "s.csv"), option, "0"]) == 2
    said = capsys.readouterr().err
    assert f"{option} 0: {tmp_path / 'data'} has a {option[2:]} split of its own; leave {option} out" in said
    assert not (tmp_path / "s.csv").exists()
    assert main([*words, str(tmp_path / "kept.csv")]) == 0
    assert main([*words, str(tmp_path / "anew.csv"), option, "0", "--resplit"]) == 0
    assert option[2:] in {row["split"] for row in rows_of(tmp_path / "kept.csv")}
    assert option[2:] not in {row["split"] for row in rows_of(tmp_path / "anew.csv")}
