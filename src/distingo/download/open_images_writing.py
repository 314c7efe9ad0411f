"""What is written beside the pictures of Open Images: labels, origins and boxes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from distingo.datasets.manifest import write_table
from distingo.download.open_images_judging import KeptPicture
from distingo.download.open_images_planning import Plan
from distingo.download.open_images_tables import BOX_FLAGS, ImageFacts

_METADATA = (
    *("file_name", "labels", "split", "image_id", "source", "landing_page", "licence", "author", "author_profile"),
    *("title", "rotation", "fetched_from"),
)
_BOXES = ("file_name", "box_label", "left", "right", "top", "bottom", *BOX_FLAGS)


def write_metadata(path: Path, kept: Sequence[KeptPicture], plan: Plan) -> None:
    """Write ``metadata.csv``: labels (a JSON list), side, origin, licence and author of every picture.

    It is named and laid out so that distingo, and Hugging Face's ``imagefolder``, take the labels from it.

    Raises:
        ResourceError: It can't be written.
    """
    nothing = ImageFacts()

    def row(each: KeptPicture) -> tuple[str, ...]:
        identifier = each.picture.identifier
        facts = plan.facts.get(identifier, nothing)
        labels = json.dumps([plan.names[at] for at in each.labels], ensure_ascii=False)
        named = (each.outcome.file, labels, each.picture.split, identifier)
        origin = (facts.source, facts.landing_page, facts.licence, facts.author, facts.author_profile, facts.title)
        return (*named, *origin, facts.rotation, each.outcome.final_url)

    write_table(path, _METADATA, (row(each) for each in kept))


def write_boxes(path: Path, kept: Sequence[KeptPicture], plan: Plan) -> None:
    """Write ``boxes.csv``: a line for every box, in shares of the width and height of the picture as it is stored.

    Raises:
        ResourceError: It can't be written.
    """
    write_table(
        path,
        _BOXES,
        (
            (each.outcome.file, plan.names[box.label], *(f"{edge:.6f}" for edge in box.edges), *box.flags)
            for each in kept
            for box in each.boxes
        ),
    )
