"""Findings: the records that `check` writes and `clean` and `review` read, and the thresholds at which they count.

A finding counts at or above the threshold of its kind. Findings with lower scores are stored too, so that thresholds
can be lowered later.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from distingo.csv_files import join_labels, read_table, split_labels, write_table
from distingo.datasets.corrections import Action, Correction, Corrections
from distingo.datasets.decoding.formats import ENDINGS, IMAGE_ENDINGS
from distingo.datasets.measurements import MEASUREMENTS
from distingo.errors import DataError, RunError, UsageError, option, suggest_names
from distingo.messages.notes import Note, note, read_cells, write_values
from distingo.records import LabeledImage, ManifestRow

FindingKind = Literal[
    "leak",
    "contradiction",
    "shortcut",
    "label",
    "near-duplicate",
    "duplicate",
    "outlier",
    "empty",
    "dark",
    "bright",
    "blurred",
    "odd-size",
    "odd-aspect",
    "wrong-ending",
    "unreadable",
    "imbalance",
]
"""Kinds of findings, ordered by their effect on a model.

In this order: a duplicate in another split; a duplicate in another class; a property other than the subject that
distinguishes the classes; a probably wrong label; another image of the same scene; the same bytes or pixels; unlike all
other images; a single color; too dark; too bright; out of focus; unusually large or small; unusually wide or tall; the
file extension of another format; an unreadable file; a class that is far smaller than the largest one. Shortcuts and
imbalance concern the complete data set and have no file."""

FINDING_KINDS: tuple[FindingKind, ...] = get_args(FindingKind)

IMAGE_KINDS: tuple[FindingKind, ...] = tuple(kind for kind in FINDING_KINDS if kind not in {"imbalance", "shortcut"})
"""Kinds of findings about single images and pairs of images."""

FINDINGS_NAME = "findings.csv"
"""The name of the table in the folder that `distingo check` writes."""

FINDINGS_FOLDER = "check"
"""Default folder of a check."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A possible problem with an image, a pair of images, or the data set.

    Attributes:
        kind: Kind of the finding.
        file: As in `Source.file`: relative to the data set's root, with forward slashes; empty for the data set itself.
        score: From 0 (no problem) to 1 (certain problem); comparable only within a kind.
        threshold: Score from which the finding counts; lower ones are stored so that the threshold can be lowered.
        labels: Class names of the file.
        split: Predefined split of the file; empty if there is none.
        content: Content hash, which shows whether the file has changed; empty if it can't be read.
        other: The other image of a pair; empty if there is none.
        other_labels: Class names of the other image.
        other_root: Base folder of `other` if it is in another data set, otherwise empty.
        suggested: For ``label``, the more probable class names.
        reason: Explanation for the user; None if there is none.
        other_split: Predefined split of the other image.
        other_content: Content hash of the other image.
    """

    kind: FindingKind
    file: str
    score: float
    threshold: float
    labels: tuple[str, ...] = ()
    split: str = ""
    content: str = ""
    other: str = ""
    other_labels: tuple[str, ...] = ()
    other_root: str = ""
    suggested: tuple[str, ...] = ()
    reason: Note | None = None
    other_split: str = ""
    other_content: str = ""

    @property
    def counts(self) -> bool:
        """Whether its score reaches the threshold."""
        return self.score >= self.threshold


_SEVERAL = ("labels", "other_labels", "suggested")

_COLUMNS = [field.name for field in fields(Finding)]

_VALUES = "values"
"""The column of the reason's values; missing in tables of earlier versions, whose reasons are English texts."""

_IN_ALL_VERSIONS = [name for name in _COLUMNS if name not in {"split", "other_split"}]


def write_findings(findings: Iterable[Finding], path: Path) -> None:
    """Write findings as CSV; the first column contains whether a finding counts, the last one the reason's values.

    Raises:
        ResourceError: The file can't be written.
    """
    write_table(path, ["counts", *_COLUMNS, _VALUES], (_to_row(finding) for finding in findings))


def read_findings(path: Path) -> tuple[Finding, ...]:
    """Read findings that `write_findings` wrote.

    Args:
        path: The table, or its folder.

    Raises:
        DataError: The file is missing.
        RunError: The file is damaged, or is not a table of findings.
    """
    path = path / FINDINGS_NAME if path.is_dir() else path
    if not path.is_file():
        raise DataError(
            f"{path}: no such file; `distingo check DATA -o FOLDER` writes one, {option('findings')} FOLDER names it",
            code="not_found",
        )
    return tuple(_from_row(path, line, row) for line, row in read_table(path, _IN_ALL_VERSIONS))


def _to_row(finding: Finding) -> list[object]:
    cells = {name: getattr(finding, name) for name in _COLUMNS}
    cells |= {name: join_labels(cells[name]) for name in _SEVERAL}
    cells["reason"] = finding.reason.code if finding.reason else ""
    return ["yes" if finding.counts else "no", *cells.values(), write_values(finding.reason)]


