"""Which of the fetched pictures of Open Images are kept: those that are large enough, and are pictures still."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from distingo.download.folder import DownloadFolder
from distingo.download.open_images_planning import Plan
from distingo.download.open_images_selecting import SelectedPicture
from distingo.download.open_images_tables import Box
from distingo.download.records import Outcome

_TAKEN_DOWN = "photo_unavailable"
"""In the address that Flickr redirects to, which shows that its author took a picture down."""


@dataclass(frozen=True, slots=True)
class KeptPicture:
    """A picture that is in the folder.

    Attributes:
        picture: As it was chosen.
        outcome: Of its fetching.
        labels: Positions of the classes that it has here, ascending.
        boxes: Those that are large enough.
    """

    picture: SelectedPicture
    outcome: Outcome
    labels: tuple[int, ...]
    boxes: tuple[Box, ...] = ()


def judge_pictures(plan: Plan, folder: DownloadFolder, smallest: int) -> tuple[KeptPicture, ...]:
    """Look at what was fetched; what is not to be kept is taken out of the folder again and noted in its manifest.

    Args:
        plan: What was to be fetched.
        folder: Where it is, with what became of each.
        smallest: Pixels, as in `OpenImagesRequest`.

    Returns:
        The pictures that stay, in the plan's order.

    Raises:
        OSError: A file can't be removed.
    """
    kept = []
    for picture in plan.selection.pictures:
        outcome = folder.outcome_of(plan.place(picture))
        if outcome is None or outcome.status != "fetched":
            continue
        path = folder.root / outcome.file
        if not path.is_file():
            continue  # a person took it out
        if _TAKEN_DOWN in outcome.final_url:
            _take_out(path, folder, replace(outcome, status="absent", reason="its author took it down"))
            continue
        boxes = tuple(plan.boxes.get(picture.identifier, ()))
        stays, reason = _judge(picture, outcome, path, boxes, smallest)
        if path.stat().st_size != outcome.size:
            reason = ""  # a person changed it, and it is theirs now
        if reason:
            _take_out(path, folder, replace(outcome, status="refused", reason=reason))
        else:
            kept.append(stays)
    return tuple(kept)


def _judge(
    picture: SelectedPicture, outcome: Outcome, path: Path, boxes: Sequence[Box], smallest: int
) -> tuple[KeptPicture, str]:
    """What stays of a picture, and why nothing does."""
    everything = KeptPicture(picture, outcome, picture.classes, tuple(boxes))
    if not smallest:
        return everything, ""
    size = _size(path)
    if size is None:
        return everything, "can't be read as a picture"
    if min(size) < smallest:
        return everything, f"{size[0]} x {size[1]} pixels, smaller than {smallest}"
    if not boxes:
        return everything, ""
    large = tuple(box for box in boxes if box.shorter_side(*size) >= smallest)
    labels = tuple(sorted({box.label for box in large}))
    return KeptPicture(
        picture, outcome, labels, large
    ), "" if large else f"its boxes are smaller than {smallest} pixels"


def _size(path: Path) -> tuple[int, int] | None:
    """Width and height as the file has them, before any rotation: that is what boxes are measured in."""
    from PIL import Image

    try:
        with Image.open(path) as picture:
            return picture.size
    except (OSError, ValueError, Image.DecompressionBombError):
        return None


def _take_out(path: Path, folder: DownloadFolder, outcome: Outcome) -> None:
    """Remove a file that this very download brought, and say why it is not there."""
    path.unlink()
    folder.record(replace(outcome, file="", size=0, sha256=""))
