"""The options for reading images: the record that all calls share, and the keywords it is built from."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, TypedDict, Unpack

from distingo.datasets.cache.store import Cache
from distingo.datasets.decoding.value_ranges import parse_value_range
from distingo.datasets.tables.table import TableOptions
from distingo.options.fields import Option, check_options, require_keywords
from distingo.records import DEFAULT_MAX_PIXELS, ValueRanges


class ReadingOptions(TypedDict, total=False):
    """Keywords for how images and their labels are found and read; omitted ones are detected."""

    workers: int | None
    max_pixels: int | None
    cache: str | Path | None
    table: TableOptions | None
    allow_missing: bool
    corrections: str | Path | None
    value_range: str | Sequence[float] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """How images and their labels are found and read.

    Each field is documented by its `Option`.

    Raises:
        UsageError: A number is out of range.
    """

    workers: Annotated[
        int | None,
        Option(help="threads that decode images", low=1, high=1024, default="one per core", metavar="N"),
    ] = None
    max_pixels: Annotated[
        int | None,
        Option(
            help="larger images are listed as unusable: width times height",
            low=1,
            default=f"{DEFAULT_MAX_PIXELS:,}",
            metavar="N",
        ),
    ] = None
    cache: Annotated[
        Cache,
        Option(
            help="folder that decoded images are cached in",
            default="DISTINGO_CACHE, else the user's cache folder",
            metavar="FOLDER",
            accepts=str | Path | None,
        ),
    ] = field(default_factory=Cache)
    table: Annotated[
        TableOptions | None, Option(help="options for the table of labels", default="all of it is detected")
    ] = None
    allow_missing: Annotated[
        bool, Option(help="continue even if half of the images that the table names are missing")
    ] = False
    corrections: Annotated[
        str | Path | None,
        Option(
            help="table of decisions about single images; none uses no table",
            default="corrections.csv in the dataset's folder, if it exists",
            metavar="FILE|none",
        ),
    ] = None
    value_range: Annotated[
        ValueRanges | Literal["auto"] | None,
        Option(
            help="values shown as black and as white in images of more than 8 bits, signed or float, such as 0,4095; "
            "8-bit images are never scaled",
            default="auto: derived from all images",
            metavar="LOW,HIGH|auto",
            accepts=str | Sequence[float] | None,
        ),
    ] = None

    def __post_init__(self) -> None:
        check_options(self)

    @classmethod
    def of(cls, **options: Unpack[ReadingOptions]) -> Reading:
        """Build the record from the keywords of a call.

        Raises:
            UsageError: A value is invalid.
            TypeError: A keyword is unknown.
        """
        require_keywords(options, ReadingOptions.__annotations__, "distingo")
        return cls(
            workers=options.get("workers"),
            max_pixels=options.get("max_pixels"),
            cache=Cache(options.get("cache")),
            table=options.get("table"),
            allow_missing=options.get("allow_missing", False),
            corrections=options.get("corrections"),
            value_range=_parse_value_range(options.get("value_range")),
        )

    @property
    def threads(self) -> int:
        """Number of decoding threads."""
        return self.workers or count_processors()

    @property
    def pixel_limit(self) -> int:
        """Width times height of the largest image that is decoded."""
        return DEFAULT_MAX_PIXELS if self.max_pixels is None else self.max_pixels

    @property
    def ranges(self) -> ValueRanges | None:
        """Value ranges that deep images are scaled by; None derives them from all of the images."""
        return None if self.value_range == "auto" else self.value_range


def _parse_value_range(value_range: str | Sequence[float] | None) -> ValueRanges | Literal["auto"] | None:
    """Parse the option; ``auto`` differs from None, which may mean the ranges of an earlier run."""
    ranges = parse_value_range(value_range)
    return "auto" if ranges is None and value_range is not None else ranges


def count_processors() -> int:
    """Number of processors that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # pragma: no cover - not on Linux
        return os.cpu_count() or 1
