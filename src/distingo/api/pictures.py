"""Calls that look at pictures before anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from distingo.datasets.decoding import DEFAULT_MAX_PIXELS
from distingo.datasets.store import Cache
from distingo.errors import ResourceError

if TYPE_CHECKING:
    from distingo.datasets.tables import TableOptions
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
) -> Dataset:
    """Account for every file of a data set.

    Args:
        data: Folder of pictures, or a table of labels beside them.
        output: An HTML page to write, which may replace an older page of distingo's; None writes none.
        workers: Decoding threads; None takes one per core.
        max_pixels: Larger pictures are listed as unusable.
        cache: As in `train`.
        table: What to know about the table of labels; what is left out is recognised.
        allow_missing: Go on even if half of the pictures that the table names are missing.
        corrections: As in `train`.

    Returns:
        The pictures and the manifest.

    Raises:
        DataError: There is nothing to train on; says why.
        UsageError: `table` does not fit the data.
    """
    from distingo.datasets.gathering import read_dataset
    from distingo.report.templating import require_page

    if output is not None:
        require_page(Path(output))
    dataset = read_dataset(
        Path(data),
        cache=Cache(cache),
        workers=workers,
        max_pixels=max_pixels,
        table=table,
        allow_missing=allow_missing,
        corrections=corrections,
    )
    if output is not None:
        from distingo.report.inspection import write_inspection

        write_inspection(dataset, Path(output))
    return dataset


def show_augmentation(
    data: str | Path, preset: str, output: str | Path, *, image_size: int | None = None, seed: int = 0
) -> Path:
    """Draw pictures beside their augmented versions, as training would see them.

    Args:
        data: Folder of pictures.
        preset: Name of an augmentation preset.
        output: A PNG file; an existing one is not overwritten.
        image_size: Side in pixels; None takes training's own choice.
        seed: Of the augmentation.

    Returns:
        The picture.

    Raises:
        UsageError: There is no such preset.
        ResourceError: The output exists.
    """
    import numpy as np

    from distingo.report.samples import write_contact_sheet
    from distingo.training.preview import preview_augmentation

    if Path(output).exists():
        raise ResourceError(f"{output}: exists already; choose another -o")
    rows = preview_augmentation(Path(data), preset, cache=Cache(), image_size=image_size, seed=seed)
    columns = len(rows[0])
    captions = [caption for row in rows for caption in ["original", *[""] * (len(row) - 1)]]
    images = [np.squeeze(image) for row in rows for image in row]
    write_contact_sheet(images, captions, Path(output), columns=columns)
    return Path(output)
