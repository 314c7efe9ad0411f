"""Download of Open Images by class, with the labels, license and author of each image."""

from __future__ import annotations

import json
from array import array
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from distingo.csv_files import write_table
from distingo.datasets.corrections import BOXES_NAME, LICENSE_NAME, METADATA_NAME
from distingo.download.connections import Connections
from distingo.download.fetching import fetch
from distingo.download.folder import DownloadFolder, Gathered, open_folder
from distingo.download.open_images_tables import (
    BOX_FLAGS,
    LICENSE,
    Box,
    ImageFacts,
    OpenImagesAddresses,
    OpenImagesSplit,
    SelectedImage,
    Selection,
    read_boxes,
    read_class_list,
    read_images,
    read_labels,
    select_images,
)
from distingo.download.records import IMAGES, CatalogClass, Limits, Outcome, RemoteFile, find_classes, folder_names
from distingo.download.table_streaming import TableQuery, TableSource
from distingo.download.url_lists import removed_since
from distingo.errors import DataError, UsageError, option
from distingo.files import content_hash, write_text
from distingo.messages.notes import Note, note

_SEVERAL = "images"
"""The folder of all images if any of them has several classes."""

_TAKEN_DOWN = "photo_unavailable"
"""Part of the URL that Flickr redirects to if an author removed an image."""

_METADATA = (
    *("file_name", "labels", "split", "image_id", "source", "landing_page", "license", "author", "author_profile"),
    *("title", "rotation", "fetched_from"),
)
_BOXES = ("file_name", "box_label", "left", "right", "top", "bottom", *BOX_FLAGS)


@dataclass(frozen=True, slots=True)
class OpenImagesRequest:
    """The requested images.

    Attributes:
        classes: Names, or identifiers (``/m/...``).
        splits: Splits to take images from.
        limit: Maximum number of images per class; None takes all.
        boxes: Whether an image must have a box of the class; if False, people must have verified the label.
        smallest: Minimum length in pixels of an image's shorter side and, with `boxes`, of a box's shorter side.
        single: Whether to leave out images that have several of the classes.
        seed: Seed of the selection if `limit` is set.
    """

    classes: tuple[str, ...]
    splits: tuple[OpenImagesSplit, ...] = ("train",)
    limit: int | None = None
    boxes: bool = False
    smallest: int = 0
    single: bool = False
    seed: int = 0


@dataclass(frozen=True, slots=True)
class _Plan:
    """The selected images and their metadata.

    Attributes:
        names: Folder names of the classes.
        selection: The images.
        facts: Sources by image identifier; a few may be missing.
        boxes: Boxes of the classes, by image identifier.
    """

    names: tuple[str, ...]
    selection: Selection
    facts: Mapping[str, ImageFacts]
    boxes: Mapping[str, Sequence[Box]]

    def path_of(self, image: SelectedImage) -> str:
        """Return an image's path without extension, relative to the folder, with forward slashes."""
        folder = _SEVERAL if self.selection.has_several else self.names[image.classes[0]]
        return f"{folder}/{image.identifier}"

    def facts_of(self, image: SelectedImage) -> ImageFacts:
        return self.facts.get(image.identifier, ImageFacts())


@dataclass(frozen=True, slots=True)
class _DownloadedImage:
    """An image that was downloaded and kept.

    Attributes:
        image: The selected image.
        outcome: The outcome of its download.
        labels: Indices of its classes among the requested ones, ascending.
        boxes: Its boxes that are large enough.
    """

    image: SelectedImage
    outcome: Outcome
    labels: tuple[int, ...]
    boxes: tuple[Box, ...] = ()


def gather_open_images(
    request: OpenImagesRequest,
    output: Path,
    limits: Limits | None = None,
    *,
    addresses: OpenImagesAddresses | None = None,
    try_refused: bool = False,
    allow_private: bool = False,
) -> Gathered:
    """Download the images of some classes, with ``metadata.csv`` next to them.

    If no image has several of the classes, images are written to class folders, else all to ``images``. The tables are
    streamed, and their lines about the classes are stored in the folder, so that a resumed run does not read the tables
    again. Images are downloaded from the store of the Common Visual Data Foundation or, if missing there, from the URL
    of the original.

    Args:
        request: The requested images.
        output: A folder: new, empty, or started by the same request.
        limits: Limits of the download; None takes the defaults.
        addresses: URLs of the tables and images; None takes the official ones.
        try_refused: As in `fetch`.
        allow_private: Whether these URLs, and those in the tables, may be on a private network.

    Returns:
        One outcome per selected image.

    Raises:
        DataError: A table can't be downloaded, or no image matches.
        ResourceError: The folder can't be written.
        UsageError: A class is unknown, or the folder contains something else.
    """
    limits, addresses = limits or Limits(), addresses or OpenImagesAddresses()
    with closing(Connections(limits)) as connections:
        source = TableSource(connections, limits, allow_private=allow_private)
        classes = _find_classes(request, source, addresses)
        with open_folder(output, _describe(request, classes)) as folder:
            plan = _make_plan(request, classes, _Tables(folder.own / "tables", source, addresses))
            _fetch(plan, folder, addresses, limits, try_refused=try_refused, allow_private=allow_private)
            downloaded = _check_images(plan, folder, request.smallest)
            write_table(output / METADATA_NAME, _METADATA, (_metadata(each, plan) for each in downloaded))
            if request.boxes:
                write_table(output / BOXES_NAME, _BOXES, (row for each in downloaded for row in _box_rows(each, plan)))
            write_text(output / LICENSE_NAME, LICENSE)
            folder.write_manifest()
            folder.finish()
            outcomes = [folder.outcome_of(plan.path_of(image)) for image in plan.selection.images]
    all_outcomes = tuple(filter(None, outcomes))
    return Gathered(
        output, all_outcomes, (*_notes(plan, downloaded), *removed_since(output, all_outcomes)), folder.arrived
    )


