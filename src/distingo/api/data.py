"""Calls that look at pictures before anything is trained.

Calls that decide once which pictures are learned from and which are judged on.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from distingo.datasets.cache.store import Cache
from distingo.datasets.decoding.decode import DEFAULT_MAX_PIXELS
from distingo.datasets.decoding.value_ranges import settle_value_range
from distingo.errors import ResourceError, UsageError, option

if TYPE_CHECKING:
    from distingo.datasets.splits.group_splitting import Division
    from distingo.datasets.tables.table import TableOptions
    from distingo.records import Dataset


def inspect(
    data: str | Path,
    output: str | Path | None = None,
    *,
    workers: int | None = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    cache: str | Path | None = None,
    table: TableOptions | None = None,
    allow_missing: bool = False,
    corrections: str | Path | None = None,
    value_range: str | Sequence[float] | None = None,
    draw_map: bool = True,
    model: str | None = None,
    weights: str | Path | None = None,
    seed: int = 0,
) -> Dataset:
    """Account for every file of a data set, and write a page to explore it.

    Args:
        data: Folder of pictures, or a table of labels beside them.
        output: An HTML page to write, which may replace an older page of distingo's; None writes none.
        workers: Decoding threads; None takes one per core.
        max_pixels: Larger pictures are listed as unusable.
        cache: As in `train`.
        table: What to know about the table of labels; what is left out is recognised.
        allow_missing: Go on even if half of the pictures that the table names are missing.
        value_range: As in `train`.
        corrections: As in `train`.
        draw_map: Whether the page has a map of the pictures (of at most 3,000, drawn by chance).
        model: What the map is laid out by: a backbone as for `train`, ``descriptors`` or ``pixels``. None takes the
            pixels of tiny pictures, else the preset ``fast`` where its weights are on this machine, else descriptors.
        weights: Of the backbone, as for `train`.
        seed: Of the map.

    Returns:
        The pictures and the manifest.

    Raises:
        DataError: There is nothing to train on; says why.
        ModelError: The model can't be had.
        UsageError: `table` does not fit the data, or the model is none that a map can be laid out by.
    """
    from distingo.datasets.gathering import count_processors, read_dataset
    from distingo.exploration.appearance import small_pictures
    from distingo.exploration.embedding import Machine
    from distingo.report.templating import require_page

    if output is not None:
        require_page(Path(output))
    machine = Machine(Cache(cache), workers or count_processors(), max_pixels)
    dataset = read_dataset(
        Path(data),
        cache=machine.cache,
        products=[] if output is None else [small_pictures(machine.cache)],
        workers=machine.workers,
        max_pixels=max_pixels,
        table=table,
        allow_missing=allow_missing,
        corrections=corrections,
        value_ranges=settle_value_range(value_range),
    )
    if output is not None:
        from distingo.exploration.exploring import MapWish, explore
        from distingo.report.pages.inspection import write_inspection

        wish = MapWish(model=model, weights=weights, seed=seed) if draw_map else None
        write_inspection(dataset, Path(output), explore(dataset, machine, wish))
    return dataset


def show_augmentation(
    data: str | Path,
    preset: str,
    output: str | Path,
    *,
    image_size: int | None = None,
    seed: int = 0,
    table: TableOptions | None = None,
    value_range: str | Sequence[float] | None = None,
) -> Path:
    """Draw pictures beside their augmented versions, as training would see them.

    Args:
        data: Folder of pictures.
        preset: Name of an augmentation preset.
        output: A PNG file; an existing one is not overwritten.
        image_size: Side in pixels; None takes training's own choice.
        seed: Of the augmentation.
        table: As for `inspect`.
        value_range: As in `train`.

    Returns:
        The picture.

    Raises:
        UsageError: There is no such preset.
        ResourceError: The output exists.
    """
    import numpy as np

    from distingo.report.pages.samples import write_contact_sheet
    from distingo.training.preview import preview_augmentation

    if Path(output).exists():
        raise ResourceError(
            f"{output}: exists already; choose another {option('output')}", code="already_exists", parameter="output"
        )
    rows = preview_augmentation(
        Path(data),
        preset,
        cache=Cache(),
        image_size=image_size,
        seed=seed,
        table=table,
        value_ranges=settle_value_range(value_range),
    )
    columns = len(rows[0])
    captions = [caption for row in rows for caption in ["original", *[""] * (len(row) - 1)]]
    images = [np.squeeze(image) for row in rows for image in row]
    write_contact_sheet(images, captions, Path(output), columns=columns)
    return Path(output)


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
        near_duplicates: Pictures at least so alike (from 0 to 1, see `distingo.features.signatures.compare`) belong
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
    from distingo.datasets.gathering import count_processors, read_dataset
    from distingo.datasets.manifest import sum_up_left_out
    from distingo.datasets.splits.files import write_split_file
    from distingo.datasets.splits.group_splitting import divide_folds, divide_sides, settle_shares
    from distingo.datasets.splits.grouping import group_pictures
    from distingo.datasets.tables.table import TableOptions
    from distingo.near_duplicates.keeping import Belonging

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
        raise UsageError(
            f"{output}: is no name for a split file; choose one that ends in .csv",
            code="invalid_file_name",
            parameter="output",
        )
    if output.exists():
        raise ResourceError(
            f"{output}: exists already; choose another {option('output')}", code="already_exists", parameter="output"
        )
