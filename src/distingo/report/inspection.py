"""A dataset to a page: what is in it, before anything is trained."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from distingo.records import Dataset
from distingo.report.balance import balance_classes
from distingo.report.label_counts import count_labels, view_pairs
from distingo.report.selection import choose_samples, rank_pictures
from distingo.report.sizes import summarise_sizes
from distingo.report.skipped import group_skipped
from distingo.report.templating import write_page
from distingo.report.thumbnails import fill_album


def write_inspection(dataset: Dataset, path: Path) -> Path:
    """Write a page about a dataset: pictures per class, sizes, samples, and files left out with reasons.

    With several labels per picture it also shows how many labels pictures have, and which go together.

    Args:
        dataset: As read by `distingo.datasets.gathering.read_dataset`.
        path: Where the page shall be.

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
        "album": fill_album(dataset.root, rank_pictures((), samples, {})),
    }
    return write_page("inspection.html", path, context)