def _from_row(path: Path, line: int, row: dict[str, str]) -> Finding:
    kind = next((kind for kind in FINDING_KINDS if kind == row["kind"]), None)
    if kind is None:
        raise RunError(
            f"{path}: line {line}: {row['kind']!r} is no kind of finding; they are {', '.join(FINDING_KINDS)}",
            code="damaged_line",
        )
    try:
        score, threshold = float(row["score"]), float(row["threshold"])
    except ValueError as error:
        raise RunError(
            f"{path}: line {line}: score or threshold is no number ({error})", code="damaged_line"
        ) from error
    try:
        reason = read_cells(row["reason"], row.get(_VALUES))
    except (TypeError, ValueError, RecursionError) as error:
        raise RunError(
            f"{path}: line {line}: the values of its reason are damaged ({error})", code="damaged_line"
        ) from error
    return Finding(
        kind=kind,
        file=row["file"],
        score=score,
        threshold=threshold,
        labels=split_labels(row["labels"]),
        split=row.get("split", row.get("side", "")),
        content=row["content"],
        other=row["other"],
        other_labels=split_labels(row["other_labels"]),
        other_root=row["other_root"],
        suggested=split_labels(row["suggested"]),
        reason=reason,
        other_split=row.get("other_split", row.get("other_side", "")),
        other_content=row["other_content"],
    )


def is_resolved(finding: Finding, corrections: Corrections | None) -> bool:
    """Whether a finding is resolved by a decision in the corrections.

    Quarantining an image resolves all its findings. A pair is resolved if one of its images is quarantined or
    relabeled, or if both are kept for this kind of finding. Decisions about files that have changed since are ignored.
    """
    if corrections is None:
        return False
    corrections_by_file = corrections.by_file
    action = _valid_action(corrections_by_file.get(finding.file), finding.kind, finding.content)
    if not finding.other or finding.other_root:
        return action is not None
    other_action = _valid_action(corrections_by_file.get(finding.other), finding.kind, finding.other_content)
    if "quarantine" in (action, other_action) or "relabel" in (action, other_action):
        return True
    return action is not None and other_action is not None


def _valid_action(correction: Correction | None, kind: FindingKind, content: str) -> Action | None:
    if correction is None or (correction.content and content and correction.content != content):
        return None
    return correction.action if correction.action == "quarantine" or kind in correction.kinds else None


_THRESHOLDS: dict[FindingKind, tuple[float, float]] = {
    "unreadable": (0.0, 0.5),
    "wrong-ending": (0.0, 0.5),
    "duplicate": (0.0, 0.5),
    "near-duplicate": (0.6, 0.8),
    "leak": (0.6, 0.8),
    "contradiction": (0.6, 0.8),
    "label": (0.2, 0.5),
    "outlier": (0.25, 0.5),
    "empty": (0.7, 0.95),
    "dark": (0.5, 0.68),
    "bright": (0.8, 0.95),
    "blurred": (0.25, 0.5),
    "odd-size": (0.5, 0.8),
    "odd-aspect": (0.4, 0.65),
    "imbalance": (0.5, 0.9),
    "shortcut": (0.0, 0.4),
}
"""The lowest score of stored findings and the default threshold of each kind."""

DEFAULT_THRESHOLDS: Mapping[FindingKind, float] = MappingProxyType(
    {kind: threshold for kind, (_, threshold) in _THRESHOLDS.items()}
)
"""Default thresholds; see the functions that create findings for the meaning of each score."""

MINIMUM_SCORES: Mapping[FindingKind, float] = MappingProxyType(
    {kind: minimum for kind, (minimum, _) in _THRESHOLDS.items()}
)
"""Lowest score of stored findings, and thus the lowest possible threshold, by kind."""


def resolve_thresholds(options: Mapping[str, float]) -> dict[FindingKind, float]:
    """Combine requested thresholds with the defaults of all other kinds.

    Args:
        options: By kind of finding.

    Raises:
        UsageError: There is no such kind, or the value is out of its range.
    """
    thresholds = dict(DEFAULT_THRESHOLDS)
    for name, value in options.items():
        kind = next((each for each in FINDING_KINDS if each == name), None)
        if kind is None:
            near = suggest_names(name, list(FINDING_KINDS))
            raise UsageError(
                f"{option('thresholds')} {name}: no such kind of finding; {near}",
                code="unknown_name",
                parameter="thresholds",
            )
        if not MINIMUM_SCORES[kind] <= value <= 1:
            raise UsageError(
                f"{option('thresholds')} {name}={value:g}: is out of range; choose from {MINIMUM_SCORES[kind]:g} to 1",
                code="out_of_range",
                parameter="thresholds",
            )
        thresholds[kind] = value
    return thresholds


