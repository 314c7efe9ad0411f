"""Usual names of the columns of a table: of images, labels and splits."""

from __future__ import annotations

import re
from collections.abc import Sequence

# The likeliest first, without case and marks: "File_Name" is "filename".
IMAGE_NAMES = (
    *("filename", "file", "filepath", "filepaths", "path", "imagepath", "imagename", "imagefile", "image", "images"),
    *("imageid", "img", "imgname", "imgid", "imgpath", "picture", "photo", "poster", "fname", "id", "name"),
)
LABEL_NAMES = (
    *("label", "labels", "class", "classes", "classname", "category", "categories", "target", "targets", "tag", "tags"),
    *("genre", "genres", "species", "breed"),
)
SPLIT_NAMES = frozenset({"split", "set", "subset", "partition", "dataset", "side", "phase"})


def names_labels(columns: Sequence[str]) -> bool:
    """Whether a table's columns are by their names one for pictures and one for labels."""
    keys = {column_key(name) for name in columns}
    return not keys.isdisjoint(IMAGE_NAMES) and not keys.isdisjoint(LABEL_NAMES)


def named_like_pictures(columns: Sequence[str]) -> list[str]:
    """The columns that by their names hold pictures, the likeliest first."""
    known = [name for name in columns if column_key(name) in IMAGE_NAMES]
    return sorted(known, key=lambda name: name_rank(name, IMAGE_NAMES))


def is_known_column(name: str) -> bool:
    """Whether a text is a usual name of a column of images, labels or splits."""
    key = column_key(name)
    return key in IMAGE_NAMES or key in LABEL_NAMES or key in SPLIT_NAMES


def known_label_column(names: Sequence[str]) -> str | None:
    """The column that is most likely the label's, by its name alone; None where no name says so."""
    ranked = sorted(
        (name for name in names if column_key(name) in LABEL_NAMES), key=lambda name: name_rank(name, LABEL_NAMES)
    )
    return ranked[0] if ranked else None


def column_key(name: str) -> str:
    """A name of a column without case and marks, as the usual names are written here."""
    return re.sub(r"[\W_]", "", name).lower()


def name_rank(name: str, known: Sequence[str]) -> int:
    """The place of a column's name among usual ones; their number where it is none of them."""
    return known.index(column_key(name)) if column_key(name) in known else len(known)