def _find_classes(
    request: OpenImagesRequest, source: TableSource, addresses: OpenImagesAddresses
) -> tuple[CatalogClass, ...]:
    url = addresses.classes(boxable=request.boxes)
    all_classes = read_class_list(source.read(url), url)
    if not request.boxes:
        return find_classes(request.classes, all_classes, "Open Images")
    try:
        return find_classes(request.classes, all_classes, "Open Images with boxes")
    except UsageError as error:
        raise UsageError(
            f"{error} (of its 20,000 classes 600 have boxes; {option('boxes', value=False)} takes the others)",
            code=error.code,
            parameter=error.parameter,
        ) from error


def _describe(request: OpenImagesRequest, classes: Sequence[CatalogClass]) -> dict[str, object]:
    """Describe the source of the folder, independent of how classes and splits are spelled and ordered."""
    identifiers = sorted(each.identifier for each in classes)
    command = " ".join(["distingo download open-images", *(f"--class {each.name!r}" for each in classes)])
    settings = asdict(request) | {"classes": identifiers, "splits": sorted(request.splits)}
    return {"command": command, "open-images": settings}


@dataclass(frozen=True, slots=True)
class _Tables:
    """Access to the tables, each of which is streamed once; the matching lines are stored in a folder."""

    folder: Path
    source: TableSource
    addresses: OpenImagesAddresses

    def lines(self, url: str, column: str, values: Collection[str]) -> Path:
        """Return a file with the matching lines of a table, which is streamed unless an earlier run has done so."""
        key = content_hash("\n".join([url, column, *sorted(values)]).encode("utf-8"))
        path = self.folder / f"{url.rpartition('/')[2].removesuffix('.csv')}-{key}.csv"
        if not path.exists():
            self.source.keep_lines(TableQuery(url, column, frozenset(value.encode() for value in values)), path)
        return path


def _make_plan(request: OpenImagesRequest, classes: Sequence[CatalogClass], tables: _Tables) -> _Plan:
    addresses = tables.addresses
    positions = {each.identifier: index for index, each in enumerate(classes)}
    table_of = addresses.boxes if request.boxes else addresses.labels
    extracts = {split: tables.lines(table_of(split), "LabelName", positions.keys()) for split in request.splits}
    images_by_class: dict[tuple[OpenImagesSplit, int], array[int]] = {}
    for split, path in extracts.items():
        images_by_class.update({(split, index): images for index, images in read_labels(path, positions).items()})
    selection = select_images(
        images_by_class, len(classes), limit=request.limit, seed=request.seed, single=request.single
    )
    if not selection.images:
        names, splits = ", ".join(each.name for each in classes), ", ".join(request.splits)
        raise DataError(
            f"Open Images has no such pictures of {names} in {splits}; try other classes or splits",
            code="nothing_matches",
            parameter="classes",
        )
    facts: dict[str, ImageFacts] = {}
    boxes: defaultdict[str, list[Box]] = defaultdict(list)
    for split, path in extracts.items():
        identifiers = {image.identifier for image in selection.images if image.split == split}
        if identifiers:
            url = addresses.image_table(split, boxable=request.boxes)
            facts.update(read_images(tables.lines(url, "ImageID", identifiers)))
        for box in read_boxes(path, positions, identifiers) if request.boxes else ():
            boxes[box.identifier].append(box)
    return _Plan(folder_names(classes), selection, facts, dict(boxes))