def parse_thresholds(texts: Sequence[str]) -> dict[str, float]:
    """Parse thresholds in the form ``KIND=VALUE``.

    Raises:
        UsageError: One is not of that form.
    """
    options = {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            options[name] = float(value)
        except ValueError as error:
            raise UsageError(
                f"{option('thresholds')} {text}: write KIND=VALUE, for example blurred=0.6",
                code="invalid_value",
                parameter="thresholds",
            ) from error
    return options


_IN_FOCUS = 0.3
"""Sharpness with a score of one half: the image may or may not be in focus."""

_UNNAMED = 0.75
"""Score of an image without an image file extension; the extension of another format has a score of 1."""

Thresholds = Mapping[FindingKind, float]


def file_findings(manifest: Sequence[ManifestRow], thresholds: Thresholds) -> Iterator[Finding]:
    """Find unreadable files, and images with the file extension of another format.

    Args:
        manifest: Rows of all files.
        thresholds: Thresholds by kind.

    Yields:
        ``unreadable`` with score 1, except for unsupported formats and images above the pixel limit, which need not be
        damaged; ``wrong-ending`` with score 1, or 0.75 if the extension is not one of an image format.
    """
    for row in manifest:
        file_fields = (row.file, row.labels, row.split or "", row.content)
        if row.status == "unusable":
            # unsupported formats and images above the pixel limit are not findings
            if row.notes:
                continue
            yield _finding("unreadable", file_fields, 1.0, row.reason, thresholds)
        elif row.status in {"used", "duplicate", "conflict"} and row.format != "IDX":
            ending = PurePosixPath(row.file).suffix.lower()
            expected = ENDINGS.get(row.format, (ending,))
            if ending not in expected:
                score = 1.0 if ending in IMAGE_ENDINGS else _UNNAMED
                reason = note("ending-of-other-format", format=row.format, ending=ending, right=expected[0])
                if not ending:
                    reason = note("no-ending", format=row.format, right=expected[0])
                yield _finding("wrong-ending", file_fields, score, reason, thresholds)


def quality_findings(
    images: Sequence[LabeledImage], measurements: npt.NDArray[np.float32], thresholds: Thresholds
) -> Iterator[Finding]:
    """Find images that are empty, too dark, too bright, blurred, or of unusual size or shape.

    Scores: ``empty`` the share of pixels in the most frequent 16 levels of brightness; ``dark`` 1 minus the brightness
    that 99 % of the pixels stay below; ``bright`` the brightness that 95 % exceed; ``blurred`` 0.3 / (0.3 +
    sharpness), 0 for an empty image; ``odd-size`` 1 - 1/f where the image is f times as large or as small as the
    median (root of the area); ``odd-aspect`` 1 minus the shorter by the longer side.

    Args:
        images: The usable images.
        measurements: Float32 (n, 12), see `distingo.datasets.measurements`.
        thresholds: Thresholds by kind.

    Yields:
        Findings with scores of at least `MINIMUM_SCORES`.
    """
    if not len(images):
        return
    columns = dict(zip(MEASUREMENTS, measurements.T.astype(float), strict=True))
    sizes = np.array([(image.width, image.height) for image in images], float)
    root = np.sqrt(sizes.prod(axis=1))
    median = float(np.median(root))
    times = np.maximum(root / median, median / root)
    empty = columns["uniformity"]
    scores: dict[FindingKind, npt.NDArray[np.float64]] = {
        "empty": empty,
        "dark": 1 - columns["brightness_99"],
        "bright": columns["brightness_5"],
        "blurred": np.where(empty >= thresholds["empty"], 0, _IN_FOCUS / (_IN_FOCUS + columns["sharpness"])),
        "odd-size": 1 - 1 / times,
        "odd-aspect": 1 - sizes.min(axis=1) / sizes.max(axis=1),
    }
    for kind, column in scores.items():
        for at in np.flatnonzero(column >= MINIMUM_SCORES[kind]).tolist():
            image = images[at]
            file_fields = (image.source.file, image.labels, image.predefined_split or "", image.content)
            reason = _explain(kind, image, {name: float(values[at]) for name, values in columns.items()}, median)
            yield _finding(kind, file_fields, float(column[at]), reason, thresholds)


def _explain(kind: FindingKind, image: LabeledImage, values: Mapping[str, float], median: float) -> Note:
    match kind:
        case "empty":
            return note("one-brightness", share=values["uniformity"])
        case "dark":
            return note("darker-than", brightness=values["brightness_99"])
        case "bright":
            return note("brighter-than", brightness=values["brightness_5"])
        case "blurred":
            return note("sharpness", sharpness=round(values["sharpness"], 2))
        case "odd-size":
            return note("size-and-median", width=image.width, height=image.height, median=round(median))
        case _:
            return note("size", width=image.width, height=image.height)


def _finding(
    kind: FindingKind,
    file_fields: tuple[str, tuple[str, ...], str, str],
    score: float,
    reason: Note | None,
    thresholds: Thresholds,
) -> Finding:
    file, labels, split, content = file_fields
    clipped = float(min(max(score, 0.0), 1.0))
    return Finding(kind, file, clipped, thresholds[kind], labels, split, content, reason=reason)
