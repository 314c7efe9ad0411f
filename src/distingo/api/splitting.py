"""Calls that decide once which pictures are learned from and which are judged on."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from distingo.datasets.decoding import DEFAULT_MAX_PIXELS
from distingo.datasets.store import Cache
from distingo.datasets.value_ranges import settle_value_range
from distingo.errors import ResourceError, UsageError

if TYPE_CHECKING:
    from distingo.datasets.group_splitting import Division
    from distingo.datasets.tables import TableOptions


def split(
    data: str | Path,
    output: str | Path = "split.csv",
    *,
    validation: float | None = None,
    test: float | None = None,
    folds: int | None = None,
    group_column: str | None = None,
    near_duplicates: float | None = 0.8,
    burst: float | None = 2.0,
    resplit: bool = False,
    seed: int = 0,
    workers: int | None = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    cache: str | Path | None = None,
    table: TableOptions | None = None,
    allow_missing: bool = False,
    corrections: str | Path | None = None,
    value_range: str | Sequence[float] | None = None,
) -> Division:
    """Divide pictures into sides, or into folds, and write the division down; no picture is moved.

    Near-duplicates, bursts of one scene and pictures with the same value in a group column stay on one side. Every
    class or label is shared out as asked as far as that allows.

    Args:
        data: Folder of pictures, or a table of labels beside them.
        output: A CSV to write; an existing one is not overwritten.
        validation: Share for validation; 0 for none, None for 0.15 where the data has no such side of its own.
        test: Share for the test; 0 for none, None for 0.2 where the data has no such side of its own.
        folds: How many folds of the same size, instead of sides; leave `validation` and `test` out then.
        group_column: The column of the data's table whose value is the same for pictures that belong together.
        near_duplicates: Pictures at least so alike (from 0 to 1, see `distingo.features.registration.compare`) belong
            together; None: not.
        burst: Pictures of one camera that follow each other within so many seconds (EXIF) belong together; None: not.
        resplit: Divide all anew where the data has sides of its own.
        seed: Of the division.
        workers: Decoding threads; None takes one per core.
        max_pixels: Larger pictures are listed as unusable.
        cache: As in `train`.
        table: What to know about the table of labels; what is left out is recognised.
        allow_missing: Go on even if half of the pictures that the table names are missing.
        value_range: As in `train`.
        corrections: As in `train`.

    Returns:
        The division: which part each picture is on, the groups, how the classes' shares came out, and notes.

    Raises:
        DataError: There is nothing to divide, or too few groups.
        UsageError: A share, the number of folds or `table` does not fit; or a share is for a side that the data has.
        ResourceError: The output exists or can't be written.
    """
    from distingo.checking.belonging import Belonging
    from distingo.datasets.gathering import count_processors, read_dataset
    from distingo.datasets.group_splitting import divide_folds, divide_sides, settle_shares
    from distingo.datasets.grouping import group_pictures
    from distingo.datasets.manifest import sum_up_left_out
    from distingo.datasets.split_files import write_split_file
    from distingo.datasets.tables import TableOptions

    belonging = Belonging(near_duplicates, burst)
    _require_output(Path(output))
    if group_column is not None:
        table = replace(table or TableOptions(), group_column=group_column)
    place, workers = Cache(cache), workers or count_processors()
    dataset = read_dataset(
        Path(data),
        cache=place,
        products=belonging.products(place),
        workers=workers,
        max_pixels=max_pixels,
        table=table,
        allow_missing=allow_missing,
        corrections=corrections,
        value_ranges=settle_value_range(value_range),
    )
    for sentence in (*dataset.notes, *sum_up_left_out(dataset, "`distingo inspect`")):
        logging.getLogger("distingo").info(sentence)
    shares = settle_shares(dataset, validation=validation, test=test, resplit=resplit or folds is not None)
    grouping = group_pictures(len(dataset.pictures), belonging.link(dataset, place, workers))
    if folds is None:
        division = divide_sides(dataset, grouping, **shares, seed=seed, resplit=resplit)
    else:
        division = divide_folds(dataset, grouping, folds=folds, seed=seed, resplit=resplit)
    write_split_file(dataset, division, Path(output))
    return division


def _require_output(output: Path) -> None:
    if output.suffix.lower() != ".csv":
        raise UsageError(f"{output}: is no name for a split file; choose one that ends in .csv")
    if output.exists():
        raise ResourceError(f"{output}: exists already; choose another -o")
