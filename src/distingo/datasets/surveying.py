"""A quick look at a folder's pictures before any is decoded."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path
from statistics import median

from distingo.datasets import idx
from distingo.datasets.candidates import Candidate
from distingo.datasets.decoding import NO_LIMIT, Header, UndecodableError, read_bytes, read_header
from distingo.datasets.layouts import find_layout
from distingo.datasets.tables import TableOptions
from distingo.errors import DataError
from distingo.records import Task

_LOOKED_AT = 300


@dataclass(frozen=True, slots=True)
class Survey:
    """What a sample of the headers shows.

    Attributes:
        layout: As in `Dataset.layout`.
        classes: All class names, sorted.
        count: How many files may be pictures.
        height: Median of the sample, in pixels, upright.
        width: Median of the sample, in pixels, upright.
        grey: Whether every picture of the sample is stored without colour.
        task: As in `Dataset.task`.
    """

    layout: str
    classes: tuple[str, ...]
    count: int
    height: int
    width: int
    grey: bool
    task: Task = "single-label"


def survey(
    root: Path | str,
    *,
    limit: int = _LOOKED_AT,
    table: TableOptions | None = None,
    allow_missing: bool = False,
    as_it_comes: bool = False,
) -> Survey:
    """Look at the headers of some pictures, spread evenly over the classes.

    Args:
        root: The dataset's folder.
        limit: How many files to look at.
        table: As for `find_layout`.
        allow_missing: As for `find_layout`.
        as_it_comes: As for `find_layout`.

    Returns:
        What they have in common.

    Raises:
        DataError: As `find_layout`, or none of the files looked at is a picture.
    """
    root = Path(root)
    layout = find_layout(root, table, allow_missing=allow_missing, as_it_comes=as_it_comes)
    headers = []
    for candidate in _spread(layout.candidates, limit):
        try:
            headers.append(_header(candidate))
        except UndecodableError:
            continue
    if not headers:
        raise DataError(
            f"{root}: none of the files looked at is a picture; distingo reads JPEG, PNG, WebP, TIFF and more"
        )
    return Survey(
        layout.name,
        layout.classes,
        len(layout.candidates),
        round(median(header.height for header in headers)),
        round(median(header.width for header in headers)),
        all(header.grey for header in headers),
        layout.task,
    )


def _header(candidate: Candidate) -> Header:
    source = candidate.source
    if source.index is not None:
        _, height, width = idx.read_shape(source.path)
        return Header(width, height, grey=True, format="IDX")
    return read_header(read_bytes(source), max_pixels=NO_LIMIT)


def _spread(candidates: tuple[Candidate, ...], limit: int) -> list[Candidate]:
    """Take one of each class in turn, evenly over each class's files."""
    classes: dict[tuple[str, ...], list[Candidate]] = defaultdict(list)
    for candidate in candidates:
        classes[candidate.labels].append(candidate)
    each = -(-limit // len(classes))
    chosen = [members[:: max(1, len(members) // each)] for members in classes.values()]
    taken = [candidate for candidate in chain.from_iterable(zip_longest(*chosen)) if candidate is not None]
    return taken[:limit]
