"""Options of the calls that inspect, split, check, review and clean a data set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from distingo.options.fields import Option, check_options

WeightsOption = Annotated[
    str | Path | None,
    Option(help="folder or file with the backbone's weights", default="the published ones", metavar="FOLDER|FILE"),
]


@dataclass(frozen=True, kw_only=True, slots=True)
class InspectSettings:
    """Options of `inspect`, without those for reading images."""

    draw_map: Annotated[bool, Option(help="leave the map of the images out, which is faster", flag="--no-map")] = True
    model: Annotated[
        str | None,
        Option(
            help="what the map is laid out by: a backbone, descriptors or pixels",
            default="chosen from the images and the weights on this machine, with the reason printed",
            metavar="NAME",
        ),
    ] = None
    weights: WeightsOption = None
    seed: Annotated[int, Option(help="seed of the map", low=0, high=2**31 - 1, metavar="N")] = 0

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitSettings:
    """Options of `split`, without those for grouping and for reading images."""

    validation: Annotated[
        float | None,
        Option(
            help="share of the validation split; 0: none",
            between="0 to less than 1",
            default="0.15 where the data has no such split",
            metavar="SHARE",
            flags=("--val",),
        ),
    ] = None
    test: Annotated[
        float | None,
        Option(
            help="share of the test split; 0: none",
            between="0 to less than 1",
            default="0.2 where the data has no such split",
            metavar="SHARE",
        ),
    ] = None
    folds: Annotated[
        int | None,
        Option(
            help="how many folds of the same size, instead of splits", between="2 or more", default="none", metavar="K"
        ),
    ] = None
    resplit: Annotated[bool, Option(help="split anew where the data has splits of its own")] = False
    seed: Annotated[int, Option(help="seed of the split", low=0, high=2**31 - 1, metavar="N")] = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckSettings:
    """Options of `check`, without those for reading images."""

    against: Annotated[
        str | Path | None,
        Option(help="another data set in which no copy should be", default="none", metavar="DATA"),
    ] = None
    model: Annotated[
        str | None,
        Option(
            help="what images are compared by besides their pixels: a backbone, descriptors or none",
            default="the backbone fast where its weights can be had and images are large enough, else descriptors",
            metavar="NAME",
        ),
    ] = None
    weights: WeightsOption = None
    predictions: Annotated[
        str | Path | None,
        Option(
            help="folder of a cross-validation of the same images, whose predictions labels are checked by",
            default="predictions of quick models",
            metavar="FOLDER",
        ),
    ] = None
    seed: Annotated[int, Option(help="seed of samples and folds", low=0, high=2**31 - 1, metavar="N")] = 0

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class ReviewSettings:
    """Options of `review`, without the data and its table."""

    host: Annotated[
        str,
        Option(
            help="address to listen on; the default can be reached from this machine only; at any other one, whoever "
            "can read the page's address can see the images and decide",
            metavar="ADDRESS",
        ),
    ] = "127.0.0.1"
    port: Annotated[int, Option(help="port to listen on; 0 takes one that is free", low=0, high=65535, metavar="N")] = 0

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class CleanSettings:
    """Options of `clean`, without the data, its table and the kinds of findings."""

    threshold: Annotated[
        float | None,
        Option(
            help="score from which findings count; for one kind only",
            between="0 to 1, for many kinds less",
            default="the thresholds of the check",
            metavar="SCORE",
        ),
    ] = None
    quarantine: Annotated[
        str | Path | None,
        Option(help="new folder outside the data", default="DATA-quarantine/<time>", metavar="FOLDER"),
    ] = None
