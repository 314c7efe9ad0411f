"""Findings: their table, the decisions that resolve them, their thresholds, and those about single files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from distingo.curation.findings import (
    DEFAULT_THRESHOLDS,
    FINDING_KINDS,
    MINIMUM_SCORES,
    Finding,
    file_findings,
    is_resolved,
    parse_thresholds,
    quality_findings,
    read_findings,
    resolve_thresholds,
    write_findings,
)
from distingo.datasets.corrections import Correction, Corrections
from distingo.datasets.measurements import measure
from distingo.errors import DataError, RunError, UsageError
from distingo.messages.notes import note, text_note
from distingo.records import LabeledImage, ManifestRow, Source
from raising import raises

LIKE = note("looks-like", best="Birnen", share=0.75, label="Äpfel", share_of_label=0.125)

FINDING = Finding(
    "label", "Äpfel/a, b.jpg", 0.75, 0.5, ("Äpfel",), "train", "00ff", suggested=("Birnen", "a|b\\"), reason=LIKE
)


def test_findings_come_back_as_they_were_written(tmp_path):
    pair = Finding(
        "leak", "a.png", 1.0, 0.9, ("x", "y"), "test", "01", "b.png", ("z",), "/other", reason=text_note("line\nbreak")
    )
    write_findings([FINDING, pair], tmp_path / "findings.csv")
    assert read_findings(tmp_path / "findings.csv") == (FINDING, pair)


def test_a_spreadsheet_reads_which_findings_count(tmp_path):
    write_findings([FINDING, replace(FINDING, score=0.49)], tmp_path / "f.csv")
    lines = (tmp_path / "f.csv").read_text(encoding="utf-8").splitlines()
    assert [line.split(",")[0] for line in lines] == ["counts", "yes", "no"]


def test_another_table_is_refused(tmp_path):
    write_findings([FINDING], tmp_path / "f.csv")
    text = (tmp_path / "f.csv").read_text(encoding="utf-8")
    (tmp_path / "f.csv").write_text(text.replace(",label,", ",strange,"), encoding="utf-8")
    with raises(RunError, code="damaged_line", naming=("f.csv", "line 2", "'strange'")):
        read_findings(tmp_path / "f.csv")
    (tmp_path / "f.csv").write_text(text.replace(",0.75,", ",much,"), encoding="utf-8")
    with raises(RunError, code="damaged_line", naming="line 2"):
        read_findings(tmp_path / "f.csv")
    for values in ("[[", '[""a""]'):
        (tmp_path / "f.csv").write_text(text.replace('{""best""', values), encoding="utf-8")
        with raises(RunError, code="damaged_line", naming="line 2"):
            read_findings(tmp_path / "f.csv")
    (tmp_path / "f.csv").write_text("file,kind\n", encoding="utf-8")
    with raises(RunError, code="missing_column", naming="'score'"):
        read_findings(tmp_path / "f.csv")
    with raises(DataError, code="not_found"):
        read_findings(tmp_path / "none.csv")


def test_what_answers_a_finding() -> None:
    dark = Finding("dark", "a.png", 1.0, 0.5, content="1" * 32)
    keep = Correction("a.png", "keep", content="1" * 32, kinds=("dark",))

    def answered(finding: Finding, *entries: Correction) -> bool:
        return is_resolved(finding, Corrections(Path("c.csv"), entries))

    assert not is_resolved(dark, None)
    assert answered(dark, keep)
    assert not answered(replace(dark, kind="bright"), keep)
    assert not answered(replace(dark, content="2" * 32), keep)
    assert answered(replace(dark, kind="bright"), replace(keep, action="quarantine"))
    pair = Finding("leak", "a.png", 1.0, 0.5, other="b.png")
    looked = Correction("a.png", "keep", kinds=("leak",))
    assert not answered(pair, looked)
    assert answered(pair, looked, replace(looked, file="b.png"))
    assert answered(pair, replace(looked, file="b.png", action="quarantine"))
    assert answered(pair, replace(looked, action="relabel", labels=("x",)))
    assert answered(replace(pair, other_root="/elsewhere"), looked)


def test_every_kind_has_a_threshold_above_what_is_stored():
    assert set(DEFAULT_THRESHOLDS) == set(MINIMUM_SCORES) == set(FINDING_KINDS)
    assert all(MINIMUM_SCORES[kind] <= DEFAULT_THRESHOLDS[kind] <= 1 for kind in FINDING_KINDS)


def test_requested_thresholds_replace_defaults():
    settled = resolve_thresholds(parse_thresholds(["blurred=0.7", "dark=1"]))
    assert settled == {**DEFAULT_THRESHOLDS, "blurred": 0.7, "dark": 1.0}


def test_invalid_thresholds_are_refused():
    with raises(UsageError, code="unknown_name", parameter="thresholds"):
        resolve_thresholds({"blured": 0.5})
    with raises(UsageError, code="out_of_range", parameter="thresholds"):
        resolve_thresholds({"dark": 0.1})
    with raises(UsageError, code="invalid_value", parameter="thresholds"):
        parse_thresholds(["dark"])


def image(name: str, width: int = 100, height: int = 100) -> LabeledImage:
    return LabeledImage(Source(name, Path(name)), ("a",), name, name, width, height)


def kinds_of(drawn: Image.Image) -> dict[str, float]:
    rows = np.stack([measure(drawn)])
    found = quality_findings([image("x.png", *drawn.size)], rows, DEFAULT_THRESHOLDS)
    return {finding.kind: round(finding.score, 2) for finding in found if finding.counts}


def noise(low: int, high: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(low, high, (100, 100, 3), np.uint8))


def test_an_ordinary_image_has_no_findings():
    assert kinds_of(noise(0, 256)) == {}


@pytest.mark.parametrize(
    ("image", "kind"),
    [
        (noise(0, 60), "dark"),
        (noise(246, 256), "bright"),
        (Image.new("RGB", (100, 100), (120, 120, 120)), "empty"),
        (noise(0, 256).crop((0, 0, 8, 8)).resize((100, 100), Image.Resampling.BICUBIC), "blurred"),
        (noise(0, 256).resize((400, 100)), "odd-aspect"),
    ],
)
def test_each_fault_is_found(image, kind):
    assert kind in kinds_of(image)


def test_an_empty_image_is_not_called_blurred_too():
    assert set(kinds_of(Image.new("L", (80, 80), 128))) == {"empty"}


def test_sizes_are_odd_by_the_median():
    images = [image(f"{at}.png") for at in range(9)] + [
        image("large.png", 600, 600),
        image("small.png", 10, 10),
    ]
    rows = np.stack([measure(noise(0, 256))] * len(images))
    odd = [found for found in quality_findings(images, rows, DEFAULT_THRESHOLDS) if found.kind == "odd-size"]
    assert {found.file: round(found.score, 3) for found in odd} == {"large.png": 0.833, "small.png": 0.9}
    assert odd[0].reason == note("size-and-median", width=600, height=600, median=100)


def test_files_without_a_image_and_under_wrong_names_are_found():
    def row(file: str, status: str, form: str, reason: str = "") -> ManifestRow:
        return ManifestRow(file, status, text_note(reason), ("a",), "test", form, 9, 9, "c0")

    rows = [
        row("a/ok.JPG", "used", "JPEG"),
        row("a/page.jpg", "unusable", "HTML", "an HTML page, not a picture"),
        row("a/x.png", "used", "JPEG"),
        row("a/y.php", "duplicate", "GIF"),
        row("a/z", "conflict", "WebP"),
        row("a/notes.txt", "ignored", ""),
    ]
    found = {finding.file: finding for finding in file_findings(rows, DEFAULT_THRESHOLDS)}
    assert {file: (finding.kind, finding.score) for file, finding in found.items()} == {
        "a/page.jpg": ("unreadable", 1.0),
        "a/x.png": ("wrong-ending", 1.0),
        "a/y.php": ("wrong-ending", 0.75),
        "a/z": ("wrong-ending", 0.75),
    }
    assert found["a/x.png"].reason == note("ending-of-other-format", format="JPEG", ending=".png", right=".jpg")
    assert found["a/z"].reason == note("no-ending", format="WebP", right=".webp")
    assert found["a/page.jpg"].split == "test"


def test_an_image_that_is_merely_not_read_is_no_unreadable_file() -> None:
    def row(file: str, *notes: str) -> ManifestRow:
        return ManifestRow(file, "unusable", text_note("why"), ("a",), None, "PSD", 0, 0, "c", notes=notes)

    rows = [row("a.psd", "unsupported"), row("huge.png", "too-many-pixels"), row("broken.png")]
    assert [finding.file for finding in file_findings(rows, {"unreadable": 0.5, "wrong-ending": 0.5})] == ["broken.png"]
