"""Functions that download images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from distingo.download.records import FetchOptions, FetchSettings
from distingo.files import as_names
from distingo.options.commands import OpenImagesSettings, VideoSettings
from distingo.options.fields import require_keywords

if TYPE_CHECKING:
    from distingo.download.folder import Gathered
    from distingo.download.open_images_tables import OpenImagesAddresses, OpenImagesSplit
    from distingo.download.records import Limits
    from distingo.download.sets import NamedSet
    from distingo.download.url_lists import UrlColumns
    from distingo.download.video import FrameFormat, VideoFrames
    from distingo.download.video_frames import FrameChoice


def fetch_settings(options: FetchOptions, call: str) -> FetchSettings:
    """Create the record of fetch options from a call's keywords.

    Raises:
        TypeError: A keyword is unknown.
    """
    require_keywords(options, FetchOptions.__annotations__, call)
    return FetchSettings(**options)


def list_sets() -> tuple[NamedSet, ...]:
    """List the sets that `download_set` can download by name."""
    from distingo.download.sets import SETS

    return tuple(SETS.values())


def download_set(
    name: str,
    output: str | Path,
    *,
    raw: bool = False,
    mirror: str | None = None,
    limits: Limits | None = None,
    allow_private_addresses: bool = False,
) -> Gathered:
    """Download a well-known set from its official source and arrange it in class folders.

    The set's license and citation are written next to it. A repeated call resumes an interrupted download.

    Args:
        name: The name of a set in `list_sets`.
        output: A folder: new, empty, or begun by the same call.
        raw: Whether to leave the files as published.
        mirror: Base URL to fetch the files from instead; their checksums must be the same.
        limits: Limits on connections, attempts and file sizes; None takes the defaults, with files of up to 4 GiB.
        allow_private_addresses: Whether the mirror may be on this machine or its local network.

    Returns:
        The outcome for each file of the set.

    Raises:
        UsageError: There is no such set, or the folder contains something else.
        DataError: A file can't be fetched, or its checksum is wrong.
        ResourceError: The folder can't be written.
    """
    from distingo.download.named import gather_set
    from distingo.download.sets import find_set

    return gather_set(
        find_set(name),
        Path(output),
        limits,
        raw=raw,
        mirror=mirror,
        allow_private=allow_private_addresses,
    )


def download_urls(
    table: str | Path,
    output: str | Path,
    *,
    columns: UrlColumns | None = None,
    **fetching: Unpack[FetchOptions],
) -> Gathered:
    """Download the images whose URLs a table lists.

    Single-label images are written to class folders, multi-label images to ``images/`` with a ``metadata.csv`` that
    the other functions read. ``manifest.csv`` lists the outcome for every URL.

    Args:
        table: CSV, TSV, JSON Lines or Parquet file.
        output: A folder: new, empty, or begun by the same call.
        columns: Names of the table's columns; those left out are detected.
        **fetching: Limits and permissions, as in `FetchOptions`; files of up to 256 MiB unless `limits` sets another
            size.

    Returns:
        The outcome for each URL.

    Raises:
        DataError: The table can't be parsed.
        UsageError: The table lacks a column, or the folder contains something else.
        ResourceError: The folder can't be written.
    """
    from distingo.download.url_lists import gather_urls

    settings = fetch_settings(fetching, "download_urls")
    return gather_urls(
        Path(table),
        Path(output),
        columns,
        settings.limits,
        try_refused=settings.try_refused,
        allow_private=settings.allow_private_addresses,
    )


def download_open_images(
    classes: str | Sequence[str],
    output: str | Path,
    *,
    splits: Sequence[OpenImagesSplit] = ("train",),
    limit: int | None = None,
    boxes: bool = False,
    min_size: int = 0,
    single: bool = False,
    seed: int = 0,
    addresses: OpenImagesAddresses | None = None,
    **fetching: Unpack[FetchOptions],
) -> Gathered:
    """Download the images of some classes of Open Images V7.

    If no image has several of the classes, images are written to class folders, else to ``images/``. ``metadata.csv``,
    which the other functions read, contains the labels, split, source, license and author of each image. Of the tables,
    which are gigabytes for ``train``, only the rows about the classes are stored.

    Args:
        classes: Names of classes, ignoring case, or identifiers (``/m/...``).
        output: A folder: new, empty, or begun by the same call.
        splits: Splits to take images from: ``train``, ``validation`` and ``test``.
        limit: Maximum number of images per class; None takes all.
        boxes: Whether to take only images with a bounding box of the class and write ``boxes.csv``; if False, images
            whose label was verified by people are taken.
        min_size: Minimum length in pixels of an image's shorter side and, with `boxes`, of a box's shorter side.
        single: Whether to leave out images that have several of the classes.
        seed: Seed of the selection if `limit` is set.
        addresses: URLs of a mirror; None takes the official ones.
        **fetching: Limits and permissions, as in `FetchOptions`.

    Returns:
        The outcome for each selected image.

    Raises:
        DataError: A table can't be fetched, or no image matches.
        UsageError: A class is unknown, or the folder contains something else.
        ResourceError: The folder can't be written.
    """
    from distingo.download.open_images import OpenImagesRequest, gather_open_images

    settings = fetch_settings(fetching, "download_open_images")
    selection = OpenImagesSettings(limit=limit, boxes=boxes, min_size=min_size, single=single, seed=seed)
    return gather_open_images(
        OpenImagesRequest(
            as_names(classes, "classes"),
            tuple(splits),
            selection.limit,
            selection.boxes,
            selection.min_size,
            selection.single,
            selection.seed,
        ),
        Path(output),
        settings.limits,
        addresses=addresses,
        try_refused=settings.try_refused,
        allow_private=settings.allow_private_addresses,
    )


def download_imagenet(
    classes: str | Sequence[str],
    output: str | Path,
    *,
    mirror: str | None = None,
    **fetching: Unpack[FetchOptions],
) -> Gathered:
    """Download the images of some classes of ImageNet into class folders, for non-commercial research only.

    Args:
        classes: Names of synsets (any lemma), ignoring case, or WordNet ids (``n04118538``).
        output: A folder: new, empty, or begun by the same call.
        mirror: Base URL to fetch ``<WordNet id>.tar`` from instead.
        **fetching: Limits and permissions, as in `FetchOptions`; archives of up to 16 GiB unless `limits` sets another
            size.

    Returns:
        The outcome for each archive, and for each file in an archive that is not an image.

    Raises:
        DataError: No archive can be fetched, or one is damaged.
        UsageError: A synset is unknown, or the folder contains something else.
        ResourceError: The folder can't be written.
    """
    from distingo.download.imagenet import gather_imagenet

    settings = fetch_settings(fetching, "download_imagenet")
    return gather_imagenet(
        as_names(classes, "classes"),
        Path(output),
        settings.limits,
        address=mirror,
        try_refused=settings.try_refused,
        allow_private=settings.allow_private_addresses,
    )


def download_video(
    video: str | Path,
    output: str | Path,
    *,
    choice: FrameChoice | None = None,
    label: str | None = None,
    limit: int | None = None,
    image_format: FrameFormat = "jpeg",
) -> VideoFrames:
    """Extract frames of a video into a folder; file names contain the time.

    Args:
        video: A video file in any format that OpenCV's FFmpeg reads.
        output: A folder; frames that an earlier call wrote there are not written again.
        choice: Which frames to extract; None takes one per second.
        label: Name of a class folder inside `output`; None writes into `output` itself.
        limit: Maximum number of frames.
        image_format: ``jpeg`` or ``png``.

    Returns:
        The outcome for each selected frame, and the fault of the video if it has one.

    Raises:
        DataError: The file is not a video, or none of its frames can be decoded.
        UsageError: The label can't be used as the name of a folder.
        ResourceError: The folder can't be written or has frames of another video, or OpenCV is not installed.
    """
    from distingo.download.video import extract_frames
    from distingo.download.video_frames import FrameChoice as Choice
    from distingo.download.video_frames import Interval

    settings = VideoSettings(label=label, limit=limit, image_format=image_format)
    frame_choice = choice or Choice(Interval("seconds", 1.0))
    return extract_frames(
        Path(video), Path(output), frame_choice, label=label, limit=settings.limit, image_format=settings.image_format
    )
