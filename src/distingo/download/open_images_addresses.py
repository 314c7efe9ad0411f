"""Where Open Images V7 keeps its tables and pictures, as its download page says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

OpenImagesSplit = Literal["train", "validation", "test"]
OPEN_IMAGES_SPLITS: tuple[OpenImagesSplit, ...] = get_args(OpenImagesSplit)

LICENCE = """Open Images Dataset V7, https://storage.googleapis.com/openimages/web/index.html

The annotations are licensed by Google LLC under CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/). The pictures
are listed as having a CC BY 2.0 licence (https://creativecommons.org/licenses/by/2.0/); nobody vouches for that: verify
the licence of each picture yourself. metadata.csv names the licence, the author and the source of each.

A. Kuznetsova, H. Rom, N. Alldrin, J. Uijlings, I. Krasin, J. Pont-Tuset, S. Kamali, S. Popov, M. Malloci,
A. Kolesnikov, T. Duerig, V. Ferrari: The Open Images Dataset V4: Unified image classification, object detection, and
visual relationship detection at scale. International Journal of Computer Vision, 2020.
"""

_LABELS = "v7/oidv7-{}-annotations-human-imagelabels.csv"
_LABEL_TABLES: dict[OpenImagesSplit, str] = {
    "train": _LABELS.format("train"),
    "validation": _LABELS.format("val"),
    "test": _LABELS.format("test"),
}
_BOX_TABLES: dict[OpenImagesSplit, str] = {
    "train": "v6/oidv6-train-annotations-bbox.csv",
    "validation": "v5/validation-annotations-bbox.csv",
    "test": "v5/test-annotations-bbox.csv",
}
_IMAGE_TABLES: dict[OpenImagesSplit, str] = {
    "train": "v6/oidv6-train-images-with-labels-with-rotation.csv",
    "validation": "2018_04/validation/validation-images-with-rotation.csv",
    "test": "2018_04/test/test-images-with-rotation.csv",
}
_BOXABLE_TRAINING_IMAGES = "2018_04/train/train-images-boxable-with-rotation.csv"


@dataclass(frozen=True, slots=True)
class OpenImagesAddresses:
    """The roots of the two stores; a mirror has the same paths below them.

    Attributes:
        tables: Class lists, labels, boxes, and where each picture comes from.
        pictures: The pictures of the Common Visual Data Foundation, of which the training ones without boxes are
            missing.
    """

    tables: str = "https://storage.googleapis.com/openimages"
    pictures: str = "https://open-images-dataset.s3.amazonaws.com"

    def classes(self, *, boxable: bool) -> str:
        """The list of classes: LabelName,DisplayName."""
        return f"{self.tables}/v7/oidv7-class-descriptions{'-boxable' if boxable else ''}.csv"

    def labels(self, split: OpenImagesSplit) -> str:
        """The labels that people verified: ImageID,Source,LabelName,Confidence."""
        return f"{self.tables}/{_LABEL_TABLES[split]}"

    def boxes(self, split: OpenImagesSplit) -> str:
        """The boxes: ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,..."""
        return f"{self.tables}/{_BOX_TABLES[split]}"

    def images(self, split: OpenImagesSplit, *, boxable: bool) -> str:
        """Where the pictures come from: ImageID,Subset,OriginalURL,OriginalLandingURL,License,AuthorProfileURL,..."""
        table = _BOXABLE_TRAINING_IMAGES if boxable and split == "train" else _IMAGE_TABLES[split]
        return f"{self.tables}/{table}"

    def picture(self, split: OpenImagesSplit, identifier: str) -> str:
        """One picture, its longer side at most 1024 pixels."""
        return f"{self.pictures}/{split}/{identifier}.jpg"
