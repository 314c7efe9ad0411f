"""Options of all calls but those that train: data sets, downloads, prediction, evaluation and export."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypedDict

from distingo.options.fields import Option, check_options
from distingo.options.training import LanguageOption
from distingo.records import DEFAULT_MAX_PIXELS

WeightsOption = Annotated[
    str | Path | None,
    Option(help="folder or file with the backbone's weights", default="the published ones", metavar="FOLDER|FILE"),
]


@dataclass(frozen=True, kw_only=True, slots=True)
class InspectSettings:
    """Options of `inspect`, without those for reading images."""

    draw_map: Annotated[bool, Option(help="omit the map of the images, which is faster", flag="--no-map")] = True
    model: Annotated[
        str | None,
        Option(
            help="features that the map is computed from: a backbone, descriptors or pixels",
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
            default="0.15 if the data has no such split",
            metavar="SHARE",
            flags=("--val",),
        ),
    ] = None
    test: Annotated[
        float | None,
        Option(
            help="share of the test split; 0: none",
            between="0 to less than 1",
            default="0.2 if the data has no such split",
            metavar="SHARE",
        ),
    ] = None
    folds: Annotated[
        int | None,
        Option(help="number of equal folds, instead of splits", between="2 or more", default="none", metavar="K"),
    ] = None
    resplit: Annotated[bool, Option(help="split again even if the data has predefined splits")] = False
    seed: Annotated[int, Option(help="seed of the split", low=0, high=2**31 - 1, metavar="N")] = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckSettings:
    """Options of `check`, without those for reading images."""

    against: Annotated[
        str | Path | None,
        Option(help="another data set that should contain no copies of these images", default="none", metavar="DATA"),
    ] = None
    model: Annotated[
        str | None,
        Option(
            help="features that images are compared by, in addition to their pixels: a backbone, descriptors or none",
            default="the backbone fast if its weights are available and images are large enough, else descriptors",
            metavar="NAME",
        ),
    ] = None
    weights: WeightsOption = None
    predictions: Annotated[
        str | Path | None,
        Option(
            help="folder of a cross-validation of the same images, whose predictions are used to check labels",
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
            help="address to listen on; the default is reachable from this machine only; at any other, "
            "everybody who knows the page's address can see the images and decide",
            metavar="ADDRESS",
        ),
    ] = "127.0.0.1"
    port: Annotated[int, Option(help="port to listen on; 0 selects a free one", low=0, high=65535, metavar="N")] = 0

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class CleanSettings:
    """Options of `clean`, without the data, its table and the kinds of findings."""

    threshold: Annotated[
        float | None,
        Option(
            help="score from which findings count; for one kind only",
            between="0 to 1, less for many kinds",
            default="the thresholds of the check",
            metavar="SCORE",
        ),
    ] = None
    quarantine: Annotated[
        str | Path | None,
        Option(help="new folder outside the data", default="DATA-quarantine/<time>", metavar="FOLDER"),
    ] = None


FrameFormat = Literal["jpeg", "png"]


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenImagesSettings:
    """Selection of images from Open Images."""

    limit: Annotated[
        int | None, Option(help="maximum number of images per class", low=1, default="all", metavar="N")
    ] = None
    boxes: Annotated[bool, Option(help="images with a box of the class; writes boxes.csv too")] = False
    min_size: Annotated[
        int,
        Option(
            help="minimum length of an image's shorter side in pixels; with --boxes, of a box's", low=0, metavar="N"
        ),
    ] = 0
    single: Annotated[bool, Option(help="leave out images that have several of the classes")] = False
    seed: Annotated[int, Option(help="seed of the selection by --limit", low=0, high=2**31 - 1, metavar="N")] = 0

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoSettings:
    """Selection and format of the frames of a video."""

    label: Annotated[
        str | None, Option(help="class folder inside the output folder", default="none", metavar="NAME")
    ] = None
    limit: Annotated[int | None, Option(help="maximum number of frames", low=1, default="all", metavar="N")] = None
    image_format: Annotated[FrameFormat, Option(help="format of the images", flag="--format")] = "jpeg"

    def __post_init__(self) -> None:
        check_options(self)


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
            help="number of labels per image, the most probable first",
            between="1 or more",
            default="one on the command line, all in Python; for multi-label models the labels that reach "
            "their thresholds",
            metavar="N",
            flags=("--top-k",),
            alias="top_k",
        ),
    ] = None
    abstain: Annotated[
        float | None,
        Option(
            help="answer only as long as at most this share of answers is wrong, for example 0.02; "
            "otherwise: don't know",
            between="above 0 and below 1",
            default="always answer",
            metavar="SHARE",
        ),
    ] = None
    coverage: Annotated[
        float | None,
        Option(
            help="predict for each image a set of labels that contains this share of the true ones, for example 0.95",
            between="above 0 and below 1",
            default="no sets",
            metavar="SHARE",
        ),
    ] = None
    output: Annotated[
        str | Path | None,
        Option(
            help="write a .csv, .jsonl or .parquet file; the same call continues an interrupted one; "
            "nothing is overwritten",
            default="none",
            metavar="FILE",
            flag="-o",
            flags=("--output",),
        ),
    ] = None
    sort_into: Annotated[
        str | Path | None,
        Option(
            help="sort each image into FOLDER/<class>, outside of the images' own folders",
            default="images are not sorted",
            metavar="FOLDER",
        ),
    ] = None
    sort_as: Annotated[
        Literal["copy", "link"] | None,
        Option(help="sort images as copies or as symbolic links", default="none; sorting needs one"),
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
        Option(help="engine of a network: auto selects the one it was trained with, else the fastest one here"),
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
            default="the predicted one; for multi-label models all predicted labels",
            metavar="NAME",
            flag="--class",
            repeats=True,
        ),
    ] = ()
    output: Annotated[
        str | Path | None,
        Option(
            help="image file for the heat maps, their check and the nearest training images",
            default="none",
            metavar="FILE.png",
            flag="-o",
            flags=("--output",),
        ),
    ] = None
    layers: Annotated[
        str | Path | None,
        Option(help="image file for the first filters and the feature maps", default="none", metavar="FILE.png"),
    ] = None
    neighbors: Annotated[
        int, Option(help="number of nearest training images to find", between="0 to 8", metavar="N")
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
