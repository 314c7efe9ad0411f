"""The IDX files of the MNIST family to candidates."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from distingo.datasets import idx
from distingo.datasets.candidates import Candidate, Layout, ignored_row
from distingo.datasets.walking import FoundFile, display_name
from distingo.errors import DataError
from distingo.records import Side, Source

IDX_IMAGES = re.compile(r"(?P<prefix>.*?)(?P<side>train|t10k|test)-images[-.]idx3-ubyte(?P<gz>\.gz)?", re.IGNORECASE)
"""The names of the files that hold images."""


def idx_images(files: Sequence[FoundFile]) -> list[FoundFile]:
    """The files at the top of a folder that hold the images of an IDX data set."""
    return [file for file in files if len(file.parts) == 1 and not file.ignored and IDX_IMAGES.fullmatch(file.parts[0])]


def idx_layout(root: Path, files: Sequence[FoundFile], images: Sequence[FoundFile]) -> Layout:
    """List the entries of IDX files as candidates.

    Args:
        root: The folder.
        files: Every file in it.
        images: As from `idx_images`.

    Raises:
        DataError: The files of several data sets are there, or the labels of one are missing or do not fit.
    """
    present = {file.parts[0]: file for file in files if len(file.parts) == 1}
    used: dict[Side, FoundFile] = {}
    candidates: list[Candidate] = []
    reasons: dict[tuple[str, ...], str] = {}
    prefixes = defaultdict(set)
    for file in images:
        match = IDX_IMAGES.fullmatch(file.parts[0])
        assert match is not None
        prefixes[match["prefix"]].add(file.parts[0])
        side: Side = "train" if match["side"].lower() == "train" else "test"
        if side in used and used[side].parts[0].removesuffix(".gz") == file.parts[0].removesuffix(".gz"):
            reasons[file.parts] = f"the packed form of {used[side].parts[0]}"
            continue
        used.setdefault(side, file)
    if len(prefixes) > 1:
        raise DataError(f"{root}: IDX files of several datasets ({', '.join(sorted(prefixes))}); keep one per folder")
    for side, file in used.items():
        labels = _labels_beside(root, file, present)
        reasons[labels.parts] = f"holds the labels of {file.parts[0]}"
        candidates += _idx_candidates(file, labels, side)
    taken = {file.parts for file in used.values()}
    ignored = [
        ignored_row(file, file.ignored or reasons.get(file.parts, "not one of the IDX files in use"))
        for file in files
        if file.parts not in taken
    ]
    classes = sorted({candidate.labels[0] for candidate in candidates})
    return Layout("IDX files", tuple(classes), tuple(candidates), tuple(ignored), root)


def _labels_beside(root: Path, images: FoundFile, present: dict[str, FoundFile]) -> FoundFile:
    plain = re.sub(r"images([-.])idx3", r"labels\1idx1", images.parts[0], flags=re.IGNORECASE).removesuffix(".gz")
    for name in (plain, plain + ".gz", plain.replace(".idx1", "-idx1"), plain.replace("-idx1", ".idx1")):
        if name in present:
            return present[name]
    raise DataError(f"{root}: {images.parts[0]} has no labels beside it; put {plain}.gz in the same folder")


def _idx_candidates(images: FoundFile, labels: FoundFile, side: Side) -> list[Candidate]:
    count = idx.read_shape(images.path)[0]
    values = idx.load_labels(labels.path)
    if len(values) != count:
        raise DataError(
            f"{images.path}: {count} pictures, but {labels.path.name} holds {len(values)} labels; fetch both again"
        )
    name = display_name(images.parts)
    names = {value: (str(value),) for value in Counter(values.tolist())}
    return [
        Candidate(Source(f"{name}#{index}", images.path, index), names[value], side)
        for index, value in enumerate(values.tolist())
    ]
