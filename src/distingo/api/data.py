"""Functions that inspect a data set, preview augmentation and split the images, before training."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from distingo.api.keywords import SplitOptions, split_options
from distingo.datasets.options import Reading, ReadingOptions
from distingo.errors import ResourceError, UsageError, option
from distingo.options.commands import InspectSettings

if TYPE_CHECKING:
    from distingo.datasets.splits.group_splitting import Division
    from distingo.datasets.tables.table import TableOptions
    from distingo.records import Dataset


def inspect(
    data: str | Path,
    output: str | Path | None = None,
    *,
    draw_map: bool = True,
    model: str | None = None,
    weights: str | Path | None = None,
    seed: int = 0,
    **reading: Unpack[ReadingOptions],
) -> Dataset:
    """Read a data set, report on every file, and write a page to explore it.

    Args:
        data: Folder of images, or a table of labels next to them.
        output: An HTML page to write, which may replace an older page of distingo's; None writes no page.
        draw_map: Whether the page has a map of the images (at most 3,000, sampled at random).
        model: Features for the layout of the map: a backbone as for `train`, ``descriptors`` or ``pixels``. None takes
            ``pixels`` for tiny images, else the preset ``fast`` if its weights are on this machine, else
            ``descriptors``.
        weights: Weights of the backbone, as for `train`.
        seed: Seed of the map.
        **reading: How images and labels are found and read, as in `ReadingOptions`.

    Returns:
        The images and the manifest.

    Raises:
        DataError: The data contains nothing to train on; the message explains why.
        ModelError: The model is not available.
        UsageError: `table` does not match the data, or the model can't be used for a map.
    """
    from distingo.curation.appearance import small_images
    from distingo.datasets.gathering import read_dataset
    from distingo.report.templating import require_page

    if output is not None:
        require_page(Path(output))
    settings = InspectSettings(draw_map=draw_map, model=model, weights=weights, seed=seed)
    read = Reading.of(**reading)
    products = [] if output is None else [small_images(read.cache)]
    dataset = read_dataset(Path(data), read, products=products)
    if output is not None:
        from distingo.curation.exploring import MapOptions, explore
        from distingo.report.pages.inspection import write_inspection

        option = MapOptions(model=model, weights=weights, seed=settings.seed) if draw_map else None
        write_inspection(dataset, Path(output), explore(dataset, read, option))
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
    """Draw images next to their augmented versions, as used in training.

    Args:
        data: Folder of images.
        preset: Name of an augmentation preset.
        output: A PNG file; an existing one is not overwritten.
        image_size: Height and width in pixels; None takes the size that training would choose.
        seed: Seed of the augmentation.
        table: As for `inspect`.
        value_range: As in `train`.

    Returns:
        The path of the PNG file.

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
        reading=Reading.of(table=table, value_range=value_range),
        image_size=image_size,
        seed=seed,
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
    resplit: bool = False,
    seed: int = 0,
    **options: Unpack[SplitOptions],
) -> Division:
    """Divide images into splits or folds and write the assignment to a file; no image is moved.

    Near-duplicates, bursts of one scene and images with the same value in a group column stay in the same split.
    Within that constraint, the classes or labels are stratified.

    Args:
        data: Folder of images, or a table of labels next to them.
        output: A CSV file to write; an existing one is not overwritten.
        validation: Share of the validation split; 0 for none, None for 0.15 unless the data has its own.
        test: Share of the test split; 0 for none, None for 0.2 unless the data has its own.
        folds: Number of equal folds to make instead of splits; `validation` and `test` must then be None.
        resplit: Whether to ignore the splits that the data has.
        seed: Seed of the split.
        **options: Which images belong together, as in `GroupingOptions`, and how images and labels are found and read,
            as in `ReadingOptions`.

    Returns:
        The split or fold of each image, the groups, the resulting shares of each class, and notes.

    Raises:
        DataError: There are no images to divide, or too few groups.
        UsageError: A share, the number of folds or `table` is not allowed, or the data already has the split that a
            share was requested for.
        ResourceError: The output exists or can't be written.
    """
    from distingo.datasets.gathering import read_dataset
    from distingo.datasets.splits.files import write_split_file
    from distingo.datasets.splits.group_splitting import divide_folds, divide_splits, resolve_shares
    from distingo.datasets.splits.grouping import group_images
    from distingo.near_duplicates.keeping import Belonging
    from distingo.runs.data import summarize_unused_files

    grouping, reading = split_options(options)
    belonging = Belonging(grouping.near_duplicates, grouping.burst)
    _require_output(Path(output))
    cache = reading.cache
    dataset = read_dataset(Path(data), reading, products=belonging.products(cache))
    for sentence in (*dataset.notes, *summarize_unused_files(dataset, "`distingo inspect`")):
        logging.getLogger("distingo").info(sentence)
    shares = resolve_shares(dataset, validation=validation, test=test, resplit=resplit or folds is not None)
    groups = group_images(len(dataset.images), belonging.link(dataset, cache, reading.threads))
    if folds is None:
        division = divide_splits(dataset, groups, **shares, seed=seed, resplit=resplit)
    else:
        division = divide_folds(dataset, groups, folds=folds, seed=seed, resplit=resplit)
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
