"""A run repeated from another run's ``config.json``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distingo.datasets.pixel_limit import max_pixels_from_config
from distingo.datasets.split_config import WantedSplit, split_from_config
from distingo.datasets.table_config import table_from_config
from distingo.datasets.tables import TableOptions
from distingo.datasets.value_ranges import value_ranges_from_config
from distingo.files import read_json
from distingo.near_duplicates.keeping import Similarity
from distingo.records import ValueRanges
from distingo.run_folder import check_format, check_settings
from distingo.training.kept_corrections import said_in_config


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What a person asked of a run that an older run can answer too.

    Attributes:
        data: Folder of pictures, or a table of labels beside them.
        wishes: Recipe fields (and ``image_size``).
        table: What to know about the table of labels.
        allow_missing: Go on even if half of the pictures that the table names are missing.
        corrections: As for `distingo.datasets.corrections.find_corrections`.
        repeats: The older run's ``config.json``.
        split: The file that says which side each picture is on.
        near_duplicates: As for `TrainRequest`.
        value_range: As for `distingo.datasets.value_ranges.settle_value_range`.
        max_pixels: As for `TrainRequest`.
    """

    data: Path | None = None
    wishes: dict[str, Any] = field(default_factory=dict)
    table: TableOptions | None = None
    allow_missing: bool = False
    corrections: str | Path | None = None
    repeats: dict[str, Any] = field(default_factory=dict)
    split: WantedSplit | None = None
    near_duplicates: Similarity = None
    value_range: str | Sequence[float] | ValueRanges | None = None
    max_pixels: int | None = None


def repeat(config: Path, wanted: Wanted) -> Wanted:
    """Fill up what was asked with what an older run says of itself; what was asked goes first.

    Args:
        config: The older run's ``config.json``.
        wanted: What was asked.

    Raises:
        RunError: The file is missing, damaged, not ours or from a newer version.
    """
    content = read_json(config)
    check_format(content, config)
    check_settings(content, config)
    kept = dict(content["recipe"])
    if "image_size" in wanted.wishes:
        del kept["height"], kept["width"]
    table, allow_missing = table_from_config(content, config)
    return Wanted(
        data=wanted.data or Path(content["data"]),
        wishes={**kept, **wanted.wishes},
        table=wanted.table or table,
        allow_missing=wanted.allow_missing or allow_missing,
        corrections=wanted.corrections if wanted.corrections is not None else said_in_config(content),
        repeats=content,
        split=wanted.split or split_from_config(content, config),
        # a run of an older version took no notice of near-duplicates
        near_duplicates=content.get("near_duplicates", "none")
        if wanted.near_duplicates is None
        else wanted.near_duplicates,
        value_range=value_ranges_from_config(content, config) if wanted.value_range is None else wanted.value_range,
        max_pixels=max_pixels_from_config(content, config) if wanted.max_pixels is None else wanted.max_pixels,
    )
