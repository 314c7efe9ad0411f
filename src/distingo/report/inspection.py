"""A dataset to a page: what is in it, before anything is trained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from distingo.exploration.records import Exploration
from distingo.records import Dataset, Picture
from distingo.report.balance import balance_classes
from distingo.report.colours import has_colour, show_appearances
from distingo.report.histograms import draw_aspects, draw_file_sizes
from distingo.report.label_counts import count_labels, view_pairs
from distingo.report.picture_map import show_map
from distingo.report.selection import choose_samples, rank_pictures
from distingo.report.sizes import summarise_sizes
from distingo.report.skipped import group_skipped
from distingo.report.templating import write_page
from distingo.report.thumbnails import fill_album

MOST_ON_THE_WALL = 96


def write_inspection(dataset: Dataset, path: Path, exploration: Exploration | None = None) -> Path:
    """Write a page about a dataset: pictures per class, sizes, samples, and files left out with reasons.

    With several labels per picture it also shows how many labels pictures have, and which go together.

    Args:
        dataset: As read by `distingo.datasets.gathering.read_dataset`.
        path: Where the page shall be.
        exploration: What was found out about its colours, and the map; None leaves these out.

    Returns:
        The path.

    Raises:
        ResourceError: The page can't be written.
    """
    given = any(picture.given_side for picture in dataset.pictures)
    labelled = [(picture.given_side or "train", picture.labels) for picture in dataset.pictures]
    balance = balance_classes(labelled, dataset.classes)
    samples = choose_samples(
        ((picture.source.file, picture.labels) for picture in dataset.pictures),
        [entry.name for entry in balance],
    )
    several = dataset.task == "multi-label"
    wall = draw_wall(dataset.pictures)
    context = {
        "dataset": dataset,
        "data_name": dataset.root.name or str(dataset.root),
        "one": "label" if several else "class",
        "many": "labels" if several else "classes",
        "given": given,
        "balance": balance,
        "label_counts": count_labels(labelled) if several else (),
        "pairs": view_pairs([labels for _, labels in labelled], dataset.classes) if several else None,
        "samples": samples,
        "sizes": summarise_sizes(dataset.pictures),
        "formats": Counter(row.format for row in dataset.manifest if row.status == "used").most_common(),
        "skipped": group_skipped(dataset.manifest),
        "several": several,
        "wall": [(picture.source.file, picture.labels) for picture in wall],
        "album": fill_album(
            dataset.root,
            [*rank_pictures((), samples, {}), *(picture.source.file for picture in wall)],
            value_ranges=dataset.value_ranges,
        ),
        "aspects": draw_aspects(dataset.pictures),
        **_explored(exploration),
    }
    return write_page("inspection.html", path, context, scripts=("page.js", "map.js"))


def draw_wall(pictures: Sequence[Picture], *, most: int = MOST_ON_THE_WALL) -> list[Picture]:
    """Draw pictures by chance, always the same ones of the same data set; none where a sample shows all anyway."""
    if len(pictures) < most // 2:
        return []
    order = np.random.default_rng(0).permutation(len(pictures))
    return [pictures[at] for at in order[:most].tolist()]


def _explored(exploration: Exploration | None) -> dict[str, Any]:
    if exploration is None:
        return {"exploration": None, "map": None, "file_sizes": None}
    return {
        "exploration": exploration,
        "map": None if exploration.picture_map is None else show_map(exploration.picture_map),
        "looks": show_appearances(exploration.appearances),
        "coloured": has_colour(exploration.appearances),
        "file_sizes": draw_file_sizes(exploration.sizes),
    }