def _fetch(
    plan: _Plan,
    folder: DownloadFolder,
    addresses: OpenImagesAddresses,
    limits: Limits,
    *,
    try_refused: bool,
    allow_private: bool,
) -> None:
    """Download every image from the store or, if it is missing there, from the URL of the original."""

    def first_choice(image: SelectedImage) -> str:
        earlier = folder.outcome_of(plan.path_of(image))
        if earlier is not None and earlier.url and earlier.url == plan.facts_of(image).source:
            return earlier.url  # an earlier run had to use the original
        return addresses.image(image.split, image.identifier)

    images = {plan.path_of(image): image for image in plan.selection.images}
    files = [RemoteFile(first_choice(image), path, IMAGES, ending=True) for path, image in images.items()]
    settings = {"try_refused": try_refused, "allow_private": allow_private}
    outcomes = fetch(files, folder, limits, description="pictures", **settings)
    missing = [
        replace(file, url=original)
        for file, outcome in zip(files, outcomes, strict=True)
        if outcome.status == "absent" and (original := plan.facts_of(images[file.name]).source) not in {"", file.url}
    ]
    fetch(missing, folder, limits, description="originals", **settings)


def _check_images(plan: _Plan, folder: DownloadFolder, smallest: int) -> tuple[_DownloadedImage, ...]:
    """Return the valid images that are large enough; remove the others and record the reason."""
    downloaded = []
    for image in plan.selection.images:
        outcome = folder.outcome_of(plan.path_of(image))
        if outcome is None or outcome.status != "fetched":
            continue
        path = folder.root / outcome.file
        if not path.is_file():
            continue  # the user removed it
        if _TAKEN_DOWN in outcome.final_url:
            _remove(path, folder, replace(outcome, status="absent", reason="its author took it down"))
            continue
        boxes = tuple(plan.boxes.get(image.identifier, ()))
        checked, reason = _check_size(_DownloadedImage(image, outcome, image.classes, boxes), path, smallest)
        if (
            reason and path.stat().st_size == outcome.size
        ):  # a file of another size was changed by the user, and is kept
            _remove(path, folder, replace(outcome, status="refused", reason=reason))
        else:
            downloaded.append(checked)
    return tuple(downloaded)


def _check_size(image: _DownloadedImage, path: Path, smallest: int) -> tuple[_DownloadedImage, str]:
    """Return an image with its large enough boxes, and the reason to remove it, or an empty text."""
    if not smallest:
        return image, ""
    size = _size(path)
    if size is None:
        return image, "can't be read as a picture"
    if min(size) < smallest:
        return image, f"{size[0]} x {size[1]} pixels, smaller than {smallest}"
    if not image.boxes:
        return image, ""
    large = tuple(box for box in image.boxes if box.shorter_side(*size) >= smallest)
    labels = tuple(sorted({box.label for box in large}))
    reason = "" if large else f"its boxes are smaller than {smallest} pixels"
    return replace(image, labels=labels, boxes=large), reason


def _size(path: Path) -> tuple[int, int] | None:
    """Return width and height as stored, before any rotation, which is the coordinate system of the boxes."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            return image.size
    except (OSError, ValueError, Image.DecompressionBombError):
        return None


def _remove(path: Path, folder: DownloadFolder, outcome: Outcome) -> None:
    path.unlink()
    folder.record(replace(outcome, file="", size=0, sha256=""))


def _metadata(downloaded: _DownloadedImage, plan: _Plan) -> tuple[str, ...]:
    """Return an image's row of ``metadata.csv``, which distingo and Hugging Face's ``imagefolder`` can read."""
    facts, image = plan.facts_of(downloaded.image), downloaded.image
    labels = json.dumps([plan.names[index] for index in downloaded.labels], ensure_ascii=False)
    origin = (facts.source, facts.landing_page, facts.license, facts.author, facts.author_profile, facts.title)
    named = (downloaded.outcome.file, labels, image.split, image.identifier)
    return (*named, *origin, facts.rotation, downloaded.outcome.final_url)


def _box_rows(downloaded: _DownloadedImage, plan: _Plan) -> Iterator[tuple[str, ...]]:
    """Yield an image's rows of ``boxes.csv``, with edges as fractions of the stored width and height."""
    for box in downloaded.boxes:
        yield (downloaded.outcome.file, plan.names[box.label], *(f"{edge:.6f}" for edge in box.edges), *box.flags)


def _notes(plan: _Plan, downloaded: Sequence[_DownloadedImage]) -> Iterator[Note]:
    counts = Counter(index for each in downloaded for index in each.labels)
    for index, (name, total) in enumerate(zip(plan.names, plan.selection.counts, strict=True)):
        yield note("images-of-class-named", name=name, count=counts[index], total=total)
    if plan.selection.has_several:
        yield note("images-with-several-classes")
    if plan.selection.dropped:
        yield note("images-dropped", option=option("single", value=True), count=plan.selection.dropped)
    if rotated := sum(plan.facts_of(each.image).rotation not in {"", "0", "0.0"} for each in downloaded):
        yield note("images-not-upright", count=rotated)
