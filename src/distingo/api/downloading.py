"""Calls that gather images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from distingo.download.records import FetchOptions, FetchSettings
from distingo.files import as_names
from distingo.options.downloading import OpenImagesSettings, VideoSettings
from distingo.options.fields import require_known

if TYPE_CHECKING:
    from distingo.download.folder import Gathered
    from distingo.download.open_images_tables import OpenImagesAddresses, OpenImagesSplit
    from distingo.download.records import Limits
    from distingo.download.sets import NamedSet
    from distingo.download.url_lists import UrlColumns
    from distingo.download.video import FrameFormat, VideoFrames
    from distingo.download.video_frames import FrameChoice


def fetch_settings(options: FetchOptions, call: str) -> FetchSettings:
    """The record of a call's keywords.

    Raises:
        TypeError: There is no such keyword.
    """
    require_known(options, FetchOptions.__annotations__, call)
    return FetchSettings(**options)


def list_sets() -> tuple[NamedSet, ...]:
    """Every well-known set that `download_set` knows by name."""
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
    """Fetch a well-known set from its official place, and lay it out as class folders.

    Its license and citation are written next to it. What an earlier, interrupted call fetched is not fetched again.

    Args:
        name: One of `list_sets`.
        output: A folder: new, empty, or begun by the same call.
        raw: Leave the files as they are published.
        mirror: Fetch the files from below this address instead; their checksums must be the same.
        limits: How politely, how patiently and how much; None takes the defaults, and files of up to 4 GiB.
        allow_private_addresses: Whether the mirror may be on this machine or its network.

    Returns:
        What became of each of its files.

    Raises:
        UsageError: There is no such set, or the folder holds something else.
        DataError: A file can't be had, or is not what it should be.
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
    """Fetch the images that a table names by their addresses.

    With one label each they go into class folders, with several into ``images/`` with a ``metadata.csv`` that the
    other calls read. ``manifest.csv`` says what became of every address.

    Args:
        table: CSV, TSV, JSON Lines or Parquet.
        output: A folder: new, empty, or begun by the same call.
        columns: What to know about the table; what is left out is recognized.
        **fetching: How politely and how much is fetched, as in `FetchOptions`; files of up to 256 MiB if
            `limits` does not tell.

    Returns:
        What became of each address.

    Raises:
        DataError: The table can't be understood.
        UsageError: It has no such column, or the folder holds something else.
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
    """Fetch the images of some classes of Open Images V7.

    Where no image has several of the classes they go into class folders, else into ``images/``. ``metadata.csv``,
    which the other calls read, has the labels, side, source, license and author of each. The tables, of gigabytes for
    ``train``, are not kept but for their lines about the classes.

    Args:
        classes: Names without regard to case, or identifiers (``/m/...``).
        output: A folder: new, empty, or begun by the same call.
        splits: Of ``train``, ``validation`` and ``test``.
        limit: At most so many images for each class; None takes all.
        boxes: Take only images with a box of the class, and write ``boxes.csv``; else those of which people said that
            they show it.
        min_size: In pixels; leave out images with a shorter side, and with `boxes` boxes with a shorter side.
        single: Leave out images that have several of the classes.
        seed: Of the choice under a limit.
        addresses: Of a mirror; None takes the official ones.
        **fetching: How politely and how much is fetched, as in `FetchOptions`.

    Returns:
        What became of each image that was chosen.

    Raises:
        DataError: A table can't be had, or no image fits.
        UsageError: A class is unknown, or the folder holds something else.
        ResourceError: The folder can't be written.
    """
    from distingo.download.open_images import OpenImagesRequest, gather_open_images

    settings = fetch_settings(fetching, "download_open_images")
    chosen = OpenImagesSettings(limit=limit, boxes=boxes, min_size=min_size, single=single, seed=seed)
    return gather_open_images(
        OpenImagesRequest(
            as_names(classes, "classes"),
            tuple(splits),
            chosen.limit,
            chosen.boxes,
            chosen.min_size,
            chosen.single,
            chosen.seed,
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
    """Fetch the images of some classes of ImageNet into class folders. They are for non-commercial research only.

    Args:
        classes: Names of synsets (any lemma) without regard to case, or WordNet ids (``n04118538``).
        output: A folder: new, empty, or begun by the same call.
        mirror: Fetch ``<WordNet id>.tar`` from below this address instead.
        **fetching: How politely and how much is fetched, as in `FetchOptions`; archives of up to 16 GiB if
            `limits` does not tell.

    Returns:
        What became of each archive, and of each file in one that is no image.

    Raises:
        DataError: Not one archive can be had, or one is damaged.
        UsageError: A synset is unknown, or the folder holds something else.
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
    """Write frames of a video into a folder, named by their time.

    Args:
        video: A file; FFmpeg, in OpenCV, reads it.
        output: A folder; frames that an earlier call wrote there are not written again.
        choice: Which frames; None takes one every second.
        label: Name of a class folder inside `output`; None writes into `output` itself.
        limit: At most so many frames.
        image_format: ``jpeg`` or ``png``.

    Returns:
        What became of each frame that was due, and what is wrong with the video, if something is.

    Raises:
        DataError: The file is no video, or no frame of it can be decoded.
        UsageError: The label can't be a folder's name.
        ResourceError: The folder can't be written or holds frames of another video, or OpenCV is not installed.
    """
    from distingo.download.video import extract_frames
    from distingo.download.video_frames import FrameChoice as Choice
    from distingo.download.video_frames import Interval

    settings = VideoSettings(label=label, limit=limit, image_format=image_format)
    wanted = choice or Choice(Interval("seconds", 1.0))
    return extract_frames(
        Path(video), Path(output), wanted, label=label, limit=settings.limit, image_format=settings.image_format
    )
