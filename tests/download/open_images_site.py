"""Open Images on this machine: the same paths, tables in the same form, and a few images."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from drawing import encode, noise
from loopback_site import LoopbackSite

from distingo.download.open_images_tables import OpenImagesAddresses

FOOTBALL, RUGBY, PERSON = "/m/01226z", "/m/0wdt60w", "/m/01g317"
CLASSES = {FOOTBALL: "Football", RUGBY: "Rugby ball", PERSON: "Person", "/m/0dx": "Übung, frei"}
_IMAGES = (
    *("ImageID", "Subset", "OriginalURL", "OriginalLandingURL", "License", "AuthorProfileURL", "Author", "Title"),
    *("OriginalSize", "OriginalMD5", "Thumbnail300KURL", "Rotation"),
)
_BOXES = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside"

TABLES = {
    "train": ("v7/oidv7-train-annotations-human-imagelabels.csv", "v6/oidv6-train-annotations-bbox.csv"),
    "validation": ("v7/oidv7-val-annotations-human-imagelabels.csv", "v5/validation-annotations-bbox.csv"),
    "test": ("v7/oidv7-test-annotations-human-imagelabels.csv", "v5/test-annotations-bbox.csv"),
}
IMAGES = {
    "train": "v6/oidv6-train-images-with-labels-with-rotation.csv",
    "train with boxes": "2018_04/train/train-images-boxable-with-rotation.csv",
    "validation": "2018_04/validation/validation-images-with-rotation.csv",
    "test": "2018_04/test/test-images-with-rotation.csv",
}


def name(number: int) -> str:
    return f"{number:016x}"


def image(number: int, size: tuple[int, int] = (64, 48)) -> bytes:
    return encode(noise(number, size), "JPEG")


def addresses(site: LoopbackSite) -> OpenImagesAddresses:
    return OpenImagesAddresses(f"{site.url}/openimages", f"{site.url}/open-images-dataset")


def text(rows: Iterable[Iterable[object]]) -> bytes:
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(rows)
    return file.getvalue().encode("utf-8")


def serve_tables(
    site: LoopbackSite,
    split: str,
    labels: Iterable[tuple[int, str, int]] = (),
    boxes: Iterable[tuple[int, str, tuple[float, float, float, float]]] = (),
) -> None:
    """Labels are (image, class, confidence), boxes (image, class, (left, right, top, bottom))."""
    labels, boxes = list(labels), list(boxes)
    header = ["ImageID", "Source", "LabelName", "Confidence"]
    named, boxed = (f"/openimages/{path}" for path in TABLES[split])
    rows = [(name(number), "verification", label, sure) for number, label, sure in labels]
    site.pages[named] = text([header, *rows])
    rows = [(name(number), "xclick", label, 1, *edges, 0, 1, 0, 0, -1) for number, label, edges in boxes]
    site.pages[boxed] = text([_BOXES.split(","), *rows])
    numbers = sorted({entry[0] for entry in (*labels, *boxes)} | {10_000 + index for index in range(50)})
    images = text([_IMAGES, *(_image_row(site, split, number) for number in numbers)])
    for key in (split, *(["train with boxes"] if split == "train" else [])):
        site.pages[f"/openimages/{IMAGES[key]}"] = images
    for number in {entry[0] for entry in (*labels, *boxes)}:
        site.pages[f"/open-images-dataset/{split}/{name(number)}.jpg"] = image(number)
    for path, known in (("", CLASSES), ("-boxable", {FOOTBALL: "Football", RUGBY: "Rugby ball", PERSON: "Person"})):
        site.pages[f"/openimages/v7/oidv7-class-descriptions{path}.csv"] = text(
            [("LabelName", "DisplayName"), *known.items()]
        )


def _image_row(site: LoopbackSite, split: str, number: int) -> tuple[object, ...]:
    license_url = "https://creativecommons.org/licenses/by/2.0/"
    title = f'A "ball", {number}'
    original = f"{site.url}/flickr/{name(number)}_o.jpg"
    return (
        name(number),
        split,
        original,
        f"landing/{number}",
        license_url,
        "profile",
        "Zoë",
        title,
        1,
        "md5",
        "",
        "90.0",
    )
