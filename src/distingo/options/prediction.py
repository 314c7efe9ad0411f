"""Options of the calls that predict with, evaluate, explain and export a trained model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypedDict

from distingo.options.fields import Option
from distingo.options.training import LanguageOption
from distingo.records import DEFAULT_MAX_PIXELS

LIMIT_OF_RUN = f"as the run was trained, else {DEFAULT_MAX_PIXELS:,}"
"""The default of `max_pixels` in words, for calls in which a trained model reads the images."""

EngineName = Literal["auto", "torch", "openvino"]

OnError = Literal["raise", "row"]

DeviceOption = Annotated[
    str, Option(help="where networks compute: auto, cpu, cuda, cuda:1 ..., mps or xpu", metavar="NAME")
]

MaxPixelsOption = Annotated[
    int | None,
    Option(
        help="larger images are not read: width times height", between="1 or more", default=LIMIT_OF_RUN, metavar="N"
    ),
]


class PredictOptions(TypedDict, total=False):
    """Keywords of `predict`: decisions about labels, output files, sorting, and reading of images."""

    topk: int | None
    top_k: int | None
    abstain: float | None
    coverage: float | None
    output: str | Path | None
    sort_into: str | Path | None
    sort_as: Literal["copy", "link"] | None
    dry_run: bool
    image_column: str | None
    image_folder: str | Path | None
    device: str
    engine: EngineName
    workers: int | None
    max_pixels: int | None
    on_error: OnError | None


@dataclass(frozen=True, kw_only=True, slots=True)
class PredictSettings:
    """Options of `predict`: decisions about labels, output files, sorting, and reading of images."""

    topk: Annotated[
        int | None,
        Option(
            help="so many labels for each image, the most probable first",
            between="1 or more",
            default="one on the command line, all in Python; of a model for several labels those that reach their "
            "thresholds",
            metavar="N",
            flags=("--top-k",),
            alias="top_k",
        ),
    ] = None
    abstain: Annotated[
        float | None,
        Option(
            help="answer only where at most this share of answers is wrong, for example 0.02; elsewhere: don't know",
            between="above 0 and below 1",
            default="always answer",
            metavar="SHARE",
        ),
    ] = None
    coverage: Annotated[
        float | None,
        Option(
            help="give each image the set of labels that holds this share of the true ones, for example 0.95",
            between="above 0 and below 1",
            default="no sets",
            metavar="SHARE",
        ),
    ] = None
    output: Annotated[
        str | Path | None,
        Option(
            help="write a .csv, .jsonl or .parquet file; after a stop the same call goes on; nothing is overwritten",
            default="none",
            metavar="FILE",
            flag="-o",
            flags=("--output",),
        ),
    ] = None
    sort_into: Annotated[
        str | Path | None,
        Option(
            help="put each image into FOLDER/<class>, outside the folders that the images are in",
            default="images are not sorted",
            metavar="FOLDER",
        ),
    ] = None
    sort_as: Annotated[
        Literal["copy", "link"] | None,
        Option(help="put images there as copies or as symbolic links", default="none; sorting needs one"),
    ] = None
    dry_run: Annotated[bool, Option(help="show what would be sorted where, and write nothing")] = False
    image_column: Annotated[
        str | None,
        Option(help="column of a table that names the images", default="detected", metavar="NAME"),
    ] = None
    image_folder: Annotated[
        str | Path | None,
        Option(
            help="folder that relative paths in tables start from",
            default="the table's own, else the working folder",
            metavar="FOLDER",
        ),
    ] = None
    device: DeviceOption = "auto"
    engine: Annotated[
        EngineName,
        Option(help="what runs a network: auto takes the engine that it was trained with, else the fastest one here"),
    ] = "auto"
    workers: Annotated[
        int | None,
        Option(help="threads that decode images", between="1 or more", default="one per core", metavar="N"),
    ] = None
    max_pixels: MaxPixelsOption = None
    on_error: Annotated[
        OnError | None,
        Option(
            help="row: an image that is missing or can't be read gets a row with its error; raise: it raises an error",
            default="a missing file raises in `predict`, any other fault gives a row",
        ),
    ] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluateSettings:
    """Options of `evaluate`, without those for reading images."""

    device: DeviceOption = "auto"
    language: LanguageOption = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ExplainSettings:
    """Options of `explain`."""

    classes: Annotated[
        str | Sequence[str],
        Option(
            help="class to explain",
            default="the predicted one, of several labels all that are predicted",
            metavar="NAME",
            flag="--class",
            repeats=True,
        ),
    ] = ()
    output: Annotated[
        str | Path | None,
        Option(
            help="image file to draw heat maps, their check and the nearest training images on",
            default="none",
            metavar="FILE.png",
            flag="-o",
            flags=("--output",),
        ),
    ] = None
    layers: Annotated[
        str | Path | None,
        Option(help="image file to draw the first filters and the feature maps on", default="none", metavar="FILE.png"),
    ] = None
    neighbours: Annotated[
        int, Option(help="how many of the nearest training images to find", between="0 to 8", metavar="N")
    ] = 8
    device: DeviceOption = "auto"
    max_pixels: MaxPixelsOption = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportSettings:
    """Options of `export`."""

    output: Annotated[
        str | Path | None,
        Option(
            help="new folder for the export",
            default="one in RUN/exports",
            metavar="FOLDER",
            flag="-o",
            flags=("--output",),
        ),
    ] = None
    format: Annotated[Literal["onnx", "openvino", "torch-export"], Option(help="format to write")] = "onnx"
    half: Annotated[bool, Option(help="keep weights in 16 bits")] = False
    int8: Annotated[bool, Option(help="compute in 8-bit integers, calibrated on training images")] = False
    check_on: Annotated[
        str | Path | None,
        Option(
            help="folder of images to check the export on",
            default="test and validation images of the run",
            metavar="FOLDER",
        ),
    ] = None
