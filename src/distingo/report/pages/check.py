"""``check.html``: the findings of a check, the worst first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from distingo.curation.findings import FINDING_KINDS, IMAGE_KINDS, Finding, FindingKind
from distingo.report.examples import take_turns
from distingo.report.templating import write_page
from distingo.report.thumbnails import Album, fill_album

if TYPE_CHECKING:
    from distingo.curation.check import Check


MOST_SHOWN = 60
"""Maximum number of findings of a kind on the page; all are in the table."""

_MOST_IMAGES = 700

_MOST_BYTES = 9_000_000


@dataclass(frozen=True, slots=True)
class KindText:
    """The title and explanation of a kind of finding.

    Attributes:
        name: The heading.
        meaning: What the score measures, and what to do.
    """

    name: str
    meaning: str


KIND_TEXTS: dict[FindingKind, KindText] = {
    "unreadable": KindText("Unreadable files", "They give no picture. Nothing trains on them; get them again."),
    "wrong-ending": KindText(
        "Wrong endings",
        "Pictures whose name says another format, or none. They are read by their bytes here; not so everywhere.",
    ),
    "duplicate": KindText("Exact duplicates", "The same bytes or pixels. One of each is used."),
    "near-duplicate": KindText(
        "Near duplicates",
        "The same scene resized, recompressed, cropped, mirrored, brightened, or taken a moment later. The score is"
        " the correlation of their fine structure.",
    ),
    "leak": KindText("Leaks", "A picture has a copy on another split, or in the other data set."),
    "contradiction": KindText("Contradictions", "Copies of one picture under different classes: one is wrong."),
    "label": KindText(
        "Likely wrong labels",
        "What models that never saw a picture say against its label. At one half a label is more probably wrong than"
        " right. Look at each: a rare view of its class is doubted too.",
    ),
    "outlier": KindText("Outliers", "Far from every other picture in what they show: perhaps they don't belong here."),
    "empty": KindText("Empty", "One brightness nearly everywhere. The score is the share of such pixels."),
    "dark": KindText("Too dark", "The score is 1 minus the brightness that 99 % of the pixels stay below."),
    "bright": KindText("Too bright", "The score is the brightness that 95 % of the pixels exceed."),
    "blurred": KindText("Blurred", "Without fine structure anywhere. At one half the focus is in doubt."),
    "odd-size": KindText("Odd sizes", "Far larger or smaller than most: at 0.8 five times."),
    "odd-aspect": KindText("Odd aspects", "Unusually wide or tall: 1 minus the shorter by the longer side."),
    "imbalance": KindText("Class imbalance", "Classes far smaller than the largest: 1 minus their share of it."),
    "shortcut": KindText(
        "Shortcuts",
        "How well one property other than the subject distinguishes the classes. A model uses what is easiest;"
        " if that is not the subject, it fails elsewhere. Color may be the subject: check.",
    ),
}


@dataclass(frozen=True, slots=True)
class Card:
    """A finding with the names of its images in the album."""

    finding: Finding
    image: str
    other: str


@dataclass(frozen=True, slots=True)
class Section:
    """The findings of a kind.

    Attributes:
        kind: The kind, as in the table.
        text: Its name and meaning.
        threshold: Score from which a finding counts.
        lowest: Lowest possible threshold.
        counting: Number of findings that count.
        kept: Number of stored findings.
        cards: The findings with the highest scores.
        scores: Scores of all stored findings, descending.
    """

    kind: FindingKind
    text: KindText
    threshold: float
    lowest: float
    counting: int
    kept: int
    cards: tuple[Card, ...]
    scores: tuple[float, ...]


def write_check_page(check: Check, path: Path) -> Path:
    """Write the page of a check.

    Args:
        check: The check; thumbnails are made from the current files.
        path: The page to write.

    Returns:
        The path.

    Raises:
        ResourceError: The page can't be written.
    """
    from distingo.near_duplicates.search import describe_search

    search = check.near_duplicates
    sections = [section for kind in FINDING_KINDS if (section := _section(check.findings, kind)) is not None]
    files = take_turns([[name for card in section.cards for name in (card.image, card.other)] for section in sections])
    album = _fill(check, [file for file in files if file])
    context = {
        "check": check,
        "data_name": check.root.name or str(check.root),
        "against_name": check.against.name if check.against else "",
        "search": "" if search is None else describe_search(search),
        "sections": sections,
        "of_images": IMAGE_KINDS,
        "total": sum(section.counting for section in sections),
        "clean": [KIND_TEXTS[kind].name for kind in FINDING_KINDS if all(section.kind != kind for section in sections)],
        "album": album,
        "folder": path.parent.name,
    }
    return write_page("check.html", path, context, scripts=("check.js",))


def _section(findings: Sequence[Finding], kind: FindingKind) -> Section | None:
    from distingo.curation.findings import MINIMUM_SCORES

    chosen = sorted((finding for finding in findings if finding.kind == kind), key=lambda finding: -finding.score)
    if not chosen:
        return None
    cards = tuple(Card(finding, finding.file, _other_image(finding)) for finding in chosen[:MOST_SHOWN])
    counting = sum(finding.counts for finding in chosen)
    scores = tuple(round(finding.score, 4) for finding in chosen)
    numbers = chosen[0].threshold, MINIMUM_SCORES[kind], counting, len(chosen)
    return Section(kind, KIND_TEXTS[kind], *numbers, cards, scores)


def _other_image(finding: Finding) -> str:
    return f"{finding.other_root}\0{finding.other}" if finding.other_root else finding.other


def _fill(check: Check, files: Sequence[str]) -> Album:
    """Make thumbnails of the data set's images and, for pairs across data sets, of the other one's."""
    inside = [file for file in files if "\0" not in file]
    ranges = check.value_ranges
    album = fill_album(check.root, inside, value_ranges=ranges, most_images=_MOST_IMAGES, most_bytes=_MOST_BYTES)
    outside = [file for file in files if "\0" in file]
    if not outside or check.against is None:
        return album
    names = [file.partition("\0")[2] for file in outside]
    root = check.against if check.against.is_dir() else check.against.parent
    most_images, most_bytes = _MOST_IMAGES // 2, _MOST_BYTES // 2
    other = fill_album(root, names, value_ranges=ranges, most_images=most_images, most_bytes=most_bytes)
    prefix = outside[0].partition("\0")[0]
    renamed = {f"{prefix}\0{file}": thumbnail for file, thumbnail in other.thumbnails.items()}
    lost = frozenset(f"{prefix}\0{file}" for file in other.unreadable)
    return Album({**album.thumbnails, **renamed}, album.unreadable | lost)
