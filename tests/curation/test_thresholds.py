from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from distingo.curation.findings import (
    DEFAULT_THRESHOLDS,
    FINDING_KINDS,
    KEPT_FROM,
    file_findings,
    parse_thresholds,
    quality_findings,
    settle_thresholds,
)
from distingo.datasets.measurements import measure
from distingo.errors import UsageError
from distingo.messages.notes import note, text_note
from distingo.records import LabeledImage, ManifestRow, Source
from raising import raises


def test_every_kind_has_a_threshold_above_what_is_kept():
    assert set(DEFAULT_THRESHOLDS) == set(KEPT_FROM) == set(FINDING_KINDS)
    assert all(KEPT_FROM[kind] <= DEFAULT_THRESHOLDS[kind] <= 1 for kind in FINDING_KINDS)


def test_wishes_take_the_place_of_defaults():
    settled = settle_thresholds(parse_thresholds(["blurred=0.7", "dark=1"]))
    assert settled == {**DEFAULT_THRESHOLDS, "blurred": 0.7, "dark": 1.0}


def test_mistakes_are_explained():
    with raises(UsageError, code="unknown_name", parameter="thresholds"):
        settle_thresholds({"blured": 0.5})
    with raises(UsageError, code="out_of_range", parameter="thresholds"):
        settle_thresholds({"dark": 0.1})
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


def test_an_ordinary_image_is_not_found_wanting():
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
