"""Read a folder into a dataset with a manifest of every file, and survey its images before any is decoded."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import chain, zip_longest
from pathlib import Path
from statistics import median

from distingo.datasets.cache.products import (
    Examined,
    FileUse,
    Product,
    describe_notes,
    pixels_product,
    resolve_duplicates,
)
from distingo.datasets.correcting import correct, describe_sole_corrections, with_relabeled
from distingo.datasets.corrections import Corrections, find_corrections
from distingo.datasets.decoding import idx
from distingo.datasets.decoding.decode import (
    NO_LIMIT,
    Header,
    UndecodableError,
    read_bytes,
    read_header,
)
from distingo.datasets.decoding.value_ranges import describe_ranges, warn_of_ranges
from distingo.datasets.examining import Examiner
from distingo.datasets.layouts.detection import find_layout
from distingo.datasets.options import Reading
from distingo.datasets.walking import Candidate, Layout
from distingo.errors import DataError, quote
from distingo.messages.notes import Note, note
from distingo.records import NO_VALUE_RANGES, Dataset, LabeledImage, ManifestRow, Task, find_name_fault

_SAMPLE_SIZE = 300


@dataclass(frozen=True, slots=True)
class Survey:
    """Summary of a sample of image headers.

    Attributes:
        layout: As in `Dataset.layout`.
        classes: All class names, sorted.
        count: Number of files that may be images.
        height: Median height of the sample, in pixels, upright.
        width: Median width of the sample, in pixels, upright.
        gray: Whether every image of the sample is stored without color.
        task: As in `Dataset.task`.
    """

    layout: Note
    classes: tuple[str, ...]
    count: int
    height: int
    width: int
    gray: bool
    task: Task = "single-label"


def survey(
    root: Path | str,
    *,
    limit: int = _SAMPLE_SIZE,
    reading: Reading | None = None,
    lenient: bool = False,
) -> Survey:
    """Inspect the headers of some images, spread evenly over the classes.

    Args:
        root: The dataset's folder.
        limit: Maximum number of files to inspect.
        reading: Options for the table of labels, and whether its images may be missing.
        lenient: As for `find_layout`.

    Returns:
        Summary of the sample.

    Raises:
        DataError: As for `find_layout`, or none of the inspected files is an image.
    """
    root = Path(root)
    reading = reading or Reading()
    layout = find_layout(root, reading.table, allow_missing=reading.allow_missing, lenient=lenient)
    headers = []
    for candidate in _spread(layout.candidates, limit):
        try:
            headers.append(_header(candidate))
        except UndecodableError:
            continue
    if not headers:
        raise DataError(
            f"{root}: none of the files looked at is a picture; distingo reads JPEG, PNG, WebP, TIFF and more",
            code="no_images",
        )
    return Survey(
        layout.name,
        layout.classes,
        len(layout.candidates),
        round(median(header.height for header in headers)),
        round(median(header.width for header in headers)),
        all(header.gray for header in headers),
        layout.task,
    )


def _header(candidate: Candidate) -> Header:
    source = candidate.source
    if source.index is not None:
        _, height, width = idx.read_shape(source.path)
        return Header(width, height, gray=True, format="IDX")
    return read_header(read_bytes(source), max_pixels=NO_LIMIT)


def _spread(candidates: tuple[Candidate, ...], limit: int) -> list[Candidate]:
    """Take one candidate of each class in turn, evenly over each class's files."""
    classes: dict[tuple[str, ...], list[Candidate]] = defaultdict(list)
    for candidate in candidates:
        classes[candidate.labels].append(candidate)
    per_class = -(-limit // len(classes))
    sampled = [members[:: max(1, len(members) // per_class)] for members in classes.values()]
    interleaved = [candidate for candidate in chain.from_iterable(zip_longest(*sampled)) if candidate is not None]
    return interleaved[:limit]


__all__ = ["Product", "Survey", "pixels_product", "read_dataset", "survey"]


def read_dataset(
    root: Path | str,
    reading: Reading,
    *,
    products: Sequence[Product] = (),
    lenient: bool = False,
    known_classes: Collection[str] = (),
) -> Dataset:
    """Read a folder of images: find, examine and account for every file, and fill the products.

    Bytes are hashed first; only contents that are not cached, or that a product lacks, are decoded, each once.

    Args:
        root: The folder, in one of the layouts of `find_layout`, or a table of labels.
        reading: How images and labels are found and read. Its corrections are applied before copies are resolved. Its
            value range is, for example, that of a model (deep images of a kind that the model has no range for are
            scaled individually); None computes it from all usable images
            (`distingo.datasets.decoding.value_ranges.decide_ranges`).
        products: What to compute from every usable image; afterwards each has a row for every image.
        lenient: As for `find_layout`; also continue, with a note, if a class has no usable image.
        known_classes: As for `find_layout`.

    Returns:
        The usable images and the manifest of every file found. For multi-label data, a label whose last image is
        unusable is dropped from the classes, with a note.

    Raises:
        DataError: As for `find_layout`; or the corrections are damaged or don't fit; or, for single-label data, a class
            has no usable image.
        UsageError: As for `find_layout`.
        ResourceError: The cache can't be read or written, or the disk is full.
    """
    root = Path(root)
    layout = find_layout(
        root,
        reading.table,
        allow_missing=reading.allow_missing,
        lenient=lenient,
        known_classes=known_classes,
    )
    corrections = find_corrections(layout.root, reading.corrections)
    layout = with_relabeled(layout, corrections)
    if not lenient:
        _check_names(root, layout.classes)
    examiner = Examiner(
        reading.cache,
        products,
        max_pixels=reading.pixel_limit,
        workers=reading.threads,
        value_ranges=reading.ranges,
    )
    examined = examiner.examine(layout.candidates)
    ranges = examiner.value_ranges or NO_VALUE_RANGES
    deep = list({entry.content: entry.facts.values for entry in examined if entry.facts.values is not None}.values())
    warnings = () if reading.ranges is None else warn_of_ranges(ranges, deep)
    range_notes = describe_ranges(ranges, deep, decided=reading.ranges is None)
    layout = replace(layout, notes=layout.notes + range_notes + warnings)
    layout, examined = correct(layout, examined, corrections)
    uses = resolve_duplicates(examined)
    layout = replace(layout, notes=layout.notes + describe_notes([entry.facts for entry in examined]))
    dataset = replace(_assemble(layout, examined, uses), value_ranges=ranges, range_warnings=warnings)
    if layout.task == "single-label" and not lenient:
        _check_every_class(root, layout, examined, uses, corrections)
        return dataset
    if lenient and not any(image.labels for image in dataset.images):
        return replace(dataset, classes=())
    return _without_lost_labels(root, dataset)


def _check_names(root: Path, classes: Sequence[str]) -> None:
    """Refuse names that no model could be saved under: saved models are validated as untrusted files."""
    for name in classes:
        if problem := find_name_fault(name):
            raise DataError(f"{root}: the name of class {quote(name)} {problem}; rename it", code="invalid_name")


def _check_every_class(
    root: Path,
    layout: Layout,
    examined: Sequence[Examined],
    uses: Sequence[FileUse],
    corrections: Corrections | None,
) -> None:
    used = {
        label
        for entry, use in zip(examined, uses, strict=True)
        if use.status == "used"
        for label in entry.candidate.labels
    }
    for name in layout.classes:
        if name in used:
            continue
        indices = [at for at, entry in enumerate(examined) if name in entry.candidate.labels]
        reason = Counter(uses[at].reason for at in indices).most_common(1)[0][0]
        files = "1 file" if len(indices) == 1 else f"{len(indices):,} files"
        advice = describe_sole_corrections(name, [examined[at].candidate.source.file for at in indices], corrections)
        raise DataError(
            f"{root}: class {name!r} has no usable picture ({files} tried; most often: {reason}); "
            f"{advice or 'fix it or move its folder away'}",
            code="empty_class",
        )


def _without_lost_labels(root: Path, dataset: Dataset) -> Dataset:
    remaining = {label for image in dataset.images for label in image.labels}
    if not remaining:
        raise DataError(
            f"{root}: no picture with a label is usable; `distingo check` lists why", code="no_usable_images"
        )
    code = "class-dropped" if dataset.task == "single-label" else "label-dropped"
    lost = tuple(note(code, name=label) for label in dataset.classes if label not in remaining)
    classes = tuple(label for label in dataset.classes if label in remaining)
    if not lost:
        return dataset
    return replace(dataset, classes=classes, notes=dataset.notes + lost)


def _assemble(layout: Layout, examined: Sequence[Examined], uses: Sequence[FileUse]) -> Dataset:
    images, manifest = [], list(layout.ignored)
    for entry, use in zip(examined, uses, strict=True):
        candidate, facts = entry.candidate, entry.facts
        manifest.append(
            ManifestRow(
                candidate.source.file,
                use.status,
                use.reason,
                candidate.labels,
                candidate.split,
                facts.format,
                facts.width,
                facts.height,
                entry.content,
                use.same_as,
                candidate.lines,
                facts.notes,
            )
        )
        if use.status == "used":
            images.append(
                LabeledImage(
                    candidate.source,
                    candidate.labels,
                    entry.content,
                    facts.pixels,
                    facts.width,
                    facts.height,
                    candidate.split,
                )
            )
    account = (tuple(images), tuple(manifest))
    of_layout = (layout.root, layout.name, layout.task, layout.classes)
    return Dataset(
        *of_layout,
        *account,
        layout.notes,
        layout.groups,
        label_variants=layout.label_variants,
    )
