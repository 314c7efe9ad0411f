"""Options of the calls that download images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from distingo.options.fields import Option, check_options

FrameFormat = Literal["jpeg", "png"]


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenImagesSettings:
    """Selection of images from Open Images."""

    limit: Annotated[int | None, Option(help="images of each class, at most", low=1, default="all", metavar="N")] = None
    boxes: Annotated[bool, Option(help="images with a box of the class; writes boxes.csv too")] = False
    min_size: Annotated[
        int, Option(help="pixels of an image's shorter side, with --boxes of a box's, at least", low=0, metavar="N")
    ] = 0
    single: Annotated[bool, Option(help="leave out images that have several of the classes")] = False
    seed: Annotated[int, Option(help="seed of the choice under --limit", low=0, high=2**31 - 1, metavar="N")] = 0

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoSettings:
    """Selection and format of the frames of a video."""

    label: Annotated[
        str | None, Option(help="class folder inside the output folder", default="none", metavar="NAME")
    ] = None
    limit: Annotated[int | None, Option(help="how many frames at most", low=1, default="all", metavar="N")] = None
    image_format: Annotated[FrameFormat, Option(help="format of the images", flag="--format")] = "jpeg"

    def __post_init__(self) -> None:
        check_options(self)
